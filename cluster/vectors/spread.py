"""The mean and the variance of vectors that come in blocks."""

import numpy as np


class Spread:
    """By sums in float64 about the first vector, so that the variance is exactly 0 where all are
    equal. `count`: vectors so far."""

    def __init__(self) -> None:
        self.count, self._square = 0, 0.0

    def add(self, x: np.ndarray) -> None:
        """float64 [image, dim]."""
        if not len(x):
            return
        if not self.count:
            self._first, self._total = x[0].copy(), np.zeros(x.shape[1])
        x = x - self._first
        self._total += x.sum(axis=0)
        self._square += float(np.einsum("id,id->i", x, x).sum())
        self.count += len(x)

    def mean(self) -> np.ndarray:
        """float64 [dim], of one vector at least."""
        return np.asarray(self._first + self._total / self.count)

    def variance(self) -> float:
        """About the mean, summed over dims; 0 without vectors."""
        if not self.count:
            return 0.0
        about_first = self._square / self.count
        return max(0.0, about_first - float(np.square(self._total / self.count).sum()))
