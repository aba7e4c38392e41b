"""Example images of clusters: the most typical of each and the least so."""

from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from pipeline.params import Section


class Examples(Section):
    """The section `examples` of params.yaml."""

    clusters: Annotated[int, Field(ge=0)]  # of a cell; 0: none
    images: Annotated[int, Field(ge=1)]  # of each: the most typical, and as many least so


class Pick(NamedTuple):
    """A cluster, its number of images, and which images to show (int [image])."""

    cluster: int
    size: int
    typical: np.ndarray
    untypical: np.ndarray


def pick(assignment: np.ndarray, away: np.ndarray, shown: int, per_cluster: int) -> list[Pick]:
    """Which images to show, of at most `shown` clusters.

    assignment: int [image]; away: float [image], how untypical each is (pages.report.chosen.away).
    Of more clusters those are taken that lie evenly between the largest and the smallest. The most
    typical first, and of the rest the least typical first; no image twice."""
    order = np.lexsort((away, assignment))  # stable: equals in index order
    clusters, first, size = np.unique(assignment[order], return_index=True, return_counts=True)
    by_size = np.argsort(-size, kind="stable")
    at = np.linspace(0, len(by_size) - 1, min(shown, len(by_size))).round().astype(int)
    out = []
    for c in by_size[at].tolist():
        members = order[first[c] : first[c] + size[c]]
        typical, rest = members[:per_cluster], members[per_cluster:]
        out.append(Pick(int(clusters[c]), int(size[c]), typical, rest[::-1][:per_cluster]))
    return out
