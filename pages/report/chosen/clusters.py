"""The kind `examples`: images of one clustering of a cell, and of one run of category discovery.

Stage examples takes the one that ranks highest, stage evaluate_discovery the first exported run;
the report reads both, and none of the clusters.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import store
from pages.report.chosen.away import away
from pages.report.chosen.pick import Examples, pick
from pages.report.tables.ranking import read_ranked
from pipeline.io.absent import read_h5_mark
from pipeline.io.cell import Cell
from pipeline.io.clusters import run_files, seed_of_lowest_loss
from pipeline.params import StageError
from pipeline.ranking.table import table_of


class Chosen(NamedTuple):
    """What is shown of one clustering; `store.kinds` says what the arrays are.

    seed: one of so many `seeds`; rank: its place among so many candidates of the dataset
    (`among`), 0 of category discovery; images: how many of a cluster, of both sorts; old: the names
    of the known classes, of category discovery.
    """

    run: str
    setting: int
    k: int
    dims: int
    seed: int
    seeds: int
    rank: int
    among: int
    images: int
    old: list[str]
    size: np.ndarray
    name: np.ndarray
    digest: np.ndarray
    cluster: np.ndarray
    typical: np.ndarray


ARRAYS = ("size", "name", "digest", "cluster", "typical")
FACTS = tuple(name for name in Chosen._fields if name not in ARRAYS)


def save_best(cell: Cell, wanted: Examples) -> None:
    """Write cell.examples, of the clustering of the cell that ranks highest among its dataset's."""
    ranked = read_ranked(cell.dataset)
    best = next((one for one in ranked if one.backbone == cell.backbone), None)
    if best is None:
        _save(cell, cell.examples, nothing(wanted))
        return
    found = _choose(cell, run_file(cell, best.run), best.setting, wanted, best.seed)
    _save(cell, cell.examples, found._replace(rank=best.rank, among=len(ranked)))


def run_file(cell: Cell, run: str) -> Path:
    """The clusters of a run that is ranked, those of heads that were learned with it too."""
    for path in run_files(cell.file("clusters")):
        if path.stem == run:
            return path
    raise StageError(
        f"{table_of(cell.dataset)} ranks {run}, of which {cell.backbone} has no clusters: run "
        "`dvc repro`"
    )


def save_discovered(cell: Cell, runs: Sequence[str], wanted: Examples) -> None:
    """Write cell.found_examples, of the first of `runs` that there is; of none that knew no class.

    Images whose class was known are left out where the method says how sure it is.
    """
    there = {path.stem: path for path in run_files(cell.file("discovered"))}
    path = next((there[run] for run in runs if run in there), None)
    found = _choose(cell, path, 0, wanted) if path else nothing(wanted)
    _save(cell, cell.found_examples, found if found.old else nothing(wanted))


def nothing(wanted: Examples) -> Chosen:
    """There is no clustering to show."""
    none = np.zeros(0, np.int32)
    arrays = (none.astype(np.int64), none.astype(object), np.zeros((0, 16), np.uint8), none)
    facts = ("", 0, 0, 0, 0, 0, 0, 0, wanted.images, list[str]())
    return Chosen(*facts, *arrays, none.astype(np.uint8))


def read_chosen(path: Path) -> Chosen | None:
    """What a stage chose; None where it has not run, or there is nothing to show."""
    if not path.exists() or read_h5_mark(path) is not None:
        return None
    with store.read(path, "examples") as file:
        facts: dict[str, Any] = {name: file.attrs[name] for name in FACTS}
        facts |= {name: file[name] for name in ARRAYS}
        found = Chosen(**facts)
    return found if found.run else None


def _choose(
    cell: Cell, path: Path, setting: int, wanted: Examples, seed: int | None = None
) -> Chosen:
    """The images of train in one setting of a file of kind clusters, by a seed; None: by that of
    lowest loss."""
    with store.read(path, "clusters") as file:
        attrs = file.attrs
        at = seed_of_lowest_loss(file, setting) if seed is None else attrs["seeds"].index(seed)
        old, k, dims = attrs.get("old", []), int(file["k"][setting]), int(file["dims"][setting])
        here = file["split"] == attrs["splits"].index("train")
        assignment, untypical = file[f"{setting}/assignment"][at], away(file, setting)[at]
        if old:
            here &= untypical > 0  # labelled images have a probability of 1
        row, assignment, untypical = file["row"][here], assignment[here], untypical[here]
    picks = pick(assignment, untypical, wanted.clusters, wanted.images)
    both = [rows for p in picks for rows in (p.typical, p.untypical)]
    shown = row[np.concatenate([*both, np.zeros(0, np.int64)])]
    with store.read(cell.images, "index") as file:
        name, digest = file.text("name")[shown], file.mapped("digest")[shown]
    cluster = [c for p in picks for c in [p.cluster] * (len(p.typical) + len(p.untypical))]
    typical = [t for p in picks for t in [1] * len(p.typical) + [0] * len(p.untypical)]
    return Chosen(
        path.stem, setting, k, dims, attrs["seeds"][at], len(attrs["seeds"]), 0, 0,
        wanted.images, old, np.bincount(assignment, minlength=k).astype(np.int64), name, digest,
        np.array(cluster, np.int32), np.array(typical, np.uint8),
    )  # fmt: skip


def _save(cell: Cell, path: Path, found: Chosen) -> None:
    facts = {name: getattr(found, name) for name in FACTS}
    arrays = {name: getattr(found, name) for name in ARRAYS}
    of = {"dataset": cell.dataset, "backbone": cell.backbone}
    store.save(path, "examples", arrays, {**of, **facts})
