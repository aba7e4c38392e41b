"""Images from wherever they lie: one file here reads one dataset, `folder` anyone's own pictures.

    spec = {"from": "folder", "root": "~/Pictures/birds", "tree": "class"}
    listing = list_images(spec)
    read = open_images(spec)
    picture = decode(read(listing.names[0]))

`from:` names the reader. Every reader also takes `splits: [a, b]` (keep only these),
`train: [a, b]` (these, merged, are the split `train` that clusters are fitted on), `part: 0.1` (of
each split only that share of the images, for trying things out) and `classes: 20` (expect so many).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from images._classes import NEGATIVE, Values, few, natural, number_classes, same_splits, same_text
from images._deep import BRIGHTEST
from images._digest import digest
from images._listing import ImagesError, Listing, Opener, Raw, Stater, coded
from images._names import Names
from images._spec import Reader, identity, parse, reader, readers
from images._splits import apply as choose
from images.decode import decode, decoding_memory, picture_size, stored_size

__all__ = [
    "BRIGHTEST",
    "NEGATIVE",
    "ImagesError",
    "Listing",
    "Names",
    "Raw",
    "Reader",
    "Values",
    "choose",
    "coded",
    "decode",
    "decoding_memory",
    "digest",
    "few",
    "identity",
    "list_images",
    "natural",
    "number_classes",
    "old_classes",
    "open_images",
    "picture_size",
    "reader",
    "readers",
    "same_splits",
    "same_text",
    "stat_images",
    "stored_size",
]


def list_images(spec: Mapping[str, Any]) -> Listing:
    """All images that a dataset's description names; downloads a published set on first use.

    Equal files, equal listing: neither locale, nor system, nor the order within a folder counts.

    Raises:
        ImagesError: a wrong description, or files that are not there or not as they should be.
    """
    module, options = parse(spec)
    listing = choose(module.list_images(**options), spec)
    # A reader's own mistake, not the user's: the index would mix images up.
    assert len(listing.names) == len(listing.split) == len(listing.labels)
    assert _unique(listing.names), "image names must be unique"
    return listing


def _unique(names: Sequence[str]) -> bool:
    if isinstance(names, Names):
        return all(one < other for one, other in pairwise(names))  # sorted, as they are walked
    return len(set(names)) == len(names)


def open_images(spec: Mapping[str, Any]) -> Opener:
    """A thread-safe function from an image's name to its bytes or its uint8 array.

    Cheap to make for images that are files; a packed set is read into memory (STL-10: mapped).
    """
    module, options = parse(spec)
    opener: Opener = module.open_images(**options)
    return opener


def stat_images(spec: Mapping[str, Any]) -> Stater:
    """A function from an image's name to (bytes, mtime in ns, inode, ctime in ns), to see what
    changed without reading.

    It gives None for the images of a packed set, which have no files of their own. What a file is
    read as depends on the reader's options too: compare only under an equal `spec`.
    """
    module, options = parse(spec)
    stater: Stater = module.stat_images(**options)
    return stater


def old_classes(spec: Mapping[str, Any]) -> list[int] | None:
    """The labels of the classes that a published benchmark of category discovery takes for known.

    None where there is no such benchmark. Nothing is read from the dataset itself.
    """
    module, options = parse(spec)
    if not hasattr(module, "old_classes"):
        return None
    found: list[int] | None = module.old_classes(**options)
    return found
