"""How even the classes of a collection are, and of what stage curate has chosen of it.

A row of the table a class: how many labelled images of train it has, how many of those are chosen,
and how many as many images, drawn at random, would have on average.
"""

from typing import Any

import numpy as np

import store
from cluster.metrics.clustering import size_scores
from pipeline.io.cell import Cell
from pipeline.io.scores import write_scores
from pipeline.params import StageError
from stages import run

COLUMNS = ("class", "images", "chosen", "at_random")


def main(cell: Cell, of: str) -> dict[str, Any]:
    """Count the images of each class in the collection and in what the run OF of curate has chosen.

    The metrics have the entropy of the classes (balance: over that of equal ones, of all classes of
    the collection) and how many occur (live). Images without a label are left out; nothing is
    chosen here.
    """
    path = cell._replace(run=of).curated
    with store.read(path, "curated") as file:
        attrs, row, chosen = file.attrs, file["row"], file["reason"] == 0
    with store.read(cell.labels, "labels") as file:
        label, classes, dataset = file["label"], file.attrs["classes"], file.attrs["dataset"]
    if attrs["dataset"] != dataset or row.max(initial=-1) >= len(label):
        raise StageError(f"{path} is not of the images in {cell.labels}: run `dvc repro`")
    own = label[row]
    highest = int(own.max(initial=-1))
    names = [*classes, *map(str, range(len(classes), highest + 1))]
    every, some = (
        np.bincount(own[which & (own >= 0)], minlength=len(names))
        for which in (np.ones(len(own), bool), chosen)
    )
    there = np.flatnonzero(every)
    share = some.sum() / max(1, every.sum())
    rows = [
        dict(zip(COLUMNS, (names[c], every[c], some[c], round(share * every[c], 2)), strict=True))
        for c in there.tolist()
    ]
    write_scores(cell.metric(f"evaluate_curated_{of}.csv"), COLUMNS, rows)
    if len(there) < 2:
        return {"classes": len(there)}
    scores = {"before": size_scores(every[there]), "after": size_scores(some[there])}
    return {
        "classes": len(there),
        **{
            when: {name: found[name] for name in ("entropy", "balance", "live")}
            for when, found in scores.items()
            if found["live"]
        },
    }


if __name__ == "__main__":
    run(main, lambda cell, of: [cell.metric(f"evaluate_curated_{of}.csv")])
