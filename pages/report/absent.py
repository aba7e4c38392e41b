"""Cells that cannot be, and why: stage embed has said so."""

import json

from pipeline.io.cell import Cell
from pipeline.io.whole import as_written


def why_absent(cell: Cell) -> str | None:
    """The reason, by its metrics; None where there is such a cell, or nothing is known of it."""
    path = cell.metric("embed.json")
    if not path.exists():
        return None
    with as_written(path):
        said = json.loads(path.read_text(encoding="utf-8")).get("absent")
        if not (said is None or isinstance(said, str)):
            raise ValueError(f"absent is {said!r}")
        return said
