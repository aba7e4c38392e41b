"""fiftyone: a FiftyOneDataset in JSON (docs.voxel51.com, user guide: import_datasets).

metadata.json describes the dataset, samples.json has a record an image: its file, its split as a
tag, and a Classification in the field `cluster`. Files are named below the folder of the pictures,
so that the export says the same on every machine: FiftyOne takes that folder as `rel_dir`.
But: fields that FiftyOne fills in itself as it reads (times, ids of the dataset) are left out, and
the version is that of 1.0, which every newer FiftyOne brings up to its own as it reads.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.export.json_parts import write_object
from pipeline.export.table import Table, as_written
from pipeline.io.whole import whole_text, write_json

METADATA, SAMPLES = "metadata.json", "samples.json"
FIELD = "cluster"
VERSION = "1.0.0"
LABELS = 1 << 64  # ids of labels come after those of samples, which are rows of the index


def write(folder: Path, table: Table) -> str:
    """One sample an image; `cluster` is null for one that belongs to none of the labels."""
    name = "_".join([table.cell.dataset, table.cell.backbone, folder.stem])
    write_json(
        folder / METADATA,
        {
            "version": VERSION,
            "name": name,
            "media_type": "image",
            "sample_fields": _fields(),
            "classes": {FIELD: table.labels()},
        },
    )
    place = np.random.default_rng(0)  # of each sample in the order of FiftyOne's random views

    def samples() -> Iterator[list[dict[str, Any]]]:
        for here, (path, split, confidence) in table.parts("path", "split", "confidence"):
            each = zip(
                table.row[here].tolist(), path, split, table.label[here], as_written(confidence),
                place.random(len(path)).tolist(), strict=True,
            )  # fmt: skip
            yield [
                {
                    "_id": _id(row),
                    "filepath": name,
                    "tags": [of],
                    "metadata": None,
                    "_media_type": "image",
                    "_rand": at,
                    FIELD: _classification(row, label, sure) if label else None,
                }
                for row, name, of, label, sure, at in each
            ]

    with whole_text(folder / SAMPLES) as file:
        write_object(file, {}, samples=samples())
    return f"; FiftyOne reads it with rel_dir={str(table.root)!r}"


def _id(number: int) -> dict[str, str]:
    return {"$oid": f"{number:024x}"}


def _classification(row: int, label: str, confidence: float) -> dict[str, Any]:
    said = {"tags": list[str](), "label": label, "confidence": confidence}
    return {"_id": _id(LABELS + row), "_cls": "Classification", **said}


def _fields() -> list[dict[str, Any]]:
    """The schema of a sample."""
    size = {name: _field(name, "IntField") for name in ("size_bytes", "width", "height")}
    return [
        _field("id", "ObjectIdField", db_field="_id"),
        _field("filepath", "StringField"),
        _TAGS,
        *(_field(name, "DateTimeField") for name in ("created_at", "last_modified_at")),
        _document("metadata", "metadata.ImageMetadata", [*size.values()]),
        _document(
            FIELD,
            "labels.Classification",
            [
                _field("id", "ObjectIdField", db_field="_id"),
                _TAGS,
                _field("label", "StringField"),
                _field("confidence", "FloatField"),
            ],
        ),
    ]


def _field(name: str, kind: str, **more: Any) -> dict[str, Any]:
    blank = {"db_field": name, "subfield": None, "embedded_doc_type": None, "fields": list[Any]()}
    return {"name": name, "ftype": f"fiftyone.core.fields.{kind}", **blank, **more}


def _document(name: str, kind: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    more = {"embedded_doc_type": f"fiftyone.core.{kind}", "fields": fields}
    return _field(name, "EmbeddedDocumentField", **more)


_TAGS = _field("tags", "ListField", subfield="fiftyone.core.fields.StringField")
