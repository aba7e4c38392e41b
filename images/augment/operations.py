"""The 14 operations of RandAugment as FixMatch lists them (arXiv:2001.07685), by Pillow.

Ranges are those of SCAN's self-labelling. But: each draws its strength from the generator it is
given, evenly over its range; shears turn around the middle; what moves in from outside is grey.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

Operation = Callable[[Image.Image, np.random.Generator], Image.Image]

GREY = (128, 128, 128)  # about the mean that encoders take off: nothing to see

_DEGREES = 30.0
_MOVED = 0.1  # of the side: shear and translation
_ENHANCED = (0.05, 0.95)  # 1 is the picture itself; 0 has no colour, contrast, light or edges


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """An even draw. Only `random` and `integers` are asked for, so that few changes of NumPy could
    change a view."""
    return low + (high - low) * float(rng.random())


def identity(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture."""
    return picture


def autocontrast(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Each channel stretched from its darkest to its brightest."""
    return ImageOps.autocontrast(picture)


def equalize(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Each channel with every brightness about equally often."""
    return ImageOps.equalize(picture)


def solarize(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """What is brighter than a threshold, inverted."""
    return ImageOps.solarize(picture, int(rng.integers(257)))


def posterize(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """4 to 8 bits a channel."""
    return ImageOps.posterize(picture, int(rng.integers(4, 9)))


def color(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Paler."""
    return ImageEnhance.Color(picture).enhance(between(rng, *_ENHANCED))


def contrast(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Flatter."""
    return ImageEnhance.Contrast(picture).enhance(between(rng, *_ENHANCED))


def brightness(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Darker."""
    return ImageEnhance.Brightness(picture).enhance(between(rng, *_ENHANCED))


def sharpness(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Softer."""
    return ImageEnhance.Sharpness(picture).enhance(between(rng, *_ENHANCED))


def rotate(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Turned by up to 30 degrees."""
    angle = between(rng, -_DEGREES, _DEGREES)
    return picture.rotate(angle, Image.Resampling.BILINEAR, fillcolor=GREY)


def shear_x(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Rows pushed sideways, the more the farther from the middle."""
    slope = between(rng, -_MOVED, _MOVED)
    return _affine(picture, (1, slope, -slope * picture.height / 2, 0, 1, 0))


def shear_y(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Columns pushed up or down, the more the farther from the middle."""
    slope = between(rng, -_MOVED, _MOVED)
    return _affine(picture, (1, 0, 0, slope, 1, -slope * picture.width / 2))


def translate_x(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Moved sideways."""
    return _affine(picture, (1, 0, between(rng, -_MOVED, _MOVED) * picture.width, 0, 1, 0))


def translate_y(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Moved up or down."""
    return _affine(picture, (1, 0, 0, 0, 1, between(rng, -_MOVED, _MOVED) * picture.height))


OPERATIONS: tuple[Operation, ...] = (
    identity,
    autocontrast,
    equalize,
    rotate,
    solarize,
    color,
    contrast,
    brightness,
    sharpness,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
    posterize,
)


def _affine(picture: Image.Image, to_source: tuple[float, ...]) -> Image.Image:
    """`to_source`: a b c d e f; the pixel at x, y is taken from ax + by + c, dx + ey + f."""
    return picture.transform(
        picture.size,
        Image.Transform.AFFINE,
        to_source,
        Image.Resampling.BILINEAR,
        fillcolor=GREY,
    )
