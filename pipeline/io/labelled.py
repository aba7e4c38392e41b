"""What a person has labelled: a table, or a folder of folders, one a class."""

import csv
import posixpath
from collections.abc import Sequence
from pathlib import Path

from pipeline.params import StageError, did_you_mean

COLUMNS = ("path", "label")


def of_table(file: str) -> dict[str, str]:
    """Name of an image → its label, from a CSV file with the columns `path` and `label`.

    Rows without a label are passed over. Raises StageError for another table, and for an image with
    two labels.
    """
    path = Path(file).expanduser()
    try:
        with path.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            if missing:
                found = ", ".join(reader.fieldnames or ["(none)"])
                raise StageError(
                    f"{path} has the columns {found}, expected path and label: name them so in its "
                    "first line"
                )
            rows = [(row["path"] or "", (row["label"] or "").strip()) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise StageError(f"{path} is no CSV file in UTF-8 ({error}): save it as one") from None
    out: dict[str, str] = {}
    for name, label in rows:
        if label and out.setdefault(name, label) != label:
            raise StageError(f"{path} calls {name} both '{out[name]}' and '{label}': leave one")
    if not out:
        raise StageError(f"{path} labels no image: write a class beside some")
    return out


def of_tree(folder: str, names: Sequence[str]) -> dict[str, str]:
    """Name of an image → its label, of all images named FOLDER/CLASS/..."""
    prefix = posixpath.normpath(folder) + "/"
    parts = {n: n.removeprefix(prefix).split("/") for n in names if n.startswith(prefix)}
    if not parts:
        tops = sorted({name.split("/")[0] for name in names if "/" in name})
        raise StageError(f"no image lies in {prefix}{did_you_mean(folder, tops)}")
    loose = [name for name, part in parts.items() if len(part) < 2]
    if loose:
        raise StageError(f"{loose[0]} lies in no folder of a class, expected {prefix}CLASS/image")
    return {name: part[0] for name, part in parts.items()}
