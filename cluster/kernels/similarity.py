"""Bit-identical similarities of pairs, and their reduction to inner products for a search.

The similarity of a pair is a sum in float64 whose order depends on the dim only: no block size,
thread, library or device changes its last digit, and equal vectors get equal similarities. The
cosine is x·y / √(x·x y·y), which for equal vectors is 1 exactly.

A search cannot afford that for each pair. `ProductSpace` transforms the vectors to norms of about
1, so that one matrix product in float32 orders them by similarity up to `error_bound`. Euclidean
distance becomes an inner product with one more dim: x·y - y·y/2 = (x·x - |x - y|²)/2, of centred
vectors, so that data far from the origin loses no digits.
"""

from typing import Literal, NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.kernels.low_precision import ROUNDING, MatmulPrecision
from cluster.kernels.threads import on_cores
from cluster.vectors.rows import TILE, Rows

Metric = Literal["cosine", "inner_product", "euclidean"]

READ, STEP = 2**19, 2**16  # numbers that a core reads at once, and that it processes in its cache
ROUNDING_64 = ROUNDING * 2.0**-26  # of products in float64, with a safety factor


class Survey(NamedTuple):
    """Statistics of all rows. squares: float64 [image], x·x; mean: float64 [dim]; code: uint64
    [image], a hash, equal for equal vectors; positive: whether no number is below 0."""

    squares: np.ndarray
    mean: np.ndarray
    code: np.ndarray
    positive: bool


