"""Cosines of images to one vector, read in blocks: the features need not fit in memory."""

import numpy as np

import store

BLOCK = 4096  # images


def similarities(
    found: store.Features, vector: np.ndarray, rows: np.ndarray | None = None
) -> np.ndarray:
    """float32 [image], of all images or of `rows` (int [image]); vector: float32 [dim]."""
    own = unit(vector[None].astype(np.float32))[0]
    if rows is not None and len(rows) > len(found) // 4:
        return similarities(found, vector)[rows]  # blocks are read faster than rows
    count = len(found) if rows is None else len(rows)
    out = np.empty(count, np.float32)
    for low in range(0, count, BLOCK):
        high = min(low + BLOCK, count)
        block = found.block(low, high) if rows is None else found.take(rows[low:high])
        length = np.sqrt(np.einsum("ij,ij->i", block, block))
        out[low:high] = (block @ own) / np.maximum(length, 1e-12)
    return out


def most_similar(
    found: store.Features, vector: np.ndarray, many: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `many` images of largest cosine, int [image], and these."""
    cosine = similarities(found, vector)
    many = min(many, len(cosine))
    best = np.argpartition(-cosine, many - 1)[:many] if many else np.zeros(0, int)
    best = best[np.argsort(-cosine[best], kind="stable")]
    return best, cosine[best]


def unit(vectors: np.ndarray) -> np.ndarray:
    """float32 [image, dim] at length 1; 0 stays."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
