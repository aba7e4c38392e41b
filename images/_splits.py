"""What may be said of any reader's images: `splits`, `train`, `part`, `classes`."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from hashlib import blake2b
from typing import Any

import numpy as np

from images._classes import few, same_text
from images._listing import ImagesError, Listing, coded
from images._names import Names

# The index holds a split as one byte.
MOST_SPLITS = 255
_NO_NAMES = (list, dict, type(None))


def apply(listing: Listing, spec: Mapping[str, Any]) -> Listing:
    """Keep `splits`, merge the splits of `train` under that name, keep a `part` of each split,
    expect `classes`; in this order.

    A split called `train` has to come of it, for clusters are fitted on it and nothing may stand in
    for it unsaid: a test split that is silently the training split has spoilt results before.
    """
    if "splits" in spec:
        listing = _keep(listing, _words(listing, "splits", spec["splits"]))
    if "train" in spec:
        listing = _merge(listing, _words(listing, "train", spec["train"]))
    found = _present(listing)
    if "train" not in found:
        raise ImagesError(
            f"no split called train; found: {few(found, 8)}; name those to fit on, "
            f"e.g. train: [{found[-1]}]"
        )
    if len(found) > MOST_SPLITS:
        raise ImagesError(
            f"{len(found)} splits, at most {MOST_SPLITS} can be; found: {few(found, 8)}; "
            "are these classes? then say tree: class"
        )
    if "part" in spec:
        listing = _part(listing, spec["part"])
    if "classes" in spec:
        n = spec["classes"]
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ImagesError(f"classes: must be a whole number of at least 1; found {n!r}")
        listing = replace(listing, n_classes=n)
    return listing


def _words(listing: Listing, option: str, value: object) -> list[str]:
    found = _present(listing)
    # A number or a date is no text to YAML, and the name of a split to people
    if not isinstance(value, list) or not value or any(isinstance(v, _NO_NAMES) for v in value):
        raise ImagesError(
            f"{option}: must be a list of splits, e.g. {option}: [{found[0]}]; found {value!r}"
        )
    value = [same_text(str(word)) for word in value]
    for word in value:
        if word not in found:
            close = get_close_matches(word, found, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {few(found, 8)}"
            raise ImagesError(f"{option}: there is no split called {word}; {hint}")
    return value


def _present(listing: Listing) -> list[str]:
    """The splits that have images, sorted."""
    return sorted(listing.splits[s] for s in np.unique(listing.split).tolist())


def _keep(listing: Listing, splits: list[str]) -> Listing:
    wanted = np.array([split in splits for split in listing.splits], bool)
    return _take(listing, np.flatnonzero(wanted[listing.split]))


def _part(listing: Listing, part: object) -> Listing:
    """That share of the images of each split, at least one, for trying things out.

    Those whose names' hashes come first: the same in any order, and all of them in a larger part.
    """
    if isinstance(part, bool) or not isinstance(part, int | float) or not 0 < part <= 1:
        raise ImagesError(
            f"part: must be a share of the images, above 0 and at most 1, e.g. part: 0.1; "
            f"found {part!r}"
        )
    hashes = np.fromiter(map(_hash, listing.names), np.uint64, len(listing.names))
    kept = [np.empty(0, np.int64)]
    for split in np.unique(listing.split):
        of_split = np.flatnonzero(listing.split == split)
        first = of_split[np.argsort(hashes[of_split], kind="stable")]
        kept.append(first[: max(1, round(part * len(first)))])
    return _take(listing, np.sort(np.concatenate(kept)))


def _hash(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def _take(listing: Listing, kept: np.ndarray) -> Listing:
    """Only the images `kept`, int64 [image]."""
    names = (listing.names[i] for i in kept.tolist())
    packed = isinstance(listing.names, Names)
    return replace(
        listing,
        names=Names(names) if packed else list(names),
        split=listing.split[kept],
        labels=listing.labels[kept],
    )


def _merge(listing: Listing, splits: list[str]) -> Listing:
    others = [split for split in _present(listing) if split != "train"]
    if "train" not in splits and len(others) < len(_present(listing)):
        raise ImagesError(
            f"train: [{', '.join(splits)}] would be mixed with the split already called train; "
            f"say train: [train, {', '.join(splits)}] to merge them, or leave it out with splits: "
            f"[{', '.join(others)}]"
        )
    number, merged = coded("train" if split in splits else split for split in listing.splits)
    return replace(listing, split=number[listing.split], splits=merged)
