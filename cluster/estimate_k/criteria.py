"""How many groups images fall into, without labels: six criteria, each with a vote a seed.

The silhouette (Rousseeuw 1987) in all dims and in the reduced ones, the agreement of seeds and of
halves (cluster.estimate_k.stability), the bend of the inertia (cluster.estimate_k.elbow) and the
coding length (cluster.estimate_k.coding_length). Each has one value for every number of clusters k,
and votes for the k of its highest. But: silhouette and agreement are high for small k on any data
at all, and an index corrected for chance does not help: two halves of one long cloud are found
again and again. So of these four the value counts by which it exceeds that of images without groups
(cluster.estimate_k.null_reference), clustered alike. (The difference, not the ratio to what is left
up to 1: where groupless images are found again fully, the ratio is anything.)"""

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
    """How each k is clustered, and the coding length taken: in `coding_dims` leading dims, up to a
    `distortion`, a share of their variance. A cluster is told by about dims² numbers, so with many
    dims more clusters never pay."""

    n_init: int
    max_iter: int
    tol: float
    coding_dims: int
    distortion: float


def candidate_ks(least: int, most: int, growth: float) -> list[int]:
    """Numbers of clusters to try: each `growth` times the one before, rounded, or 1 more if that
    is more; the last is `most`. Raises ClusterError when most is below least, or least below 2."""
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
    parts: bool = True,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda k: None,
) -> dict[str, np.ndarray]:
    """MEASURES of k-means with every k ([candidate]) and seed: float64 [seed, candidate].

    parts: whether the coding length is wanted, else it is 0. `progress` is told each k that is
    done. Raises ClusterError when a half of the images has fewer than the highest k.
    """
    rows = ArrayRows(sample.reduced)
    if max(k) > len(rows) // 2:
        raise ClusterError(
            f"k is {max(k)}, and half of the images are {len(rows) // 2}: choose no higher k"
        )
    told = sample.reduced[:, : search.coding_dims]
    eps = max(np.sqrt(search.distortion * told.var(axis=0, dtype=np.float64).sum()), 1e-12)
    out = {name: np.zeros((len(seeds), len(k))) for name in MEASURES}
    seen = np.empty((len(k), len(seeds), len(sample.watched)), np.int32)
    for at, number in enumerate(k):
        fit = partial(_fit, k=number, search=search, device=device)
        whole = fit(rows, seeds)
        assignment = assign(rows, whole.centroids, device=device).assignment
        out["inertia"][:, at] = whole.inertia
        out["stability"][:, at] = stability(assignment)
        out["halves"][:, at] = between_halves(rows, fit, seeds, device)
        if parts:
            out["coding_length"][:, at] = [coding_length(told, own, eps) for own in assignment]
        seen[at] = assignment[:, sample.watched]
        progress(number)
    for name, vectors in (
        ("silhouette", sample.whole),
        ("silhouette_reduced", sample.reduced[sample.watched]),
    ):
        every = silhouettes(vectors, seen.reshape(-1, seen.shape[-1]))
        out[name] = every.reshape(len(k), len(seeds)).T
    return out


def criteria(k: Sequence[int], found: Values, reference: Values) -> dict[str, np.ndarray]:
    """CRITERIA, float64 [seed, candidate], the highest best, from what was measured among the
    images and among a reference without groups (of as many candidates; its seeds are averaged)."""
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
