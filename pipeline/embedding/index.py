"""The index of a dataset: its images by name, the digest of their bytes and their split.

A feature store is laid out after it. Files whose size, times and inode are known are not read
again; what is remembered lies beside the index, in no out of a stage: times are this machine's.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import images
import store
from pipeline.io.arrays import read_arrays, save_arrays
from pipeline.params import Runtime, count_cores
from pipeline.ray.tasks import over_ray

CHUNK = 64  # images that a thread looks at in one go: a task for each takes a kilobyte
TASK = 4096  # images that are a task of a Ray cluster

Spec = Mapping[str, Any]  # a dataset's description, as under `datasets` in params.yaml
Seen = dict[str, tuple[tuple[int, ...], bytes]]  # by name: what stat_images says, digest
FACTS = 4  # that it says of a file


class Index(NamedTuple):
    """name: str [image]; digest: uint8 [image, 16]; split: uint8 [image], which of `splits`;
    n_classes: how many are expected, 0 where nobody said."""

    dataset: str
    splits: list[str]
    n_classes: int
    name: np.ndarray
    digest: np.ndarray
    split: np.ndarray

    def plan(self, backbone: str, encoder: str, dim: int, dtype: str) -> store.Plan:
        """What a feature store of these images by a backbone holds. encoder: its digest."""
        return store.Plan(
            self.dataset, backbone, encoder, dim, self.splits,
            self.digest, np.arange(len(self.name)), self.split, dtype,
        )  # fmt: skip


def read_index(path: Path) -> Index:
    """The index that was written to `path`."""
    with store.read(path, "index") as file:
        attrs = file.attrs
        arrays = (file[name] for name in ("name", "digest", "split"))
        return Index(attrs["dataset"], attrs["splits"], attrs["n_classes"], *arrays)


def save_index(path: Path, dataset: str, listing: images.Listing, digest: np.ndarray) -> Index:
    """Write to `path` (kind index) the images of a listing, and the digest of each (uint8
    [image, 16])."""
    splits = sorted(set(listing.splits), key=lambda name: (name != "train", name))
    split = np.array([splits.index(name) for name in listing.splits], np.uint8)
    name = np.array(listing.names, object)
    store.save(
        path,
        "index",
        {"name": name, "digest": digest, "split": split},
        {"dataset": dataset, "splits": splits, "n_classes": listing.n_classes},
    )
    return Index(dataset, splits, listing.n_classes, name, digest, split)


def digests(spec: Spec, names: list[str], seen_path: Path, runtime: Runtime) -> np.ndarray:
    """Of the images with these names, uint8 [image, 16]; `seen_path` is read and written anew.

    Raises ImagesError when a file cannot be read; with `runtime.engine: ray` also StageError, when
    no cluster can be had.
    """
    stat, seen = images.stat_images(spec), load_seen(seen_path, spec)
    read = images.open_images(spec) if runtime.engine == "local" else None
    digests = np.empty((len(names), 16), np.uint8)
    stats = np.full((len(names), FACTS), -1, np.int64)
    todo = np.zeros(len(names), bool)

    def look(start: int) -> int:
        """How many of a chunk are known, or read; the others are to be read elsewhere."""
        here = range(start, min(start + CHUNK, len(names)))
        for i in here:
            found, before = stat(names[i]), seen.get(names[i])
            if found is not None:
                stats[i] = found
            if found is not None and before is not None and before[0] == found:
                digests[i] = np.frombuffer(before[1], np.uint8)
            elif read is not None:
                digests[i] = _digest(read, names[i])
            else:
                todo[i] = True
        return len(here) - int(np.count_nonzero(todo[here.start : here.stop]))

    bar = tqdm(desc="index", total=len(names), disable=None, unit="img")
    with bar:
        with ThreadPoolExecutor(count_cores()) as pool:
            for done in pool.map(look, range(0, len(names), CHUNK)):
                bar.update(done)
        for some, found in _read_on_ray(spec, names, np.flatnonzero(todo), runtime):
            digests[some] = found
            bar.update(len(some))
    if len(names) and (stats[:, 0] >= 0).any():
        save_seen(seen_path, spec, names, stats, digests)
    return digests


def _read_on_ray(
    spec: Spec, names: list[str], todo: np.ndarray, runtime: Runtime
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The images of each task and their digests, as they come. todo: int64 [image]."""
    if not len(todo):
        return
    count = -(-len(todo) // TASK)
    each = (todo[start : start + TASK] for start in range(0, len(todo), TASK))
    tasks = (([names[i] for i in some],) for some in each)
    runtime = runtime.model_copy(update={"device": "cpu"})  # of the machines without a GPU, too
    for number, found in over_ray(partial(_reader, spec), tasks, count, runtime):
        yield todo[number * TASK :][:TASK], found


def _reader(spec: Spec, runtime: Runtime) -> Callable[[list[str]], np.ndarray]:
    read, pool = images.open_images(spec), ThreadPoolExecutor(runtime.workers)
    return lambda names: np.stack(list(pool.map(partial(_digest, read), names)))


def _digest(read: images.Opener, name: str) -> np.ndarray:
    return np.frombuffer(images.digest(read(name)), np.uint8)


def load_seen(path: Path, spec: Spec) -> Seen:
    """What is remembered of an equal `spec`; nothing where that is not there or damaged."""
    try:
        found = read_arrays(path)
    except (OSError, ValueError):
        return {}  # it only saves time
    if found["spec"] != json.dumps(dict(spec), sort_keys=True):
        return {}  # what is read of a file may hang on it
    if found["stat"].shape[1:] != (FACTS,):
        return {}  # an older Cairn looked at fewer
    each = zip(found["name"].tolist(), found["stat"].tolist(), found["digest"], strict=True)
    return {name.decode(): (tuple(stat), digest.tobytes()) for name, stat, digest in each}


def save_seen(
    path: Path, spec: Spec, names: list[str], stats: np.ndarray, digests: np.ndarray
) -> None:
    """Remember what `stat_images` says (`stats`, int64 [image, FACTS]) and digests."""
    name, said = (
        np.array([n.encode() for n in names]),
        np.array(json.dumps(dict(spec), sort_keys=True)),
    )
    save_arrays(path, {"spec": said, "name": name, "stat": stats, "digest": digests})
