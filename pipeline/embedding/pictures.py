"""The pictures of one dataset as a backbone wants them: read, checked, altered, cut to a square."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL.Image import Image, Resampling

import backbones
import images
import images.augment as augmentations
import store
from pipeline.embedding.dark import Dark
from pipeline.embedding.memory_limit import MemoryLimit
from pipeline.params import StageError, read_params

Alter = Callable[[Image, bytes], Image]  # a picture and the digest of its bytes
Names = store.Text | np.ndarray | dict[int, str]  # by row of the index
Dataset = str | Mapping[str, Any]  # its key under `datasets` in params.yaml, or what stands there


class Pictures:
    """Opened once. `names`: of all images of the index; `memory_gb`: that decoding takes at most,
    in all threads together, unless one picture alone needs more. Thread-safe."""

    def __init__(
        self, row: backbones.Backbone, dataset: Dataset, names: Names, memory_gb: float
    ) -> None:
        self._row, self._names = row, names
        self._memory, self.dark = MemoryLimit(memory_gb * 1e9), Dark()
        spec = read_params(f"datasets.{dataset}") if isinstance(dataset, str) else dataset
        self._read = images.open_images(spec)

    def seen_by(self, row: backbones.Backbone) -> "Pictures":
        """The same, as another row wants them: a packed set is read into memory once."""
        other = copy.copy(self)
        other._row = row
        return other

    def __call__(self, row: int, id: np.ndarray, alter: Alter | None = None) -> np.ndarray:
        """The image as `decoded` gives it and the backbone wants it: uint8 [side, side, 3]."""
        with self.decoded(row, id, alter) as seen:
            return backbones.preprocess(self._row, seen)

    @contextmanager
    def decoded(self, row: int, id: np.ndarray, alter: Alter | None = None) -> Iterator[Image]:
        """The image at `row` of the index, whose digest is to be `id` (uint8 [16]); its memory is
        counted until the block ends. Raises StageError when it is another picture, ImagesError when
        it is none."""
        name, digest = self._names[row], id.tobytes()
        raw = self._read(name)
        if images.digest(raw) != digest:
            raise StageError(f"{name} changed after it was indexed: run `dvc repro` again")
        with self._memory.held(images.decoding_memory(raw)):
            seen = images.decode(raw)
            self.dark.see(seen)
            yield alter(seen, digest) if alter else seen


def altered(augment: augmentations.Augmentation, view: int, row: backbones.Backbone) -> Alter:
    """What makes view number `view` of a picture that backbone `row` will see."""
    short = 2 * row.input.resize

    def alter(picture: Image, digest: bytes) -> Image:
        return augmentations.augment(_shrunk(picture, short), augment, digest, view)

    return alter


def _shrunk(picture: Image, short: int) -> Image:
    """The picture with a shorter side of `short` pixels at most.

    A camera's 12 million pixels take longer to augment than to embed, and blurring them cannot be
    seen afterwards. Twice what the backbone resizes to leaves the smallest crop enough.
    """
    scale = short / min(picture.size)
    if scale >= 1:
        return picture
    width, height = (round(side * scale) for side in picture.size)
    return picture.resize((width, height), Resampling.BICUBIC, reducing_gap=2.0)
