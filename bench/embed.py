"""Embedding: the whole stage beside its two ceilings, engines on a CPU, shared decoding, threads.

Images/s on JPEG photographs of 400 x 534 pixels, which the bench makes; `ratio` is over what `over`
names: the median of rounds that go by turns, their `least` and `most`. The ceilings of a stage are
what it does alone, on all cores: to read, check, decode and cut the pictures, and to encode pixels
that are ready. On a CPU both want the same cores, so that no order of the work passes `both`,
1 / (1 / decode + 1 / forward); on a GPU the `smaller` of the two is the ceiling. A stage ends when
its store is verified and on the disk. Its vectors have to be what the encoder gives, engines have
to agree with eager float32 to 1e-3, and stores made together have to be byte for byte those made
apart. Weights of ViT-B/16, ResNet-50 and MobileNetV2 are drawn, not trained. OpenVINO is measured
where it is installed, torch.compile on one network, where there is a compiler of C++.
"""

from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import chdir, redirect_stdout
from functools import cache, partial
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import yaml

import backbones
import images
import store
from backbones import Backbone, Encoder, from_timm
from bench import _engines
from bench._photographs import photographs
from bench._rates import images_per_second, line
from pipeline.embedding.embedder import Embedder
from pipeline.io.cell import Cell
from pipeline.params import Runtime, count_cores

PACKAGES = ("numpy", "torch", "timm", "onnxruntime", "pillow")
CORES = count_cores()
FILES, CHUNK = 480, 8  # pictures on the disk, and those that a thread decodes in one go
STAGES = {"pixels": (1920, 3), "efficientnet_lite0": (320, 3), "vit_base": (32, 2)}  # and rounds
SHARED = {("pixels", "resnet18_small"): 320, ("pixels", "efficientnet_lite0"): 160}


class Pictures(NamedTuple):
    """What a dataset is to the stage: where its files lie, their names and digests."""

    spec: dict[str, Any]
    names: np.ndarray
    id: np.ndarray


def run() -> list[dict[str, Any]]:
    """Rows of four parts: stage, engine, shared, threads."""
    backbones.load = cache(backbones.load)  # a stage loads once; here it is no part of what counts
    with TemporaryDirectory() as name, chdir(name):
        of = prepare(Path(name, "photographs"))
        rows = [row for backbone in STAGES for row in stage(backbone, of)]
        rows += [row for group in SHARED for row in shared(group, of)]
        rows += threads(of)
    return rows + _engines.rows()


def prepare(root: Path) -> Pictures:
    """Make the pictures and the params.yaml that names them."""
    return listed(root, photographs(root, FILES))


def listed(root: Path, files: list[str]) -> Pictures:
    """The files in ROOT, and the params.yaml that names them."""
    spec = {"from": "folder", "root": str(root)}
    _write_params(spec, [])
    read = images.open_images(spec)
    with ThreadPoolExecutor(CORES) as pool:
        digests = list(pool.map(lambda name: images.digest(read(name)), files))
    return Pictures(spec, np.array(files), np.stack([np.frombuffer(d, np.uint8) for d in digests]))


def stage(backbone: str, of: Pictures) -> list[dict[str, Any]]:
    """Both ceilings and the whole, of one backbone."""
    number, rounds = STAGES[backbone]
    of = first(of, number)
    row, encoder = _encoder(backbone)
    pixels = np.stack([seen for chunk in _chunks(of) for seen in decode(row, of.spec, chunk)])
    expected = encoder(pixels).astype(np.float16)

    def whole(check: bool = False) -> None:
        with TemporaryDirectory(dir=".") as folder:
            place = Path(folder, row.name)
            embed(row, encoder, of, place)
            if check and not np.array_equal(_stored(place), expected):
                raise SystemExit(f"{backbone}: the store has not what its encoder gives")

    whole(check=True)
    with ThreadPoolExecutor(CORES) as pool:
        ways = {
            "decode": partial(decode_all, row, of, pool),
            "forward": partial(encoder, pixels),
            "whole": whole,
        }
        rates = images_per_second(ways, number, rounds)
    pairs = list(zip(rates["decode"], rates["forward"], strict=True))
    rates["smaller"] = [min(pair) for pair in pairs]
    rates["both"] = [1 / (1 / decoding + 1 / encoding) for decoding, encoding in pairs]
    return [
        *(line("stage", backbone, way, rates) for way in ("decode", "forward")),
        line("stage", backbone, "whole", rates, "smaller"),
        line("stage", backbone, "whole", rates, "both"),
    ]


