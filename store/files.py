"""Write and read one HDF5 file of a known kind: whole or not at all, and checked.

Equal content gives equal bytes: no date, host or version of a library goes into a file. Each array
carries the crc32 of its bytes and the root carries one over its attributes, so a flipped byte is
refused by name and never read as data.
"""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from store.errors import StoreError
from store.kinds import KINDS

Attributes = Mapping[str, str | int | float | bool | list[str] | list[int]]


def save(path: Path, kind: str, arrays: Mapping[str, np.ndarray], attrs: Attributes) -> None:
    """Write `arrays` and `attrs` as a file of `kind`, atomically: a killed writer leaves no file.

    Strings are given as arrays of dtype object or `<U`. Raises StoreError when an array is missing,
    unknown or of another dtype than `store.kinds` says.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(part, "w") as file:
        for name, array in arrays.items():
            put(file, kind, name, np.asarray(array))
        seal(file, kind, attrs)
    publish(part, path)


def publish(part: Path, path: Path) -> None:
    """Make a finished `.part` durable under its final name."""
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself
    finally:
        os.close(folder)


def seal(file: h5py.File, kind: str, attrs: Attributes) -> None:
    """Write the root attributes, with kind, version and their checksum; refuse an unfit file."""
    _require_fit(file, kind, attrs)
    full = {"kind": kind, "version": KINDS[kind].version, **attrs}
    for key, value in full.items():
        file.attrs[key] = _encode(value)
    file.attrs["crc32"] = np.uint32(_attributes_crc(full))


class File:
    """An open file of a known kind: `file["name"]` is a checked array, `file.attrs` a dict."""

    def __init__(self, path: Path, file: h5py.File, attrs: dict[str, Any]) -> None:
        self.path, self.attrs, self._file = path, attrs, file

    def __getitem__(self, name: str) -> np.ndarray:
        """The array `name`, whole, its crc32 checked; strings as an object array of str."""
        with refused(self.path):
            dataset = self._file[name]
            array = dataset[()]
            if zlib.crc32(np.ascontiguousarray(array).data) != dataset.attrs["crc32"]:
                raise StoreError(
                    f"{self.path}: array '{name}' is damaged (crc32 differs): {REMEDY}"
                )
            if array.dtype.kind == "S":
                return np.array([text.decode() for text in array.tolist()], dtype=object)
        return array

    def __contains__(self, name: str) -> bool:
        return name in self._file

    def raw(self, name: str) -> h5py.Dataset:
        """The HDF5 dataset itself, unchecked; for arrays with checksums of their own."""
        return self._file[name]


@contextmanager
def read(path: Path, kind: str) -> Iterator[File]:
    """Open a file of `kind`. Raises StoreError, by name, on anything else than a sound one."""
    if not path.is_file():
        raise StoreError(f"{path}: no such file; the stage that writes it has not run (dvc repro)")
    with refused(path):
        file = h5py.File(path, "r")
    with file:
        with refused(path):
            attrs = {key: _decode(value) for key, value in file.attrs.items()}
            _require_sound(path, kind, attrs)
        yield File(path, file, attrs)


REMEDY = "remove it and run `dvc repro`, or fetch a sound copy with `dvc pull`"


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Turn what HDF5 says about a broken file into one clear line."""
    try:
        yield
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path}: not a sound HDF5 file ({reason}): {REMEDY}") from error


def put(file: h5py.File, kind: str, name: str, array: np.ndarray) -> None:
    """Add one checksummed array to an open file; refuse one that the kind does not know."""
    said = next((a for key, a in KINDS[kind].arrays.items() if fnmatch(name, key)), None)
    if said is None:
        raise StoreError(f"a file of kind {kind} has no array '{name}'")
    if said.dtype == "str":
        encoded = [str(text).encode() for text in array]
        length = max(map(len, encoded), default=1) or 1
        array = np.array(encoded, dtype=h5py.string_dtype("utf-8", length))
    elif array.dtype != np.dtype(said.dtype):
        raise StoreError(f"array '{name}' of kind {kind} is {array.dtype}, expected {said.dtype}")
    dataset = file.create_dataset(name, data=array, track_times=False)
    dataset.attrs["crc32"] = np.uint32(zlib.crc32(np.ascontiguousarray(array).data))


def _require_fit(file: h5py.File, kind: str, attrs: Attributes) -> None:
    missing = [name for name in KINDS[kind].arrays if "*" not in name and name not in file]
    missing += [name for name in KINDS[kind].attributes if name not in attrs]
    if missing:
        raise StoreError(f"a file of kind {kind} needs {', '.join(missing)}")


def _require_sound(path: Path, kind: str, attrs: dict[str, Any]) -> None:
    found, version = attrs.get("kind"), attrs.get("version")
    if found != kind:
        raise StoreError(f"{path}: kind is {found!r}, expected {kind!r}")
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
    # Lists travel as JSON: an HDF5 attribute of strings of many lengths has no equal bytes.
    return "json:" + json.dumps(value) if isinstance(value, list) else value


def _decode(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("json:"):
        return json.loads(value.removeprefix("json:"))
    if isinstance(value, np.generic):
        return value.item()
    return value
