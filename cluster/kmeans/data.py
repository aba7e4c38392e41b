"""The rows of k-means, centred (centering.py), tile by tile, kept on the GPU if they fit there."""

from collections.abc import Iterator
from typing import final

import numpy as np
import torch
from jaxtyping import Float32, Int

from cluster.kernels.gpu.available import fused_blocks
from cluster.kernels.low_precision import bfloat16_is_fast
from cluster.kmeans.centering import Centering
from cluster.vectors.device import fits_on_gpu
from cluster.vectors.rows import TILE, ArrayRows, Rows

MAX_BF16_BYTES = 400_000_000  # of a cached bfloat16 copy


@final
class Data:
    """Centred rows. Tiles start at multiples of TILE, so that sums have one order."""

    def __init__(self, rows: Rows, centering: Centering, device: str) -> None:
        self._rows, self.centering, self.device, self.dim = rows, centering, device, rows.dim
        self._kept: torch.Tensor | None = None
        if fits_on_gpu(len(rows) * rows.dim, device):
            kept = torch.empty(len(rows), rows.dim, device=device)
            for here, x in self.tiles():
                kept[here] = x
            self._kept = kept

    @property
    def is_on_gpu(self) -> bool:
        """Whether all rows are in the memory of a GPU."""
        return self._kept is not None

    @property
    def is_resident(self) -> bool:
        """Whether tiles are in memory as they are needed, so that reading them costs nothing."""
        if self._kept is not None:
            return True
        centering, rows = self.centering, self._rows
        plain = isinstance(rows, ArrayRows) and rows.array.flags.writeable  # others are copied
        return plain and not centering.cosine and centering.shift is None

    def __len__(self) -> int:
        return len(self._rows)

    def tiles(self) -> Iterator[tuple[slice, Float32[torch.Tensor, "image dim"]]]:
        """The range of rows of each tile, and those rows."""
        for start in range(0, len(self), TILE):
            here = slice(start, min(start + TILE, len(self)))
            yield here, self.tile(here)

    def tile(self, here: slice) -> Float32[torch.Tensor, "image dim"]:
        """Rows start..stop."""
        if self._kept is not None:
            return self._kept[here]
        return self.centering.transform_rows(self._rows.block(here.start, here.stop), self.device)

    def take(self, rows: Int[np.ndarray, " image"]) -> Float32[torch.Tensor, "image dim"]:
        """Some rows, in any order."""
        if self._kept is not None:
            return self._kept[torch.from_numpy(rows).to(self.device)]
        return self.centering.transform_rows(self._rows.take(rows), self.device)


def keeps_bf16(data: Data) -> bool:
    """Whether to cache a bfloat16 copy of the rows: it is used by the processor, and small."""
    small = 2 * len(data) * data.dim <= MAX_BF16_BYTES
    return small and data.is_resident and data.device == "cpu" and bfloat16_is_fast()


def keeps_padded_bf16(data: Data) -> bool:
    """The same on a GPU, for the fused product."""
    if not (data.is_on_gpu and fits_on_gpu(len(data) * data.dim // 2, data.device)):
        return False
    return fused_blocks(torch.device(data.device)) is not None
