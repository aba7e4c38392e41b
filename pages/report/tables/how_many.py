"""What says how many classes or clusters there may be, in words."""

from collections.abc import Sequence

from pipeline.io.absent import read_mark
from pipeline.io.cell import Cell
from pipeline.io.whole import facts_in


def how_many(cells: Sequence[Cell], *, known: bool) -> list[str]:
    """Lines for each cell, from the metrics that its stages have left: estimate_k,
    estimate_k_by_labels (where classes are `known`), and spectral, which looks at the graph of
    neighbours."""
    out = []
    for cell in cells:
        for stage, say in SAID.items():
            path = cell.metric(f"{stage}.json")
            wanted = path.exists() and (known or say is not _of_labels)
            if wanted and read_mark(path) is None:
                with facts_in(path) as said:
                    out.append(f"{cell.backbone}: {say(said)}")
    return out


def _of_criteria(found: dict) -> str:
    k, voted = found["k"], [pick for pick in found["picks"].values() if pick is not None]
    if not voted:
        return "nothing says how many classes there are; the images are too few, or all alike."
    agree = f"{len(found['agree'])} of {len(voted)} criteria agree"
    span = f"{found['low']} to {found['high']}; " if found["low"] < found["high"] else ""
    said = f"about {k} classes ({span}{agree}), by a sample of {found['images']:,} images"
    if 2 * len(found["agree"]) <= len(voted):
        said += "; that is no more than a guess"
    if found["high"] == found["tried"][1]:
        said += f"; no more than {found['tried'][1]} were tried, so there may be more"
    return f"{said}."


def _of_labels(found: dict) -> str:
    acc = f"{100 * found['acc']:.1f}"
    if "acc_sd" in found:
        acc += f" ± {100 * found['acc_sd']:.1f}"
    return (
        f"with labels, {found['k']} clusters fit the {found['known_classes']} known classes best "
        f"(ACC {acc} on the labelled images; {found['tried']} numbers were tried)."
    )


def _of_graph(found: dict) -> str:
    looked_at = len(found["eigenvalues"]) - 1
    said = f"no eigengap of its neighbour graph is to be seen up to k = {looked_at}"
    if "eigengap_k" in found:
        k = found["eigengap_k"]
        said = f"the largest eigengap of its neighbour graph up to k = {looked_at} is at k = {k}"
    parts, alone = found["components"], found["isolated"]
    if parts > 1:
        said += f"; the graph falls into {parts} parts"
    if alone:
        said += f"; {alone} image{'s have' if alone > 1 else ' has'} no neighbour in it"
    return f"{said}."


SAID = {"estimate_k": _of_criteria, "estimate_k_by_labels": _of_labels, "spectral": _of_graph}
