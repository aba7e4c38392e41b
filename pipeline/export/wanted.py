"""What a section of params.yaml asks of an export: a format, and whether the map is told."""

from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.export.formats import FORMATS, FormatName
from pipeline.export.table import Table
from pipeline.fitting.map import Images, read_map
from pipeline.io.absent import MARK, unmark
from pipeline.io.cell import Cell
from pipeline.links import pictures
from pipeline.params import PARAMS, Section, StageError


class Wanted(Section):
    """A section such as `export`."""

    format: FormatName
    reads: Literal["neighbors", "map"]  # map: of which x and y are; dvc.yaml makes the path of it


def picture_folder(cell: Cell, wanted: Wanted) -> Path:
    """The folder of the pictures, where the format needs it; what else it needs is refused here.
    `cell.run`: the section."""
    form, where = FORMATS[wanted.format], f"{cell.run}.format"
    if form.places and wanted.reads != "map":
        raise StageError(
            f"{PARAMS}: {where} is {wanted.format}, which shows the map: set {cell.run}.reads to "
            "map and runs.map to [map]"
        )
    others = [name for name, other in FORMATS.items() if not other.files]
    otherwise = f"{wanted.format} needs them: set {where} to {', '.join(others)}"
    return pictures(cell.dataset, otherwise) if form.files else Path()


def places(cell: Cell, found: Images, wanted: Wanted) -> dict[str, np.ndarray]:
    """The columns x and y, float32 [image], where they are asked for."""
    if wanted.reads != "map":
        return {}
    if not cell.map.exists():
        raise StageError(f"{cell.map} is not there: set runs.map to [map] and run `dvc repro map`")
    place, _ = read_map(cell.map, found, 2, f"the map of {cell.run}.reads")
    return dict(zip("xy", np.ascontiguousarray(place.T), strict=True))


def write(out: Path, table: Table, wanted: Wanted) -> str:
    """Write the table; what is to be said of it, "" or a text that goes on with "; "."""
    form = FORMATS[wanted.format]
    note = form.write(out, table)
    if form.folder:
        unmark([out])
    return note


def marks(out: Path, wanted: Wanted) -> list[Path]:
    """What says that there is nothing: in place of a file, or in a folder."""
    return [out / MARK if FORMATS[wanted.format].folder else out]
