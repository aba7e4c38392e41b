"""Pictures as files that a browser shows: a small square, the whole, and one for none."""

import io
from functools import cache

from PIL import Image, ImageDraw

SIDE = 96  # pixels of a thumbnail
WHOLE = 1600  # pixels of the longer side at most
SMALL = 32  # pixels; smaller pictures keep every one, and the page enlarges them
PLAIN = 256  # pixels; of a picture no larger than that nothing is lost


def square(picture: Image.Image) -> bytes:
    """The centre square of an RGB picture as WebP, SIDE pixels or its own size."""
    short, side = min(picture.size), min(SIDE, *picture.size)
    left, top = ((length - short) / 2 for length in picture.size)
    box = (left, top, left + short, top + short)
    # A camera's picture is halved some times first, which takes a tenth of the time
    small = picture.resize((side, side), Image.Resampling.LANCZOS, box, reducing_gap=3)
    return _file(small, "WEBP", lossless=side <= SMALL, quality=80, method=4)


def whole(picture: Image.Image, *, lossless: bool) -> tuple[bytes, str]:
    """The picture as JPEG, or PNG where it is small or `lossless`, and which of them."""
    if max(picture.size) > WHOLE:
        picture = picture.copy()
        picture.thumbnail((WHOLE, WHOLE), Image.Resampling.LANCZOS, reducing_gap=3)
    if lossless or max(picture.size) <= PLAIN:
        return _file(picture, "PNG"), "image/png"
    return _file(picture, "JPEG", quality=90), "image/jpeg"


@cache
def no_picture() -> bytes:
    """A grey square, crossed out, as WebP."""
    image = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    draw, edge = ImageDraw.Draw(image), SIDE - 1
    for ends in ((0, 0, edge, edge), (0, edge, edge, 0)):
        draw.line(ends, (160, 160, 160), 2)
    return _file(image, "WEBP", lossless=True)


def _file(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()
