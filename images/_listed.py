"""Sets of image files beside text files that list them, a line an image.

The lists say which images there are, in which split, and in which order. Benchmarks draw who is
labelled in that order, so it is kept.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from images import _tree
from images._listing import ImagesError, Listing, coded


def table(file: Path, columns: Sequence[type[int] | type[str]], do: str) -> list[tuple[Any, ...]]:
    """The lines of a text file, split at spaces into `columns`; the last one takes the rest.

    Args:
        do: what a person is to do about a damaged file, for the error.

    Raises:
        ImagesError: a file that cannot be read, or a line that does not have these columns.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ImagesError(f"cannot read {file} ({error}); {do}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        parts = line.strip().split(maxsplit=len(columns) - 1)
        if not parts:
            continue
        try:
            rows.append(tuple(kind(part) for kind, part in zip(columns, parts, strict=True)))
        except ValueError:
            said = " ".join("NUMBER" if kind is int else "TEXT" for kind in columns)
            raise ImagesError(
                f"line {number} of {file} is {line[:80]!r}; expected {said}; {do}"
            ) from None
    return rows


def listing(
    base: Path, images: Mapping[str, Sequence[tuple[str, int]]], classes: Sequence[str], do: str
) -> Listing:
    """A listing of splits of (name below `base`, label from 0), in the order they are given.

    Raises:
        ImagesError: an empty split, an image listed twice or not there, a label that is no class.
    """
    for split, of in images.items():
        if not of:
            raise ImagesError(f"no image is listed as {split} for {_tree.full(base)}; {do}")
    names = [name for of in images.values() for name, _ in of]
    splits = [split for split, of in images.items() for _ in of]
    labels = np.array([label for of in images.values() for _, label in of], np.int64)
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ImagesError(f"{name} of {_tree.full(base)} is listed {times} times; {do}")
    there = set(_tree.image_names(base))
    missing = [name for name in names if name not in there]
    if missing:
        raise ImagesError(
            f"{_tree.full(base)} lacks {len(missing)} of {len(names)} images that are listed, "
            f"e.g. {missing[0]}; {do}"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if wrong.size:
        raise ImagesError(
            f"{names[wrong[0]]} of {_tree.full(base)} is of class {labels[wrong[0]] + 1}, counted "
            f"from 1, but there are {len(classes)} classes; {do}"
        )
    return Listing(names, *coded(splits), labels.astype(np.int32), list(classes), len(classes))
