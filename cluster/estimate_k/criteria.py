"""Criteria for the number of clusters without labels: six curves over k, for each seed.

The silhouette (Rousseeuw 1987) in all dims and in the reduced ones, the stability between seeds and
between halves (cluster.estimate_k.stability), the elbow of the inertia (cluster.estimate_k.elbow)
and the coding length (cluster.estimate_k.coding_length). Each has one value for every number of
clusters k, and votes for the k of its highest. But: silhouette and stability are high for small k
on any data, and correction for chance does not help: k-means splits one elongated cloud into the
same two halves again and again. So the value of these four is the excess over that of a null
reference without groups (cluster.estimate_k.null_reference), clustered in the same way. (It is the
difference, not the ratio to what is left up to 1: that is undefined where the stability of the
reference is 1.)"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.estimate_k.coding_length import coding_length
from cluster.estimate_k.elbow import below_chord
from cluster.estimate_k.null_reference import Sample
from cluster.estimate_k.stability import between_halves
from cluster.kmeans.api import Fit, kmeans
from cluster.kmeans.assign import assign
from cluster.kmeans.small import is_small, small_kmeans
from cluster.metrics.clustering import silhouettes, stability
from cluster.vectors.rows import ArrayRows, Rows

COMPARED = ("silhouette", "silhouette_reduced", "stability", "halves")  # with images without groups
CRITERIA = (*COMPARED, "elbow", "coding_length")
MEASURES = ("inertia", *COMPARED, "coding_length")

Values = Mapping[str, np.ndarray]  # by criterion or measure: float64 [seed, candidate]


class CriteriaSettings(NamedTuple):
    """k-means of each k, and the coding length: in the `coding_dims` leading dims, up to a
    `distortion`, a share of their variance. A cluster is encoded by about dims² numbers, so with
    many dims more clusters never pay off."""

    n_init: int
    max_iter: int
    tol: float
    coding_dims: int
    distortion: float


def candidate_ks(least: int, most: int, growth: float) -> list[int]:
    """Numbers of clusters to try: each is `growth` times the one before, rounded, and at least 1
    more; the last is `most`. Raises ClusterError when most is below least, or least below 2."""
    if not 2 <= least <= most:
        raise ClusterError(
            f"numbers of clusters from {least} to {most} cannot be tried: the first has to be 2 or "
            "more, the last no less than the first"
        )
    out = [least]
    while out[-1] < most:
        out.append(min(most, max(out[-1] + 1, round(out[-1] * growth))))
    return out


def measure(
    sample: Sample,
    k: Sequence[int],
    seeds: Sequence[int],
    search: CriteriaSettings,
    *,
    coding: bool = True,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda k: None,
) -> dict[str, np.ndarray]:
    """MEASURES of k-means with every k ([candidate]) and seed: float64 [seed, candidate].

    coding: whether to compute the coding length, else it is 0. `progress` is called with each k
    that is done. Raises ClusterError when half of the images are fewer than the highest k.
    """
    rows = ArrayRows(sample.reduced)
    if max(k) > len(rows) // 2:
        raise ClusterError(
            f"k is {max(k)}, and half of the images are {len(rows) // 2}: choose no higher k"
        )
    encoded = sample.reduced[:, : search.coding_dims]
    eps = max(np.sqrt(search.distortion * encoded.var(axis=0, dtype=np.float64).sum()), 1e-12)
    out = {name: np.zeros((len(seeds), len(k))) for name in MEASURES}
    assignments = np.empty((len(k), len(seeds), len(sample.subset)), np.int32)
    for at, number in enumerate(k):
        fit = partial(_fit, k=number, search=search, device=device)
        whole = fit(rows, seeds)
        assignment = assign(rows, whole.centroids, device=device).assignment
        out["inertia"][:, at] = whole.inertia
        out["stability"][:, at] = stability(assignment)
        out["halves"][:, at] = between_halves(rows, fit, seeds, device)
        if coding:
            out["coding_length"][:, at] = [coding_length(encoded, own, eps) for own in assignment]
        assignments[at] = assignment[:, sample.subset]
        progress(number)
    for name, vectors in (
        ("silhouette", sample.full),
        ("silhouette_reduced", sample.reduced[sample.subset]),
    ):
        every = silhouettes(vectors, assignments.reshape(-1, assignments.shape[-1]))
        out[name] = every.reshape(len(k), len(seeds)).T
    return out


def criteria(k: Sequence[int], found: Values, reference: Values) -> dict[str, np.ndarray]:
    """CRITERIA, float64 [seed, candidate], higher is better, from MEASURES of the images and of the
    null reference (with the same candidates; its seeds are averaged)."""
    out = {name: found[name] - reference[name].mean(axis=0) for name in COMPARED}
    out["elbow"] = np.stack([below_chord(np.array(k), own) for own in found["inertia"]])
    out["coding_length"] = -found["coding_length"]
    return out


def _fit(rows: Rows, seeds: Sequence[int], *, k: int, search: CriteriaSettings, device: str) -> Fit:
    common: dict[str, Any] = {
        "n_init": search.n_init,
        "max_iter": search.max_iter,
        "tol": search.tol,
    }
    if is_small(rows, k):
        return small_kmeans(rows, k, seeds=seeds, **common)
    return kmeans(rows, k, seeds=seeds, device=device, **common)
