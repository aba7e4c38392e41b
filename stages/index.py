"""List a dataset's images with the digest of their bytes, their split, and, apart, their labels."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

import images
import store
from pipeline.io.arrays import read_arrays, save_arrays
from pipeline.io.cell import images_of, labels_of, require_name
from pipeline.io.vectors import files_of, is_vectors, list_vectors
from pipeline.params import count_cores, read_params
from stages import run

TOGETHER = 64  # images that a thread looks at in one go: a task for each takes a kilobyte


def main(dataset: str) -> None:
    """List the images of a dataset: names, digests and splits, and, apart, their labels.

    DATASET is a key of `datasets` in params.yaml. This stage looks at the images each time that it
    is asked; a file is read again only when its size or time has changed, and nothing downstream
    runs again unless an image came, went or changed.
    """
    index, spec = images_of(dataset), read_params(f"datasets.{dataset}")
    require_name(dataset)
    if index.exists() and "root" in spec and not Path(spec["root"]).expanduser().exists():
        # A second clone has what `dvc pull` brought, not the pictures: everything else still works.
        print(f"index: {spec['root']} is not here; {index} stays as it is", file=sys.stderr)
        return
    if is_vectors(spec):
        missing = [file for file in files_of(spec) if not Path(file).exists()]
        if missing and index.exists():
            print(f"index: {missing[0]} is not here; {index} stays as it is", file=sys.stderr)
            return
        listing, digests = list_vectors(dataset)
    else:
        listing = images.list_images(spec)
        digests = _digests(spec, listing.names, index.with_suffix(".seen.npz"))
    splits = sorted(set(listing.splits), key=lambda name: (name != "train", name))
    split = np.array([splits.index(name) for name in listing.splits], np.uint8)
    store.save(
        index,
        "index",
        {"name": np.array(listing.names, object), "digest": digests, "split": split},
        {"dataset": dataset, "splits": splits, "n_classes": listing.n_classes},
    )
    store.save(
        labels_of(dataset),
        "labels",
        {"label": listing.labels.astype(np.int32)},
        {"dataset": dataset, "classes": list(listing.classes)},
    )
    parts = ", ".join(f"{name} {np.sum(split == s)}" for s, name in enumerate(splits))
    twins = len(digests) - len(np.unique(digests, axis=0))
    print(f"index: {len(split)} images ({parts}), {listing.n_classes} classes, {twins} twins")


def _digests(spec: dict, names: list[str], seen_path: Path) -> np.ndarray:
    """uint8 [image, 16]. Files of known size and time are not read again; what is remembered lies
    beside the index, in no out: times are this machine's affair."""
    read, stat = images.open_images(spec), images.stat_images(spec)
    seen = _load_seen(seen_path, spec)
    digests = np.empty((len(names), 16), np.uint8)
    stats = np.zeros((len(names), 2), np.int64)

    def look(start: int) -> int:
        stop = min(start + TOGETHER, len(names))
        for i in range(start, stop):
            one(i)
        return stop - start

    def one(i: int) -> None:
        found = stat(names[i])
        known = seen.get(names[i])
        if found is not None and known is not None and known[0] == found:
            digest = known[1]
        else:
            digest = images.digest(read(names[i]))
        digests[i] = np.frombuffer(digest, np.uint8)
        stats[i] = found or (-1, -1)

    bar = tqdm(desc="index", total=len(names), disable=None, unit="img")
    with bar, ThreadPoolExecutor(count_cores()) as pool:
        for done in pool.map(look, range(0, len(names), TOGETHER)):
            bar.update(done)
    if len(names) and (stats[:, 0] >= 0).any():
        _save_seen(seen_path, spec, names, stats, digests)
    return digests


def _load_seen(path: Path, spec: dict) -> dict[str, tuple[tuple[int, int], bytes]]:
    try:
        found = read_arrays(path)
    except (OSError, ValueError):
        return {}  # it only saves time
    if found["spec"] != json.dumps(spec, sort_keys=True):
        return {}  # what is read of a file may hang on it
    each = zip(found["name"].tolist(), found["stat"].tolist(), found["digest"], strict=True)
    return {name.decode(): ((size, time), digest.tobytes()) for name, (size, time), digest in each}


def _save_seen(
    path: Path, spec: dict, names: list[str], stats: np.ndarray, digests: np.ndarray
) -> None:
    name, said = np.array([n.encode() for n in names]), np.array(json.dumps(spec, sort_keys=True))
    save_arrays(path, {"spec": said, "name": name, "stat": stats, "digest": digests})


if __name__ == "__main__":
    run(main)
