"""Batches of pairs: an image and one of its neighbours, which is drawn again in each pass."""

import numpy as np

from cluster.errors import ClusterError

BLOCK = 65_536  # images whose neighbours are sorted at once


class Pairs:
    """An endless stream of pairs. The pairs of a step depend on the seed and the number of the step
    only, so that a run can resume at any step."""

    def __init__(
        self, neighbor: np.ndarray, batch: int, seed: int, held_out: np.ndarray | None = None
    ) -> None:
        """neighbor: int32 [image, neighbor], rows of the same images; held_out: bool [image],
        images that no pair may contain. Raises ClusterError when an image is its own neighbour,
        from which a head would learn nothing, or no pair is left."""
        require_table(neighbor)
        out = np.zeros(len(neighbor), bool) if held_out is None else held_out
        self._neighbor, self._choice = neighbor, np.full(len(neighbor), neighbor.shape[1])
        if out.any():
            # Neighbours that may be drawn come first; an image without any is not drawn.
            self._neighbor = np.empty_like(neighbor)
            for start in range(0, len(neighbor), BLOCK):
                here = slice(start, start + BLOCK)
                away = out[neighbor[here]]
                order = np.argsort(away, axis=1, kind="stable")
                self._neighbor[here] = np.take_along_axis(neighbor[here], order, axis=1)
                self._choice[here] = (~away).sum(axis=1)
        self._images = np.flatnonzero(~out & (self._choice > 0))
        if not len(self._images):
            raise ClusterError("no image has a neighbour that is not held out: hold out fewer")
        self.batch = min(batch, len(self._images))
        self._seed, self._drawn = seed, dict[int, tuple[np.ndarray, np.ndarray]]()

    def __len__(self) -> int:
        """The number of images in a pass."""
        return len(self._images)

    def at(self, step: int) -> np.ndarray:
        """The images of a step and their partners, int64 [2, batch]."""
        n, start = len(self._images), step * self.batch
        first, last = start // n, (start + self.batch - 1) // n
        self._drawn = {p: self._drawn.get(p) or self._draw(p) for p in range(first, last + 1)}
        here = slice(start - first * n, start - first * n + self.batch)
        passes = self._drawn.values()
        return np.stack([np.concatenate(side)[here] for side in zip(*passes, strict=True)])

    def _draw(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """All images in the order of this pass, each with a random one of its neighbours."""
        generator = np.random.default_rng([self._seed, number])
        image = generator.permutation(self._images)
        which = (generator.random(len(image)) * self._choice[image]).astype(np.int64)
        return image, self._neighbor[image, which].astype(np.int64)


def require_table(neighbor: np.ndarray) -> None:
    """Raise ClusterError unless int [image, neighbor] are rows of the same images, none its own."""
    n = len(neighbor)
    if neighbor.min(initial=0) < 0 or neighbor.max(initial=-1) >= n or not neighbor.size:
        raise ClusterError(f"the table of neighbours does not fit {n} images: compute it again")
    own = np.flatnonzero((neighbor == np.arange(n)[:, None]).any(axis=1))
    if len(own):
        raise ClusterError(
            f"{len(own)} images are their own neighbour, the first is {own[0]}: compute the table "
            "of neighbours again"
        )
