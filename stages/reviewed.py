"""A run together with what a person decided on the review page: the label of every image.

Decisions lie in `review/DATASET.jsonl`, which is looked at each time. The file holds for each image
its label and who said so; the table says the same for people and other programs, a row an image in
the order of the index:

- `path`: name of the image below the dataset's root
- `split`
- `label`: its category, empty for none
- `status`: `decided`: a person said so of this image; `cluster`: its cluster, or the group that it
  was put into, was given this name; `unknown`, `junk`: a person said so; `none`: nobody named its
  cluster
- `confidence`: 1 where a person decided; else the share of its neighbours that have the same label,
  weighed by similarity; 0 without a label
- `cluster`: in the run, from 0
- `x`, `y`: of the map in two dims, where `reads` is map

Formats are those of stage export, with these labels.
"""

from pathlib import Path
from typing import Any

import numpy as np

import store
from pipeline.confidence import confidence
from pipeline.export.table import Table
from pipeline.export.wanted import Wanted, marks, picture_folder, places, write
from pipeline.io.cell import Cell
from pipeline.review.clustering import Clustering, read_clustering
from pipeline.review.journal import Journal, journal_of
from pipeline.review.labels import CLUSTER, NONE, STATUS, Labels, label_images
from pipeline.review.replay import replay
from stages import run


class Params(Wanted):
    """The section `reviewed`."""


def main(cell: Cell, clusters_of: str, params: Params) -> dict[str, Any]:
    """Write the label of every image: as a person decided, else the name of its cluster.

    CLUSTERS_OF is the folder and name of the run, clusters/kmeans or discovered/simgcd; of its
    first setting the seed of lowest loss. Decisions are those of review/DATASET.jsonl.
    """
    root = picture_folder(cell, params)
    folder, name = Path(clusters_of).parent.name, Path(clusters_of).name
    clustering = read_clustering(cell._replace(run=name), folder)
    path = journal_of(cell.dataset)
    decisions = Journal(path, cell.dataset).decisions
    labels = label_images(replay(decisions), clustering)
    with store.read(cell.images, "index") as file:
        names, splits = file.text("name"), file.attrs["splits"]
        split = file["split"][clustering.row]
    sure = _confidence(cell, clustering, labels, split == splits.index("train"))
    of = cell._replace(run=name)
    arrays = {
        "row": clustering.row, "split": split, "cluster": clustering.assignment.astype(np.int32),
        "label": labels.label, "status": labels.status, "confidence": sure,
    }  # fmt: skip
    attrs = {
        "dataset": cell.dataset, "backbone": cell.backbone, "run": name, "splits": splits,
        "categories": labels.categories, "statuses": list(STATUS), "decisions": len(decisions),
    }  # fmt: skip
    store.save(of.reviewed, "reviewed", arrays, attrs)
    label = np.array([*labels.categories, ""], object)[labels.label]
    columns: dict[str, store.Strings] = {
        "path": names.of(clustering.row),
        "split": np.array(splits, object)[split],
        "label": label,
        "status": np.array(STATUS, object)[labels.status],
        "confidence": sure,
        "cluster": clustering.assignment,
    }
    columns |= places(cell, clustering, params)
    links, out = Path("data/links", cell.run, *cell[:2], name), _out(cell, clusters_of, params)
    table = Table(cell, clustering.row, label, columns, root, links)
    note = write(out, table, params)
    counted = np.bincount(labels.status, minlength=len(STATUS))
    count = dict(zip(STATUS, counted.tolist(), strict=True))
    if not decisions:
        print(f"reviewed: {path} has no decisions yet: make review DATASET={cell.dataset}")
    told = ", ".join(f"{n} {what}" for what, n in count.items() if n)
    print(f"reviewed: {len(labels.label)} images: {told}; to {out}{note}")
    given = {str(cluster): category for cluster, category in labels.of_cluster.items()}
    of_run = {"k": clustering.k, "seed": _seed(clustering)}
    return {"images": len(labels.label), **count, **of_run, "names": given}


def _seed(clustering: Clustering) -> int:
    """Its number: the report shows names on the clustering that has them, and on no other."""
    with store.read(clustering.path, "clusters") as file:
        return int(file.attrs["seeds"][clustering.seed])


def _confidence(
    cell: Cell, clustering: Clustering, labels: Labels, fitted: np.ndarray
) -> np.ndarray:
    of = (cell.dataset, cell.backbone)
    own = labels.label + 1  # images without label as one more
    sure = confidence(cell.neighbors, of, clustering.row, fitted, own)
    sure[labels.status == NONE] = 0
    sure[(labels.status != CLUSTER) & (labels.status != NONE)] = 1
    return sure


def _out(cell: Cell, clusters_of: str, params: Params) -> Path:
    return cell.file(f"tables/{Path(clusters_of).name}_reviewed.{params.format}")


def _marks(cell: Cell, clusters_of: str, params: Params) -> list[Path]:
    of = cell._replace(run=Path(clusters_of).name)
    return [of.reviewed, *marks(_out(cell, clusters_of, params), params)]


if __name__ == "__main__":
    run(main, _marks)
