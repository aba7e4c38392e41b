"""Embed every image of a dataset once with one frozen backbone, into its feature store."""

import csv
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic

import backbones
from images.augment import Augmentation
from pipeline.embedding.embedder import Embedder
from pipeline.embedding.fill import fill_store, finish_without
from pipeline.embedding.index import read_index
from pipeline.embedding.views import save_views
from pipeline.io.whole import whole_text, write_json
from pipeline.params import Runtime, Section, StageError
from pipeline.ray.embed import RayEmbedder
from stages import run


class Params(Section):
    unreadable: Literal["error", "skip"]
    views: int = pydantic.Field(ge=0)
    augment: Augmentation


def main(
    backbone: str,
    index: Path,
    features: Path,
    views: Path,
    unreadable: Path,
    timing: Path,
    params: Params,
    runtime: Runtime,
) -> None:
    """Embed the images of INDEX with BACKBONE into folder FEATURES.

    BACKBONE is a row of backbones/zoo.yaml, or the folder of one that stage adapt has trained.
    Images that this backbone embedded before are copied, by the digest of their bytes. A killed run
    goes on where it was. Images that cannot be read are listed in UNREADABLE (csv); with
    `unreadable: error` the stage then ends with an error after all others are stored, with `skip`
    it leaves them out. Folder VIEWS gets the augmented views that `views` and `augment` ask for,
    of the same images, a store each. Where the time went is written to TIMING (json).
    """
    row = backbones.row(backbone)
    found = read_index(index)
    names, dataset, plan = found.name, found.dataset, found.plan(row)
    load = partial(backbones.load, backbone)
    embedder = (
        RayEmbedder(row, dataset, names, runtime, load)
        if runtime.engine == "ray"
        else Embedder(row, dataset, names, runtime, load, runtime.share_decoding - 1)
    )
    reasons = fill_store(features, plan, embedder)
    _list_unreadable(unreadable, names, reasons)
    centre = embedder.embedded
    if reasons and (params.unreadable == "error" or len(reasons) == len(names)):
        first = min(reasons)
        raise StageError(
            f"{len(reasons)} of {len(names)} images cannot be read, the first is {names[first]} "
            f"({reasons[first]}); {unreadable} lists them and all others are stored: "
            "mend or remove them, or set embed.unreadable: skip"
        )
    plan = finish_without(features, plan, reasons)
    save_views(views, plan, params.views, params.augment, embedder)
    counts = {
        "images": len(names),
        "embedded": centre,
        "unreadable": len(reasons),
        "views": params.views,
        "views_embedded": embedder.embedded - centre,
    }
    _report(timing, counts, embedder.spent)


def _list_unreadable(path: Path, names: np.ndarray, reasons: dict[int, str]) -> None:
    with whole_text(path) as file:
        rows = [(names[at], reasons[at]) for at in sorted(reasons)]
        csv.writer(file).writerows([("name", "reason"), *rows])


def _report(timing: Path, counts: dict[str, int], spent: dict[str, float]) -> None:
    """Where the time went: a line for the user, a metric for `dvc metrics`."""
    total, centre, more = (counts[name] for name in ("images", "embedded", "views_embedded"))
    views = f", {more} for {counts['views']} augmented views" if counts["views"] else ""
    seconds = {what: round(value, 2) for what, value in spent.items()}
    rate = round((centre + more) / spent["wall"], 1) if centre + more else 0.0
    print(
        f"embed: {centre} embedded, {total - centre} reused, {counts['unreadable']} unreadable"
        f"{views}; {rate} images/s "
        f"({', '.join(f'{what} {value} s' for what, value in seconds.items())}; these overlap)"
    )
    facts = {**counts, "images_per_second": rate, "seconds": seconds}
    write_json(timing, facts)


if __name__ == "__main__":
    run(main)
