"""A checkpoint file as its authors published it, in a network of timm: heads off, all else strict.

The published recipes call `load_state_dict(strict=False)`, and so also accept a file of another
network, a prefix that fits nothing or a half-written cache, and give random features. But: here the
row names what may be left out of the file (`options: drop`), and anything else that is missing, too
much or of another shape is refused by its name; and the file cannot run code while it is opened.
"""

import argparse
import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict

import backbones.cpu_torchvision  # noqa: F401  before timm
from backbones import Encoder
from backbones.engine import encoder
from backbones.options import checked_options
from backbones.row import ZOO, Backbone, BackboneError
from backbones.sizes import fit_size
from backbones.weights import fetch

_POOLING = {"avg": "avg", "cls": "token", "cls+avg": ""}


@dataclass(frozen=True)
class Layout:
    """The `options` of a row: where the weights lie in the file, and what network they are of."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    key: str = ""  # the entry that holds the tensors; none = the whole file does
    prefix: str = ""  # of the names that are wanted; it is cut off
    drop: tuple[str, ...] = ()  # patterns (* and ?) of names in the file that may be left out
    build: dict[str, Any] = field(default_factory=dict)  # arguments for timm.create_model


def load(row: Backbone, device: str) -> Encoder:
    """See backbones.load."""
    return encoder(build(row, fetch(row)), row, device)


def build(row: Backbone, weights: Path | None) -> torch.nn.Module:
    """Normalised float32 [image, 3, size, size] → [image, dim]; weights None = untrained."""
    layout = layout_of(row)
    network = _network(row, layout, torch.device("meta"))
    if weights is None or _has_more_than_its_file(network):
        network = _network(row, layout, torch.device("cpu"))
    if weights is not None:
        state = select(row.name, read(row.name, weights, layout.key), layout)
        hold(row.name, {name: t.shape for name, t in state.items()}, network.state_dict())
        network.load_state_dict(state, strict=True, assign=True)
    network = fit_size(row, network.float())
    return _ClassAndMean(network) if row.output == "cls+avg" else network


class _ClassAndMean(torch.nn.Module):
    """A ViT read at its class token and at the mean of its patches, side by side."""

    def __init__(self, vit: Any) -> None:
        super().__init__()
        self.vit = vit

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.vit.forward_features(pixels)
        patches = tokens[:, self.vit.num_prefix_tokens :]
        return torch.cat([tokens[:, 0], patches.mean(dim=1)], dim=1)


def layout_of(row: Backbone) -> Layout:
    """The checked options of the row. Raises BackboneError: an option misspelt or mistyped."""
    return checked_options(row, Layout)


def read(name: str, path: Path, key: str) -> Mapping[str, Any]:
    """The tensors of a checkpoint (.safetensors, or torch's format, old or new) by their names.

    Only tensors and plain values are unpickled, and argparse.Namespace, which is a dict and which
    training scripts like to save. Raises BackboneError: unreadable, or no entry `key`.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            file = load_file(path)
        else:
            with torch.serialization.safe_globals([argparse.Namespace]):
                file = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors, zipfile, pickle and torch each have their own
        stranger = re.search(r"GLOBAL (\S+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and stranger:
            raise BackboneError(
                f"{name}: {path} holds a {stranger[1]}, and opening that may run code; save its "
                "tensors alone, in a file of your own"
            ) from error
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        raise BackboneError(
            f"{name}: {path} is not a checkpoint ({reason}); delete it, and its line in zoo.lock, "
            "to fetch it again"
        ) from error
    if key and not (isinstance(file, Mapping) and key in file):
        found = _some(file) if isinstance(file, Mapping) else type(file).__name__
        raise BackboneError(f"{name}: {path} has no entry {key!r}; found: {found}")
    state = file[key] if key else file
    if not isinstance(state, Mapping):
        found = type(state).__name__
        raise BackboneError(f"{name}: {path} holds a {found} there, expected named tensors")
    return state


def select(name: str, state: Mapping[str, Any], layout: Layout) -> dict[str, torch.Tensor]:
    """The entries under the prefix, by their names without it. Raises BackboneError on an entry
    that is neither wanted nor allowed to be dropped."""
    kept: dict[str, torch.Tensor] = {}
    strange = []
    for key, value in state.items():
        if any(fnmatchcase(key, pattern) for pattern in layout.drop):
            continue
        if key.startswith(layout.prefix) and isinstance(value, torch.Tensor):
            kept[key.removeprefix(layout.prefix)] = value
        else:
            strange.append(key)
    if not kept:
        raise BackboneError(
            f"{name}: no tensor is called {layout.prefix}*; the file has: {_some(state)}"
        )
    if strange:
        raise BackboneError(
            f"{name}: the file also has {_some(strange)}, and no pattern of options.drop allows it "
            "to be left out; is it another file?"
        )
    return kept


def hold(name: str, found: Mapping[str, torch.Size], own: Mapping[str, torch.Tensor]) -> None:
    """Holds the names and shapes of a file to those of the network; raises BackboneError."""
    missing = [key for key in own if key not in found]
    more = [key for key in found if key not in own]
    other = [
        f"{key} {list(found[key])} not {list(own[key].shape)}"
        for key in own
        if key in found and found[key] != own[key].shape
    ]
    kinds = (("without", missing), ("with unknown", more), ("with wrong", other))
    wrong = [f"{word} {_some(keys)}" for word, keys in kinds if keys]
    if wrong:
        raise BackboneError(
            f"{name}: the file is {', '.join(wrong)}; correct model, prefix or drop in {ZOO.name}"
        )


def _network(row: Backbone, layout: Layout, device: torch.device) -> torch.nn.Module:
    import timm

    if row.output not in _POOLING:
        raise BackboneError(f"{row.name}: no output {row.output!r}; expected avg, cls or cls+avg")
    pool, named = _POOLING[row.output], dict(layout.build)
    try:
        if "mlp_layer" in named:  # timm knows activations and norms by name, these not
            named["mlp_layer"] = getattr(timm.layers, named["mlp_layer"])
        with device:  # "meta": no time and no memory for random weights that are then replaced
            return timm.create_model(row.model, num_classes=0, global_pool=pool, **named)
    except (AttributeError, RuntimeError, TypeError, ValueError, AssertionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise BackboneError(
            f"{row.name}: timm cannot build {row.model} ({reason}); correct model, output or "
            f"options.build in {ZOO.name}"
        ) from error


def _has_more_than_its_file(network: torch.nn.Module) -> bool:
    """Whether some buffer is computed at birth and not saved: "meta" would leave it empty."""
    saved = network.state_dict()
    return any(name not in saved for name, _ in network.named_buffers())


def _some(names: Iterable[str]) -> str:
    found = [str(name) for name in names]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(found[:3]) + more
