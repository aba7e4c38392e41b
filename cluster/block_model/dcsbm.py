"""Clusters of the most edge information: the best of nine ascents, polished by the vectors.

After Karrer and Newman (2011), whose objective it is (information.py). But: edges have weights, a
random walk may take several steps between both ends (lag), and images move many at once from starts
that differ in kind (starts.py, ascent.py); then the vectors have a say too (polish.py).
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster.block_model.ascent import Ascent, ascend
from cluster.block_model.information import edge_information
from cluster.block_model.polish import polish
from cluster.block_model.starts import Start
from cluster.kernels.threads import each_on_one_core
from cluster.vectors.rows import Rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

AT_ONCE = 1_000_000  # images x clusters up to which ascents run at once, one a core

State = dict[str, np.ndarray]


class Found(NamedTuple):
    """assignment: int32 [image]; information: its I, in nats."""

    assignment: np.ndarray
    information: float


def best_ascent(
    graph: "csr_array",
    starts: list[Start],
    k: int,
    *,
    lag: int,
    seed: int,
    sweeps: int,
    at_once: bool = False,
    resume: Mapping[str, np.ndarray] | None = None,
    checkpoint: Callable[[Callable[[], State]], object] = lambda state: None,
    progress: Callable[[float], object] = lambda most: None,
) -> Found:
    """The ascent of the most information; of equal ones the first.

    After each start `progress` receives the most so far, and `checkpoint` a function that returns
    the state; `resume` is such a state. `at_once`: starts may run in several threads, which they do
    where images are few: one then takes less time than threads take to wait for one another.
    """
    done, best = 0, Found(np.zeros(0, np.int32), -np.inf)
    if resume is not None:
        done = int(resume["at"])
        best = Found(resume["assignment"], float(resume["information"]))

    def ascent(number: int) -> Ascent:
        return ascend(graph, starts[number](), k, lag=lag, seed=seed, sweeps=sweeps)

    left, few = range(done, len(starts)), graph.shape[0] * k <= AT_ONCE
    each: Iterable[Ascent] = map(ascent, left)
    if at_once and few:
        each = each_on_one_core(ascent, left)
    for number, found in zip(left, each, strict=True):
        if found.information > best.information:
            best = Found(found.assignment, found.information)
        state = {
            "at": np.array(number + 1),
            "assignment": best.assignment,
            "information": np.array(best.information),
        }
        progress(best.information)
        checkpoint(partial(State, state))
    return best


def polished(
    graph: "csr_array",
    vectors: Rows,
    start: np.ndarray,
    k: int,
    *,
    lag: int,
    seed: int,
    copies: np.ndarray | None = None,
) -> Found:
    """The polished clusters of int [image] `start`, and their information."""
    own = polish(graph, vectors, start, k, lag=lag, seed=seed, copies=copies)
    return Found(own, edge_information(graph, own, k, lag=lag))
