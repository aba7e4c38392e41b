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
from conftest import ROOT
from learning import RUNTIME
from safetensors.torch import load_file

import backbones.cpu_torchvision  # noqa: F401  before timm
import store
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
TEACHER = {"adapt": "none", "adapt_with_neighbors": "neighbors", "adapt_with_known": "known"}
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
DATA = Path("data")
INDEX, LABELS, KNOWN = (DATA / kind / "digits.h5" for kind in ("images", "labels", "known"))


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
        params["runtime"] = {**params["runtime"], "device": "cpu", "workers": 1}
        params["datasets"] = {"digits": {"from": "digits", "part": 0.05}}
        params["known"] = {"digits": {"old": 5, "labelled": 0.5, "seed": 0}}
        _write({**params, **{name: {} for name in TEACHER}})  # short: it is read again and again
        index.main("digits", INDEX, LABELS)
        known.main("known.digits", INDEX, LABELS, KNOWN)
        embed_digits(BASE)
        table = section(neighbors.Params, "neighbors").model_copy(update={"k": 10})
        neighbors.main(features(BASE), _neighbors(BASE), DATA / "neighbors.json", table, RUNTIME)
    return folder


def go_to_copy(made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of a collection, with BASE in the zoo."""
    own_zoo(monkeypatch, **{BASE: VIT})
    shutil.copytree(made, folder, dirs_exist_ok=True)
    monkeypatch.chdir(folder)
    return folder


def features(backbone: str) -> Path:
    return DATA / "features/digits" / backbone


def adapted(name: str) -> Path:
    return DATA / "adapted" / name


def embed_digits(backbone: str) -> Path:
    """Embed the collection here, with a row of the zoo or a run."""
    name = backbone
    if adapted(name).exists():
        backbone = str(adapted(name))
    metrics = Path("metrics")
    embed.main(
        backbone, INDEX, features(name), DATA / "views" / name, metrics / f"{name}.csv",
        metrics / f"{name}.json", section(embed.Params, "embed"), RUNTIME,
    )  # fmt: skip
    return features(name)


def write_run(objective: str, /, name: str = "", where: str = "", **changes: Any) -> list[str]:
    """Put a run into params.yaml, by that name or the objective's; how the stage is called then."""
    params, name = yaml.safe_load(Path("params.yaml").read_text()), name or objective
    run = {**PARAMS["objectives"][objective], "dataset": "digits", "backbone": BASE}
    run |= {key: value for key, value in SMALL.items() if key in run} | changes
    where = where or _section_of(objective)
    params[where][name] = run
    _write(params)
    teacher = {"none": "none", "neighbors": _neighbors(run["backbone"]), "known": KNOWN}
    return [
        f"{where}.{name}", str(features(run["backbone"])), str(INDEX),
        str(teacher[TEACHER[where]]), str(DATA / "adapted"), str(DATA / "frozen"),
        str(adapted(name)), f"metrics/{name}.csv",
    ]  # fmt: skip


def train(
    objective: str, /, name: str = "", where: str = "", runtime: Runtime = RUNTIME, **changes: Any
) -> Path:
    """Run `adapt` here; where the backbone lies."""
    wanted, found, listed, teacher, *rest = write_run(objective, name, where, **changes)
    to = [Path(path) for path in rest]
    adapt.main(wanted, Path(found), Path(listed), teacher, *to, runtime)
    return to[2]


def sort(run: str, on: str = "") -> tuple[Path, Path]:
    """Run `learned` here with the features of a run: its two folders."""
    to = (DATA / "clusters" / run, DATA / "clusters/discovered" / run)
    learned.main(adapted(run) / "learned.h5", Path(on) if on else features(run), *to, RUNTIME)
    return to


def told(run: str) -> list[dict[str, float]]:
    """Its table of epochs."""
    with Path(f"metrics/{run}.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def written(folder: Path) -> dict[str, bytes]:
    """All that a run wrote."""
    paths = [*sorted(folder.iterdir()), Path(f"metrics/{folder.name}.csv")]
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


def _section_of(objective: str) -> str:
    if objective in ("simclr", "selflabel"):
        return "adapt"
    return "adapt_with_neighbors" if objective == "scan" else "adapt_with_known"


def _neighbors(backbone: str) -> Path:
    return DATA / "neighbors/digits" / f"{backbone}.h5"


def _write(params: dict[str, Any]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params))
