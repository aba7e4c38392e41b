"""More than 8 bits a channel: what Pillow keeps of them, takes for others, or gets wrong.

Grey comes with all its bits; of colour Pillow keeps the higher byte of each value. Where that is
not enough the file is decoded twice, once as if its bytes were in the other order, which gives the
lower ones. WhiteIsZero is ignored by Pillow in files of 16 bits, and channels that lie one after
the other, uncompressed, are read as if they had 8.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from images._listing import ImagesError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

BAND = 2**22  # values that are converted at once: float64 and uint32 take more than they
BRIGHTEST = "brightest_of_16_bits"
_BITS, _PHOTOMETRIC, _PLANAR = 258, 262, 284  # tags of TIFF
_OTHER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}  # order of bytes
_SWAPPED = {f"{mode};16{order}" for mode in ("RGB", "RGBX", "RGBA") for order in _OTHER}


class Deep(NamedTuple):
    """values: uint16 or uint32 [height, width] or [height, width, 3]; bits: that the file says they
    have; white_is_zero: they are of a negative."""

    values: np.ndarray
    bits: int
    white_is_zero: bool

    def in_8_bits(self, bits: int) -> np.ndarray:
        """The values as uint8, of which white is the highest value that `bits` hold."""
        white = 2**bits - 1
        flat = self.values.reshape(-1)
        out = np.empty(flat.shape, np.uint8)
        for start in range(0, len(flat), BAND):
            band = flat[start : start + BAND].astype(np.uint32)
            out[start : start + BAND] = (band * 255 + white // 2) // white
        return (255 - out if self.white_is_zero else out).reshape(self.values.shape)


def is_deep_grey(image: "Image") -> bool:
    """Whether it has more than 8 bits a pixel, in one channel, and comes with all of them."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def is_deep_colour(image: "Image") -> bool:
    """Whether the file, which is not decoded yet, has 16 bits a channel, of which 8 are kept."""
    mode = _raw_mode(image)
    of_16 = ";16" in mode or (image.format == "PPM" and _args(image)[1:] == (65535,))
    return of_16 and image.mode in ("RGB", "RGBA")


def require_readable(image: "Image") -> None:
    """Raise ImagesError for a file of which Pillow would make another picture."""
    tags = getattr(image, "tag_v2", {})
    if tags.get(_PLANAR) == 2 and max(tags.get(_BITS, (8,))) > 8 and ";" not in _raw_mode(image):
        raise ImagesError(
            f"a TIFF of {max(tags[_BITS])} bits a channel whose channels lie apart, uncompressed, "
            "cannot be read: save it with interleaved channels (PlanarConfiguration 1)"
        )


def grey(image: "Image") -> Deep:
    """The values of a decoded picture that `is_deep_grey`."""
    tags = getattr(image, "tag_v2", {})
    values = np.asarray(image)
    bits = int(tags.get(_BITS, (16,))[0])
    return Deep(values, bits, tags.get(_PHOTOMETRIC) == 0)


def require_all_bits(image: "Image") -> None:
    """Raise ImagesError for a file that `is_deep_colour` of which only 8 bits can be had."""
    if image.mode != "RGB" or _raw_mode(image) not in _SWAPPED:
        what = "transparency" if image.mode != "RGB" else f"the format {image.format}"
        raise ImagesError(
            f"the image has 16 bits a channel and {what}, and depth cannot be applied to it: save "
            "it as PNG or TIFF without, or leave it out by exclude"
        )


def colour(high: "Image", low: "ImageFile") -> Deep:
    """The values of a file that `is_deep_colour`, and not of PPM, opened twice."""
    mode = _raw_mode(low)
    swapped = mode[:-1] + _OTHER[mode[-1]]
    low.tile = [
        tile._replace(args=(swapped, *tile.args[1:]) if isinstance(tile.args, tuple) else swapped)
        for tile in low.tile
    ]
    return Deep(np.asarray(high).astype(np.uint16) << 8 | np.asarray(low), 16, white_is_zero=False)


def brightest(image: "Image", opened: Callable[[], "ImageFile"]) -> int:
    """The highest value of 16 bits that a decoded picture may have, by the byte that is kept; 0 of
    a black one, for which the other byte is looked at too."""
    bands = image.getextrema()[:3]
    high = int(max(high for _, high in bands))  # type: ignore[misc]
    if high or _raw_mode(opened()) not in _SWAPPED:
        return high << 8 | 255 if high else 0
    return int(colour(opened(), opened()).values[..., :3].max())


def _raw_mode(image: "Image") -> str:
    """How the pixels lie in the file, in Pillow's words; "" once they are decoded."""
    found = _args(image)[:1]
    return found[0] if found and isinstance(found[0], str) else ""


def _args(image: "Image") -> tuple[object, ...]:
    tile = getattr(image, "tile", None)
    found = tile[0].args if tile else ()
    return found if isinstance(found, tuple) else (found,)
