"""The number of clusters of some vectors without labels: candidate_ks, their criteria, the votes.

Images are drawn and compared with images without groups (cluster.estimate_k.null_reference), both
are clustered for every candidate k (cluster.estimate_k.criteria), and the criteria vote
(cluster.estimate_k.consensus).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.estimate_k.consensus import Consensus, consensus
from cluster.estimate_k.criteria import CriteriaSettings, Values, candidate_ks, criteria, measure
from cluster.estimate_k.null_reference import Sample, null_reference
from cluster.vectors.pca import fit_pca
from cluster.vectors.rows import Basis, Rows


class Sampling(NamedTuple):
    """What is looked at: so many `images`, drawn by `seed`, in so many leading principal components
    (`dims`); silhouettes compare all pairs of `silhouette_images` of them."""

    images: int
    dims: int
    silhouette_images: int
    seed: int


# As params.yaml has it, for those who call from Python
SAMPLING = Sampling(images=10_000, dims=32, silhouette_images=2_000, seed=0)
SEARCH = CriteriaSettings(n_init=2, max_iter=50, tol=1e-3, coding_dims=8, distortion=0.1)


class Compared(NamedTuple):
    """MEASURES of the images and of those without groups, and CRITERIA made of both: each by name,
    float64 [seed, candidate]."""

    found: Values
    reference: Values
    criteria: Values


def estimate_k(
    rows: Rows,
    *,
    k_min: int = 2,
    k_max: int = 50,
    growth: float = 1.2,
    seeds: Sequence[int] = (0, 1, 2),
    sampling: Sampling = SAMPLING,
    search: CriteriaSettings = SEARCH,
    device: str = "cpu",
) -> Consensus:
    """How many groups `rows` ([image, dim]) fall into, and how sure that is; no label is read.

    k_min, k_max: the fewest and the most clusters that are tried, at most half of the images;
    growth: each number is so many times the one before, or 1 more. Vectors are scaled to length 1
    and projected to their leading principal components. The defaults are those of params.yaml.
    Raises ClusterError when the images are too few or all alike.
    """
    basis = fit_pca(rows, normalize=True, whiten=False, device=device)
    if not len(basis.components):
        raise ClusterError(f"all {len(rows)} images are alike: they have no number of clusters")
    sample, reference = draw(rows, basis, sampling)
    k = candidate_ks(k_min, min(k_max, len(sample.reduced) // 2), growth)
    return consensus(k, compare(sample, reference, k, seeds, search, device=device).criteria)


def draw(rows: Rows, basis: Basis, sampling: Sampling) -> tuple[Sample, Sample]:
    """Some of `rows` seen through `basis`, and as many images without groups."""
    generator, n = np.random.default_rng(sampling.seed), len(rows)
    at = np.arange(n)
    if n > sampling.images:
        at = np.sort(generator.choice(n, sampling.images, replace=False))
    watched = np.arange(len(at))
    if len(at) > sampling.silhouette_images:
        chosen = generator.choice(len(at), sampling.silhouette_images, replace=False)
        watched = np.sort(chosen)
    x = rows.take(at)
    reduced = basis.project(x, min(sampling.dims, len(basis.components)))
    whole = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return (
        Sample(reduced, watched, whole[watched]),
        null_reference(reduced, whole, watched, sampling.seed),
    )


def compare(
    sample: Sample,
    reference: Sample,
    k: Sequence[int],
    seeds: Sequence[int],
    search: CriteriaSettings,
    *,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda k: None,
) -> Compared:
    """Cluster a sample and its reference without groups into every k ([candidate]), once a seed.
    progress: is told each k that is done, twice. Without candidate_ks there is nothing."""
    if not k:
        return Compared({}, {}, {})
    found = measure(sample, k, seeds, search, device=device, progress=progress)
    plain = measure(reference, k, seeds, search, coding=False, device=device, progress=progress)
    return Compared(found, plain, criteria(k, found, plain))
