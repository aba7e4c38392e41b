"""The ranking of all clusterings of a dataset without labels (stage rank), as a table."""

from collections.abc import Sequence
from typing import NamedTuple

from pages.report.tables.rows import read_rows
from pages.report.tables.table import Cell, Column, cell
from pipeline.io.absent import EPOCHS
from pipeline.io.whole import as_written, facts_in
from pipeline.ranking.table import WHAT, facts_of, table_of

SHOWN = 10  # settings of the table


class Ranked(NamedTuple):
    """One clustering; rank: 1 is first; values: its scores as they are written."""

    rank: int
    backbone: str
    run: str
    setting: int
    k: int
    dims: int
    seed: int
    values: dict[str, str]


class Ranking(NamedTuple):
    """caption: how far the criteria agree; rows: the first settings, each by its best seed."""

    caption: str
    columns: list[Column]
    rows: list[tuple[Ranked, list[Cell]]]
    whole: str


COLUMNS = (
    Column("modularity", "Modularity", "on the graph of all backbones; counts", 1, 3, "all"),
    Column("agreement", "Agreement", "mean NMI to other settings; counts", 100, 1, "all"),
    Column("information", "Edge information", "nats, on that graph; rises with k", 1, 3, "k"),
    Column("information_far", "Far", "the same after several steps on it", 1, 3, "k"),
    Column("stability", "Stability", "mean ARI to other seeds", 100, 1, "all"),
    Column("silhouette", "Silhouette", "in the backbone's own space", 1, 3, ""),
)


def read_ranked(dataset: str) -> list[Ranked]:
    """All candidates, the best first; none where stage rank has not run, or found none."""
    path = table_of(dataset)
    if not path.exists() or path.read_text(encoding="utf-8") == EPOCHS:  # a mark: it is absent
        return []
    with as_written(path):
        return [
            Ranked(
                rank=int(row["rank"]),
                backbone=row["backbone"],
                run=row["run"],
                setting=int(row["setting"]),
                k=int(row["k"]),
                dims=int(row["dims"]),
                seed=int(row["seed"]),
                values={column.score: row[column.score] for column in COLUMNS},
            )
            for row in read_rows(path, ("rank", *WHAT, *(c.score for c in COLUMNS)))
        ]


def ranking(dataset: str, backbones: Sequence[str]) -> Ranking | None:
    """The first SHOWN settings of these backbones; None where nothing is ranked."""
    every = [one for one in read_ranked(dataset) if one.backbone in backbones]
    if not every:
        return None
    with facts_in(facts_of(dataset)) as said:
        caption = _caption(said, len(every))
    best: dict[tuple[str, str, int], Ranked] = {}
    for one in every:
        best.setdefault((one.backbone, one.run, one.setting), one)
    first = list(best.values())[:SHOWN]
    shown = [c for c in COLUMNS if any(one.values[c.score] for one in first)]
    rows = [(one, [_cell(one, column, first) for column in shown]) for one in first]
    return Ranking(caption, shown, rows, str(table_of(dataset)))


def _cell(one: Ranked, column: Column, every: Sequence[Ranked]) -> Cell:
    """The highest of the table is marked, of what rises with k among equal k."""
    others = [_value(other, column) for other in every if column.among != "k" or other.k == one.k]
    return cell(column, _value(one, column), float("nan"), others)


def _value(one: Ranked, column: Column) -> float:
    return float(one.values[column.score] or "nan")


def _caption(said: dict, count: int) -> str:
    """What was compared on what, and how far the criteria agree."""
    many = f"{count} clusterings" if count > 1 else "the only clustering"
    text = f"Of {many}, judged on {said['images']:,} images, the best seed of each setting."
    if "concordance" in said:
        text += (
            f" How far the criteria agree: Kendall's W is {said['concordance']:.2f}, where 1 is "
            "one order and 0 none in common."
        )
    if of := said.get("correlations"):
        low, high = min(of, key=of.__getitem__), max(of, key=of.__getitem__)
        text += f" Nearest to each other are {_pair(high)} (rank correlation {of[high]:.2f})"
        text += f", farthest {_pair(low)} ({of[low]:.2f})." if low != high else "."
    return text


def _pair(name: str) -> str:
    titles = {c.score: c.title.lower() for c in COLUMNS}
    one, other = (titles.get(part, part) for part in name.split(" ~ "))
    return f"{one} and {other}"
