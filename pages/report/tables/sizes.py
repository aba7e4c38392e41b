"""Which size of the pictures is advised, where one network was run at several: without labels.

The size whose clusters have the most edge information, by the runs of dcsbm. Over five sizes of one
network the information at lag 1 agreed with NMI (Spearman 0.6 to 1.0 on three sets). Other
networks, layers and means of several sizes are not compared: across these it was no guide.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import backbones
from pipeline.io.absent import read_mark
from pipeline.io.cell import Cell
from pipeline.io.origin import read_used
from pipeline.io.whole import facts_in
from pipeline.params import StageError

STAGE = "dcsbm"


class Sized(NamedTuple):
    """A backbone, the pixels that its network sees, and the information by run of dcsbm."""

    backbone: str
    size: int
    information: dict[str, float]


def advice(cells: Sequence[Cell], params: Mapping[str, Any]) -> list[str]:
    """A line for each network and run that several of the cells, of one dataset, have at different
    sizes; params: all of params.yaml."""
    runs = (params.get("runs") or {}).get(STAGE) or []
    groups: dict[tuple[str, ...], list[Sized]] = {}
    for cell in cells:
        row = _row(cell.backbone, params)
        if row is not None and not row.sizes:
            found = {run: value for run in runs if (value := _information(cell, run)) is not None}
            network = (row.loader, row.model, row.weights, row.output)
            groups.setdefault(network, []).append(Sized(cell.backbone, row.input.size, found))
    out = []
    for group in groups.values():
        for run in runs:
            each = sorted((s for s in group if run in s.information), key=lambda s: s.size)
            if len({s.size for s in each}) > 1:
                out.append(_said(run, each))
    return out


def _said(run: str, each: Sequence[Sized]) -> str:
    best = max(each, key=lambda s: s.information[run])
    values = ", ".join(f"{s.information[run]:.3f} at {s.size} ({s.backbone})" for s in each)
    return (
        f"Size: {best.size} pixels are advised, where the clusters of {run} have the most edge "
        f"information: {values}. No label has a part in it."
    )


def _row(name: str, params: Mapping[str, Any]) -> backbones.Backbone | None:
    """That of the zoo, None for a backbone of another origin."""
    if not any(name in (params.get(origin) or {}) for origin in ("backbones", "resized")):
        return None
    try:
        return backbones.row(read_used(name).row)
    except (StageError, backbones.BackboneError):  # its own stage says what is wrong
        return None


def _information(cell: Cell, run: str) -> float | None:
    """Of the first k, in nats, the mean over its seeds; None where the run did not end."""
    path = cell.metric(f"{run}.json")
    if not path.exists() or read_mark(path) is not None:
        return None
    with facts_in(path) as said:
        first = said.get("information", [[]])[0]
        return float(np.mean(first)) if first else None
