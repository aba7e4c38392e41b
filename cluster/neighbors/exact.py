"""The k nearest neighbours of each vector, exactly: the same at any block, thread and device.

Matrix products, of low precision where this machine has them, select the candidates of each query
(`cluster.neighbors.candidates`), which are ranked by similarities in float64. Where a query has too
many candidates, they are selected again by float32 products; where these leave too many as well,
the search is repeated in float64 (`cluster.neighbors.exhaustive`).

But: unlike the search of TEMI's authors, which leaves out an image's own row by its similarity or
its place in a block, this one leaves it out by its number.
"""

from collections.abc import Callable, Iterator
from typing import final

import numpy as np

from cluster.kernels.int8_product import fastest_precision
from cluster.kernels.low_precision import full_precision
from cluster.kernels.similarity import Metric, similarities, survey
from cluster.kernels.topk_cpu import bytes_per_query
from cluster.neighbors.candidates import Candidates, Queries, Tile, find_candidates
from cluster.neighbors.equal_rows import zeros_first
from cluster.neighbors.exhaustive import Undecided, search_float64
from cluster.neighbors.prepared_search import PreparedSearch, prepare_search, require_neighbors
from cluster.neighbors.rerank import QueryCandidates, Targets, rerank
from cluster.neighbors.search_on_gpu import TARGETS as GPU_TARGETS
from cluster.neighbors.search_on_gpu import search_on_gpu
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import Rows, Subset

QUERIES, QUERY_NUMBERS = 32_768, 2**25  # queries, and numbers in them, in one read of the targets
BUFFER_BYTES = 2**28  # of their candidates
TARGETS = 4096  # targets in one product


