"""The blocks of timm's networks.

A layer between two stages (ConvNeXt) belongs to the block after it, and the closing 1 x 1
convolution of an EfficientNet, with its norm, is a block.
"""

from typing import Any

import torch
from torch.nn import Identity, Sequential

from backbones.blocks_parts import Call, Family, Parts


def _vit(network: Any, size: int) -> Parts:
    return Parts(
        Call(_vit_stem, network, [*_EMBEDDING, "patch_drop", "norm_pre"]),
        list(network.blocks),
        Call(_token_head, network, _TOKEN_HEAD),
    )


def _eva(network: Any, size: int) -> Parts | None:
    """EVA-02 and DINOv3: rotary positions, made anew in each block since none travels along."""
    if getattr(network, "rope_mixed", False):  # positions of its own in every block
        return None
    grid = network.patch_embed.grid_size
    if network.dynamic_img_size:
        grid = network.patch_embed.dynamic_feat_size((size, size))
    elif hasattr(network.rope, "feat_shape"):
        grid = None  # it has them ready
    return Parts(
        Call(_eva_stem, network, [*_EMBEDDING, "rope", "patch_drop", "norm_pre"]),
        [_Rotated(block, network.rope, grid) for block in network.blocks],
        Call(_token_head, network, _TOKEN_HEAD),
    )


def _efficientnet(network: Any, size: int) -> Parts:
    blocks = [block for stage in network.blocks for block in stage]
    if not isinstance(network.conv_head, Identity):  # of a network up to some stage
        blocks.append(Sequential(network.conv_head, network.bn2))
    return Parts(
        Sequential(network.conv_stem, network.bn1),
        blocks,
        Call(_forward_head, network, ["global_pool", "classifier"]),
    )


def _resnet(network: Any, size: int) -> Parts:
    stages = (network.layer1, network.layer2, network.layer3, network.layer4)
    return Parts(
        Sequential(network.conv1, network.bn1, network.act1, network.maxpool),
        [block for stage in stages for block in stage],
        Call(_forward_head, network, ["global_pool", "fc"]),
    )


def _convnext(network: Any, size: int) -> Parts:
    blocks: list[torch.nn.Module] = []
    for stage in network.stages:
        first, *more = stage.blocks
        plain = isinstance(stage.downsample, Identity)
        blocks += [first if plain else Sequential(stage.downsample, first), *more]
    return Parts(network.stem, blocks, Sequential(network.norm_pre, network.head))


FAMILIES: dict[str, Family] = {
    "timm.models.vision_transformer.VisionTransformer": _vit,
    "timm.models.eva.Eva": _eva,
    "timm.models.efficientnet.EfficientNet": _efficientnet,
    "timm.models.resnet.ResNet": _resnet,
    "timm.models.convnext.ConvNeXt": _convnext,
}

_EMBEDDING = ["patch_embed", "cls_token", "reg_token", "pos_embed", "pos_drop"]
_TOKEN_HEAD = ["norm", "attn_pool", "fc_norm", "head_drop", "head"]


class _Rotated(torch.nn.Module):
    """A block with the rotary positions of its tokens."""

    def __init__(
        self, block: torch.nn.Module, rope: Any, grid: tuple[int, int] | list[int] | None
    ) -> None:
        super().__init__()
        self.block, self.rope, self._grid = block, rope, grid

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        rope = None if self.rope is None else self.rope.get_embed(self._grid)
        return self.block(tokens, rope=rope)


def _vit_stem(network: Any, pixels: torch.Tensor) -> torch.Tensor:
    tokens = network._pos_embed(network.patch_embed(pixels))
    return network.norm_pre(network.patch_drop(tokens))


def _eva_stem(network: Any, pixels: torch.Tensor) -> torch.Tensor:
    tokens, _ = network._pos_embed(network.patch_embed(pixels))
    return network.norm_pre(tokens)


def _token_head(network: Any, tokens: torch.Tensor) -> torch.Tensor:
    return network.forward_head(network.norm(tokens))


def _forward_head(network: Any, tokens: torch.Tensor) -> torch.Tensor:
    return network.forward_head(tokens)
