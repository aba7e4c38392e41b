"""Spectral clustering of a weighted graph, and the number of clusters by its eigengap.

After Ng, Jordan and Weiss (2002): the leading eigenvectors of D^-1/2 W D^-1/2, rows scaled to
length 1, k-means on them. With von Luxburg (2007) the eigenvalues are given as those of the
normalised Laplacian, I - D^-1/2 W D^-1/2: in 0..2, ascending, one 0 for each connected component.
But: each connected component is solved by itself, large ones first, since a solver returns an
arbitrary basis of the eigenvectors of equal eigenvalues. With k components or more the k - 1
largest are one cluster each and the others share the last, as no edge tells where they belong.
Images without an edge have no eigenvector and lie at the origin.
The solver is ARPACK (Lanczos with restarts): on 20,000 images it took a tenth of the time of
LOBPCG, to a smaller residual. For m eigenvalues it keeps 2 m vectors in float64, 16 m bytes per
image: where these are more than BASIS, lanczos.py does the same with vectors that need not be in
memory, nor need the graph and the eigenvectors (cluster.scratch). BLAS uses one thread, so that the
number of cores has no influence; ARPACK's products with the sparse matrix use one thread anyway.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.kmeans.api import kmeans, require_k
from cluster.kmeans.assign import assign
from cluster.scratch import scratch_array
from cluster.spectral.lanczos import basis_size, leading_pairs
from cluster.spectral.row_blocks import ROWS, of_rows, part
from cluster.vectors.rows import ArrayRows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DENSE = 600  # images up to which the dense solver is used
TOL = 1e-9  # of an eigenvalue, relative
BASIS = 256_000_000  # bytes of the solver's vectors up to which ARPACK keeps them in memory


class Leading(NamedTuple):
    """vectors: float64 [image, m], the leading eigenvectors; eigenvalues: float64 [m], of the
    Laplacian, ascending; component: int32 [image], numbered by falling size, -1 for images without
    an edge."""

    vectors: np.ndarray
    eigenvalues: np.ndarray
    component: np.ndarray


class Spectral(NamedTuple):
    """assignment: int32 [seed, image]; loss: float64 [seed], the inertia of k-means among the
    rows of eigenvectors; eigenvalues: float64 [m], as in Leading."""

    assignment: np.ndarray
    loss: np.ndarray
    eigenvalues: np.ndarray


def leading_eigenvectors(graph: "csr_array", m: int, copies: np.ndarray | None = None) -> Leading:
    """The `m` leading eigenvectors, or as many as there are images with an edge.

    graph: float64 [image, image], symmetric, weights >= 0, no diagonal. `copies`: int [image], how
    many images each stands for, where the graph is that of cluster.spectral.distinct_points. Raises
    ClusterError when m is below 1.
    """
    if m < 1:
        raise ClusterError(f"{m} eigenvectors were requested: at least 1 is needed")
    degree = graph.sum(axis=1)
    component = _components(graph, degree, copies)
    linked = np.flatnonzero(component >= 0)
    m = min(m, len(linked))
    vectors, values = scratch_array((len(degree), m), np.float64), np.zeros(m)
    vectors[:] = 0
    if component.max(initial=-1) + 1 >= m:
        first = linked[component[linked] < m]
        vectors[first, component[first]] = np.sqrt(degree[first])
        vectors /= np.maximum(_norms(vectors), 1e-300)
        return Leading(vectors, values, component)
    found, solved, scaled = [], [], _scaled(graph, degree)
    del graph  # frees the largest array, unless the caller keeps it
    for number in range(component.max() + 1):
        images = np.flatnonzero(component == number)
        inside = scaled if len(images) == len(degree) else part(scaled, images)
        of_each, columns = _solve(inside, m - component.max())
        of_each[0] = 0  # exactly, of one component
        found += [(value, number) for value in of_each]
        solved.append((images, columns))
    found.sort()  # of equal ones the larger component first
    values[:] = [value for value, _ in found[:m]]
    for number, (images, columns) in enumerate(solved):
        places = [at for at, (_, component_of) in enumerate(found[:m]) if component_of == number]
        _write(vectors, images, places, columns[:, : len(places)])  # ascending in each
    return Leading(vectors, values, component)


def spectral(
    leading: Leading,
    k: int,
    *,
    seeds: Sequence[int],
    n_init: int,
    max_iter: int,
    tol: float,
    copies: np.ndarray | None = None,
    device: str = "cpu",
) -> Spectral:
    """Cluster the images into `k` by the first k of the eigenvectors, once a seed.

    `copies`: as of leading_eigenvectors; an image counts in k-means as often. `n_init`, `max_iter`,
    `tol`: of cluster.kmeans.api. Raises ClusterError when k is not in 1..images, or when fewer
    eigenvectors are given than k needs, though there are more."""
    images, m = leading.vectors.shape
    require_k(k, images)
    if m < min(k, int((leading.component >= 0).sum())):
        raise ClusterError(f"{k} clusters need {k} eigenvectors, {m} are given: ask for more")
    if k <= leading.component.max(initial=-1) + 1:
        return _by_component(leading, k, len(seeds), copies)
    rows = ArrayRows(unit_rows(leading.vectors[:, :k]))
    every = rows if copies is None else ArrayRows(_repeated(rows.array, copies))
    fit = kmeans(every, k, seeds=seeds, n_init=n_init, max_iter=max_iter, tol=tol, device=device)
    nearest = assign(rows, fit.centroids, device=device)
    return Spectral(nearest.assignment, fit.inertia, leading.eigenvalues)


def unit_rows(vectors: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
    """The rows of float64 [image, m] at length 1, as float32 [image, m], of at least one column;
    with `scale`, float64 [m], of the columns times it. A row of zeros has no direction and stays.
    """
    images, m = vectors.shape
    x = scratch_array((images, max(1, m)), np.float32)
    for low in range(0, images, ROWS):
        rows = vectors[low : low + ROWS]
        if scale is not None:
            rows = rows * scale
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
        out = x[low : low + ROWS]
        out[:, m:] = 0
        np.divide(rows, np.where(norms > 0, norms, 1), out=out[:, :m], casting="same_kind")
    return x


def _repeated(x: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Each row so many times."""
    out, stop = scratch_array((int(copies.sum()), x.shape[1]), x.dtype), 0
    for low in range(0, len(x), ROWS):
        some = np.repeat(x[low : low + ROWS], copies[low : low + ROWS], axis=0)
        start, stop = stop, stop + len(some)
        out[start:stop] = some
    return out


