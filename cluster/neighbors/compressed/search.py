"""Approximate nearest neighbours of more images than fit in memory: codes of a few bytes are
searched, and what they propose is compared exactly, by vectors read from the store.

After Jégou, Tavenard, Douze and Amsaleg (2011), who rank again by finer codes. But: by the vectors
themselves, so that similarities are those of the exact search, to the bit; and neither the lists
that a query searches nor the images that are compared exactly are settings: on a sample of the
queries whichever finds more is doubled, until the wanted recall of the true neighbours is reached.
Vectors are read block by block and only the codes stay in memory.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cluster.kernels.similarity import Metric, survey
from cluster.kmeans.hierarchical.two_levels import two_level_centroids
from cluster.neighbors.approximate import (
    FITTED,
    PASSES,
    ProductRows,
    drawn_queries,
    list_count,
    recall_of,
)
from cluster.neighbors.compressed.codes import TRAINED, Codes, train_codes
from cluster.neighbors.compressed.part import Effort, Scope, find, find_part, parts_of
from cluster.neighbors.equal_rows import zeros_first
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.prepared_search import prepare_search, require_neighbors
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import Rows, Subset

FIRST_PROBES = 8  # lists that a query searches at first
FIRST_COMPARED = 2  # times k: images that are compared exactly at first
MOST_COMPARED = 4096  # at most: heaps of more are slow

Keep = Callable[[str, Callable[[], dict[str, np.ndarray]]], dict[str, np.ndarray]]


class Prepared(NamedTuple):
    """All of a search but its parts (`find_part`), without the vectors. squares: float64 [query],
    x·x; own: int64 [query], which of the images that are searched the query is itself, -1 for none;
    finish: to be called with the table of all parts, which it changes."""

    scope: Scope
    squares: np.ndarray
    own: np.ndarray
    finish: Callable[[Neighbors], None]


def compressed_neighbors(
    rows: Rows,
    among: Rows,
    k: int,
    *,
    own: np.ndarray | None = None,
    out: Neighbors | None = None,
    keep: Keep = lambda name, compute: compute(),
    progress: Callable[[int], object] = lambda images: None,
    **settings: Any,
) -> tuple[Neighbors, Effort]:
    """Neighbours as of `nearest_neighbors`, and with what effort they were found: `share` may be
    less than `recall`, where codes of `code_bytes` bytes an image are too coarse for it.

    settings: those of `prepare_compressed`, as `keep` is. out: where the neighbours are written.
    progress is called with the images that were encoded, and then with those that were searched
    for. Raises what `nearest_neighbors` does.
    """
    codes, prepared = prepare_compressed(
        rows, among, k, own=own, keep=keep, progress=progress, **settings
    )
    scope, squares, own, finish = prepared
    shape = len(rows), k
    out = out or Neighbors(np.empty(shape, np.int32), np.empty(shape, np.float32))
    for name, here in parts_of("found", len(rows)):

        def search(here: slice = here) -> dict[str, np.ndarray]:
            query = Subset(rows, np.arange(here.start, here.stop))
            return find_part(codes, query, squares[here], own[here], among, scope)

        found = keep(name, search)
        out.neighbor[here], out.similarity[here] = found["neighbor"], found["similarity"]
        progress(here.stop - here.start)
    finish(out)
    return out, scope.effort


def prepare_compressed(
    rows: Rows,
    among: Rows,
    k: int,
    *,
    metric: Metric,
    recall: float,
    sample: int,
    seed: int,
    code_bytes: int,
    own: np.ndarray | None = None,
    keep: Keep = lambda name, compute: compute(),
    device: str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> tuple[Codes, Prepared]:
    """The codes of all images that are searched, and what is known before the first part.

    sample: queries on which the recall is measured, drawn by `seed`. keep(name, compute) gives
    named arrays: what it has of an earlier call with equal arguments, or else compute(). progress
    is called with the images that were encoded. Raises what `nearest_neighbors` does.
    """
    own = np.full(len(rows), -1, np.int64) if own is None else own.astype(np.int64)
    require_neighbors(rows, among, k, own)
    queries = survey(rows)
    targets = queries if rows is among else survey(among)
    search = prepare_search(among, targets, k, metric, own)
    product = ProductRows(search.targets, search.facts.squares, search.space)
    codes = Codes(**keep("trained", lambda: _trained(product, code_bytes, seed, device, metric)))
    for name, here in parts_of("codes", len(product)):

        def encode(here: slice = here) -> dict[str, np.ndarray]:
            return {"code": codes.encode(product.block(here.start, here.stop))}

        codes.add(keep(name, encode)["code"], here.start)
        progress(here.stop - here.start)

    def tuned() -> dict[str, np.ndarray]:
        drawn = drawn_queries(len(rows), sample, seed)
        some = Subset(rows, drawn)
        true = nearest_neighbors(some, among, k, metric=metric, own=own[drawn], device=device)

        def share(probes: int, compared: int) -> float:
            found = find(codes, some, queries.squares[drawn], drawn, search, k, probes, compared)
            return recall_of(found, true)

        effort = _effort(share, recall, codes.lists, k, len(product))
        return {name: np.array(value) for name, value in effort._asdict().items()}

    said = keep("effort", tuned)
    effort = Effort(int(said["probes"]), int(said["compared"]), float(said["share"]))
    scope = Scope(k, effort, search.keep, search.facts.squares, search.space)
    squares, of_all, itself = queries.squares, targets.squares, own

    def finish(out: Neighbors) -> None:
        if metric == "cosine":
            zeros_first(out, squares, of_all, itself)

    return codes, Prepared(scope, squares, search.own, finish)


def _trained(
    product: Rows, code_bytes: int, seed: int, device: str, metric: Metric
) -> dict[str, np.ndarray]:
    count = len(product)
    lists = list_count(count)
    permutation = np.random.default_rng(seed).permutation(count)
    centroids = two_level_centroids(
        Subset(product, np.sort(permutation[: lists * FITTED])), lists,
        seed=seed, n_init=1, max_iter=PASSES, tol=0, device=device,
    )  # fmt: skip
    sample = product.take(np.sort(permutation[:TRAINED]))
    return train_codes(sample, centroids, code_bytes, metric != "euclidean")


def _effort(
    share: Callable[[int, int], float], recall: float, lists: int, k: int, count: int
) -> Effort:
    """The least effort, of those that doubling leads to, whose share is `recall`, or the last."""
    most = min(MOST_COMPARED, count)
    probes, compared = min(FIRST_PROBES, lists), min(FIRST_COMPARED * k + 1, most)
    best = Effort(probes, compared, share(probes, compared))
    while best.share < recall:
        tried = [
            Effort(more, compared, share(more, compared))
            for more, compared in (
                (min(2 * best.probes, lists), best.compared),
                (best.probes, min(2 * best.compared, most)),
            )
            if (more, compared) != best[:2]
        ]
        if not tried:
            break
        best = max(tried, key=lambda effort: effort.share)  # of equal ones more lists
    return best
