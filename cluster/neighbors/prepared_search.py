"""What a search of nearest neighbours prepares once for all queries."""

from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.kernels.similarity import Metric, ProductSpace, Survey
from cluster.neighbors.equal_rows import limit_equal_rows
from cluster.vectors.rows import Rows, Subset

MAX_NEIGHBORS = 256


class PreparedSearch(NamedTuple):
    """The rows to search. keep: int64 [target], the position of each target among all rows; own:
    int64 [query], which target the query itself is, -1 for none."""

    targets: Rows
    facts: Survey
    space: ProductSpace
    keep: np.ndarray
    own: np.ndarray


def prepare_search(
    among: Rows, facts: Survey, k: int, metric: Metric, own: np.ndarray
) -> PreparedSearch:
    """Prepare a search among the rows `among`; of equal rows only the first k + 1 are searched."""
    keep = limit_equal_rows(among, facts.code, k + 1)
    space = ProductSpace.of(facts, metric)
    if len(keep) < len(among):
        among = Subset(among, keep)
        facts = facts._replace(squares=facts.squares[keep], code=facts.code[keep])
        at = np.minimum(np.searchsorted(keep, own), len(keep) - 1)
        own = np.where(keep[at] == own, at, -1)
    return PreparedSearch(among, facts, space, keep, own)


def require_neighbors(rows: Rows, among: Rows, k: int, own: np.ndarray) -> None:
    """Raise ClusterError unless each of `rows` can have k neighbours in `among`."""
    if not 1 <= k <= MAX_NEIGHBORS:
        raise ClusterError(f"k is {k}, expected 1 to {MAX_NEIGHBORS}: choose fewer neighbours")
    if rows.dim != among.dim:
        raise ClusterError(
            f"vectors of {rows.dim} dims are searched among vectors of {among.dim}: give features "
            "of one backbone"
        )
    there = len(among) - bool((own >= 0).any())
    if k > there:
        raise ClusterError(
            f"k is {k}, but there are only {there} images to be neighbours: choose k up to {there}"
        )
