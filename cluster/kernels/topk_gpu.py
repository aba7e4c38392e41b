"""The top-k buffer of topk_cpu.py in torch, for GPUs: the same steps for many queries at once."""

import numpy as np
import torch

from cluster.kernels.topk_cpu import GROUP, capacity


class TopKBufferGpu:
    """As TopKBuffer, on the device of own and margin: int64 and float32 [query]."""

    def __init__(self, own: torch.Tensor, margin: torch.Tensor, k: int, all_or_none: bool) -> None:
        self._own, self._margin, self._k, self._all_or_none = own, margin, k, all_or_none
        self._best = torch.full((len(own), k), -torch.inf, device=own.device)
        self._cut = torch.full((len(own),), -torch.inf, device=own.device)
        self._overflowed = torch.zeros(len(own), dtype=torch.bool, device=own.device)
        self._row, self._position = own.new_empty(0), own.new_empty(0)
        self._value = margin.new_empty(0)

    def add(self, scores: torch.Tensor, start: int) -> None:
        """Add the products (float32 [query, target]) with the targets from `start` on."""
        at = self._own - start
        mine = torch.nonzero((at >= 0) & (at < scores.shape[1])).ravel()
        scores[mine, at[mine]] = -torch.inf
        row, column, value = self._passing(scores)
        self._raise_cut(row, value)
        new = value >= self._cut[row]
        old = self._value >= self._cut[self._row]
        self._row = torch.cat([self._row[old], row[new]])
        self._position = torch.cat([self._position[old], column[new] + start])
        self._value = torch.cat([self._value[old], value[new]])
        self._drop_surplus()

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As TopKBuffer.found."""
        order = torch.argsort(self._row, stable=True)
        count = torch.bincount(self._row, minlength=len(self._own))
        position = self._position[order].cpu().numpy()
        return (
            count.cpu().numpy(),
            position,
            self._cut.cpu().numpy(),
            self._overflowed.cpu().numpy(),
        )

    def _passing(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        width = scores.shape[1] // GROUP
        row, column = self._own.new_empty(0), self._own.new_empty(0)
        if width:
            grouped = scores[:, : width * GROUP].unflatten(1, (GROUP, width))
            largest = grouped.amax(1)
            if width >= self._k and bool(self._cut.isneginf().any()):
                kth = largest.topk(self._k, dim=1).values[:, -1]
                self._cut = torch.maximum(self._cut, kth - self._margin)
            row, group = torch.nonzero(largest >= self._cut[:, None], as_tuple=True)
            each = torch.arange(GROUP, device=row.device) * width
            row, column = row.repeat_interleave(GROUP), (group[:, None] + each).ravel()
        rest = torch.arange(width * GROUP, scores.shape[1], device=row.device)
        every = torch.arange(len(scores), device=row.device)
        row = torch.cat([row, every.repeat_interleave(len(rest))])
        column = torch.cat([column, rest.repeat(len(scores))])
        value = scores[row, column]
        reach = torch.nonzero((value >= self._cut[row]) & (value > -torch.inf)).ravel()
        reach = reach[torch.argsort(row[reach], stable=True)]
        return row[reach], column[reach], value[reach]

    def _raise_cut(self, row: torch.Tensor, value: torch.Tensor) -> None:
        size = torch.bincount(row, minlength=len(self._own))
        new = self._best.new_full((len(self._own), int(size.max())), -torch.inf)
        new[row, _rank(size)] = value
        self._best = torch.cat([self._best, new], 1).topk(self._k, dim=1).values
        self._cut = torch.maximum(self._cut, self._best[:, -1] - self._margin)

    def _drop_surplus(self) -> None:
        most, size = capacity(self._k), torch.bincount(self._row, minlength=len(self._own))
        many = size > most
        if not bool(many.any()):
            return
        self._overflowed |= many
        if self._all_or_none:
            self._cut[many] = torch.inf
            keep = ~many[self._row]
        else:
            order = torch.argsort(self._value, descending=True)
            order = order[torch.argsort(self._row[order], stable=True)]
            rank = _rank(size)
            keep = torch.empty_like(self._value, dtype=torch.bool)
            keep[order] = rank < most
            first = order[rank == most]  # the largest that is dropped, one per query
            row = self._row[first]
            self._cut[row] = torch.maximum(self._cut[row], self._value[first])
        self._row, self._position = self._row[keep], self._position[keep]
        self._value = self._value[keep]


def _rank(size: torch.Tensor) -> torch.Tensor:
    """The rank of each entry within its query, of queries with `size` entries."""
    first = torch.cumsum(size, 0) - size
    every = torch.arange(int(size.sum()), device=size.device)
    return every - first.repeat_interleave(size)
