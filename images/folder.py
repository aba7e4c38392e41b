"""Anyone's own pictures: every image file under a folder, labelled by folder names or not at all.

`tree` says what the folders mean:

- `flat`: nothing; any tree, no labels, all of it the split `train`
- `class`: root/CLASS/...; all of it the split `train`
- `split/class`: root/SPLIT/CLASS/..., each split with any of the classes

Folders below these mean nothing. Classes are numbered in the natural order of their names, 2 before
10; folders whose names differ in Unicode's form only (é as one sign or as two) are one class.
Without labels nothing tells how many classes there are: say `classes: 20` where it matters.
"""

from typing import Literal

import numpy as np

from images import _tree
from images._classes import number_classes, same_splits
from images._listing import ImagesError, Listing, Opener, Stater

Tree = Literal["flat", "class", "split/class"]


def list_images(*, root: str, tree: Tree = "flat") -> Listing:
    """All images under `root`, by name."""
    path = _tree.folder(root, "a folder of images")
    names = _tree.image_names(path)
    if tree == "flat":
        return Listing(names, ["train"] * len(names), np.full(len(names), -1, np.int32), [], 0)
    levels = tree.count("/") + 1
    parts = [name.split("/", levels) for name in names]
    loose = [name for name, part in zip(names, parts, strict=True) if len(part) <= levels]
    if loose:
        raise ImagesError(
            f"tree: {tree} expects {path}/{'SPLIT/' * (levels - 1)}CLASS/image, but {len(loose)} "
            f"of {len(names)} images lie higher up, e.g. {loose[0]}; move them, or say tree: flat"
        )
    what = f"the folders in {path}"
    splits, notes = ["train"] * len(names), list[str]()
    if levels == 2:
        splits = [part[0] for part in parts]
        _tree.check_apart(path, sorted(set(splits)))
        splits, notes = same_splits(splits, what)
    labels, classes, more = number_classes([part[levels - 1] for part in parts], what)
    return Listing(names, splits, labels, classes, len(classes), (*notes, *more))


def open_images(*, root: str, tree: Tree = "flat") -> Opener:
    """Gives a file's bytes."""
    return _tree.opener(_tree.folder(root, "a folder of images"))


def stat_images(*, root: str, tree: Tree = "flat") -> Stater:
    """Gives a file's size and time of change."""
    return _tree.stater(_tree.folder(root, "a folder of images"))
