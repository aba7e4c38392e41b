"""Image towers of CLIP-like models, by open_clip (github.com/mlfoundations/open_clip).

The feature is the image embedding that meets the text's, before any scaling to unit length.
"""

from pathlib import Path

import torch

import backbones.cpu_torchvision  # noqa: F401  before open_clip
from backbones import Encoder
from backbones.engine import encoder
from backbones.row import Backbone, BackboneError
from backbones.weights import fetch


def load(row: Backbone, device: str) -> Encoder:
    """See backbones.load."""
    return encoder(build(row, fetch(row)), row, device)


def build(row: Backbone, weights: Path | None) -> torch.nn.Module:
    """Normalised float32 [image, 3, size, size] → [image, dim]; weights None = untrained."""
    import open_clip

    if row.output != "projected":
        raise BackboneError(f"{row.name}: no output {row.output!r}; expected projected")
    model = open_clip.create_model(
        row.model,
        pretrained=None if weights is None else str(weights),
        device=torch.get_default_device(),
        **row.options,
    )
    return model.visual
