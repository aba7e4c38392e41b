"""Stanford Cars: 16,185 photos of 196 models of cars (Krause, 2013).

Read from <root>/stanford_cars as torchvision expects it: devkit/, cars_train/, cars_test/ and
cars_test_annos_withlabels.mat, which may lie in devkit/ too. It has to be fetched by hand, for its
authors' site is gone. Take all files from one copy: some number the images in another way.
"""

from pathlib import Path
from typing import Any

import numpy as np

from images import _listed, _old, _tree
from images._listing import ImagesError, Listing, Opener, Stater

SITE = "https://github.com/pytorch/vision/issues/7545"

_TRAIN, _TEST = "devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat"
_META = "devkit/cars_meta.mat"
_DO = f"put a whole copy there ({SITE} tells of some)"


def list_images(*, root: str = "data/raw") -> Listing:
    """8,144 `train` and 8,041 `test` images in the order of their annotations."""
    base = _locate(root)
    test = base / _TEST if (base / _TEST).is_file() else base / "devkit" / _TEST
    files = {"train": base / _TRAIN, "test": test}
    images = {split: _annotated(file, f"cars_{split}") for split, file in files.items()}
    classes = [str(name) for name in _load(base / _META, "class_names")]
    return _listed.listing(base, images, classes, _DO)


def open_images(*, root: str = "data/raw") -> Opener:
    """Gives a file's bytes."""
    return _tree.opener(_locate(root))


def stat_images(*, root: str = "data/raw") -> Stater:
    """Gives a file's size and time of change."""
    return _tree.stater(_locate(root))


def old_classes(*, root: str = "data/raw") -> list[int]:
    """The 98 known classes of the Semantic Shift Benchmark."""
    return _old.groups("stanford_cars")["old"]


def _annotated(file: Path, folder: str) -> list[tuple[str, int]]:
    """Name and label of each image that a file of annotations has."""
    found = _load(file, "annotations")
    kinds = found.dtype.names or ()
    if not {"fname", "class"} <= set(kinds):
        raise ImagesError(
            f"{file} has {', '.join(kinds) or 'no fields'} of each image; expected fname and "
            f"class; {_DO}"
        )
    return [(f"{folder}/{one['fname']}", int(one["class"]) - 1) for one in found]


def _load(file: Path, key: str) -> np.ndarray:
    """One variable of a Matlab file, as an array of one axis."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ImagesError("Stanford Cars needs scipy: pip install scipy") from error
    try:
        found: dict[str, Any] = loadmat(str(file), squeeze_me=True)
    # A damaged file may raise nearly anything.
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ImagesError(f"{file} is no Matlab file ({said}); {_DO}") from error
    if key not in found:
        raise ImagesError(f"{file} has no {key}; {_DO}")
    return np.atleast_1d(found[key])


def _locate(root: str) -> Path:
    base = Path(root) / "stanford_cars"
    missing = [name for name in (_TRAIN, _META) if not (base / name).is_file()]
    missing += [name for name in ("cars_train", "cars_test") if not (base / name).is_dir()]
    if not any((base / name).is_file() for name in (_TEST, f"devkit/{_TEST}")):
        missing.append(_TEST)
    if missing:
        raise ImagesError(
            f"Stanford Cars is not in {_tree.full(base)}, which lacks {', '.join(missing)}; its "
            f"site is gone: get a copy ({SITE} tells of some) and put cars_train, cars_test, "
            f"devkit and {_TEST} in {base}, or set root to the folder above them"
        )
    return base
