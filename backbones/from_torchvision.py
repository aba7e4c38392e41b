"""Networks of torchvision with its own weights.

But: only the last linear layer is cut off. Cutting the whole classifier, as is often done, also
drops the LayerNorm that ConvNeXt's features are trained to pass through.
"""

from pathlib import Path

import torch
from torch.nn import Identity, Linear, Module, Sequential

import backbones.cpu_torchvision  # noqa: F401  before torchvision
from backbones import Encoder
from backbones.engine import encoder
from backbones.row import Backbone, BackboneError
from backbones.weights import fetch


def load(row: Backbone, device: str) -> Encoder:
    """See backbones.load."""
    return encoder(build(row, fetch(row)), row, device)


def build(row: Backbone, weights: Path | None) -> Module:
    """Normalised float32 [image, 3, size, size] → [image, dim]; weights None = untrained."""
    network, name, part = _whole(row, weights)
    setattr(network, name, part[:-1] if isinstance(part, Sequential) else Identity())
    return network


def last_layer(row: Backbone, weights: Path | None) -> Module:
    """What makes logits of ImageNet's classes of the row's vectors."""
    _, _, part = _whole(row, weights)
    return part[-1] if isinstance(part, Sequential) else part


def _whole(row: Backbone, weights: Path | None) -> tuple[Module, str, Module]:
    """The network, and the part of it, by its name, that is a linear layer or ends in one."""
    from torchvision.models import get_model

    network = get_model(row.model, weights=None, **row.options)
    if "@" in row.name and hasattr(network, "image_size"):  # a ViT
        raise BackboneError(
            f"{row.name}: {row.model} takes pictures of {network.image_size} pixels only; take the "
            "size away"
        )
    if weights is not None:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    for name in ("fc", "classifier", "head", "heads"):
        part = getattr(network, name, None)
        if isinstance(part, Linear) or (
            isinstance(part, Sequential) and isinstance(part[-1], Linear)
        ):
            return network, name, part
    raise BackboneError(f"{row.name}: found no last linear layer in {row.model} to cut off")
