"""Embed a folder of pictures from Python, without a params.yaml: what `index` and `embed` do.

The files are those of these stages, below one folder: `images.h5` lists the pictures, and
`BACKBONE/features/` is the feature store of each backbone.
"""

import sys
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

import backbones
import images
import store
from pipeline.embedding.embedder import Embedder
from pipeline.embedding.fill import fill_store, finish_without
from pipeline.indexing.digests import digests
from pipeline.indexing.index import save_index
from pipeline.params import Runtime, StageError


class Embedded(NamedTuple):
    """features: the store, float32 rows [image, dim]; names: str [image], the path of each row's
    picture below the folder; new: how many pictures the backbone was shown now, the others were
    stored already; unreadable: pictures that are left out, and why."""

    features: store.Features
    names: np.ndarray
    new: int
    unreadable: dict[str, str]


def embed_folder(
    root: str | Path,
    backbone: str,
    to: str | Path,
    *,
    device: str = "auto",
    batch_size: int = 0,
    workers: int = 0,
    dtype: Literal["float16", "float32"] = "float16",
) -> Embedded:
    """Embed every picture under folder `root` by `backbone`, a row of backbones/zoo.yaml or the
    folder of an adapted one, into stores below folder `to`, which is for the pictures of one root.

    Run again, it embeds only pictures that are new: vectors are found by the digest of a picture's
    bytes, so that it may be renamed or moved. A killed run goes on where it was. device: cpu, cuda,
    cuda:1, or auto for a GPU if there is one; batch_size: pictures a forward pass; workers: threads
    that decode, 0 for one a core. These three are those of `runtime` in params.yaml. dtype: that
    the features are stored in.

    Raises ImagesError: no folder, or no pictures in it; BackboneError: no such backbone, or its
    weights cannot be had; StageError: no picture can be read; StoreError: a full disk, or another
    process that writes there, or features that float16 would spoil.
    """
    root, to, row = Path(root).expanduser(), Path(to).expanduser(), backbones.row(backbone)
    spec = {"from": "folder", "root": str(root)}
    path, listing = to / "images.h5", images.list_images(spec)
    for note in listing.notes:
        print(f"{root}: {note}", file=sys.stderr)
    runtime = Runtime.model_validate({
        "device": device, "batch_size": batch_size, "workers": workers, "memory_gb": "auto",
        "gpus": 1, "share_decoding": 1, "engine": "local", "ray_address": "local",
    })  # fmt: skip
    digest = digests(spec, listing.names, path.with_suffix(".seen.h5"), runtime)
    index = save_index(path, root.resolve().name, listing, digest)
    embedder = Embedder(
        row, spec, index.name, runtime, lambda device: backbones.load(backbone, device),
        way_out='give embed_folder dtype="float32"',
    )  # fmt: skip
    features = to / row.name / "features"
    plan = index.plan(row.name, row.digest, row.dim, dtype)
    reasons = fill_store(features, plan, embedder.fill, f"embed {row.name}")
    if len(reasons) == len(plan.id):
        raise StageError(
            f"none of the {len(reasons)} pictures in {root} can be read, the first is "
            f"{index.name[0]}: {reasons[0]}"
        )
    plan = finish_without(features, plan, reasons)
    unreadable = {index.name[at]: reason for at, reason in sorted(reasons.items())}
    found = store.Features(features)
    return Embedded(found, index.name[found.row], embedder.embedded - len(reasons), unreadable)
