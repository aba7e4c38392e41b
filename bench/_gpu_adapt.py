"""An epoch of `adapt simgcd` on ViT-B/16 of drawn weights, from JPEG files, two views each.

The settings are those of recipes/objectives.yaml, with new views in every step, so that nothing is
stored before. Its ceilings: the views that all cores decode and augment, and the operations of the
network, of which those of the trained blocks count three times.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from bench._alone import Row, row
from bench._gpu_embed import DIFFERENT, operations, untrained
from bench._gpu_timing import Clock, ceilings, once


class Sizes(NamedTuple):
    images: int
    batch: int
    k: int
    model: str
    dim: int
    side: int


FULL = Sizes(10_000, 128, 100, "vit_base_patch16_224", 768, 224)
TINY = Sizes(16, 4, 4, "test_vit", 64, 160)


class _Unsaved(NamedTuple):
    """In the place of a checkpoint: an epoch need not save any."""

    resume: None = None

    def offer(self, state: Callable[[], Any]) -> None:
        """Decline it."""

    def save(self, state: Any) -> None:
        """Nothing."""


def rows(device: str, sizes: Sizes, clock: Clock) -> Iterator[Row]:
    import store
    from backbones import blocks
    from bench._photographs import copies
    from bench.embed import CORES, listed
    from cluster.objectives.simgcd import Settings, Simgcd
    from cluster.vectors.standardize import identity_scale
    from pipeline.adapting import settings
    from pipeline.adapting.loop import train
    from pipeline.adapting.model import Model
    from pipeline.adapting.run import fabric_of
    from pipeline.adapting.tokens import Collection, Source, pixels, recomputed
    from pipeline.params import Runtime

    of = untrained(sizes.model, sizes.dim, sizes.side)
    run = settings.Simgcd.model_validate({
        **settings.defaults()["simgcd"], "objective": "simgcd", "dataset": "photos",
        "backbone": of.name, "learns_from": settings.KNOWN, "k": sizes.k, "batch": sizes.batch,
        "epochs": 1, "views": 0, "frozen_features": "recompute", "center": False,
    })  # fmt: skip
    runtime = Runtime(
        device=device, workers=0, batch_size=0, memory_gb=8.0, gpus=1,
        share_decoding=1, engine="local", ray_address="local",
    )  # fmt: skip
    cut = blocks.cut(of, blocks.build(of), run.train_blocks)
    whole, trunk = (operations(each, sizes.side) for each in (blocks.build(of), cut.trunk))
    with TemporaryDirectory() as name, chdir(name):
        root = Path(name, "photographs")
        found = listed(root, copies(root, sizes.images, DIFFERENT, CORES))
        logs: list[Any] = []
        label = np.where(np.arange(sizes.images) % 2, np.arange(sizes.images) % (sizes.k // 2), -1)

        def reader(images: int) -> Source:
            plan = store.Plan(
                "photos", of.name, of.digest, of.dim, ["train"],
                found.id[:images], np.arange(images), np.zeros(images, np.uint8),
            )  # fmt: skip
            return pixels(of, Collection(found.names, plan), run, runtime)

        def epoch(images: int) -> tuple[float, np.ndarray]:
            """Its seconds, and the means of the losses."""
            simgcd = Simgcd(
                label[:images], of.dim, sizes.k,
                Settings(**{name: getattr(run, name) for name in Settings._fields}),
                unit=True, batch=run.batch, seed=run.seed, device=device,
            )  # fmt: skip
            model = Model(cut.tail, simgcd, identity_scale(of.dim))
            source = recomputed(cut.trunk, reader(images), of, device)
            more = images, _Unsaved(), "bench", logs.append
            took = once(lambda: train(fabric, model, simgcd, source, run, *more), device)
            return took, logs[-1].rows[-1]

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Fabric, about this machine
            fabric = fabric_of(run, device, runtime)
            few = min(sizes.images, 4 * sizes.batch)
            best = ceilings(device)  # not before: cuBLAS would not be deterministic
            epoch(few)  # kernels are loaded
            took, _ = epoch(few)
            read, at = reader(few), np.arange(few)
            seen = once(lambda: [read("view", at, at * 0 + view) for view in (0, 1)], "cpu")
            decode = few / seen
            what = "decoding and augmenting alone, two views"
            yield row(what, decode, "images/s", f"on {CORES} cores")
            number = clock.rounds(sizes.images, took / few, 0.8, least=few)
            taken, log = epoch(number)
    forward = 1 / best.seconds(2 * (whole + 2 * (whole - trunk)))
    yield row(
        "the operations alone", forward, "images/s", f"{1e-9 * whole:.3g} GFLOP forward, a view"
    )
    held = f"loss {log[1]:.3f}" + ": NOT finite" * (not np.isfinite(log).all())
    held += f"; bound by {'decoding' if decode < forward else 'operations'}"
    fewer = f" of {sizes.images:,}, for want of time" * (number < sizes.images)
    what = f"an epoch of {number:,} images{fewer}: {taken:.3g} s"
    yield row(what, number / taken, "images/s", held, device, min(decode, forward))
