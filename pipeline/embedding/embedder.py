"""One backbone over the images of one dataset: from their bytes to what a feature store lacks."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property

import numpy as np
from tqdm import tqdm

import backbones
import images
import store
from backbones.stream import Batch, Reader, stream
from pipeline.embedding.others import Other, others
from pipeline.embedding.pictures import Alter, Dataset, Names, Pictures
from pipeline.embedding.rounding import Rounding, storable, why_not
from pipeline.io.origin import to_float32
from pipeline.params import Runtime, StageError, count_cores, torch_device


class Embedder:
    """Images and backbone are opened once, when the first store lacks something.

    `embedded`: pictures so far; `spent`: the seconds on them, by part (the parts overlap).
    """

    def __init__(
        self,
        row: backbones.Backbone,
        dataset: Dataset,
        names: Names,
        runtime: Runtime,
        load: Callable[[str], backbones.Encoder],
        beside: int = 0,
        way_out: str = "",
    ) -> None:
        """load: makes the encoder of `row` for a device; beside: how many other backbones of
        params.yaml are shown the centre view too, which has to be decoded for this one; way_out:
        what the user does where float16 is too narrow, if that is not a line of params.yaml."""
        self.row, self._dataset, self._names, self._runtime = row, dataset, names, runtime
        self._load, self._beside, self._way_out = load, beside, way_out or to_float32(row)
        self.embedded = 0
        self.spent = {"decode": 0.0, "forward": 0.0, "write": 0.0, "wall": 0.0}

    def fill(
        self,
        writer: store.FeatureWriter | store.ShardWriter,
        what: str,
        alter: Alter | None = None,
    ) -> dict[int, str]:
        """Bring the writer all that it lacks, with a progress bar called `what`.

        Returns why images could not be read, by their row in the index. Raises StageError when a
        picture is not the one that was indexed, or its features are not finite, StoreError when
        rounding would spoil the features.
        """
        if not len(writer.todo):
            return {}
        began, reasons = time.perf_counter(), dict[int, str]()
        rounding = Rounding(writer, len(writer.todo), self._way_out)
        bar = tqdm(total=len(writer.plan.id), initial=writer.reused, desc=what, disable=None)
        with bar, ExitStack() as shared:
            beside = self._others(writer, bar.write) if alter is None else []
            for other in beside:
                shared.callback(other.close)
            for batch in self._batches(writer, alter, beside):
                start = time.perf_counter()
                index = writer.plan.row[batch.rows]
                readable = ~np.isin(batch.rows, list(batch.failures))
                self._require_storable(batch, readable, index, writer.plan.dtype)
                rounding.add(batch.vectors[0], readable)
                writer.put(batch.rows, batch.vectors[0], readable)
                for other, vectors in zip(beside, batch.vectors[1:], strict=True):
                    other.put(batch.rows, vectors, readable)
                for at, error in batch.failures.items():
                    row = int(writer.plan.row[at])
                    reasons[row] = str(error)
                    bar.write(f"embed: cannot read {self._names[row]}: {error}")
                self.embedded += len(batch.rows)
                self.spent["decode"] += batch.decode_seconds
                self.spent["forward"] += batch.forward_seconds
                self.spent["write"] += time.perf_counter() - start
                bar.update(len(batch.rows))
            if dark := self._pictures.dark.said(writer.plan.dataset):
                bar.write(f"embed: {dark}", file=sys.stderr)
        self.spent["wall"] += time.perf_counter() - began
        return reasons

    def _others(
        self, writer: store.FeatureWriter | store.ShardWriter, say: Callable[[str], object]
    ) -> list[Other]:
        if not self._beside or isinstance(writer, store.ShardWriter):
            return []
        return others(self.row, writer, self._beside, self._device, say)

    def _batches(
        self,
        writer: store.FeatureWriter | store.ShardWriter,
        alter: Alter | None,
        beside: Sequence[Other],
    ) -> Iterator[Batch]:
        plan = writer.plan
        pictures = self._pictures  # here, since threads might each open a packed set of their own

        def picture(at: int) -> list[np.ndarray | None]:
            with pictures.decoded(int(plan.row[at]), plan.id[at], alter) as seen:
                own = backbones.preprocess(self.row, seen)
                return [own, *(other.seen(at, seen) for other in beside)]

        cores = count_cores()
        return stream(
            [
                Reader(self._encoder, self.row.dim, self._device != "cpu"),
                *(other.reader for other in beside),
            ],
            picture,
            writer.todo,
            batch_size=self._batch_size,
            workers=self._runtime.workers or cores,
            # On a CPU each takes its images to as many threads as there are cores: one more forward
            # pass than keeps them busy, so that none waits while others end a batch.
            forwards=2 if self._device != "cpu" else 1 + -(-cores // self._batch_size),
            failure=images.ImagesError,
        )

    def _require_storable(
        self, batch: Batch, readable: np.ndarray, index: np.ndarray, dtype: str
    ) -> None:
        bad = np.flatnonzero(~storable(batch.vectors[0], dtype) & readable)
        if len(bad):
            why = why_not(batch.vectors[0][bad[0]], dtype)
            look = "look at the image and at the backbone's row in backbones/zoo.yaml"
            raise StageError(
                f"{self._names[index[bad[0]]]}: {self.row.name} makes features of it that are "
                f"{why}: {self._way_out if why.startswith('beyond') else look}"
            )

    @cached_property
    def _device(self) -> str:
        return "cpu" if self.row.loader == "tfhub" else torch_device(self._runtime.device)

    @cached_property
    def _batch_size(self) -> int:
        """More would not make a CPU faster, which takes each image alone, but a GPU."""
        return self._runtime.batch_size or (32 if self._device == "cpu" else 256)

    @cached_property
    def _encoder(self) -> backbones.Encoder:
        return self._load(self._device)

    @cached_property
    def _pictures(self) -> Pictures:
        return Pictures(self.row, self._dataset, self._names, self._runtime.memory_gb)
