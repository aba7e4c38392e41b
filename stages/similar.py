"""From a large collection, the part that looks like a target collection."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from tqdm import tqdm

import store
from cluster.neighbors.balanced_sample import balanced_sample
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.table import Neighbors
from cluster.neighbors.union import neighbor_union
from cluster.vectors.rows import Rows, Subset, cached
from pages.report.chosen.pick import Examples
from pages.report.chosen.similar import Side, save_similar
from pipeline.io.cell import Pair
from pipeline.io.collection import is_in, open_collection, require_one_backbone
from pipeline.io.duplicates import read_leaders
from pipeline.links import link, pictures
from pipeline.params import Runtime, Section, StageError, torch_device
from pipeline.similar.groups import Groups, read_groups
from pipeline.similar.tables import write_found, write_names, write_union
from stages import run


class Params(Section):
    target: list[str]  # datasets; which pairs there are is the matrix of dvc.yaml
    among: list[str]
    k: Annotated[tuple[Annotated[int, Field(ge=1, le=256)], ...], Field(min_length=1)]
    same: Literal["keep", "drop"]  # images that are in both collections, by their bytes
    minimum: Annotated[float, Field(ge=-1, le=1)]  # least cosine
    total: Annotated[int, Field(ge=0)]  # images of a sample of what was found; 0: no sample
    balance: Literal["none", "clusters", "labels"]  # labels: reads the labels of the large one
    run: str  # whose clusters; dvc.yaml makes the path of it
    links: bool  # to the pictures, in a folder


def main(pair: Pair, params: Params, examples: Examples, runtime: Runtime) -> None:
    """Find in the dataset SECOND the K images most like each image of FIRST, the target.

    By cosine, exactly, in all splits. Of near-duplicates in the target only the one asks that
    stands for its group. Written to a folder: found.csv, a row a pair, of the largest K; for each K
    names_K.txt, what was found by any, and union_K.csv, how similar it is at most, to which target,
    and how many targets asked; with `total` sample_K.txt, so many of them, balanced over the
    clusters of `run`, or over classes (`balance`). With `links: true` data/links/... has links to
    the pictures of the sample, or else of all. The report gets `examples`.
    """
    target, among, found = pair.first, pair.second, pair.similar
    wanted, large = (open_collection(c.features, c.images) for c in (target, among))
    require_one_backbone(wanted.features, large.features)
    root = _root(large.features.dataset) if params.links else Path()
    group = read_groups(_groups(pair, params), large.features, params.balance)
    asking = _asking(target.duplicates, wanted.features)
    open_to = _open_to(large.features, target.images, params.same)
    near = _search(
        Subset(wanted.features, asking), Subset(large.features, open_to), max(params.k), runtime
    )
    near = Neighbors(open_to[near.neighbor], near.similarity)
    found.mkdir(parents=True, exist_ok=True)
    _clear(found)
    _save(found / "found.h5", wanted.features, asking, large.features, near, params)
    names = (wanted.name[asking], large.name)
    both = Side(names[0], wanted.features.id[asking]), Side(names[1], large.features.id)
    save_similar(pair, *both, *near, params.k, params.minimum, examples)
    write_found(found / "found.csv", names, *near, params.minimum)
    linked: dict[str, str] = {}
    for k in sorted(set(params.k)):
        taken = _write_k(found, k, near, names, group, params)
        linked |= {f"{k}/{name}": f"{root}/{name}" for name in taken}
    link(pair.links, linked if params.links else {})


def _root(dataset: str) -> Path:
    return pictures(dataset, "set similar.links: false")


def _groups(pair: Pair, params: Params) -> Path:
    """What the sample is balanced over."""
    by_labels = params.balance == "labels"
    return pair.second.labels if by_labels else pair.second._replace(run=params.run).clusters


def _asking(duplicates: Path, target: store.Features) -> np.ndarray:
    leader = read_leaders(duplicates, target.dataset, target.backbone, target.row)
    asking = np.flatnonzero(leader == target.row)
    alike = len(leader) - len(asking)
    print(f"similar: {len(asking)} images of {target.dataset} ask, {alike} near-duplicates do not")
    return asking


def _open_to(among: store.Features, target_index: Path, same: str) -> np.ndarray:
    """Positions of the images that may be found, int64 [image]."""
    if same == "keep":
        return np.arange(len(among))
    with store.read(target_index, "index") as file:
        digest = file.mapped("digest")
    out = np.flatnonzero(~is_in(among.id, digest))
    if not len(out):
        raise StageError(
            f"all images of {among.dataset} are in the target too, none is left to be found: "
            "set similar.same: keep"
        )
    if len(out) < len(among):
        print(f"similar: {len(among) - len(out)} images are in both collections and left out")
    return out


def _search(target: Rows, among: Rows, k: int, runtime: Runtime) -> Neighbors:
    with tqdm(total=len(target), desc=f"similar k={k}", disable=None, unit="img") as bar:
        return nearest_neighbors(
            target,
            cached(among, runtime.memory_gb),
            k,
            metric="cosine",
            device=torch_device(runtime.device),
            progress=bar.update,
        )


def _clear(found: Path) -> None:
    for name in ("names", "union", "sample"):  # of an earlier run with another K
        for path in found.glob(f"{name}_*"):
            path.unlink()


def _save(
    path: Path,
    target: store.Features,
    asking: np.ndarray,
    among: store.Features,
    near: Neighbors,
    params: Params,
) -> None:
    arrays = {
        "target": target.row[asking],
        "found": among.row[near.neighbor],
        "similarity": near.similarity,
    }
    attrs: dict[str, str | float | list[int]] = {
        "target": target.dataset, "among": among.dataset, "backbone": target.backbone,
        "k": sorted(set(params.k)), "minimum": params.minimum,
    }  # fmt: skip
    store.save(path, "similar", arrays, attrs)


def _write_k(
    folder: Path,
    k: int,
    near: Neighbors,
    names: tuple[store.Strings, store.Strings],
    group: Groups,
    params: Params,
) -> np.ndarray:
    """The files of one K; the names to link to: of the sample, or of all."""
    every = neighbor_union(near.neighbor[:, :k], near.similarity[:, :k], params.minimum)
    name, total = names[1][every.found], min(params.total or len(every.found), len(every.found))
    taken = balanced_sample(group.number[every.found], every.similarity, total)
    columns = {
        "name": name,
        "similarity": every.similarity,
        "target": names[0][every.target],
        "targets": every.n_targets,
    }
    if params.balance != "none":
        columns[params.balance.removesuffix("s")] = group.name[every.found]
    lists = {f"names_{k}.txt": name}
    if params.total:
        columns["sampled"] = taken.astype(np.int8)
        lists[f"sample_{k}.txt"] = name[taken]
    write_union(folder / f"union_{k}.csv", columns)
    print(f"similar: k={k}: {len(name)} images found" + f", {total} sampled" * bool(params.total))
    for file, listed in lists.items():
        unwritten = write_names(folder / file, listed)
        if unwritten:
            print(f"similar: {unwritten} names hold a line break, {file} goes without them")
    return name[taken]


if __name__ == "__main__":
    run(main, "similar", "examples")
