"""Networks of timm with the weights it names (github.com/huggingface/pytorch-image-models).

But: `output` says which pooling is read, whatever the library's default; and the classifier is cut
off after loading, since timm loads a network without one non-strictly.
"""

from pathlib import Path
from typing import Any

import torch

import backbones.cpu_torchvision  # noqa: F401  before timm
from backbones import Encoder
from backbones.engine import encoder
from backbones.row import Backbone, BackboneError
from backbones.weights import fetch

_POOLING = {"avg": "avg", "cls": "token", "map": "map"}


def load(row: Backbone, device: str) -> Encoder:
    """See backbones.load."""
    return encoder(build(row, fetch(row)), row, device)


def build(row: Backbone, weights: Path | None) -> torch.nn.Module:
    """Normalised float32 [image, 3, size, size] → [image, dim]; weights None = untrained."""
    import timm

    if row.output not in _POOLING:
        raise BackboneError(f"{row.name}: no output {row.output!r}; expected avg, cls or map")
    network: Any = timm.create_model(
        row.model,
        pretrained=weights is not None,
        pretrained_cfg_overlay={"file": str(weights), "custom_load": False},
        global_pool=_POOLING[row.output],
        **row.options,
    )
    network.reset_classifier(0)
    return network
