"""Vectors from elsewhere, in place of a backbone that embeds: matched to images, then stored."""

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

import images
import store
from pipeline.embedding.rounding import Rounding, storable, why_not
from pipeline.indexing.index import Index
from pipeline.io.labelled import finder, root_of
from pipeline.io.origin import OF_A_FILE, Imported, Source, to_float32
from pipeline.params import StageError
from store.foreign import Matrix, open_matrix, read_texts, source_path

TILE = 4096  # vectors that are copied at a time


class Copier:
    """Fills a feature store from a file. `embedded`: vectors so far; `spent`: the seconds on them.

    By the names of the images where the file has ids; else its rows are those of the index. The
    file is opened for vectors that are not stored yet: another machine may not have it.
    """

    def __init__(self, origin: Imported, index: Index, features: Path) -> None:
        """features: where the store is, or will be. Raises StoreError when it is not there and the
        file cannot be read."""
        source = origin.sources[index.dataset]
        self._source, self._names, self._way_out = source, index.name, to_float32(origin)
        self.encoder, self.embedded = _encoder(source, index), 0
        self.dim = _stored_dim(features, self.encoder) or open_matrix(source.features).dim
        self.spent = {"read": 0.0, "write": 0.0, "wall": 0.0}

    def fill(self, writer: store.FeatureWriter, what: str) -> dict[int, str]:
        """Bring the writer all that it lacks. Returns why images have no vector, by their row.

        Raises StageError when a file without ids has another number of vectors than there are
        images, StoreError when it cannot be read, or when rounding would spoil the vectors."""
        began, plan = time.perf_counter(), writer.plan
        place = np.full(len(self._names), -1)
        place[plan.row[writer.todo]] = writer.todo
        reasons = dict[int, str]()
        with tqdm(total=len(plan.id), initial=writer.reused, desc=what, disable=None) as bar:
            if self._is_needed(writer):
                self._copy(writer, place, reasons, bar)
        left = np.flatnonzero(place >= 0)
        writer.put(
            place[left], np.zeros((len(left), plan.dim), np.float32), np.zeros(len(left), bool)
        )
        lacks = f"there is no vector of it in {self._source.features}"
        reasons |= dict.fromkeys(left.tolist(), lacks)
        self.spent["wall"] = time.perf_counter() - began
        self.spent["read"] = self.spent["wall"] - self.spent["write"]
        return reasons

    def _copy(
        self, writer: store.FeatureWriter, place: np.ndarray, reasons: dict[int, str], bar: tqdm
    ) -> None:
        """Put the vectors of the images that have a `place` in the plan (int64 [image], else -1),
        which they then have no more; add the reasons why some of them cannot be stored."""
        matrix, start = open_matrix(self._source.features), 0
        root = root_of(writer.plan.dataset)
        row, dtype = _rows_of(self._source, matrix, self._names, root), writer.plan.dtype
        expected = int(((row >= 0) & (place[row] >= 0)).sum())
        rounding = Rounding(writer, expected, self._way_out)
        for block in _tiles(matrix):
            rows, start = row[start : start + len(block)], start + len(block)
            wanted = (rows >= 0) & (place[rows] >= 0)
            rows, vectors = rows[wanted], block[wanted]
            fit = storable(vectors, dtype)
            for bad in np.flatnonzero(~fit).tolist():
                why = why_not(vectors[bad], dtype)
                out = f": {self._way_out}" if why.startswith("beyond") else ""
                reasons[int(rows[bad])] = f"its vector is {why}{out}"
            began = time.perf_counter()
            rounding.add(vectors, fit)
            writer.put(place[rows], vectors, fit)
            self.spent["write"] += time.perf_counter() - began
            place[rows] = -1
            self.embedded += len(rows)
            bar.update(len(rows))

    def _is_needed(self, writer: store.FeatureWriter) -> bool:
        """Whether the file is to be read. What is stored stays where that is of another machine."""
        here = source_path(self._source.features).is_file()
        return bool(len(writer.todo)) and (here or not writer.reused)


def _tiles(matrix: Matrix) -> Iterator[np.ndarray]:
    """Its vectors [image, dim], a few thousand at a time."""
    for block in matrix.blocks():
        for low in range(0, len(block), TILE):
            yield block[low : low + TILE]


def _encoder(source: Source, index: Index) -> str:
    """What names these vectors. They are copied anew when the images change, not found again by
    the digests of images: those of equal bytes may have unequal vectors."""
    found = hashlib.blake2b(source.digest.encode(), digest_size=16)
    for at, name in enumerate(index.name):
        found.update(f"\n{name}".encode() if at else name.encode())
    found.update(index.digest.tobytes())
    return found.hexdigest() + OF_A_FILE


def _stored_dim(features: Path, encoder: str) -> int:
    """Of the vectors that are stored already; 0 where there are none, or they are damaged."""
    try:
        found = store.Features(features)
    except store.StoreError:
        return 0
    return found.dim if found.encoder == encoder else 0


def _rows_of(source: Source, matrix: Matrix, names: store.Text, root: str) -> np.ndarray:
    """The row of the index that each vector is of, -1 where it is of none: int64 [vector]."""
    if not source.ids:
        if matrix.rows != len(names):
            turned = " (or are these its columns? then transpose it)"
            raise StageError(
                f"{source.features}: {matrix.rows} vectors for {len(names)} images"
                f"{turned if matrix.dim == len(names) else ''}: give ids, the names of their "
                "images, or one vector for each image in the order of the index"
            )
        return np.arange(matrix.rows)
    ids = images.Names(read_texts(source.ids))
    if len(ids) != matrix.rows:
        raise StageError(
            f"{source.ids}: {len(ids)} ids for {matrix.rows} vectors of {source.features}"
        )
    if len(ids) == len(names) and all(map(str.__eq__, ids, names)):
        return np.arange(len(ids))
    find = finder(list(names), root)
    found = np.array([-1 if row is None else row for row in map(find, ids)])
    if (found < 0).all():
        raise StageError(
            f"{source.ids}: none of its ids is the name of an image, such as {names[0]!r}; the "
            f"first id is {ids[0]!r}"
        )
    own = found[found >= 0]
    known = (name for name, row in zip(ids, found.tolist(), strict=True) if row >= 0)
    if otherwise := sum(map(str.__ne__, names.of(own), known)):
        print(
            f"embed: {otherwise} ids of {source.ids} are spelled otherwise than the images (\\ for "
            "/, ./, the root, blanks or Unicode's forms), and were found",
            file=sys.stderr,
        )
    if len(np.unique(own)) < len(own):
        times = np.bincount(own)
        first, second = np.flatnonzero(found == times.argmax())[:2]
        raise StageError(
            f"{source.ids}: {(times > 1).sum()} ids are there more than once, such as "
            f"'{names[times.argmax()]}' at {first} and {second}: leave one vector of each image, "
            "by numpy.unique(ids, return_index=True)"
        )
    return found
