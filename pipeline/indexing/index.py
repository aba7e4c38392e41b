"""The index of a dataset: its images by name, the digest of their bytes and their split.

A feature store is laid out after it. Names are read from it where they are needed.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

import images
import store
from cluster.scratch import scratch_array

BLOCK = 65_536  # names that are text at once


class Index(NamedTuple):
    """name: str [image]; digest: uint8 [image, 16], mapped; split: uint8 [image], which of
    `splits`; n_classes: how many are expected, 0 where nobody said."""

    dataset: str
    splits: list[str]
    n_classes: int
    name: store.Text
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
        attrs, name, digest = file.attrs, file.text("name"), file.mapped("digest")
        return Index(
            attrs["dataset"], attrs["splits"], attrs["n_classes"], name, digest, file["split"]
        )


def save_index(path: Path, dataset: str, listing: images.Listing, digest: np.ndarray) -> Index:
    """Write to `path` (kind index) the images of a listing, and the digest of each (uint8
    [image, 16])."""
    present = [listing.splits[s] for s in np.unique(listing.split)]
    splits = sorted(present, key=lambda name: (name != "train", name))
    number = [splits.index(s) if s in present else 0 for s in listing.splits]
    split, name = np.array(number, np.uint8)[listing.split], _encoded(listing)
    store.save(
        path,
        "index",
        {"name": name, "digest": digest, "split": split},
        {"dataset": dataset, "splits": splits, "n_classes": listing.n_classes},
    )
    return Index(dataset, splits, listing.n_classes, name, digest, split)


def _encoded(listing: images.Listing) -> store.Text:
    """The names, as the file holds them."""
    longest = max((len(name.encode()) for name in listing.names), default=1) or 1
    out = scratch_array(len(listing.names), f"S{longest}")
    for start in range(0, len(out), BLOCK):
        out[start : start + BLOCK] = [n.encode() for n in listing.names[start : start + BLOCK]]
    return store.Text(out)
