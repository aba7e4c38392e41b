"""Tokens, the inputs of the trained blocks: outputs of the frozen blocks for views of images.

Frozen blocks are a fixed function, so that their outputs for some seeded views can be stored once
(`cached`), in a feature store whose vectors are the flattened tokens; or they are computed again in
every step (`recompute`). Both are float16 and come from the same encoder, so that training is equal
to the bit. If every block is trained, nothing is frozen, and the inputs are pixels, uint8.
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import backbones
import store
from backbones.engine import encoder
from pipeline.adapting.settings import Run
from pipeline.embedding.embedder import Embedder
from pipeline.embedding.pictures import Alter, Names, Pictures, altered
from pipeline.embedding.views import view_digest
from pipeline.params import Runtime, StageError, count_cores

# From the kind of view (view, strong, centre), indices among the images of train and numbers of
# views (int64 [image] each): float16 [image, ...] tokens, or uint8 [image, side, side, 3]
Source = Callable[[str, np.ndarray, np.ndarray], torch.Tensor]
SHOWN = ("view", "strong", "centre")


class Collection(NamedTuple):
    """names: of all images of the index; plan: of a store of the images of train, whose encoder
    and dim are still to be set."""

    names: Names
    plan: store.Plan


def pixels(row: backbones.Backbone, of: Collection, run: Run, runtime: Runtime) -> Source:
    """A source of pixels, decoded in threads."""
    opened = Pictures(row, of.plan.dataset, of.names, runtime.memory_gb)
    shown = {where: opened.seen_by(_seen(row, where)) for where in SHOWN}
    pool = ThreadPoolExecutor(runtime.workers or count_cores(), thread_name_prefix="decode")

    def picture(kind: str, image: int, view: int) -> np.ndarray:
        alter = _alter(kind, view, run, row)
        return shown[kind](int(of.plan.row[image]), of.plan.id[image], alter)

    def read(kind: str, image: np.ndarray, view: np.ndarray) -> torch.Tensor:
        each = pool.map(picture, [kind] * len(image), image.tolist(), view.tolist())
        return torch.from_numpy(np.stack(list(each)))

    return read


def recomputed(
    trunk: torch.nn.Module, read: Source, row: backbones.Backbone, device: str
) -> Source:
    """A source that computes the tokens of the pixels from `read`."""
    shape = token_shape(trunk, row)
    encode = encoder(_Flat(trunk), _wide(row, shape), device)

    def tokens(kind: str, image: np.ndarray, view: np.ndarray) -> torch.Tensor:
        with np.errstate(over="ignore"):
            found = encode(read(kind, image, view).numpy()).astype(np.float16)
        if not np.isfinite(found).all():
            raise StageError(
                f"the frozen blocks of {row.name} output NaN, infinity or more than float16 can "
                "hold (65504): train another number of blocks"
            )
        return torch.from_numpy(found).view(-1, *shape)

    return tokens


def cached(
    trunk: torch.nn.Module,
    row: backbones.Backbone,
    of: Collection,
    run: Run,
    kinds: Sequence[str],
    folder: Path,
    runtime: Runtime,
    device: str,
) -> Source:
    """A source that reads tokens stored below FOLDER, and stores them first if they are missing.

    Raises StageError when the disk is too small for them, before anything is stored.
    """
    shape = token_shape(trunk, row)
    wide = _wide(row, shape)
    encode = cache(lambda where: encoder(_Flat(trunk), wide, device))
    embedders = {
        kind: Embedder(
            *(_seen(wide, kind), of.plan.dataset, of.names, runtime, encode),
            way_out="train another number of blocks",
        )
        for kind in kinds
    }
    place = folder / of.plan.dataset / f"{row.name}-{run.train_blocks}"
    wanted = dict[tuple[str, int], tuple[Path, store.Plan]]()
    for kind in dict.fromkeys(kinds):
        for view in range(1 if kind == "centre" else run.views):
            digest = view_digest(_cut_digest(row, run, shape), _augment(kind, run), view)
            plan = of.plan._replace(encoder=digest, dim=wide.dim, backbone=row.name)
            wanted[kind, view] = place / _name(kind, view, run), plan
    missing = [path for path, plan in wanted.values() if not _is_there(path, plan)]
    _require_disk_space(missing, len(of.plan.id) * wide.dim * 2, folder)
    for (kind, view), (path, plan) in wanted.items():
        if path not in missing:  # processes of several GPUs may read it, but only one may write
            continue
        with store.FeatureWriter(path, plan) as writer:
            alter = _alter(kind, view, run, row)
            if reasons := embedders[kind].fill(writer, f"frozen blocks {path.name}", alter):
                raise StageError(
                    f"{len(reasons)} of {len(plan.id)} images can no longer be read "
                    f"({reasons[min(reasons)]}): run `dvc repro embed`"
                )
            writer.finish()
    stores = {key: store.Features(path) for key, (path, _) in wanted.items()}

    def tokens(kind: str, image: np.ndarray, view: np.ndarray) -> torch.Tensor:
        out = np.empty((len(image), wide.dim), np.float16)
        for number in np.unique(view):
            here = np.flatnonzero(view == number)
            out[here] = stores[kind, int(number)].take(image[here], np.float16)
        return torch.from_numpy(out).view(-1, *shape)

    return tokens


def numbers(kinds: Sequence[str], n: int, views: int, seed: int, step: int) -> np.ndarray:
    """The numbers of the views that the slots show in a step: int64 [slot, image]. Slots show two
    different views of an image, out of `views`, or new ones in every step if that is 0."""
    if not views:
        fresh = step * len(kinds) + np.arange(len(kinds))
        out = np.repeat(fresh[:, None], n, axis=1)
    else:
        rng = np.random.default_rng([seed, step, 5])
        first = rng.integers(views, size=n)
        apart = np.stack([first, (first + 1 + rng.integers(max(1, views - 1), size=n)) % views])
        out = apart[np.arange(len(kinds)) % 2]
    out[[kind == "centre" for kind in kinds]] = 0
    return out


def token_shape(trunk: torch.nn.Module, row: backbones.Backbone) -> tuple[int, ...]:
    """The shape of the tokens of one image."""
    side = row.input.size
    with torch.inference_mode():
        return tuple(trunk.cpu().eval()(torch.zeros(1, 3, side, side)).shape[1:])


class _Flat(torch.nn.Module):
    def __init__(self, trunk: torch.nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.trunk(x).flatten(1)


def _wide(row: backbones.Backbone, shape: tuple[int, ...]) -> backbones.Backbone:
    return replace(row, dim=int(np.prod(shape)))


def _seen(row: backbones.Backbone, kind: str) -> backbones.Backbone:
    """Augmented views have been cropped to the input size, so they are not cropped again."""
    if kind == "centre":
        return row
    return replace(row, input=replace(row.input, resize=row.input.size))


def _augment(kind: str, run: Run) -> str:
    return run.augment if kind == "view" else kind


def _alter(kind: str, view: int, run: Run, row: backbones.Backbone) -> Alter | None:
    if kind == "centre":
        return None
    return altered("strong" if kind == "strong" else run.augment, view, row)


def _name(kind: str, view: int, run: Run) -> str:
    return kind if kind == "centre" else f"{_augment(kind, run)}-{view}"


def _cut_digest(row: backbones.Backbone, run: Run, shape: tuple[int, ...]) -> str:
    facts = f"{row.digest} {run.train_blocks} {shape}"
    return hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()


def _is_there(path: Path, plan: store.Plan) -> bool:
    """Whether a store holds the planned tokens; weights or images may have changed since."""
    try:
        found = store.Features(path)
    except store.StoreError:  # incomplete: the writer resumes it
        return False
    return found.encoder == plan.encoder and np.array_equal(found.id, plan.id)


def _require_disk_space(missing: Sequence[Path], each: int, folder: Path) -> None:
    """Print the size of the missing tokens; raise StageError if the disk is too small for them."""
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    there = sum(file.stat().st_size for path in missing for file in path.glob("shard-*"))
    wanted, free = len(missing) * each, shutil.disk_usage(folder).free
    print(
        f"outputs of the frozen blocks for {len(missing)} views: {wanted / 1e9:.2f} GB in {folder} "
        f"({free / 1e9:.2f} GB are free)"
    )
    if wanted - there > free:
        raise StageError(
            f"{folder} has {free / 1e9:.2f} GB free, {wanted / 1e9:.2f} GB are needed for "
            f"{len(missing)} views: free disk space, set fewer views, or frozen_features: recompute"
        )
