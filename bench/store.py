"""The feature store: writing, reading and gathering 200,000 x 768 float16, beside other formats.

Seconds are the median of 5, by turns, pages in the cache: `write_s` is durable (fsync) for all,
`read_s` is the whole in blocks of 8,192 rows as float32, `gather_s` 2,000 random rows as float32
from an open file. Ours checks the crc32 of each block that it reads for the first time, which no
other does: `first_read_s` and `first_gather_s` are of a store just opened. `hdf5` is one contiguous
array by h5py, `hdf5_chunks` has chunks of 256 rows, `npy` is memory-mapped, `lance` is a column of
lists of fixed size. All give the same bytes.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, cast

import h5py
import numpy as np

import store
from store.shard import Plan

PACKAGES = ("numpy", "h5py", "pylance")
IMAGES, DIM, BATCH, BLOCK, GATHERED, REPEATS = 200_000, 768, 4096, 8192, 2000, 5


class Way(NamedTuple):
    """write makes a file or folder; open gives what block and take read from."""

    write: Callable[[Path, np.ndarray], None]
    open: Callable[[Path], Any]
    block: Callable[[Any, int, int], np.ndarray]
    take: Callable[[Any, np.ndarray], np.ndarray]


def run() -> list[dict[str, Any]]:
    """One row a format."""
    rng = np.random.default_rng(0)
    some = rng.standard_normal((IMAGES // 10, DIM)).astype(np.float16)
    x = np.concatenate([np.roll(some, each, axis=1) for each in range(10)])
    rows = rng.permutation(IMAGES)[:GATHERED]
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in WAYS}
    for _ in range(REPEATS):
        for name, way in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                for what, took in _measure(way, Path(folder) / name, x, rows).items():
                    seconds[name].setdefault(what, []).append(took)
    middle = {n: {what: median(s) for what, s in each.items()} for n, each in seconds.items()}
    ours = middle["cairn"]
    table = []
    for name, each in middle.items():
        times = {f"{what}_s": round(value, 4) for what, value in each.items()}
        ratios = {f"{w}/cairn": round(each[w] / ours[w], 2) for w in ("write", "read", "gather")}
        table.append({"format": name, **times, **ratios})
    return table


def _measure(way: Way, path: Path, x: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    found = {"write": _timed(lambda: way.write(path, x))}
    fresh = way.open(path)
    found["first_gather"] = _timed(lambda: way.take(fresh, rows))
    opened = way.open(path)

    def read() -> None:
        for start in range(0, IMAGES, BLOCK):
            way.block(opened, start, min(start + BLOCK, IMAGES))

    found["first_read"] = _timed(read)
    found["read"] = _timed(read)
    found["gather"] = median(_timed(lambda: way.take(opened, rows)) for _ in range(5))
    for start in range(0, IMAGES, BLOCK):
        stop = min(start + BLOCK, IMAGES)
        if not np.array_equal(way.block(opened, start, stop), x[start:stop].astype(np.float32)):
            raise SystemExit(f"{path.name}: rows {start} to {stop} are not what was written")
    if not np.array_equal(way.take(opened, rows), x[rows].astype(np.float32)):
        raise SystemExit(f"{path.name}: gathered rows are not what was written")
    return found


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _durable(path: Path) -> None:
    for file in [path, *path.rglob("*"), path.parent]:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _write_cairn(path: Path, x: np.ndarray) -> None:
    number = np.arange(len(x))
    digest = np.zeros((len(x), 16), np.uint8)
    digest[:, :8] = number.view(np.uint8).reshape(-1, 8)
    plan = Plan("some", "some", "0" * 64, DIM, ["train"], digest, number, np.zeros(len(x), "u1"))
    with store.FeatureWriter(path, plan) as writer:
        for start in range(0, len(x), BATCH):
            writer.put(number[start : start + BATCH], x[start : start + BATCH])
        writer.finish()


def _write_hdf5(path: Path, x: np.ndarray, **layout: Any) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("features", x.shape, x.dtype, **layout)
        for start in range(0, len(x), BATCH):
            dataset[start : start + BATCH] = x[start : start + BATCH]
    _durable(path)


def _take_hdf5(file: h5py.File, rows: np.ndarray) -> np.ndarray:
    order = np.argsort(rows)  # h5py wants them rising
    out = np.empty((len(rows), DIM), np.float32)
    out[order] = file["features"][rows[order]]
    return out


def _write_npy(path: Path, x: np.ndarray) -> None:
    array = np.lib.format.open_memmap(path, "w+", x.dtype, x.shape)
    for start in range(0, len(x), BATCH):
        array[start : start + BATCH] = x[start : start + BATCH]
    array.flush()
    _durable(path)


def _write_lance(path: Path, x: np.ndarray) -> None:
    import lance
    import pyarrow as pa

    kind = pa.list_(pa.float16(), DIM)

    def batches() -> Any:
        for start in range(0, len(x), BATCH):
            flat = pa.array(x[start : start + BATCH].ravel())
            lists = pa.FixedSizeListArray.from_arrays(flat, DIM)
            yield pa.record_batch([lists], names=["features"])

    schema = pa.schema([("features", kind)])
    lance.write_dataset(batches(), str(path), schema=schema)
    _durable(path)


def _open_lance(path: Path) -> Any:
    import lance

    return lance.dataset(str(path))


def _from_lance(table: Any) -> np.ndarray:
    flat = table.column("features").combine_chunks().flatten().to_numpy()
    return cast(np.ndarray, flat.reshape(-1, DIM).astype(np.float32))


WAYS = {
    "cairn": Way(
        _write_cairn, store.Features, store.Features.block, lambda found, rows: found.take(rows)
    ),
    "hdf5": Way(
        _write_hdf5,
        h5py.File,
        lambda file, start, stop: file["features"][start:stop].astype(np.float32),
        _take_hdf5,
    ),
    "hdf5_chunks": Way(
        lambda path, x: _write_hdf5(path, x, chunks=(256, DIM)),
        h5py.File,
        lambda file, start, stop: file["features"][start:stop].astype(np.float32),
        _take_hdf5,
    ),
    "npy": Way(
        _write_npy,
        lambda path: np.load(path, mmap_mode="r"),
        lambda array, start, stop: array[start:stop].astype(np.float32),
        lambda array, rows: array[rows].astype(np.float32),
    ),
    "lance": Way(
        _write_lance,
        _open_lance,
        lambda data, start, stop: _from_lance(
            data.to_table(columns=["features"], offset=start, limit=stop - start)
        ),
        lambda data, rows: _from_lance(data.take(rows.tolist(), columns=["features"])),
    ),
}
