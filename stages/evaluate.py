"""Score every clustering of one dataset by one backbone; the first stage that reads labels.

One row of the table a run, setting, split and seed, raw; mean and standard deviation over seeds are
taken by whoever reads it (cluster.spread). What each score is: cluster.scores.
"""

import csv
import json
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

import store
from cluster.matching import Meaning, count, learn
from cluster.rows import Basis
from cluster.scores import LABEL_SCORES, label_scores, silhouettes, size_scores, stability
from cluster.spread import mean_sd
from stages import Section, StageError, read_basis, run

WHAT = ("dataset", "backbone", "run", "fitted_on", "setting", "k", "dims", "dim", "split", "seed")
IMAGES = ("images", "labelled")
LABEL_FREE = ("silhouette", "stability", "live", "entropy", "balance", "largest", "smallest")
COLUMNS = WHAT + IMAGES + LABEL_SCORES + LABEL_FREE
HEADLINE = ("acc", "nmi", "ari", "silhouette", "stability")


class Params(Section):
    silhouette_images: Annotated[int, Field(ge=0)]  # a split; all pairs are compared; 0: none
    seed: int  # of the draw of these images


class Labels(NamedTuple):
    """label: int32 [image], -1 where none is known; its rows are those of the index."""

    path: Path
    dataset: str
    label: np.ndarray
    n_classes: int


def main(
    clusters: Path, features: Path, labels: Path, metrics: Path, scores: Path, params: Params
) -> None:
    """Score each file of the folder CLUSTERS; a table to SCORES (csv), headlines to METRICS (json).

    Label scores leave out images without a label; a dataset without labels gets the label-free
    scores. FEATURES are what was clustered, for the silhouette.
    """
    paths = sorted(clusters.glob("*.h5"))
    if not paths:
        raise StageError(f"{clusters}: no clusterings (*.h5); a stage such as kmeans has not run")
    found, known = store.Features(features), _read_labels(labels)
    rows = [row for path in paths for row in _score_run(path, found, known, params)]
    scores.parent.mkdir(parents=True, exist_ok=True)
    with scores.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([_text(row[column]) for column in COLUMNS] for row in rows)
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps(_headlines(rows), indent=1, allow_nan=False) + "\n")


def _read_labels(path: Path) -> Labels:
    with store.read(path, "labels") as file:
        label, attrs = file["label"], file.attrs
    highest = int(label.max(initial=-1))
    return Labels(path, attrs["dataset"], label, max(len(attrs["classes"]), highest + 1))


def _score_run(
    path: Path, found: store.Features, known: Labels, params: Params
) -> list[dict[str, Any]]:
    with store.read(path, "clusters") as file:
        attrs, basis = file.attrs, read_basis(file)
        row, split, all_k, all_dims = (file[name] for name in ("row", "split", "k", "dims"))
        _require_fit(path, attrs, row, found, known)
        at, label = found.places(row), known.label[row]
        rows = []
        for setting, (k, dims) in enumerate(zip(all_k.tolist(), all_dims.tolist(), strict=True)):
            assignment = file[f"{setting}/assignment"]
            train: list[Meaning] = []
            for name in sorted(attrs["splits"], key=lambda name: name != "train"):
                here = np.flatnonzero(split == attrs["splits"].index(name))
                if not len(here):
                    continue
                labelled = here[label[here] >= 0]
                drawn = _draw(here, params)
                vectors = _space(found.take(at[drawn]), basis, dims, attrs["metric"])
                widths = silhouettes(vectors, assignment[:, drawn])
                agreement = stability(assignment[:, here])
                for s, seed in enumerate(attrs["seeds"]):
                    own = assignment[s]
                    counts = count(own[labelled], label[labelled], k, known.n_classes)
                    if name == "train" and len(labelled):
                        train.append(learn(counts))
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
                            "silhouette": float(widths[s]),
                            "stability": float(agreement[s]),
                        }
                    )
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


def _draw(here: np.ndarray, params: Params) -> np.ndarray:
    """The images that the silhouette looks at: the same for every clustering of these images."""
    if len(here) <= params.silhouette_images:
        return here
    generator = np.random.default_rng(params.seed)
    return np.sort(generator.choice(here, params.silhouette_images, replace=False))


def _space(vectors: np.ndarray, basis: Basis, dims: int, metric: str) -> np.ndarray:
    """The vectors as the clustering saw them: float32 [image, dim]."""
    x = basis.project(vectors, dims)
    if metric == "cosine":
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return x


def _headlines(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each run its first setting, on `train` (an assigned run without one: its first split)."""
    out: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(row["run"] for row in rows):
        of_run = [row for row in rows if row["run"] == name and row["setting"] == 0]
        train = [row for row in of_run if row["split"] == "train"]
        seeds = train or [row for row in of_run if row["split"] == of_run[0]["split"]]
        out[name] = {"k": seeds[0]["k"]}
        for score in HEADLINE:
            mean, sd = mean_sd([row[score] for row in seeds])
            out[name] |= {key: round(value, 4) for key, value in
                          ((score, mean), (f"{score}_sd", sd)) if np.isfinite(value)}  # fmt: skip
        out[name].pop("stability_sd", None)  # each value is a mean over the other seeds already
    return out


def _text(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return value


if __name__ == "__main__":
    run(main)
