"""Read a table (csv) that another stage wrote."""

import csv
from collections.abc import Iterable
from pathlib import Path

from stages import StageError


def read_rows(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """All rows, by column. StageError if one of `columns` is not there."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    missing = [column for column in columns if rows and column not in rows[0]]
    if missing:
        raise StageError(f"{path}: has no column {missing[0]}; write it anew with `dvc repro`")
    return rows
