"""Strings of a file that are read where they are asked for: all names of a collection may be more
than memory holds."""

from collections.abc import Iterator
from typing import overload

import h5py
import numpy as np

AT_ONCE = 65_536  # strings that are decoded at once
UTF_8 = h5py.string_dtype("utf-8", 1)  # its metadata tell HDF5 so


class Text:
    """Strings in an array of UTF-8 (dtype S [string]), which may be mapped from a file.

    text[3] is a str; text[2:5], and text[rows] of int or bool, are arrays of str (dtype object);
    text.of(rows) are those strings, still undecoded.
    """

    def __init__(self, encoded: np.ndarray, rows: np.ndarray | None = None) -> None:
        """rows: int64 [string], of those of `encoded` that it is about; None: of all."""
        self._encoded = encoded.view(h5py.string_dtype("utf-8", encoded.dtype.itemsize))
        self._rows = rows

    def of(self, rows: np.ndarray) -> "Text":
        """The strings at `rows`, int [string]."""
        return Text(self._encoded, rows if self._rows is None else self._rows[rows])

    @property
    def encoded(self) -> np.ndarray:
        """All of them, as UTF-8."""
        return self._encoded if self._rows is None else self._encoded[self._rows]

    def __len__(self) -> int:
        return len(self._encoded if self._rows is None else self._rows)

    @overload
    def __getitem__(self, at: int | np.integer) -> str: ...
    @overload
    def __getitem__(self, at: slice | np.ndarray) -> np.ndarray: ...
    def __getitem__(self, at: int | np.integer | slice | np.ndarray) -> str | np.ndarray:
        found = self._encoded[at if self._rows is None else self._rows[at]]
        if isinstance(found, bytes):
            return found.decode()
        out = np.empty(len(found), object)
        out[:] = [text.decode() for text in found.tolist()]
        return out

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), AT_ONCE):
            yield from self[start : start + AT_ONCE]


Strings = np.ndarray | Text  # an array of str (dtype object), or what may be indexed as one
