"""Which of the trained heads of a seed is kept: that of the lowest loss, or of most information.

The loss is the method's own; the edge information (cluster.block_model.information) is that of the
head's clusters on the graph of the neighbours that it learned from, and asks nothing of the method.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cluster.block_model.information import edge_information
from cluster.heads.model import predict
from cluster.heads.training import History, Learner
from cluster.spectral.snn_graph import jaccard_graph
from cluster.vectors.rows import Rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Choose = Literal["loss", "information", "information_4"]
LAGS = {"information": 1, "information_4": 4}  # steps of the random walk

# From the heads, the vectors that they were fitted to and their history: the history in which the
# last criterion is the one that decides
Chooser = Callable[[Learner[Any], Rows, History], History]


def head_chooser(choose: Choose, table: np.ndarray, device: str) -> Chooser:
    """table: int32 [image, neighbor], neighbours of the fitted images, positions among them."""

    @cache
    def graph() -> "csr_array":  # once, where it is needed
        return jaccard_graph(table)

    def by_information(learner: Learner[Any], rows: Rows, history: History) -> History:
        criterion = np.empty(learner.n_heads)
        for head in range(learner.n_heads):
            own = predict(rows, learner.head(head), device=device).assignment[0]
            criterion[head] = -edge_information(graph(), own, learner.k, lag=LAGS[choose])
        watched = learner.watch(int(criterion.argmin()))
        return history._replace(
            criterion=np.concatenate([history.criterion[:-1], criterion[None]]),
            watched=np.concatenate([history.watched[:-1], watched[None]]),
        )

    return by_loss if choose == "loss" else by_information


def by_loss(learner: Learner[Any], rows: Rows, history: History) -> History:
    """The method's own criterion."""
    return history
