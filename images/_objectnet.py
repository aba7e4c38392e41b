"""How ObjectNet's classes correspond to ImageNet's, by the mapping files that come with it.

    folder_to_objectnet_label.json     {"alarm_clock": "Alarm clock", ...}, all 313 classes
    objectnet_to_imagenet_1k.json      {"Alarm clock": "analog clock; digital clock", ...}, 113
    imagenet_to_label_2012_v2          one ImageNet class name a line, in ILSVRC2012's own order
    pytorch_to_imagenet_2012_id.json   {"0": 448, ...}: place among sorted wnids -> line, from 0

After kmeans_selfsuper's mapping. But: class 0 of either side counts like any other, and ImageNet's
classes are those of sorted WordNet ids for all readers.
"""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from images import _imagenet
from images._listing import ImagesError


def class_names(mappings: Path) -> dict[str, str]:
    """The class name by folder, in the order of the folders' code points."""
    found = _table(mappings / "folder_to_objectnet_label.json")
    return {folder: str(found[folder]) for folder in sorted(found)}


def imagenet_labels(mappings: Path) -> dict[str, list[int]]:
    """By folder, for the classes that ImageNet has too: their ImageNet labels, main one first."""
    folders = {name: folder for folder, name in class_names(mappings).items()}
    line_to_label = {
        int(line): int(label)
        for label, line in _table(mappings / "pytorch_to_imagenet_2012_id.json").items()
    }
    lines: dict[str, list[int]] = {}
    for i, name in enumerate(_text(mappings / "imagenet_to_label_2012_v2").splitlines()):
        lines.setdefault(name.strip(), []).append(i)
    result = {}
    for name, theirs in _table(mappings / "objectnet_to_imagenet_1k.json").items():
        if name not in folders:
            raise ImagesError(f"{mappings}: {name} is mapped, but is no class of ObjectNet")
        labels = []
        for one in theirs.split("; "):
            found = lines.get(one.strip(), [])
            if len(found) != 1 or line_to_label.get(found[0], -1) not in range(1000):
                close = get_close_matches(one, lines, n=1)
                raise ImagesError(
                    f"{mappings}: {name} is mapped to {one}, of which ImageNet's list has "
                    f"{len(found)}{f', but it has {close[0]}' if close else ''}; "
                    "unpack the published mappings again"
                )
            labels.append(line_to_label[found[0]])
        result[folders[name]] = labels
    return {folder: result[folder] for folder in sorted(result)}


def imagenet_classes() -> list[str]:
    """ImageNet's 1,000 class names, as the reader `imagenet` numbers them."""
    return list(_imagenet.names().values())


def _table(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(file))
    except json.JSONDecodeError as error:
        raise ImagesError(f"{file} is no JSON ({error}); unpack it again") from error
    if not isinstance(found, dict):
        raise ImagesError(f"{file} is not a table from names to names; unpack it again")
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImagesError(
            f"cannot read {file} ({error}); ObjectNet's mapping files belong beside its images"
        ) from error
