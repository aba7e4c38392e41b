"""The comparison of backbones and methods as a table: columns, rows, and numbers as text."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pages.report.tables.settings import Setting


class Column(NamedTuple):
    """One score: its title, what it means, how it is written, and among which rows of a table the
    highest is marked: "all", those of one "backbone" or of one "k"; "": higher is not better;
    PAPER: it is not ours."""

    score: str
    title: str
    hint: str
    scale: float
    digits: int
    among: str


class Cell(NamedTuple):
    """value: what the column is sorted by; empty where there is no such score."""

    value: str
    mean: str
    sd: str
    best: bool


class Row(NamedTuple):
    setting: Setting
    cells: list[Cell]


PAPER = "paper"
HINT = "by the paper that is named below the table"
PUBLISHED = Column("acc_published", "ACC, published", HINT, 100, 1, PAPER)
COLUMNS = (
    Column("acc", "ACC", "one-to-one, matched on these images", 100, 1, "all"),
    Column("acc_train_map", "ACC train map", "one-to-one, matched on train", 100, 1, "all"),
    Column("majority_acc", "Majority", "many-to-one; rises with k by construction", 100, 1, "k"),
    Column("nmi", "NMI", "normalised mutual information; rises with k", 100, 1, "k"),
    Column("ami", "AMI", "mutual information, corrected for chance", 100, 1, "all"),
    Column("ari", "ARI", "Rand index, corrected for chance", 100, 1, "all"),
    Column("silhouette", "Silhouette", "how well clusters keep apart, −1 to 1", 1, 3, "backbone"),
    Column("stability", "Stability", "mean ARI between seeds", 100, 1, "all"),
    Column("balance", "Balance", "1: clusters of equal size", 1, 2, ""),
    Column("live", "Used", "clusters that have an image here", 1, 1, ""),
)
AMONG: dict[str, Callable[[Setting], str | int]] = {
    "backbone": lambda s: s.backbone,
    "k": lambda s: s.k,
}
NO_SD = {"stability", "balance", "live"}  # each seed's stability is a mean over seeds already


def columns(settings: Sequence[Setting]) -> list[Column]:
    """Those that say something: on `train` the train map is the map itself, and clusters without
    images are rare."""
    out = scored(settings, (COLUMNS[0], PUBLISHED, *COLUMNS[1:]))
    idle = {
        "acc_train_map": all(s.split == "train" for s in settings),
        "live": all(s.mean["live"] == s.k for s in settings),
    }
    return [c for c in out if not idle.get(c.score, False)]


def scored(settings: Sequence[Setting], among: Sequence[Column]) -> list[Column]:
    """Those of which any setting has a score."""
    return [
        c for c in among if any(not math.isnan(s.mean.get(c.score, math.nan)) for s in settings)
    ]


def shaded(shown: Sequence[Column]) -> str:
    """What the marks of a table with these columns mean, and which columns have none."""
    said = ["Shaded: the highest, which is best."]
    for among, where in (("backbone", "within each backbone only"), ("k", "among equal k only")):
        if names := [c.title for c in shown if c.among == among]:
            said.append(f"{' and '.join(names)}: {where}.")
    if names := [c.title for c in shown if not c.among]:
        said.append(f"Not compared, as higher is not better: {' and '.join(names)}.")
    return " ".join(said)


def rows(settings: Sequence[Setting], shown: Sequence[Column]) -> list[Row]:
    """The settings of one table, with the highest value marked."""
    columns = [_column(column, settings) for column in shown]
    return [Row(s, list(cells)) for s, *cells in zip(settings, *columns, strict=True)]


def cell(column: Column, mean: float, sd: float, others: Sequence[float]) -> Cell:
    """A mean and its deviation as text; `others`: the means compared with, its own too."""
    if math.isnan(mean):
        return Cell("", "", "", False)
    known = [other for other in others if not math.isnan(other)]
    best = column.among not in ("", PAPER) and mean == max(known) > min(known)
    mean, sd = mean * column.scale, sd * column.scale
    spread = "" if math.isnan(sd) or column.score in NO_SD else _fixed(sd, column.digits)
    return Cell(f"{mean:.6g}", _fixed(mean, column.digits), spread, best)


def _column(column: Column, settings: Sequence[Setting]) -> list[Cell]:
    """A cell a setting; each group is gathered once, as tables may have a thousand rows."""
    name, of = column.score, AMONG.get(column.among, lambda _: None)
    compared: dict[str | int | None, list[float]] = {}
    for s in settings:
        compared.setdefault(of(s), []).append(s.mean[name])
    ends = {group: (min(known), max(known)) for group, means in compared.items()
            if (known := [mean for mean in means if not math.isnan(mean)])}  # fmt: skip
    return [cell(column, s.mean[name], s.sd[name], ends.get(of(s), ())) for s in settings]


def _fixed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    negative = text.startswith("-") and any(digit in text for digit in "123456789")
    return ("−" if negative else "") + text.lstrip("-")
