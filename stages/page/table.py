"""The comparison of backbones and methods, as a table of the page and as markdown."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from stages.page.settings import Setting


class Column(NamedTuple):
    """One score: its title, what it means, how it is written, whether the highest is marked."""

    score: str
    title: str
    hint: str
    scale: float
    digits: int
    mark: bool


class Cell(NamedTuple):
    """value: what the column is sorted by; empty where there is no such score."""

    value: str
    mean: str
    sd: str
    best: bool


class Row(NamedTuple):
    setting: Setting
    cells: list[Cell]


COLUMNS = (
    Column("acc", "ACC", "one-to-one, matched on these images", 100, 1, True),
    Column("acc_train_map", "ACC train map", "one-to-one, matched on train", 100, 1, True),
    Column("majority_acc", "Majority", "many-to-one; rises with k by construction", 100, 1, False),
    Column("nmi", "NMI", "normalised mutual information; rises with k", 100, 1, False),
    Column("ami", "AMI", "mutual information, corrected for chance", 100, 1, True),
    Column("ari", "ARI", "Rand index, corrected for chance", 100, 1, True),
    Column("silhouette", "Silhouette", "how well clusters keep apart, -1 to 1", 1, 3, False),
    Column("stability", "Stability", "mean ARI between seeds", 100, 1, True),
    Column("balance", "Balance", "1: clusters of equal size", 1, 2, False),
    Column("live", "Clusters used", "clusters that have an image here", 1, 1, False),
)
NO_SD = {"stability", "balance", "live"}  # each seed's stability is a mean over seeds already
BRIEF = ("acc", "nmi", "ari", "silhouette")


def columns(settings: Sequence[Setting]) -> list[Column]:
    """Those that say something: on `train` the train map is the map itself, and clusters without
    images are rare."""
    out = [c for c in COLUMNS if any(not math.isnan(s.mean[c.score]) for s in settings)]
    idle = {
        "acc_train_map": all(s.split == "train" for s in settings),
        "live": all(s.mean["live"] == s.k for s in settings),
    }
    return [c for c in out if not idle.get(c.score, False)]


def rows(settings: Sequence[Setting], shown: Sequence[Column]) -> list[Row]:
    """The settings of one table, with the highest value of a column marked."""
    return [Row(s, [_cell(s, column, settings) for column in shown]) for s in settings]


def markdown(settings: Sequence[Setting]) -> str:
    """The headlines on `train`, a table a dataset; without labels, the label-free columns."""
    parts = []
    for dataset in dict.fromkeys(s.dataset for s in settings):
        here = [s for s in settings if s.dataset == dataset and s.split == "train"]
        brief = [c for c in columns(here) if c.score in BRIEF]
        body = [["backbone", "run", "k", "dims", *(c.title for c in brief)]]
        for s in here:
            cells = [_cell(s, c, here) for c in brief]
            written = [f"{c.mean} ± {c.sd}" if c.sd else c.mean for c in cells]
            body.append([s.backbone, s.run, str(s.k), str(s.dims or "all"), *written])
        n = sorted({len(s.seeds) for s in here})
        seeds = "1 seed" if n == [1] else f"{' or '.join(map(str, n))} seeds, mean ± sd"
        label = " ACC is one-to-one; ACC, NMI, ARI × 100." if any(s.labelled for s in here) else ""
        parts.append(f"{_safe(dataset)}, train, {seeds}.{label}\n\n{_pipes(body)}")
    return "\n\n".join(parts) + "\n"


def _cell(s: Setting, column: Column, others: Sequence[Setting]) -> Cell:
    mean, sd = s.mean[column.score] * column.scale, s.sd[column.score] * column.scale
    if math.isnan(mean):
        return Cell("", "", "", False)
    spread = "" if math.isnan(sd) or column.score in NO_SD else _fixed(sd, column.digits)
    known = [o.mean[column.score] for o in others if not math.isnan(o.mean[column.score])]
    best = column.mark and len(known) > 1 and s.mean[column.score] == max(known)
    return Cell(f"{mean:.6g}", _fixed(mean, column.digits), spread, best)


def _fixed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    negative = text.startswith("-") and any(digit in text for digit in "123456789")
    return ("−" if negative else "") + text.lstrip("-")


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
