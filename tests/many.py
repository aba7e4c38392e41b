"""Metrics of many runs in many cells, made directly: how the report does at that size.

    PYTHONPATH=.:tests python tests/many.py FOLDER

writes the report of 4 datasets by 5 backbones with 50 runs each below FOLDER.
"""

import contextlib
import csv
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from reported import ask, draw

import images
import stages.evaluate
import store
from pages.report.charts.curves import TITLES
from pages.report.chosen.clusters import ARRAYS, FACTS, Chosen
from pipeline.io.cell import Cell
from pipeline.io.scores import write_scores

SEEDS, EPOCHS, CLASSES, PICTURES = (0, 1, 2), 30, 50, 40
SETTINGS = [(k, dims) for k in (50, 75, 150) for dims in (0, 32)]  # of the runs that have several
SHOWN = 16  # pictures of a cluster


def write_many(datasets: int, backbones: int, runs: int, clusters: int = 20) -> None:
    """Metrics and pictures below the current folder, and params.yaml. Of the runs each second one
    has epochs and one setting, the others have six."""
    rng = np.random.default_rng(0)
    names = {"datasets": _names("collection", datasets), "backbones": _names("backbone", backbones)}
    every = {name: {"from": "folder", "root": f"pictures/{name}"} for name in names["datasets"]}
    Path("params.yaml").write_text(yaml.safe_dump({"datasets": every}))
    for dataset in names["datasets"]:
        digests = _draw_pictures(Path("pictures", dataset), rng)
        for backbone in names["backbones"]:
            _write_cell(Cell(dataset, backbone), runs, rng)
            _write_examples(Cell(dataset, backbone), clusters, digests, rng)
    ask(similar="")


def _names(what: str, n: int) -> list[str]:
    return [f"{what}_{number}" for number in range(n)]


def _draw_pictures(folder: Path, rng: np.random.Generator) -> dict[str, bytes]:
    """Smooth pictures, which compress as photographs do: the digest of each by its name."""
    folder.mkdir(parents=True)
    out = {}
    for number in range(PICTURES):
        path = folder / f"picture_{number}.png"
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
        coarse.resize((96, 96), Image.Resampling.BICUBIC).save(path)
        out[path.name] = images.digest(path.read_bytes())
    return out


def _write_cell(cell: Cell, runs: int, rng: np.random.Generator) -> None:
    rows: list[dict] = []
    epochs: list[dict] = []
    cell.metric("").mkdir(parents=True)
    for number in range(runs):
        name, trained = f"run_{number:02}", number % 2 == 1
        for setting, (k, dims) in enumerate(SETTINGS[:1] if trained else SETTINGS):
            rows += _scores(cell, name, setting, k, dims, rng)
        if trained:
            epochs += _train(cell._replace(run=name), rng)
        cost = {"seconds": 12.5, "peak_memory_mb": 800}
        said = {"space": "unit length, no projection", "cost": cost}
        cell.metric(f"{name}.json").write_text(json.dumps(said))
    write_scores(cell.metric("evaluate.csv"), stages.evaluate.COLUMNS, rows)
    write_scores(cell.metric("epochs.csv"), stages.evaluate.EPOCHS, epochs)
    picks = {**dict.fromkeys(TITLES, 48), "stability": None}
    votes = {"k": 48, "low": 40, "high": 60, "agree": ["silhouette"], "picks": picks}
    votes |= {"images": 10_000, "tried": [2, 100]}
    cell.metric("estimate_k.json").write_text(json.dumps(votes))
    tried = [2, 4, 8, 16, 24, 32, 48, 64, 80, 100]
    _table(
        cell.metric("estimate_k.csv"),
        ["k", "seed", *(f"{name}_score" for name in TITLES)],
        [[k, seed, *rng.random(len(TITLES)).round(4)] for k in tried for seed in SEEDS],
    )
    _table(
        cell.metric("probes.csv"),
        ["probe", "split", "seed", "acc"],
        [["linear", "test", seed, round(rng.random(), 4)] for seed in SEEDS],
    )


def _scores(
    cell: Cell, run: str, setting: int, k: int, dims: int, rng: np.random.Generator
) -> Iterator[dict]:
    for split in ("train", "test"):
        for seed in SEEDS:
            known = dict.fromkeys(stages.evaluate.COLUMNS, 0.0)
            known |= {name: float(rng.random()) for name in stages.evaluate.COLUMNS}
            yield known | {
                "dataset": cell.dataset, "backbone": cell.backbone, "run": run,
                "fitted_on": cell.dataset, "setting": setting, "k": k, "dims": dims,
                "dim": dims or 768, "split": split, "seed": seed, "images": 10_000,
                "labelled": 10_000, "live": k,
            }  # fmt: skip


def _train(cell: Cell, rng: np.random.Generator) -> Iterator[dict]:
    """The table of epochs that a head leaves; what stage evaluate says of each epoch."""
    falls = np.linspace(5, 1, EPOCHS)
    told = [
        [SETTINGS[0][0], 0, seed, loss + rng.random() / 5, 3.5 + rng.random() / 3, 50]
        for seed in SEEDS
        for loss in falls
    ]
    _table(cell.table, ["k", "dims", "seed", "loss", "entropy", "live"], told)
    for seed in SEEDS:
        for epoch in range(1, EPOCHS + 1):
            yield {
                "dataset": cell.dataset, "backbone": cell.backbone, "run": cell.run, "setting": 0,
                "k": SETTINGS[0][0], "dims": 0, "seed": seed, "epoch": epoch, "labelled": 10_000,
                "acc": float(rng.random()),
            }  # fmt: skip


def _write_examples(
    cell: Cell, clusters: int, digests: dict[str, bytes], rng: np.random.Generator
) -> None:
    size = rng.integers(100, 400, CLASSES)
    cluster = np.repeat(np.arange(clusters, dtype=np.int32), SHOWN)
    name = rng.choice(list(digests), len(cluster)).astype(object)
    digest = np.array([np.frombuffer(digests[one], np.uint8) for one in name])
    typical = np.tile(np.arange(SHOWN) < SHOWN // 2, clusters).astype(np.uint8)
    digest = digest.reshape(-1, 16)
    found = Chosen(
        "run_00", 0, CLASSES, 0, 0, len(SEEDS), 1, 150, SHOWN // 2, [], size, name, digest, cluster,
        typical,
    )  # fmt: skip
    arrays = {what: getattr(found, what) for what in ARRAYS}
    facts = {fact: getattr(found, fact) for fact in FACTS}
    of = {"dataset": cell.dataset, "backbone": cell.backbone}
    store.save(cell.examples, "examples", arrays, {**of, **facts})


def _table(path: Path, header: list[str], rows: list[list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def main() -> None:
    """Write the metrics, then the report, and say how long that took and how large it is."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    with contextlib.chdir(folder):
        write_many(datasets=4, backbones=5, runs=50)
        start = time.perf_counter()
        draw(thumbnail=64)
        seconds = time.perf_counter() - start
        size = Path("report/index.html").stat().st_size
    print(f"{seconds:.1f} s, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
