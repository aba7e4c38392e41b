"""The clusters of a run as one table, for people and other programs.

One row an image, in the order of the index:

- `path`: name of the image below the dataset's root
- `split`
- `cluster`: of the run's first setting, seed of lowest loss; from 0
- `class`: of category discovery, the known class that the cluster is; empty for a new one
- `confidence`: 0 to 1, the share of the image's neighbours that lie in its own cluster, each
  weighed by its similarity. Only as many of the nearest count as the cluster has other images of
  train, so that 1 can be reached in small clusters. It takes no label and means the same for every
  method
- `distance`: to the centre of the own cluster, of methods that have centres
- `probability`: of the own cluster, of methods that say one
- `names`: the words that stage names proposes for the cluster, most probable first, with semicolons
  between them; in the tables of section export_named
- `rejected`: of runs that mark odd images, 1 for one that belongs to none of the classes; its
  `cluster` is the closest, its `class` is empty
- `group`: path of the image that stands for its near-duplicates, its own where it has none

csv: UTF-8, a header, lines end in a line feed; a name with a comma, a quote or a line break stands
in quotes. Names are written as they are, also those that a spreadsheet would take for formulas:
take the column for text there. parquet: cluster is int32, confidence, distance and probability
float32, rejected uint8, the rest text.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

import store
from pipeline.confidence import confidence
from pipeline.io.cell import Cell
from pipeline.io.clusters import read_clusters, seed_of_lowest_loss
from pipeline.io.duplicates import read_leaders
from pipeline.io.table import in_parts, write_csv
from pipeline.io.whole import whole_bytes, whole_text
from pipeline.naming import proposals
from pipeline.params import Section, StageError
from stages import run

NAMED = "export_named"  # the section whose tables have names, as dvc.yaml says of what they need


class Params(Section):
    format: Literal["csv", "parquet"]


class Clusters(NamedTuple):
    """split: object [image], the name of it; the rest [image], of the one seed."""

    row: np.ndarray
    split: np.ndarray
    assignment: np.ndarray
    old: list[str]  # known classes, the first clusters; none without category discovery
    of_method: dict[str, np.ndarray]  # distance, probability, rejected
    dataset: str
    backbone: str
    seed: int


def main(cell: Cell, clusters_of: str, params: Params) -> None:
    """Write the clusters of a run as a table (csv or parquet), a row an image.

    CLUSTERS_OF is its folder and name, clusters/kmeans or discovered/simgcd. Columns: path, split,
    cluster, names (with --run export_named: the words that are proposed for it), class (of category
    discovery, where it is known), confidence (share of the neighbours in the own cluster, weighed
    by similarity), distance to the own centre or probability, and group: the path of the image that
    stands for its near-duplicates. Of the first setting, seed of lowest loss. `rejected` says which
    images belong to no class, where a run looks for them. An image that the backbone could not read
    is in no cluster and has no row.
    """
    clusters, table = cell.file(f"{clusters_of}.h5"), _table(cell, clusters_of, params)
    found = _read_clusters(clusters)
    with store.read(cell.images, "index") as file:
        name, dataset = file["name"], file.attrs["dataset"]
    if dataset != found.dataset or found.row.max(initial=-1) >= len(name):
        raise StageError(
            f"{cell.images} is not the index of the images in {clusters}: run `dvc repro`"
        )
    leader = read_leaders(cell.duplicates, found.dataset, found.backbone, found.row)
    of = (found.dataset, found.backbone)
    fitted = found.split == "train"
    sure = confidence(cell.neighbors, of, found.row, fitted, found.assignment)
    columns = {
        "path": name[found.row],
        "split": found.split,
        "cluster": found.assignment,
        **(_names(cell, clusters_of, found) if cell.run == NAMED else {}),
        **_classes(found),
        "confidence": sure,
        **found.of_method,
        "group": name[leader],
    }
    (_write_csv if params.format == "csv" else _write_parquet)(table, columns)
    left_out = len(name) - len(found.row)
    note = f"; {left_out} that {found.backbone} could not read left out" * bool(left_out)
    print(f"export: {len(found.row)} images to {table}{note}")


def _table(cell: Cell, clusters_of: str, params: Params) -> Path:
    named = "_named" * (cell.run == NAMED)
    return cell.file(f"tables/{Path(clusters_of).name}{named}.{params.format}")


def _read_clusters(path: Path) -> Clusters:
    with read_clusters(path) as file:
        attrs, seed = file.attrs, seed_of_lowest_loss(file, 0)
        of_method = {
            name: file[f"0/{name}"][seed]
            for name in ("distance", "probability", "rejected")
            if f"0/{name}" in file
        }
        split = np.array(attrs["splits"], object)[file["split"]]
        assignment = file["0/assignment"][seed]
        return Clusters(
            file["row"], split, assignment, attrs.get("old", []), of_method,
            attrs["dataset"], attrs["backbone"], attrs["seeds"][seed],
        )  # fmt: skip


def _classes(found: Clusters) -> dict[str, np.ndarray]:
    """Of category discovery the known class of each image, empty for those in new clusters and
    those that belong to none."""
    if not found.old:
        return {}
    name = np.full(max(len(found.old), int(found.assignment.max(initial=0)) + 1), "", object)
    name[: len(found.old)] = found.old
    rejected = found.of_method.get("rejected", np.zeros(len(found.assignment), np.uint8))
    return {"class": np.where(rejected > 0, "", name[found.assignment])}


def _names(cell: Cell, clusters_of: str, found: Clusters) -> dict[str, np.ndarray]:
    """Of each image the words of its cluster."""
    path = proposals.place(cell, Path(clusters_of).name)
    proposed = proposals.read_proposals(path)
    if proposed.seed != found.seed or proposed.k <= found.assignment.max(initial=-1):
        raise StageError(f"{path} is not of the clusters of {clusters_of}: run `dvc repro names`")
    words = ["; ".join(word for word, _ in cluster) for cluster in proposed.words]
    return {"names": np.array(words, object)[found.assignment]}


def _write_csv(path: Path, columns: dict[str, np.ndarray]) -> None:
    with whole_text(path) as file:
        write_csv(file, list(columns), in_parts(list(columns.values())))


def _write_parquet(path: Path, columns: dict[str, np.ndarray]) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(
        {
            name: pyarrow.array(column, pyarrow.string() if column.dtype == object else None)
            for name, column in columns.items()
        }
    )
    with whole_bytes(path) as file:
        pyarrow.parquet.write_table(table, file)


if __name__ == "__main__":
    run(main, lambda cell, clusters_of, params: [_table(cell, clusters_of, params)])
