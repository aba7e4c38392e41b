"""How many classes a dataset may have, from the images whose class is known."""

import csv
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from tqdm import tqdm

from cluster.estimate_k.integer_search import maximize
from cluster.estimate_k.level_choice import Scored, score_levels
from cluster.kmeans.api import kmeans
from cluster.kmeans.assign import assign
from cluster.metrics.clustering import accuracies
from cluster.vectors.rows import Rows
from pipeline.fitting.checkpoint import Checkpoint, checkpoint_inputs
from pipeline.fitting.feasible_k import limits_of_k
from pipeline.fitting.kmeans import Search
from pipeline.io.cell import Cell
from pipeline.io.estimate import write_estimate
from pipeline.io.known import read_known
from pipeline.io.space import Count, Seeds, open_space, print_space
from pipeline.io.whole import whole_text
from pipeline.params import Runtime, StageError, torch_device
from stages import run


class Params(Search):
    method: Literal["accuracy", "hierarchy"]
    max_classes: Count  # the highest k that may be tried
    dims: Annotated[int, Field(ge=0)]  # leading principal components; 0: no projection
    seeds: Seeds


class Tried:
    """The accuracies of every k so far (float64 [seed]), kept on the disk after each."""

    def __init__(self, place: Checkpoint) -> None:
        self._place = place
        kept = place.resume or {"k": np.empty(0, np.int64), "acc": np.empty((0, 0))}
        self.acc = dict(zip(kept["k"].tolist(), kept["acc"], strict=True))

    def keep(self, k: int, acc: np.ndarray) -> None:
        self.acc[k] = acc
        self._place.save({"k": np.array(list(self.acc)), "acc": np.stack(list(self.acc.values()))})


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Search for the number of clusters that agrees best with the known classes.

    After GCD (arXiv:2201.02609): all images of the split `train` of the store FEATURES, labelled or
    not, are clustered by k-means; the accuracy of a k is that of the labelled ones alone, each
    known class matched to one cluster; Brent's method looks for the best k, from the number of
    known classes to `max_classes`. But: k is whole and none is clustered twice, every k has several
    seeds and the mean decides (one seed is luck), and the features are read once.
    It errs to the low side: that unknown classes share a cluster costs it nothing.

    method hierarchy: after CiPR (arXiv:2304.06928), a hierarchy of clusters in which some known
    classes are hidden; the silhouette of the images without a label, times the accuracy on the
    hidden classes, decides (cluster.estimate_k.level_choice). Each seed hides others; the answer is
    their median. The settings of k-means do nothing then.

    k_by_labels.json ({"k": 12}) is what a section with `k: auto` may read, the table says what each
    k and seed scored. A killed run goes on from what it tried; that lies beside the former.
    """
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    said = read_known(cell.known, space)
    limits = limits_of_k(space.found, space.train, params.max_classes, said)
    least, most = limits.least, min(params.max_classes, limits.most)
    if most < least:
        raise StageError(
            f"estimate_k_by_labels.max_classes is {params.max_classes}, and {least} classes are "
            f"known: choose {least} or more"
        )
    if most < params.max_classes:
        print(f"estimate_k_by_labels: up to {most} clusters are tried: {limits.many}")
    dims = min(params.dims, len(space.basis.components))
    inputs = {"label": said.label, "dims": dims, "seeds": list(params.seeds)}
    place = Checkpoint(cell.k_by_labels, "tried", checkpoint_inputs(space, params, inputs))
    rows = space.fitted(dims, runtime.memory_gb)
    by = _by_hierarchy if params.method == "hierarchy" else _by_accuracy
    k, used = by(rows, said.label, (least, most), params, place, device)
    best = used[k]
    write_estimate(cell.k_by_labels, k)
    _write(cell.table, used, params.seeds)
    headlines = {
        **print_space(cell.run, space.basis, [(k, dims)]),
        "k": k,
        "acc": round(float(np.nanmean(best)), 4) if np.isfinite(best).any() else 0.0,
        **({"acc_sd": round(float(np.nanstd(best, ddof=1)), 4)}
           if np.isfinite(best).sum() > 1 else {}),
        "known_classes": least,
        "max_classes": most,
        "tried": len(used),
    }  # fmt: skip
    place.remove()
    return headlines


Found = tuple[int, dict[int, np.ndarray]]  # k, and of every k the accuracy, float64 [seed]


def _by_accuracy(
    rows: Rows, label: np.ndarray, limits: tuple[int, int], params: Params, place: Checkpoint,
    device: str,
) -> Found:  # fmt: skip
    so_far = Tried(place)
    with tqdm(desc="estimate_k_by_labels", disable=None, unit="k") as bar:

        def value(k: int) -> float:
            bar.set_postfix(k=k)
            so_far.keep(k, _accuracy(rows, label, k, params, device))
            bar.update()
            return float(so_far.acc[k].mean())

        means = {k: float(acc.mean()) for k, acc in so_far.acc.items()}
        found = maximize(value, *limits, means)
    return found.best, {k: so_far.acc[k] for k in found.tried}


def _by_hierarchy(
    rows: Rows, label: np.ndarray, limits: tuple[int, int], params: Params, place: Checkpoint,
    device: str,
) -> Found:  # fmt: skip
    kept, (least, most) = place.resume or {}, limits
    for seed in tqdm(params.seeds, desc="estimate_k_by_labels", disable=None, unit="seed"):
        if f"{seed}" not in kept:
            found = score_levels(rows, label, least=least, most=most, seed=seed, device=device)
            kept[f"{seed}"] = np.stack([each.astype(np.float64) for each in found])
            place.save(kept)
    scored = [
        Scored(of[0].astype(np.int64), *of[1:]) for of in (kept[f"{s}"] for s in params.seeds)
    ]
    k = int(np.percentile([each.best for each in scored], 50, method="lower"))
    used = {int(number): np.full(len(scored), np.nan) for each in scored for number in each.k}
    for at, each in enumerate(scored):
        for number, acc in zip(each.k.tolist(), each.accuracy, strict=True):
            used[number][at] = acc
    return k, dict(sorted(used.items()))


def _accuracy(rows: Rows, label: np.ndarray, k: int, params: Params, device: str) -> np.ndarray:
    """Of the labelled images, one to one, of each seed: float64 [seed]."""
    fit = kmeans(
        rows, k, seeds=params.seeds, n_init=params.n_init, max_iter=params.max_iter,
        tol=params.tol, init_images=params.init_images, device=device,
    )  # fmt: skip
    labelled = label >= 0
    return accuracies(
        assign(rows, fit.centroids, device=device).assignment[:, labelled], label[labelled]
    )


def _write(path: Path, acc: dict[int, np.ndarray], seeds: tuple[int, ...]) -> None:
    """An accuracy is empty where a seed has not compared that k."""
    with whole_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["k", "seed", "acc"])
        for k, of_seeds in acc.items():
            writer.writerows(
                [k, seed, "" if np.isnan(own) else f"{own:.6g}"]
                for seed, own in zip(seeds, of_seeds, strict=True)
            )


if __name__ == "__main__":
    run(main, "k_by_labels", "table")
