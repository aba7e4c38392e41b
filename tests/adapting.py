"""A small collection with untrained networks, and runs of the stage `adapt` on it, made here."""

import csv
import importlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import OBJECTIVES, PARAMS
from learning import RUNTIME
from safetensors.torch import load_file

import backbones
import backbones.cpu_torchvision  # before timm
import store
from pipeline.adapting.settings import LEARNS_FROM
from pipeline.io.cell import Cell
from pipeline.io.origin import folder_of, write_zoo_row
from pipeline.params import Runtime, section
from stages import adapt, embed, index, known, learned, neighbors

BASE, RESNET = "tiny_vit", "resnet18_small_narrow"  # the first is of write_collection's own zoo
VIT: dict[str, Any] = {  # the facts of BASE
    "loader": "timm", "model": "vit_tiny_patch16_224", "weights": "none", "sha256": None, "dim": 32,
    "input": {
        "size": 28, "resize": 28, "fit": "crop", "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
    },
    "output": "cls", "revision": 1, "method": "none", "data": "none", "paper": "none",
    "licence": "none", "source": "this repository", "confirmed": True,
    "options": {"img_size": 28, "patch_size": 7, "embed_dim": 32, "depth": 3, "num_heads": 2},
}  # fmt: skip
SMALL = {  # of each setting that an objective has
    "epochs": 2, "batch": 16, "lr": 0.01, "views": 3, "hidden": 32, "bottleneck": 16, "width": 64,
    "neighbors": 5, "train_blocks": 1, "frozen_features": "cached", "threshold": 0.05,
}  # fmt: skip
FROZEN = Path("data/frozen")


def quiet() -> Iterator[None]:
    """To be made a fixture: one thread, and no word on networks that are not trained."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    torch.set_num_threads(threads)


def write_collection(folder: Path) -> Path:
    """90 digits, 72 of them train: index, labels, known classes, features and neighbours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own_zoo(patch, **{BASE: VIT})
        params = {name: PARAMS[name] for name in ("embed", "neighbors", "runtime")}
        params["runs"] = {method: [] for method in PARAMS["runs"]}
        params["runtime"] = {**params["runtime"], "device": "cpu", "workers": 1}
        params["datasets"] = {"digits": {"from": "digits", "part": 0.05}}
        params["known"] = {"digits": {"old": 5, "labelled": 0.5, "seed": 0}}
        _write({**params, "adapted": {}})  # short: it is read again and again
        index.main("digits", RUNTIME)
        known.main("digits")
        embed_digits(BASE)
        table = section(neighbors.Params, "neighbors").model_copy(update={"k": 10})
        neighbors.main(digits(BASE), table, RUNTIME)
    return folder


def go_to_copy(made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of a collection, with BASE in the zoo."""
    own_zoo(monkeypatch, **{BASE: VIT})
    shutil.copytree(made, folder, dirs_exist_ok=True)
    monkeypatch.chdir(folder)
    return folder


def digits(backbone: str, run: str = "") -> Cell:
    """The collection by a backbone."""
    return Cell("digits", backbone, run)


def features(backbone: str) -> Path:
    return digits(backbone).features


def embed_digits(backbone: str) -> Path:
    """Embed the collection here, with a row of the zoo or a run."""
    if not (folder_of(backbone) / "row.yaml").exists():
        write_zoo_row(backbones.row(backbone))
    embed.main(digits(backbone), section(embed.Params, "embed"), RUNTIME)
    return features(backbone)


def write_run(objective: str, /, name: str = "", **changes: Any) -> str:
    """Put a run into params.yaml, by that name or the objective's; its name."""
    params, name = yaml.safe_load(Path("params.yaml").read_text()), name or objective
    run = {"objective": objective, "dataset": "digits", "backbone": BASE}
    run |= {"learns_from": LEARNS_FROM[objective][-1]}
    run |= {key: value for key, value in SMALL.items() if key in OBJECTIVES[objective]} | changes
    params["adapted"][name] = run
    _write(params)
    return name


def train(objective: str, /, name: str = "", runtime: Runtime = RUNTIME, **changes: Any) -> Path:
    """Run `adapt` here; where the backbone lies."""
    name = write_run(objective, name, **changes)
    adapt.main(name, runtime)
    return folder_of(name)


def sort(run: str) -> tuple[Path, Path]:
    """Run `learned` here with the features of a run: its two folders."""
    learned.main(digits(run), RUNTIME)
    return digits(run).file("clusters/learned"), digits(run).file("discovered/learned")


def epochs(run: str) -> Path:
    return Path("metrics/backbones", f"{run}.csv")


def told(run: str) -> list[dict[str, float]]:
    """Its table of epochs."""
    with epochs(run).open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def written(folder: Path) -> dict[str, bytes]:
    """All that a run wrote."""
    paths = [*sorted(folder.iterdir()), epochs(folder.name)]
    return {path.name: path.read_bytes() for path in paths}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def count_stored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that will hold how many vectors each batch brought into a store."""
    put, stored = store.FeatureWriter.put, list[int]()

    def counted(self: store.FeatureWriter, rows: Any, *rest: Any) -> None:
        put(self, rows, *rest)
        stored.append(len(rows))

    monkeypatch.setattr(store.FeatureWriter, "put", counted)
    return stored


def own_zoo(monkeypatch: pytest.MonkeyPatch, **rows: dict[str, Any]) -> None:
    """More rows for the zoo."""
    row = importlib.import_module("backbones.row")
    table = {**row._table(), **rows}
    monkeypatch.setattr(row, "_table", lambda: table)
    row._row_of_zoo.cache_clear()


def _write(params: dict[str, Any]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params))