def shared(group: tuple[str, ...], of: Pictures) -> list[dict[str, Any]]:
    """Several backbones in one reading of the pictures, beside one after the other."""
    number = SHARED[group]
    of = first(of, number)
    made: dict[str, list[bytes]] = {}

    def embed_all(way: str, beside: int) -> None:
        with TemporaryDirectory(dir=".") as folder, chdir(folder):
            _write_params(of.spec, group)
            for name in group:
                place = Cell("photos", name).features
                embed(backbones.row(name), backbones.load(name), of, place, beside)
            files = sorted(file for file in Path("data").rglob("*") if file.is_file())
            made[way] = [file.read_bytes() for file in files]

    ways = {
        "apart": partial(embed_all, "apart", 0),
        "together": partial(embed_all, "together", len(group) - 1),
    }
    rates = images_per_second(ways, number * len(group), 3)
    if made["apart"] != made["together"]:
        raise SystemExit(f"{group}: shared stores are not those made apart")
    what = " + ".join(group)
    return [
        line("shared", what, "apart", rates),
        line("shared", what, "together", rates, "apart"),
    ]


def threads(of: Pictures) -> list[dict[str, Any]]:
    """Decoding on one thread, on threads, and on processes, which share no lock of Python's."""
    row = backbones.row("pixels")
    with (
        ThreadPoolExecutor(1) as one,
        ThreadPoolExecutor(CORES) as many,
        ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as processes,
    ):
        pools = {"1 thread": one, f"{CORES} threads": many, f"{CORES} processes": processes}
        ways = {name: partial(decode_all, row, of, pool) for name, pool in pools.items()}
        rates = images_per_second(ways, len(of.names), 5)
    return [
        line("threads", "pixels", "1 thread", rates),
        line("threads", "pixels", f"{CORES} processes", rates, "1 thread"),
        line("threads", "pixels", f"{CORES} threads", rates, "1 thread"),
        line("threads", "pixels", f"{CORES} threads", rates, f"{CORES} processes"),
    ]


def decode_all(row: Backbone, of: Pictures, pool: Executor) -> None:
    """Decode all and keep none, each chunk where the pool takes it."""
    list(pool.map(partial(decode_only, row, of.spec), _chunks(of)))


def decode_only(row: Backbone, spec: dict[str, Any], names: list[str]) -> None:
    """As `decode`, for another process: the pixels stay there."""
    decode(row, spec, names)


def decode(row: Backbone, spec: dict[str, Any], names: list[str]) -> list[np.ndarray]:
    """The squares of pixels that the stage makes of the pictures."""
    read, found = images.open_images(spec), []
    for name in names:
        raw = read(name)
        images.digest(raw)
        found.append(backbones.preprocess(row, images.decode(raw)))
    return found


def embed(
    row: Backbone,
    encoder: Encoder,
    of: Pictures,
    folder: Path,
    beside: int = 0,
    device: str = "cpu",
) -> None:
    """Make a store as the stage does, in FOLDER. device: the encoder's."""
    number = len(of.names)
    plan = store.Plan(
        "photos", row.name, row.digest, row.dim, ["train"],
        of.id, np.arange(number), np.zeros(number, np.uint8),
    )  # fmt: skip
    said = {"device": device, "workers": 0, "batch_size": 0, "memory_gb": 8.0, "gpus": 1}
    runtime = Runtime(**said, share_decoding=1 + beside, engine="local", ray_address="local")
    embedder = Embedder(row, "photos", of.names, runtime, lambda device: encoder, beside)
    with store.FeatureWriter(folder, plan) as writer, redirect_stdout(StringIO()):
        embedder.fill(writer, row.name)
        writer.finish()


def _write_params(spec: dict[str, Any], group: Iterable[str]) -> None:
    """The params.yaml of this folder: the pictures, and the backbones that share them."""
    params = {"datasets": {"photos": spec}, "backbones": {name: {} for name in group}}
    Path("params.yaml").write_text(yaml.safe_dump({**params, "embed": {"skip": {}}}))


def _encoder(backbone: str) -> tuple[Backbone, Encoder]:
    if backbone != "vit_base":
        return backbones.row(backbone), backbones.load(backbone)
    row = _engines.untrained("timm_vit_base_patch16_224", "vit_base_patch16_224")
    return row, from_timm.load(row, "cpu")


def first(of: Pictures, number: int) -> Pictures:
    """So many, from the start again where there are not enough."""
    at = np.arange(number) % len(of.names)
    return Pictures(of.spec, of.names[at], of.id[at])


def _stored(folder: Path) -> np.ndarray:
    found = store.Features(folder)
    return found.take(np.arange(len(found)), np.float16)


def _chunks(of: Pictures) -> list[list[str]]:
    names = of.names.tolist()
    return [names[at : at + CHUNK] for at in range(0, len(names), CHUNK)]
