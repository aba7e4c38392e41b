"""What the stages that learn heads read, made directly: projections, neighbours, views."""

import importlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustered import SPLITS, digits, split_of, write_dataset
from conftest import runtime

import store
from pipeline.fitting import checkpoint

RUNTIME = runtime()
STEPS: dict[str, Any] = {
    "steps": 12, "batch": 32, "lr": 1e-2, "min_lr": 0.0, "warmup": 2, "weight_decay": 1e-4,
}  # fmt: skip
FEATURES, VIEWS = "data/features/digits/pixels", "data/views/digits/pixels"
INDEX, PCA = "data/images/digits.h5", "data/pca/digits/pixels.h5"
TABLE = "data/neighbors/digits/pixels.h5"
ESTIMATE = "data/k/digits/pixels.json"  # read for `k: auto` only


def run_stage(folder: Path, name: str, reads: Iterable[str], params: dict[str, Any]) -> Path:
    """Run a stage that trains, here; where its clusters lie."""
    module = importlib.import_module(f"stages.{name}")
    paths = [folder / path for path in (*reads, f"{name}.h5", f"{name}.csv")]
    module.main(*paths, module.Params(**params), RUNTIME)
    return folder / f"{name}.h5"


def written(folder: Path, name: str) -> tuple[bytes, bytes]:
    """All that such a stage wrote."""
    return (folder / f"{name}.h5").read_bytes(), (folder / f"{name}.csv").read_bytes()


def run_with_stops(
    run: Callable[[], object], every: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, list[int]]:
    """Run something that is stopped after one of `every` checkpoints, again and again until it is
    done: how often it was stopped, and the steps of the checkpoints."""
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", -1.0)  # after every step
    save, saved, stops = checkpoint.Checkpoint.save, list[int](), 0

    def save_and_stop(self: checkpoint.Checkpoint, state: dict[str, np.ndarray]) -> None:
        save(self, state)
        saved.append(int(state["at"]))
        if len(saved) % every == every - 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoint, "save", save_and_stop)
    while True:
        try:
            run()
            return stops, saved
        except KeyboardInterrupt:
            stops += 1


def write_all(folder: Path) -> Path:
    """The dataset `digits` with all that the stages take."""
    write_dataset(folder, "digits")
    write_pca(folder)
    write_neighbors(folder)
    write_views(folder, 0)
    return folder


def write_pca(folder: Path, normalize: bool = False) -> None:
    found = store.Features(folder / FEATURES)
    x = found.block(0, len(found))[found.split == 0].astype(np.float64)
    mean = x.mean(0)
    _, size, components = np.linalg.svd(x - mean, full_matrices=False)
    arrays = {"mean": mean, "components": components, "variance": size**2 / len(x)}
    attrs = {"dataset": "digits", "backbone": "pixels", "images": len(x)}
    store.save(
        folder / PCA, "pca", arrays, {**attrs, "normalize": normalize, "whiten": False}
    )  # fmt: skip


def write_neighbors(
    folder: Path, k: int = 12, rows: int | None = None, own: bool = False, **attrs: Any
) -> None:
    """By all pairs; `rows`: only for the first so many images; `own`: an image is its nearest."""
    found = store.Features(folder / FEATURES)
    x = np.nan_to_num(found.block(0, len(found)).astype(np.float64))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    similarity = x @ x.T
    np.fill_diagonal(similarity, np.inf if own else -np.inf)
    train = np.flatnonzero(found.split == 0)
    near = np.argsort(-similarity[:, train], axis=1, kind="stable")[:, :k]
    arrays = {
        "row": found.row,
        "split": found.split,
        "neighbor": found.row[train][near].astype(np.int32),
        "similarity": np.take_along_axis(similarity[:, train], near, axis=1).astype(np.float32),
    }
    said = {"dataset": "digits", "backbone": "pixels", "metric": "cosine", "splits": SPLITS}
    said |= {"dim": found.dim, "recall": 1.0, **attrs}
    arrays = {name: array[:rows] for name, array in arrays.items()}
    store.save(folder / TABLE, "neighbors", arrays, said)


def write_views(folder: Path, number: int) -> None:
    """Views that are the images with noise."""
    (folder / VIEWS).mkdir(parents=True, exist_ok=True)
    facts = {"augment": "strong", "number": number}
    (folder / VIEWS / "views.json").write_text(json.dumps(facts))
    _, ids, x, _ = digits()
    for view in range(number):
        seen = x + np.random.default_rng(view).normal(size=x.shape).astype(np.float32) * 0.05
        plan = store.Plan(
            "digits", "pixels", f"{view:032}", x.shape[1], SPLITS, ids, np.arange(len(x)),
            split_of(len(x)),
        )  # fmt: skip
        writer = store.FeatureWriter(folder / VIEWS / f"strong-{view}", plan)
        writer.put(writer.todo, seen[writer.todo])
        writer.finish()
