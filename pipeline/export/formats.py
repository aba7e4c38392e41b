"""The formats by their names: what writes each, and what it asks for."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from pipeline.export import coco, csv, embedding_atlas, fiftyone, imagefolder, parquet
from pipeline.export.table import Table
from pipeline.params import did_you_mean


class Format(NamedTuple):
    """write: makes the file, or what lies in the folder, at a path, and gives what is to be said of
    it, a text that goes on with "; ". folder: whether it is one. files: whether pictures have to be
    files. places: whether the columns x and y have to be there."""

    write: Callable[[Path, Table], str]
    folder: bool = False
    files: bool = False
    places: bool = False


FORMATS = {
    "csv": Format(csv.write),
    "parquet": Format(parquet.write),
    "imagefolder": Format(imagefolder.write, folder=True, files=True),
    "coco": Format(coco.write, folder=True, files=True),
    "fiftyone": Format(fiftyone.write, folder=True, files=True),
    "embedding_atlas": Format(embedding_atlas.write, folder=True, places=True),
}


def _known(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"expected {', '.join(FORMATS)}{did_you_mean(name, FORMATS)}")
    return name


FormatName = Annotated[str, AfterValidator(_known)]  # of a setting
