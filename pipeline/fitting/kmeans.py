"""What stages that run k-means share: how it searches, the bar of its passes, what is kept."""

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


class Search(Section):
    """The settings that every k-means has."""

    n_init: Count
    max_iter: Count  # passes over the data
    tol: Annotated[float, Field(ge=0)]
    init_images: Count  # images that k-means++ looks at


@contextmanager
def passes(what: str, k: int, dims: int, total: int) -> Iterator[Callable[[int], None]]:
    """A bar of at most `total` passes, and what is to be told how many images moved in each."""
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
