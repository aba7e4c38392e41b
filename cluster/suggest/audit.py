"""A random audit: how many labels are right, by a sample that a person judges.

Wilson's score interval (1927) of a simple random sample without replacement, with the correction
for a finite population: the sample counts as n (N - 1) / (N - n) images, so that who has judged all
N images knows.
Example: 8 of 10 right, of very many: Wilson's interval is 0.490 to 0.943.
"""

from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError


class Audit(NamedTuple):
    """right: the estimated share of right labels; low, high: its confidence interval; judged: how
    many images the sample has; images: how many it stands for."""

    right: float
    low: float
    high: float
    judged: int
    images: int


def audit_sample(candidate: np.ndarray, size: int, seed: int) -> np.ndarray:
    """`size` of the images int64 [candidate] (all if they are fewer), each set as likely, in an
    order in which any beginning is a random sample too: int64 [sample]."""
    order = np.random.default_rng(seed).permutation(len(candidate))
    return np.sort(candidate)[order[: max(0, size)]].astype(np.int64)


def audit(right: int, judged: int, images: int, confidence: float = 0.95) -> Audit:
    """Of a simple sample: `right` of `judged` images have the right label, of `images` in all.

    Raises ClusterError unless 0 <= right <= judged <= images. With none judged the interval is 0 to
    1, and the share nan.
    """
    _require(right, judged, images, confidence)
    if not judged:
        return Audit(float("nan"), 0.0, 1.0, 0, images)
    share = right / judged
    if judged == images:
        return Audit(share, share, share, judged, images)
    low, high = _wilson(share, judged * (images - 1) / (images - judged), confidence)
    return Audit(share, low, high, judged, images)


def with_decided(of_rest: Audit, decided: int) -> Audit:
    """Of all images, where `decided` more are taken to be right since a person has said so."""
    images = of_rest.images + decided
    if not images:
        return of_rest
    right, low, high = (
        (decided + share * of_rest.images) / images
        for share in (of_rest.right, of_rest.low, of_rest.high)
    )
    if not of_rest.images:  # nothing is left to be judged
        right = low = high = 1.0
    return Audit(right, low, high, of_rest.judged, images)


def _wilson(share: float, count: float, confidence: float) -> tuple[float, float]:
    """The score interval of a share among `count` images, which need not be a whole number."""
    from statistics import NormalDist

    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = share * (1 - share) / count + z * z / (4 * count * count)
    half = z / (1 + z * z / count) * float(np.sqrt(spread))
    return max(0.0, middle - half), min(1.0, middle + half)


def _require(right: int, judged: int, images: int, confidence: float) -> None:
    if not 0 <= right <= judged <= images:
        raise ClusterError(
            f"{right} of {judged} judged images are right, of {images} in all: expected right <= "
            "judged <= images"
        )
    if not 0 < confidence < 1:
        raise ClusterError(f"the confidence is {confidence}: expected between 0 and 1")
