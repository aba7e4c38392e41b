"""The headlines as tables of markdown, for the terminal and for a README."""

from collections.abc import Mapping, Sequence

from pages.report.tables import discovery, probes, published, table
from pages.report.tables.adapted import Adapted
from pages.report.tables.probes import Scores
from pages.report.tables.settings import Setting
from pages.report.tables.table import Cell

BRIEF = ("acc", "acc_published", "nmi", "ari", "silhouette")


def markdown(
    settings: Sequence[Setting],
    partly: Sequence[Setting],
    ceilings: Mapping[str, Sequence[Scores]],
    changed: Mapping[str, Adapted | None],
) -> str:
    """The headlines on `train`, a table a dataset; without labels, the label-free columns, and a
    table of each other split that has labels. Below it category discovery (`partly`), what adapting
    has `changed`, and what probes reach with labels (`ceilings`), both by dataset, where they are
    known."""
    parts = []
    for dataset in dict.fromkeys(s.dataset for s in settings):
        parts += _clusterings(dataset, [s for s in settings if s.dataset == dataset])
        parts += _discovery(dataset, [s for s in partly if s.dataset == dataset])
        parts += _adapted(dataset, changed.get(dataset))
        parts += _probes(dataset, ceilings.get(dataset, ()))
    return "\n\n".join(parts) + "\n"


def _clusterings(dataset: str, settings: Sequence[Setting]) -> list[str]:
    splits = ["train"]
    if not any(s.labelled for s in settings if s.split == "train"):
        splits += sorted({s.split for s in settings if s.labelled})
    return [part for split in splits for part in _split(dataset, settings, split)]


def _split(dataset: str, settings: Sequence[Setting], split: str) -> list[str]:
    here = [s for s in settings if s.split == split]
    brief = [c for c in table.columns(here) if c.score in BRIEF]
    label = " ACC is one-to-one; ACC, NMI, ARI × 100." if any(s.labelled for s in here) else ""
    return [f"{_safe(dataset)}, {_safe(split)}, {_seeds(here)}.{label}", _scores(here, brief)]


def _discovery(dataset: str, settings: Sequence[Setting]) -> list[str]:
    shown = table.scored(settings, published.columns(discovery.columns()))
    if not shown:
        return []
    known = max(s.labelled for s in settings)
    title = (
        f"{_safe(dataset)}, category discovery, unlabelled images of train, {known:,} others "
        f"labelled, {_seeds(settings)}. Accuracy in %, by v2."
    )
    return [title, _scores(settings, shown)]


def _adapted(dataset: str, found: Adapted | None) -> list[str]:
    if found is None:
        return []
    out = [f"{_safe(dataset)}, adapted backbones. {found.caption}"]
    for of_score in found.tables:
        out.append(f"{_safe(dataset)}, adapted backbones, {of_score.title}:")
        body = [["backbone", "adapted by", "runs", *(c.title for c in of_score.columns)]]
        for step, cells in of_score.rows:
            runs = "" if step.frozen else str(len(step.runs))
            body.append([step.base, step.how, runs, *map(_text, cells)])
        out.append(_pipes(body))
    return out


def _scores(settings: Sequence[Setting], shown: Sequence[table.Column]) -> str:
    body = [["backbone", "run", "k", "dims", *(c.title for c in shown)]]
    for s, cells in table.rows(settings, shown):
        body.append([s.backbone, s.run, str(s.k), str(s.dims or "all"), *map(_text, cells)])
    return _pipes(body)


def _seeds(settings: Sequence[Setting]) -> str:
    n = sorted({len(s.seeds) for s in settings})
    return "1 seed" if n == [1] else f"{' or '.join(map(str, n))} seeds, mean ± sd"


def _probes(dataset: str, scores: Sequence[Scores]) -> list[str]:
    if not scores:
        return []
    shown = probes.columns(scores)
    body = [["backbone", "split", *(c.title for c in shown)]]
    for s in scores:
        cells = probes.cells(s, shown, scores)
        body.append([s.backbone, s.split, *map(_text, cells)])
    title = (
        f"{_safe(dataset)}, with labels: the ceiling that these clusterings are read against, in %."
    )
    return [title, _pipes(body)]


def _text(cell: Cell) -> str:
    return f"{cell.mean} ± {cell.sd}" if cell.sd else cell.mean


def _pipes(body: list[list[str]]) -> str:
    body = [[_safe(text) for text in line] for line in body]
    width = [max(map(len, column)) for column in zip(*body, strict=True)]
    lines = [
        [text.ljust(w) if i < 2 else text.rjust(w) for i, (text, w) in enumerate(pairs)]
        for pairs in (list(zip(line, width, strict=True)) for line in body)
    ]
    rule = ["-" * w if i < 2 else "-" * (w - 1) + ":" for i, w in enumerate(width)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def _safe(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
