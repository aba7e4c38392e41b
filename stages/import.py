"""Bring features that were computed elsewhere into a feature store of their own."""

import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
from tqdm import tqdm

import store
from pipeline.embedding.views import no_views
from pipeline.io.whole import whole_text
from pipeline.params import Section, StageError, section
from stages import run
from store.foreign import Matrix, open_matrix, read_column, source_path

BACKBONE = "imported"


class Params(Section):
    """Each a FILE (npy, npz, parquet, h5, pt) or FILE:KEY; one entry an image in each."""

    features: str
    labels: str | None = None
    ids: str | None = None  # names of the images; row numbers if there are none
    splits: str | None = None  # text such as train and test; all images are train if there are none


def main(name: str, index: Path, labels: Path, features: Path, views: Path) -> None:
    """Import the features that `import: {NAME: {features: FILE, labels: FILE}}` names.

    They become the dataset NAME of the backbone `imported`: INDEX, LABELS and FEATURES are what the
    stages index and embed write for images, and every later stage runs on them. The files are read
    again only when their size or time has changed. The folder VIEWS says that there are none.
    """
    params = section(Params, f"import.{name}")
    seen, found = index.with_suffix(".seen.json"), _look(params)
    no_views(views)
    done = index.exists() and labels.exists() and _whole(features)
    if done and (found is None or (seen.exists() and seen.read_text() == found)):
        print(f"import: {name} is as it was" if found else f"import: {name} stays: no files here")
        return
    matrix = open_matrix(params.features)
    ids, label, split = (
        _column(source, what, matrix.rows)
        for source, what in (
            (params.ids, "ids"),
            (params.labels, "labels"),
            (params.splits, "splits"),
        )
    )
    label, classes = _numbered(label, matrix.rows)
    splits = ["train"] if split is None else sorted(set(split.astype(str)), key=_train_first)
    if "train" not in splits:
        raise StageError(f"{params.splits}: no split 'train' among {', '.join(splits)}")
    of_all = ["train"] * matrix.rows if split is None else split.astype(str).tolist()
    codes = np.array([splits.index(name) for name in of_all], np.uint8)
    digests = _store_vectors(features, matrix, name, splits, codes, params)
    names = (
        ids.astype(str) if ids is not None else np.array([f"{i:08d}" for i in range(len(digests))])
    )
    store.save(
        index,
        "index",
        {"name": names, "digest": digests, "split": codes},
        {"dataset": name, "splits": splits, "n_classes": len(classes)},
    )
    store.save(labels, "labels", {"label": label}, {"dataset": name, "classes": classes})
    with whole_text(seen) as file:
        file.write(found or "")
    print(f"import: {matrix.rows} x {matrix.dim} features, {len(classes)} classes, as {name}")


def _store_vectors(
    folder: Path,
    matrix: Matrix,
    name: str,
    splits: list[str],
    split: np.ndarray,
    params: Params,
) -> np.ndarray:
    """Fill the feature store; returns the digest of each vector, uint8 [image, 16]."""
    digests = np.empty((matrix.rows, 16), np.uint8)
    for start, block in _blocks(matrix, "digest"):
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if len(bad):
            raise StageError(
                f"{params.features}: row {start + bad[0]} is NaN, infinite or beyond float16"
            )
        for i, vector in enumerate(block):
            digests[start + i] = np.frombuffer(blake2b(vector, digest_size=16).digest(), np.uint8)
    row = np.arange(matrix.rows)
    plan = store.Plan(name, BACKBONE, f"{BACKBONE}-1", matrix.dim, splits, digests, row, split)
    with store.FeatureWriter(folder, plan) as writer:
        for start, block in _blocks(matrix, f"import {name}"):
            writer.put(np.arange(start, start + len(block)), block)
        writer.finish()
    return digests


def _whole(features: Path) -> bool:
    try:
        store.Features(features)
    except store.StoreError:
        return False
    return True


def _look(params: Params) -> str | None:
    """The settings with size and time of each file; None where no file is on this machine."""
    sources = [source for source in params.model_dump().values() if source]
    files = [source_path(source) for source in sources]
    if not any(file.exists() for file in files):
        return None
    stats = [(f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.exists()]
    return json.dumps([sources, stats])


def _blocks(matrix: Matrix, what: str) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks as they will be stored, with the row each starts at."""
    start = 0
    with tqdm(total=matrix.rows, desc=what, disable=None, unit="img") as bar:
        for block in matrix.blocks():
            with np.errstate(over="ignore"):
                yield start, np.ascontiguousarray(block.astype(np.float16))
            start += len(block)
            bar.update(len(block))


def _column(source: str | None, what: str, rows: int) -> np.ndarray | None:
    if source is None:
        return None
    column = read_column(source)
    if len(column) != rows:
        raise StageError(f"{source}: {len(column)} {what} for {rows} features; one each is needed")
    return column


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


def _train_first(name: str) -> tuple[bool, str]:
    return name != "train", name


if __name__ == "__main__":
    run(main)
