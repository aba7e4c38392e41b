"""Augmented views of a picture, drawn from the digest of its bytes and the view's number alone.

`weak`: the random resized crop of Inception (arXiv:1409.4842) and a flip. `strong`: what SCAN
(arXiv:2005.12320) self-labels with: flip, random crop, four of the 14 operations of RandAugment
(arXiv:1909.13719, the list of FixMatch, arXiv:2001.07685) and one hole (cutout, arXiv:1708.04552).
`simclr`: random resized crop, flip and distorted colours (arXiv:2002.05709). `crop`: the flip and
random crop that GCD trains with (arXiv:2201.02609; its colour jitter has a strength of 0).
But: sizes are parts of the picture, not pixels; the picture keeps its size and nearly its
proportions, since each backbone crops it afterwards in its own way; holes and corners are grey.
Equal bytes give equal views with the same Pillow and NumPy, in any order and on any thread.
"""

from math import exp, log, sqrt
from typing import Literal, get_args

import numpy as np
from PIL import Image

from images.augment.jitter import distorted
from images.augment.operations import GREY, OPERATIONS, Operation, between

Augmentation = Literal["weak", "strong", "simclr", "crop"]
NAMES: tuple[str, ...] = get_args(Augmentation)
REVISION = 1  # raise it when the same digest and view give another picture: it names the features

_WEAK_AREA = (0.35, 1.0)  # of the picture, kept by a weak view
_SIMCLR_AREA = (0.2, 1.0)  # SCAN's, for small pictures; 0.08 for ImageNet
_RATIO = (3 / 4, 4 / 3)  # by which either changes the picture's proportions
_TRIES = 10  # of area and ratio, until one fits into the picture
_WINDOW = 7 / 8  # of each side, kept by a strong view or a crop: 224 of 256 pixels, say
_DRAWN = 4  # operations of a strong view; one may come twice
_HOLE = 1 / 3  # of the shorter side: the longest side of the hole


def augment(picture: Image.Image, name: Augmentation, digest: bytes, view: int) -> Image.Image:
    """View number `view` of a picture in mode RGB, in its size; the picture stays as it was.

    Args:
        digest: of the picture's bytes (`images.digest`); the same gives the same view.
    """
    rng = np.random.default_rng([view, int.from_bytes(digest, "big")])
    return _VIEWS[name](picture, rng)


def _weak(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = _sides(_WEAK_AREA, rng)
    return _flipped(_crop(picture, width, height, rng), rng)


def _strong(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    picture = _crop(_flipped(picture, rng), _WINDOW, _WINDOW, rng)
    for drawn in rng.integers(len(OPERATIONS), size=_DRAWN).tolist():
        picture = OPERATIONS[drawn](picture, rng)
    return _with_hole(picture, rng)


def _simclr(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = _sides(_SIMCLR_AREA, rng)
    # As torchvision's; bicubic takes half as long again
    part = _crop(picture, width, height, rng, Image.Resampling.BILINEAR)
    return distorted(_flipped(part, rng), rng)


def _cropped(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _flipped(_crop(picture, _WINDOW, _WINDOW, rng), rng)


_VIEWS: dict[Augmentation, Operation] = {
    "weak": _weak,
    "strong": _strong,
    "simclr": _simclr,
    "crop": _cropped,
}


def _sides(area: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    """Width and height of a random resized crop, as parts of the picture's."""
    for _ in range(_TRIES):
        part, ratio = between(rng, *area), exp(between(rng, *map(log, _RATIO)))
        if part * ratio <= 1 and part / ratio <= 1:
            return sqrt(part * ratio), sqrt(part / ratio)
    return 1.0, 1.0


def _crop(
    picture: Image.Image,
    width: float,
    height: float,
    rng: np.random.Generator,
    resample: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image.Image:
    """A part of the picture, `width` x `height` of its sides, anywhere in it, at the full size.

    The borders may fall between pixels: in 28 of them whole ones would leave little choice.
    """
    left, top = between(rng, 0, 1 - width), between(rng, 0, 1 - height)
    wide, high = picture.size
    right, bottom = min((left + width) * wide, wide), min((top + height) * high, high)
    box = (left * wide, top * high, right, bottom)
    return picture.resize(picture.size, resample, box)


def _flipped(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    turned = rng.random() < 0.5
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if turned else picture


def _with_hole(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """One grey square, its centre anywhere, so that it may be cut off by the border."""
    longest = int(min(picture.size) * _HOLE)
    if not longest:
        return picture
    side = int(rng.integers(1, longest + 1))
    left, top = (int(rng.integers(length)) - side // 2 for length in picture.size)
    holed = picture.copy()
    holed.paste(GREY, (left, top, left + side, top + side))
    return holed
