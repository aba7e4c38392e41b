"""Approximate nearest neighbours by inverted lists, for collections with too many pairs.

After Jégou, Douze and Schmid (2011), with faiss: the vectors lie in lists by their nearest
centroid, in the dtype that they are stored in, and a query searches the lists nearest to it. Their
number is not a setting: it is doubled until, on a sample of the queries, the wanted recall of the
true neighbours is reached. The similarities are those of the exact search, to the bit; only
neighbours can be missing. The lists lie on the GPU where faiss has been built for one and they fit.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from cluster.kernels.similarity import Metric, ProductSpace, survey
from cluster.kmeans.api import kmeans
from cluster.neighbors.candidates import Tile
from cluster.neighbors.equal_rows import zeros_first
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.prepared_search import PreparedSearch, prepare_search, require_neighbors
from cluster.neighbors.rerank import QueryCandidates, Targets, rerank
from cluster.neighbors.table import Neighbors
from cluster.vectors.device import fits_on_gpu
from cluster.vectors.rows import TILE, Rows, Subset

LIST_IMAGES = 256  # in a list, about; with many images lists grow with the root of their number
FITTED = 64  # images per list that the centroids are fitted to
PASSES = 10  # iterations of k-means
FIRST_PROBES = 8  # lists that a query searches at first
GPU_PROBES = 2048  # at most, on a GPU: a limit of faiss


def approximate_neighbors(
    rows: Rows,
    among: Rows,
    k: int,
    *,
    metric: Metric,
    recall: float,
    sample: int,
    seed: int,
    own: np.ndarray | None = None,
    stored: str = "float16",
    device: str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> tuple[Neighbors, float]:
    """Neighbours as of `nearest_neighbors`, and the share of the true ones that was found for
    `sample` of the queries, drawn by `seed`: at least `recall`. stored: the dtype of the lists.
    Raises the same errors."""
    own = np.full(len(rows), -1, np.int64) if own is None else own.astype(np.int64)
    require_neighbors(rows, among, k, own)
    queries = survey(rows)
    targets = queries if rows is among else survey(among)
    search = prepare_search(among, targets, k, metric, own)
    drawn = drawn_queries(len(rows), sample, seed)
    true = nearest_neighbors(
        Subset(rows, drawn), among, k, metric=metric, own=own[drawn], device=device
    )
    index = _index(search, seed, device, half=stored == "float16")
    index.nprobe = min(FIRST_PROBES, index.nlist)
    while True:
        found = _search(index, Subset(rows, drawn), queries.squares[drawn], drawn, search, k)
        share = recall_of(found, true)
        if share >= recall or index.nprobe == index.nlist:
            break
        index = _probing(index, min(2 * index.nprobe, index.nlist))
    found = _search(index, rows, queries.squares, np.arange(len(rows)), search, k, progress)
    few = np.flatnonzero((found.neighbor < 0).any(1))  # their lists held fewer than k
    if len(few):
        exact = nearest_neighbors(
            Subset(rows, few), among, k, metric=metric, own=own[few], device=device
        )
        found.neighbor[few], found.similarity[few] = exact
    if metric == "cosine":
        zeros_first(found, queries.squares, targets.squares, own)
    return found, share


def drawn_queries(count: int, sample: int, seed: int) -> np.ndarray:
    """The queries on which the recall is measured: int64 [drawn], sorted."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:sample])


