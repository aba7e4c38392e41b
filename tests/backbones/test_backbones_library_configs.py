"""The rows, held to the libraries they were read from: no number may drift from its source."""

import functools
import importlib
import logging
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import backbones.cpu_torchvision  # noqa: F401  before timm
from backbones import Backbone, names, row

LOADERS = ("timm", "torchvision", "open_clip", "package")
ROWS = [row(name) for name in names() if row(name).loader in LOADERS]


def of(*loaders: str) -> list[Any]:
    return [pytest.param(found, id=found.name) for found in ROWS if found.loader in loaders]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)  # open_clip warns of the untrained networks built here
    yield
    logging.disable(logging.NOTSET)


@functools.cache
def dim_of(loader: str, model: str, output: str, options: str, size: int, example: str) -> int:
    """The last axis of what the network gives, without a weight or a product in memory."""
    build = importlib.import_module(f"backbones.from_{loader}").build
    with torch.device("meta"), torch.no_grad():
        network = build(row(example), None).eval()
        (image, dim) = network(torch.empty(1, 3, size, size)).shape
    assert image == 1
    return dim


@pytest.mark.parametrize("found", of(*LOADERS))
def test_every_torch_network_can_be_built_and_gives_the_dim_of_its_row(found: Backbone) -> None:
    same = (found.loader, found.model, found.output, str(found.options), found.input.size)
    first = next(
        it.name
        for it in ROWS
        if (it.loader, it.model, it.output, str(it.options), it.input.size) == same
    )
    assert dim_of(*same, first) == found.dim


@pytest.mark.parametrize("found", of("timm", "package"))
def test_timm_rows_say_what_timm_says(found: Backbone) -> None:
    from timm.models import get_pretrained_cfg

    if found.weights == "none":
        return  # untrained: timm's numbers are those of its weights
    theirs, ours = get_pretrained_cfg(found.model), found.input
    assert (ours.mean, ours.std) == (theirs.mean, theirs.std)
    assert ours.interpolation == theirs.interpolation
    assert (ours.fit, theirs.crop_mode) == ("crop", "center")
    if "img_size" in found.options:  # a size of our own choice, which the row must own up to
        assert found.options["img_size"] == ours.size
        assert found.note
    elif ours.size != theirs.input_size[-1]:  # a network that takes any size, at one of ours
        assert f"{ours.size} are ours" in found.note
        assert ours.resize == ours.size
    else:
        assert ours.resize == math.floor(ours.size / theirs.crop_pct)
    if found.weights.startswith("hf:"):
        assert found.weights == f"hf:{theirs.hf_hub_id}/model.safetensors"
    if found.weights.startswith("https:") and not found.note:
        assert found.weights == theirs.url


@pytest.mark.parametrize("found", of("torchvision"))
def test_torchvision_rows_say_what_torchvision_says(found: Backbone) -> None:
    from torchvision.models import get_model_weights

    weights = get_model_weights(found.model)["IMAGENET1K_V1"]
    theirs, ours = weights.transforms(), found.input
    assert (list(ours.mean), list(ours.std)) == (theirs.mean, theirs.std)
    assert ours.interpolation == theirs.interpolation.value
    assert ([ours.size], [ours.resize]) == (theirs.crop_size, theirs.resize_size)
    assert found.weights == weights.url


@pytest.mark.parametrize("found", of("open_clip"))
def test_open_clip_rows_say_what_open_clip_says(found: Backbone) -> None:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    tag = found.source.partition("tag ")[2].partition(";")[0]
    if not tag:
        return  # of its own authors: bioclip2
    theirs, ours = get_pretrained_cfg(found.model, tag), found.input
    model = open_clip.get_model_config(found.model)
    assert (ours.mean, ours.std) == (theirs["mean"], theirs["std"])
    assert ours.interpolation == theirs["interpolation"]
    assert ours.fit == {"shortest": "crop", "squash": "squash"}[theirs["resize_mode"]]
    assert ours.size == ours.resize == model["vision_cfg"]["image_size"]
    before = found.output == "class_token"
    assert found.dim == (model["vision_cfg"]["width"] if before else model["embed_dim"])
    assert found.weights.startswith(f"hf:{theirs['hf_hub']}open_clip_")
    assert model.get("quick_gelu", False) == theirs.get("quick_gelu", False)


@pytest.mark.parametrize("size", ["small", "base", "large"])
def test_augreg_vits_see_pixels_from_minus_one_to_one(size: str) -> None:
    from backbones.engine import Whole

    # TEMI normalised them with ImageNet's mean and std, which they were not trained with.
    whole = Whole(torch.nn.Identity(), row(f"timm_vit_{size}_patch16_224"))
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 4, 4, 3)
    seen = whole(black_and_white)
    torch.testing.assert_close(seen[0], torch.full((3, 4, 4), -1.0))
    torch.testing.assert_close(seen[1], torch.full((3, 4, 4), 1.0))


def test_convnext_features_have_passed_their_last_layer_norm() -> None:
    from torchvision.models.convnext import LayerNorm2d

    from backbones import from_torchvision

    with torch.device("meta"):
        network = from_torchvision.build(row("convnext_small"), None)
    assert isinstance(network.classifier[0], LayerNorm2d)
