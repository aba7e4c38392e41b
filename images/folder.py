"""Anyone's own pictures: every image file under a folder, labelled by folder names or not at all.

`tree` says what the folders mean:

- `flat`: nothing; any tree, no labels, all of it the split `train`
- `class`: root/CLASS/...; all of it the split `train`
- `split/class`: root/SPLIT/CLASS/..., each split with any of the classes

Folders below these mean nothing. Classes are numbered in the natural order of their names, 2 before
10; folders whose names differ in Unicode's form only (é as one sign or as two) are one class.
Without labels nothing tells how many classes there are: say `classes: 20` where it matters.

`exclude` names files and folders that are left out (see `_skipped.excluded`). `depth` is the number
of bits that count in files of 16, for cameras and scanners that store 12 bits in 16: such a picture
would be nearly black. Those files come decoded, as arrays. `unlabelled` names the classes that are
none, such as a folder `unsorted`; its images stay, without a label.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from images import _tree
from images._classes import NEGATIVE, Values, few, number_distinct, same_splits
from images._depth import check_depth, of_depth
from images._found import Found
from images._kinds_of_file import counted
from images._listing import ImagesError, Listing, Opener, Stater, coded
from images._names import Names

Tree = Literal["flat", "class", "split/class"]
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}


def list_images(
    *,
    root: str,
    tree: Tree = "flat",
    exclude: Sequence[str] = (),
    depth: int = 0,
    unlabelled: Values = NEGATIVE,
) -> Listing:
    """All images under `root`, by name."""
    check_depth(depth)
    path = _tree.folder(root, "a folder of images")
    found = _tree.walked(path, exclude=exclude)
    names, notes = found.names, found.notes()
    if tree == "flat":
        if unlabelled != NEGATIVE:
            raise ImagesError(
                "unlabelled names classes, and tree: flat has none: say tree: class, or leave it"
            )
        train, none = np.zeros(len(names), np.int32), np.full(len(names), -1, np.int32)
        return Listing(names, train, ["train"], none, [], 0, notes)
    levels = tree.count("/") + 1
    loose = Names(name for name in names if name.count("/") < levels)
    if loose:
        tops = list(dict.fromkeys(name.split("/")[0] for name in loose))
        flatter = "class" if all(name.count("/") == 1 for name in names) else "flat"
        raise ImagesError(
            f"tree: {tree} expects {path}/{'SPLIT/' * (levels - 1)}CLASS/image, but {len(loose)} "
            f"of {len(names)} images lie higher up, e.g. {loose[0]}; move them, leave them out by "
            f"exclude: [{few(tops, 3)}], or say tree: {flatter}"
        )
    what = f"the folders in {path}"
    at, folders = coded("/".join(name.split("/", levels)[:levels]) for name in names)
    split, splits = np.zeros(len(names), np.int32), ["train"]
    if levels == 2:
        number, splits = coded(folder.split("/")[0] for folder in folders)
        _tree.check_apart(path, sorted(splits))
        split, splits, same = same_splits(number[at], splits, what)
        notes = (*notes, *same)
    number, found_classes = coded(folder.split("/")[-1] for folder in folders)
    labels, classes, more = number_distinct(found_classes, number[at], what, unlabelled)
    full = {*folders, *(folder.split("/")[0] for folder in folders)}
    if levels == 1 and {name.casefold() for name in classes} <= SPLITS:
        more.append(f"classes are called {', '.join(classes)}: for splits say tree: split/class")
    notes = (*notes, *more, *_empty(found, full, levels))
    return Listing(names, split, splits, labels, classes, len(classes), notes)


def _empty(found: Found, full: set[str], levels: int) -> tuple[str, ...]:
    """A line that names the folders of classes or splits without an image, and what is there.

    full: those that have some.
    """
    above = {"", *full}
    empty = sorted(
        folder
        for folder in found.folders - full
        if folder and folder.count("/") < levels and folder.rpartition("/")[0] in above
    )
    if not empty:
        return ()
    each = [f"{folder} ({counted(found.left_out(folder)) or 'no files'})" for folder in empty[:8]]
    more = f" and {len(empty) - 8} more" if len(empty) > 8 else ""
    return (f"classes without an image: {', '.join(each)}{more}",)


def open_images(
    *,
    root: str,
    tree: Tree = "flat",
    exclude: Sequence[str] = (),
    depth: int = 0,
    unlabelled: Values = NEGATIVE,
) -> Opener:
    """Gives a file's bytes; where `depth` is said, an array of a file with 16 bits a channel."""
    check_depth(depth)
    read = _tree.opener(_tree.folder(root, "a folder of images"))
    return of_depth(read, depth) if depth else read


def stat_images(
    *,
    root: str,
    tree: Tree = "flat",
    exclude: Sequence[str] = (),
    depth: int = 0,
    unlabelled: Values = NEGATIVE,
) -> Stater:
    """Gives a file's size, times and inode."""
    return _tree.stater(_tree.folder(root, "a folder of images"))
