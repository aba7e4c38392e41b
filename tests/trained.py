"""Clusterings that were trained: files of k-means with what a head tells of its epochs."""

import csv
from pathlib import Path

import numpy as np

import store

NAMES = ("row", "split", "k", "dims", "mean", "components", "variance")
EPOCHS = 4


def watch(path: Path, row: np.ndarray, assignment: np.ndarray) -> None:
    """Make the file of kind clusters that of heads, which watched images.

    row: int64 [watched]; assignment: int32 [seed, epoch, watched], the same of every setting.
    """
    with store.read(path, "clusters") as file:
        arrays, attrs = {name: file[name] for name in NAMES}, dict(file.attrs)
        for s in range(len(arrays["k"])):
            arrays |= {f"{s}/{name}": file[f"{s}/{name}"] for name in ("assignment", "loss")}
            arrays[f"{s}/probability"] = 1 / (1 + file[f"{s}/distance"])
            centroids = file[f"{s}/centroids"]
            arrays |= {f"{s}/weight": centroids, f"{s}/bias": np.zeros(centroids.shape[:2], "f4")}
            arrays |= {f"{s}/watched": row, f"{s}/watched_assignment": assignment.astype("i4")}
    store.save(path, "clusters", arrays, {**attrs, "how": "linear"})


def write_epochs(path: Path, seeds: tuple[int, ...], *, k: int = 10, live: int = 10) -> None:
    """The table of epochs of one setting: the loss falls by 1 an epoch from 5, a seed lies .5
    above the one before; clusters of equal size, `live` of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = ("epoch", "step", "head", "loss", "criterion", "entropy", "live", "loss_head_0")
        writer.writerow(["k", "dims", "seed", *columns])
        for number, seed in enumerate(seeds):
            for epoch in range(1, EPOCHS + 1):
                loss = 6 - epoch + number / 2
                told = (epoch, 3 * epoch, 0, loss, loss, np.log(live), live, loss)
                writer.writerow([k, 0, seed, *told])
