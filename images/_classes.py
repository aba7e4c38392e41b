"""One numbering of classes, whoever says them: folders, tables, files of labels.

Distinct values are numbered from 0 in natural order (2 before 10) and give the classes their names.
Text is compared in Unicode's form NFC and without blanks around it: macOS and Linux spell the é of
one and the same folder in two ways. A negative number means no label, as clustering programs and
scikit-learn write it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from unicodedata import normalize

import numpy as np

from images._listing import ImagesError

SHOWN = 12  # words of a list in a message
_WHOLE = re.compile(r"(-?[0-9]+)(\.0+)?")
_NOTHING = {"nan", "none", "null", "nat", "<na>"}  # what libraries write where a label is missing


class Classes(NamedTuple):
    """label: int32 [image], index into `names`, -1 = none; names: in natural order; notes: what was
    merged, and what was taken for no label, a line each."""

    label: np.ndarray
    names: list[str]
    notes: list[str]


def number_classes(values: np.ndarray | Sequence[str], what: str) -> Classes:
    """Number the distinct `values` [image]: text, whole numbers (as floats too), true and false.

    "" and NaN are no label. Memory is that of the images, however large the numbers are.

    Args:
        what: whose values these are, for errors and notes.

    Raises:
        ImagesError: values of another kind, numbers that are not whole, or negative numbers beside
            a single class: whether that is one of two classes, only a person can tell.
    """
    spelled, at = _distinct(values, what)
    names = _names(spelled)
    count = np.bincount(at, minlength=len(names))
    sizes = Counter[str]()
    for name, n in zip(names, count.tolist(), strict=True):
        sizes[name] += n
    del sizes[""]
    none = _negative(list(sizes), sizes, what)
    classes = sorted(sizes.keys() - none, key=natural)
    number = {name: i for i, name in enumerate(classes)}
    label = np.array([number.get(name, -1) for name in names], np.int32)[at]
    notes = [*_alike(spelled, what, "class"), *_odd(none, classes, sizes, what)]
    return Classes(label, classes, notes)


def same_splits(values: Sequence[str], what: str) -> tuple[list[str], list[str]]:
    """[image] The splits, those that are one by `same_text` as one; and a note of each that was."""
    as_one = {value: same_text(value) for value in dict.fromkeys(values)}
    return [as_one[value] for value in values], _alike(list(as_one), what, "split")


def same_text(text: str) -> str:
    """What two spellings of a name have in common: Unicode's form NFC, no blanks around it."""
    return normalize("NFC", text).strip()


def natural(name: str) -> tuple[object, ...]:
    """A key to sort by: digits count as the number that they are."""
    parts = re.split(r"([0-9]+)", name)
    # Not int(): a name may have more digits than that takes
    digits = [(len(part.lstrip("0")), part.lstrip("0"), len(part)) for part in parts[1::2]]
    return tuple(each for pair in zip(parts[::2], [*digits, ()], strict=True) for each in pair)


def few(words: Sequence[str], shown: int = SHOWN) -> str:
    """The first words of a list, and how many more there are."""
    more = f" and {len(words) - shown} more" if len(words) > shown else ""
    return ", ".join(words[:shown]) + more


def _distinct(values: np.ndarray | Sequence[str], what: str) -> tuple[list[str], np.ndarray]:
    """The distinct values as text, "" for NaN, and the place of each image's among them."""
    array = None if isinstance(values, list) else np.asarray(values)
    if array is None or array.dtype.kind == "U":
        seen: dict[str, int] = {}
        every = values if array is None else array.tolist()
        at = np.fromiter((seen.setdefault(v, len(seen)) for v in every), np.int64, len(every))
        return list(seen), at
    if array.dtype.kind not in "biuf":
        raise ImagesError(f"{what}: found {array.dtype}, expected whole numbers or text")
    found, at = np.unique(array, return_inverse=True)
    if array.dtype.kind == "f":
        odd = found[~np.isnan(found) & (found != np.floor(found)) | np.isinf(found)]
        if len(odd):
            raise ImagesError(
                f"{what}: found numbers such as {odd[0]:.6g}, expected whole numbers or text: if "
                "these are classes, write them as text"
            )
        return ["" if np.isnan(v) else str(int(v)) for v in found.tolist()], at
    return [str(v) for v in found.tolist()], at


def _names(spelled: list[str]) -> list[str]:
    """What the class of each spelling is called: 3.0 is 3 where all are such numbers."""
    names = [same_text(text) for text in spelled]
    whole = [_WHOLE.fullmatch(name) for name in names if name]
    if all(whole) and any(found and found[2] for found in whole):
        return [name.partition(".")[0] for name in names]
    return names


def _negative(names: list[str], sizes: Counter[str], what: str) -> set[str]:
    """Those that mean no label, where all are whole numbers."""
    if not all(_WHOLE.fullmatch(name) for name in names):
        return set()
    none = {name for name in names if name.startswith("-") and name.strip("-0")}
    if none and len(names) > 1 and len(names) - len(none) < 2:
        every = sorted(names, key=lambda name: (name not in none, natural(name)))
        raise ImagesError(
            f"{what}: there are only {_counted(every, sizes)}: is "
            f"{min(none, key=natural)} a class? then write 0 or a word in its place; negative "
            "numbers mean no label, and not two classes would be left"
        )
    return none


def _alike(spelled: Sequence[str], what: str, kind: str) -> list[str]:
    """Of names that look alike, and became one."""
    ways = Counter(same_text(text) for text in spelled)
    return [
        f"{what}: {kind} '{name}' is spelled in {n} ways (Unicode's forms, or blanks), taken for "
        f"one {kind}"
        for name, n in ways.items()
        if n > 1 and name
    ]


def _odd(none: set[str], classes: list[str], sizes: Counter[str], what: str) -> list[str]:
    notes = []
    if none:
        notes.append(
            f"{what}: negative numbers mean no label: {_counted(sorted(none, key=natural), sizes)} "
            "(where they are classes, write words)"
        )
    notes += [
        f"{what}: a class is called '{name}' ({sizes[name]}): if it means no label, leave it empty"
        for name in classes
        if name.casefold() in _NOTHING
    ]
    if len(classes) > SHOWN and all(sizes[name] == 1 for name in classes):
        notes.append(f"{what}: each of {len(classes)} images is a class of its own")
    return notes


def _counted(names: Iterable[str], sizes: Counter[str]) -> str:
    return few([f"{name} ({sizes[name]})" for name in names])
