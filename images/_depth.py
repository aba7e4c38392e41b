"""Fewer bits than a file has room for: 12 bits of a camera or a scanner in 16 bits a pixel."""

from io import BytesIO

import numpy as np

from images._listing import ImagesError, Opener, Raw
from images.decode import deep_values


def check_depth(depth: int) -> None:
    """Raise ImagesError for a depth that no file of 16 bits can have; 0 is said by nobody."""
    if depth and not 8 <= depth <= 16:
        raise ImagesError(f"from: folder: depth must be 8 to 16 bits, e.g. 12; found {depth}")


def of_depth(read: Opener, depth: int) -> Opener:
    """As `read`; but a file of 16 bits a pixel comes as uint8 [height, width], of which white is
    the highest value that `depth` bits hold."""

    def scaled(name: str) -> Raw:
        raw = read(name)
        assert isinstance(raw, bytes)
        deep = deep_values(BytesIO(raw))
        if deep is None:
            return raw
        white = 2**depth - 1
        if deep.max() > white:
            raise ImagesError(
                f"{name} has the value {deep.max():,}, and depth: {depth} says that {white:,} is "
                "white: say a greater depth, or leave the file out by exclude"
            )
        return ((deep * 255 + white // 2) // white).astype(np.uint8)

    return scaled
