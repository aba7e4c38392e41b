"""The pictures of the datasets on the page, each dataset opened once."""

from collections.abc import Callable, Mapping
from typing import Any

from images import ImagesError, Raw, open_images
from pipeline.embedding.vectors import is_vectors

AWAY = "No images: the pictures are not on the machine that wrote this page."
Album = Callable[[str], Raw]  # the bytes or pixels of an image by its name


class Albums:
    """The datasets by name; `specs` says how to open their images."""

    def __init__(self, specs: Mapping[str, Any]) -> None:
        self._specs = specs
        self._known: dict[str, Album | str] = {}

    def of(self, dataset: str) -> Album | str:
        """The images of a dataset, or why there are none."""
        if dataset not in self._known:
            self._known[dataset] = self._open(dataset)
        return self._known[dataset]

    def _open(self, dataset: str) -> Album | str:
        spec = self._specs.get(dataset)
        if spec is None or is_vectors(spec):
            return "No images: these features were imported without any."
        try:
            return open_images(spec)
        except (ImagesError, OSError) as error:
            print(f"report: no images of {dataset}: {error}")
            return AWAY
