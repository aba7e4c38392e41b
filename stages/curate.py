"""Curate a collection: the part that is worth training on or looking at, chosen without labels."""

from pathlib import Path
from typing import Any

import numpy as np

import store
from cluster.curate.hierarchy import images_of_levels
from cluster.curate.sampling import hierarchical_sample
from cluster.metrics.clustering import size_scores
from cluster.vectors.rows import Subset, cached
from pages.report.chosen.curated import save_curated
from pages.report.chosen.pick import Examples
from pipeline.curating.judged import Judged, covered, judge
from pipeline.curating.levels import Levels, fit_levels
from pipeline.curating.settings import Params, number_of
from pipeline.curating.written import REASONS, write_table
from pipeline.io.cell import Cell
from pipeline.io.collection import open_collection
from pipeline.io.space import open_space, print_space
from pipeline.links import link, pictures
from pipeline.params import Runtime
from pipeline.similar.tables import write_names
from stages import run


def main(cell: Cell, params: Params, examples: Examples, runtime: Runtime) -> dict[str, Any]:
    """Choose images of the split `train`, evenly over what they show; drop what is there twice.

    Hierarchical k-means; of near-duplicates within a cluster of the coarsest level the one nearest
    to its centroid is kept; images that are strange for their cluster and for the collection are
    dropped; of the rest so many as `images` says are drawn, as evenly over the clusters of each
    level as their sizes allow. Written: what became of each image (.h5, and .csv for people), the
    names of the chosen ones (.txt), and with `links: true` links to their pictures in data/links/.
    The metrics tell how even the chosen images are and how much of the collection lies near one,
    beside as many that are drawn at random. No label is read.
    """
    space = open_space(cell.features, cell.pca)
    found, train = space.found, space.train
    name, root = open_collection(cell.features, cell.images).name.of(train), Path()
    if params.links:
        root = pictures(found.dataset, f"set {cell.run}.links: false")
    levels, checkpoint = fit_levels(cell, space, params, runtime)
    rows = cached(Subset(found, train), runtime.memory_gb)
    judged = judge(cell, space, rows, levels, params, runtime)
    reason, chosen = _choose(cell.run, levels, judged, params)
    clusters = images_of_levels(levels.assignment)
    arrays = {
        "row": found.row[train],
        "reason": reason,
        "leader": found.row[train][judged.kept],
        "outlier": judged.score,
        "k": np.array(levels.k, np.int32),
        **{f"{level}/cluster": own for level, own in enumerate(clusters)},
    }
    attrs: dict[str, str | list[str]] = {
        "dataset": found.dataset, "backbone": found.backbone, "run": cell.run,
        "reasons": list(REASONS),
    }  # fmt: skip
    store.save(cell.curated, "curated", arrays, attrs)
    save_curated(cell, rows, name, found.id[train], judged.kept, judged.score, examples)
    split = np.array(found.splits, object)[found.split[train]]
    table, listed = (cell.curated.with_suffix(suffix) for suffix in (".csv", ".txt"))
    write_table(table, name, split, reason, judged.kept, judged.score, clusters)
    if unwritten := write_names(listed, name[chosen]):
        print(f"{cell.run}: {unwritten} names hold a line break, {listed} goes without them")
    link(cell.links, {one: root / one for one in name[chosen]} if params.links else {})
    drawn = _drawn(len(rows), len(chosen), params.seed)
    radius = judged.usual if params.radius == "auto" else params.radius
    share = covered(rows, chosen, drawn, radius, judged.metric, params, runtime)
    checkpoint.remove()
    counts = np.bincount(reason, minlength=len(REASONS)).tolist()
    facts = {
        **print_space(cell.run, space.basis, [(k, levels.dims) for k in levels.k]),
        "images": len(rows), "k": levels.k, **dict(zip(REASONS, counts, strict=True)),
        "radius": radius, "metric": judged.metric, "coverage": share,
        "balance": {
            which: _balance(clusters[-1][some], levels.k[-1])
            for which, some in (("chosen", chosen), ("random", drawn))
        },
    }  # fmt: skip
    print(
        f"{cell.run}: {counts[0]} of {len(rows)} images chosen; {counts[1]} near-duplicates and "
        f"{counts[2]} outliers dropped; {share['chosen']:.0%} of all lie within {radius:.3g} of a "
        f"chosen one, {share['random']:.0%} of one of as many drawn at random"
    )
    return facts


def _choose(
    run: str, levels: Levels, judged: Judged, params: Params
) -> tuple[np.ndarray, np.ndarray]:
    """What becomes of each image, uint8 [image], of REASONS, and those that are chosen, int64."""
    images = len(judged.kept)
    reason = np.full(images, REASONS.index("not drawn"), np.uint8)
    if params.outliers != "none":
        reason[judged.score > params.outliers] = REASONS.index("outlier")
    reason[judged.kept != np.arange(images)] = REASONS.index("duplicate")
    eligible = reason == REASONS.index("not drawn")
    wanted, there = number_of(params.images, images), int(eligible.sum())
    if wanted > there:
        print(
            f"{run}: {wanted} images are asked for, {there} of {images} are no near-duplicates and "
            f"no outliers: all {there} are chosen"
        )
    key = levels.distance
    if params.leaves == "random":
        key = np.random.default_rng([params.seed, 1]).random(images)
    chosen = hierarchical_sample(levels.assignment, eligible, min(wanted, there), key)
    reason[chosen] = REASONS.index("kept")
    return reason, chosen


def _balance(cluster: np.ndarray, k: int) -> float:
    """The entropy of the numbers of images in each of k clusters over log k; 1 of one cluster."""
    return size_scores(np.bincount(cluster, minlength=k))["balance"] if k > 1 else 1.0


def _drawn(images: int, number: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng([seed, 2]).choice(images, number, replace=False))


if __name__ == "__main__":
    run(
        main,
        *("curated", "curated_examples"),
        lambda cell: [cell.curated.with_suffix(suffix) for suffix in (".csv", ".txt")],
    )
