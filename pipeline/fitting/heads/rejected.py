"""Mark the images of a run that belong to none of its classes, known or new."""

import numpy as np

from cluster.heads.reject import fit_reject, own_distance
from cluster.vectors.rows import Rows, Subset
from pipeline.io.known import Known
from pipeline.io.space import Space


def mark_rejected(
    run: str,
    space: Space,
    known: Known,
    share: float,
    device: str,
    found: dict[str, np.ndarray],
    rows: Rows,
) -> None:
    """Add to the arrays of a setting who is rejected, and by what; nothing where `share` is 0.

    share: of the labelled images, those that lie as far from the mean of the cluster they are
    predicted to be in as rejected images do. Labelled images themselves are never rejected.
    found, rows: see pipeline.fitting.heads.training.Plan.
    """
    if not share:
        return
    own, k = found["assignment"], found["weight"].shape[1]
    labelled = np.flatnonzero(known.label >= 0)
    fit = fit_reject(Subset(rows, space.train), own[:, space.train], labelled, share, k, device)
    at = space.train[labelled]
    final = own.copy()  # labelled images will be in the cluster of their class
    final[:, at] = known.label[labelled]
    found |= fit._asdict()
    found["distance"] = own_distance(rows, final, fit.centroids, device)
    rejected = found["distance"] > fit.reject_beyond[:, None]
    rejected[:, at] = False
    found["rejected"] = rejected.astype(np.uint8)
    each = ", ".join(str(number) for number in rejected.sum(1))
    print(f"{run} k={k}: {each} of {len(rows)} images belong to none of the classes (by seed)")
