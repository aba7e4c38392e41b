"""Write columns as csv that any reader gives back, whatever is in a name."""

import csv
from collections.abc import Iterable, Sequence
from typing import IO

import numpy as np

PART = 4096  # rows that are text at once


def write_csv(
    file: IO[str], columns: Sequence[str], parts: Iterable[Sequence[np.ndarray]], digits: int = 0
) -> None:
    """Write a header and the rows of `parts`, each some rows of all columns, as arrays [row].

    Text is quoted where it has to be; lines end in a line feed. A float has `digits` places, or for
    0 the fewest that give it back.
    """
    # Python's csv before 3.13 leaves a lone carriage return unquoted, and readers end the line
    # there. So where one is, all text of that part is quoted.
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(columns)
    for part in parts:
        texts = [_text(column, digits) for column in part]
        names = [text for text in texts if text.dtype == object]
        odd = any("\r" in name for column in names for name in column)
        (quoted if odd else plain).writerows(zip(*texts, strict=True))


def in_parts(columns: Sequence[np.ndarray]) -> Iterable[Sequence[np.ndarray]]:
    """Columns, arrays [row], a few rows at a time."""
    for start in range(0, len(columns[0]), PART):
        yield [column[start : start + PART] for column in columns]


def _text(values: np.ndarray, digits: int) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    return np.char.mod(f"%.{digits}f", values) if digits else values.astype(str)
