"""Classify the images with the help of labels: the ceiling that clusterings are read against.

Nothing here is a clustering, and no clustering sees what is found here.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

import store
from cluster.metrics.mean_sd import mean_sd
from cluster.probes.knn_probe import knn_probe, purity
from cluster.probes.linear_probe import LinearProbe, accuracy, held_out, linear_probe
from cluster.vectors.rows import Subset, cached
from pipeline.io.cell import Cell
from pipeline.io.neighbors import read_neighbors
from pipeline.io.space import Count, Seeds, train_rows
from pipeline.io.whole import whole_text
from pipeline.params import Runtime, Section, StageError, torch_device
from stages import run

COLUMNS = ("dataset", "backbone", "probe", "split", "seed", "acc")
HELD_OUT = "held out"  # of train, where no other split has labels
HELD_SHARE = 1 / 3

Positive = Annotated[float, Field(gt=0)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1)]


class Params(Section):
    knn: Counts  # numbers of neighbours that vote
    temperature: Positive  # of their votes
    purity: Counts  # how many of the first neighbours have the image's class
    penalties: Annotated[tuple[Positive, ...], Field(min_length=1)]  # of the linear probe, to try
    validation: Annotated[float, Field(gt=0, lt=1)]  # share of train that chooses the penalty
    max_iter: Count
    seeds: Seeds  # of the draw of that share


class Score(NamedTuple):
    """One row of the table; the k-nearest-neighbour probe has no seed."""

    probe: str
    split: str
    seed: int | None
    acc: float


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Probe the cell with labels; means to the metrics, every row to probes.csv.

    A linear probe is fitted on the labelled images of `train` and scored on every other split with
    labels; where there is none, on a third of train that it was not fitted on ("held out"). The
    weighted k-nearest-neighbour probe reads the table of neighbours, where no image is its own
    neighbour, so it is scored on train as well. Without labels in train there are no scores.
    """
    found = store.Features(cell.features)
    label = _labels(cell.labels, found)
    train = train_rows(found)
    train = train[label[train] >= 0]
    scores: list[Score] = []
    said: dict[str, dict[str, float]] = {}
    if len(train) < 2:
        print(f"probes: {found.dataset} has no labels in train, so there is nothing to probe with")
    else:
        scores = [
            *_linear(found, label, train, params, runtime),
            *_nearest(found, label, cell.neighbors, params, said),
        ]
        _add_means(said, scores)
    with whole_text(cell.table) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for probe, split, seed, acc in scores:
            row = (found.dataset, found.backbone, probe, split, seed, f"{acc:.6g}")
            writer.writerow(row)
    return said


def _labels(path: Path, found: store.Features) -> np.ndarray:
    """The class of each image of the store, -1 where none is known: int32 [image]."""
    with store.read(path, "labels") as file:
        label, dataset = file["label"], file.attrs["dataset"]
    if dataset != found.dataset:
        raise StageError(f"{path} is of dataset {dataset}, {found.path} of {found.dataset}")
    if found.row.max(initial=-1) >= len(label):
        raise StageError(
            f"{found.path} holds image {found.row.max()} of the index, {path} has labels for "
            f"{len(label)} images only: they are not of one index, run `dvc repro`"
        )
    return label[found.row]


def _linear(
    found: store.Features, label: np.ndarray, train: np.ndarray, params: Params, runtime: Runtime
) -> Iterator[Score]:
    device = torch_device(runtime.device)
    rows, own = cached(Subset(found, train), runtime.memory_gb), label[train]

    def fit(part: np.ndarray, seed: int) -> LinearProbe:
        return linear_probe(
            Subset(rows, part), own[part], penalties=params.penalties,
            validation=params.validation, seed=seed, max_iter=params.max_iter, stored=found.dtype,
            device=device,
        )  # fmt: skip

    others = {name: here for name, here in _labelled(found, label).items() if name != "train"}
    for seed in params.seeds:
        if not others:
            held = held_out(own, HELD_SHARE, seed)
            probe, rest = fit(np.flatnonzero(~held), seed), np.flatnonzero(held)
            acc = accuracy(Subset(rows, rest), own[rest], probe, device)
            yield Score("linear", HELD_OUT, seed, acc)
            continue
        probe = fit(np.arange(len(train)), seed)
        for name, here in others.items():
            yield Score(
                "linear", name, seed, accuracy(Subset(found, here), label[here], probe, device)
            )


def _nearest(
    found: store.Features,
    label: np.ndarray,
    neighbors: Path,
    params: Params,
    said: dict[str, dict[str, float]],
) -> Iterator[Score]:
    """The scores by neighbours; the purities go to `said`, by split."""
    near = read_neighbors(neighbors, found, max(*params.knn, *params.purity))
    there = near.neighbor.shape[1]  # fewer than that in a small collection
    knn, firsts = ([n for n in of if n <= there] for of in (params.knn, params.purity))
    for name, here in _labelled(found, label).items():
        own = label[here]
        classes = knn_probe(*near, label, k=knn, temperature=params.temperature, images=here)
        for k, of_k in zip(knn, classes, strict=True):
            yield Score(f"knn_{k}", name, None, float((of_k == own).mean()))
        shares = purity(near.neighbor, own, label, firsts, here)
        said[name] = {
            f"label_purity_{first}": round(float(share), 4)
            for first, share in zip(firsts, shares, strict=True)
            if np.isfinite(share)
        }


def _labelled(found: store.Features, label: np.ndarray) -> dict[str, np.ndarray]:
    """The labelled images of each split that has any, int64 [image]."""
    each = {
        name: np.flatnonzero((found.split == number) & (label >= 0))
        for number, name in enumerate(found.splits)
    }
    return {name: here for name, here in each.items() if len(here)}


def _add_means(said: dict[str, dict[str, float]], scores: list[Score]) -> None:
    """Of each split and probe the mean over seeds, and the deviation where there are several."""
    for split, probe in dict.fromkeys((score.split, score.probe) for score in scores):
        mean, sd = mean_sd([s.acc for s in scores if (s.split, s.probe) == (split, probe)])
        name = f"{probe}_probe_acc"
        of_split = said.setdefault(split, {})
        of_split[name] = round(mean, 4)
        if np.isfinite(sd):
            of_split[f"{name}_sd"] = round(sd, 4)


if __name__ == "__main__":
    run(main, "table")
