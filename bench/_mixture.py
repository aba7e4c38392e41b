"""An uncurated collection, as a folder of pictures: Fashion-MNIST with a long tail of classes, some
of its pictures several times over, slightly changed, and photographs of clothing that are foreign.

What was planted is said by the names: `copy1-00018.jpg` is of the picture `00018.png`.
"""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

FOREIGN = "foreign"
LARGEST, RATIO = 700, 100  # pictures of the most frequent class of train, and over the rarest
ORIGINALS = 120  # pictures that come again, once in each of these ways
COPIES = ("bytes", "jpeg", "darker")
STRANGERS = 40
TESTED = 200  # of each class


def mix(folder: Path, fashion: Path, clothing: Path, seed: int) -> None:
    """FOLDER/split/class/picture. fashion: a folder of classes; clothing: one of any folders."""
    rng = np.random.default_rng(seed)
    classes = sorted(path.name for path in fashion.iterdir() if path.is_dir())
    rank = rng.permutation(len(classes))
    train: list[Path] = []
    for name, at in zip(classes, rank.tolist(), strict=True):
        pictures = sorted((fashion / name).glob("*.png"))
        drawn = [pictures[one] for one in rng.permutation(len(pictures))]
        size = round(LARGEST * RATIO ** (-at / (len(classes) - 1)))
        _copy(drawn[:TESTED], folder / "test" / name)
        train += _copy(drawn[TESTED : TESTED + size], folder / "train" / name)
    for at in rng.choice(len(train), ORIGINALS, replace=False).tolist():
        for how in range(len(COPIES)):
            _change(train[at], how)
    strangers = sorted(clothing.rglob("*.jpg"))
    foreign = [strangers[at] for at in rng.choice(len(strangers), STRANGERS, replace=False)]
    _copy(foreign, folder / "train" / FOREIGN)


def original(name: str) -> str:
    """The picture that NAME, a path, is a changed copy of; itself of all others."""
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.partition('-')[2].partition('.')[0]}.png" if is_copy(name) else name


def is_copy(name: str) -> bool:
    return name.rpartition("/")[2].startswith("copy")


def _copy(files: list[Path], folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    return [Path(shutil.copyfile(file, folder / f"{file.stem}{file.suffix}")) for file in files]


def _change(file: Path, how: int) -> None:
    """Beside it: the same bytes, the pixels as a JPEG file, or these darker by a twentieth."""
    copy = file.with_name(f"copy{how}-{file.name}")
    if COPIES[how] == "bytes":
        shutil.copyfile(file, copy)
        return
    with Image.open(file) as opened:
        picture = opened.convert("L")
    if COPIES[how] == "darker":
        picture = picture.point(lambda value: round(0.95 * value))
    picture.save(copy.with_suffix(".jpg"), quality=90)
