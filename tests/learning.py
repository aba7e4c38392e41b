"""What the stages that learn heads read, made directly: projections, neighbours, views."""

import contextlib
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustered import SPLITS, digits, split_of, write_dataset
from conftest import runtime

import store
from pipeline.fitting import checkpoint
from pipeline.io.cell import Cell
from pipeline.params import Runtime

RUNTIME = runtime()
DISCOVERY = ("sskmeans", "simgcd", "pim")  # stages that read which classes are known
STEPS: dict[str, Any] = {
    "steps": 12, "batch": 32, "lr": 1e-2, "min_lr": 0.0, "warmup": 2, "weight_decay": 1e-4,
}  # fmt: skip
# Of the stages that learn heads without a label
HEADS: dict[str, dict[str, Any]] = {
    "temi": {
        "k": (10,), "dims": (8, 0), "neighbors": 6, "standardize": True, "heads": 3,
        "choose": "loss", "hidden": 16, "bottleneck": 8, "loss": "temi", "beta": 0.6,
        "temperature": 0.1, "momentum": 0.9,
        "prior_momentum": 0.9, "frozen": 1, "seeds": (0, 4), **STEPS,
    },
    "scan": {
        "k": (10,), "dims": (8, 0), "neighbors": 6, "views": False, "standardize": True,
        "heads": 3, "choose": "loss", "entropy_weight": 5.0, "held_out": 0.2, "seeds": (0, 4),
        **STEPS,
    },
    "selflabel": {
        "other": "neighbors", "neighbors": 6, "standardize": True, "threshold": 0.3,
        "balance": True, **STEPS,
    },
    "cut": {
        "k": (10,), "dims": (8, 0), "neighbors": 6, "standardize": True, "cut": "h_ncut",
        "heads": 3, "m": 64, "bins": 4, "momentum": 0.9, "temperature_first": 10.0,
        "temperature_last": 1.0, "seeds": (0, 4), **STEPS, "batch": 180,
    },
    "turtle": {
        "k": (10,), "dims": (8, 0), "standardize": True, "heads": 3, "entropy_weight": 10.0,
        "inner_steps": 2, "inner_lr": 1e-2, "warm_start": True, "folds": 3, "scored": 100,
        "penalty": 1e-2, "max_iter": 20, "seeds": (0, 4), **STEPS,
    },
}  # fmt: skip
CELL = Cell("digits", "pixels")
INDEX, KNOWN = CELL.images, CELL.known
FEATURES, VIEWS, PCA, TABLE = CELL.features, CELL.views, CELL.pca, CELL.neighbors
ESTIMATE = CELL.k  # read for `k: auto` only


def call(
    folder: Path, name: str, params: dict[str, Any], cell: Cell = CELL, runtime: Runtime = RUNTIME
) -> Any:
    """Call `main` of a stage of a cell in a folder, in this process; the facts that it returns.

    Without a run of its own the cell's is the name of the stage, as on the command line.
    """
    module = importlib.import_module(f"stages.{name}")
    cell = cell if cell.run else cell._replace(run=name)
    with contextlib.chdir(folder):
        if not Path("params.yaml").exists():
            Path("params.yaml").write_text("discover: {auto: k}\n")
        return module.main(cell, module.Params(**params), runtime)


def outs(folder: Path, name: str) -> tuple[Path, Path]:
    """What a stage that trains writes: its clusters, which are there or will be, and its table."""
    cell = CELL._replace(run=name)
    found = cell.discovered if name in DISCOVERY else cell.clusters
    return folder / found, folder / cell.table


def run_stage(folder: Path, name: str, params: dict[str, Any]) -> Path:
    """Run a stage that trains, here; where its clusters lie."""
    call(folder, name, params)
    return outs(folder, name)[0]


def written(folder: Path, name: str) -> tuple[bytes, bytes]:
    """All that such a stage wrote."""
    clusters, table = outs(folder, name)
    return clusters.read_bytes(), table.read_bytes()


def run_with_stops(
    run: Callable[[], object], every: int, monkeypatch: pytest.MonkeyPatch, at: str = "at"
) -> tuple[int, list[int]]:
    """Run something that is stopped after one of `every` checkpoints, again and again until it is
    done: how often it was stopped, and the steps of the checkpoints, which say them as `at`."""
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", -1.0)  # after every step
    save, saved, stops = checkpoint.Checkpoint.save, list[int](), 0

    def save_and_stop(self: checkpoint.Checkpoint, state: dict[str, np.ndarray]) -> None:
        save(self, state)
        saved.append(int(state[at]))
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
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
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
