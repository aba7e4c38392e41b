"""One feature store, filled: with all images of a plan, or with all of them that can be read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

import store

# Brings a writer what it lacks, under a name for the progress bar; why images cannot be read
Fill = Callable[[store.FeatureWriter, str], dict[int, str]]


def fill_store(folder: Path, plan: store.Plan, fill: Fill, what: str) -> dict[int, str]:
    """Bring FOLDER every vector of `plan` that it lacks, and finish it if all images can be read.

    Returns why images cannot be read, by row of the plan; `finish_without` then finishes the store.
    A killed run goes on where it was.
    """
    with store.FeatureWriter(folder, plan) as writer:
        reasons = fill(writer, what)
        if not reasons:
            writer.finish()
    return reasons


def finish_without(folder: Path, plan: store.Plan, unreadable: dict[int, str]) -> store.Plan:
    """Finish a filled FOLDER without the `unreadable` rows of `plan`; the plan of the others."""
    if unreadable:
        plan = plan.keep(np.delete(np.arange(len(plan.id)), list(unreadable)))
        with store.FeatureWriter(folder, plan) as writer:
            writer.finish()
    return plan
