"""The edges of a table of neighbours, their weights, and random batches of them.

Weights are those of a Gaussian kernel whose width is the image's own mean distance to its
neighbours (Ghriss, AISTATS 2026, arXiv:2511.02272):

    w_ij = exp(-|x_i - x_j|² / 2 sigma_i²),  W = (w + wᵀ) / 2.

An edge is drawn from the table and turned round by a coin, which is a draw from the symmetric W
without forming it. A batch depends on the seed and the number of its step only, so that a run can
resume at any step.
"""

from typing import NamedTuple

import numpy as np

from cluster.heads.neighbor_pairs import require_table
from cluster.kernels.similarity import Metric, survey
from cluster.vectors.rows import Rows

BLOCK = 65_536  # images whose weights are computed at once


class Drawn(NamedTuple):
    """Edges between images. image: int64 [image], the distinct images, sorted; left, right: int64
    [edge], the ends of each edge, as positions in `image`; weight: float32 [edge]."""

    image: np.ndarray
    left: np.ndarray
    right: np.ndarray
    weight: np.ndarray


def squared_distances(
    rows: Rows, neighbor: np.ndarray, similarity: np.ndarray, metric: Metric
) -> np.ndarray:
    """|x_i - x_j|², float32 [image, neighbor], of the table of `rows`: neighbor int32, similarity
    float32, both [image, neighbor]. metric cosine: of the vectors at length 1."""
    if metric == "euclidean":
        return np.square(similarity)
    if metric == "cosine":
        return np.maximum(2 - 2 * similarity, 0, dtype=np.float32)
    squares, out = survey(rows).squares, np.empty(similarity.shape, np.float32)
    for start in range(0, len(neighbor), BLOCK):
        here = slice(start, start + BLOCK)
        both = squares[here, None] + squares[neighbor[here]]
        out[here] = np.maximum(both - 2 * similarity[here].astype(np.float64), 0)
    return out


def gaussian_weights(square: np.ndarray) -> np.ndarray:
    """w, float32 [image, neighbor], of squared distances [image, neighbor]. An image all of whose
    neighbours are its copies has the weights 1."""
    out = np.empty(square.shape, np.float32)
    for start in range(0, len(square), BLOCK):
        distance = np.sqrt(np.maximum(square[start : start + BLOCK].astype(np.float64), 0))
        sigma = np.maximum(distance.mean(axis=1, keepdims=True), 1e-150)  # 0: copies
        out[start : start + BLOCK] = np.exp(-0.5 * (distance / sigma) ** 2)
    return out


class Edges:
    """The graph of a table of neighbours."""

    def __init__(self, neighbor: np.ndarray, weight: np.ndarray, seed: int) -> None:
        """neighbor: int32 [image, neighbor], rows of the same images; weight: float32, of the same
        shape. Raises ClusterError when an image is its own neighbour, or there is no edge."""
        require_table(neighbor)
        self._neighbor, self._weight, self._seed = neighbor, weight, seed

    def __len__(self) -> int:
        """Edges of the table."""
        return self._neighbor.size

    def degrees(self) -> np.ndarray:
        """The row sums of W, float64 [image]: above 0, since every image has its neighbours."""
        out = self._weight.sum(axis=1, dtype=np.float64)
        for column in range(self._neighbor.shape[1]):
            near, weight = self._neighbor[:, column], self._weight[:, column]
            out += np.bincount(near, weights=weight, minlength=len(out))
        return np.maximum(out / 2, np.finfo(np.float32).tiny)

    def at(self, step: int, batch: int) -> Drawn:
        """`batch` random edges, drawn with replacement: those of a step."""
        generator = np.random.default_rng([self._seed, step, 3])
        edge = generator.integers(len(self), size=batch)
        return self._drawn(edge, generator.random(batch) < 0.5)

    def spread(self, most: int) -> Drawn:
        """At most so many edges, all or from all over the table."""
        edge = np.linspace(0, len(self) - 1, min(most, len(self))).astype(np.int64)
        return self._drawn(edge, np.zeros(len(edge), bool))

    def _drawn(self, edge: np.ndarray, turned: np.ndarray) -> Drawn:
        """The edges by their number in the table, some of them turned round."""
        one, near = edge // self._neighbor.shape[1], self._neighbor.reshape(-1)[edge]
        ends = np.stack([np.where(turned, near, one), np.where(turned, one, near)])
        image, place = np.unique(ends, return_inverse=True)
        left, right = place.reshape(ends.shape)
        return Drawn(image.astype(np.int64), left, right, self._weight.reshape(-1)[edge])
