"""Several backbones side by side, as one: of each the leading principal components, at length 1.

E(X) = u(PCA(u(X))) of each part, Z = u([E_a | E_b | …]), where u(x) = x / |x|; centred and not
whitened. So each part weighs alike in every cosine, whatever its width and the lengths of its
vectors. The components are those of the split `train` of one dataset.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np

import store
from cluster.vectors.pca import fit_pca
from cluster.vectors.rows import Basis, Subset
from pipeline.io.origin import OF_PARTS
from pipeline.io.space import train_rows
from pipeline.params import StageError

TILE = 4096  # vectors that are made at a time
REVISION = 1  # of the arithmetic here: goes up when the vectors of equal parts change

Blocks = Iterator[tuple[np.ndarray, np.ndarray]]  # rows int64 [image], vectors float32 [image, dim]


def fit_part(found: store.Features, dims: int, device: str) -> tuple[Basis, int]:
    """The components of a part, and how many of the leading `dims` there are, 1 at least. Raises
    ClusterError with fewer than 2 images of train."""
    rows = Subset(found, train_rows(found))
    basis = fit_pca(rows, normalize=True, whiten=False, stored=found.dtype, device=device)
    return basis, max(1, min(dims, int(np.count_nonzero(basis.variance))))


def plan_of_part(found: store.Features, dims: int) -> store.Plan:
    """What the store of E holds, of the images in the store `found`. As float32: what comes of it
    is rounded once."""
    encoder = _named([found.encoder, found.checksums(), dims])
    return store.Plan(
        found.dataset, found.backbone, encoder, dims, found.splits, found.id, found.row,
        found.split, "float32",
    )  # fmt: skip


def part_blocks(found: store.Features, basis: Basis, dims: int) -> Blocks:
    """E of the images in `found`; zeros where the vectors of train are all alike."""
    for start in range(0, len(found), TILE):
        block = found.block(start, start + TILE)
        some = len(basis.components) >= dims
        made = _unit(basis.project(block, dims)) if some else np.zeros((len(block), dims))
        yield np.arange(start, start + len(block)), made.astype(np.float32)


def plan_of_fused(name: str, parts: Sequence[store.Features]) -> store.Plan:
    """What the store of Z holds. Raises StageError when the parts are of different images."""
    first, *others = parts
    for other in others:
        if not (np.array_equal(first.row, other.row) and np.array_equal(first.id, other.id)):
            shared = int(np.isin(first.row, other.row).sum())
            raise StageError(
                f"fused.{name}: {first.backbone} has {len(first)} images of {first.dataset}, "
                f"{other.backbone} {len(other)}, {shared} of them in both: embed or import the "
                "same images by both"
            )
    widths = tuple(part.dim for part in parts)
    encoder = _named([[part.backbone, part.encoder, part.checksums()] for part in parts])
    return store.Plan(
        first.dataset, name, encoder, sum(widths), first.splits, first.id, first.row,
        first.split, "float16", widths,
    )  # fmt: skip


def fused_blocks(parts: Sequence[store.Features]) -> Blocks:
    """Z of all images."""
    for start in range(0, len(parts[0]), TILE):
        made = _unit(np.concatenate([p.block(start, start + TILE) for p in parts], axis=1))
        yield np.arange(start, start + len(made)), made.astype(np.float32)


def _unit(x: np.ndarray) -> np.ndarray:
    """float32 [image, dim] → float64, at length 1; a vector of zeros stays."""
    length = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    return x / np.maximum(length, 1e-12)  # type: ignore[no-any-return]


def _named(facts: object) -> str:
    text = json.dumps([REVISION, facts])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest() + OF_PARTS
