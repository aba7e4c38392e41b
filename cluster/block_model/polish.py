"""Polish: what the vectors say about the clusters is added to what the graph says.

A linear model of the vectors predicts the clusters, each image by a model that was fitted without
it (4-fold cross-fitting; ridge regression to one-hot clusters, Hoerl and Kennard 1970), and image i
goes to the cluster c of the highest

    2 (N L')_ic / d_i + log q_ic - log max(p_c, 1e-3),

with the first term of cluster.block_model.scores, q the softmax of the predictions over a
temperature, at least 1e-4, and p the shares of the images in the clusters, so that an image that
the model knows nothing of has no preference. After three such sweeps the model is fitted anew.
The penalty is a tenth of the mean diagonal of the matrix of moments; the vectors are divided by
their standard deviation, all dims by the same. Sums are in float64, by blocks of fixed size.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cluster.block_model.information import CELLS, add_rows, cluster_weights
from cluster.block_model.scores import best_clusters
from cluster.kernels.threads import on_cores
from cluster.vectors.rows import Rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FOLDS, SWEEPS, FITS = 4, 3, 15
PENALTY = 0.1  # of the mean diagonal
TEMPERATURE = 0.1
LEAST = 1e-4  # probability
LEAST_SHARE = 1e-3
STOP = 1e-3  # share of the images that a fit still moves
ROWS = 8192  # rows at once; fixed, since it decides the order of sums


def polish(
    graph: "csr_array",
    vectors: Rows,
    start: np.ndarray,
    k: int,
    *,
    lag: int,
    seed: int,
    copies: np.ndarray | None = None,
    progress: Callable[[int], object] = lambda moved: None,
) -> np.ndarray:
    """The polished clusters, int32 [image], of `start`, int [image] in 0..k-1.

    vectors: [image, dim], as l2(PCA(l2(x))); copies: int [image], how many images each stands for.
    `progress` is called after each fit with the number of images that it moved.
    """
    own = np.asarray(start, np.int32)
    model = CrossFitted(vectors, seed, copies)
    count = np.ones(len(own)) if copies is None else copies.astype(np.float64)
    for _ in range(FITS):
        before = own
        model.fit(own, k)
        for _ in range(SWEEPS):
            share = np.bincount(own, count, minlength=k) / count.sum()
            own = best_clusters(
                graph,
                own,
                cluster_weights(graph, own, k, lag=lag),
                lag=lag,
                prior=model.prior(np.log(np.maximum(share, LEAST_SHARE))),
            )
        moved = count @ (own != before)
        progress(int(moved))
        if moved < STOP * count.sum():
            break
    return own


class CrossFitted:
    """Ridge regression of one-hot clusters on vectors, each row by a model of the other folds."""

    def __init__(self, vectors: Rows, seed: int, copies: np.ndarray | None) -> None:
        self._rows, n = vectors, len(vectors)
        self._count = np.ones(n) if copies is None else copies.astype(np.float64)
        self._fold = np.random.default_rng(seed).permutation(n) % min(FOLDS, max(1, n))
        self._starts, dim = range(0, n, ROWS), vectors.dim
        total, square = np.zeros(dim), 0.0
        for low in self._starts:
            block = vectors.block(low, min(low + ROWS, n)).astype(np.float64)
            weighted = block * self._count[low : low + ROWS, None]
            total += weighted.sum(axis=0)
            square += float((weighted * block).sum())
        images = self._count.sum()
        self._mean = total / images
        variance = square / images - self._mean @ self._mean
        self._sd = np.sqrt(max(variance, 0) / dim) or 1.0
        moments = self._moments()
        whole = moments.sum(axis=0)
        penalty = PENALTY * np.trace(whole) / len(whole) * np.eye(len(whole))
        self._inverse = np.empty_like(moments)

        def invert(fold: int) -> None:
            self._inverse[fold] = np.linalg.inv(whole - moments[fold] + penalty)

        on_cores(invert, range(FOLDS))

    def fit(self, own: np.ndarray, k: int) -> None:
        """Fit the models of all folds to the clusters int32 [image]."""
        images, width = len(self._fold), self._rows.dim + 1
        sums = np.zeros((FOLDS, k, width))
        for low in self._starts:
            group = self._fold[low : low + ROWS] * k + own[low : low + ROWS]
            x = self._block(low)
            x *= self._count[low : low + ROWS, None]
            add_rows(x, group, sums.reshape(FOLDS * k, width))
        whole = sums.sum(axis=0)
        self._model = np.empty((FOLDS, width, k))

        def solve(fold: int) -> None:
            self._model[fold] = self._inverse[fold] @ (whole - sums[fold]).T

        on_cores(solve, range(FOLDS))
        self._log_total = np.empty(images)
        self._log_q = np.empty((images, k)) if images * k <= CELLS else None

        def some(low: int) -> None:
            score = self._scores(low, min(low + ROWS, images), slice(0, k))
            most = score.max(axis=1)
            total = np.exp(score - most[:, None]).sum(axis=1)
            self._log_total[low : low + ROWS] = most + np.log(total)
            if self._log_q is not None:
                self._log_q[low : low + ROWS] = self._bounded(score, slice(low, low + ROWS))

        on_cores(some, self._starts)

    def prior(self, log_share: np.ndarray) -> Callable[[slice, slice], np.ndarray]:
        """log q - log p of a block of images and clusters (cluster.block_model.scores)."""

        def of(rows: slice, clusters: slice) -> np.ndarray:
            if self._log_q is not None:
                return self._log_q[rows, clusters] - log_share[clusters]
            score = self._scores(rows.start, rows.stop, clusters)
            return self._bounded(score, rows) - log_share[clusters]

        return of

    def _bounded(self, score: np.ndarray, rows: slice) -> np.ndarray:
        """log q of the scores of some rows."""
        score -= self._log_total[rows, None]
        return np.maximum(score, np.log(LEAST), out=score)

    def _block(self, low: int, high: int | None = None) -> np.ndarray:
        """[Z / sd, 1] of some rows, float64 [image, dim + 1]."""
        block = self._rows.block(low, min(high or low + ROWS, len(self._fold)))
        out = np.ones((len(block), self._rows.dim + 1))
        np.subtract(block, self._mean, out=out[:, :-1])
        out[:, :-1] /= self._sd
        return out

    def _moments(self) -> np.ndarray:
        """X'X of each fold, float64 [fold, dim + 1, dim + 1]."""
        width = self._rows.dim + 1
        out = np.zeros((FOLDS, width, width))

        def add(x: np.ndarray, fold: np.ndarray, count: np.ndarray, number: int) -> None:
            some = x[fold == number]
            out[number] += (some * count[fold == number, None]).T @ some

        for low in self._starts:
            here = slice(low, low + ROWS)
            on_cores(
                partial(add, self._block(low), self._fold[here], self._count[here]), range(FOLDS)
            )
        return out

    def _scores(self, low: int, high: int, clusters: slice) -> np.ndarray:
        """The predictions over the temperature, float64 [image, cluster]."""
        x, fold = self._block(low, high), self._fold[low:high]
        out = np.empty((len(x), len(range(*clusters.indices(self._model.shape[2])))))
        for number, model in enumerate(self._model):
            some = fold == number
            out[some] = x[some] @ model[:, clusters]
        return out / TEMPERATURE
