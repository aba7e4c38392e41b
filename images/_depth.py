"""Fewer bits than a file has room for: 12 bits of a camera or a scanner in 16 bits a channel."""

import numpy as np
from PIL import Image

from images._listing import ImagesError, Opener, Raw
from images._upright import upright
from images.decode import deep


def check_depth(depth: int) -> None:
    """Raise ImagesError for a depth that no file of 16 bits can have; 0 is said by nobody."""
    if depth and not 8 <= depth <= 16:
        raise ImagesError(f"from: folder: depth must be 8 to 16 bits, e.g. 12; found {depth}")


def of_depth(read: Opener, depth: int) -> Opener:
    """As `read`; but a file of 16 bits a channel comes as uint8 [height, width] or [height, width,
    3], of which white is the highest value that `depth` bits hold."""

    def scaled(name: str) -> Raw:
        raw = read(name)
        assert isinstance(raw, bytes)
        try:
            found = deep(raw)
        except ImagesError as error:
            raise ImagesError(f"{name}: {error}") from None
        if found is None or found[0].bits != 16:  # a file that says itself how many count
            return raw
        values, turn = found
        white, highest = 2**depth - 1, int(values.values.max())
        if highest > white:
            raise ImagesError(
                f"{name} has the value {highest:,}, and depth: {depth} says that {white:,} is "
                "white: say a greater depth, or leave the file out by exclude"
            )
        return np.asarray(upright(Image.fromarray(values.in_8_bits(depth)), turn))

    return scaled
