"""The CIFAR sets as published: Python 2 pickles of 32 x 32 colour images (Krizhevsky, 2009).

After pickle.load. But: a pickle is a program, and these come from the network, so nothing in one is
ever called. What stands for an array is taken to pieces and read as the bytes it holds.
"""

import pickle
from collections.abc import Callable
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from images._listing import ImagesError

SITE = "https://www.cs.toronto.edu/~kriz/cifar.html"


def unpickle(file: Path) -> dict[str, Any]:
    """The published dictionary: text keys; arrays as uint8 arrays, lists and text as they are.

    Raises:
        ImagesError: not such a pickle, only part of one, or one that would run something.
    """
    try:
        found = _Plain(BytesIO(file.read_bytes()), encoding="latin1").load()
        if not isinstance(found, dict):
            raise pickle.UnpicklingError(f"holds a {type(found).__name__}, not a dictionary")
        return {k: v.array() if isinstance(v, _Array) else v for k, v in found.items()}
    # A damaged pickle may raise nearly anything.
    except Exception as error:
        raise ImagesError(
            f"{file} is no CIFAR file ({' '.join(str(error).split())}); "
            f"delete {file.parent} to have it downloaded again"
        ) from error


def images(batches: list[dict[str, Any]]) -> np.ndarray:
    """uint8 [image, height, width, 3]; stored as rows of 3,072, one colour after the other."""
    return np.concatenate([b["data"] for b in batches]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def read(folder: Path, names: list[str], labels: str) -> list[dict[str, Any]]:
    """The dictionaries of some files of one split, each checked to have `labels` for its `data`."""
    batches = []
    for name in names:
        batch = unpickle(folder / name)
        data, of = batch.get("data"), batch.get(labels)
        if not isinstance(data, np.ndarray) or not isinstance(of, list):
            raise ImagesError(f"{folder / name} has no data or no {labels}; it has {sorted(batch)}")
        if data.shape != (len(of), 3072) or not all(isinstance(label, int) for label in of):
            raise ImagesError(
                f"{folder / name} holds data {list(data.shape)} for {len(of)} {labels}; "
                f"expected [{len(of)}, 3072]; delete {folder} to have it downloaded again"
            )
        batches.append(batch)
    return batches


def classes(file: Path, key: str) -> list[str]:
    """The class names in a file of names."""
    names = unpickle(file).get(key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ImagesError(f"{file} has no list {key}; delete {file.parent} to download it again")
    return names


class _Dtype:
    """Stands for numpy.dtype in a pickle; takes note of its name."""

    def __init__(self, name: object, *rest: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass


class _Array:
    """Stands for numpy.ndarray in a pickle; takes note of its parts."""

    state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        """The uint8 array that it stands for."""
        _, shape, dtype, by_column, raw = self.state
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        if dtype.name not in ("u1", "|u1") or not isinstance(raw, bytes) or len(raw) != prod(shape):
            raise pickle.UnpicklingError(f"an array {shape} of {dtype.name} in {len(raw)} bytes")
        return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if by_column else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _encode(text: str, _: str) -> bytes:
    """How Python 3 writes bytes into a Python 2 pickle."""
    return text.encode("latin1")


class _Plain(pickle.Unpickler):
    """Knows four names and nothing else, and our stand-ins are what it finds under them."""

    known: ClassVar[dict[tuple[str, str], Callable[..., Any]]] = {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(f"asks for {module}.{name}, which no CIFAR file does")
        return self.known[module, name]
