"""Seconds and peak memory of each stage, from what `stages.run` writes into its metrics."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pages.report.tables.adapted import TRAININGS
from pipeline.io.cell import Cell
from pipeline.io.whole import as_written

PREFIXES = (
    "assign",
    "export",
    "finish",
    "fuse_part",
    "member",
    "names",
    "reviewed",
    "similar_by_labels",
    "similar",
)  # stages of which a name says more
ADAPT = "adapt"


class Cost(NamedTuple):
    """Of one stage in one cell, or in all of them: seconds are a sum, memory the highest, in MB;
    gpu: None where none was used."""

    stage: str
    where: str
    seconds: float
    memory: int
    gpu: int | None

    @property
    def cells(self) -> list[str]:
        """As text: seconds, memory, that of the GPU."""
        gpu = "" if self.gpu is None else f"{self.gpu:,}"
        return [f"{self.seconds:,.1f}", f"{self.memory:,}", gpu]


class Costs(NamedTuple):
    """by_stage: summed over the cells, `where` says over how many; by_cell: each."""

    by_stage: list[Cost]
    by_cell: list[Cost]
    total: Cost
    gpu: bool  # whether any stage has used one


def read_costs(cells: Iterable[Cell], adaptations: Iterable[str]) -> Costs | None:
    """Those of the cells and of the trainings of adapted backbones; None where nothing is said."""
    each: list[Cost] = []
    for name in adaptations:
        each += _read(TRAININGS / f"{name}.json", ADAPT, name)
    for cell in cells:
        for path in sorted(cell.metric("").glob("*.json")):
            each += _read(path, _stage(path.stem), f"{cell.dataset} · {cell.backbone}")
    if not each:
        return None
    stages = dict.fromkeys(cost.stage for cost in sorted(each, key=lambda cost: cost.stage))
    by_stage = []
    for stage in stages:
        own = [cost for cost in each if cost.stage == stage]
        by_stage.append(_sum(stage, str(len({cost.where for cost in own})), own))
    by_cell = sorted(each, key=lambda cost: cost.stage)  # stable: cells in the order of the page
    total = _sum("All", "", each)
    return Costs(by_stage, by_cell, total, total.gpu is not None)


def _read(path: Path, stage: str, where: str) -> list[Cost]:
    """One, or none where the file is not there or does not say."""
    if not path.exists():
        return []
    with as_written(path):
        # Not there for an absent cell; files of older runs have it without the list
        found = json.loads(path.read_text(encoding="utf-8")).get("cost", [])
        each: list[dict[str, Any]] = found if isinstance(found, list) else [found]
        return [_of(stage, where, said) for said in each]


def _of(stage: str, where: str, said: dict[str, Any]) -> Cost:
    gpu, memory = said.get("gpu_peak_memory_mb"), int(said["peak_memory_mb"])
    return Cost(stage, where, float(said["seconds"]), memory, gpu and int(gpu))


def _stage(stem: str) -> str:
    return next((stage for stage in PREFIXES if stem.startswith(f"{stage}_")), stem)


def _sum(stage: str, where: str, costs: Sequence[Cost]) -> Cost:
    gpu = [cost.gpu for cost in costs if cost.gpu is not None]
    seconds, memory = sum(c.seconds for c in costs), max(c.memory for c in costs)
    return Cost(stage, where, seconds, memory, max(gpu, default=None))
