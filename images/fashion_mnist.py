"""Fashion-MNIST: 70,000 product photos of 28 x 28 grey pixels, 10 classes (arXiv:1708.07747), MIT.

Read from <root>/FashionMNIST/raw, where torchvision puts them, from <root> itself, or from where
Debian's package dataset-fashion-mnist puts them; else downloaded. The files may be gzipped.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from images import _packed
from images._download import fetch
from images._listing import ImagesError, Listing, Opener, Stater

CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")

_FILES = {"train": "train", "test": "t10k"}


def list_images(*, root: str = "data/raw") -> Listing:
    """60,000 `train` and 10,000 `test` images."""
    found = _locate(Path(root))
    labels = {split: _idx(found[f"{stem}-labels-idx1-ubyte"], 1) for split, stem in _FILES.items()}
    return _packed.listing(labels, CLASSES)


def open_images(*, root: str = "data/raw") -> Opener:
    """Gives uint8 arrays [28, 28], white on black; 55 MB are held in memory."""
    found = _locate(Path(root))
    images = {}
    for split, stem in _FILES.items():
        images[split] = _idx(found[f"{stem}-images-idx3-ubyte"], 3)
        labels = found[f"{stem}-labels-idx1-ubyte"]
        _packed.check_lengths(f"{labels.parent}: {stem}", images[split], _idx(labels, 1))
    return _packed.opener(images)


def stat_images(*, root: str = "data/raw") -> Stater:
    """Gives None: these images are no files."""
    return _packed.stater()


def _locate(root: Path) -> dict[str, Path]:
    """The four files by name, downloaded if nowhere to be found."""
    places = [root / "FashionMNIST" / "raw", root, DEBIAN]
    for place in places:
        if found := _files(place):
            return found
    said = f"Fashion-MNIST is neither in {', '.join(map(str, places[:-1]))} nor in {DEBIAN}"
    fetch("FashionMNIST", root, said, "https://github.com/zalandoresearch/fashion-mnist")
    found = _files(places[0])
    if not found:
        raise ImagesError(f"{said}, not even after the download")
    return found


def _files(place: Path) -> dict[str, Path]:
    wanted = [
        f"{s}-{kind}-ubyte" for s in _FILES.values() for kind in ("images-idx3", "labels-idx1")
    ]
    found = {}
    for name in wanted:
        for file in (place / name, place / f"{name}.gz"):
            if file.is_file():
                found[name] = file
                break
    missing = [name for name in wanted if name not in found]
    # Half a set is a mistake to be told, not a reason to take another one.
    if found and missing:
        raise ImagesError(
            f"{place} has {', '.join(found)}, but lacks {', '.join(missing)}; add what is missing, "
            "or delete the rest to have it all downloaded"
        )
    return found


def _idx(file: Path, n_axes: int) -> np.ndarray:
    """An IDX file of unsigned bytes as an array of `n_axes` axes."""
    try:
        raw = file.read_bytes()
        if file.suffix == ".gz":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise ImagesError(f"cannot read {file}: {error}; delete it and its like") from error
    start = 4 + 4 * n_axes
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(n_axes)]
    if raw[:4] != bytes([0, 0, 8, n_axes]) or len(raw) != start + math.prod(shape):
        raise ImagesError(
            f"{file} is no IDX file of bytes with {n_axes} axes, or not all of one; "
            "delete it and its like to have the set downloaded again"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)
