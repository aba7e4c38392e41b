"""Score every clustering of one dataset by one backbone; the first stage that reads labels.

One row of the table a run, setting, split and seed, raw; mean and standard deviation over seeds are
taken by whoever reads it (cluster.metrics.mean_sd). What each score is: cluster.metrics.clustering.
Silhouettes are taken in the whole features, whatever dims a run clustered: so those of one
backbone's runs can be compared. They are at length 1, unless `pca.normalize: false` left vectors as
they are.
"""

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

import store
from cluster.metrics.clustering import (
    LABEL_SCORES,
    accuracies,
    label_scores,
    size_scores,
    stability,
)
from cluster.metrics.matching import ClusterMeaning, contingency_table, learn_meaning
from pipeline.io.cell import Cell
from pipeline.io.clusters import require_runs
from pipeline.io.scores import headline, write_scores
from pipeline.params import Section, StageError
from pipeline.ranking.silhouette import is_as_stored, sampled_silhouettes
from stages import run

WHAT = ("dataset", "backbone", "run", "fitted_on", "setting", "k", "dims", "dim", "split", "seed")
IMAGES = ("images", "labelled")
LABEL_FREE = ("silhouette", "stability", "live", "entropy", "balance", "largest", "smallest")
COLUMNS = WHAT + IMAGES + LABEL_SCORES + LABEL_FREE
EPOCHS = ("dataset", "backbone", "run", "setting", "k", "dims", "seed", "epoch", "labelled", "acc")
OF_LABELS = ("acc", "nmi", "ari")
HEADLINE = (*OF_LABELS, "silhouette", "stability")


class Params(Section):
    silhouette_images: Annotated[int, Field(ge=0)]  # a split; all pairs are compared; 0: none
    seed: int  # of the draw of these images


class Labels(NamedTuple):
    """label: int32 [image], -1 where none is known; its rows are those of the index."""

    path: Path
    dataset: str
    label: np.ndarray
    n_classes: int


def main(cell: Cell, params: Params) -> dict[str, Any]:
    """Score each clustering of the cell; a row of evaluate.csv a run, setting, split and seed.

    Label scores leave out images without a label; a dataset without labels gets the label-free
    scores. The features are for the silhouette. epochs.csv has the accuracy after each epoch of
    methods that train, on the images of train that they watched; nothing but the report looks at
    it. The metrics are headlines.
    """
    folder = cell.file("clusters")
    paths = require_runs(folder)
    found, known = store.Features(cell.features), _read_labels(cell.labels)
    unit = not any(is_as_stored(path) for path in paths)
    if not unit:
        print("evaluate: silhouettes are among the vectors as they are (pca.normalize: false)")
    rows = [row for path in paths for row in _score_run(path, found, known, params, unit)]
    write_scores(cell.table, COLUMNS, rows)
    epochs = [row for path in paths for row in _score_epochs(path, known)]
    write_scores(cell.metric("epochs.csv"), EPOCHS, epochs)
    return _headlines(rows)


def _read_labels(path: Path) -> Labels:
    with store.read(path, "labels") as file:
        label, attrs = file["label"], file.attrs
    highest = int(label.max(initial=-1))
    return Labels(path, attrs["dataset"], label, max(len(attrs["classes"]), highest + 1))


