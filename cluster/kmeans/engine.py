"""Rows in parts, and who works on them: here one after the other, elsewhere all at once."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch

from cluster.kmeans.centering import Frame, frame_of
from cluster.kmeans.chunk import PART, Part
from cluster.kmeans.data import View
from cluster.vectors.rows import Rows

Result = TypeVar("Result")


class Parts(Protocol):
    """n: images; frame: how they are seen; device: where the engine adds up."""

    @property
    def n(self) -> int: ...
    @property
    def frame(self) -> Frame: ...
    @property
    def device(self) -> str: ...

    def map(self, work: Callable[..., Result], *arguments: Any) -> Iterator[Result]:
        """work(part, *arguments) of every Part, in the order of their rows."""
        ...


# Makes the parts for so many runs at once; label: int64 [image], or None.
Engine = Callable[[int, np.ndarray | None], Parts]


class LocalParts(NamedTuple):
    """All parts in this process."""

    n: int
    frame: Frame
    device: str
    parts: list[Part]

    def map(self, work: Callable[..., Result], *arguments: Any) -> Iterator[Result]:
        return (work(part, *arguments) for part in self.parts)


def here(rows: Rows, cosine: bool, device: str) -> Engine:
    """An engine that works in this process."""
    view = View(rows, frame_of(rows, cosine), device)
    return lambda runs, label: local_parts(view, runs, label)


def local_parts(view: View, runs: int, label: np.ndarray | None) -> LocalParts:
    return LocalParts(len(view), view.frame, view.device, parts_of(view, runs, label))


def parts_of(view: View, runs: int, label: np.ndarray | None) -> list[Part]:
    """The parts of a view; label: int64 [image], the cluster that an image stays in, or -1."""
    pinned = None if label is None else torch.as_tensor(label, device=view.device)
    return [
        Part(view, start, runs, None if pinned is None else pinned[start : start + PART])
        for start in range(0, len(view), PART)
    ]
