"""Write what the targets found: a row a pair, a row an image found, a name a line."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

import store
from pipeline.io.table import PART, in_parts, write_csv
from pipeline.io.whole import whole_text

DIGITS = 6  # of a similarity


def write_found(
    path: Path,
    names: tuple[store.Strings, store.Strings],
    neighbor: np.ndarray,
    similarity: np.ndarray,
    minimum: float,
) -> None:
    """A row a pair: target, rank (from 1), name, similarity; those below `minimum` left out.

    names: of the targets [target], and of the images searched [image]; neighbor: int [target,
    neighbor]; similarity: float32 [target, neighbor].
    """
    targets, among = names
    step = max(1, PART // neighbor.shape[1])

    def parts() -> Iterator[list[np.ndarray]]:
        for start in range(0, len(neighbor), step):
            here = slice(start, start + step)
            target, rank = np.nonzero(similarity[here] >= np.float32(minimum))
            name = among[neighbor[here][target, rank]]
            yield [targets[here][target], rank + 1, name, similarity[here][target, rank]]

    with whole_text(path) as file:
        write_csv(file, ("target", "rank", "name", "similarity"), parts(), DIGITS)


def write_union(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """A row an image that was found; columns: [found] by their names in the table."""
    with whole_text(path) as file:
        write_csv(file, list(columns), in_parts(list(columns.values())), DIGITS)


def write_names(path: Path, names: np.ndarray) -> int:
    """A name a line. How many could not be written, as they hold a line break themselves."""
    whole = [name for name in names if "\n" not in name and "\r" not in name]
    with whole_text(path) as file:
        file.writelines(f"{name}\n" for name in whole)
    return len(names) - len(whole)
