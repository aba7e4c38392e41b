"""Score category discovery on All, Old and New: the unlabelled images of train, which the papers
score, and those of every other split.

One row of the table a run, setting, split and seed, raw; mean and standard deviation over seeds are
taken by whoever reads it. What the scores are: cluster.metrics.discovery.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import store
from cluster.metrics.discovery import DISCOVERY_SCORES, discovery_scores
from cluster.metrics.matching import contingency_table
from pages.report.asked import words
from pages.report.chosen.clusters import save_discovered
from pages.report.chosen.pick import Examples
from pipeline.io.cell import Cell
from pipeline.io.clusters import require_runs, run_files
from pipeline.io.scores import headline, write_scores
from pipeline.params import StageError
from stages import run

WHAT = ("dataset", "backbone", "run", "fitted_on", "setting", "k", "dims", "dim", "split", "seed")
# That are scored; whose class the method knew; of the former, those it says belong to none
IMAGES = ("images", "labelled", "rejected")
COLUMNS = WHAT + IMAGES + DISCOVERY_SCORES
HEADLINE = ("all_v2", "old_v2", "new_v2")


class Truth(NamedTuple):
    """label: int32 [image of the index], -1 where the image is labelled, or nobody knows; old: bool
    [class]; labelled: bool [image of the index]."""

    dataset: str
    label: np.ndarray
    old: np.ndarray
    labelled: np.ndarray


def main(cell: Cell, examples: Examples) -> dict[str, Any]:
    """Score each run of category discovery in the cell, and for comparison its clusterings without
    labels, which knew nothing. A row of evaluate_discovery.csv a run, setting, split and seed.

    The labels are those of stage index; where they say nothing of the unlabelled images of a split,
    nothing of it can be scored: train then has empty scores, another split no row. discovered.h5
    has the images that the report shows, of the first run of `runs.export_discovered` that there
    is. The metrics are headlines.
    """
    truth, folder = _read_truth(cell.known, cell.labels), cell.file("discovered")
    paths = require_runs(folder)
    rows = [row for path in paths for row in _score(path, truth, True)]
    without = run_files(cell.file("clusters"))
    rows += [row for path in without for row in _score(path, truth, False)]
    if not any(row["images"] for row in rows):
        print("evaluate_discovery: the unlabelled images have no labels: there is nothing to score")
    write_scores(cell.table, COLUMNS, rows)
    save_discovered(cell, words("runs.export_discovered"), examples)
    return _headlines(rows)


def _read_truth(known: Path, labels: Path) -> Truth:
    with store.read(labels, "labels") as file:
        label, dataset, classes = file["label"], file.attrs["dataset"], file.attrs["classes"]
    with store.read(known, "known") as file:
        labelled, of_class = file["label"] >= 0, file["class"]
        if file.attrs["dataset"] != dataset or len(labelled) != len(label):
            raise StageError(f"{known} is of other images than {labels}: run `dvc repro`")
    n_classes = max(len(classes), int(label.max(initial=-1)) + 1)
    old = np.isin(np.arange(n_classes), of_class)
    return Truth(dataset, np.where(labelled, -1, label), old, labelled)


def _score(path: Path, truth: Truth, knew: bool) -> Iterator[dict[str, Any]]:
    with store.read(path, "clusters") as file:
        attrs, row = file.attrs, file["row"]
        if attrs["dataset"] != truth.dataset or row.max(initial=-1) >= len(truth.label):
            raise StageError(f"{path} is of other images than the labels: run `dvc repro`")
        if attrs["fitted_on"] != truth.dataset:
            return  # clusters of another dataset saw none of its images
        split, splits = file["split"], sorted(attrs["splits"], key=lambda name: name != "train")
        known, width = truth.label[row] >= 0, len(file["mean"])
        labelled = int(truth.labelled[row].sum()) * knew
        for setting, (k, dims) in enumerate(zip(file["k"], file["dims"], strict=True)):
            assignment, name = file[f"{setting}/assignment"], f"{setting}/rejected"
            out = file[name] if name in file else np.zeros(assignment.shape, np.uint8)
            for name in splits:
                here = np.flatnonzero((split == attrs["splits"].index(name)) & known)
                if name != "train" and not len(here):
                    continue
                for own, no, seed in zip(assignment, out, attrs["seeds"], strict=True):
                    kept, lost = here[no[here] == 0], truth.label[row[here[no[here] > 0]]]
                    label = truth.label[row[kept]]
                    counts = contingency_table(own[kept], label, int(k), len(truth.old))
                    rejected = np.bincount(lost, minlength=len(truth.old))
                    yield {
                        "dataset": attrs["dataset"],
                        "backbone": attrs["backbone"],
                        "run": path.stem,
                        "fitted_on": attrs["fitted_on"],
                        "setting": setting,
                        "k": int(k),
                        "dims": int(dims),
                        "dim": int(dims) or width,
                        "split": name,
                        "seed": seed,
                        "images": len(here),
                        "labelled": labelled,
                        "rejected": len(lost),
                        **discovery_scores(counts, truth.old, rejected),
                    }


def _headlines(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each run its first setting on train: mean and standard deviation over seeds. Where that
    has no labels, `splits` has the scores of each split that has some."""
    out: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["run"] for row in rows):
        of_run = [row for row in rows if row["run"] == name and row["setting"] == 0]
        seeds = [row for row in of_run if row["split"] == "train"]
        out[name] = {"k": seeds[0]["k"], **headline(seeds, HEADLINE)}
        others = dict.fromkeys(row["split"] for row in of_run if row["split"] != "train")
        if others and not seeds[0]["images"]:
            out[name]["splits"] = {
                split: headline([row for row in of_run if row["split"] == split], HEADLINE)
                for split in others
            }
    return out


if __name__ == "__main__":
    run(main, "table", "found_examples")
