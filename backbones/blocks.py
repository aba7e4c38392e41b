"""A backbone cut in two: a trunk that stays as it is, and its last blocks, which are trained.

As GCD and those after it train a ViT (Vaze et al., arXiv:2201.02609): the last blocks learn, and
what follows them, such as the closing norm, does not. But: any network of the zoo, not ViTs alone,
and the trunk is a network of its own, whose output ("tokens") can be stored. Which blocks a network
has, and what comes before and after them, stands in FAMILIES of blocks_timm, blocks_torchvision and
blocks_open_clip, a few lines a family:

    timm        VisionTransformer, Eva   blocks
                EfficientNet             blocks, conv_head
                ResNet                   layer1 … layer4
                ConvNeXt                 stages
    torchvision ResNet                   layer1 … layer4
                MobileNetV2, ConvNeXt    features
    open_clip   VisionTransformer        transformer.resblocks
                ModifiedResNet           layer1 … layer4
                TimmModel                those of its trunk
"""

import importlib
from typing import Any, Literal, NamedTuple

import torch

import backbones.cpu_torchvision  # noqa: F401  before timm
from backbones import blocks_open_clip, blocks_timm, blocks_torchvision
from backbones.blocks_parts import Parts, kind
from backbones.row import Backbone, BackboneError
from backbones.weights import opening

LOADERS = ("adapted", "checkpoint", "open_clip", "package", "timm", "torchvision")
FAMILIES = blocks_timm.FAMILIES | blocks_torchvision.FAMILIES | blocks_open_clip.FAMILIES


class Cut(NamedTuple):
    """trunk: normalised float32 [image, 3, size, size] → tokens [image, ...]; tail: tokens →
    float32 [image, dim]. They share the network's own parameters."""

    trunk: torch.nn.Module
    tail: torch.nn.Module


def build(row: Backbone) -> torch.nn.Module:
    """Normalised float32 [image, 3, size, size] → [image, dim], on the CPU, its weights fetched,
    checked and in. Raises BackboneError: they are not to be had, or torch cannot train it."""
    if row.loader not in LOADERS:
        raise BackboneError(
            f"{row.name}: a backbone of loader {row.loader} cannot be trained; take one of loader "
            f"{', '.join(LOADERS[:-1])} or {LOADERS[-1]}"
        )
    with opening(row):
        loader = importlib.import_module(f"backbones.from_{row.loader}")
        return loader.build(row, loader.fetch(row))


def cut(row: Backbone, network: torch.nn.Module, train_blocks: int | Literal["all"]) -> Cut:
    """The network of `row`, cut before its last `train_blocks` blocks, whose parameters alone then
    require gradients. In eval mode tail(trunk(x)) is network(x), bit by bit.

    0: all of it is the trunk, and tokens are features. "all": all of it is the tail, in training
    mode, and tokens are pixels. Else both parts are in eval mode: norms keep their statistics. A
    network that has a method cut(train_blocks) is asked itself. Raises BackboneError: its blocks
    cannot be told, or are fewer.
    """
    if train_blocks != "all" and (type(train_blocks) is not int or train_blocks < 0):
        raise BackboneError(
            f'{row.name}: train_blocks is {train_blocks!r}, expected "all" or a number from 0 on'
        )
    asked: Any = network
    if hasattr(asked, "cut"):
        return Cut(*asked.cut(train_blocks))
    if train_blocks == "all":
        return Cut(torch.nn.Identity(), network.requires_grad_(True).train())
    network.requires_grad_(False).eval()
    if train_blocks == 0:
        return Cut(network, torch.nn.Identity())
    stem, blocks, head = parts_of(row, network)
    if train_blocks > len(blocks):
        raise BackboneError(
            f"{row.name}: train_blocks is {train_blocks}, but it has {len(blocks)} blocks; take "
            'fewer, or "all"'
        )
    at = len(blocks) - train_blocks
    tail = torch.nn.Sequential(*blocks[at:], head)
    for block in blocks[at:]:
        block.requires_grad_(True)
    return Cut(torch.nn.Sequential(stem, *blocks[:at]).eval(), tail.eval())


def synchronized(network: torch.nn.Module) -> torch.nn.Module:
    """The network with batch norms that, in training, see the images of all GPUs."""
    # timm's norms may hold an activation, which torch's own conversion drops.
    from timm.layers import convert_sync_batchnorm

    return convert_sync_batchnorm(network)


def parts_of(row: Backbone, network: torch.nn.Module) -> Parts:
    """What comes before the blocks, the blocks, and what comes after. Raises BackboneError: they
    cannot be told."""
    family = FAMILIES.get(kind(network))
    parts = family(network, row.input.size) if family else None
    if parts is None:
        raise BackboneError(
            f"{row.name}: the blocks of a {kind(network)} cannot be told; take train_blocks 0 or "
            '"all", or add it to FAMILIES in backbones/blocks_*.py'
        )
    return parts
