"""The k nearest neighbours of each vector, exactly: the same at any block, thread and device.

Products of matrices, coarse ones where this machine has them, find for each query who may be among
its k: `cluster.neighbors.candidates`. Their similarities are taken anew in float64, and rank. Where
too many are as near as the k-th by coarse products, those of float32 decide; where too many are by
these, all that are so near are compared: `cluster.neighbors.exhaustive`.

But: unlike the search of TEMI's authors, what is left out is the image's own row, by its number
and never by its similarity or its place in a block.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, final

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.kernels.low_precision import fast_precision, full_precision
from cluster.kernels.similarity import Metric, ProductSpace, Survey, similarities, survey
from cluster.kernels.topk_cpu import bytes_per_query
from cluster.neighbors.candidates import Candidates, Tile, find_candidates, tiles_on_gpu
from cluster.neighbors.equal_rows import limit_equal_rows
from cluster.neighbors.exhaustive import search_float64
from cluster.neighbors.rerank import rerank
from cluster.vectors.rows import Rows, Subset

MAX_NEIGHBORS = 256  # neighbours
QUERIES, QUERY_NUMBERS = 32_768, 2**25  # that look for neighbours in one reading of the others
BUFFER_BYTES = 2**28  # bytes of what they have found
TARGETS = 4096  # of the others at once


class Neighbors(NamedTuple):
    """neighbor: int32 [image, neighbor], positions among those searched, nearest first, ties by
    the lower position; similarity: float32 [image, neighbor]."""

    neighbor: np.ndarray
    similarity: np.ndarray


class PreparedSearch(NamedTuple):
    """Those searched, with what every query takes. keep: int64 [target], where each target lies
    among them all; own: int64 [image], which target the image itself is, -1 for none."""

    targets: Rows
    facts: Survey
    space: ProductSpace
    keep: np.ndarray
    own: np.ndarray


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
    """The k rows of `among` most similar to each of `rows`; progress is told of finished images.

    own: int64 [image], the position in `among` of the image itself, which is left out; -1 where it
    is not there. The similarity of the metric euclidean is minus the distance; cosines of a vector
    of zeros are 0. ClusterError: k not in 1..256 or beyond what there is, features not finite.
    """
    own = np.full(len(rows), -1, np.int64) if own is None else own.astype(np.int64)
    require_neighbors(rows, among, k, own)
    queries = survey(rows)
    search = prepare_search(among, queries if rows is among else survey(among), k, metric, own)
    neighbor = np.empty((len(rows), k), np.int64)
    similarity = np.empty((len(rows), k))
    doubtful = np.zeros(len(rows), bool)
    look = _Look(search, k, device)
    for here, x in blocks(rows, k):
        told = _spread(progress, len(x), -(-len(search.keep) // TARGETS))
        found = look.at(x, queries.squares[here], search.own[here], told)
        neighbor[here], similarity[here], doubtful[here] = found
    doubt = np.flatnonzero(doubtful)
    neighbor[doubt], similarity[doubt] = search_float64(
        Subset(rows, doubt),
        queries.squares[doubt],
        similarity[doubt, -1],
        search.own[doubt],
        search.targets,
        search.facts,
        search.space,
        k,
    )
    return Neighbors(search.keep[neighbor].astype(np.int32), similarity.astype(np.float32))


def require_neighbors(rows: Rows, among: Rows, k: int, own: np.ndarray) -> None:
    """ClusterError unless every row can have k neighbours."""
    if not 1 <= k <= MAX_NEIGHBORS:
        raise ClusterError(f"k is {k}, expected 1 to {MAX_NEIGHBORS}: choose fewer neighbours")
    if rows.dim != among.dim:
        raise ClusterError(
            f"vectors of {rows.dim} dim look among vectors of {among.dim}: give features of "
            "one backbone"
        )
    there = len(among) - bool((own >= 0).any())
    if k > there:
        raise ClusterError(
            f"k is {k}, but there are only {there} images to be neighbours: choose k up to {there}"
        )


def prepare_search(
    among: Rows, facts: Survey, k: int, metric: Metric, own: np.ndarray
) -> PreparedSearch:
    """Make ready what is searched; vectors that repeat more than k times are left out."""
    keep = limit_equal_rows(among, facts.code, k + 1)
    space = ProductSpace.of(facts, metric)
    if len(keep) < len(among):
        among = Subset(among, keep)
        facts = facts._replace(squares=facts.squares[keep], code=facts.code[keep])
        at = np.minimum(np.searchsorted(keep, own), len(keep) - 1)
        own = np.where(keep[at] == own, at, -1)
    return PreparedSearch(among, facts, space, keep, own)


def blocks(rows: Rows, k: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Which rows, and those rows: float32 [image, dim], as many as look in one reading."""
    step = max(1, min(QUERIES, QUERY_NUMBERS // rows.dim, BUFFER_BYTES // bytes_per_query(k)))
    for start in range(0, len(rows), step):
        here = slice(start, min(start + step, len(rows)))
        yield here, rows.block(here.start, here.stop)


@final
class _Look:
    """Blocks of queries, one after the other, look for neighbours among the same targets."""

    def __init__(self, search: PreparedSearch, k: int, device: str) -> None:
        self._search, self._k, self._device = search, k, device
        self._arithmetic = fast_precision(device)
        count, dim = len(search.keep), search.targets.dim
        self._tiles = tiles_on_gpu(_tiles(search), count * (2 * dim + 1), device)
        self._raw: torch.Tensor | None = None
        if self._tiles is not None:
            parts = (search.targets.block(low, low + TARGETS) for low in range(0, count, TARGETS))
            self._raw = torch.cat([torch.as_tensor(part, device=device) for part in parts])

    def at(
        self,
        x: np.ndarray,
        squares: np.ndarray,
        own: np.ndarray,
        told: Callable[[], None] = lambda: None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Neighbours (int64) and similarities (float64), both [image, k], of float32 x [image, dim]
        and whether they are in doubt, bool [image]."""
        space, arithmetic = self._search.space, self._arithmetic
        query = space.queries(x, squares, np.float32)
        found = find_candidates(
            query,
            self._tiles if self._tiles is not None else _tiles(self._search),
            self._k,
            space.margin(query, arithmetic.error),
            own,
            device=self._device,
            arithmetic=arithmetic,
            progress=told,
        )
        neighbor, similarity = rerank(
            *(x, squares, found.start, found.position, self._search.targets, self._search.facts),
            *(space.metric, self._k, self._raw),
        )
        if not arithmetic.error:
            return (
                neighbor,
                similarity,
                self._doubtful(found, query, x, squares, neighbor, similarity),
            )
        again = np.flatnonzero(found.lost)
        doubtful = np.zeros(len(x), bool)
        self._arithmetic = full_precision(self._device)
        if len(again):
            there = self.at(x[again], squares[again], own[again])
            neighbor[again], similarity[again], doubtful[again] = there
        if len(again) < len(x) / 2:  # else coarse products are of no use here
            self._arithmetic = arithmetic
        return neighbor, similarity, doubtful

    def _doubtful(
        self,
        found: Candidates,
        query: np.ndarray,
        x: np.ndarray,
        squares: np.ndarray,
        neighbor: np.ndarray,
        similarity: np.ndarray,
    ) -> np.ndarray:
        """Whether the floor of the candidates is so near the k-th similarity that rounding may have
        kept a neighbour from them, bool [image]; the last similarity of these is made exact."""
        space, last = self._search.space, similarity[:, -1]
        lowest = space.product(last, query, squares) - space.error_bound(last, query)
        doubtful = found.lost & (lowest <= found.floor)
        rows = np.flatnonzero(doubtful)
        similarity[rows, -1] = similarities(
            *(x, squares, rows, self._search.targets, self._search.facts),
            *(neighbor[rows, -1], space.metric),
        )
        return doubtful


def _tiles(search: PreparedSearch) -> Iterator[Tile]:
    for start in range(0, len(search.keep), TARGETS):
        here = slice(start, min(start + TARGETS, len(search.keep)))
        x = search.targets.block(here.start, here.stop)
        yield start, search.space.targets(x, search.facts.squares[here], np.float32)


def _spread(progress: Callable[[int], object], images: int, tiles: int) -> Callable[[], None]:
    """Tell of `images` in `tiles` parts."""
    done = 0

    def one() -> None:
        nonlocal done
        done += 1
        progress(images * done // tiles - images * (done - 1) // tiles)

    return one
