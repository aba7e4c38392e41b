"""What suggestions are computed in: made once, a few numbers an image, so that all of it is quick.

The vectors at length 1, centred, on their leading principal components; the kernel exp(-|x - y|²)
of these with some landmark images, which Nyström's method (Williams and Seeger 2001) turns into
features whose inner product it is; and the graph of nearest neighbours, weighted by the neighbours
that two images share, and normalised as in label spreading, D^-1/2 W D^-1/2 (Zhou et al. 2004).
The mean squared length of a vector is 1, which sets the width of the kernel in any space.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.spectral.snn_graph import jaccard_graph
from cluster.vectors.rows import TILE, Rows, UnitRows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DIMS, LANDMARKS, NEIGHBORS = 128, 768, 20
SAMPLE = 20_000  # images that the principal components are computed from, at most
RANK = 1e-7  # of the largest eigenvalue: smaller ones are rounding


class Space(NamedTuple):
    """vectors: float32 [image, component], of the mean squared length 1; unit: the same at length
    1; kernel: float32 [image, feature]; graph: float64 csr [image, image], shared neighbours;
    spread: the same, normalised."""

    vectors: np.ndarray
    unit: np.ndarray
    kernel: np.ndarray
    graph: "csr_array"
    spread: "csr_array"


def make_space(
    rows: Rows,
    neighbor: np.ndarray,
    *,
    dims: int = DIMS,
    landmarks: int = LANDMARKS,
    neighbors: int = NEIGHBORS,
    seed: int = 0,
) -> Space:
    """The space of `rows`, float32 [image, dim]; neighbor: int [image, neighbor], their nearest
    images, as positions. Raises ClusterError when there are no images, or other ones."""
    if not len(rows) or len(rows) != len(neighbor):
        raise ClusterError(
            f"there are {len(rows)} vectors and neighbours of {len(neighbor)} images: expected one "
            "image or more, the same in both"
        )
    vectors = principal(rows, dims, seed)
    graph = jaccard_graph(neighbor[:, :neighbors])
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(length, np.float32(1e-12))
    kernel = nystrom(vectors, landmarks, seed)
    return Space(vectors, unit, kernel, graph, normalised(graph))


def principal(rows: Rows, dims: int, seed: int) -> np.ndarray:
    """float32 [image, component], of the mean squared length 1; the components are those of a
    sample. Constant vectors are 0."""
    images, unit = len(rows), UnitRows(rows)
    sample = np.sort(np.random.default_rng(seed).permutation(images)[:SAMPLE])
    drawn = unit.take(sample).astype(np.float64)
    mean = drawn.mean(axis=0)
    drawn -= mean
    _, axes = np.linalg.eigh(drawn.T @ drawn)
    axes = axes[:, ::-1][:, :dims]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1)
    out = np.empty((images, axes.shape[1]), np.float32)
    for start in range(0, images, TILE):
        stop = min(start + TILE, images)
        out[start:stop] = (unit.block(start, stop).astype(np.float64) - mean) @ axes
    size = np.sqrt(np.square(out, dtype=np.float64).sum(axis=1).mean())
    return (out / max(size, 1e-12)).astype(np.float32)


def nystrom(vectors: np.ndarray, landmarks: int, seed: int) -> np.ndarray:
    """Features float32 [image, feature] whose inner products are the kernel's, nearly; exactly
    with all images as landmarks."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:landmarks])
    points = vectors[chosen].astype(np.float64)
    value, axes = np.linalg.eigh(_kernel(points, points))
    kept = value > RANK * value[-1]
    turn = axes[:, kept] / np.sqrt(value[kept])
    out = np.empty((len(vectors), int(kept.sum())), np.float32)
    for start in range(0, len(vectors), TILE):
        block = vectors[start : start + TILE].astype(np.float64)
        out[start : start + TILE] = _kernel(block, points) @ turn
    return out


def normalised(graph: "csr_array") -> "csr_array":
    """D^-1/2 W D^-1/2 of a graph, D its row sums; images without an edge keep none."""
    from scipy.sparse import diags_array

    degree = np.asarray(graph.sum(axis=1)).reshape(-1)
    scale = diags_array(1 / np.sqrt(np.where(degree > 0, degree, 1)))
    return (scale @ graph @ scale).tocsr()


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    square = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1) - 2 * x @ y.T
    return np.exp(-np.maximum(square, 0))
