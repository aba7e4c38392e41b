"""Vectors from elsewhere, in place of a backbone that embeds: matched to images, then stored."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

import store
from pipeline.io.origin import Source
from pipeline.params import StageError
from store.foreign import Matrix, open_matrix, read_column


class Copier:
    """Fills a feature store from a file. `embedded`: vectors so far; `spent`: the seconds on them.

    By the names of the images where the file has ids; else its rows are those of the index.
    """

    def __init__(self, source: Source, names: np.ndarray) -> None:
        """names: object [image], by row of the index. Raises StageError when a file without ids
        has another number of vectors, StoreError when it cannot be read."""
        self._source, self._matrix = source, open_matrix(source.features)
        self._names, self.dim = names, self._matrix.dim
        self._row = _rows_of(source, self._matrix, names)
        self.embedded = 0
        self.spent = {"read": 0.0, "write": 0.0, "wall": 0.0}

    def fill(self, writer: store.FeatureWriter, what: str) -> dict[int, str]:
        """Bring the writer all that it lacks. Returns why images have no vector, by their row."""
        began, plan = time.perf_counter(), writer.plan
        place = np.full(len(self._names), -1)
        place[plan.row[writer.todo]] = writer.todo
        reasons = {}
        with tqdm(total=len(plan.id), initial=writer.reused, desc=what, disable=None) as bar:
            for rows, block in self._blocks():
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
            place[left], np.zeros((len(left), self.dim), np.float32), np.zeros(len(left), bool)
        )
        reasons |= dict.fromkeys(
            left.tolist(), f"there is no vector of it in {self._source.features}"
        )
        self.spent["wall"] = time.perf_counter() - began
        self.spent["read"] = self.spent["wall"] - self.spent["write"]
        return reasons

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows of the index, int64 [image], and their vectors, float16 [image, dim]."""
        start = 0
        for block in self._matrix.blocks():
            with np.errstate(over="ignore"):
                yield self._row[start : start + len(block)], block.astype(np.float16)
            start += len(block)


def is_stored(features: Path, plan: store.Plan) -> bool:
    """Whether a store holds what the plan says; files of vectors are not read again then."""
    try:
        folder = store.Features(features)
    except store.StoreError:
        return False
    same = (folder.encoder, folder.dim) == (plan.encoder, plan.dim)
    return same and all(
        np.array_equal(one, other)
        for one, other in ((folder.id, plan.id), (folder.row, plan.row), (folder.split, plan.split))
    )


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
            f"first id is {ids[0]!r}"
        )
    own = found[found >= 0]
    if len(np.unique(own)) < len(own):
        row = int(np.bincount(own).argmax())
        raise StageError(f"{source.ids}: '{names[row]}' is there more than once: leave one vector")
    return found
