"""Write and read one HDF5 file of a known kind: whole or not at all, and checked.

Equal content gives equal bytes: no date, host or version of a library goes into a file. Each array
carries the crc32 of its bytes and the root carries one over its attributes, so a flipped byte is
refused by name and never read as data.
"""

import errno
import json
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from store.compose import add_array, composed
from store.disk import replacing
from store.errors import StoreError
from store.kinds import KINDS
from store.kinds.kind import Array
from store.text import UTF_8, Text

Attributes = Mapping[str, str | int | float | bool | list[str] | list[int]]

MOMENT = 5.0  # seconds
REMEDY = "remove it and run `dvc repro`, or fetch a sound copy with `dvc pull`"


def save(path: Path, kind: str, arrays: Mapping[str, np.ndarray | Text], attrs: Attributes) -> None:
    """Write `arrays` and `attrs` as a file of `kind`, atomically: a killed writer leaves no file.

    Strings are given as arrays of dtype object or `<U`, or as Text. Arrays of many bytes are
    written from where they are, which may be a file that is mapped. Raises StoreError when an array
    is missing, unknown or of another dtype than `store.kinds` says, when another process writes the
    same file, or when the disk is full.
    """
    with replacing(path) as descriptor, composed(descriptor) as file:
        for name in sorted(arrays):
            array = arrays[name]
            encoded = array.encoded if isinstance(array, Text) else np.asarray(array)
            put(file, kind, name, encoded)
        seal(file, kind, attrs)


def put(file: h5py.File, kind: str, name: str, array: np.ndarray) -> None:
    """Add one checksummed array to an open file; refuse one that the kind does not know."""
    said = _said(kind, name)
    if said is None:
        raise StoreError(f"a file of kind {kind} has no array '{name}'")
    if array.ndim != said.ndim:
        raise StoreError(f"array '{name}' of kind {kind} is {array.shape}, expected [{said.axes}]")
    if said.dtype == "str" and array.dtype.kind in "OU":
        encoded = [str(text).encode() for text in array]
        length = max(map(len, encoded), default=1) or 1
        array = np.array(encoded, dtype=h5py.string_dtype("utf-8", length))
    elif said.dtype == "str":
        if array.dtype.metadata != UTF_8.metadata:
            raise StoreError(f"array '{name}' of kind {kind} is {array.dtype}, expected str")
    elif array.dtype != np.dtype(said.dtype):
        raise StoreError(f"array '{name}' of kind {kind} is {array.dtype}, expected {said.dtype}")
    dataset = add_array(file, name, array)
    dataset.attrs["crc32"] = np.uint32(checksum(array))


def seal(file: h5py.File, kind: str, attrs: Attributes) -> None:
    """Write the root attributes, with kind, version and their checksum; refuse an unfit file."""
    missing = [name for name in KINDS[kind].arrays if "*" not in name and name not in file]
    missing += [name for name in KINDS[kind].attributes if name not in attrs]
    if missing:
        raise StoreError(f"a file of kind {kind} needs {', '.join(missing)}")
    full = {"kind": kind, "version": KINDS[kind].version, **attrs}
    for key in sorted(full):
        file.attrs[key] = _encode(full[key])
    file.attrs["crc32"] = np.uint32(_attributes_crc(full))


