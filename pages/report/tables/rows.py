"""Read a table (csv) that another stage wrote."""

import csv
from collections.abc import Iterable
from pathlib import Path

from pipeline.io.whole import as_written
from pipeline.params import StageError


def read_rows(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """All rows, by column. StageError if one of `columns` is not there, or a row is not whole."""
    with as_written(path), path.open(newline="", encoding="utf-8") as file:
        try:
            reader = csv.DictReader(file, strict=True)
            named, rows = reader.fieldnames, list(reader)
        except csv.Error as error:
            raise ValueError(error) from error
        if named is None:
            raise ValueError("empty")
        for number, row in enumerate(rows, 1):
            if None in row or None in row.values():
                raise ValueError(f"row {number} has not as many columns as the first line")
    missing = [column for column in columns if column not in named]
    if missing:
        raise StageError(f"{path}: has no column {missing[0]}; write it anew with `dvc repro`")
    return rows
