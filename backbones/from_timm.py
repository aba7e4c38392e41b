"""Networks of timm with the weights it names (github.com/huggingface/pytorch-image-models).

But: `output` says which pooling is read, whatever the library's default; and the classifier is cut
off after loading, since timm loads a network without one non-strictly. A row of `weights: none` is
a network to be trained from the start: its weights are drawn from a fixed seed, so its features are
the same each time. Its option `stem: small` is for pictures of 32 pixels.
"""

from pathlib import Path
from typing import Any

import torch

import backbones.cpu_torchvision  # noqa: F401  before timm
from backbones import Encoder
from backbones.engine import encoder
from backbones.row import Backbone, BackboneError
from backbones.sizes import fit_size
from backbones.weights import fetch as fetch_file

_POOLING = {"avg": "avg", "cls": "token", "map": "map"}
_SEED = 0  # of a network without weights


def load(row: Backbone, device: str) -> Encoder:
    """See backbones.load."""
    return encoder(build(row, fetch(row)), row, device)


def fetch(row: Backbone) -> Path | None:
    """The checked file of weights; None for a network that has none."""
    return None if row.weights == "none" else fetch_file(row)


def build(row: Backbone, weights: Path | None) -> torch.nn.Module:
    """Normalised float32 [image, 3, size, size] → [image, dim]; weights None = untrained."""
    network = _whole(row, weights)
    network.reset_classifier(0)
    return fit_size(row, network)


def last_layer(row: Backbone, weights: Path | None) -> torch.nn.Module:
    """What makes logits of the row's vectors. Raises BackboneError where it reads another pooling
    than the row's output."""
    import timm

    with torch.device("meta"):
        pool: Any = timm.create_model(row.model, **row.options).global_pool
    usual = getattr(pool, "pool_type", pool)
    if usual != _POOLING.get(row.output):
        raise BackboneError(
            f"{row.name}: the classifier of {row.model} reads {usual!r}, not {row.output}"
        )
    return _whole(row, weights).get_classifier()


def _whole(row: Backbone, weights: Path | None) -> Any:
    """The network with its classifier."""
    import timm

    if row.output not in _POOLING:
        raise BackboneError(f"{row.name}: no output {row.output!r}; expected avg, cls or map")
    options = dict(row.options)
    small = options.pop("stem", None)
    if small not in (None, "small") or (small and row.weights != "none"):
        raise BackboneError(
            f"{row.name}: options.stem is {small!r} and weights {row.weights}; expected small, and "
            "weights none, since no published weights have that stem"
        )
    if small:  # timm lets a deep stem alone choose its width, which is twice stem_width
        width = options.get("channels", [64])[0]
        options |= {"stem_type": "deep", "stem_width": width // 2}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)
        network: Any = timm.create_model(
            row.model,
            pretrained=weights is not None,
            pretrained_cfg_overlay={"file": str(weights), "custom_load": False},
            global_pool=_POOLING[row.output],
            **options,
        )
        if small:
            network.conv1, network.maxpool = _small_stem(width), torch.nn.Identity()
    return network


def _small_stem(width: int) -> torch.nn.Conv2d:
    """SimCLR's for CIFAR (arXiv:2002.05709, B.9): 3 x 3, each pixel, and no pooling after it."""
    convolution = torch.nn.Conv2d(3, width, 3, padding=1, bias=False)
    torch.nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution
