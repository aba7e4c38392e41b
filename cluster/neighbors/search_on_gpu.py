"""Search among targets that a GPU keeps: products, ranking in float64, and what they need.

The GPU has the rows as they are, and, where the fused product is faster than the plain one, as
bfloat16 in the product space.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, final

import numpy as np
import torch

from cluster.kernels.gpu.available import fused_blocks, fused_is_faster, size_class
from cluster.kernels.gpu.padding import padded_bf16
from cluster.kernels.gpu.product_space import space_queries, space_targets
from cluster.kernels.low_precision import (
    MatmulPrecision,
    fast_precision,
    fused_precision,
)
from cluster.neighbors.operands import TINY
from cluster.neighbors.prepared_search import PreparedSearch
from cluster.neighbors.rerank import QueryCandidates, Targets
from cluster.neighbors.rerank_gpu import CandidatePairs, RowsOnGpu, rerank_on_gpu
from cluster.vectors.device import fits_on_gpu
from cluster.vectors.tiles import to_tile

TARGETS = 2**16  # in one product
TRIAL = 2**13  # queries, in a trial of which product is faster
SAFE = 1.01  # for the rounding of the bound itself


class _Longest(NamedTuple):
    """The largest norm and MatmulPrecision.residual of all targets in the product space: float32
    scalars."""

    norm: torch.Tensor
    residual: torch.Tensor


@final
class SearchOnGpu:
    """The targets of a search, on a GPU. is_fused: whether by the fused product; precision: of the
    fast products."""

    def __init__(self, search: PreparedSearch, device: str) -> None:
        self._search, self._device, count = search, device, len(search.keep)
        self._among = Targets(search.targets, search.facts, search.space.metric)
        x = torch.empty(count, search.targets.dim, device=device)
        for low in range(0, count, TARGETS):
            high = min(low + TARGETS, count)
            x[low:high] = to_tile(search.targets.block(low, high), device, False)
        self._rows = RowsOnGpu(x, self._on_device(search.facts.squares))
        self._bf16 = self._fused_targets()
        self.is_fused = self._bf16 is not None
        self.precision = fused_precision() if self.is_fused else fast_precision(x.device)
        norm, residual = torch.zeros(2, device=device)
        for _, tile in self.tiles():
            norm = torch.maximum(norm, tile.norm(dim=1).amax())
            residual = torch.maximum(residual, self.precision.residual(tile).amax())
        self._longest = _Longest(norm, residual)

    def tiles(self) -> Iterator[tuple[int, torch.Tensor]]:
        """The targets in the product space, float32, and the first of each tile."""
        x, squares = self._rows
        for low in range(0, len(x), TARGETS):
            here = slice(low, low + TARGETS)
            yield low, space_targets(self._search.space, x[here], squares[here])

    def queries(
        self, x: np.ndarray, squares: np.ndarray, precision: MatmulPrecision
    ) -> tuple[np.ndarray, np.ndarray]:
        """Queries in the product space, float32 [query, dim], and their margin."""
        query = space_queries(self._search.space, *self._there(x, squares))
        return query.cpu().numpy(), self._margin(query, precision).cpu().numpy()

    def find(
        self,
        x: np.ndarray,
        squares: np.ndarray,
        own: np.ndarray,
        k: int,
        progress: Callable[[], None],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Neighbours (int64) and similarities (float64) by the fused product, both [query, k], and
        whether a query had too many candidates, bool [query]."""
        from cluster.kernels.gpu.topk_fused import fused_candidates  # which needs triton

        assert self._bf16 is not None
        queries = self._there(x, squares)
        query = space_queries(self._search.space, *queries)
        margin, there = self._margin(query, self.precision), self._on_device(own)
        found = fused_candidates(padded_bf16(query), self._bf16, there, margin, k, progress)
        place = torch.arange(found.position.shape[1], device=query.device)
        row, column = torch.nonzero(place < found.size[:, None], as_tuple=True)
        pairs = CandidatePairs(found.size, row, found.position[row, column].long())
        neighbor, similarity = rerank_on_gpu(queries, pairs, self._rows, self._among, k)
        return neighbor, similarity, found.overflowed.cpu().numpy()

    def rerank(
        self, queries: QueryCandidates, among: Targets, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """As rerank, of candidates from elsewhere."""
        size = np.diff(queries.start)
        row = np.repeat(np.arange(len(size)), size)
        pairs = CandidatePairs(*map(self._on_device, (size, row, queries.position)))
        there = self._there(queries.x, queries.squares)
        return rerank_on_gpu(there, pairs, self._rows, among, k)

    def _on_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, device=self._device)

    def _there(self, x: np.ndarray, squares: np.ndarray) -> RowsOnGpu:
        return RowsOnGpu(to_tile(x, self._device, False), self._on_device(squares))

    def _margin(self, query: torch.Tensor, precision: MatmulPrecision) -> torch.Tensor:
        """How far below the k-th largest product of a query, float32 [query, dim] in the product
        space, one of the k true neighbours may lie, given the residuals that there are."""
        norm, (longest, residual) = query.norm(dim=1), self._longest
        error = precision.rounding(query.shape[1]) * norm * longest + TINY
        if precision.error:
            rest = precision.residual(query)
            error = error + rest * longest + (norm + rest) * residual
        return 2 * SAFE * error

    def _fused_targets(self) -> torch.Tensor | None:
        """The targets as padded_bf16, where the fused product is faster."""
        device = self._rows.x.device
        if fused_blocks(device) is None:
            return None
        _, first = next(self.tiles())
        target = padded_bf16(first)
        query = target[:TRIAL]

        def fused() -> torch.Tensor:
            from cluster.kernels.gpu.collect import collect, empty_lists

            lists, blocks = empty_lists(len(query), 1, device), fused_blocks(device)
            assert blocks is not None
            never = torch.full((len(query),), torch.inf, device=device)
            collect(query, target, never, lists.size.clone(), 0, lists, blocks)
            return lists.size

        def plain() -> torch.Tensor:
            with fast_precision(device).applied():
                return (first[:TRIAL] @ first.T).amax(1)

        shape = str(device), "search", size_class(first.shape[1])
        if not fused_is_faster(shape, lambda: (fused, plain)):
            return None
        out = target.new_empty(len(self._rows.x), target.shape[1])
        for low, tile in self.tiles():
            out[low : low + len(tile)] = padded_bf16(tile)
        return out


def search_on_gpu(search: PreparedSearch, device: str) -> SearchOnGpu | None:
    """The targets on the GPU, if it has memory for them; None on a CPU."""
    numbers = len(search.keep) * (2 * search.targets.dim + 64)
    return SearchOnGpu(search, device) if fits_on_gpu(numbers, device) else None
