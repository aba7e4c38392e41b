"""The digest of each image's bytes. Files whose size, times and inode are known are not read."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

import images
from cluster.scratch import scratch_array
from pipeline.indexing.seen import Seen, Spec, hash_of
from pipeline.params import Runtime, count_cores
from pipeline.ray.tasks import over_ray

CHUNK = 64  # images that a thread looks at in one go: a task for each takes a kilobyte
BLOCK = 65_536  # images that threads have before them at once
TASK = 4096  # images that are a task of a Ray cluster
KEEP = 30.0  # seconds, after which the digests that were made are kept on the disk
NO_FILE = bytes(16)  # in place of the hash of a file, for images that have none of their own


def digests(spec: Spec, names: Sequence[str], seen_path: Path, runtime: Runtime) -> np.ndarray:
    """Of the images with these names, uint8 [image, 16]; `seen_path` is read and written anew.

    A run that is stopped, or meets a file that cannot be read, goes on where it was. Raises
    ImagesError for such a file; with `runtime.engine: ray` also StageError, when no cluster can be
    had.
    """
    seen, count = Seen(seen_path, spec), len(names)
    digest = scratch_array((count, 16), np.uint8)
    hashes, todo = scratch_array((count, 2), np.uint64), np.zeros(count, bool)
    with tqdm(desc="index", total=count, disable=None, unit="img") as bar:
        for start, found in _hashes(spec, names):
            here = slice(start, start + len(found))
            hashes[here] = found
            known, digest[here] = seen.find(found)
            todo[here] = ~known | (found == 0).all(axis=1)
            bar.update(len(found) - int(todo[here].sum()))
        made, last = list[np.ndarray](), time.monotonic()
        try:
            for some, read in _read(spec, names, todo, runtime):
                digest[some] = read
                made.append(some)
                bar.update(len(some))
                if time.monotonic() - last > KEEP:
                    _keep(seen, made, hashes, digest)
                    made, last = [], time.monotonic()
        except BaseException:
            _keep(seen, made, hashes, digest)
            raise
    if (hashes[:1] != 0).any():  # they are files
        seen.save(hashes, digest)
    return digest


def _keep(seen: Seen, made: list[np.ndarray], hashes: np.ndarray, digest: np.ndarray) -> None:
    rows = np.concatenate([np.empty(0, np.int64), *made])
    rows = rows[(hashes[rows] != 0).any(axis=1)]
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        seen.keep(hashes[some], digest[some])


def _hashes(spec: Spec, names: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
    """From which image on, and of that and the next ones what they are found by in Seen: uint64
    [image, 2], 0 for images that are no files."""
    stat = images.stat_images(spec)

    def look(start: int) -> bytes:
        some = names[start : start + CHUNK]
        return b"".join(hash_of(n, s) if (s := stat(n)) else NO_FILE for n in some)

    with ThreadPoolExecutor(count_cores()) as pool:
        for block in range(0, len(names), BLOCK):
            starts = range(block, min(block + BLOCK, len(names)), CHUNK)
            yield block, np.frombuffer(b"".join(pool.map(look, starts)), "<u8").reshape(-1, 2)


def _read(
    spec: Spec, names: Sequence[str], todo: np.ndarray, runtime: Runtime
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Some of the images `todo` (bool [image]) and their digests, as they come."""
    if not todo.any():
        return
    if runtime.engine == "ray":
        yield from _read_on_ray(spec, names, todo, runtime)
        return
    read = images.open_images(spec)

    def of_chunk(rows: np.ndarray) -> np.ndarray:
        return np.stack([_digest(read, names[row]) for row in rows.tolist()])

    with ThreadPoolExecutor(count_cores()) as pool:
        for block in range(0, len(names), BLOCK):
            chunks = list(_parts(todo, range(block, block + 1), CHUNK))
            yield from zip(chunks, pool.map(of_chunk, chunks), strict=True)


def _read_on_ray(
    spec: Spec, names: Sequence[str], todo: np.ndarray, runtime: Runtime
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    blocks = range(0, len(names), BLOCK)
    count = sum(-(-int(todo[b : b + BLOCK].sum()) // TASK) for b in blocks)
    out: dict[int, np.ndarray] = {}

    def tasks() -> Iterator[tuple[list[str]]]:
        for number, rows in enumerate(_parts(todo, blocks, TASK)):
            out[number] = rows
            yield ([names[row] for row in rows.tolist()],)

    runtime = runtime.model_copy(update={"device": "cpu"})  # of the machines without a GPU, too
    for number, found in over_ray(partial(_reader, spec), tasks(), count, runtime):
        yield out.pop(number), found


def _parts(todo: np.ndarray, blocks: range, size: int) -> Iterator[np.ndarray]:
    """The rows (int64) that are `todo`, `size` of each block or the rest of it at once."""
    for block in blocks:
        rows = block + np.flatnonzero(todo[block : block + BLOCK])
        yield from (rows[start : start + size] for start in range(0, len(rows), size))


def _reader(spec: Spec, runtime: Runtime) -> Callable[[list[str]], np.ndarray]:
    read, pool = images.open_images(spec), ThreadPoolExecutor(runtime.workers)
    return lambda names: np.stack(list(pool.map(partial(_digest, read), names)))


def _digest(read: images.Opener, name: str) -> np.ndarray:
    return np.frombuffer(images.digest(read(name)), np.uint8)
