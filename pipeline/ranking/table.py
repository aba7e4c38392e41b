"""The table of ranked candidates: a row each, best first."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.io.scores import Row, write_scores
from pipeline.ranking.candidates import Candidate

WHAT = ("dataset", "backbone", "run", "setting", "k", "dims", "seed")


def table_of(dataset: str) -> Path:
    return Path("metrics", dataset, "rank.csv")


def facts_of(dataset: str) -> Path:
    return Path("metrics", dataset, "rank.json")


def write_ranking(
    dataset: str,
    candidates: Sequence[Candidate],
    place: np.ndarray,
    scores: dict[str, np.ndarray],
) -> list[Candidate]:
    """Write rank.csv of a dataset, and return the candidates in its order.

    place: float64 [candidate], the lower the better; equal ones keep their order. scores: float64
    [candidate] each.
    """
    order = np.argsort(place, kind="stable").tolist()
    rows: list[Row] = []
    for rank, at in enumerate(order, 1):
        said = candidates[at]._asdict()
        rows.append(
            {"rank": rank, "dataset": dataset}
            | {name: said[name] for name in WHAT if name != "dataset"}
            | {"place": float(place[at])}
            | {name: float(own[at]) for name, own in scores.items()}
            | {"silhouette": said["silhouette"]}
        )
    write_scores(table_of(dataset), ("rank", *WHAT, "place", *scores, "silhouette"), rows)
    return [candidates[at] for at in order]
