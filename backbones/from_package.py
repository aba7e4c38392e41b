"""Weights that lie in an installed package: real backbones with no network and no hub.

The packages' files hold a timm network under another port's names. The tensors stand in the same
order, so they are matched by position; but every shape must agree, and the load is strict.
"""

from itertools import zip_longest
from pathlib import Path

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
