"""Any image file's bytes to an upright RGB picture, or a plain refusal.

After Pillow's own convert("RGB"). But: 16-bit images are scaled, not clipped; transparency is laid
on white, not dropped; the rotation that a camera notes in EXIF is applied; no warning gets out; a
JPEG of more than REDUCE_FROM pixels is decoded at 1/2, 1/4 or 1/8 of its size, whatever it is for;
deep values are scaled by the bits that the file says they have.
Colour profiles are ignored. Equal bytes give equal pixels with the same Pillow.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from images._deep import (
    BRIGHTEST,
    Deep,
    brightest,
    colour,
    grey,
    is_deep_colour,
    is_deep_grey,
    require_all_bits,
    require_readable,
)
from images._kinds_of_file import SEEN, unread
from images._listing import ImagesError, Raw
from images._to_rgb import to_rgb
from images._upright import orientation, upright

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

# About 4 GB as RGB in memory. Pillow's own limit, .18 gigapixels, refuses honest maps and scans.
MAX_PIXELS = 2**30
# Scans and panoramas beyond what a camera takes: no vector of a photograph hangs on it
REDUCE_FROM = 100_000_000
REDUCE_TO = 2048  # pixels that the shorter side keeps: enough for every input and its augmentation
# Of a profile or comment in a PNG, packed or not. Pillow's own limit, 1 MB, refuses sound files.
MAX_TEXT = 2**27
# Memory that decoding takes, in bytes a pixel, as measured: of plain colours, of all other modes
PLAIN, OTHER = 12, 20

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
    "HEIF": "",  # pillow-heif, which registers itself
}
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
    with _refusing():
        return _pixels(lambda: _opened(BytesIO(raw)))


def decoding_memory(raw: Raw) -> int:
    """Bytes that `decode` takes at its peak, about; from the header alone. Raises as `decode`."""
    if isinstance(raw, np.ndarray):
        return 2 * raw.nbytes
    with _refusing():
        image = _opened(BytesIO(raw))
    plain = image.mode in ("RGB", "L", "1") and not image.has_transparency_data
    plain = plain and image.format != "WEBP"
    each, pixels = PLAIN if plain else OTHER, image.width * image.height
    # A progressive JPEG keeps the coefficients of the whole picture
    progressive = 6 * pixels if "progressive" in image.info else 0
    return len(raw) + progressive + each * pixels // _reduction(image) ** 2


def stored_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file as it is stored, before EXIF turns it; from the header
    alone. Thread-safe; raises ImagesError as `decode`, and where the file is gone."""
    with _refusing():
        from PIL import Image

        _quiet()
        Image.MAX_IMAGE_PIXELS = None
        with Image.open(path, formats=_formats()) as image:
            return image.size


def deep(raw: bytes) -> tuple[Deep, int] | None:
    """The values of a file with 16 bits a channel, and how it is to be turned (see `upright`); None
    of any other file, a broken one too. Raises ImagesError where only 8 bits of it can be read."""
    try:
        with _refusing():
            image = _opened(BytesIO(raw))
    except ImagesError:
        return None
    of_colour = is_deep_colour(image)
    if of_colour:
        require_all_bits(image)
    elif not is_deep_grey(image):
        return None
    with suppress(ImagesError), _refusing():
        values = colour(image, _opened(BytesIO(raw))) if of_colour else grey(image)
        return values, orientation(image)
    return None


def picture_size(raw: Raw) -> tuple[int, int]:
    """Width and height in pixels of the upright picture; from the header alone. Raises as
    `decode`."""
    if isinstance(raw, np.ndarray):
        return raw.shape[1], raw.shape[0]
    with _refusing():
        image = _opened(BytesIO(raw))
    return image.size[::-1] if 5 <= orientation(image) <= 8 else image.size


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
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


def _opened(file: BytesIO) -> "ImageFile":
    """What the header says; the pixels are still to be decoded."""
    from PIL import Image, PngImagePlugin, UnidentifiedImageError

    if not file.getbuffer().nbytes:
        raise ImagesError("the file is empty (0 bytes)")
    _quiet()
    formats = _formats()
    # Pillow's own limits can be set for the whole process only; of pixels it warns from half on.
    Image.MAX_IMAGE_PIXELS = None
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = MAX_TEXT
    try:
        image = Image.open(file, formats=formats)
    except UnidentifiedImageError:
        if what := unread(bytes(file.getbuffer()[:SEEN])):
            raise ImagesError(what) from None
        raise ImagesError(
            f"no image, or of an unknown kind; {', '.join(formats)} can be read"
        ) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImagesError(
            f"the image is too large: {width} x {height} pixels, at most {MAX_PIXELS:,} can be read"
        )
    require_readable(image)
    return image


def _pixels(opened: Callable[[], "ImageFile"]) -> "Image":
    image = opened()
    if (scale := _reduction(image)) > 1:
        image.draft(None, (image.width // scale, image.height // scale))
    of_colour = is_deep_colour(image)
    image.load()
    if 0 in image.size:
        raise ImagesError(f"the image has no pixels: {image.width} x {image.height}")
    found = to_rgb(image)
    if of_colour:
        found.info[BRIGHTEST] = brightest(image, opened)
    return upright(found, orientation(image))


def _reduction(image: "Image") -> int:
    """By how much the sides of a JPEG are divided, as its decoder does for next to nothing."""
    if image.format != "JPEG" or image.width * image.height <= REDUCE_FROM:
        return 1
    return next((s for s in (8, 4, 2) if min(image.size) // s >= REDUCE_TO), 1)


@cache
def _formats() -> tuple[str, ...]:
    """Those of our formats that this Pillow was built with."""
    from PIL import Image

    with _importing:
        for plugin in filter(None, _PLUGINS.values()):
            import_module(f"PIL.{plugin}")
        import_module("pillow_heif").register_heif_opener()
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
