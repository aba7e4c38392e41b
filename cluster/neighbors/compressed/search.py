"""Approximate nearest neighbours of more images than fit in memory: codes of a few bytes are
searched, and what they propose is compared exactly, by vectors read from the store.

After Jégou, Tavenard, Douze and Amsaleg (2011), who rank again by finer codes. But: by the vectors
themselves, so that similarities are those of the exact search, to the bit; and neither the lists
that a query searches nor the images that are compared exactly are settings: on a sample of the
queries whichever finds more is doubled, until the wanted recall of the true neighbours is reached.
Vectors are read block by block and only the codes stay in memory.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cluster.kernels.similarity import Metric, Survey, survey
from cluster.kmeans.hierarchical.two_levels import two_level_centroids
from cluster.neighbors.approximate import (
    FITTED,
    PASSES,
    ProductRows,
    drawn_queries,
    exact_of_found,
    list_count,
    recall_of,
)
from cluster.neighbors.compressed.codes import TRAINED, Codes, train_codes
from cluster.neighbors.equal_rows import zeros_first
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.prepared_search import PreparedSearch, prepare_search, require_neighbors
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import Rows, Subset

SHARD = 65_536  # images that are encoded, or searched for, and then kept
FIRST_PROBES = 8  # lists that a query searches at first
FIRST_COMPARED = 2  # times k: images that are compared exactly at first
MOST_COMPARED = 4096  # at most: heaps of more are slow

Keep = Callable[[str, Callable[[], dict[str, np.ndarray]]], dict[str, np.ndarray]]


class Effort(NamedTuple):
    """probes: lists that a query searches; compared: images of these that it is compared with
    exactly; share: of the true neighbours, which that finds."""

    probes: int
    compared: int
    share: float


def compressed_neighbors(
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
    out: Neighbors | None = None,
    keep: Keep = lambda name, compute: compute(),
    device: str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> tuple[Neighbors, Effort]:
    """Neighbours as of `nearest_neighbors`, and with what effort they were found: `share` may be
    less than `recall`, where codes of `code_bytes` bytes an image are too coarse for it.

    out: where the neighbours are written. keep(name, compute) gives named arrays: what it has of
    an earlier call with equal arguments, or else compute(). progress is called with the images that
    were encoded, and then with those that were searched for. Raises what `nearest_neighbors` does.
    """
    own = np.full(len(rows), -1, np.int64) if own is None else own.astype(np.int64)
    require_neighbors(rows, among, k, own)
    queries = survey(rows)
    targets = queries if rows is among else survey(among)
    search = prepare_search(among, targets, k, metric, own)
    product = ProductRows(search.targets, search.facts.squares, search.space)
    codes = Codes(**keep("trained", lambda: _trained(product, code_bytes, seed, device, metric)))
    for start in range(0, len(product), SHARD):
        stop = min(start + SHARD, len(product))

        def encode(start: int = start, stop: int = stop) -> dict[str, np.ndarray]:
            return {"code": codes.encode(product.block(start, stop))}

        codes.add(keep(f"codes-{start // SHARD:06}", encode)["code"], start)
        progress(stop - start)

    def tuned() -> dict[str, np.ndarray]:
        drawn = drawn_queries(len(rows), sample, seed)
        some = Subset(rows, drawn)
        true = nearest_neighbors(some, among, k, metric=metric, own=own[drawn], device=device)

        def share(probes: int, compared: int) -> float:
            found = _find(codes, some, queries.squares[drawn], drawn, search, k, probes, compared)
            return recall_of(found, true)

        effort = _effort(share, recall, codes.lists, k, len(product))
        return {name: np.array(value) for name, value in effort._asdict().items()}

    said = keep("effort", tuned)
    effort = Effort(int(said["probes"]), int(said["compared"]), float(said["share"]))
    shape = len(rows), k
    out = out or Neighbors(np.empty(shape, np.int32), np.empty(shape, np.float32))
    for start in range(0, len(rows), SHARD):
        number = np.arange(start, min(start + SHARD, len(rows)))

        def find(number: np.ndarray = number) -> dict[str, np.ndarray]:
            return _shard(codes, rows, queries, number, search, k, effort)

        found = keep(f"found-{start // SHARD:06}", find)
        out.neighbor[number], out.similarity[number] = found["neighbor"], found["similarity"]
        progress(len(number))
    if metric == "cosine":
        zeros_first(out, queries.squares, targets.squares, own)
    return out, effort


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


def _shard(
    codes: Codes,
    rows: Rows,
    queries: Survey,
    number: np.ndarray,
    search: PreparedSearch,
    k: int,
    effort: Effort,
) -> dict[str, np.ndarray]:
    """The neighbours of the queries `number`; those whose lists hold fewer than k search more."""
    probes, compared = effort.probes, effort.compared
    squares = queries.squares[number]
    block = Subset(rows, number)
    found = _find(codes, block, squares, number, search, k, probes, compared)
    few = np.flatnonzero((found.neighbor < 0).any(1))
    while len(few) and probes < codes.lists:
        probes = min(2 * probes, codes.lists)
        again = _find(
            codes, Subset(block, few), squares[few], number[few], search, k, probes, compared
        )
        found.neighbor[few], found.similarity[few] = again
        few = few[(again.neighbor < 0).any(1)]
    return found._asdict()


def _find(
    codes: Codes,
    rows: Rows,
    squares: np.ndarray,
    number: np.ndarray,
    search: PreparedSearch,
    k: int,
    probes: int,
    compared: int,
) -> Neighbors:
    return exact_of_found(
        lambda query: codes.search(query, probes, compared), rows, squares, number, search, k
    )
