"""Embed every image of a dataset once with one backbone, into the feature store of the cell."""

import csv
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pydantic

import backbones
import store
from images.augment import Augmentation
from pipeline.embedding.embedder import Embedder
from pipeline.embedding.fill import Fill, fill_store, finish_without
from pipeline.embedding.imported import Copier
from pipeline.embedding.ray_embedder import RayEmbedder
from pipeline.embedding.views import no_views, save_views
from pipeline.indexing.index import Index, read_index
from pipeline.indexing.vectors import is_vectors
from pipeline.io.absent import Absent, unmark
from pipeline.io.cell import Cell
from pipeline.io.origin import Imported, base_name, dtype_of, read_origin
from pipeline.io.whole import whole_text
from pipeline.params import Runtime, Section, StageError, read_params
from stages import run


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
    found = read_index(cell.images)
    if isinstance(origin, Imported):
        return _copy(cell, found, origin, params)
    names, dtype = found.name, dtype_of(cell.backbone)
    plan = found.plan(cell.backbone, origin.digest, origin.dim, dtype)
    load = partial(backbones.load, base_name(cell.backbone))
    embedder = (
        RayEmbedder(origin, cell.dataset, names, runtime, load)
        if runtime.engine == "ray"
        else Embedder(origin, cell.dataset, names, runtime, load, runtime.share_decoding - 1)
    )
    plan, reasons = _fill(cell, found, plan, embedder.fill, params)
    centre = embedder.embedded
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


def _copy(cell: Cell, found: Index, origin: Imported, params: Params) -> dict[str, Any]:
    """Store imported vectors; there are no views of them."""
    no_views(cell.views)
    copier = Copier(origin, found, cell.features)
    plan = found.plan(cell.backbone, copier.encoder, copier.dim, origin.dtype)
    _, reasons = _fill(cell, found, plan, copier.fill, params)
    counts = {"images": len(found.name), "embedded": copier.embedded, "unreadable": len(reasons)}
    return _facts({**counts, "views": 0, "views_embedded": 0}, copier.spent)


def _fill(
    cell: Cell, found: Index, plan: store.Plan, fill: Fill, params: Params
) -> tuple[store.Plan, dict[int, str]]:
    """Fill the feature store; the plan of what is in it, and why the other images are not."""
    reasons = fill_store(cell.features, plan, fill, f"embed {cell.backbone}")
    table = _list_unreadable(cell, found.name, reasons)
    if reasons and (params.unreadable == "error" or len(reasons) == len(found.name)):
        first = min(reasons)
        raise StageError(
            f"{len(reasons)} of {len(found.name)} images cannot be read, the first is "
            f"{found.name[first]} ({reasons[first]}); {table} lists them and all others are "
            "stored: mend or remove them, or set embed.unreadable: skip"
        )
    return finish_without(cell.features, plan, reasons), reasons


def _list_unreadable(cell: Cell, names: store.Text, reasons: dict[int, str]) -> Path:
    path = cell.metric("unreadable.csv")
    with whole_text(path) as file:
        rows = [(names[at], reasons[at]) for at in sorted(reasons)]
        csv.writer(file).writerows([("name", "reason"), *rows])
    return path


def _facts(counts: dict[str, int], spent: dict[str, float]) -> dict[str, Any]:
    """Where the time went: a line for the user, facts for the report."""
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
