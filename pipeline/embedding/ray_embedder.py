"""Embed over a Ray cluster: each shard is a task, filled where it lies by whoever takes it.

The driver holds the store, copies what is known, and checks and publishes the shards.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from tqdm import tqdm

import backbones
import store
from pipeline.embedding.embedder import Embedder
from pipeline.embedding.pictures import Alter
from pipeline.params import Runtime
from pipeline.ray.actors import divide, each
from pipeline.ray.connect import connect
from pipeline.ray.place import enter


class Filled(NamedTuple):
    """What one shard took: why images could not be read, by row of the index, and the seconds."""

    reasons: dict[int, str]
    spent: dict[str, float]


@final
class RayEmbedder:
    """To `stages.embed` what `Embedder` is. `spent` is summed over the actors, but for `wall`."""

    def __init__(
        self,
        row: backbones.Backbone,
        dataset: str,
        names: store.Text,
        runtime: Runtime,
        load: Callable[[str], backbones.Encoder],
    ) -> None:
        """The cluster is joined when the first store lacks something."""
        self.row, self._names, self._runtime = row, names, runtime
        self._held = (Path.cwd(), row, dataset, load)
        self.embedded = 0
        self.spent = {"decode": 0.0, "forward": 0.0, "write": 0.0, "wall": 0.0}

    def fill(
        self, writer: store.FeatureWriter, what: str, alter: Alter | None = None
    ) -> dict[int, str]:
        """As `Embedder.fill`; the writer's shards are filled by the actors. Raises StageError where
        no cluster can be had, too."""
        if not len(writer.todo):
            return {}
        connect(self._runtime)
        share = divide(self._runtime)
        held = (*self._held, share.runtime)
        began, reasons = time.perf_counter(), dict[int, str]()
        bar = tqdm(total=len(writer.plan.id), initial=writer.reused, desc=what, disable=None)

        def look() -> None:
            bar.n = max(writer.reused, writer.committed())
            bar.refresh()

        with bar, writer.lent() as lent:
            rows = (writer.plan.row[shard.first + shard.todo] for shard in lent)
            tasks = ((s, at, self._names[at], alter) for s, at in zip(lent, rows, strict=True))
            for filled in each(share, Shards, held, tasks, len(lent), look):
                for row, reason in filled.reasons.items():
                    bar.write(f"embed: cannot read {self._names[row]}: {reason}")
                reasons |= filled.reasons
                for part in filled.spent.keys() - {"wall"}:
                    self.spent[part] += filled.spent[part]
        self.embedded += len(writer.todo)
        self.spent["wall"] += time.perf_counter() - began
        return reasons


@final
class Shards:
    """An actor with the backbone on its GPU or its cores."""

    def __init__(
        self,
        folder: Path,
        row: backbones.Backbone,
        dataset: str,
        load: Callable[[str], backbones.Encoder],
        runtime: Runtime,
    ) -> None:
        self._folder, self._names = folder, dict[int, str]()
        self._embedder = Embedder(row, dataset, self._names, runtime, load)

    def run(
        self, lent: store.Lent, rows: np.ndarray, names: np.ndarray, alter: Alter | None
    ) -> Filled:
        """Fill one shard, or go on where another actor was lost. rows: those of the index that it
        lacks; names: theirs."""
        enter(self._folder)
        self._names.clear()
        self._names.update(zip(rows.tolist(), names, strict=True))
        before = dict(self._embedder.spent)
        with store.ShardWriter(lent) as writer:
            reasons = self._embedder.fill(writer, lent.path.name, alter)
        spent = {part: total - before[part] for part, total in self._embedder.spent.items()}
        return Filled(reasons, spent)
