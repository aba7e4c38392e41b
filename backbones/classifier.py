"""The classifier of a backbone that was trained with the labels of ImageNet: what it calls things.

A row gives the vectors before the last layer, and its file of weights has that layer too. So the
classes of stored vectors cost one product, and no picture is looked at again.
"""

import importlib
from typing import NamedTuple

import numpy as np
import torch

from backbones.row import Backbone, BackboneError
from backbones.weights import fetch, opening

CLASSES = 1000  # of ImageNet-1k, in the order of imagenet_classes
LOADERS = ("package", "timm", "torchvision")


class Classifier(NamedTuple):
    """Logits of stored vectors x: x weightᵀ + bias. float32 [class, dim], [class]."""

    weight: np.ndarray
    bias: np.ndarray


def has_classifier(row: Backbone) -> bool:
    """Whether the vectors of this row are what a classifier of ImageNet's classes reads."""
    if row.loader not in LOADERS or row.weights == "none":
        return False
    if row.loader == "timm":
        from timm.models import get_pretrained_cfg

        known = get_pretrained_cfg(row.model)
        return known is not None and known.num_classes == CLASSES
    return row.loader == "torchvision" or row.output == "avg"


def load(row: Backbone) -> Classifier:
    """The last layer of a row that has one, its weights fetched and checked. Raises BackboneError:
    it has none, or none that reads the vectors of this row."""
    if not has_classifier(row):
        raise BackboneError(f"{row.name}: has no classifier of ImageNet's classes")
    with opening(row):
        last = importlib.import_module(f"backbones.from_{row.loader}").last_layer(row, fetch(row))
    if not isinstance(last, torch.nn.Linear) or last.weight.shape != (CLASSES, row.dim):
        found = list(last.weight.shape) if isinstance(last, torch.nn.Linear) else type(last)
        raise BackboneError(
            f"{row.name}: its classifier is {found}, expected [{CLASSES}, {row.dim}], which reads "
            f"the vectors of output {row.output}"
        )
    weight = last.weight.detach().float().numpy()
    none = np.zeros(CLASSES, np.float32)
    return Classifier(weight, none if last.bias is None else last.bias.detach().float().numpy())
