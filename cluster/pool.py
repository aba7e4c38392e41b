"""What some queries have found so far, tile after tile, of the targets that may be theirs."""

import numpy as np

GROUP = 8  # products of which only the largest is looked at first


def most_of(k: int) -> int:
    """So many that come near are too many."""
    return 2 * k + 128


class Pool:
    """The targets whose products reach each query's cut: its k-th largest so far, less a margin.

    own: int64 [query]; margin: float32 [query]; all_or_none: a query that is lost keeps nothing.
    """

    def __init__(self, own: np.ndarray, margin: np.ndarray, k: int, all_or_none: bool) -> None:
        self._own, self._margin, self._k, self._all_or_none = own, margin, k, all_or_none
        self._best = np.full((len(own), k), -np.inf, np.float32)
        self._cut = np.full(len(own), -np.inf, np.float32)
        self._lost = np.zeros(len(own), bool)
        self._row, self._position = np.empty(0, np.int32), np.empty(0, np.int32)
        self._value = np.empty(0, np.float32)

    def add(self, scores: np.ndarray, start: int) -> None:
        """Look at the products (float32 [query, target]) with the targets from `start` on."""
        at = self._own - start
        mine = np.flatnonzero((at >= 0) & (at < scores.shape[1]))
        scores[mine, at[mine]] = -np.inf
        row, column, value = self._passing(scores)
        self._raise(row, value)
        new = value >= self._cut[row]
        old = self._value >= self._cut[self._row]
        self._row = np.concatenate([self._row[old], row[new].astype(np.int32)])
        column = (column[new] + start).astype(np.int32)
        self._position = np.concatenate([self._position[old], column])
        self._value = np.concatenate([self._value[old], value[new]])
        self._give_up()

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """How many candidates each query has (int64), they (int64 [pair]), floors and the lost."""
        order = np.argsort(self._row, kind="stable")
        count = np.bincount(self._row, minlength=len(self._own))
        return count, self._position[order].astype(np.int64), self._cut, self._lost

    def _passing(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, column and value of the products that reach the cut, by row."""
        targets = scores.shape[1]
        width = targets // GROUP
        row, column, value = _few(scores[:, width * GROUP :], self._cut, width * GROUP)
        if not width:
            return row, column, value
        largest = scores[:, :width].copy()
        for low in range(width, width * GROUP, width):  # twice as fast as numpy's max over an axis
            np.maximum(largest, scores[:, low : low + width], out=largest)
        if width >= self._k and np.isneginf(self._cut).any():
            # Each group's largest is a product of its own, so k products reach the k-th of these.
            kth = np.partition(largest, width - self._k, axis=1)[:, width - self._k]
            self._cut = np.maximum(self._cut, kth - self._margin)
        of, group = np.divmod(np.flatnonzero(largest >= self._cut[:, None]), width)
        opened = scores.ravel().take((of * targets + group)[:, None] + np.arange(GROUP) * width)
        hit = (opened >= self._cut[of][:, None]) & (opened > -np.inf)
        which, place = np.divmod(np.flatnonzero(hit), GROUP)
        of, found = of[which], group[which] + place * width
        if not len(row):
            return of, found, opened[hit]
        row, column = np.concatenate([of, row]), np.concatenate([found, column])
        order = np.argsort(row, kind="stable")
        return row[order], column[order], np.concatenate([opened[hit], value])[order]

    def _raise(self, row: np.ndarray, value: np.ndarray) -> None:
        size = np.bincount(row, minlength=len(self._own))
        place = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
        new = np.full((len(self._own), size.max(initial=0)), -np.inf, np.float32)
        new[row, place] = value
        both = np.concatenate([self._best, new], 1)
        self._best = np.partition(both, both.shape[1] - self._k, axis=1)[:, -self._k :]
        self._cut = np.maximum(self._cut, self._best[:, 0] - self._margin)

    def _give_up(self) -> None:
        size = np.bincount(self._row, minlength=len(self._own))
        many = size > most_of(self._k)
        if not many.any():
            return
        self._lost |= many
        if self._all_or_none:
            self._cut[many] = np.inf
            keep = ~many[self._row]
        else:
            order = np.lexsort((-self._value, self._row))
            rank = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
            keep = np.empty(len(order), bool)
            keep[order] = rank < most_of(self._k)
            first = order[rank == most_of(self._k)]  # the largest that goes, one a row
            self._cut[self._row[first]] = np.maximum(
                self._cut[self._row[first]], self._value[first]
            )
        self._row, self._position = self._row[keep], self._position[keep]
        self._value = self._value[keep]


def _few(
    scores: np.ndarray, cut: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column (from `first` on) and value of the scores [query, target] that reach the cut."""
    row, column = np.nonzero((scores >= cut[:, None]) & (scores > -np.inf))
    return row, column + first, scores[row, column]
