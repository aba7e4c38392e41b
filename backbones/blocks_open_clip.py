"""The blocks of open_clip's image towers: its own, and those that are a network of timm within."""

from typing import Any

import torch
from torch.nn import Sequential

from backbones import blocks_timm
from backbones.blocks_parts import Call, Family, Parts, kind


def _vit(network: Any, size: int) -> Parts | None:
    # Such towers put the token before the image, or give two tensors.
    if not network.transformer.batch_first or network.output_tokens:
        return None
    embedding = ["conv1", "class_embedding", "positional_embedding", "patch_dropout", "ln_pre"]
    return Parts(
        Call(_vit_stem, network, embedding),
        list(network.transformer.resblocks),
        Call(_vit_head, network, ["attn_pool", "attn_pool_contrastive", "ln_post", "proj"]),
    )


def _resnet(network: Any, size: int) -> Parts:
    stem = ("conv1", "bn1", "act1", "conv2", "bn2", "act2", "conv3", "bn3", "act3", "avgpool")
    stages = (network.layer1, network.layer2, network.layer3, network.layer4)
    return Parts(
        Sequential(*(getattr(network, name) for name in stem)),
        [block for stage in stages for block in stage],
        network.attnpool,
    )


def _of_timm(network: Any, size: int) -> Parts | None:
    family = blocks_timm.FAMILIES.get(kind(network.trunk))
    parts = family(network.trunk, size) if family else None
    return parts and parts._replace(head=Sequential(parts.head, network.head))


FAMILIES: dict[str, Family] = {
    "open_clip.transformer.VisionTransformer": _vit,
    "open_clip.modified_resnet.ModifiedResNet": _resnet,
    "open_clip.timm_model.TimmModel": _of_timm,
}


def _vit_stem(network: Any, pixels: torch.Tensor) -> torch.Tensor:
    return network._embeds(pixels)


def _vit_head(network: Any, tokens: torch.Tensor) -> torch.Tensor:
    pooled, _ = network._pool(tokens)
    return pooled if network.proj is None else pooled @ network.proj
