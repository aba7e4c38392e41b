"""Search by a picture that somebody drops on the page, and by words: by the backbone's own towers.

They are loaded when they are first asked for, since that takes seconds and memory. Vectors from
elsewhere and fused ones have no network here, so that only pictures of the collection search them.
"""

import threading
from typing import Any

import numpy as np

import backbones
from images import ImagesError, decode, decoding_memory
from pages.review.refused import Refused
from pipeline.io.origin import base_name, read_origin
from pipeline.params import Runtime, StageError, section, torch_device

MOST_MEMORY = 1 << 30  # bytes that decoding a dropped picture may take


class Towers:
    """Of one backbone. why_not: why it cannot embed a picture, "" where it can; has_text: whether
    it has a text tower. Thread-safe."""

    def __init__(self, backbone: str) -> None:
        self._lock = threading.Lock()
        self._image: backbones.Encoder | None = None
        self._text: Any = None
        self._backbone, self._row, self.why_not = backbone, *_row_of(backbone)
        row = self._row
        # The vectors of output `projected` alone meet those of texts
        self.has_text = row is not None and row.loader == "open_clip" and row.output == "projected"

    def of_picture(self, raw: bytes) -> np.ndarray:
        """float32 [dim]. Refused: no picture, or the backbone has no network here."""
        if self._row is None:
            raise Refused(409, f"no search by a file: {self.why_not}")
        try:
            if decoding_memory(raw) > MOST_MEMORY:
                raise Refused(413, "the picture is too large to be searched with: make it smaller")
            pixels = backbones.preprocess(self._row, decode(raw))
        except ImagesError as error:
            raise Refused(415, str(error)) from None
        with self._lock:
            if self._image is None:
                self._image = backbones.load(base_name(self._backbone), self._device())
            return self._image(pixels[None])[0]

    def of_words(self, words: str) -> np.ndarray:
        """float32 [dim], of `a photo of a {words}`."""
        if not self.has_text or self._row is None:
            raise Refused(409, f"no search by words: {self._backbone} has no text tower")
        from backbones import text

        with self._lock:
            if self._text is None:
                self._text = text.load(self._row, self._device())
            found: np.ndarray = self._text.encode(text.prompts([words]))[0]
            return found

    def _device(self) -> str:
        assert self._row is not None
        wanted = section(Runtime, "runtime").device
        return "cpu" if self._row.loader == "tfhub" else torch_device(wanted)


def _row_of(backbone: str) -> tuple[backbones.Backbone | None, str]:
    try:
        origin = read_origin(backbone)
    except (StageError, backbones.BackboneError) as error:
        return None, str(error)
    if isinstance(origin, backbones.Backbone):
        return origin, ""
    return None, f"{backbone} was imported, and its network is not here"
