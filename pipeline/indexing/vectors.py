"""A dataset without pictures, whose vectors were computed elsewhere: `from: vectors`.

    datasets:
      reviews: {from: vectors, ids: reviews.parquet:id, labels: reviews.parquet:stars}

ids, labels and splits are each a FILE (npy, npz, parquet, h5, pt) or FILE:KEY with one entry for
each of its rows; `rows` says how many there are where no file does. Labels may also be one-hot
rows. Its vectors are those of backbones under `imported:`.
"""

from collections.abc import Sized
from hashlib import blake2b
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

import images
from cluster.scratch import scratch_array
from pipeline.io.labelled import Unlabelled
from pipeline.params import Section, StageError, section
from store import StoreError
from store.foreign import Matrix, open_matrix, read_column, read_texts, source_path


class Vectors(Section):
    """What may be said of such a dataset."""

    kind: Annotated[Literal["vectors"], Field(alias="from")]
    ids: str | None = None  # names; row numbers if there are none
    labels: str | None = None
    splits: str | None = None  # text such as train and test; all rows are train if there are none
    rows: Annotated[int, Field(ge=1, lt=2**31)] | None = None  # neighbours are int32
    train: list[str | int | float | bool] | None = None  # splits that are merged as train
    part: float | None = None  # of each split, for trying things out
    classes: int | None = None  # that are expected
    unlabelled: Unlabelled = images.NEGATIVE  # labels that mean none


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
    names = images.Names(read_texts(spec.ids)) if spec.ids else None
    split, of_all = images.coded(read_texts(spec.splits)) if spec.splits else (None, ["train"])
    labels = _read_labels(spec.labels) if spec.labels else None
    rows = _rows(spec, where, ids=names, labels=labels, splits=split)
    if names is None:
        names = images.Names(f"{i:08d}" for i in range(rows))
    else:
        _require_names(names, f"{spec.ids}")
    if labels is None and spec.unlabelled != images.NEGATIVE:
        raise StageError(f"{where}: unlabelled names labels, and there are none: give labels")
    label, classes, notes = (
        (np.full(rows, -1, np.int32), [], [])
        if labels is None
        else images.number_classes(labels, f"labels of {spec.labels}", spec.unlabelled)
    )
    more = list[str]()
    if split is None:
        split = np.zeros(rows, np.int32)
    else:
        split, of_all, more = images.same_splits(split, of_all, f"splits of {spec.splits}")
        if "" in of_all:
            none = np.count_nonzero(split == of_all.index(""))
            raise StageError(
                f"{spec.splits}: {none} of {rows} rows are in no split: write one, such as train"
            )
    listing = images.Listing(names, split, of_all, label, classes, len(classes), (*more, *notes))
    chosen = {
        k: v
        for k, v in (("train", spec.train), ("part", spec.part), ("classes", spec.classes))
        if v
    }
    listing = images.choose(listing, chosen)
    facts = (name if spec.ids else f"{dataset}/{int(name)}" for name in listing.names)
    digests = scratch_array(len(listing.names), "V16")
    for at, fact in enumerate(facts):
        digests[at] = blake2b(fact.encode(), digest_size=16).digest()
    return listing, digests.view(np.uint8).reshape(-1, 16)


def _rows(spec: Vectors, where: str, **columns: Sized | None) -> int:
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


def _require_names(names: images.Names, source: str) -> None:
    """Each image has one, of its own. Equal ones are looked for among those of equal hash."""
    if empty := sum(not name for name in names):
        raise StageError(f"{source}: {empty} of {len(names)} ids are empty: write one for each")
    hashes = np.fromiter(map(hash, names), np.int64, len(names))
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    for at in same[np.argsort(order[same + 1])].tolist():  # the first in the file is named
        one, other = (names[i] for i in order[at : at + 2].tolist())
        if one == other:
            raise StageError(f"{source}: '{one}' is there more than once: ids must be unique")


def _read_labels(source: str) -> np.ndarray:
    """One value an image ([image]), of one-hot rows the place of the one."""
    try:
        return read_column(source)
    except StoreError as error:
        try:
            matrix = open_matrix(source)
        except StoreError:
            raise error from None
    if 1 in (matrix.rows, matrix.dim):
        return np.concatenate([block.ravel() for block in matrix.blocks()])
    return _one_hot(matrix, source)


def _one_hot(matrix: Matrix, source: str) -> np.ndarray:
    """float64 [image]: which column is 1, NaN where none is."""
    place, start = np.full(matrix.rows, np.nan), 0
    for block in matrix.blocks():
        ones = (block != 0).sum(axis=1)
        wrong = np.flatnonzero(((block != 0) & (block != 1)).any(axis=1) | (ones > 1))
        if len(wrong):
            shown = ", ".join(f"{value:.6g}" for value in block[wrong[0]][:6].tolist())
            raise StageError(
                f"{source}: row {start + wrong[0]} of {matrix.rows} x {matrix.dim} numbers is "
                f"{shown}{', …' * (matrix.dim > 6)}: expected one label an image, or a single 1 "
                "among zeros; of probabilities write the argmax"
            )
        place[start : start + len(block)] = np.where(ones, block.argmax(axis=1), np.nan)
        start += len(block)
    return place
