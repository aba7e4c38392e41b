"""ObjectNet: 50,273 photos of 313 household classes, odd in pose, place and view (Barbu, 2019).

Read from <root>/images/FOLDER/*.png and <root>/mappings, as unpacked from objectnet-1.0.zip. It has
to be fetched by hand, from objectnet.dev, whose licence forbids to fit anything on it. So its only
split is `test`, and clusters are fitted on it only if you say `train: [test]`.

`labels` says which images there are, and with whose labels:

- `objectnet`: all, with ObjectNet's 313 classes in the order of their folders
- `overlap`: those of the 113 classes that ImageNet has too, numbered in the order of their folders
- `imagenet`: the same images with ImageNet's labels, numbered and named as the reader `imagenet`
  does; where one of ObjectNet's classes is several of ImageNet's, the first in the mapping counts

Each image has a red border of 2 pixels, put there so that training on it shows. It is cut off, as
ObjectNet's authors do; `border: 0` leaves it. To that end images come decoded, as arrays.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from images import _objectnet, _tree
from images._listing import ImagesError, Listing, Opener, Raw, Stater, coded
from images.decode import decode

Labels = Literal["objectnet", "overlap", "imagenet"]

ROOT = "data/raw/objectnet-1.0"
SITE = "https://objectnet.dev"


def list_images(*, root: str = ROOT, labels: Labels = "objectnet", border: int = 2) -> Listing:
    """The images whose classes `labels` has, all of them the split `test`."""
    base = _locate(root, border)
    names = _objectnet.class_names(base / "mappings")
    classes = list(names.values())
    number = {folder: i for i, folder in enumerate(names)}
    if labels != "objectnet":
        theirs = _objectnet.imagenet_labels(base / "mappings")
        classes = [names[folder] for folder in theirs]
        number = {folder: i for i, folder in enumerate(theirs)}
        if labels == "imagenet":
            classes = _objectnet.imagenet_classes()
            number = {folder: of[0] for folder, of in theirs.items()}
    missing = [folder for folder in number if not (base / "images" / folder).is_dir()]
    if missing:
        raise ImagesError(
            f"{_tree.full(base / 'images')} lacks the folders of {len(missing)} of {len(number)} "
            f"classes, e.g. {missing[0]}; unpack objectnet-1.0.zip whole"
        )
    listed: list[str] = []
    of: list[int] = []
    for folder, label in number.items():
        found = _tree.image_names(base / "images", folder)
        listed += found
        of += [label] * len(found)
    n_classes = len(set(number.values()))
    return Listing(listed, *coded(["test"] * len(of)), np.array(of, np.int32), classes, n_classes)


def open_images(*, root: str = ROOT, labels: Labels = "objectnet", border: int = 2) -> Opener:
    """Gives uint8 arrays [height, width, 3] without the border; a file's bytes if `border` is 0."""
    read = _tree.opener(_locate(root, border) / "images")
    if border == 0:
        return read

    def cropped(name: str) -> Raw:
        try:
            picture = np.asarray(decode(read(name)))
        except ImagesError as error:
            raise ImagesError(f"{name}: {error}") from error
        if min(picture.shape[:2]) <= 2 * border:
            raise ImagesError(f"{name}: {picture.shape[:2]} pixels are all border ({border})")
        return np.array(picture[border:-border, border:-border], order="C")

    return cropped


def stat_images(*, root: str = ROOT, labels: Labels = "objectnet", border: int = 2) -> Stater:
    """Gives a file's size and time of change."""
    return _tree.stater(_locate(root, border) / "images")


def _locate(root: str, border: int) -> Path:
    if border < 0:
        raise ImagesError(f"border: must be 0 or more pixels; found {border}")
    base = Path(root)
    for place in ("images", "mappings"):
        if not (base / place).is_dir():
            raise ImagesError(
                f"ObjectNet is not in {_tree.full(base)}, there is no folder {place}; accept its "
                f"licence at {SITE}, get objectnet-1.0.zip, and unpack it to {base}/images/FOLDER/"
                f"*.png and {base}/mappings, or set root to where they are"
            )
    return base
