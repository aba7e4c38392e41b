"""The map of a cell: where each image lies in a few dims (stage map)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

import store
from pipeline.params import StageError


def save_map(
    path: Path, found: store.Features, places: Mapping[int, np.ndarray], **facts: str | int | float
) -> None:
    """Write the places of all images of `found`, float32 [image, axis], by the number of axes."""
    dims = list(places)
    arrays = {f"{setting}/place": places[d] for setting, d in enumerate(dims)}
    arrays |= {"row": found.row, "split": found.split, "dims": np.array(dims, np.int32)}
    of = {"dataset": found.dataset, "backbone": found.backbone}
    store.save(path, "map", arrays, {**of, "splits": list(found.splits), **facts})


class Images(Protocol):
    """Some of a dataset by a backbone; row: int64 [image] of the index; path: the file that says
    so."""

    @property
    def dataset(self) -> str: ...
    @property
    def backbone(self) -> str: ...
    @property
    def row(self) -> np.ndarray: ...
    @property
    def path(self) -> Path: ...


def read_map(path: Path, found: Images, dims: int, asked_by: str) -> tuple[np.ndarray, str]:
    """The places of all images of `found` in `dims` dims, float32 [image, axis], and the metric of
    their neighbours. StageError where the map has none, or is of other images; asked_by: the
    setting."""
    with store.read(path, "map") as file:
        attrs, there = file.attrs, file["dims"].tolist()
        of = (attrs["dataset"], attrs["backbone"])
        if of != (found.dataset, found.backbone) or not np.array_equal(file["row"], found.row):
            raise StageError(f"{path} is of other images than {found.path}: run `dvc repro map`")
        if dims not in there:
            every = ", ".join(map(str, there))
            raise StageError(
                f"{asked_by} is {dims}, the map has {every} dims: choose one of these, or add "
                f"{dims} to map.dims"
            )
        return file[f"{there.index(dims)}/place"], str(attrs["metric"])