def nearest_neighbors(
    rows: Rows,
    among: Rows,
    k: int,
    *,
    metric: Metric,
    own: np.ndarray | None = None,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> Neighbors:
    """The k rows of `among` most similar to each of `rows`; progress is called with the number of
    images that are done since the last call.

    own: int64 [image], the position in `among` of the image itself, which is left out; -1 where it
    is not there. The similarity of the metric euclidean is minus the distance; the cosine of a
    vector of zeros is 1 to its like and 0 to others. Raises ClusterError when k is not in 1..256 or
    larger than the number of other images, or features are not finite.
    """
    own = np.full(len(rows), -1, np.int64) if own is None else own.astype(np.int64)
    require_neighbors(rows, among, k, own)
    queries = survey(rows)
    targets = queries if rows is among else survey(among)
    search = prepare_search(among, targets, k, metric, own)
    neighbor = np.empty((len(rows), k), np.int64)
    similarity = np.empty((len(rows), k))
    doubtful = np.zeros(len(rows), bool)
    searcher = _BlockSearcher(search, k, device)
    for here, x in blocks(rows, k):
        report = _spread(progress, len(x), searcher.tiles)
        found = searcher.find(x, queries.squares[here], search.own[here], report)
        neighbor[here], similarity[here], doubtful[here] = found
    doubt = np.flatnonzero(doubtful)
    again = Undecided(
        Subset(rows, doubt), queries.squares[doubt], similarity[doubt, -1], search.own[doubt]
    )
    neighbor[doubt], similarity[doubt] = search_float64(again, search, k)
    out = Neighbors(search.keep[neighbor].astype(np.int32), similarity.astype(np.float32))
    if metric == "cosine":
        zeros_first(out, queries.squares, targets.squares, own)
    return out


def blocks(rows: Rows, k: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of queries that are searched in one read of the targets: the range of rows, and those
    rows, float32 [image, dim]."""
    step = max(1, min(QUERIES, QUERY_NUMBERS // rows.dim, BUFFER_BYTES // bytes_per_query(k)))
    step = max(1, -(-len(rows) // -(-len(rows) // step)))  # of about equal size
    for start in range(0, len(rows), step):
        here = slice(start, min(start + step, len(rows)))
        yield here, rows.block(here.start, here.stop)


@final
class _BlockSearcher:
    """Search for the neighbours of one block of queries after the other. tiles: how many there are
    of targets."""

    def __init__(self, search: PreparedSearch, k: int, device: str) -> None:
        self._search, self._k, self._device = search, k, device
        self._targets = Targets(search.targets, search.facts, search.space.metric)
        self._gpu = search_on_gpu(search, device)
        self._precision = fastest_precision(device) if self._gpu is None else self._gpu.precision
        self.tiles = -(-len(search.keep) // (TARGETS if self._gpu is None else GPU_TARGETS))

    def find(
        self,
        x: np.ndarray,
        squares: np.ndarray,
        own: np.ndarray,
        progress: Callable[[], None] = lambda: None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Neighbours (int64) and similarities (float64), both [image, k], of float32 x [image,
        dim], and whether they are in doubt, bool [image]."""
        precision = self._precision
        if self._gpu is not None and self._gpu.is_fused and precision.error:
            found = self._gpu.find(x, squares, own, self._k, progress)
        else:
            found = self._find_plain(x, squares, own, progress)
        if not precision.error:
            return found
        neighbor, similarity, overflowed = found
        again = np.flatnonzero(overflowed)
        doubtful = np.zeros(len(x), bool)
        self._precision = full_precision(self._device)
        if len(again):
            there = self.find(x[again], squares[again], own[again])
            neighbor[again], similarity[again], doubtful[again] = there
        if len(again) < len(x) / 2:  # else low precision is of no use for these vectors
            self._precision = precision
        return neighbor, similarity, doubtful

    def _find_plain(
        self, x: np.ndarray, squares: np.ndarray, own: np.ndarray, progress: Callable[[], None]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As find, but in low precision: whether there were too many candidates."""
        gpu, precision, space = self._gpu, self._precision, self._search.space
        if gpu is None:
            query = space.queries(x, squares, np.float32)
            margin, tiles = space.margin(query, precision), _tiles(self._search)
        else:
            query, margin = gpu.queries(x, squares, precision)
            tiles = gpu.tiles()
        found = find_candidates(
            Queries(query, self._k, margin, own),
            tiles,
            device=self._device,
            precision=precision,
            progress=progress,
        )
        block = QueryCandidates(x, squares, found.start, found.position)
        ranked = rerank if gpu is None else gpu.rerank
        neighbor, similarity = ranked(block, self._targets, self._k)
        if precision.error:
            return neighbor, similarity, found.overflowed
        doubtful = self._doubtful(found, query, block, neighbor, similarity)
        return neighbor, similarity, doubtful

    def _doubtful(
        self,
        found: Candidates,
        query: np.ndarray,
        block: QueryCandidates,
        neighbor: np.ndarray,
        similarity: np.ndarray,
    ) -> np.ndarray:
        """Whether the floor of the candidates is so near the k-th similarity that rounding may have
        dropped a neighbour, bool [image]; makes the last similarity of these exact."""
        space, last = self._search.space, similarity[:, -1]
        lowest = space.product(last, query, block.squares) - space.error_bound(last, query)
        doubtful = found.overflowed & (lowest <= found.floor)
        rows = np.flatnonzero(doubtful)
        similarity[rows, -1] = similarities(
            *(block.x, block.squares, rows, self._search.targets, self._search.facts),
            *(neighbor[rows, -1], space.metric),
        )
        return doubtful


def _tiles(search: PreparedSearch) -> Iterator[Tile]:
    for start in range(0, len(search.keep), TARGETS):
        here = slice(start, min(start + TARGETS, len(search.keep)))
        x = search.targets.block(here.start, here.stop)
        yield start, search.space.targets(x, search.facts.squares[here], np.float32)


def _spread(progress: Callable[[int], object], images: int, tiles: int) -> Callable[[], None]:
    """A function to call after each of `tiles` tiles, which reports `images` evenly."""
    done = 0

    def one() -> None:
        nonlocal done
        done += 1
        progress(images * done // tiles - images * (done - 1) // tiles)

    return one
