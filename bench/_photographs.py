"""JPEG files like photographs of things: smooth shapes, some texture and grain, always the same."""

import io
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT, QUALITY, GRAIN = 400, 534, 85, 5.0  # about 45 KB each


def photographs(folder: Path, number: int) -> list[str]:
    """`number` of them in FOLDER; their names, sorted."""
    folder.mkdir(parents=True)
    names = [f"{at:05d}.jpg" for at in range(number)]
    for at, name in enumerate(names):
        (folder / name).write_bytes(photograph(at))
    return names


def copies(folder: Path, number: int, different: int, threads: int) -> list[str]:
    """`number` files of `different` photographs, told apart by a comment, so that no two have the
    same bytes; their names, sorted."""
    folder.mkdir(parents=True)
    names = [f"{at:05d}.jpg" for at in range(number)]
    with ThreadPoolExecutor(threads) as pool:
        pictures = list(pool.map(photograph, range(min(different, number))))

        def write(at: int) -> None:
            said = f"copy {at}".encode()
            comment = b"\xff\xfe" + struct.pack(">H", 2 + len(said)) + said
            start, rest = pictures[at % different][:2], pictures[at % different][2:]
            (folder / names[at]).write_bytes(start + comment + rest)

        list(pool.map(write, range(number)))
    return names


def photograph(number: int) -> bytes:
    rng = np.random.default_rng(number)
    picture = np.zeros((HEIGHT, WIDTH, 3))
    for cells, height in ((3, 120), (12, 50), (48, 20)):  # large shapes, smaller ones, texture
        noise = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        channels = [
            Image.fromarray(noise[..., c]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            for c in range(3)
        ]
        picture += height * np.stack([np.asarray(c) for c in channels], axis=2)
    picture += 128 + rng.normal(0, GRAIN, (HEIGHT, WIDTH, 1))
    file = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
