"""Pictures of noise."""

from pathlib import Path

import numpy as np
from PIL import Image


def draw(path: Path, seed: int, side: int = 24) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(path)