def _score_run(
    path: Path, found: store.Features, known: Labels, params: Params, unit: bool
) -> list[dict[str, Any]]:
    with store.read(path, "clusters") as file:
        attrs, row, split = file.attrs, file["row"], file["split"]
        all_k, all_dims = file["k"].tolist(), file["dims"].tolist()
        _require_fit(path, attrs, row, found, known)
        at, label = found.places(row), known.label[row]
        parts = {
            name: here
            for name in sorted(attrs["splits"], key=lambda name: name != "train")
            if len(here := np.flatnonzero(split == attrs["splits"].index(name)))
        }
        widths = {
            name: sampled_silhouettes(
                file, found, at, here, params.silhouette_images, params.seed, unit
            )
            for name, here in parts.items()
        }
        rows = []
        for setting, (k, dims) in enumerate(zip(all_k, all_dims, strict=True)):
            assignment = file[f"{setting}/assignment"]
            train: list[ClusterMeaning] = []
            for name, here in parts.items():
                labelled = here[label[here] >= 0]
                agreement = stability(assignment[:, here])
                for s, seed in enumerate(attrs["seeds"]):
                    own = assignment[s]
                    counts = contingency_table(own[labelled], label[labelled], k, known.n_classes)
                    if name == "train" and len(labelled):
                        train.append(learn_meaning(counts))
                    rows.append(
                        {
                            "dataset": attrs["dataset"],
                            "backbone": attrs["backbone"],
                            "run": path.stem,
                            "fitted_on": attrs["fitted_on"],
                            "setting": setting,
                            "k": k,
                            "dims": dims,
                            "dim": dims or found.dim,
                            "split": name,
                            "seed": seed,
                            "images": len(here),
                            "labelled": len(labelled),
                            **label_scores(counts, train[s] if train else None),
                            **size_scores(np.bincount(own[here], minlength=k)),
                            "silhouette": float(widths[name][setting, s]),
                            "stability": float(agreement[s]),
                        }
                    )
    return rows


def _score_epochs(path: Path, known: Labels) -> list[dict[str, Any]]:
    """One row a setting, seed and epoch; none without labels, or of a method without epochs."""
    rows = []
    with store.read(path, "clusters") as file:
        attrs = file.attrs
        for setting, (k, dims) in enumerate(zip(file["k"], file["dims"], strict=True)):
            if f"{setting}/watched" not in file:
                continue
            label = known.label[file[f"{setting}/watched"]]
            labelled = label >= 0
            if not labelled.any():
                continue
            each = accuracies(file[f"{setting}/watched_assignment"][..., labelled], label[labelled])
            for seed, of_seed in zip(attrs["seeds"], each, strict=True):
                for epoch, acc in enumerate(of_seed, 1):
                    what = (attrs["dataset"], attrs["backbone"], path.stem, setting, k, dims)
                    values = (*what, seed, epoch, labelled.sum(), float(acc))
                    rows.append(dict(zip(EPOCHS, values, strict=True)))
    return rows


def _require_fit(
    path: Path, attrs: dict[str, Any], row: np.ndarray, found: store.Features, known: Labels
) -> None:
    """Refuse clusters of other images than those of the labels and features."""
    for what, wanted in (("dataset", known.dataset), ("backbone", found.backbone)):
        if attrs[what] != wanted:
            raise StageError(f"{path} is of {what} {attrs[what]}, expected {wanted}")
    if row.max(initial=-1) >= len(known.label):
        raise StageError(
            f"{path} holds image {row.max()} of the index, {known.path} has labels for "
            f"{len(known.label)} images only: they are not of one index, run `dvc repro`"
        )


def _headlines(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each run its first setting, on `train` (an assigned run without one: its first split).
    Where that has no labels, `splits` has the scores of each split that has some."""
    out: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["run"] for row in rows):
        of_run = [row for row in rows if row["run"] == name and row["setting"] == 0]
        splits = dict.fromkeys(row["split"] for row in of_run)  # train first
        of_split = {split: [r for r in of_run if r["split"] == split] for split in splits}
        first, *others = of_split.values()
        out[name] = {"k": first[0]["k"], **headline(first, HEADLINE)}
        out[name].pop("stability_sd", None)  # each value is a mean over the other seeds already
        if not first[0]["labelled"]:
            labelled = [seeds for seeds in others if seeds[0]["labelled"]]
            scores = {seeds[0]["split"]: headline(seeds, OF_LABELS) for seeds in labelled}
            out[name] |= {"splits": scores} if scores else {}
    return out


if __name__ == "__main__":
    run(main, "table", lambda cell: [cell.metric("epochs.csv")])
