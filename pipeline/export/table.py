"""What is exported, a row an image: one form for every writer, whatever the labels come from."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import store
from images import natural
from pipeline.io.cell import Cell

PART = 4096  # rows that are written at once


class Table(NamedTuple):
    """Columns, and what formats want that know no columns.

    cell: dataset and backbone. row: int64 [image], rows of the index, rising. label: object
    [image], the text of the class or cluster of each image, "" of one that belongs to none.
    columns: [image] each, text as object, by their names, in the order of csv and parquet; `path`,
    `split` (text) and `confidence` (finite) are among them. root: the folder below which the
    pictures are files by their path, for formats that need these; links: that of links to them.
    """

    cell: Cell
    row: np.ndarray
    label: np.ndarray
    columns: dict[str, store.Strings]
    root: Path = Path()
    links: Path = Path()

    def labels(self) -> list[str]:
        """The different labels, 2 before 10."""
        return sorted(set(self.label) - {""}, key=natural)

    def parts(self, *names: str) -> Iterator[tuple[slice, tuple[np.ndarray, ...]]]:
        """A few rows at a time: which, and these columns of them."""
        for start in range(0, len(self.row), PART):
            here = slice(start, start + PART)
            yield here, tuple(self.columns[name][here] for name in names)


def as_written(values: np.ndarray) -> list[float]:
    """float32 numbers as those of Python with the fewest digits that give them back."""
    found: list[float] = values.astype(str).astype(float).tolist()
    return found
