"""One numbering of classes, whoever says them: folders, tables, files of labels.

Distinct values are numbered from 0 in natural order (2 before 10) and give the classes their names.
Text is compared in Unicode's form NFC and without blanks around it: macOS and Linux spell the é of
one and the same folder in two ways. A negative number means no label, as clustering programs and
scikit-learn write it, unless a person names the values that do (`unlabelled`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Literal, NamedTuple
from unicodedata import category, normalize

import numpy as np

from images._listing import ImagesError, coded

SHOWN = 12  # words of a list in a message
Values = Sequence[str | int]  # labels as a person writes them in params.yaml
NEGATIVE: Literal["negative numbers"] = "negative numbers"  # the default of `unlabelled`
_WHOLE = re.compile(r"(-?[0-9]+)(\.0+)?")
_NOTHING = {"nan", "none", "null", "nat", "<na>"}  # what libraries write where a label is missing


class Classes(NamedTuple):
    """label: int32 [image], index into `names`, -1 = none; names: in natural order; notes: what was
    merged, and what was taken for no label, a line each."""

    label: np.ndarray
    names: list[str]
    notes: list[str]


def number_classes(
    values: np.ndarray | Sequence[str], what: str, unlabelled: Values = NEGATIVE
) -> Classes:
    """Number the distinct `values` [image]: text, whole numbers (as floats too), true and false.

    "" and NaN are no label. Memory is that of the images, however large the numbers are.

    Args:
        what: whose values these are, for errors and notes.
        unlabelled: the values that mean no label, in place of all negative numbers.

    Raises:
        ImagesError: values of another kind, numbers that are not whole, one of `unlabelled` that
            does not occur, or negative numbers beside a single class: whether that is one of two
            classes, only a person can tell.
    """
    return number_distinct(*_distinct(values, what), what, unlabelled)


def number_distinct(
    spelled: list[str], at: np.ndarray, what: str, unlabelled: Values = NEGATIVE
) -> Classes:
    """The same of values that are told apart already: text, "" where there is none, and which of
    these each image has, int [image]."""
    names = _names(spelled)
    count = np.bincount(at, minlength=len(names))
    sizes = Counter[str]()
    for name, n in zip(names, count.tolist(), strict=True):
        sizes[name] += n
    del sizes[""]
    by_default = unlabelled == NEGATIVE
    none = _negative(list(sizes), sizes, what) if by_default else _named(unlabelled, sizes, what)
    classes = _in_order(sizes.keys() - none)
    number = {name: i for i, name in enumerate(classes)}
    label = np.array([number.get(name, -1) for name in names], np.int32)[at]
    notes = _alike(spelled, what, "class")
    notes += _said(none, classes, sizes, what, by_default)
    return Classes(label, classes, [*notes, *_odd(classes, sizes, what)])


def same_splits(
    split: np.ndarray, splits: list[str], what: str
) -> tuple[np.ndarray, list[str], list[str]]:
    """`split` (int [image], which of `splits` each image is in) and `splits` with those that are
    one by `same_text` as one; and a note of each that was."""
    number, as_one = coded(map(same_text, splits))
    return number[split], as_one, _alike(splits, what, "split")


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
        at, seen = coded(values if array is None else array.tolist())
        return seen, at
    if array.dtype.kind not in "biuf":
        of_objects = array.dtype == object and array.size
        kind = type(array.flat[0]).__name__ if of_objects else str(array.dtype)
        raise ImagesError(f"{what}: found {kind}, expected whole numbers or text")
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


def _in_order(names: Iterable[str]) -> list[str]:
    """In natural order; but among whole numbers -2 is before -1, and that before 0."""
    found = sorted(names, key=natural)
    if not all(_WHOLE.fullmatch(name) for name in found):
        return found
    below = [name for name in found if name.startswith("-")]
    return below[::-1] + [name for name in found if not name.startswith("-")]


def _negative(names: list[str], sizes: Counter[str], what: str) -> set[str]:
    """Those that mean no label, where all are whole numbers."""
    if not all(_WHOLE.fullmatch(name) for name in names):
        return set()
    none = {name for name in names if name.startswith("-") and name.strip("-0")}
    if none and len(names) > 1 and len(names) - len(none) < 2:
        first = min(none, key=natural)
        raise ImagesError(
            f"{what}: there are only {_counted(_in_order(names), sizes)}: is {first} a class? then "
            f"say unlabelled: []; else say unlabelled: [{', '.join(_in_order(none))}]"
        )
    return none


def _named(unlabelled: Values, sizes: Counter[str], what: str) -> set[str]:
    """Those that a person says mean no label."""
    found = {_names([str(value)])[0] for value in unlabelled} - {""}
    for name in sorted(found - sizes.keys(), key=natural):
        close = get_close_matches(name, sizes, 1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {_few_of(sizes)}"
        raise ImagesError(f"{what}: unlabelled: no label is '{name}'; {hint}")
    return found


def _said(
    none: set[str], classes: list[str], sizes: Counter[str], what: str, by_default: bool
) -> list[str]:
    """What was taken for no label, and negative numbers that were not."""
    counted = _counted(_in_order(none), sizes)
    if by_default and none:
        way = "(where they are classes, say unlabelled: [])"
        return [f"{what}: negative numbers mean no label: {counted} {way}"]
    if not none:
        return []
    below = [name for name in classes if name.startswith("-") and _WHOLE.fullmatch(name)]
    besides = f"; {_counted(below, sizes)} is a class" if below else ""
    return [f"{what}: no label, by unlabelled: {counted}{besides}"]


def _few_of(sizes: Counter[str]) -> str:
    return few(_in_order(sizes)) or "no labels"


def _alike(spelled: Sequence[str], what: str, kind: str) -> list[str]:
    """Of names that look alike, and became one."""
    ways = Counter(same_text(text) for text in spelled)
    return [
        f"{what}: {kind} '{name}' is spelled in {n} ways (Unicode's forms, or blanks), taken for "
        f"one {kind}"
        for name, n in ways.items()
        if n > 1 and name
    ]


def _odd(classes: list[str], sizes: Counter[str], what: str) -> list[str]:
    """Of classes that may be none, and of those that may be ids."""
    notes = [
        f"{what}: a class is called '{name}' ({sizes[name]}): if it means no label, say "
        f"unlabelled: [{name}]"
        for name in classes
        if name.casefold() in _NOTHING
    ]
    notes += _lookalikes(classes, what)
    if len(classes) > SHOWN and all(sizes[name] == 1 for name in classes):
        notes.append(f"{what}: each of {len(classes)} images is a class of its own")
    return notes


def _lookalikes(classes: list[str], what: str) -> list[str]:
    """Of classes that a person may have taken for one."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        seen = "".join(c for c in normalize("NFKC", name) if category(c) != "Cf")
        groups.setdefault("".join(seen.split()).casefold(), []).append(name)
    return [
        f"{what}: {few(list(map(_shown, alike)), 4)} are told apart, "
        "and differ by capitals, blanks or signs that look alike or are not seen: if they are one "
        "class, write them alike"
        for alike in groups.values()
        if len(alike) > 1
    ]


def _shown(name: str) -> str:
    return f"'{name}'" if name.isprintable() and normalize("NFKC", name) == name else ascii(name)


def _counted(names: Iterable[str], sizes: Counter[str]) -> str:
    return few([f"{name} ({sizes[name]})" for name in names])
