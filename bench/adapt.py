"""Adapting the last block of a ViT: the frozen blocks' output cached, or recomputed.

An epoch of gcd on photographs of 400 x 500 pixels at 224, two of `views` seeded views a step: by
turns, medians and the `least` and `most` of the rounds, on all cores. `cpu_ratio` is that of the
time of all cores, which other programs on the machine change less. `recomputed` runs
the frozen blocks on onnxruntime, as `embed` does, while a step trains. `fill` is the time to store
all views once, `pays_after` the epochs after which it pays off. Losses and trained weights of both
have to be equal to the bit. Weights are untrained, and the stored tokens fit in the page cache:
only a disk that reads fewer than `mb_s` would be slower.
"""

import time
import warnings
from collections.abc import Callable
from contextlib import chdir, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from lightning_fabric import Fabric
from PIL import Image

import backbones
import images
import store
from backbones import blocks
from cluster.objectives.gcd import Gcd
from cluster.vectors.standardize import identity_scale
from pipeline.adapting import settings
from pipeline.adapting.loop import train
from pipeline.adapting.model import Model
from pipeline.adapting.state import EpochLog
from pipeline.adapting.tokens import Collection, Source, cached, pixels, recomputed
from pipeline.params import Runtime

PACKAGES = ("numpy", "torch", "timm", "onnxruntime", "lightning-fabric")
IMAGES, HEIGHT, WIDTH, CLASSES = 96, 400, 500, 8
BACKBONES = ("timm_vit_small_patch16_224", "timm_vit_base_patch16_224")
VIEWS, BATCH, ROUNDS = 4, 32, 3
HEADS = {"hidden": 512, "bottleneck": 256, "width": 4096}
RUNTIME = Runtime(
    device="cpu", workers=0, batch_size=32, memory_gb=8.0, gpus=1,
    share_decoding=1, engine="local", ray_address="local",
)  # fmt: skip


class _Unsaved(NamedTuple):
    """In the place of a checkpoint: an epoch need not save any."""

    resume: None = None

    def offer(self, state: Callable[[], Any]) -> None:
        """Decline it."""

    def save(self, state: Any) -> None:
        """Nothing."""


def run() -> list[dict[str, Any]]:
    """One row a backbone."""
    settings_of_all = yaml.safe_load(settings.TEMPLATES.read_text())["gcd"]
    with TemporaryDirectory() as name, chdir(name):
        spec = {"from": "folder", "root": f"{name}/photos", "tree": "class"}
        Path("params.yaml").write_text(yaml.safe_dump({"datasets": {"photos": spec}}))
        listing = photographs(spec)
        return [compare(backbone, settings_of_all, spec, listing) for backbone in BACKBONES]


