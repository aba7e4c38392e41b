"""Pixels of any mode to RGB of 8 bits: what Pillow's convert("RGB") clips or drops is kept.

Deep values are converted a band of rows at a time, for float64 takes eight bytes for each.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from images._deep import BAND, BRIGHTEST, grey, is_deep_grey

if TYPE_CHECKING:
    from PIL.Image import Image

_SAMPLE_FORMAT, _SIGNED = 339, 2  # a tag of TIFF


def to_rgb(image: "Image") -> "Image":
    """A copy of a picture of any mode. Of one with 16 bits, `info` keeps the brightest value."""
    from PIL import Image

    if is_deep_grey(image):
        deep = grey(image)
        found = Image.fromarray(deep.in_8_bits(deep.bits)).convert("RGB")
        if deep.bits == 16:
            found.info[BRIGHTEST] = int(deep.values.max())
        return found
    signed = getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, ())[:1] == (_SIGNED,)
    if image.mode in ("I", "F") or (image.mode == "L" and signed):
        values = np.asarray(image)
        values = values.view(np.int8) if image.mode == "L" else values
        low, high = _range(values)
        return Image.fromarray(_banded(lambda v: _stretched(v, low, high), values)).convert("RGB")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(clear.convert("RGB"), mask=clear.getchannel("A"))
        return white
    return image.convert("RGB")


def _banded(convert: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """`convert` to uint8, some rows at a time."""
    height, width = values.shape
    out, step = np.empty((height, width), np.uint8), max(1, BAND // width)
    for start in range(0, height, step):
        out[start : start + step] = convert(values[start : start + step])
    return out


def _range(values: np.ndarray) -> tuple[float, float]:
    """The darkest and the brightest finite value; 0 and 1 where all lie in between."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def _stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Integers and floats of no stated range to uint8; not-a-number is black."""
    with np.errstate(invalid="ignore"):  # a signalling not-a-number
        values = values.astype(np.float64)
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    # Halved first: the distance between two finite floats may be infinite.
    span = high / 2 - low / 2
    scaled = (values / 2 - low / 2) / span if span > 0 else np.zeros_like(values)
    return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
