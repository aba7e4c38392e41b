"""All that the page says of one dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pages.report.charts.figures import Figure
from pages.report.pictures.clusters import Sheet
from pages.report.pictures.curated import Curation
from pages.report.tables import lineage, published, table
from pages.report.tables.adapted import Adapted
from pages.report.tables.probes import Probes
from pages.report.tables.ranking import Ranking
from pages.report.tables.rows import read_rows
from pages.report.tables.settings import Setting, headlines
from pages.report.tables.spaces import spaces
from pipeline.io.cell import Cell


class Table(NamedTuple):
    """A table of one split; `more`: one with every setting, where there are more, or more to say of
    each; `summary`: what that is."""

    title: str
    caption: str
    summary: str
    columns: list[table.Column]
    spread: list[bool]  # which columns have a ±
    rows: list[table.Row]
    more: "Table | None"
    spaces: list[str]  # in which the runs have clustered
    published: list[str]  # what papers say of them


@dataclass(frozen=True)
class Section:
    """unlabelled: no image has a label, so that the page begins with the ranking."""

    id: str
    name: str
    facts: str
    absent: list[str]
    unreadable: list[str]
    advice: list[str]
    unlabelled: bool
    ranking: Ranking | None
    adapted: Adapted | None
    tables: list[Table]
    discovery: list[Table]
    probes: list[Probes]
    how_many: list[str]
    curated: list[Curation]
    charts: list[Figure]
    sheets: list[Sheet]


def tables(
    settings: Sequence[Setting], taught: Sequence[str], steps: Sequence[lineage.Step]
) -> list[Table]:
    """A table a split, train first; folded in, what `steps` of adapting made. `taught`: backbones
    that have seen the known labels."""
    splits = sorted({s.split for s in settings}, key=lambda name: (name != "train", name))
    out = []
    for split in splits:
        everything = [s for s in settings if s.split == split]
        seen = lineage.said(taught, [s.backbone for s in everything])
        first = lineage.apart(headlines(everything), steps)
        whole = _table(everything, split, None, seen) if len(everything) > len(first) else None
        out.append(_table(first, split, whole, seen))
    return out


def _table(settings: list[Setting], split: str, whole: Table | None, seen: str) -> Table:
    fitted = "the clusters were fitted on these images" if split == "train" else (
        "the clusters were fitted on train and applied to these images")  # fmt: skip
    others = sorted({s.fitted_on for s in settings if not s.own})
    if others:
        fitted += f" (of runs from {', '.join(others)}: on the images there)"
    scale = " ACC to ARI and stability × 100." if any(s.labelled for s in settings) else (
        " Stability × 100.")  # fmt: skip
    first = " The first setting of each run." if whole else ""
    shown = table.columns(settings)
    caption = f"{over_seeds(settings)}; {fitted}.{scale}{first} {table.shaded(shown)}{seen}"
    summary = whole_of(whole, settings, f"on {split}") if whole else ""
    return filled(f"Scores on {split}", caption, settings, shown, summary, whole)


def filled(
    title: str,
    caption: str,
    settings: Sequence[Setting],
    shown: list[table.Column],
    summary: str = "",
    more: Table | None = None,
) -> Table:
    """The table of these settings and columns."""
    rows = table.rows(settings, shown)
    spread = [any(row.cells[at].sd for row in rows) for at in range(len(shown))]
    papers = published.lines(settings)
    return Table(title, caption, summary, shown, spread, rows, more, spaces(settings), papers)


def whole_of(whole: Table, settings: Sequence[Setting], where: str) -> str:
    """What a folded-in table has more of than `settings`."""
    more = {row.setting.backbone for row in whole.rows} > {s.backbone for s in settings}
    return f"All {len(whole.rows)} settings {where}" + ", of adapted backbones too" * more


def over_seeds(settings: Sequence[Setting]) -> str:
    """What a cell is, as the beginning of a caption."""
    n = sorted({len(s.seeds) for s in settings})
    return "One seed" if n == [1] else f"Mean ± sd over {' or '.join(map(str, n))} seeds"


def facts(settings: Sequence[Setting]) -> str:
    """How many images there are, and labels; nothing where no cell could be."""
    if not settings:
        return ""
    most: dict[str, Setting] = {}
    for s in settings:
        if s.split not in most or s.images > most[s.split].images:
            most[s.split] = s
    total, known = (sum(getattr(s, what) for s in most.values()) for what in ("images", "labelled"))
    counts = " · ".join(f"{s.images:,} {name}" for name, s in most.items())
    labels = {0: "no labels: label-free scores only", total: "all labelled"}
    backbones = len({s.backbone for s in settings})
    many = f"{backbones} backbone{'s' * (backbones > 1)}"
    return f"{counts} images · {labels.get(known, f'{known:,} labelled')} · {many}"


def unreadable(cells: Sequence[Cell]) -> list[str]:
    """A line for each backbone that could not read some images (stage embed lists them)."""
    out = []
    for cell in cells:
        path = cell.metric("unreadable.csv")
        n = len(read_rows(path, ("name", "reason"))) if path.exists() else 0
        if n:
            images = "1 image" if n == 1 else f"{n:,} images"
            out.append(f"{cell.backbone}: {images} could not be read and took no part.")
    return out
