"""Embed every image of a dataset once with one backbone, into the feature store of the cell."""

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic

import backbones
import store
from images.augment import Augmentation
from pipeline.embedding.embedder import Embedder
from pipeline.embedding.imported import Copier
from pipeline.embedding.views import no_views, save_views
from pipeline.io.absent import Absent, unmark
from pipeline.io.cell import Cell
from pipeline.io.origin import Imported, base_name, encoder_of, read_origin
from pipeline.io.vectors import is_vectors
from pipeline.io.whole import whole_text
from pipeline.params import Runtime, Section, StageError, read_params
from pipeline.ray.embed import RayEmbedder
from stages import run

Fill = Callable[[store.FeatureWriter, str], dict[int, str]]


class Params(Section):
    unreadable: Literal["error", "skip"]
    views: int = pydantic.Field(ge=0)
    augment: Augmentation
    skip: dict[str, list[str]]  # cells that are left out: backbones by dataset


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Embed the images of DATASET with BACKBONE, or copy vectors that were computed elsewhere.

    Images that this backbone embedded before are copied, by the digest of their bytes. A killed run
    goes on where it was. Images that cannot be read are listed in unreadable.csv; with
    `unreadable: error` the stage then ends with an error after all others are stored, with `skip`
    it leaves them out. The folder of views gets the augmented ones that `views` and `augment` ask
    for, of the same images, a store each. The metrics say where the time went.
    """
    origin = read_origin(cell.backbone)
    _require_possible(cell, origin, params)
    unmark([cell.features, cell.views])
    with store.read(cell.images, "index") as file:
        names, digests, split = (file[name] for name in ("name", "digest", "split"))
        splits = file.attrs["splits"]
    order = np.arange(len(names))
    encoder = encoder_of(origin, cell.dataset)
    plan = store.Plan(cell.dataset, cell.backbone, encoder, 0, splits, digests, order, split)
    if isinstance(origin, Imported):
        return _copy(cell, plan, names, origin, params)
    plan = plan._replace(dim=origin.dim)
    load = partial(backbones.load, base_name(cell.backbone))
    embedder = (
        RayEmbedder(origin, cell.dataset, names, runtime, load)
        if runtime.engine == "ray"
        else Embedder(origin, cell.dataset, names, runtime, load, runtime.share_decoding - 1)
    )
    reasons = _fill(cell, plan, names, embedder.fill, params)
    centre = embedder.embedded
    if reasons:
        plan = plan.keep(np.delete(order, list(reasons)))
    save_views(cell.views, plan, params.views, params.augment, embedder)
    counts = {
        "images": len(names),
        "embedded": centre,
        "unreadable": len(reasons),
        "views": params.views,
        "views_embedded": embedder.embedded - centre,
    }
    return _facts(counts, embedder.spent)


def _require_possible(cell: Cell, origin: backbones.Backbone | Imported, params: Params) -> None:
    """Raise Absent where there is no such cell."""
    if cell.backbone in params.skip.get(cell.dataset, []):
        raise Absent("left out by embed.skip")
    if isinstance(origin, Imported):
        if cell.dataset not in origin.sources:
            raise Absent(f"no vectors of it were imported as {cell.backbone}")
    elif is_vectors(read_params(f"datasets.{cell.dataset}")):
        raise Absent(f"it has no pictures that {cell.backbone} could embed")


def _copy(
    cell: Cell, plan: store.Plan, names: np.ndarray, origin: Imported, params: Params
) -> dict[str, Any]:
    """Store imported vectors; there are no views of them."""
    no_views(cell.views)
    copier = Copier(origin.sources[cell.dataset], names)
    plan = plan._replace(dim=copier.dim(cell.features, plan.encoder))
    reasons = _fill(cell, plan, names, copier.fill, params)
    counts = {"images": len(names), "embedded": copier.embedded, "unreadable": len(reasons)}
    return _facts({**counts, "views": 0, "views_embedded": 0}, copier.spent)


def _fill(
    cell: Cell, plan: store.Plan, names: np.ndarray, fill: Fill, params: Params
) -> dict[int, str]:
    """Fill the feature store; returns why images are not in it, by row of the index."""
    table = cell.metric("unreadable.csv")
    with store.FeatureWriter(cell.features, plan) as writer:
        reasons = fill(writer, f"embed {cell.backbone}")
        _list_unreadable(table, names, reasons)
        if not reasons:
            writer.finish()
    if reasons and (params.unreadable == "error" or len(reasons) == len(names)):
        first = min(reasons)
        raise StageError(
            f"{len(reasons)} of {len(names)} images cannot be read, the first is {names[first]} "
            f"({reasons[first]}); {table} lists them and all others are stored: "
            "mend or remove them, or set embed.unreadable: skip"
        )
    if reasons:
        with store.FeatureWriter(
            cell.features, plan.keep(np.delete(plan.row, list(reasons)))
        ) as writer:
            writer.finish()
    return reasons


def _list_unreadable(path: Path, names: np.ndarray, reasons: dict[int, str]) -> None:
    with whole_text(path) as file:
        rows = [(names[at], reasons[at]) for at in sorted(reasons)]
        csv.writer(file).writerows([("name", "reason"), *rows])


def _facts(counts: dict[str, int], spent: dict[str, float]) -> dict[str, Any]:
    """Where the time went: a line for the user, facts for `dvc metrics`."""
    total, centre, more = (counts[name] for name in ("images", "embedded", "views_embedded"))
    views = f", {more} for {counts['views']} augmented views" if counts["views"] else ""
    seconds = {what: round(value, 2) for what, value in spent.items()}
    rate = round((centre + more) / spent["wall"], 1) if centre + more else 0.0
    print(
        f"embed: {centre} embedded, {total - centre} reused, {counts['unreadable']} unreadable"
        f"{views}; {rate} images/s "
        f"({', '.join(f'{what} {value} s' for what, value in seconds.items())}; these overlap)"
    )
    return {**counts, "images_per_second": rate, "seconds": seconds}


if __name__ == "__main__":
    run(main, "features", "views", lambda cell: [cell.metric("unreadable.csv")])