def _norms(vectors: np.ndarray) -> np.ndarray:
    """The lengths of the columns of float64 [image, m], summed from the first image to the last."""
    total = np.zeros(vectors.shape[1])
    for low in range(0, len(vectors), ROWS):
        total = np.add.reduce(np.vstack([total[None], np.square(vectors[low : low + ROWS])]))
    return np.asarray(np.sqrt(total))


def _write(out: np.ndarray, images: np.ndarray, places: list[int], columns: np.ndarray) -> None:
    """The eigenvectors float64 [image of a component, column] into the columns `places` of `out`,
    the number farthest from 0 positive. Some rows of all at once: the pages of an array that may be
    larger than memory are written once."""
    farthest = np.array([column[np.abs(column).argmax()] for column in columns.T])
    sign = np.where(farthest > 0, 1.0, -1.0)
    for low in range(0, len(images), ROWS):
        rows = slice(low, low + ROWS)
        out[images[rows, None], places] = columns[rows] * sign


def eigengap_k(eigenvalues: np.ndarray) -> int | None:
    """The number of clusters, at least 2, by the largest gap between consecutive eigenvalues (von
    Luxburg 2007, section 8.3); uses no labels.

    eigenvalues: float64 [m], ascending; the largest answer is m - 1. Ties: the lower number. None
    where there is no gap: too few eigenvalues, or all equal.
    """
    gaps = np.diff(eigenvalues)[1:]
    return int(gaps.argmax()) + 2 if gaps.any() else None


def _components(graph: "csr_array", degree: np.ndarray, copies: np.ndarray | None) -> np.ndarray:
    """As Leading.component; of equal size, the component with the first image comes first."""
    from scipy.sparse.csgraph import connected_components

    # The same for a symmetric graph; scipy would copy the graph for undirected components
    count, found = connected_components(graph, directed=True, connection="strong")
    size = np.bincount(found, copies, minlength=count)
    size[found[degree == 0]] = 0
    first = np.unique(found, return_index=True)[1]
    place = np.empty(count, np.int32)
    place[np.lexsort([first, -size])] = np.arange(count, dtype=np.int32)
    place[size == 0] = -1
    return place[found]


def _scaled(graph: "csr_array", degree: np.ndarray) -> "csr_array":
    """D^-1/2 W D^-1/2, which shares the index arrays of W."""
    from scipy.sparse import csr_array

    scale = 1 / np.sqrt(degree, where=degree > 0, out=np.ones(len(degree)))
    weight = scratch_array(graph.nnz, np.float64)
    for low in range(0, len(degree), ROWS):
        edges = of_rows(graph, low, ROWS)
        own = np.repeat(scale[low : low + ROWS], np.diff(graph.indptr[low:][: ROWS + 1]))
        weight[edges] = own * graph.data[edges] * scale[graph.indices[edges]]
    return csr_array((weight, graph.indices, graph.indptr), graph.shape)


def _solve(joined: "csr_array", m: int) -> tuple[np.ndarray, np.ndarray]:
    """The m least eigenvalues of the Laplacian of one component, I - joined, ascending, and the
    eigenvectors, float64 [image, m]."""
    from scipy.linalg import eigh
    from scipy.sparse.linalg import eigsh
    from threadpoolctl import threadpool_limits

    images = joined.shape[0]
    m = min(m, images)
    # Random: a constant vector is orthogonal to some eigenvectors of a regular graph
    start = np.random.default_rng(0).uniform(0.5, 1.5, images)
    if images > DENSE and m <= images // 3 and 8 * images * basis_size(m) > BASIS:
        values, rows = leading_pairs(joined, m, start, tol=TOL)
        return np.clip(1 - values, 0, 2), rows.T
    with threadpool_limits(1, user_api="blas"):
        if images <= DENSE or m > images // 3:
            values, vectors = eigh(joined.toarray(), subset_by_index=[images - m, images - 1])
        else:
            values, vectors = eigsh(joined, m, which="LA", v0=start, tol=TOL)
    order = np.argsort(-values, kind="stable")
    return np.clip(1 - values[order], 0, 2), vectors[:, order]


def _by_component(leading: Leading, k: int, seeds: int, copies: np.ndarray | None) -> Spectral:
    """The optimal k-means of k unit vectors and the origin, where all other images lie."""
    own = np.where(leading.component < 0, k, leading.component)
    last, rest = (np.bincount(which, copies, 2)[1] for which in (own == k - 1, own >= k))
    assignment = np.minimum(own, k - 1).astype(np.int32)
    loss = last * rest / (last + rest)
    return Spectral(np.tile(assignment, (seeds, 1)), np.full(seeds, loss), leading.eigenvalues)
