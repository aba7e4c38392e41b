"""Sets that come as a few files with all images in them, named by split and place: train/00012."""

from collections.abc import Mapping, Sequence

import numpy as np

from images._listing import ImagesError, Listing, Opener, Stater, coded


def listing(labels: Mapping[str, np.ndarray], classes: Sequence[str]) -> Listing:
    """A listing of splits of labels [image], -1 = none, in the order they are given.

    Raises:
        ImagesError: a label that is no class.
    """
    names = [f"{split}/{i:05d}" for split, of in labels.items() for i in range(len(of))]
    splits = [split for split, of in labels.items() for _ in range(len(of))]
    joined = np.concatenate([np.asarray(of) for of in labels.values()]).astype(np.int32)
    if joined.size and not (joined.min() >= -1 and joined.max() < len(classes)):
        raise ImagesError(
            f"labels from {joined.min()} to {joined.max()}, but there are {len(classes)} classes; "
            "the file is damaged, delete it to have it downloaded again"
        )
    return Listing(names, *coded(splits), joined, list(classes), len(classes))


def opener(images: Mapping[str, np.ndarray]) -> Opener:
    """Reads from splits of images uint8 [image, height, width] or [image, height, width, 3]."""

    def read(name: str) -> np.ndarray:
        split, _, number = name.partition("/")
        if split not in images or not number.isdecimal() or int(number) >= len(images[split]):
            raise ImagesError(
                f"there is no image {name}; names are like {next(iter(images))}/00000"
            )
        # A copy: the set may be mapped from disk, or lie channel first.
        return np.array(images[split][int(number)], order="C")

    return read


def stater() -> Stater:
    """The images of a packed set are no files: there is nothing to compare."""
    return lambda name: None


def check_lengths(what: str, images: np.ndarray, labels: np.ndarray | Sequence[int]) -> None:
    """Refuse a set with more images than labels, or fewer."""
    if len(images) != len(labels):
        raise ImagesError(
            f"{what} holds {len(images)} images but {len(labels)} labels; "
            "delete it to have it downloaded again"
        )
