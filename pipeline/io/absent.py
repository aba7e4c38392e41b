"""Cells that cannot be: a dataset that a backbone has no vectors of. And runs that cannot be.

Stage embed finds out, and raises `Absent`; `stages.run` then writes a mark with the reason in place
of every file, and the later stages of the cell, which find embed's, do the same. So no stage but
embed has to think of it, and the graph is the same for all cells. A run whose numbers of clusters
the images cannot have raises it too; those who read its clusters meet the mark
(pipeline.io.clusters).
"""

from collections.abc import Iterable
from pathlib import Path

import store
from pipeline.io.cell import Cell
from pipeline.io.whole import as_written, facts_in, whole_text, write_json

MARK = "absent.json"  # in a folder
EPOCHS = "epoch,loss\n"  # a table that plots can read


class Absent(Exception):
    """There are no vectors of this dataset by this backbone, or no clusters by this run; the
    message is the reason."""


def reason(cell: Cell) -> str | None:
    """Why there is no such cell; None where there is one, or stage embed has not looked yet."""
    path = cell.features / MARK
    said = read_mark(path)
    with as_written(path):
        if said is None and path.exists():
            raise ValueError("no reason")
    return said


def read_mark(path: Path) -> str | None:
    """The reason in a json file; None where the file is not there, or has facts in place of it."""
    if not path.exists():
        return None
    with facts_in(path) as facts:
        said = facts.get("absent")
        if not (said is None or isinstance(said, str)):
            raise ValueError(f"absent is {said!r}")
        return said


def read_h5_mark(path: Path) -> str | None:
    """The reason in an HDF5 file; None for a file of another kind, or none, whose reader says what
    is wrong with it."""
    try:
        with store.read(path, "absent") as file:
            return str(file.attrs["reason"])
    except store.StoreError:
        return None


def mark(paths: Iterable[Path], why: str) -> None:
    """Write that there is nothing, in place of these files and folders; what lies in a folder
    stays."""
    for path in paths:
        if path.suffix == ".h5":
            store.save(path, "absent", {}, {"reason": why})
        elif path.suffix == ".json":
            write_json(path, {"absent": why})
        elif path.suffix:
            with whole_text(path) as file:
                file.write(EPOCHS if path.parts[0] == "metrics" else f"absent: {why}\n")
        else:
            path.mkdir(parents=True, exist_ok=True)
            write_json(path / MARK, {"absent": why})


def unmark(folders: Iterable[Path]) -> None:
    """The cell can be after all."""
    for folder in folders:
        (folder / MARK).unlink(missing_ok=True)
