"""Which clustering is shown: chosen without labels."""

import math
from collections.abc import Sequence

import numpy as np

import store
from pages.report.tables.settings import Setting, headlines


def best(settings: Sequence[Setting]) -> Setting | None:
    """The highest mean silhouette on `train` among the first settings of one backbone's runs.

    Runs that were fitted on the dataset itself go first; without silhouettes it is the first run.
    One backbone only: silhouettes in other spaces do not compare, and raw pixels easily have the
    highest. Those of one backbone are all taken in its whole features (stage evaluate).
    """
    train = [s for s in headlines(settings) if s.split == "train"]
    candidates = [s for s in train if s.own] or train
    if not candidates:
        return None
    return max(candidates, key=lambda s: _or_lowest(s.mean["silhouette"]))


def away(file: store.File, setting: int) -> np.ndarray:
    """How untypical each image is of its cluster, float32 [seed, image]: its distance from the
    centre, or how improbable the cluster is."""
    if f"{setting}/distance" in file:
        return file[f"{setting}/distance"]
    return 1 - file[f"{setting}/probability"]


def _or_lowest(value: float) -> float:
    return -2.0 if math.isnan(value) else value
