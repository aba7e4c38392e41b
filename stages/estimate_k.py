"""How many classes a dataset may have, without labels."""

import csv
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from tqdm import tqdm

from cluster import ClusterError
from cluster.estimate_k.consensus import Consensus, consensus
from cluster.estimate_k.criteria import (
    COMPARED,
    CRITERIA,
    MEASURES,
    CriteriaSettings,
    Values,
    candidate_ks,
)
from cluster.estimate_k.estimate import Compared, Sampling, compare, draw
from cluster.vectors.rows import Subset
from pipeline.fitting.feasible_k import Limits, limits_of_k
from pipeline.fitting.kmeans import Starts
from pipeline.io.cell import Cell
from pipeline.io.estimate import write_estimate
from pipeline.io.space import Count, Seeds, Space, open_space, print_space
from pipeline.io.whole import whole_text
from pipeline.params import Runtime, StageError, torch_device
from stages import run


class Params(Starts):
    images: Annotated[int, Field(ge=4)]  # of train, drawn by seed
    k_min: Annotated[int, Field(ge=2)]  # numbers of clusters: from
    k_max: Annotated[int, Field(ge=2)]  # to
    growth: Annotated[float, Field(ge=1)]  # each so many times the one before, or 1 more
    dims: Count  # leading principal components in which they are clustered
    silhouette_images: Annotated[int, Field(ge=3)]  # all pairs are compared
    coding_dims: Count  # leading components whose coding length is taken
    distortion: Annotated[float, Field(gt=0)]  # of it, a share of their variance
    seed: int  # of the draw of the images, and of the images without groups
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Cluster a sample of the cell into more and more clusters; say how many fit best.

    Fitted on images of the split `train`, in the leading principal components; no label is read.
    Six criteria vote for a k, once a seed, and the median is recommended: it goes to k.json ({"k":
    12}), which a section with `k: auto` reads. The table estimate_k.csv: what was measured for each
    k and seed, and by which score each criterion votes. The metrics: the k, where four fifths of
    the votes lie (low, high), the share of those that voted who agree (sureness), and each one's
    pick. Where nothing can be said (all images alike, or too few) the k is 1, without a vote."""
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    dims = min(params.dims, len(space.basis.components))
    images = min(params.images, len(space.train))
    limits = limits_of_k(space.found, space.train, params.k_max)
    k = _candidates(images if dims else 0, limits, params)
    found, plain, values = _compare(space, k, params, device)
    try:
        said = consensus(k, values)
    except ClusterError as error:  # methods with a k of their own can still go on
        least = k[0] if k else 1
        print(f"estimate_k: {error}; {least} is written")
        said = Consensus(least, least, least, dict.fromkeys(CRITERIA), [])
    write_estimate(cell.k, said.k)
    _write(cell.table, k, params.seeds, found, plain, values)
    if said.picks and any(said.picks.values()):
        print(
            f"estimate_k: about {said.k} classes ({said.low} to {said.high}; {len(said.agree)} of "
            f"{len(CRITERIA)} criteria agree)"
        )
    if k and said.high == k[-1] < images // 2:
        print(
            f"estimate_k: some votes are for {k[-1]} clusters, the most that were tried: raise "
            "estimate_k.k_max"
        )
    space_fact = print_space(cell.run, space.basis, [(said.k, dims)]) if k else {}
    return {**space_fact, **_headlines(said, images, k)}


def _compare(space: Space, k: list[int], params: Params, device: str) -> Compared:
    sampling = Sampling(**params.model_dump(include=set(Sampling._fields)))
    search = CriteriaSettings(**params.model_dump(include=set(CriteriaSettings._fields)))
    drawn = draw(Subset(space.found, space.train), space.basis, sampling)
    with tqdm(total=2 * sum(k), desc="estimate_k", disable=None, unit="cluster") as bar:
        return compare(*drawn, k, params.seeds, search, device=device, progress=bar.update)


def _candidates(images: int, limits: Limits, params: Params) -> list[int]:
    """None where the images are too few, or (0) all alike."""
    if params.k_max < params.k_min:
        raise StageError(
            f"estimate_k.k_max is {params.k_max}, less than estimate_k.k_min, {params.k_min}"
        )
    most = min(params.k_max, images // 2, limits.most)  # halves are clustered too
    if most < params.k_min:
        return []
    if most < params.k_max:
        half = f"half of the {images} images of train"
        why = limits.many if most == limits.most else half
        print(f"estimate_k: up to {most} clusters are tried, {why}")
    return candidate_ks(params.k_min, most, params.growth)


def _headlines(said: Consensus, images: int, k: list[int]) -> dict[str, object]:
    voted = sum(pick is not None for pick in said.picks.values())
    return {
        "k": said.k,
        "low": said.low,
        "high": said.high,
        "sureness": round(len(said.agree) / max(1, voted), 4),
        "agree": said.agree,
        "picks": said.picks,
        "images": images,
        "tried": [k[0], k[-1]] if k else [],
    }


def _write(
    path: Path,
    k: list[int],
    seeds: tuple[int, ...],
    found: Values,
    plain: Values,
    values: Values,
) -> None:
    """Of each k and seed: as measured, the same without groups (mean over seeds), and scores."""
    with whole_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["k", "seed", *MEASURES, *(f"{name}_without_groups" for name in COMPARED),
             *(f"{name}_score" for name in CRITERIA)]
        )  # fmt: skip
        for at, number in enumerate(k):
            level = [plain[name][:, at].mean() for name in COMPARED]
            for s, seed in enumerate(seeds):
                cells = [found[name][s, at] for name in MEASURES] + level
                cells += [values[name][s, at] for name in CRITERIA]
                writer.writerow([number, seed, *(_text(value) for value in cells)])


def _text(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else ""


if __name__ == "__main__":
    run(main, "k", "table")
