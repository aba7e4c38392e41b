"""What a network can run on, on a CPU: each engine's way to the same features."""

import copy
import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

import backbones
from backbones import Backbone, engine, from_package, from_timm
from bench._rates import images_per_second, line

ROUNDS, BATCH, AGREES = 2, 16, 1e-3
NETWORKS = {  # row of the zoo: network of timm where its weights are drawn, images a round
    "mobilenet_v2": ("mobilenetv2_100", 32),
    "efficientnet_lite0": (None, 32),
    "timm_resnet50": ("resnet50", 16),
    "timm_vit_base_patch16_224": ("vit_base_patch16_224", 8),
}
COMPILED = ("efficientnet_lite0",)  # by torch, which takes half a minute
Encode = Callable[[np.ndarray], np.ndarray]


def untrained(name: str, model: str) -> Backbone:
    """The row, with drawn weights."""
    return replace(backbones.row(name), loader="timm", model=model, weights="none")


def rows() -> list[dict[str, Any]]:
    """A row an engine and network, over eager torch. SystemExit where features differ."""
    found = []
    for name, (model, number) in NETWORKS.items():
        row = untrained(name, model) if model else backbones.row(name)
        network = from_timm.build(row, None) if model else _packaged(row)
        size = row.input.size
        pixels = np.random.default_rng(0).integers(0, 256, (number, size, size, 3), np.uint8)
        ways = _ways(network, row)
        expected = ways["eager torch"](pixels[:BATCH])
        for way, encode in ways.items():
            apart = np.abs(encode(pixels[:BATCH]) - expected).max() / np.abs(expected).max()
            if apart > AGREES:
                raise SystemExit(f"{name}: {way} differs from eager torch by {apart:.1e}")
        runs = {way: partial(encode, pixels) for way, encode in ways.items()}
        rates = images_per_second(runs, number, ROUNDS)
        found += [line("engine", name, way, rates, "eager torch") for way in ways]
    return found


def _packaged(row: Backbone) -> torch.nn.Module:
    return from_package.build(row, from_package.fetch(row))


def _ways(network: torch.nn.Module, row: Backbone) -> dict[str, Encode]:
    def whole() -> engine.Whole:
        return engine.Whole(copy.deepcopy(network), row).eval().requires_grad_(False)

    ways: dict[str, Encode] = {
        "eager torch": partial(_batches, _inference(whole())),
        "channels_last": engine.on_torch(whole(), torch.device("cpu"), None),
        "cairn": engine.encoder(copy.deepcopy(network), row, "cpu"),
    }
    if importlib.util.find_spec("openvino"):
        ways[f"openvino {version('openvino')}"] = _openvino(whole(), row)
    if row.name in COMPILED and (shutil.which("g++") or shutil.which("clang++")):
        last = whole().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        ways["torch.compile"] = partial(_batches, _inference(torch.compile(last)))
    return ways


def _inference(network: Callable[[torch.Tensor], torch.Tensor]) -> Encode:
    def encode(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(images)).numpy()

    return encode


def _batches(encode: Encode, images: np.ndarray) -> np.ndarray:
    return np.concatenate([encode(images[at : at + BATCH]) for at in range(0, len(images), BATCH)])


def _openvino(whole: engine.Whole, row: Backbone) -> Encode:
    """An image at a time on each core, as ours; float32, which it gives up where AMX is."""
    import openvino

    core, cores = openvino.Core(), torch.get_num_threads()
    example = np.zeros((1, row.input.size, row.input.size, 3), np.uint8)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": cores,
        "INFERENCE_NUM_THREADS": cores,
    }
    model = core.compile_model(core.read_model(engine.exported(whole, example)), "CPU", settings)
    queue = openvino.AsyncInferQueue(model, cores)

    def encode(images: np.ndarray) -> np.ndarray:
        found = np.empty((len(images), row.dim), np.float32)

        def keep(request: Any, at: int) -> None:
            found[at] = request.get_output_tensor(0).data

        queue.set_callback(keep)
        for at in range(len(images)):
            queue.start_async({0: images[at : at + 1]}, at)
        queue.wait_all()
        return found

    return encode
