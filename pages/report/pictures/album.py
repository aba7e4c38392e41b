"""The pictures of the datasets on the page, each dataset opened once."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from images import ImagesError, Raw, open_images
from pipeline.embedding.memory_limit import MemoryLimit
from pipeline.indexing.vectors import is_vectors
from pipeline.params import Runtime, count_cores

AWAY = "No images: the pictures are not on the machine that wrote this page."


class Album(NamedTuple):
    """The images of a dataset. read: the bytes or pixels of one by its name; memory: what `threads`
    may take together that decode them."""

    read: Callable[[str], Raw]
    memory: MemoryLimit
    threads: int


class Albums:
    """The datasets by name; `specs` says how to open their images."""

    def __init__(self, specs: Mapping[str, Any], runtime: Runtime) -> None:
        self._specs, self._threads = specs, runtime.workers or count_cores()
        self._memory = MemoryLimit(runtime.memory_gb * 1e9)
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
            return Album(open_images(spec), self._memory, self._threads)
        except (ImagesError, OSError) as error:
            print(f"report: no images of {dataset}: {error}")
            return AWAY
