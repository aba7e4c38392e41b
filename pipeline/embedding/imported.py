"""Vectors from elsewhere, in place of a backbone that embeds: matched to images, then stored."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

import store
from pipeline.embedding.index import Index
from pipeline.io.origin import OF_A_FILE, Source
from pipeline.params import StageError
from store.foreign import Matrix, open_matrix, read_column, source_path


class Copier:
    """Fills a feature store from a file. `embedded`: vectors so far; `spent`: the seconds on them.

    By the names of the images where the file has ids; else its rows are those of the index. The
    file is opened for vectors that are not stored yet: another machine may not have it.
    """

    def __init__(self, source: Source, index: Index, features: Path) -> None:
        """features: where the store is, or will be. Raises StoreError when it is not there and the
        file cannot be read."""
        self._source, self._names = source, index.name
        self.encoder, self.embedded = _encoder(source, index), 0
        self.dim = _stored_dim(features, self.encoder) or open_matrix(source.features).dim
        self.spent = {"read": 0.0, "write": 0.0, "wall": 0.0}

    def fill(self, writer: store.FeatureWriter, what: str) -> dict[int, str]:
        """Bring the writer all that it lacks. Returns why images have no vector, by their row.

        Raises StageError when a file without ids has another number of vectors than there are
        images, StoreError when it cannot be read."""
        began, plan = time.perf_counter(), writer.plan
        place = np.full(len(self._names), -1)
        place[plan.row[writer.todo]] = writer.todo
        reasons, lacks = dict[int, str](), f"there is no vector of it in {self._source.features}"
        with tqdm(total=len(plan.id), initial=writer.reused, desc=what, disable=None) as bar:
            for rows, block in self._blocks() if self._is_needed(writer) else ():
                wanted = np.flatnonzero((rows >= 0) & (place[rows] >= 0))
                at, vectors = place[rows[wanted]], block[wanted]
                finite = np.isfinite(vectors).all(axis=1)
                for row in rows[wanted[~finite]].tolist():
                    reasons[row] = "its vector is NaN, infinite or beyond float16 (65504)"
                start = time.perf_counter()
                writer.put(at, np.where(finite[:, None], vectors, 0), finite)
                self.spent["write"] += time.perf_counter() - start
                place[rows[wanted]] = -1
                self.embedded += len(wanted)
                bar.update(len(wanted))
        left = np.flatnonzero(place >= 0)
        writer.put(
            place[left], np.zeros((len(left), plan.dim), np.float32), np.zeros(len(left), bool)
        )
        reasons |= dict.fromkeys(left.tolist(), lacks)
        self.spent["wall"] = time.perf_counter() - began
        self.spent["read"] = self.spent["wall"] - self.spent["write"]
        return reasons

    def _is_needed(self, writer: store.FeatureWriter) -> bool:
        """Whether the file is to be read. What is stored stays where that is of another machine."""
        here = source_path(self._source.features).is_file()
        return bool(len(writer.todo)) and (here or not writer.reused)

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows of the index, int64 [image], and their vectors, float16 [image, dim]."""
        matrix, start = open_matrix(self._source.features), 0
        row = _rows_of(self._source, matrix, self._names)
        for block in matrix.blocks():
            with np.errstate(over="ignore"):
                yield row[start : start + len(block)], block.astype(np.float16)
            start += len(block)


def _encoder(source: Source, index: Index) -> str:
    """What names these vectors. They are copied anew when the images change, not found again by
    the digests of images: those of equal bytes may have unequal vectors."""
    found = hashlib.blake2b(source.digest.encode(), digest_size=16)
    found.update("\n".join(index.name.tolist()).encode())
    found.update(index.digest.tobytes())
    return found.hexdigest() + OF_A_FILE


def _stored_dim(features: Path, encoder: str) -> int:
    """Of the vectors that are stored already; 0 where there are none, or they are damaged."""
    try:
        found = store.Features(features)
    except store.StoreError:
        return 0
    return found.dim if found.encoder == encoder else 0


def _rows_of(source: Source, matrix: Matrix, names: np.ndarray) -> np.ndarray:
    """The row of the index that each vector is of, -1 where it is of none: int64 [vector]."""
    if not source.ids:
        if matrix.rows != len(names):
            raise StageError(
                f"{source.features}: {matrix.rows} vectors for {len(names)} images: give ids, the "
                "names of their images, or one vector for each image in the order of the index"
            )
        return np.arange(matrix.rows)
    ids = read_column(source.ids).astype(str)
    if len(ids) != matrix.rows:
        raise StageError(
            f"{source.ids}: {len(ids)} ids for {matrix.rows} vectors of {source.features}"
        )
    at = {name: row for row, name in enumerate(names.tolist())}
    found = np.array([at.get(name, -1) for name in ids.tolist()])
    if (found < 0).all():
        raise StageError(
            f"{source.ids}: none of its ids is the name of an image, such as {names[0]!r}; the "
            f"first id is {str(ids[0])!r}"
        )
    own = found[found >= 0]
    if len(np.unique(own)) < len(own):
        row = int(np.bincount(own).argmax())
        raise StageError(f"{source.ids}: '{names[row]}' is there more than once: leave one vector")
    return found
