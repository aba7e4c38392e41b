"""The k nearest neighbours of each vector, exactly: the same at any block, thread and device.

Products of matrices in float32 find k and some more candidates for each query; their similarities
are taken anew in float64, pair by pair, and these rank. Where a vector that is no candidate may be
as near as the k-th, by the rounding of float32, all that are so near are taken: `cluster.settle`.

But: unlike the search of TEMI's authors, what is left out is the image's own row, by its number
and never by its similarity or its place in a block.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from cluster.candidates import Candidates, Tile, candidates, resident
from cluster.errors import ClusterError
from cluster.repeats import without_repeats
from cluster.rows import Rows, Subset
from cluster.settle import settle
from cluster.similarity import Metric, Space, Survey, similarities, survey

MOST = 256  # neighbours
QUERIES, QUERY_NUMBERS = 32_768, 2**25  # that look for neighbours in one reading of the others
TARGETS = 4096  # of the others at once


class Neighbors(NamedTuple):
    """neighbor: int32 [image, neighbor], positions among those searched, nearest first, ties by
    the lower position; similarity: float32 [image, neighbor]."""

    neighbor: np.ndarray
    similarity: np.ndarray


class Search(NamedTuple):
    """Those searched, with what every query takes. keep: int64 [target], where each target lies
    among them all; own: int64 [image], which target the image itself is, -1 for none."""

    targets: Rows
    facts: Survey
    space: Space
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
    require(rows, among, k, own)
    queries = survey(rows)
    search = prepare(among, queries if rows is among else survey(among), k, metric, own)
    neighbor = np.empty((len(rows), k), np.int32)
    similarity = np.empty((len(rows), k))
    doubtful = np.zeros(len(rows), bool)
    count = min(k + 8 + k // 8, len(search.keep))
    kept = resident(_tiles(search), len(search.keep) * (rows.dim + 1), device)
    for here, x in blocks(rows):
        squares = queries.squares[here]
        query = search.space.queries(x, squares, np.float32)
        found = candidates(
            query,
            kept if kept is not None else _tiles(search),
            count,
            search.own[here],
            device=device,
            progress=_spread(progress, len(x), -(-len(search.keep) // TARGETS)),
        )
        neighbor[here], similarity[here] = ranked(x, squares, found.position, search, k)
        doubtful[here] = _may_miss(found, query, squares, similarity[here, -1], search.space)
    doubt = np.flatnonzero(doubtful)
    neighbor[doubt], similarity[doubt] = settle(
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


def require(rows: Rows, among: Rows, k: int, own: np.ndarray) -> None:
    """ClusterError unless every row can have k neighbours."""
    if not 1 <= k <= MOST:
        raise ClusterError(f"k is {k}, expected 1 to {MOST}: choose fewer neighbours")
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


def prepare(among: Rows, facts: Survey, k: int, metric: Metric, own: np.ndarray) -> Search:
    """Make ready what is searched; vectors that repeat more than k times are left out."""
    keep = without_repeats(among, facts.code, k + 1)
    space = Space.of(facts, metric)
    if len(keep) < len(among):
        among = Subset(among, keep)
        facts = facts._replace(squares=facts.squares[keep], code=facts.code[keep])
        at = np.minimum(np.searchsorted(keep, own), len(keep) - 1)
        own = np.where(keep[at] == own, at, -1)
    return Search(among, facts, space, keep, own)


def blocks(rows: Rows) -> Iterator[tuple[slice, np.ndarray]]:
    """Which rows, and those rows: float32 [image, dim], as many as look in one reading."""
    step = max(1, min(QUERIES, QUERY_NUMBERS // rows.dim))
    for start in range(0, len(rows), step):
        here = slice(start, min(start + step, len(rows)))
        yield here, rows.block(here.start, here.stop)


def ranked(
    x: np.ndarray, squares: np.ndarray, position: np.ndarray, search: Search, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first k of each query's candidates (int64 [image, candidate], -1 for none), and their
    similarities, float64; -1 and -inf where a query has fewer."""
    exact = np.full(position.shape, -np.inf)
    row, column = np.nonzero(position >= 0)
    exact[row, column] = similarities(
        x, squares, row, search.targets, search.facts, position[row, column], search.space.metric
    )
    order = np.lexsort((position, -exact), axis=1)[:, :k]
    return np.take_along_axis(position, order, 1), np.take_along_axis(exact, order, 1)


def _tiles(search: Search) -> Iterator[Tile]:
    for start in range(0, len(search.keep), TARGETS):
        here = slice(start, min(start + TARGETS, len(search.keep)))
        x = search.targets.block(here.start, here.stop)
        yield start, search.space.targets(x, search.facts.squares[here], np.float32)


def _may_miss(
    found: Candidates, query: np.ndarray, squares: np.ndarray, last: np.ndarray, space: Space
) -> np.ndarray:
    """Whether the floor of the candidates is so near the k-th similarity that rounding may have
    kept a neighbour from them, bool [image]."""
    lowest = space.product(last, query, squares) - space.slack(last, query)
    return ~np.isneginf(found.floor) & (lowest <= found.floor)


def _spread(progress: Callable[[int], object], images: int, tiles: int) -> Callable[[], None]:
    """Tell of `images` in `tiles` parts."""
    done = 0

    def one() -> None:
        nonlocal done
        done += 1
        progress(images * done // tiles - images * (done - 1) // tiles)

    return one
