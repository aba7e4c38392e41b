"""Lay a graph of neighbours out in a few dims, and place images outside of the graph.

After UMAP (McInnes, Healy and Melville, 2018, arXiv:1802.03426, section 3.2): images that are
joined attract one another, and each pushes some drawn ones away, by stochastic gradient descent. By
umap-learn, in one thread: a seed gives the same map whatever the machine does. But: it begins with
the leading principal components. umap-learn begins with eigenvectors of the graph, which take long
for a million images, and for a graph in several parts it needs the vectors.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.errors import ClusterError
from cluster.map.umap_library import Umap

if TYPE_CHECKING:
    from scipy.sparse import csr_array

EXTENT, NOISE = 10.0, 1e-4  # of the first places, as umap-learn's
NEGATIVES, RATE, REPULSION = 5, 1.0, 1.0  # umap-learn's
STATES = (-(2**31) + 1, 2**31 - 1)  # of its generator of random numbers
BLOCK = 65_536  # images that are placed at once


def lay_out(
    umap: Umap,
    graph: "csr_array",
    start: np.ndarray,
    dims: int,
    *,
    epochs: int,
    min_dist: float,
    seed: int,
    bar: Mapping[str, Any],
) -> np.ndarray:
    """The place of each image: float32 [image, axis], `dims` axes.

    graph: of fuzzy_graph; start: float [image, component], where the images are at first; where it
    has fewer components than dims the others are drawn. min_dist: how close neighbours may lie,
    where 1 is about the distance at which they cease to attract one another. bar: settings of
    the progress bar (tqdm). Raises ClusterError when start is of other images.
    """
    if graph.shape[0] != len(start):
        raise ClusterError(f"the graph joins {graph.shape[0]} images, {len(start)} have a start")
    if len(start) < 2:
        return np.zeros((len(start), dims), np.float32)
    a, b = umap.graph.find_ab_params(1.0, min_dist)
    place, _ = umap.graph.simplicial_set_embedding(
        None, graph.copy(), dims, RATE, a, b, REPULSION, NEGATIVES, epochs,
        _begin(start, dims, seed), np.random.RandomState(seed), "euclidean", {}, False, {}, False,
        tqdm_kwds=dict(bar),
    )  # fmt: skip
    return np.ascontiguousarray(place, np.float32)


def _begin(start: np.ndarray, dims: int, seed: int) -> np.ndarray:
    """float32 [image, axis]: the leading components at a common scale, with a little noise, so that
    no two images begin at one place."""
    out = np.zeros((len(start), dims))
    out[:, : start.shape[1]] = start[:, :dims]
    out *= EXTENT / max(np.abs(out).max(), 1e-12)
    noise = np.random.default_rng(seed).normal(scale=NOISE, size=out.shape)
    return (out + noise).astype(np.float32)


def place_others(
    umap: Umap,
    weight: np.ndarray,
    neighbor: np.ndarray,
    place: np.ndarray,
    *,
    epochs: int,
    min_dist: float,
    seed: int,
) -> np.ndarray:
    """The place of each image outside of the graph: float32 [image, axis]. It begins at the mean
    place of its neighbours and moves for a third of `epochs` while those of the graph stay.

    weight: float32 [image, neighbor] (cluster.map.fuzzy_graph.memberships); neighbor: int of the
    same shape, positions in `place` (float32 [image of the graph, axis]). An image has the same
    place whatever others there are. The mean alone often lies between two clusters, in a third.
    """
    a, b = umap.graph.find_ab_params(1.0, min_dist)
    state = np.random.RandomState(seed).randint(*STATES, 3).astype(np.int64)
    out = np.empty((len(neighbor), place.shape[1]), np.float32)
    for low in range(0, len(neighbor), BLOCK):
        here = slice(low, low + BLOCK)
        out[here] = _mean(weight[here], neighbor[here], place)
        if rounds := epochs // 3:
            image, at = np.nonzero(weight[here] >= 1 / rounds)
            head, tail = image.astype(np.int32), neighbor[here][image, at].astype(np.int32)
            umap.layouts.optimize_layout_euclidean(
                out[here], place, head, tail, rounds, len(place),
                1 / weight[here][image, at].astype(np.float64), a, b, state, REPULSION, RATE / 4,
                float(NEGATIVES), tqdm_kwds={"disable": True},
            )  # fmt: skip
    return out


def _mean(weight: np.ndarray, neighbor: np.ndarray, place: np.ndarray) -> np.ndarray:
    share = weight / weight.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.einsum("ij,ija->ia", share, place[neighbor])
