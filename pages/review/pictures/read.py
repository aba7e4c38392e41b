"""One picture of the collection by its row: read, held to its digest, decoded. Or why not."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL.Image import Image

import store
from images import ImagesError, Raw, decode, decoding_memory, digest, picture_size
from pages.review.collection import Opener
from pipeline.embedding.memory_limit import MemoryLimit


class Away(Exception):
    """The picture cannot be shown; the message is the reason, in one line."""


class Pictures:
    """name: [image]; id: uint8 [image, 16]. Nothing but these images can be read. Thread-
    safe; `memory` bytes are taken by all threads together that decode, unless one needs more."""

    def __init__(
        self,
        read: Opener | None,
        why_not: str,
        name: store.Strings,
        id: np.ndarray,
        memory: float,
    ) -> None:
        self._read, self._why_not, self._name, self._id = read, why_not, name, id
        self._memory = MemoryLimit(memory)

    def raw(self, row: int) -> Raw:
        """Its bytes or pixels. Raises Away."""
        if self._read is None:
            raise Away(self._why_not)
        try:
            raw = self._read(str(self._name[row]))
        except ImagesError as error:
            raise Away(str(error)) from None
        except OSError as error:
            raise Away(f"{self._name[row]}: {error.strerror or error}") from None
        if digest(raw) != self._id[row].tobytes():
            raise Away(f"{self._name[row]} changed after it was indexed: run `dvc repro`")
        return raw

    @contextmanager
    def decoded(self, raw: Raw) -> Iterator[Image]:
        """RGB and upright; its memory is counted until the block ends. Raises Away."""
        try:
            with self._memory.held(decoding_memory(raw)):
                yield decode(raw)
        except ImagesError as error:
            raise Away(str(error)) from None

    def size(self, row: int) -> tuple[int, int, int]:
        """Width and height, upright, and bytes of the file. Raises Away."""
        raw = self.raw(row)
        try:
            return (*picture_size(raw), raw.nbytes if isinstance(raw, np.ndarray) else len(raw))
        except ImagesError as error:
            raise Away(str(error)) from None
