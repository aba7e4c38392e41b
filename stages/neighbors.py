"""Find the nearest neighbours of every image of one feature store."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from tqdm import tqdm

import store
from cluster.kernels.similarity import Metric
from cluster.neighbors.approximate import approximate_neighbors
from cluster.neighbors.compressed.search import compressed_neighbors
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.hubness import hubness
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import Subset, cached
from pipeline.io.cell import Cell
from pipeline.io.space import train_rows
from pipeline.params import Runtime, Section, StageError, torch_device
from pipeline.searching.codes_on_ray import neighbors_by_codes_on_ray
from pipeline.searching.kept import Kept
from pipeline.searching.on_ray import neighbors_on_ray
from stages import run

BLOCK = 65_536  # images whose neighbours are named at once
DTYPES = {"neighbor": np.int32, "similarity": np.float32}  # of a table
SAMPLE, SEED = 1000, 0  # images on which the approximate search is compared with the exact one
HUBS_AT = 10  # neighbours, the number at which Radovanovic et al. count


class Params(Section):
    k: Annotated[int, Field(ge=1, le=256)]
    metric: Metric
    exact_up_to: Annotated[int, Field(ge=0)]  # images of train; of more, nearly all neighbours
    compress_from: Annotated[int, Field(ge=0)]  # images of train; as many or more are searched by
    code_bytes: Annotated[int, Field(ge=4, le=64)]  # codes of so many bytes an image
    recall: Annotated[float, Field(gt=0, le=1)]  # the share of them that is enough


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Find the k nearest images of `train` of every image of the cell's features; itself left out.

    Nearest first. The metrics say how well the search went and how uneven neighbourhoods are
    (hubness). No label is read.
    """
    found = store.Features(cell.features)
    train = train_rows(found)
    if len(train) < 2:
        raise StageError(
            f"{found.dataset} has {len(train)} images in train: neighbours need two or more"
        )
    k = min(params.k, len(train) - 1)
    if k < params.k:
        print(f"neighbors: {found.dataset} has {len(train)} images in train, so {k} neighbours")
    table, recall, remove = _search(cell, found, train, k, params, runtime)
    hubs = hubness(table.neighbor[train, :HUBS_AT], len(train))
    of_train = found.row[train].astype(np.int32)
    for start in range(0, len(found), BLOCK):
        here = slice(start, start + BLOCK)
        table.neighbor[here] = of_train[table.neighbor[here]]
    store.save(
        cell.neighbors,
        "neighbors",
        {
            "row": found.row,
            "split": found.split,
            "neighbor": table.neighbor,
            "similarity": table.similarity,
        },
        {
            "dataset": found.dataset,
            "backbone": found.backbone,
            "metric": params.metric,
            "splits": found.splits,
            "dim": found.dim,
            "recall": recall,
        },
    )
    remove()
    facts = {
        "recall": recall,
        "first_similarity": float(table.similarity[train, 0].mean(dtype=np.float64)),
        "hubness": hubs.skewness,
        "largest_hub": hubs.largest,
        "nobodys_neighbor": hubs.antihubs,
    }
    return facts


def _search(
    cell: Cell, found: store.Features, train: np.ndarray, k: int, params: Params, runtime: Runtime
) -> tuple[Neighbors, float, Callable[[], object]]:
    """The neighbours, of the images of train by their place among these; their recall; and what
    removes the files that are kept until they are saved."""
    own = np.full(len(found), -1, np.int64)
    own[train] = np.arange(len(train))
    wanted: dict[str, Any] = {"metric": params.metric, "own": own}

    def nothing() -> None: ...

    with tqdm(total=len(found), desc="neighbors", disable=None, unit="img") as bar:
        wanted["progress"] = bar.update
        if len(train) <= params.exact_up_to:
            return _exact(found, train, k, wanted, runtime), 1.0, nothing
        wanted |= {"recall": params.recall, "sample": SAMPLE, "seed": SEED}
        if len(train) < params.compress_from:
            rows, device = cached(found, runtime.memory_gb), torch_device(runtime.device)
            wanted |= {"device": device, "stored": found.dtype}
            return *approximate_neighbors(rows, Subset(rows, train), k, **wanted), nothing
        bar.total = len(found) + len(train)  # which are encoded first
        kept = Kept(cell.neighbors, "codes", _follows_from(found, k, params))
        table = Neighbors(*(kept.mapped(*each, (len(found), k)) for each in DTYPES.items()))
        wanted["code_bytes"] = params.code_bytes
        recall = _by_codes(found, train, k, kept, table, wanted, runtime)
    if recall < params.recall:
        print(
            f"neighbors: a recall of {recall:.3f} is reached, {params.recall:g} asked for: "
            "raise neighbors.code_bytes, or neighbors.compress_from where memory allows"
        )
    return table, recall, kept.remove


def _exact(
    found: store.Features, train: np.ndarray, k: int, wanted: dict[str, Any], runtime: Runtime
) -> Neighbors:
    """wanted: what searches take by name."""
    if runtime.engine == "ray":
        return neighbors_on_ray(found.path, k=k, runtime=runtime, **wanted)
    rows, device = cached(found, runtime.memory_gb), torch_device(runtime.device)
    return nearest_neighbors(rows, Subset(rows, train), k, device=device, **wanted)


def _by_codes(
    found: store.Features,
    train: np.ndarray,
    k: int,
    kept: Kept,
    out: Neighbors,
    wanted: dict[str, Any],
    runtime: Runtime,
) -> float:
    """Writes the neighbours to `out`; returns their recall."""
    wanted = {**wanted, "device": torch_device(runtime.of_driver().device)}
    if runtime.engine == "ray":
        return neighbors_by_codes_on_ray(found.path, k, kept, out, runtime, **wanted).share
    rows = cached(found, runtime.memory_gb)
    among = Subset(rows, train)
    _, effort = compressed_neighbors(rows, among, k, keep=kept.keep, out=out, **wanted)
    return effort.share


def _follows_from(found: store.Features, k: int, params: Params) -> dict[str, object]:
    said = params.model_dump(mode="json", include={"metric", "recall", "code_bytes"})
    return {**said, "k": k, "encoder": found.encoder, "id": found.id, "split": found.split}


if __name__ == "__main__":
    run(main, "neighbors")
