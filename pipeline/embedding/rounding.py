"""What float16 takes from vectors, measured a block at a time while they are stored.

It keeps 11 significant bits of a number: plenty for features that spread about zero, and little for
vectors that are far from zero and near to one another, or numbers below 6e-8. No score shows the
loss, so a store becomes whole only if the rounding is small beside the spread.
"""

import sys
from itertools import chain

import numpy as np

import store
from cluster.vectors.spread import Spread

LIMIT = 0.01  # of the variance about the mean
EARLY = 4096  # vectors, after which it is looked at before the end too: embedding may take days
SHORT = 1e-12  # no length is told from zero below: see cluster.vectors.rows


class Rounding:
    """Measures all that a writer is given. The last vectors wait until the rest was found good, so
    that a run that goes on with a store that was refused is refused as well."""

    def __init__(
        self, writer: store.FeatureWriter | store.ShardWriter, expected: int, way_out: str
    ) -> None:
        """expected: how many vectors will come; way_out: how the user has them as float32."""
        self._writer, self._left, self._way_out = writer, expected, way_out
        self._error, self._short, self._early = 0.0, 0, False
        self._spread = Spread()

    def add(self, vectors: np.ndarray, readable: np.ndarray) -> None:
        """Vectors [image, dim] that are put next; those that are not `readable` (bool [image]) only
        count. Raises StoreError when the rounding so far is more than LIMIT of the variance."""
        x = vectors[readable].astype(np.float64)
        error = vectors[readable].astype(self._writer.plan.dtype) - x
        error, length = _squares(error), _squares(x)
        self._error += error.sum()
        self._short += int(((error > LIMIT * length) | (length < SHORT**2))[length > 0].sum())
        self._spread.add(x)
        self._left -= len(vectors)
        early = self._spread.count >= EARLY and not self._early
        if early or not self._left:
            self._early = True
            self._judge(x)
        if not self._left and self._short:
            print(
                f"embed: {self._short} of {self._spread.count} vectors are so short that "
                f"{self._writer.plan.dtype} takes their direction: {self._advice}",
                file=sys.stderr,
            )

    def _judge(self, last: np.ndarray) -> None:
        if not self._spread.count:
            return
        error, variance = self._error / self._spread.count, self._spread.variance()
        if error > LIMIT * variance and self._writer.reused:  # few new ones beside what is stored
            whole = Spread()
            for block in chain(self._writer.stored(), [last]):
                whole.add(block.astype(np.float64))
            variance = max(variance, whole.variance())
        if error > LIMIT * variance > 0:  # vectors that are all equal lose nothing
            plan = self._writer.plan
            raise store.StoreError(
                f"{self._writer.folder}: the rounding of {plan.dtype} would be "
                f"{_percent(error / variance)} of the variance of these vectors about their mean, "
                f"more than {_percent(LIMIT)}: {self._advice}; what was stored before stays"
            )

    @property
    def _advice(self) -> str:
        if self._writer.plan.dtype == "float32":
            return "subtract the mean of the vectors, or scale them, before they are written"
        return self._way_out


def storable(vectors: np.ndarray, dtype: str) -> np.ndarray:
    """bool [image]: which of the vectors [image, dim] are finite in `dtype`, and their squares in
    float32, in which they are compared."""
    with np.errstate(over="ignore", invalid="ignore"):
        stored = vectors.astype(dtype).astype(np.float32)
        return np.isfinite(_squares(stored))


def why_not(vector: np.ndarray, dtype: str) -> str:
    """Why a vector [dim] is not storable, as the end of a sentence."""
    if not np.isfinite(vector).all():
        return "NaN or infinite"
    return "beyond float16 (65504)" if dtype == "float16" else "so long that float32 has no square"


def _squares(x: np.ndarray) -> np.ndarray:
    return np.einsum("id,id->i", x, x)  # type: ignore[no-any-return]


def _percent(share: float) -> str:
    return f"{100 * share:,.0f} %" if share >= 0.1 or share == LIMIT else f"{100 * share:.1f} %"