def photographs(spec: dict[str, str]) -> images.Listing:
    """JPEG files of noise on a slope of colours, in folders of classes."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[0 : 1 : HEIGHT * 1j, 0 : 1 : WIDTH * 1j][..., None]
    for number in range(IMAGES):
        folder = Path(spec["root"], str(number % CLASSES))
        folder.mkdir(parents=True, exist_ok=True)
        first, second, third = rng.uniform(0, 255, (3, 3))
        picture = first + (second - first) * down + (third - first) * across
        picture = picture + rng.normal(0, 12, picture.shape)
        pixel = picture.clip(0, 255).astype(np.uint8)
        Image.fromarray(pixel).save(folder / f"{number}.jpg", quality=90)
    return images.list_images(spec)


def compare(
    backbone: str, plain: dict[str, Any], spec: dict[str, str], listing: images.Listing
) -> dict[str, Any]:
    """Seconds of an epoch of each, by turns; raises unless they learn the same."""
    row = replace(backbones.row(backbone), name=f"{backbone}_untrained", weights="none")
    run = settings.Gcd.model_validate({
        **plain, **HEADS, "objective": "gcd", "dataset": "photos", "backbone": row.name,
        "learns_from": settings.KNOWN, "center": False,
        "views": VIEWS, "batch": BATCH, "epochs": 1,
    })  # fmt: skip
    read = images.open_images(spec)
    id = np.stack([np.frombuffer(images.digest(read(name)), np.uint8) for name in listing.names])
    of = Collection(
        np.array(listing.names),
        store.Plan(
            "photos", row.name, row.digest, row.dim, ["train"],
            id, np.arange(IMAGES), np.zeros(IMAGES, np.uint8),
        ),
    )  # fmt: skip
    label = np.where(np.arange(IMAGES) % 2, listing.labels, -1)
    cut = blocks.cut(row, blocks.build(row), run.train_blocks)
    frozen = Path("frozen")
    began = time.perf_counter()
    with redirect_stdout(StringIO()):
        stored = cached(cut.trunk, row, of, run, Gcd.slots, frozen, RUNTIME, "cpu")
    fill = time.perf_counter() - began
    sources = {
        "recomputed": recomputed(cut.trunk, pixels(row, of, run, RUNTIME), row, "cpu"),
        "cached": stored,
    }
    seconds: dict[str, list[float]] = {name: [] for name in sources}
    cpu: dict[str, list[float]] = {name: [] for name in sources}
    for seed in range(ROUNDS):
        learned = {}
        for name, source in sources.items():
            begin = run.model_copy(update={"seed": seed})
            learned[name], wall, cores = epoch(row, source, begin, label)
            seconds[name].append(wall)
            cpu[name].append(cores)
        require_same(**learned)
    ratios = [a / b for a, b in zip(seconds["recomputed"], seconds["cached"], strict=True)]
    ways = {name: median(values) for name, values in seconds.items()}
    size = sum(file.stat().st_size for file in frozen.glob(f"*/{row.name}-*/*/shard-*"))
    each = size / VIEWS * len(Gcd.slots)  # bytes an epoch
    return {
        "backbone": backbone, "images": IMAGES, "views": VIEWS, "batch": BATCH,
        **{f"{name}_s": round(value, 2) for name, value in ways.items()},
        "recomputed/cached": round(ways["recomputed"] / ways["cached"], 2),
        "least": round(min(ratios), 2), "most": round(max(ratios), 2),
        "cpu_ratio": round(median(cpu["recomputed"]) / median(cpu["cached"]), 2),
        "fill_s": round(fill, 1),
        "pays_after": round(fill / (ways["recomputed"] - ways["cached"]), 1),
        "stored_mb": round(size / 1e6), "mb_s": round(each / 1e6 / ways["cached"]),
        "loss": "same",
    }  # fmt: skip


def epoch(
    row: backbones.Backbone, source: Source, run: settings.Gcd, label: np.ndarray
) -> tuple[tuple[EpochLog, list[torch.Tensor]], float, float]:
    """The log and the weights after one epoch from the same start, its seconds, and those of all
    cores together."""
    cut = blocks.cut(row, blocks.build(row), run.train_blocks)
    gcd = Gcd(
        label, row.dim, **HEADS, temperature=run.temperature, batch=BATCH, seed=run.seed,
        label_temperature=run.label_temperature, supervised=run.supervised, device="cpu",
    )  # fmt: skip
    model = Model(cut.tail, gcd, identity_scale(row.dim))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Fabric, about this machine
        fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
        fabric.launch()
    before, cores = time.perf_counter(), time.process_time()
    log = train(fabric, model, gcd, source, run, IMAGES, _Unsaved(), "bench", lambda log: None)
    wall, cores = time.perf_counter() - before, time.process_time() - cores
    trained = [value.detach() for value in model.parameters() if value.requires_grad]
    return (log, trained), wall, cores


def require_same(
    recomputed: tuple[EpochLog, list[torch.Tensor]], cached: tuple[EpochLog, list[torch.Tensor]]
):
    """Raise unless both learned the same, bit by bit."""
    if recomputed[0].columns != cached[0].columns or (recomputed[0].rows != cached[0].rows).any():
        raise SystemExit(f"losses differ: recomputed {recomputed[0].rows}, cached {cached[0].rows}")
    if not all(map(torch.equal, recomputed[1], cached[1])):
        raise SystemExit("recomputed and cached have equal losses and other trained weights")