class File:
    """An open file of a known kind: `file["name"]` is a checked array, `file.attrs` a dict."""

    def __init__(self, path: Path, kind: str, file: h5py.File, attrs: dict[str, Any]) -> None:
        self.path, self.kind, self.attrs, self._file = path, kind, attrs, file

    def __getitem__(self, name: str) -> np.ndarray:
        """The array `name`, whole, its crc32 checked; strings as an object array of str."""
        dataset = self.raw(name)
        with refused(self.path):
            array = dataset[()]
            self._check(name, array, dataset)
            if array.dtype.kind == "S":
                return np.array([text.decode() for text in array.tolist()], dtype=object)
        return array

    def mapped(self, name: str) -> np.ndarray:
        """The array `name`, its crc32 checked, mapped from the file: it may be larger than memory.
        Strings as UTF-8 of dtype S."""
        dataset = self.raw(name)
        with refused(self.path):
            contiguous = dataset.id.get_offset() is not None  # else a file that others wrote
            array = mapped(self.path, dataset) if contiguous else dataset[()]
            self._check(name, array, dataset)
        return array

    def text(self, name: str) -> Text:
        """The strings `name`, decoded where they are asked for."""
        return Text(self.mapped(name))

    def _check(self, name: str, array: np.ndarray, dataset: h5py.Dataset) -> None:
        if checksum(array) != dataset.attrs["crc32"]:
            raise StoreError(f"{self.path}: array '{name}' is damaged (crc32 differs): {REMEDY}")

    def __contains__(self, name: str) -> bool:
        return name in self._file

    def raw(self, name: str) -> h5py.Dataset:
        """The HDF5 dataset itself, unchecked; for arrays with checksums of their own."""
        with refused(self.path):
            if name not in self._file:
                raise StoreError(
                    f"{self.path}: no array '{name}'; it holds {', '.join(self._file)}"
                )
            dataset, said = self._file[name], _said(self.kind, name)
            kind = "str" if dataset.dtype.kind == "S" else dataset.dtype.name
            if said is None or kind not in said.dtype.split(" or ") or dataset.ndim != said.ndim:
                raise ValueError(f"'{name}' is {kind} {dataset.shape}")
        return dataset


@contextmanager
def read(path: Path, kind: str) -> Iterator[File]:
    """Open a file of `kind`. Raises StoreError, by name, on anything else than a sound one."""
    if not path.is_file():
        raise StoreError(f"{path}: no such file; the stage that writes it has not run (dvc repro)")
    with refused(path):
        file = _opened(path)
    with file:
        with refused(path):
            attrs = {key: _decode(value) for key, value in file.attrs.items()}
            _require_sound(path, kind, attrs)
        yield File(path, kind, file, attrs)


def _opened(path: Path) -> h5py.File:
    """The open file. Its writer, who has just named it, may hold a lock for a moment more."""
    until = time.monotonic() + MOMENT
    while True:
        try:
            return h5py.File(path, "r")
        except OSError as error:
            if error.errno != errno.EAGAIN or time.monotonic() > until:
                raise
        time.sleep(0.01)


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Turn what HDF5 says about a broken file into one clear line."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, MemoryError) as error:
        if getattr(error, "errno", None) == errno.ENOMEM:  # the file may be sound
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path}: not a sound HDF5 file ({reason}): {REMEDY}") from error


def mapped(path: Path, dataset: h5py.Dataset) -> np.ndarray:
    """The array that a dataset of the file `path` holds, memory-mapped."""
    offset = dataset.id.get_offset()  # None unless contiguous and allocated
    if offset is None:
        raise ValueError(f"{dataset.name[1:]} are chunked or empty, not contiguous")
    return np.memmap(path, dataset.dtype, "r", offset, dataset.shape)


def checksum(*arrays: np.ndarray) -> int:
    """The crc32 over the bytes of several arrays."""
    crc = 0
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return crc


def _said(kind: str, name: str) -> Array | None:
    return next((said for key, said in KINDS[kind].arrays.items() if fnmatch(name, key)), None)


def _require_sound(path: Path, kind: str, attrs: dict[str, Any]) -> None:
    found, version = attrs.get("kind"), attrs.get("version")
    if found != kind:
        raise StoreError(f"{path}: kind is {found!r}, expected {kind!r}: give another file")
    if version != KINDS[kind].version:
        raise StoreError(
            f"{path}: version {version} of kind {kind}, this program reads {KINDS[kind].version}: "
            "write it anew with `dvc repro`"
        )
    crc = attrs.pop("crc32", None)
    if crc != _attributes_crc(attrs):
        raise StoreError(f"{path}: its attributes are damaged (crc32 differs): {REMEDY}")


def _attributes_crc(attrs: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(dict(attrs), sort_keys=True).encode())


def _encode(value: Any) -> Any:
    # Text has a fixed length and lists travel as JSON: text of many lengths would lie in a part of
    # the file that HDF5 does not checksum.
    if isinstance(value, list) or (isinstance(value, str) and value.startswith("json:")):
        value = "json:" + json.dumps(value)
    if isinstance(value, str):
        text = value.encode()
        return np.array(text, h5py.string_dtype("utf-8", len(text) or 1))
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, bytes):
        text = value.decode()
        return json.loads(text.removeprefix("json:")) if text.startswith("json:") else text
    return value.item() if isinstance(value, np.generic) else value