def survey(rows: Rows) -> Survey:
    """Read all rows once. Raises ClusterError, naming the first such image, if a row holds nan or
    infinity."""
    squares, code = np.empty(len(rows)), np.empty(len(rows), np.uint64)
    total, positive = np.zeros(rows.dim), True
    random = code_weights(rows.dim)
    step = max(1, STEP // rows.dim)
    for start in range(0, len(rows), TILE):
        block = rows.block(start, min(start + TILE, len(rows)))

        def survey_block(low: int, first: int = start, block: np.ndarray = block) -> None:
            x = block[low : low + step].astype(np.float64)
            here = slice(first + low, first + low + len(x))
            squares[here] = (x * x).sum(-1)
            code[here] = row_codes(block[low : low + step], random)

        on_cores(survey_block, range(0, len(block), step))
        finite = np.isfinite(squares[start : start + len(block)])
        if not finite.all():
            raise ClusterError(
                f"the features of image {start + int(finite.argmin())} are not finite (nan or "
                "infinity): embed it again, or leave it out"
            )
        total += block.sum(0, dtype=np.float64)
        positive = positive and bool((block >= 0).all())
    return Survey(squares, total / max(1, len(rows)), code, positive)


def code_weights(dim: int) -> np.ndarray:
    """The random odd weights of `row_codes`: uint64 [dim]."""
    return np.random.default_rng(0).integers(0, 2**64, dim, np.uint64) | np.uint64(1)


def row_codes(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A hash of each vector of float32 x [image, dim], equal for equal ones: uint64 [image]."""
    bits = (x + np.float32(0)).view(np.uint32)  # -0 becomes 0
    return (bits * weights).sum(-1)


def similarities(
    x: np.ndarray,
    squares: np.ndarray,
    row: np.ndarray,
    among: Rows,
    of_among: Survey,
    position: np.ndarray,
    metric: Metric,
) -> np.ndarray:
    """The similarity of x[row] and the row `position` of `among` (both int64 [pair]): float64
    [pair].

    x: float32 [image, dim]; squares: float64 [image], x·x. metric euclidean: minus the distance.
    The cosine of a vector of zeros is 0.
    """
    out = np.empty(len(row))
    read, step = max(1, READ // among.dim), max(1, STEP // among.dim)

    def compare(start: int) -> None:
        there = among.take(position[start : start + read])
        for low in range(0, len(there), step):
            here = slice(start + low, start + min(low + step, len(there)))
            y = there[low : low + step].astype(np.float64)
            if metric == "euclidean":
                y -= x[row[here]].astype(np.float64)
                y *= y
                out[here] = -np.sqrt(y.sum(-1))
            else:
                y *= x[row[here]].astype(np.float64)
                out[here] = y.sum(-1)

    on_cores(compare, range(0, len(row), read))
    if metric == "cosine":
        length = np.sqrt(squares[row] * of_among.squares[position])
        np.divide(out, length, out=out, where=length > 0)
    return out + 0.0  # not -0


class ProductSpace(NamedTuple):
    """A transform after which inner products order the rows of `among` by similarity to a query."""

    metric: Metric
    mean: np.ndarray  # float64 [dim]
    scale: float  # divides all norms; unused by the cosine metric, which normalises each vector

    @classmethod
    def of(cls, among: Survey, metric: Metric) -> "ProductSpace":
        longest = float(np.sqrt(among.squares.max(initial=0)))
        if metric == "euclidean":
            longest += float(np.linalg.norm(among.mean))
        return cls(metric, among.mean, longest or 1.0)

    def targets(self, x: np.ndarray, squares: np.ndarray, dtype: type) -> np.ndarray:
        """Rows of `among`, to multiply with: x float32 [image, dim] → [image, dim (+ 1)]."""
        if self.metric == "cosine":
            return _unit_rows(x, squares, dtype)
        if self.metric == "inner_product":
            return np.divide(x, self.scale, dtype=np.float64).astype(dtype)
        y = (x - self.mean) / self.scale
        return np.concatenate([y, -np.square(y).sum(1, keepdims=True) / 2], 1, dtype=dtype)

    def queries(self, x: np.ndarray, squares: np.ndarray, dtype: type) -> np.ndarray:
        """The same of the queries."""
        if self.metric != "euclidean":
            return _unit_rows(x, squares, dtype)
        y = (x - self.mean) / self.scale
        return np.concatenate([y, np.ones((len(y), 1))], 1, dtype=dtype)

    def product(self, similarity: np.ndarray, query: np.ndarray, squares: np.ndarray) -> np.ndarray:
        """The product, float64 [image], that corresponds to a similarity to each of the queries."""
        if self.metric == "cosine":
            return similarity
        if self.metric == "inner_product":
            return _divide_or_zero(similarity, np.sqrt(squares) * self.scale)
        return (self._squared_norm(query) - np.square(similarity / self.scale)) / 2

    def error_bound(
        self, similarity: np.ndarray, query: np.ndarray, rounding: float = ROUNDING
    ) -> np.ndarray:
        """The error, float64 [image], of the product with any row of `among` whose similarity to
        the query is at least `similarity`."""
        if self.metric != "euclidean":
            return np.full(len(query), rounding * query.shape[1] ** 0.5)
        length = np.sqrt(self._squared_norm(query))
        reach = length - similarity / self.scale  # the norm of any target that near
        return rounding * query.shape[1] ** 0.5 * reach * (length + reach)

    def margin(self, query: np.ndarray, precision: MatmulPrecision) -> np.ndarray:
        """How far below the k-th largest product one of the k true neighbours may lie, float32
        [image], whatever the vectors."""
        # The norm of a target is at most 1 here, or, with the dim added, √(1 + 1/4).
        longest = 1.25**0.5 if self.metric == "euclidean" else 1.0
        off = (precision.error + precision.rounding(query.shape[1])) * longest * 1.01
        return (2 * off * np.linalg.norm(query, axis=1)).astype(np.float32)

    def _squared_norm(self, query: np.ndarray) -> np.ndarray:
        return np.square(query[:, :-1], dtype=np.float64).sum(1)


def _unit_rows(x: np.ndarray, squares: np.ndarray, dtype: type) -> np.ndarray:
    """x / |x|, divided in float64; vectors of zeros stay. squares: float64 [image], x·x."""
    length = np.sqrt(squares)
    length[length == 0] = 1
    out: np.ndarray = np.empty(x.shape, dtype)
    step = max(1, STEP // x.shape[1])

    def divide(start: int) -> None:
        here = slice(start, start + step)
        out[here] = x[here] / length[here, None]

    on_cores(divide, range(0, len(x), step))
    return out


def _divide_or_zero(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.divide(x, by, out=np.zeros(np.broadcast_shapes(x.shape, by.shape)), where=by > 0)
