"""JPEG files like photographs of things: smooth shapes, some texture and grain, always the same."""

from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT, QUALITY, GRAIN = 400, 534, 85, 5.0  # about 45 KB each


def photographs(folder: Path, number: int) -> list[str]:
    """`number` of them in FOLDER; their names, sorted."""
    folder.mkdir(parents=True)
    names = [f"{at:05d}.jpg" for at in range(number)]
    for at, name in enumerate(names):
        rng = np.random.default_rng(at)
        picture = np.zeros((HEIGHT, WIDTH, 3))
        for cells, height in ((3, 120), (12, 50), (48, 20)):  # large shapes, smaller ones, texture
            noise = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
            channels = [
                Image.fromarray(noise[..., c]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
                for c in range(3)
            ]
            picture += height * np.stack([np.asarray(c) for c in channels], axis=2)
        picture += 128 + rng.normal(0, GRAIN, (HEIGHT, WIDTH, 1))
        pixels = picture.clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name, quality=QUALITY)
    return names