def list_count(count: int) -> int:
    """How many lists so many images lie in."""
    return max(1, min(count // LIST_IMAGES, int(4 * count**0.5)))


def _index(search: PreparedSearch, seed: int, device: str, half: bool) -> Any:
    """The inverted lists of all targets, by position."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    count = len(search.keep)
    lists = list_count(count)
    drawn = np.random.default_rng(seed).permutation(count)[: lists * FITTED]
    drawn.sort()
    centroids = kmeans(
        ProductRows(Subset(search.targets, drawn), search.facts.squares[drawn], search.space),
        lists,
        seeds=[seed],
        n_init=1,
        max_iter=PASSES,
        tol=0,
        device=device,
    ).centroids[0]
    inner = search.space.metric != "euclidean"
    width = centroids.shape[1]
    quantizer = faiss.IndexFlatIP(width) if inner else faiss.IndexFlatL2(width)
    metric = faiss.METRIC_INNER_PRODUCT if inner else faiss.METRIC_L2
    index: faiss.IndexIVF
    if half:
        code = faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexIVFScalarQuantizer(quantizer, width, lists, code, metric, False)
    else:
        index = faiss.IndexIVFFlat(quantizer, width, lists, metric)
    index.quantizer.add(centroids)
    index.train(centroids)  # its centroids are given: only marks it as trained
    index = _placed(index, count, device)
    for _, tile in _product_tiles(search.targets, search.facts.squares, search.space):
        index.add(tile)
    return index


def _placed(index: Any, images: int, device: str) -> Any:
    """The index, still empty, on the GPU `device`; where it is if that is none, if faiss was built
    without GPUs, or if so many images do not fit there."""
    import faiss

    _, _, number = device.partition(":")
    numbers = images * (index.code_size + 8) // 4  # their codes and positions, as float32
    if fits_on_gpu(numbers, device) and int(number or 0) < faiss.get_num_gpus():
        return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), int(number or 0), index)
    return index


def _probing(index: Any, lists: int) -> Any:
    """The index, which from now on searches so many lists: on the CPU where a GPU cannot."""
    import faiss

    if lists > GPU_PROBES and hasattr(index, "getDevice"):
        index = faiss.index_gpu_to_cpu(index)
    index.nprobe = lists
    return index


def _search(
    index: Any,
    rows: Rows,
    squares: np.ndarray,
    number: np.ndarray,
    search: PreparedSearch,
    k: int,
    progress: Callable[[int], object] = lambda images: None,
) -> Neighbors:
    """The k best of the lists that are searched, -1 where they hold fewer. number: int64 [image],
    the numbers of `rows` among all queries."""
    count = min(k + 9 + k // 8, len(search.keep))
    return exact_of_found(
        lambda query: index.search(query, count)[1], rows, squares, number, search, k, progress
    )


def exact_of_found(
    look: Callable[[np.ndarray], np.ndarray],
    rows: Rows,
    squares: np.ndarray,
    number: np.ndarray,
    search: PreparedSearch,
    k: int,
    progress: Callable[[int], object] = lambda images: None,
) -> Neighbors:
    """The k best, by exact similarities, of the positions that `look` finds for queries of the
    product space (int64 [query, found], -1 for none); -1 where they are fewer. squares: float64
    [image], x·x of `rows`; number: int64 [image], their numbers among all queries."""
    found = Neighbors(np.empty((len(rows), k), np.int32), np.empty((len(rows), k), np.float32))
    targets = Targets(search.targets, search.facts, search.space.metric)
    for start in range(0, len(rows), TILE):
        here = slice(start, min(start + TILE, len(rows)))
        x = rows.block(here.start, here.stop)
        query = search.space.queries(x, squares[here], np.float32)
        position = look(_without_last(query, search.space))
        position[position == search.own[number[here], None]] = -1
        there = position >= 0
        first = np.concatenate([[0], np.cumsum(there.sum(1))])
        block = QueryCandidates(x, squares[here], first, position[there])
        best, exact = rerank(block, targets, k)
        found.neighbor[here] = np.where(best < 0, -1, search.keep[best])
        found.similarity[here] = exact
        progress(len(x))
    return found


def recall_of(found: Neighbors, true: Neighbors) -> float:
    """The share of the true neighbours that was found."""
    same = np.sort(np.concatenate([found.neighbor, true.neighbor], 1), axis=1)
    return float((same[:, 1:] == same[:, :-1])[same[:, 1:] >= 0].sum() / true.neighbor.size)


class ProductRows:
    """Rows transformed to the product space, without its added dim."""

    def __init__(self, rows: Rows, squares: np.ndarray, space: ProductSpace) -> None:
        self._rows, self._squares, self._space = rows, squares, space
        self.dim: int = rows.dim

    def __len__(self) -> int:
        return len(self._rows)

    def block(self, start: int, stop: int) -> np.ndarray:
        return self._transform(self._rows.block(start, stop), self._squares[start:stop])

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self._transform(self._rows.take(rows), self._squares[rows])

    def _transform(self, x: np.ndarray, squares: np.ndarray) -> np.ndarray:
        return _without_last(self._space.targets(x, squares, np.float32), self._space)


def _product_tiles(rows: Rows, squares: np.ndarray, space: ProductSpace) -> Iterator[Tile]:
    product_rows = ProductRows(rows, squares, space)
    for start in range(0, len(rows), TILE):
        yield start, product_rows.block(start, min(start + TILE, len(rows)))


def _without_last(x: np.ndarray, space: ProductSpace) -> np.ndarray:
    """faiss computes Euclidean distances itself, without the dim that turns them into products."""
    return np.ascontiguousarray(x[:, :-1]) if space.metric == "euclidean" else x
