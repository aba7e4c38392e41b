"""A store together with the names of its images, and whether two of them can be compared."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

import store
from pipeline.io.absent import Absent
from pipeline.io.origin import OF_A_FILE, OF_PARTS
from pipeline.params import StageError

BLOCK = 65_536  # images that are compared at once


class Collection(NamedTuple):
    """features: the store; name: [image], of each image in it."""

    features: store.Features
    name: store.Text


def open_collection(features: Path, index: Path) -> Collection:
    """The store FEATURES with the names that INDEX has; StageError if that is of other images."""
    found = store.Features(features)
    with store.read(index, "index") as file:
        name, digest, dataset = file.text("name"), file.mapped("digest"), file.attrs["dataset"]
    if dataset != found.dataset or not _same(digest, found):
        raise StageError(f"{index} is not the index of the images in {features}: run `dvc repro`")
    return Collection(found, name.of(found.row))


def _same(digest: np.ndarray, found: store.Features) -> bool:
    """Whether the images of a store are those of an index with these digests."""
    if found.row.max(initial=-1) >= len(digest):
        return False
    blocks = (slice(start, start + BLOCK) for start in range(0, len(found), BLOCK))
    return all(np.array_equal(digest[found.row[some]], found.id[some]) for some in blocks)


def require_one_backbone(one: store.Features, other: store.Features) -> None:
    """Raise StageError unless both stores were made by the same encoder. That two files of vectors
    are of one, none but the user can tell."""
    if (one.backbone, one.dim) != (other.backbone, other.dim):
        raise StageError(
            f"{one.path} holds features of {one.backbone}, {one.dim} wide, {other.path} those of "
            f"{other.backbone}, {other.dim} wide: compare within one backbone"
        )
    require_own_components(one, other)
    of_files = one.encoder.endswith(OF_A_FILE) and other.encoder.endswith(OF_A_FILE)
    if one.encoder != other.encoder and not of_files:
        raise StageError(
            f"{one.path} and {other.path} were made by different versions of {one.backbone}: "
            "run `dvc repro embed`"
        )


def require_own_components(one: store.Features, other: store.Features) -> None:
    """Raise Absent for two datasets by a fused backbone: the components of its parts are those of
    each dataset, so that vectors of the two do not compare."""
    if one.dataset != other.dataset and one.encoder.endswith(OF_PARTS):
        raise Absent(
            f"{one.backbone} is fused of the principal components of each dataset, which do not "
            "compare; its parts do"
        )


def is_in(digest: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which images are among the others too: uint8 [image, 16] twice → bool [image]."""
    one, other = (np.ascontiguousarray(each).view("S16").ravel() for each in (digest, others))
    return np.isin(one, other)
