"""Shared by the stages that run k-means: their settings, a progress bar, the arrays they save."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import numpy as np
from pydantic import Field
from tqdm import tqdm

from cluster.kmeans.api import Fit
from cluster.kmeans.assign import Nearest
from pipeline.io.space import Count
from pipeline.params import Section


class Starts(Section):
    """The settings that every k-means has."""

    n_init: Count  # starts; the one of lowest inertia is kept
    max_iter: Count  # passes over the data
    tol: Annotated[float, Field(ge=0)]


class Search(Starts):
    """Those of a k-means on all images."""

    init_images: Count  # images that k-means++ samples from


@contextmanager
def passes(what: str, k: int, dims: int, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar of at most `total` passes; the callback takes the number of images that
    changed their cluster in a pass."""
    name = f"{what} k={k}" + f" dims={dims}" * bool(dims)
    with tqdm(total=total, desc=name, disable=None, unit="pass") as bar:

        def progress(moved: int) -> None:
            bar.set_postfix(moved=moved, refresh=False)
            bar.update()

        yield progress


def arrays(fit: Fit, nearest: Nearest) -> dict[str, np.ndarray]:
    """The arrays of one setting for the kind clusters."""
    found = fit._asdict()
    return {"loss": found.pop("inertia"), **found, **nearest._asdict()}
