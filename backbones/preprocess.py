"""From a picture of any shape to the square of pixels a backbone expects.

The resize-then-centre-crop that nearly every published checkpoint was evaluated with, as
torchvision does it on PIL images. But: no mean and std here (uint8 travels four times lighter
between processes; the encoder normalises), and no random augmentation in any split.
"""

import numpy as np
from PIL import Image

from backbones.row import Backbone

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def preprocess(row: Backbone, picture: Image.Image) -> np.ndarray:
    """picture, PIL in mode RGB → uint8 [size, size, 3].

    `fit: crop` scales the shorter side to `resize` and cuts the centre `size` out; `fit: squash`
    scales both sides to `size`, which keeps the borders and gives up the aspect ratio.
    """
    size = row.input.size
    width, height = picture.size
    if row.input.fit == "squash":
        scaled = (size, size)
    else:
        short = min(width, height)
        # Rounded down, as torchvision does: one pixel more or less shifts the whole picture.
        scaled = (width * row.input.resize // short, height * row.input.resize // short)
    if scaled != picture.size:
        picture = picture.resize(scaled, _FILTERS[row.input.interpolation])
    left, top = round((scaled[0] - size) / 2), round((scaled[1] - size) / 2)
    # A crop that reaches outside (size > resize) is filled with black, as torchvision pads.
    return np.array(picture.crop((left, top, left + size, top + size)), dtype=np.uint8)
