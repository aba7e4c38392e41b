"""Turn a picture as the camera noted in EXIF."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION = 0x0112


def orientation(image: "Image") -> int:
    """What is noted, 1 to 8; 1 where nothing is: a picture with broken metadata is a picture."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def upright(image: "Image", orientation: int) -> "Image":
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
