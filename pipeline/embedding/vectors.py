"""A dataset without pictures, whose vectors were computed elsewhere: `from: vectors`.

    datasets:
      reviews: {from: vectors, ids: reviews.parquet:id, labels: reviews.parquet:stars}

ids, labels and splits are each a FILE (npy, npz, parquet, h5, pt) or FILE:KEY with one entry for
each of its rows; `rows` says how many there are where no file does. Its vectors are those of
backbones under `imported:`.
"""

from hashlib import blake2b
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

import images
from pipeline.params import Section, StageError, section
from store.foreign import read_column, source_path


class Vectors(Section):
    """What may be said of such a dataset."""

    kind: Annotated[Literal["vectors"], Field(alias="from")]
    ids: str | None = None  # names; row numbers if there are none
    labels: str | None = None
    splits: str | None = None  # text such as train and test; all rows are train if there are none
    rows: Annotated[int, Field(ge=1, lt=2**31)] | None = None  # neighbours are int32
    train: list[str] | None = None  # splits that are merged as train
    part: float | None = None  # of each split, for trying things out
    classes: int | None = None  # that are expected


def is_vectors(spec: Any) -> bool:
    """Whether a description under `datasets:` is of vectors, not of pictures."""
    return isinstance(spec, dict) and spec.get("from") == "vectors"


def files_of(spec: dict[str, Any]) -> list[str]:
    """The files that it names, there or not."""
    sources = (spec.get(what) for what in ("ids", "labels", "splits"))
    return [str(source_path(source)) for source in sources if isinstance(source, str)]


def list_vectors(dataset: str) -> tuple[images.Listing, np.ndarray]:
    """The rows of a dataset as a listing of images, and the digest of each, uint8 [image, 16].

    A digest is of the id, so that the same id in two datasets is the same entry; without ids, of
    the dataset and the row.
    """
    where = f"datasets.{dataset}"
    spec = section(Vectors, where)
    ids, labels, splits = (
        read_column(s) if s else None for s in (spec.ids, spec.labels, spec.splits)
    )
    rows = _rows(spec, where, ids=ids, labels=labels, splits=splits)
    if ids is None:
        names, facts = [f"{i:08d}" for i in range(rows)], [f"{dataset}/{i}" for i in range(rows)]
    else:
        names = facts = ids.astype(str).tolist()
        if len(set(names)) < rows:
            twice = next(n for n in names if names.count(n) > 1)
            raise StageError(f"{spec.ids}: '{twice}' is there more than once: ids must be unique")
    label, classes = _numbered(labels, rows)
    of_all = ["train"] * rows if splits is None else splits.astype(str).tolist()
    listing = images.Listing(names, of_all, label, classes, len(classes))
    chosen = {
        k: v
        for k, v in (("train", spec.train), ("part", spec.part), ("classes", spec.classes))
        if v
    }
    listing = images.choose(listing, chosen)
    number = dict(zip(names, facts, strict=True))
    digests = [blake2b(number[name].encode(), digest_size=16).digest() for name in listing.names]
    return listing, np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)


def _rows(spec: Vectors, where: str, **columns: np.ndarray | None) -> int:
    """How many rows there are, by all that says so."""
    said = {name: len(column) for name, column in columns.items() if column is not None}
    if spec.rows:
        said["rows"] = spec.rows
    if not said:
        raise StageError(f"{where}: nothing says how many rows there are: give ids, labels or rows")
    if len(set(said.values())) > 1:
        each = ", ".join(f"{name} {n}" for name, n in said.items())
        raise StageError(f"{where}: {each}: one entry each is needed")
    return next(iter(said.values()))


def _numbered(labels: np.ndarray | None, rows: int) -> tuple[np.ndarray, list[str]]:
    """int32 [image] labels, and the class names; numbers keep their value, text is sorted."""
    if labels is None:
        return np.full(rows, -1, np.int32), []
    if labels.dtype.kind in "iu":
        return labels.astype(np.int32), [str(c) for c in range(int(labels.max()) + 1)]
    if labels.dtype.kind != "U":
        raise StageError(f"labels are {labels.dtype}, expected whole numbers or text")
    classes = sorted(set(labels.tolist()) - {""})
    code = {name: i for i, name in enumerate(classes)}
    return np.array([code.get(name, -1) for name in labels.tolist()], np.int32), classes
