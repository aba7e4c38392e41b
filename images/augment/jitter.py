"""The colour distortion of SimCLR, by Pillow: jitter with probability .8, grey with .2.

After Chen et al. (arXiv:2002.05709, appendix A) with the strengths of SCAN for small pictures:
brightness, contrast and saturation by a factor of .6 to 1.4, hue by up to a tenth of the circle, in
random order, each cut to 8 bits, as torchvision's ColorJitter(.4, .4, .4, .1) does with pictures.
But: the mean that contrast turns about may be off by one of 256 levels, which is the faster sum;
and the colours of a picture that has none are left alone, which changes none of its pixels.
"""

from itertools import permutations

import numpy as np
from PIL import Image, ImageChops

from images.augment.operations import Operation, between

_JITTERED, _GREY = 0.8, 0.2  # probabilities
_FACTOR = (0.6, 1.4)  # 1 is the picture itself
_HUE = 0.1  # of the circle, either way


def distorted(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A picture in mode RGB, jittered or not, grey or not."""
    grey = _is_grey(picture)
    if rng.random() < _JITTERED:
        for change in _ORDERS[int(rng.integers(len(_ORDERS)))]:
            if not grey or change in (brightness, contrast):
                picture = change(picture, rng)
    return _greyed(picture) if rng.random() < _GREY and not grey else picture


def brightness(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Darker or brighter."""
    return _from(Image.new("RGB", picture.size), picture, rng)


def contrast(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Nearer to the mean of its grey, or farther."""
    mean = picture.convert("L").resize((1, 1), Image.Resampling.BOX).tobytes()[0]
    return _from(Image.new("RGB", picture.size, (mean, mean, mean)), picture, rng)


def saturation(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Paler or more colourful."""
    return _from(_greyed(picture), picture, rng)


def hue(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """All colours turned round the circle, whose degrees are 256 here."""
    turn = int(between(rng, -_HUE, _HUE) * 255)
    if not turn:
        return picture
    turned = Image.new("HSV", picture.size, (turn % 256, 0, 0))
    return ImageChops.add_modulo(picture.convert("HSV"), turned).convert("RGB")


JITTER: tuple[Operation, ...] = (brightness, contrast, saturation, hue)
_ORDERS = tuple(permutations(JITTER))


def _from(nothing: Image.Image, picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture, nearer to one without brightness, contrast or colour, or farther from it."""
    return Image.blend(nothing, picture, between(rng, *_FACTOR))


def _greyed(picture: Image.Image) -> Image.Image:
    return picture.convert("L").convert("RGB")


def _is_grey(picture: Image.Image) -> bool:
    # Most colour pictures show it in the middle, and all their pixels need not be compared.
    middle = picture.getpixel((picture.width // 2, picture.height // 2))
    assert isinstance(middle, tuple)
    return len(set(middle)) == 1 and _greyed(picture).tobytes() == picture.tobytes()
