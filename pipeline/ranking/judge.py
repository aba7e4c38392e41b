"""Judge the candidates of a dataset on what they have in common: images, graph, one another."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cluster.ranking.agreement import agreement, stabilities
from cluster.ranking.common_graph import listed, mean_graph
from cluster.ranking.edge_scores import EdgeScores, edge_scores
from pipeline.io.absent import Absent
from pipeline.ranking.candidates import Candidate, Candidates
from pipeline.ranking.settings import RankSettings

CRITERIA = (*EdgeScores._fields, "agreement", "stability")
# By whose places candidates are ranked. Edge information is not among them: it rises with k on any
# data, so that the most clusters would come first (docs/methods.md has the numbers)
RANKED = ("modularity", "agreement")


class Judged(NamedTuple):
    """candidates: of all cells; images: on which all were judged; neighbors: of each in the graph
    of a backbone; scores: of each candidate, float64 [candidate], by CRITERIA."""

    candidates: list[Candidate]
    images: int
    neighbors: int
    scores: dict[str, np.ndarray]


def judge(
    cells: Sequence[Candidates],
    settings: RankSettings,
    progress: Callable[[int], object] = lambda n: None,
) -> Judged:
    """The scores of every candidate of these cells, on the images that all of them have.

    progress: is told of each candidate that is done. Raises Absent where the cells have no two
    images in common.
    """
    common = cells[0].row
    for cell in cells[1:]:
        common = np.intersect1d(common, cell.row, assume_unique=True)
    if len(common) < 2:
        raise Absent(f"the cells have {len(common)} images of train in common, 2 are needed")
    at = [np.searchsorted(cell.row, common) for cell in cells]
    wanted = listed(settings.neighbors, max(len(cell.row) for cell in cells), len(cells))
    graph = mean_graph(
        (cell.neighbor()[:, :wanted], own) for cell, own in zip(cells, at, strict=True)
    )
    drawn = np.arange(len(common))
    if len(common) > settings.images:
        generator = np.random.default_rng(settings.seed)
        drawn = np.sort(generator.choice(len(common), settings.images, replace=False))
    candidates: list[Candidate] = []
    edges: list[EdgeScores] = []
    compared: list[np.ndarray] = []
    for cell, own in zip(cells, at, strict=True):
        for candidate, assignment in cell.assignments():
            here = assignment[own]
            edges.append(edge_scores(graph, here, candidate.k, settings.lag))
            compared.append(here[drawn])
            candidates.append(candidate)
            progress(1)
    setting = _settings(candidates)
    assignments = np.stack(compared)
    k = np.array([candidate.k for candidate in candidates])
    by_edges = np.array(edges).T
    return Judged(
        candidates, len(common), wanted,
        dict(zip(EdgeScores._fields, by_edges, strict=True))
        | {"agreement": agreement(assignments, k, setting),
           "stability": stabilities(assignments, setting)},
    )  # fmt: skip


def _settings(candidates: Sequence[Candidate]) -> np.ndarray:
    """A number of each, int64 [candidate], equal for the seeds of one setting."""
    known: dict[tuple[str, str, int], int] = {}
    keys = [(c.backbone, c.run, c.setting) for c in candidates]
    return np.array([known.setdefault(key, len(known)) for key in keys])
