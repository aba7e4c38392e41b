"""imagefolder: LABEL/PATH, links to the pictures, as torchvision's ImageFolder and others read.

The links are of this machine, and DVC would follow them and keep a copy of every picture: so they
lie in data/links/, and the out is links.csv, which says what lies there. Images of no label have no
link, nor have those whose file is gone.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.export.table import PART, Table
from pipeline.io.table import write_csv
from pipeline.io.whole import whole_text
from pipeline.links import link

FILE = "links.csv"
# What no folder of Windows, macOS or Linux can be called; and a name that long
_NO_NAME = re.compile(r'[/\\:*?"<>|]')
LONGEST = 100  # bytes of UTF-8, with room for a number
# Of files that ImageFolder takes for images; it passes over others
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def write(folder: Path, table: Table) -> str:
    """Make the links of table.links, and say in links.csv which image each is."""
    labels, path = table.labels(), table.columns["path"]
    called = dict(zip(labels, folder_names(labels), strict=True))
    there = np.fromiter((label != "" for label in table.label), bool, len(path))
    none = int((~there).sum())
    there &= np.fromiter((table.root.joinpath(name).exists() for name in path), bool, len(path))
    chosen = np.flatnonzero(there)
    place = np.array([f"{called[table.label[i]]}/{path[i]}" for i in chosen], object)
    link(table.links, {at: f"{table.root}/{path[i]}" for at, i in zip(place, chosen, strict=True)})

    def parts() -> Iterator[tuple[np.ndarray, ...]]:
        for start in range(0, len(chosen), PART):
            here = chosen[start : start + PART]
            yield place[start : start + PART], path[here], table.label[here]

    with whole_text(folder / FILE) as file:
        write_csv(file, ("link", "path", "label"), parts())
    odd = sum(not name.lower().endswith(SUFFIXES) for name in path[chosen])
    renamed = [(label, name) for label, name in called.items() if label != name]
    such = f"; {len(renamed)} labels are no names of folders, such as {{!r}}, which is {{}}"
    return (
        f"; links in {table.links}"
        + f"; {none} of no label have no link" * bool(none)
        + f"; {len(path) - none - len(chosen)} files are gone" * (none + len(chosen) < len(path))
        + (such.format(*renamed[0]) if renamed else "")
        + f"; ImageFolder passes over {odd} files for their suffix" * bool(odd)
    )


def folder_names(labels: Sequence[str]) -> list[str]:
    """A name of a folder for each label, no two alike on any disk: itself, if it can be one."""
    seen: set[str] = set()
    names = []
    for label in labels:
        plain = "".join(c if c.isprintable() else "_" for c in _NO_NAME.sub("_", label))
        plain = plain.encode()[:LONGEST].decode(errors="ignore").rstrip(". ").lstrip(" ")
        plain = f"_{plain[1:]}" if plain.startswith(".") else plain or "_"
        name, number = plain, 1
        # Disks may not tell capitals, or ways to write an accent, apart
        while (same := unicodedata.normalize("NFC", name).casefold()) in seen:
            number += 1
            name = f"{plain} {number}"
        seen.add(same)
        names.append(name)
    return names
