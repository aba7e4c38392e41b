"""Any image file's bytes to an upright RGB picture, or a plain refusal.

After Pillow's own convert("RGB"). But: 16-bit images are scaled, not clipped; transparency is laid
on white, not dropped; the rotation that a camera notes in EXIF is applied; no warning gets out.
Colour profiles are ignored. Equal bytes give equal pixels with the same Pillow.
"""

import warnings
from functools import cache
from importlib import import_module
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from images._listing import ImagesError, Raw

if TYPE_CHECKING:
    from PIL.Image import Image

# About 4 GB as RGB in memory. Pillow's own limit, .18 gigapixels, refuses honest maps and scans.
MAX_PIXELS = 2**30

# Only plain raster formats: Pillow's list also has some that start other programs (EPS) or have no
# signature (TGA), for which any bytes would do.
_PLUGINS = {
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "GIF": "GifImagePlugin",
    "BMP": "BmpImagePlugin",
    "TIFF": "TiffImagePlugin",
    "WEBP": "WebPImagePlugin",
    "PPM": "PpmImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "AVIF": "AvifImagePlugin",
}
_ORIENTATION = 0x0112
_importing = Lock()


def decode(raw: Raw) -> "Image":
    """An RGB picture of a file's bytes or of a uint8 array [height, width] or [height, width, 3].

    The first frame of an animation; transparent parts on white; grey, palette and CMYK converted;
    16 bits a channel scaled to 8; 32-bit integers and floats stretched from the image's own darkest
    to its brightest pixel, but 0 to 1 to black to white where all lie in between. Thread-safe.

    Raises:
        ImagesError: no image, a broken or truncated one, an unknown format, more than MAX_PIXELS.
    """
    if isinstance(raw, np.ndarray):
        return _from_array(raw)
    if not raw:
        raise ImagesError("the file is empty (0 bytes)")
    try:
        return _from_bytes(raw)
    except ImagesError:
        raise
    # Pillow meets broken files with any exception there is: OSError, SyntaxError, struct.error, ...
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ImagesError(f"the image cannot be decoded: {said}") from error


def _from_array(array: np.ndarray) -> "Image":
    from PIL import Image

    if (
        array.dtype != np.uint8
        or array.size == 0
        or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3))
    ):
        raise ImagesError(
            f"an array {list(array.shape)} of {array.dtype} is no image; "
            "expected uint8 [height, width] or [height, width, 3]"
        )
    return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")


def _from_bytes(raw: bytes) -> "Image":
    from PIL import Image, UnidentifiedImageError

    _quiet()
    formats = _formats()
    # Pillow's own limit can be set for the whole process only, and it warns from half of it on.
    Image.MAX_IMAGE_PIXELS = None
    try:
        image: Image.Image = Image.open(BytesIO(raw), formats=formats)
    except UnidentifiedImageError:
        raise ImagesError(
            f"no image, or of an unknown kind; {', '.join(formats)} can be read"
        ) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImagesError(
            f"the image is too large: {width} x {height} pixels, at most {MAX_PIXELS:,} can be read"
        )
    image.load()
    if 0 in image.size:
        raise ImagesError(f"the image has no pixels: {width} x {height}")
    return _upright(_rgb(image), _orientation(image))


def _rgb(image: "Image") -> "Image":
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        deep = np.asarray(image).astype(np.uint32)  # 257 = 65535 / 255
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return Image.fromarray(_stretched(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(clear.convert("RGB"), mask=clear.getchannel("A"))
        return white
    return image.convert("RGB")


def _stretched(values: np.ndarray) -> np.ndarray:
    """Integers and floats of no stated range to uint8; not-a-number is black."""
    with np.errstate(invalid="ignore"):  # a signalling not-a-number
        values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    # Halved first: the distance between two finite floats may be infinite.
    span = high / 2 - low / 2
    scaled = (values / 2 - low / 2) / span if span > 0 else np.zeros_like(values)
    return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def _orientation(image: "Image") -> int:
    # A picture with broken metadata is still a picture.
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def _upright(image: "Image", orientation: int) -> "Image":
    """As ImageOps.exif_transpose, which also writes the EXIF anew, and so fails on a broken one."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


@cache
def _formats() -> tuple[str, ...]:
    """Those of our formats that this Pillow was built with."""
    from PIL import Image

    with _importing:
        for plugin in _PLUGINS.values():
            import_module(f"PIL.{plugin}")
    return tuple(name for name in _PLUGINS if name in Image.OPEN)


_ignore_pillow: list[object] = []


def _quiet() -> None:
    """Keep Pillow's warnings (odd metadata) from the user, whatever filters are in force.

    warnings.catch_warnings is not thread-safe, so the filter is put in and left; again and again,
    since a catch_warnings elsewhere takes it out when it ends.
    """
    if not _ignore_pillow or _ignore_pillow[0] not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")
        _ignore_pillow[:] = [warnings.filters[0]]
