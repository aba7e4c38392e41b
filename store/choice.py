"""Which array of a file is meant; if that is not clear, what was found and what to write."""

import difflib
from pathlib import Path
from typing import Any

from store.errors import StoreError

SHOWN = 8  # arrays that an error lists


def choose(path: Path, key: str | None, arrays: dict[str, Any], ndim: int) -> Any:
    """The array with so many axes that KEY names, or the only one. Raises StoreError."""
    fit = [name for name, array in arrays.items() if len(array.shape) == ndim]
    found = {name: _described(array) for name, array in arrays.items()}
    asked = next(iter(arrays.values())) if len(arrays) == 1 else arrays.get((key or "").strip("/"))
    return arrays[name_of(path, key, fit, found, _advice(asked, arrays, ndim))]


def _described(array: Any) -> str:
    return f"{' x '.join(map(str, array.shape)) or 'one number'} of {array.dtype}"


def _advice(asked: Any, arrays: dict[str, Any], ndim: int) -> str:
    """What to write in place of an array that does not fit, or of a list of them."""
    shape = () if asked is None else tuple(asked.shape)
    long = tuple(length for length in shape if length != 1)
    if {"data", "indices", "indptr"} <= arrays.keys():
        return "this is a sparse matrix of scipy: save its toarray()"
    if ndim == 2 and len(shape) > 2 and len(long) <= 2:
        axes = ", ".join(str(axis) for axis, length in enumerate(shape) if length == 1)
        return f"save it without its axes of length 1 (axis {axes})"
    if ndim == 2 and len(shape) > 2:
        return "save one vector an image, such as a mean over the other axes"
    if ndim == 2 and len(shape) == 1:
        return "save one vector an image, [image, dim]"
    if ndim == 1 and len(shape) == 2:
        return "save one value an image; of one-hot labels the argmax(axis=1)"
    if len(arrays) > 2 and [name.rpartition("/")[2] for name in arrays] == [
        str(number) for number in range(len(arrays))
    ]:
        lengths = {len(array.shape) for array in arrays.values()}
        return f"save the list as one array, by {'cat' if lengths == {ndim} else 'stack'}"
    shapes = {array.shape for array in arrays.values()}
    if ndim == 2 and len(arrays) > 2 and len(shapes) == 1 and len(shapes.pop()) == 1:
        return "save these vectors as one array, by stack, and their names as ids"
    return ""


def name_of(
    path: Path, key: str | None, fit: list[str], found: dict[str, str], advice: str = ""
) -> str:
    """The one of `fit` that is meant. found: what each array in the file is."""
    if key is None and len(fit) == 1:
        return fit[0]
    if key is not None and key.strip("/") in fit:
        return key.strip("/")
    asked = f"no array '{key}' that fits" if key is not None else "not one array alone that fits"
    close = difflib.get_close_matches(key or "", fit, 1)
    meant = f"did you mean {path}:{close[0]}? " if close else ""
    raise StoreError(
        f"{path}: {asked}; {meant}found: {_list(found)}; "
        f"{advice or f'write {path}:KEY'} (arrays of Python objects are never read)"
    )


def _list(found: dict[str, str]) -> str:
    """The first and last of the arrays, if they are many."""
    each = [f"{name} {what}".strip() for name, what in found.items()]
    few = each if len(each) <= SHOWN else [*each[: SHOWN - 1], f"… {len(each)} in all", each[-1]]
    return ", ".join(few) or "none"
