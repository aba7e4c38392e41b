"""The other backbones of the experiment, shown each picture that is decoded for one of them.

What they make of it waits in their stores as if their own stage had been killed: in shards that are
not whole, with which that stage goes on. Nothing that is finished, or a link into DVC's cache, is
written to, and a kill or a change of mind costs what was shared and no more. A backbone that fails
is left to its own stage, which says why and stops.
"""

from collections.abc import Callable
from pathlib import Path
from typing import final

import numpy as np
from PIL.Image import Image

import backbones
import store
from backbones.stream import Reader
from pipeline.embedding.rounding import Rounding
from pipeline.io.cell import Cell
from pipeline.io.origin import Used, read_used, to_float32
from pipeline.params import StageError, read_params
from store.writer import BLOCK

Say = Callable[[str], object]


@final
class Other:
    """One of them. `reader`: what looks at the pictures; `stored`: how many of them it has."""

    def __init__(
        self,
        row: backbones.Backbone,
        reader: Reader,
        folder: Path,
        plan: store.Plan,
        wanted: np.ndarray,
        say: Say,
    ) -> None:
        self._error: Exception | None = None
        self._encoder = reader.encoder
        self.reader, self.stored = reader._replace(encoder=self._encode), 0
        self._row, self._folder, self._plan, self._wanted, self._say = (
            row,
            folder,
            plan,
            wanted,
            say,
        )
        self._writer: store.FeatureWriter | None = None
        self._coming = int(wanted.sum())

    def seen(self, at: int, picture: Image) -> np.ndarray | None:
        """The picture at row `at` of the plan as this backbone wants it, None where it does not."""
        return backbones.preprocess(self._row, picture) if self._wanted[at] else None

    def _encode(self, images: np.ndarray) -> np.ndarray:
        try:
            return self._encoder(images)
        except Exception as error:  # its own stage will meet it and say so
            self._error = error
            return np.zeros((len(images), self._row.dim), np.float32)

    def put(self, rows: np.ndarray, vectors: np.ndarray, readable: np.ndarray) -> None:
        """Store the `vectors` (float32 [image, dim]) of those `rows` that were wanted."""
        if self._error and self._wanted.any():
            self._say(_left(self._plan.backbone, self._error))
            self.close()
            return
        here = self._wanted[rows]
        try:
            # Not for pictures that nobody can read: a finished store may lack them for ever.
            if not self._writer and (here & readable).any():
                self._writer = store.FeatureWriter(self._folder, self._plan)
                way_out = to_float32(self._row)
                self._rounding = Rounding(self._writer, self._coming, way_out)
            if self._writer:
                self._rounding.add(vectors[here], readable[here])
                self._writer.put(rows[here], vectors[here], readable[here])
                self.stored += int((here & readable).sum())
        except (store.StoreError, OSError) as error:
            self._say(_left(self._plan.backbone, error))
            self.close()
        self._coming -= int(here.sum())

    def close(self) -> None:
        """Want nothing more, and make what was put durable."""
        self._wanted = np.zeros_like(self._wanted)
        writer, self._writer = self._writer, None
        if writer:
            try:
                writer.close()
            except (store.StoreError, OSError) as error:
                self._say(_left(self._plan.backbone, error))
                return
            self._say(f"embed: {self.stored} pictures were shown to {self._plan.backbone} too")


def others(
    own: backbones.Backbone, writer: store.FeatureWriter, number: int, device: str, say: Say
) -> list[Other]:
    """Up to `number` backbones of params.yaml, in its order, whose stores lack what that of
    backbone `own`, which is `writer`'s, lacks."""
    found = list[Other]()
    shared = writer.folder.name == "features"  # and not an augmented view
    left_out = read_params("embed.skip").get(writer.plan.dataset, [])
    every = [*read_params("backbones"), *(read_params("").get("resized") or ())]
    for name in every if shared else []:
        if len(found) < number and name != writer.plan.backbone and name not in left_out:
            try:
                used = read_used(name)
                row = backbones.row(used.row)
                # TensorFlow and torch are never both loaded
                alike = (row.loader == "tfhub") == (own.loader == "tfhub")
                other = _other(name, used, row, writer, device, say) if alike else None
            except (backbones.BackboneError, store.StoreError, StageError, OSError) as error:
                say(_left(name, error))
            else:
                found += [other] if other else []
    return found


def _other(
    name: str,
    used: Used,
    row: backbones.Backbone,
    writer: store.FeatureWriter,
    device: str,
    say: Say,
) -> Other | None:
    folder = Cell(writer.plan.dataset, name).features
    plan = writer.plan._replace(backbone=name, encoder=row.digest, dim=row.dim, dtype=used.dtype)
    given = np.zeros(len(plan.id), bool)
    given[writer.todo] = True
    wanted = _in_whole_blocks(given, _lacking(folder, plan))
    if not wanted.any():
        return None
    reader = Reader(backbones.load(used.row, device), row.dim, device != "cpu")
    return Other(row, reader, folder, plan, wanted, say)


def _lacking(folder: Path, plan: store.Plan) -> np.ndarray:
    """bool [image]: the rows of the plan without a vector."""
    try:
        found = store.Features(folder)
        if (found.encoder, found.dtype) == (plan.encoder, plan.dtype):
            return ~np.isin(_key(plan.id), _key(found.id))
    except (store.StoreError, OSError):
        pass  # there is none, or it is damaged
    lacks = np.zeros(len(plan.id), bool)
    with store.FeatureWriter(folder, plan) as writer:
        lacks[writer.todo] = True
    return lacks


def _in_whole_blocks(given: np.ndarray, lacks: np.ndarray) -> np.ndarray:
    """bool [image]: rows that are given and lacking. A block that would not become whole is left
    out, since only whole ones are kept."""
    block = np.arange(len(lacks)) // BLOCK
    missed = np.bincount(block, lacks & ~given) > 0
    return given & lacks & ~missed[block]


def _key(id: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(id).view("S16").ravel()  # as store.known has it


def _left(name: str, error: Exception) -> str:
    return f"embed: {name} does not share the pictures, its own stage will have to run: {error}"
