"""The blocks of torchvision's networks.

A layer between two stages (ConvNeXt) belongs to the block after it, and the closing 1 x 1
convolution of a MobileNetV2, with its norm, is a block.
"""

from typing import Any

import torch
from torch.nn import AdaptiveAvgPool2d, Flatten, Sequential

from backbones.blocks_parts import Family, Parts


def _resnet(network: Any, size: int) -> Parts:
    stages = (network.layer1, network.layer2, network.layer3, network.layer4)
    return Parts(
        Sequential(network.conv1, network.bn1, network.relu, network.maxpool),
        [block for stage in stages for block in stage],
        Sequential(network.avgpool, Flatten(), network.fc),
    )


def _mobilenet(network: Any, size: int) -> Parts:
    stem, *blocks = network.features
    return Parts(stem, blocks, Sequential(AdaptiveAvgPool2d(1), Flatten(), network.classifier))


def _convnext(network: Any, size: int) -> Parts:
    stem, stage, *rest = network.features
    blocks: list[torch.nn.Module] = list(stage)
    for between, stage in zip(rest[::2], rest[1::2], strict=True):
        first, *more = stage
        blocks += [Sequential(between, first), *more]
    return Parts(stem, blocks, Sequential(network.avgpool, network.classifier))


FAMILIES: dict[str, Family] = {
    "torchvision.models.resnet.ResNet": _resnet,
    "torchvision.models.mobilenetv2.MobileNetV2": _mobilenet,
    "torchvision.models.convnext.ConvNeXt": _convnext,
}
