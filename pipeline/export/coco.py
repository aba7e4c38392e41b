"""coco: the JSON of COCO (cocodataset.org/#format-data), a category an image in place of boxes.

An image that belongs to none of the labels has no annotation. `score` is the confidence, as in
COCO's format of results. But: `split` of an image is no key of COCO's, and an image whose header
cannot be read has neither width nor height.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

import images
from pipeline.export.json_parts import write_object
from pipeline.export.table import Table, as_written
from pipeline.io.whole import whole_text
from pipeline.params import count_cores

FILE = "annotations.json"


def write(folder: Path, table: Table) -> str:
    """File names are those below table.root; ids count from 1, in the order of the table."""
    labels = table.labels()
    number = {label: at for at, label in enumerate(labels, 1)}
    categories = [{"id": at, "name": name, "supercategory": ""} for name, at in number.items()]
    unread = 0

    def described(readers: ThreadPoolExecutor) -> Iterator[list[dict[str, Any]]]:
        nonlocal unread
        bar = tqdm(total=len(table.row), desc="sizes of images", disable=None, unit="img")
        for here, (path, split) in table.parts("path", "split"):
            sizes = list(readers.map(lambda name: _size(table.root / name), path))
            unread += sizes.count({})
            yield [
                {"id": at, "file_name": name, **size, "split": of}
                for at, (name, of, size) in enumerate(
                    zip(path, split, sizes, strict=True), here.start + 1
                )
            ]
            bar.update(len(path))
        bar.close()

    def annotations() -> Iterator[list[dict[str, Any]]]:
        made = 0
        for here, (confidence,) in table.parts("confidence"):
            part = [
                {"image_id": at, "category_id": number[label], "score": score}
                for at, (label, score) in enumerate(
                    zip(table.label[here], as_written(confidence), strict=True), here.start + 1
                )
                if label
            ]
            yield [{"id": at, **one} for at, one in enumerate(part, made + 1)]
            made += len(part)

    facts = {
        "info": {"description": f"{table.cell.dataset} by {table.cell.backbone}"},
        "licenses": list[str](),
        "categories": categories,
    }
    with ThreadPoolExecutor(count_cores()) as readers, whole_text(folder / FILE) as file:
        write_object(file, facts, images=described(readers), annotations=annotations())
    return f"; file names are those below {table.root}" + (
        f"; {unread} images are gone or cannot be read, and have no width and height" * bool(unread)
    )


def _size(path: Path) -> dict[str, int]:
    try:
        width, height = images.stored_size(path)
    except images.ImagesError:
        return {}
    return {"width": width, "height": height}
