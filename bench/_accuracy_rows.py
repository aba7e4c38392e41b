"""The rows of `bench accuracy`: read from what stage evaluate wrote, kept, and as a table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import _results
from pages.report.tables.settings import read_settings
from pipeline.io.cell import Cell

PACKAGES = ("numpy", "torch", "scikit-learn", "timm")
SCORES = ("acc", "nmi", "ari")
Row = dict[str, Any]


def read(project: Path, cell: Cell) -> list[Row]:
    """What stage evaluate has scored on train: a row a run and, where a run clusters in several
    dims, a row each, with the seconds of all in the first."""
    found = [
        s
        for s in read_settings([project / cell.metric("evaluate.csv")])
        if s.split == "train" and s.own
    ]
    first = {s.run: s for s in found if s.setting == 0}
    out = []
    for s in (s for s in found if s.run in first and s.k == first[s.run].k):
        each = {name: round(100 * s.mean[name], 1) for name in SCORES}
        spread = {f"{name}_sd": round(100 * s.sd[name], 1) for name in SCORES}
        more = f", {s.dims or 'all'} dims" if s.setting else ""
        seconds = "" if s.setting else _seconds(project / cell.metric(f"{s.run}.json"))
        out.append(
            {
                "dataset": s.dataset, "images": s.images, "backbone": s.backbone,
                "run": f"{s.run}{more}", "k": s.k, "seeds": len(s.seeds), **each, **spread,
                "seconds": seconds,
            }
        )  # fmt: skip
    return out


def _seconds(path: Path) -> float | str:
    if not path.exists():
        return ""
    (cost,) = json.loads(path.read_text())["cost"]
    return round(float(cost["seconds"]), 1)


def before() -> list[Row]:
    """The rows of the file, if it is of this machine and these versions."""
    try:
        found = json.loads((_results.FOLDER / "accuracy.json").read_text())
    except (OSError, ValueError):
        return []
    here = {"machine": _results.machine(), "versions": _results.versions(PACKAGES)}
    return found["rows"] if all(found.get(key) == value for key, value in here.items()) else []


def kept() -> str:
    """The table of the file in results/, for the documentation."""
    file = _results.FOLDER / "accuracy.json"
    return markdown(json.loads(file.read_text())["rows"]) if file.exists() else "(not run yet)"


def markdown(rows: Sequence[Row]) -> str:
    """A row a run, a column a cell: ACC ± sd, NMI, seconds where they were kept."""
    columns = list(dict.fromkeys((row["dataset"], row["images"], row["backbone"]) for row in rows))
    heads = [f"{dataset}, {images:,}, `{backbone}`" for dataset, images, backbone in columns]
    lines = [f"| run | {' | '.join(heads)} |", f"|---|{'--:|' * len(columns)}"]
    for run in dict.fromkeys(row["run"] for row in rows):
        found = {(r["dataset"], r["images"], r["backbone"]): r for r in rows if r["run"] == run}
        told = [_told(found[column]) if column in found else "" for column in columns]
        lines.append(f"| `{run}` | {' | '.join(told)} |")
    return "\n".join(lines)


def _told(row: Row) -> str:
    seconds = "" if row["seconds"] == "" else f", {row['seconds']:.0f} s"
    return f"{row['acc']:.1f} ± {row['acc_sd']:.1f}, {row['nmi']:.1f}{seconds}"
