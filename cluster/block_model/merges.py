"""Merge clusters pair by pair, each time the pair that costs the least edge information.

As the agglomerative starts of block models (Peixoto, Phys. Rev. E 89, 012804, 2014). With f(x) = x
log x, I = sum_ab f(M_ab) - 2 sum_a f(r_a) for weights M of the sum 1, so that merging a and b loses

    sum_c 2 [f(M_ac) + f(M_bc) - f(M_ac + M_bc)]      over all other c
    + f(M_aa) + f(M_bb) + 2 f(M_ab) - f(M_aa + M_bb + 2 M_ab)
    - 2 [f(r_a) + f(r_b) - f(r_a + r_b)].

Terms of c without an edge to both are 0. After a merge only pairs that meet in it are corrected.
"""

import numpy as np

from cluster.errors import ClusterError
from cluster.kernels.jit import in_order


def merge(weight: np.ndarray, k: int) -> np.ndarray:
    """The cluster, in 0..k-1, of each of the clusters of `weight`, float64 [cluster, cluster],
    symmetric: int32 [cluster]. Of equal losses the first pair; the merged are numbered by their
    first cluster. Time O(cluster²) and what clusters have in common, memory two such matrices.
    Raises ClusterError when k is not in 1..clusters.
    """
    clusters = len(weight)
    if not 1 <= k <= clusters:
        raise ClusterError(f"{clusters} clusters cannot be merged into {k}")
    share = weight / max(weight.sum(), 1e-300)
    into = np.arange(clusters, dtype=np.int32)
    _merge(share, share.sum(axis=1), into, clusters - k)
    for number in range(clusters):  # a cluster was merged into a lower one
        into[number] = into[into[number]]
    return np.unique(into, return_inverse=True)[1].astype(np.int32)


def merge_losses(weight: np.ndarray) -> np.ndarray:
    """What merging each two of the clusters of `weight`, as of `merge`, would lose, in nats:
    float64 [cluster, cluster], above the diagonal, else 0."""
    share = weight / max(weight.sum(), 1e-300)
    loss = np.zeros(share.shape)
    _set_all_losses(share, share.sum(axis=1), np.ones(len(share), np.bool_), loss)
    return loss


@in_order
def _f(x: float) -> float:
    return x * np.log(x) if x > 0 else 0.0


@in_order
def _common(one: float, other: float) -> float:
    """What is lost by one entry of a row that is added to another's."""
    return _f(one) + _f(other) - _f(one + other) if one > 0 and other > 0 else 0.0


@in_order
def _own(m: np.ndarray, r: np.ndarray, a: int, b: int) -> float:
    """The terms of a pair that no other cluster has a part in."""
    inside = _f(m[a, a]) + _f(m[b, b]) + 2 * _f(m[a, b]) - _f(m[a, a] + m[b, b] + 2 * m[a, b])
    return inside - 2 * (_f(r[a]) + _f(r[b]) - _f(r[a] + r[b]))


@in_order
def _row_minimum(loss: np.ndarray, alive: np.ndarray, a: int) -> int:
    """The cluster above a with which it costs the least, or -1."""
    best = -1
    for b in range(a + 1, len(loss)):
        if alive[b] and (best < 0 or loss[a, b] < loss[a, best]):
            best = b
    return best


@in_order
def _set_losses(
    m: np.ndarray, r: np.ndarray, alive: np.ndarray, loss: np.ndarray, a: int, low: int
) -> None:
    """Those of a with all clusters from `low` on; in loss[lower, higher]."""
    for b in range(low, len(m)):
        if alive[b] and b != a:
            loss[min(a, b), max(a, b)] = _own(m, r, a, b)
    for c in range(len(m)):
        if not alive[c] or c == a or m[a, c] == 0:
            continue
        for b in range(low, len(m)):
            if alive[b] and b != a and b != c and m[c, b] > 0:
                loss[min(a, b), max(a, b)] += 2 * _common(m[a, c], m[c, b])


@in_order
def _set_all_losses(m: np.ndarray, r: np.ndarray, alive: np.ndarray, loss: np.ndarray) -> None:
    for a in range(len(m)):
        _set_losses(m, r, alive, loss, a, a + 1)


@in_order
def _correct_others(
    m: np.ndarray, alive: np.ndarray, loss: np.ndarray, stale: np.ndarray, a: int, b: int
) -> None:
    """Before a and b are merged: of pairs of others, their two terms become one of both."""
    met, count = np.empty(len(m), np.int64), 0
    for c in range(len(m)):
        if alive[c] and c != a and c != b and m[a, c] + m[b, c] > 0:
            met[count] = c
            count += 1
    for i in range(count):
        c = met[i]
        stale[c] = True
        for j in range(i + 1, count):
            d = met[j]
            before = _common(m[a, c], m[a, d]) + _common(m[b, c], m[b, d])
            after = _common(m[a, c] + m[b, c], m[a, d] + m[b, d])
            loss[c, d] += 2 * (after - before)


@in_order
def _join(m: np.ndarray, r: np.ndarray, a: int, b: int) -> None:
    """Add b to a; of b stays what was."""
    m[a, a] += m[b, b] + 2 * m[a, b]
    for c in range(len(m)):
        if c != a and c != b:
            m[a, c] += m[b, c]
            m[c, a] = m[a, c]
    r[a] += r[b]


@in_order
def _merge(m: np.ndarray, r: np.ndarray, into: np.ndarray, times: int) -> None:
    """Merge so many times; `into`: int32 [cluster], where each went."""
    n = len(m)
    alive, stale = np.ones(n, np.bool_), np.zeros(n, np.bool_)
    loss, nearest = np.zeros((n, n)), np.empty(n, np.int64)
    _set_all_losses(m, r, alive, loss)
    for a in range(n):
        nearest[a] = _row_minimum(loss, alive, a)
    for _ in range(times):
        a = -1
        for c in range(n):
            better = alive[c] and nearest[c] >= 0
            if better and (a < 0 or loss[c, nearest[c]] < loss[a, nearest[a]]):
                a = c
        b = nearest[a]
        _correct_others(m, alive, loss, stale, a, b)
        _join(m, r, a, b)
        alive[b], into[b] = False, a
        _set_losses(m, r, alive, loss, a, 0)
        for c in range(n):
            if alive[c] and (stale[c] or c <= b):
                nearest[c] = _row_minimum(loss, alive, c)
            stale[c] = False
