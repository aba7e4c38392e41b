"""Image towers of CLIP-like models, by open_clip (github.com/mlfoundations/open_clip).

`projected` is the image embedding that meets the text's, before any scaling to unit length;
`class_token` the vector before that projection, which networks that go on learning take (GET and
SimGCD on CLIP: 768 wide for ViT-B/16).

A configuration of one's own, as open_clip's JSON files have it, stands in the row itself: `options`
takes embed_dim, vision_cfg, text_cfg and quick_gelu (and force_custom_text for custom_text) before
those of `model`. But: no path of a JSON file is taken as `model`, since the row's digest would not
know what is in it.
"""

from pathlib import Path
from typing import Any

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
    if row.output not in ("projected", "class_token"):
        raise BackboneError(
            f"{row.name}: no output {row.output!r}; expected projected or class_token"
        )
    tower = both_towers(row, weights).visual
    if row.output == "class_token":
        projection_of(row, tower)
        tower.proj = None
    return tower


def both_towers(row: Backbone, weights: Path | None) -> Any:
    """open_clip's model of a row, images and texts; weights None = untrained."""
    import open_clip

    with torch.random.fork_rng(devices=[]):  # it draws weights even where a file has them
        torch.manual_seed(0)
        return open_clip.create_model(
            row.model,
            pretrained=None if weights is None else str(weights),
            device=torch.get_default_device(),
            # positions are resampled as the file is read
            force_image_size=row.input.size if "@" in row.name else None,
            **row.options,
        )


def projection_of(row: Backbone, tower: torch.nn.Module) -> torch.nn.Parameter:
    """float32 [class token, projected], what an image tower multiplies its class token with.
    Raises BackboneError where the tower is no ViT of open_clip's own, read at that token."""
    from open_clip.transformer import VisionTransformer

    if not isinstance(tower, VisionTransformer) or tower.pool_type != "tok" or tower.attn_pool:
        raise BackboneError(
            f"{row.name}: {row.model} has no class token before a projection; take a ViT of "
            "open_clip, such as clip_vit_b_16"
        )
    if tower.proj is None:
        raise BackboneError(
            f"{row.name}: its projection is cut off; take a row of output projected"
        )
    return tower.proj
