"""Some stages of a bench measured anew: CAIRN_BENCH_STAGES="kmeans; spectral"."""

import json
import os
from collections.abc import Mapping, Set
from typing import Any

from bench._results import FOLDER


def named() -> set[str]:
    """Those that are asked for; none: all."""
    said = os.environ.get("CAIRN_BENCH_STAGES", "").split(";")
    return {name.strip() for name in said} - {""}


def merged(
    part: str, measured: Mapping[str, dict[str, Any]], only: Set[str]
) -> list[dict[str, Any]]:
    """The rows by stage; where `only` some are measured, the others are those that are kept."""
    if not only:
        return list(measured.values())
    kept = json.loads((FOLDER / f"{part}.json").read_text())["rows"]
    of_stage = {row["stage"]: row for row in kept} | {
        n: measured[n] for n in only & measured.keys()
    }
    empty = dict.fromkeys(max(of_stage.values(), key=len), "")  # fewer sizes, fewer columns
    return [{**empty, **row} for row in of_stage.values()]
