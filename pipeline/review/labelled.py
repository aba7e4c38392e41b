"""The images that a person decided about, as those whose class is known."""

import numpy as np

import images
from pipeline.io.labelled import Labelled
from pipeline.params import StageError
from pipeline.review.digests import hex_digests
from pipeline.review.journal import Journal, journal_of
from pipeline.review.replay import replay


def of_review(dataset: str, digest: np.ndarray) -> Labelled:
    """Those of status `decided`, with their categories; digest: uint8 [image, 16], of the index.

    Images that share their bytes share the decision. Raises StageError where nothing was decided
    about images that are there.
    """
    path = journal_of(dataset)
    said = replay(Journal(path, dataset).decisions).placed
    decided = {image: one.category for image, one in said.items() if one.status == "decided"}
    every = hex_digests(digest)
    label = {at: images.same_text(decided[one]) for at, one in enumerate(every) if one in decided}
    if not label:
        why = f"none of the {len(decided)} decided images is there" if decided else "has none"
        raise StageError(
            f"known.{dataset}: {path} {why}: decide about some images first "
            f"(make review DATASET={dataset})"
        )
    notes = []
    if gone := len(decided) - len(decided.keys() & set(every)):
        notes.append(
            f"{gone} of the {len(decided)} images decided in {path} are not there any more"
        )
    return Labelled(label, sorted(set(label.values())), notes)
