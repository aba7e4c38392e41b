"""Lloyd's k-means over a Ray cluster: actors hold the parts of the rows, this process adds up.

Sums are added in the order of the parts, so clusters are those of one machine, bit for bit. A lost
actor makes its parts anew, and learns where the images were from the centroids of the last pass.
But: where Ray finds no room to start it again, the parts are divided anew over what is left.
"""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np

from cluster.kmeans.assign import Nearest
from cluster.kmeans.centering import Centering, fit_centering
from cluster.kmeans.chunk import CHUNK_ROWS
from cluster.vectors.rows import Rows
from pipeline.fitting.kmeans_on_ray.holder import Holder, Turn
from pipeline.params import Runtime
from pipeline.ray.actors import LOOK, answer, divide, start
from pipeline.ray.connect import connect
from pipeline.ray.lost import watch

Result = TypeVar("Result")

AHEAD = 2  # tasks that wait at each actor


@final
class RayKMeans:
    """Actors that share the parts of one space: part i lies at actor i modulo their number."""

    def __init__(
        self,
        features: Path,
        pca: Path,
        dims: int,
        which: np.ndarray,
        rows: Rows,
        cosine: bool,
        runtime: Runtime,
    ) -> None:
        """rows: the images `which` (int64 [image]) of FEATURES through PCA with `dims`. Raises
        StageError where no cluster can be had."""
        connect(runtime)
        import ray

        self.centering: Centering = fit_centering(rows, cosine)
        self._n, self._jobs, self._runtime = len(rows), 0, runtime
        self._held = (Path.cwd(), features, pca, dims, self.centering)
        self.which = ray.put(which)  # one copy a machine
        self._look_for_lost = watch()
        self._gather()

    def engine(self, runs: int, _label: np.ndarray | None) -> "RayParts":
        """A `cluster.kmeans.engine.EngineFactory`, for runs without labels."""
        self._jobs += 1
        return RayParts(self, self._n, Turn(self._jobs, 0, runs))

    def assign(self, centroids: np.ndarray, images: np.ndarray) -> Nearest:
        """The nearest of `centroids` (float32 [seed, cluster, dim]) for `images` (int64 [image]) of
        the store."""
        import ray

        n = len(images)
        found = self.each(-(-n // CHUNK_ROWS), "assign", ray.put(centroids), ray.put(images))
        out = Nearest(*(np.empty((len(centroids), n), kind) for kind in (np.int32, np.float32)))
        for number, part in enumerate(found):
            here = slice(number * CHUNK_ROWS, (number + 1) * CHUNK_ROWS)
            out.assignment[:, here], out.distance[:, here] = part
        return out

    def each(self, count: int, method: str, *call: Any) -> Iterator[Any]:
        """What the actors' `method` gives for the numbers up to `count`, in order."""
        waiting: deque[tuple[int, Any]] = deque()

        def ask(number: int) -> None:
            actor = self._actors[number % len(self._actors)]
            waiting.append((number, getattr(actor, method).remote(number, *call)))

        for number in range(count):
            ask(number)
            while len(waiting) >= (AHEAD * len(self._actors) if number < count - 1 else 1):
                if self._comes(waiting[0][1]):
                    yield answer(waiting.popleft()[1])
                    continue
                again = [lost for lost, _ in waiting]
                waiting.clear()
                for lost in again:
                    ask(lost)

    def _comes(self, reference: Any) -> bool:
        """Wait for an answer. False: none will come, since there are other actors now."""
        import ray

        while not ray.wait([reference], timeout=LOOK)[0]:
            self._look_for_lost()
            if divide(self._runtime).actors < len(self._actors):
                for actor in self._actors:
                    ray.kill(actor)
                self._gather()
                return False
        return True

    def _gather(self) -> None:
        share = divide(self._runtime)
        self._actors = start(share, Holder, (*self._held, share.runtime), share.actors)


@final
class RayParts:
    """`cluster.kmeans.engine.Engine` of one k-means."""

    device = "cpu"

    def __init__(self, crew: RayKMeans, n: int, turn: Turn) -> None:
        self.n, self.centering, self._crew, self._turn = n, crew.centering, crew, turn

    def map(self, work: Callable[..., Result], *arguments: Any) -> Iterator[Result]:
        """work(chunk, *arguments) of every ChunkState, in the order of their rows."""
        import ray

        self._turn = self._turn._replace(number=self._turn.number + 1)
        yield from self._crew.each(
            -(-self.n // CHUNK_ROWS), "work", self._crew.which, self._turn, work, ray.put(arguments)
        )
