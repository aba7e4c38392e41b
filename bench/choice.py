"""What is lost by a choice without labels, where `bench accuracy` has run every method.

Of each dataset in the folder of `bench accuracy` (CAIRN_BENCH_FOLDER) the clusterings of the cells
that were scored, every run and seed at the right k, are ranked by stage `rank`. `first`: the one
that it puts first; `acc`: its ACC in %; `best` and `best_acc`: the one of the highest ACC; `lost`:
the points between them; `drawn`: those that one at random loses on average.
"""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import accuracy
from bench._accuracy_rows import PACKAGES, Row
from pipeline.io.cell import Cell

__all__ = ["PACKAGES", "run"]

FOLDER = Path(os.environ.get("CAIRN_BENCH_FOLDER", accuracy.FOLDER))
WHICH = ("run", "setting", "seed")


def lacking() -> str:
    there = any((FOLDER / dataset).is_dir() for dataset in accuracy.DATASETS)
    return "" if there else f"{FOLDER} holds no datasets: run `python -m bench accuracy` first"


def run() -> list[Row]:
    """A row a dataset."""
    return [
        _row(dataset, FOLDER / dataset)
        for dataset in accuracy.DATASETS
        if (FOLDER / dataset).is_dir()
    ]


def _row(dataset: str, project: Path) -> Row:
    acc: dict[tuple[str, ...], float] = {}
    for path in sorted(project.glob(f"metrics/{dataset}/*/evaluate.csv")):
        cell = Cell(dataset, path.parent.name)
        _stage(project, f"candidates@{dataset}-{cell.backbone}")
        acc |= {
            (cell.backbone, *(row[name] for name in WHICH)): 100 * float(row["acc"])
            for row in _table(path)
            if row["split"] == "train" and row["acc"]
        }
    _stage(project, f"rank@{dataset}")
    ranked = [
        (row["backbone"], *(row[name] for name in WHICH))
        for row in _table(project / f"metrics/{dataset}/rank.csv")
    ]
    known = [which for which in ranked if which in acc]
    if not known:
        raise SystemExit(f"{project}: nothing is scored and ranked: run `python -m bench accuracy`")
    first, best = known[0], max(known, key=lambda which: acc[which])
    mean = sum(acc[which] for which in known) / len(known)
    return {
        "dataset": dataset, "candidates": len(known), "first": " ".join(first[:2]),
        "acc": round(acc[first], 1), "best": " ".join(best[:2]), "best_acc": round(acc[best], 1),
        "lost": round(acc[best] - acc[first], 1), "drawn": round(acc[best] - mean, 1),
    }  # fmt: skip


def _stage(project: Path, target: str) -> None:
    if wrong := accuracy.dvc(project, ["repro", "--quiet", "--single-item", target], None):
        raise SystemExit(f"{target}: {wrong}")


def _table(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)
