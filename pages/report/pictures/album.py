"""The pictures of the datasets on the page, each dataset opened once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import store
from images import ImagesError, Raw, open_images

AWAY = "No images: the pictures are not on the machine that wrote this page."


class Album(NamedTuple):
    """The images of one dataset: names and digests by row of the index, and how one is read."""

    names: np.ndarray
    digests: np.ndarray
    read: Callable[[str], Raw]


class Albums:
    """The datasets by name; `specs` says how to open their images."""

    def __init__(self, images: Path, specs: Mapping[str, Any]) -> None:
        self._images, self._specs = images, specs
        self._known: dict[str, Album | str] = {}

    def of(self, dataset: str) -> Album | str:
        """The images of a dataset, or why there are none."""
        if dataset not in self._known:
            self._known[dataset] = self._open(dataset)
        return self._known[dataset]

    def _open(self, dataset: str) -> Album | str:
        spec = self._specs.get(dataset)
        if spec is None:
            return "No images: these features were imported without any."
        try:
            read = open_images(spec)
        except (ImagesError, OSError) as error:
            print(f"report: no images of {dataset}: {error}")
            return AWAY
        with store.read(self._images / f"{dataset}.h5", "index") as file:
            return Album(file["name"], file["digest"], read)
