"""A part of a search by codes: some queries, whose candidates by their codes are compared exactly.

No part needs another: they may be searched in any order, and by several machines.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cluster.kernels.similarity import ProductSpace, Survey
from cluster.neighbors.approximate import exact_of_found
from cluster.neighbors.compressed.codes import Codes
from cluster.neighbors.prepared_search import PreparedSearch
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import Rows, Subset

SHARD = 65_536  # images that are encoded, or searched for, and then kept


class Effort(NamedTuple):
    """probes: lists that a query searches; compared: images of these that it is compared with
    exactly; share: of the true neighbours, which that finds."""

    probes: int
    compared: int
    share: float


class Scope(NamedTuple):
    """What all parts share but the vectors and the codes: k; with what effort it is searched; keep:
    int64 [target], which of the images are searched; squares: float64 [target], their x·x; space:
    how they were transformed before they were encoded."""

    k: int
    effort: Effort
    keep: np.ndarray
    squares: np.ndarray
    space: ProductSpace


def parts_of(what: str, images: int) -> Iterator[tuple[str, slice]]:
    """All images in parts of SHARD, each with the name that it is kept by; what: is done with
    them."""
    for start in range(0, images, SHARD):
        yield f"{what}-{start // SHARD:06}", slice(start, min(start + SHARD, images))


def find_part(
    codes: Codes, query: Rows, squares: np.ndarray, own: np.ndarray, among: Rows, scope: Scope
) -> dict[str, np.ndarray]:
    """The neighbours of each query among the rows `among`, of which `codes` holds those that are
    searched: the fields of Neighbors. Queries whose lists hold fewer than k search more.

    squares: float64 [query], x·x; own: int64 [query], which of those that are searched the query is
    itself, -1 for none.
    """
    targets = among if len(scope.keep) == len(among) else Subset(among, scope.keep)
    facts = Survey(scope.squares, scope.space.mean, np.empty(0, np.uint64), False)
    search = PreparedSearch(targets, facts, scope.space, scope.keep, own)
    probes, compared, _ = scope.effort
    every = np.arange(len(query))
    found = find(codes, query, squares, every, search, scope.k, probes, compared)
    few = np.flatnonzero((found.neighbor < 0).any(1))
    while len(few) and probes < codes.lists:
        probes = min(2 * probes, codes.lists)
        some = Subset(query, few)
        again = find(codes, some, squares[few], few, search, scope.k, probes, compared)
        found.neighbor[few], found.similarity[few] = again
        few = few[(again.neighbor < 0).any(1)]
    return found._asdict()


def find(
    codes: Codes,
    query: Rows,
    squares: np.ndarray,
    number: np.ndarray,
    search: PreparedSearch,
    k: int,
    probes: int,
    compared: int,
) -> Neighbors:
    """The k best of the `compared` nearest by their codes in the `probes` nearest lists, -1 where
    these hold fewer. number: int64 [query], the numbers of the queries in `search`."""
    return exact_of_found(
        lambda x: codes.search(x, probes, compared), query, squares, number, search, k
    )
