"""What is possible with labels (stage `probes`): the ceiling, apart from all clusterings."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cluster.metrics.mean_sd import mean_sd
from pages.report.tables.rows import read_rows
from pages.report.tables.table import Cell, Column, cell
from pipeline.io import cell as data
from pipeline.io.whole import as_written, facts_in

PLACES = {"train": "on train", "held out": "on a third of train, held out"}


class Scores(NamedTuple):
    """Of one backbone on one split: mean and deviation over seeds by probe, as shares."""

    backbone: str
    split: str
    mean: dict[str, float]
    sd: dict[str, float]


class Probes(NamedTuple):
    """A table of one split, a row a backbone."""

    title: str
    columns: list[Column]
    spread: list[bool]  # which columns have a ±
    rows: list[tuple[str, list[Cell]]]


def read_probes(cells: Sequence[data.Cell]) -> list[Scores]:
    """What stage probes has found in each cell, and how pure the first neighbours are; by split,
    train first. Without labels there are none."""
    out = []
    for of in cells:
        path, purity = of.metric("probes.csv"), of.metric("probes.json")
        if not path.exists():
            continue
        rows = read_rows(path, ("probe", "split", "acc"))
        for split in dict.fromkeys(row["split"] for row in rows):
            here = [row for row in rows if row["split"] == split]
            with as_written(path):
                found = {
                    probe: mean_sd([float(row["acc"]) for row in here if row["probe"] == probe])
                    for probe in dict.fromkeys(row["probe"] for row in here)
                }
            pure = _pure(purity, split)
            mean = {probe: mean for probe, (mean, _) in found.items()}
            sd = {probe: sd for probe, (_, sd) in found.items()}
            out.append(Scores(of.backbone, split, mean | pure, sd))
    return sorted(out, key=lambda scores: (scores.split != "train", scores.split))


def _pure(path: Path, split: str) -> dict[str, float]:
    """How pure the first neighbours are on a split; nothing where stage probes did not say."""
    if not path.exists():
        return {}
    with facts_in(path) as said:
        return {
            k: float(v) for k, v in said.get(split, {}).items() if k.startswith("label_purity_")
        }


def tables(scores: Sequence[Scores]) -> list[Probes]:
    """A table a split."""
    out = []
    for split in dict.fromkeys(s.split for s in scores):
        here = [s for s in scores if s.split == split]
        shown = columns(here)
        rows = [(s.backbone, cells(s, shown, here)) for s in here]
        spread = [any(row[at].sd for _, row in rows) for at in range(len(shown))]
        place = PLACES.get(split, f"fitted on train, scored on {split}")
        out.append(Probes(place[0].upper() + place[1:], shown, spread, rows))
    return out


def columns(scores: Sequence[Scores]) -> list[Column]:
    """One a probe: the linear one, those by neighbours, and how pure these are."""
    names = dict.fromkeys(name for s in scores for name in s.mean)
    kinds = ("linear", "knn_", "label_purity_")
    return [_column(name) for kind in kinds for name in names if name.startswith(kind)]


def cells(s: Scores, shown: Sequence[Column], others: Sequence[Scores]) -> list[Cell]:
    """One row; the highest of a column is marked."""
    nan = float("nan")
    return [
        cell(c, s.mean.get(c.score, nan), s.sd.get(c.score, nan),
             [o.mean[c.score] for o in others if c.score in o.mean])
        for c in shown
    ]  # fmt: skip


def _column(name: str) -> Column:
    if found := re.fullmatch(r"knn_(\d+)", name):
        hint = f"accuracy of a weighted vote of the {found[1]} nearest of train, itself left out"
        return Column(name, f"{found[1]}-NN", hint, 100, 1, "all")
    if found := re.fullmatch(r"label_purity_(\d+)", name):
        many = "nearest neighbour" if found[1] == "1" else f"{found[1]} nearest neighbours"
        hint = f"share of the {many} that has the image's class"
        return Column(name, f"Purity of {found[1]}", hint, 100, 1, "all")
    hint = "accuracy of a linear layer that was fitted with labels"
    return Column(name, "Linear probe", hint, 100, 1, "all")
