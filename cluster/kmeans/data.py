"""Rows as k-means sees them (frame.py), tile by tile, on the device if they fit there."""

from collections.abc import Iterator
from typing import final

import numpy as np
import torch

from cluster.kernels.low_precision import has_amx
from cluster.kmeans.centering import Frame
from cluster.vectors.device import has_room
from cluster.vectors.rows import TILE, ArrayRows, Rows

KEPT = 400_000_000  # bytes, at most, of a bfloat16 copy


@final
class View:
    """Rows in a frame. Tiles start at multiples of TILE, so that sums have one order."""

    def __init__(self, rows: Rows, frame: Frame, device: str) -> None:
        self._rows, self.frame, self.device, self.dim = rows, frame, device, rows.dim
        self._kept: list[tuple[slice, torch.Tensor]] | None = None
        if has_room(len(rows) * rows.dim, device):
            self._kept = list(self.tiles())

    @property
    def at_hand(self) -> bool:
        """Whether tiles cost nothing to read."""
        if self._kept is not None:
            return True
        frame, rows = self.frame, self._rows
        plain = isinstance(rows, ArrayRows) and rows.array.flags.writeable  # others are copied
        return plain and not frame.cosine and frame.shift is None

    def __len__(self) -> int:
        return len(self._rows)

    def tiles(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Which rows, and those rows, float32 [image, dim]."""
        if self._kept is not None:
            yield from self._kept
            return
        for start in range(0, len(self), TILE):
            here = slice(start, min(start + TILE, len(self)))
            yield here, self.tile(here)

    def tile(self, here: slice) -> torch.Tensor:
        """Rows start..stop of one tile."""
        if self._kept is not None:
            return self._kept[here.start // TILE][1]
        return self.frame.place(self._rows.block(here.start, here.stop), self.device)

    def take(self, rows: np.ndarray) -> torch.Tensor:
        """Some rows (int [image], any order), float32 [image, dim]."""
        return self.frame.place(self._rows.take(rows), self.device)


def keeps_short(view: View) -> bool:
    """Whether to keep a bfloat16 copy of the rows: fast products pay, and it is small."""
    small = 2 * len(view) * view.dim <= KEPT
    return small and view.at_hand and view.device == "cpu" and has_amx()
