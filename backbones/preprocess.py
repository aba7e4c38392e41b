"""From a picture of any shape to the square of pixels a backbone expects.

The resize-then-centre-crop that nearly every published checkpoint was evaluated with, as
torchvision does it on PIL images. But: no mean and std here (uint8 travels four times lighter
between processes; the encoder normalises), and no random augmentation in any split; and pictures
that are enlarged are so by bilinear interpolation, whatever the checkpoint was evaluated with:
small pictures cluster better by it.
"""

import numpy as np
from PIL import Image

from backbones.row import Backbone
from backbones.sizes import each_size

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_ENLARGE = Image.Resampling.BILINEAR  # bicubic rings about edges that the picture does not resolve


def preprocess(row: Backbone, picture: Image.Image) -> np.ndarray:
    """picture, PIL in mode RGB → uint8 [size, size, 3]; for a row of several sizes [pixel, 3], the
    pixels of one square after the other.

    `fit: crop` scales the shorter side to `resize` and cuts the centre `size` out; `fit: squash`
    scales both sides to `size`, which keeps the borders and gives up the aspect ratio. The row's
    interpolation is for pictures that are reduced.
    """
    if row.sizes:
        return np.concatenate([preprocess(o, picture).reshape(-1, 3) for o in each_size(row)])
    size = row.input.size
    width, height = picture.size
    if row.input.fit == "squash":
        scaled = (size, size)
    else:
        short = min(width, height)
        # Rounded down, as torchvision does: one pixel more or less shifts the whole picture.
        scaled = (width * row.input.resize // short, height * row.input.resize // short)
    if scaled != picture.size:
        enlarged = min(width, height) < min(scaled)
        picture = picture.resize(
            scaled, _ENLARGE if enlarged else _FILTERS[row.input.interpolation]
        )
    left, top = round((scaled[0] - size) / 2), round((scaled[1] - size) / 2)
    # A crop that reaches outside (size > resize) is filled with black, as torchvision pads.
    return np.array(picture.crop((left, top, left + size, top + size)), dtype=np.uint8)
