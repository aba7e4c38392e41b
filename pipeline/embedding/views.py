"""Augmented views of the images of a feature store, a store each, side by side in one folder.

They are what self-labelling (SCAN, arXiv:2005.12320, section 2.3) and other methods train on.
But: a fixed number of views, embedded once, where the originals augment anew in every epoch.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Protocol

import numpy as np

import backbones
import images.augment as augmentations
import store
from pipeline.embedding.pictures import Alter, altered
from pipeline.io.whole import as_written, write_json
from pipeline.params import StageError

_OURS = re.compile(rf"({'|'.join(augmentations.NAMES)})-\d+")


class Fills(Protocol):
    """What embeds: an Embedder here, or one that has a Ray cluster do it."""

    row: backbones.Backbone

    def fill(
        self, writer: store.FeatureWriter, what: str, alter: Alter | None = None
    ) -> dict[int, str]:
        """Bring the writer all that it lacks; why images could not be read, by row of the index."""


def save_views(
    folder: Path,
    plan: store.Plan,
    number: int,
    augment: augmentations.Augmentation,
    embedder: Fills,
) -> None:
    """Fill FOLDER with `number` views of the images of `plan`: strong-0/, strong-1/, ...

    views.json says what is there; views that are no longer asked for go once the new ones are
    whole. Raises StageError when an image that the plan holds can no longer be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = _paths(folder, augment, number)
    for view, path in enumerate(paths):
        encoder = view_digest(plan.encoder, augment, view)
        with store.FeatureWriter(path, plan._replace(encoder=encoder)) as writer:
            alter = altered(augment, view, embedder.row)
            reasons = embedder.fill(writer, f"embed {embedder.row.name} {path.name}", alter)
            if reasons:
                raise StageError(
                    f"{path}: {len(reasons)} of {len(plan.id)} images can no longer be read "
                    f"({reasons[min(reasons)]}): bring them back, or set embed.views: 0"
                )
            writer.finish()
    _say(folder, augment, number)
    for left in folder.iterdir():
        if left not in paths and _OURS.fullmatch(left.name):
            shutil.rmtree(left)


def no_views(folder: Path) -> None:
    """Say in FOLDER that there are none: features from elsewhere have no pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    _say(folder, "strong", 0)


def open_views(folder: Path, found: store.Features) -> list[store.Features]:
    """The views in FOLDER, in order; their rows are those of the centre view `found`.

    Raises StageError when they are of other images.
    """
    path = folder / "views.json"
    with as_written(path):
        facts = json.loads(path.read_text(encoding="utf-8"))
        paths = _paths(folder, facts["augment"], facts["number"])
        there = {one.name for one in folder.iterdir() if _OURS.fullmatch(one.name)}
        if {one.name for one in paths} != there:
            raise ValueError(f"{len(paths)} views of {facts['augment']}, and {len(there)} are here")
    views = [store.Features(one) for one in paths]
    for view in views:
        if not (np.array_equal(view.row, found.row) and np.array_equal(view.id, found.id)):
            raise StageError(f"{view.path} is of other images than {found.path}: run `dvc repro`")
    return views


def _say(folder: Path, augment: augmentations.Augmentation, number: int) -> None:
    facts = {"augment": augment, "number": number}
    write_json(folder / "views.json", facts)


def _paths(folder: Path, augment: str, number: int) -> list[Path]:
    return [folder / f"{augment}-{view}" for view in range(number)]


def view_digest(backbone: str, augment: str, view: int) -> str:
    """Names the vectors as a backbone's digest does: equal only where equal pictures give equal
    vectors."""
    facts = json.dumps([backbone, augment, augmentations.REVISION, view])
    return hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()
