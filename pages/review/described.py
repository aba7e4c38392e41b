"""A decision in words, a line each."""

from pipeline.review.decisions import (
    Audit,
    Decision,
    Name,
    Place,
    Redo,
    Rename,
    Together,
    Undo,
)

TOLD = 3  # parts of one decision


def described(of: Decision, stands: tuple[list[Decision], list[Decision]]) -> str:
    """stands: the decisions that stand and those that were taken back (replay.standing)."""
    stand, undone = stands
    if isinstance(of, Undo):
        return f"took back: {_plain(undone[-1])}" if undone else "took back"
    if isinstance(of, Redo):
        return f"did again: {_plain(stand[-1])}" if stand else "did again"
    return _plain(of)


def _plain(of: Decision) -> str:
    if isinstance(of, Place):
        what = _pictures(len(of.images))
        if of.status == "undecided":
            return f"{what} back to their clusters"
        if of.status in ("unknown", "junk"):
            return f"{what} marked as {of.status}"
        return f"{what} to {of.category}"
    if isinstance(of, Name):
        which = ", ".join(str(cluster.number) for cluster in of.clusters)
        one = "cluster" if len(of.clusters) == 1 else "clusters"
        return f"{one} {which} called {of.category}" if of.category else f"{one} {which} unnamed"
    if isinstance(of, Rename):
        return f"{of.category} called {of.to}"
    if isinstance(of, Audit):
        return f"audit: {of.category or of.status}"
    if isinstance(of, Together):
        more = f"; {len(of.of) - TOLD} more" if len(of.of) > TOLD else ""
        return "; ".join(_plain(one) for one in of.of[:TOLD]) + more
    return of.do


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count:,} pictures"
