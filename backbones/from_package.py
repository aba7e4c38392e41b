"""Weights that lie in an installed package: real backbones with no network and no hub.

The packages' files hold a timm network under another port's names. The tensors stand in the same
order, so they are matched by position; but every shape must agree, and the load is strict.
`output` of a row: `avg`, the whole network, or `stage 4`, the mean over the picture of what its
fourth stage of blocks gives.
"""

import re
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

import backbones.cpu_torchvision  # noqa: F401  before timm
from backbones import Encoder
from backbones.engine import encoder
from backbones.row import Backbone, BackboneError
from backbones.weights import fetch


def load(row: Backbone, device: str) -> Encoder:
    """See backbones.load."""
    return encoder(build(row, fetch(row)), row, device)


def build(row: Backbone, weights: Path | None) -> torch.nn.Module:
    """Normalised float32 [image, 3, size, size] → [image, dim]; weights None = untrained."""
    network = classifier(row, weights)
    network.reset_classifier(0)  # type: ignore[operator]
    return network if row.output == "avg" else _up_to_stage(row, network)


def last_layer(row: Backbone, weights: Path | None) -> torch.nn.Module:
    """What makes logits of ImageNet's classes of the vectors of output `avg`."""
    return classifier(row, weights).get_classifier()  # type: ignore[operator, no-any-return]


def _up_to_stage(row: Backbone, network: Any) -> torch.nn.Module:
    """The network without the stages after the one that the row names."""
    stages = list(network.blocks)
    found = re.fullmatch(r"stage ([1-9]\d?)", row.output)
    if not found or int(found[1]) > len(stages):
        raise BackboneError(
            f"{row.name}: no output {row.output!r}; expected avg, or stage 1 to stage {len(stages)}"
        )
    network.blocks = torch.nn.Sequential(*stages[: int(found[1])])
    network.conv_head = network.bn2 = torch.nn.Identity()
    return network


def classifier(row: Backbone, weights: Path | None) -> torch.nn.Module:
    """The whole network, → [image, 1000]: logits of the ImageNet classes."""
    import timm

    network = timm.create_model(row.model, **row.options)
    if weights is None:
        return network
    own = network.state_dict()
    file = torch.load(weights, map_location="cpu", weights_only=True)
    shapes = [list(tensor.shape) for tensor in own.values()]
    found = [list(tensor.shape) for tensor in file.values()]
    if found != shapes:
        pairs = enumerate(zip_longest(found, shapes))
        at, (first, expected) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
        raise BackboneError(
            f"{row.name}: tensor {at} of {weights} is {first}, {row.model} expects {expected}; "
            "take the package the row names"
        )
    network.load_state_dict(dict(zip(own, file.values(), strict=True)))
    return network
