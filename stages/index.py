"""List a dataset's images with the digest of their bytes, their split, and, apart, their labels."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import images
import store
from pipeline.indexing.digests import digests
from pipeline.indexing.index import save_index
from pipeline.indexing.vectors import files_of, is_vectors, list_vectors
from pipeline.io.cell import images_of, labels_of
from pipeline.kept import keep
from pipeline.names import require_split_names
from pipeline.params import Runtime, read_params
from stages import run

PARTS = 16  # in which equal images are looked for, one after the other


def main(dataset: str, runtime: Runtime) -> None:
    """List the images of a dataset: names, digests and splits, and, apart, their labels.

    DATASET is a key of `datasets` in params.yaml. This stage looks at the images each time that it
    is asked; a file is read again only when its size, times or inode have changed, and nothing
    downstream runs again unless an image came, went or changed. Where the images are not here, as
    in a second clone, what is there stays, if the settings of the dataset did not change.
    """
    key = f"datasets.{dataset}"
    index, spec = images_of(dataset), read_params(key)
    if index.exists() and "root" in spec and not Path(spec["root"]).expanduser().exists():
        return keep("index", key, spec["root"], index)
    if is_vectors(spec):
        missing = [file for file in files_of(spec) if not Path(file).exists()]
        if missing and index.exists():
            return keep("index", key, missing[0], index)
        listing, digest = list_vectors(dataset)
    else:
        listing = images.list_images(spec)
        digest = digests(spec, listing.names, index.with_suffix(".seen.h5"), runtime)
    if _holds_project(spec):
        print(
            "index: root holds this project: pictures in its data/ and report/ count, unless "
            "exclude names them",
            file=sys.stderr,
        )
    for note in listing.notes:
        print(f"index: {note}", file=sys.stderr)
    require_split_names(dataset, listing.splits)
    found = save_index(index, dataset, listing, digest)
    store.save(
        labels_of(dataset),
        "labels",
        {"label": listing.labels.astype(np.int32)},
        {"dataset": dataset, "classes": list(listing.classes)},
    )
    parts = ", ".join(f"{name} {np.sum(found.split == s)}" for s, name in enumerate(found.splits))
    twins, odd = _twins(found.digest, found.split, listing.labels)
    print(
        f"index: {len(found.digest)} images ({parts}), {listing.n_classes} classes, {twins} twins"
    )
    for line in [*odd, *_labels(listing)]:
        print(f"index: {line}")


def _holds_project(spec: Any) -> bool:
    here = Path.cwd()
    return "root" in spec and Path(spec["root"]).expanduser().resolve() in (here, *here.parents)


def _twins(digest: np.ndarray, split: np.ndarray, label: np.ndarray) -> tuple[int, list[str]]:
    """How many images equal one before them, and what is odd about such images. They are looked for
    in parts, by the first byte of the digest: that bounds the memory."""
    twins = parted = torn = 0
    for part in range(PARTS):
        rows = np.flatnonzero(digest[:, 0] % PARTS == part)
        _, group = np.unique(digest[rows], axis=0, return_inverse=True)
        group, known = group.reshape(-1), label[rows] >= 0
        twins += len(rows) - int(group.max(initial=-1)) - 1
        parted += _in_several(group, split[rows])
        torn += _in_several(group[known], label[rows][known])
    odd = [f"{parted} in several splits: what is scored was fitted too"] * bool(parted)
    odd += [f"{torn} in several classes"] * bool(torn)
    return twins, [f"images that are there more than once: {'; '.join(odd)}"] * bool(odd)


def _in_several(group: np.ndarray, of: np.ndarray) -> int:
    """How many groups have images in several classes or splits `of`, int [image]."""
    pairs = np.unique(np.stack([group, of.astype(np.int64)]), axis=1)
    return int((np.bincount(pairs[0]) > 1).sum()) if pairs.size else 0


def _labels(listing: images.Listing) -> Iterator[str]:
    """The classes by name, those without images, and how many images have no label."""
    if not listing.classes:
        return
    yield f"labels of {len(listing.classes)} classes, in this order: {images.few(listing.classes)}"
    known = listing.labels >= 0
    size = np.bincount(listing.labels[known], minlength=len(listing.classes))
    empty = [name for name, n in zip(listing.classes, size, strict=True) if not n]
    if empty:
        yield f"{len(empty)} of them have no image here: {images.few(empty)}"
    if not known.all():
        of, lack = (np.bincount(listing.split[some], minlength=len(listing.splits))
                    for some in (slice(None), ~known))  # fmt: skip
        yield "without a label: " + ", ".join(
            f"{name} {lack[s]} of {of[s]}" for s, name in enumerate(listing.splits) if lack[s]
        )


if __name__ == "__main__":
    run(main)
