"""The last layer of supervised backbones: on the stored vectors it says what the whole network
says of the pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import backbones.cpu_torchvision  # noqa: F401  before timm
from backbones import BackboneError, classifier, from_package, from_timm, row, weights
from backbones.imagenet_classes import imagenet_classes


def logits(found: classifier.Classifier, features: torch.Tensor) -> np.ndarray:
    return features.numpy() @ found.weight.T + found.bias


@pytest.fixture(autouse=True)
def _own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "LOCK", tmp_path / "zoo.lock")
    torch.manual_seed(0)


def test_a_packages_classifier_is_that_of_the_network():
    found = row("efficientnet_lite0_96")
    path, pixels = weights.place(found), torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        features = from_package.build(found, path).eval()(pixels)
        expected = from_package.classifier(found, path).eval()(pixels)
    np.testing.assert_allclose(
        logits(classifier.load(found), features), expected, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    ("name", "model"),
    [("timm_vit_small_patch16_224", ""), ("timm_resnet50", "resnet18.a1_in1k")],
)
def test_timms_classifier_is_that_of_the_network(name: str, model: str, tmp_path: Path):
    import timm

    found = replace(row(name), model=model or row(name).model, sha256=None)
    theirs = timm.create_model(found.model).eval()
    save_file(theirs.state_dict(), tmp_path / "net.safetensors")
    found = replace(found, dim=theirs.num_features, weights=str(tmp_path / "net.safetensors"))
    pixels = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        features = from_timm.build(found, Path(found.weights)).eval()(pixels)
        expected = theirs(pixels)
    np.testing.assert_allclose(
        logits(classifier.load(found), features), expected, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(("name", "model"), [("convnext_small", "convnext_tiny"),
                                             ("mobilenet_v2", "mobilenet_v2")])  # fmt: skip
def test_torchvisions_classifier_is_that_of_the_network(name: str, model: str, tmp_path: Path):
    from torchvision.models import get_model

    from backbones import from_torchvision

    theirs = get_model(model, weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "net.pth")
    found = replace(row(name), model=model, sha256=None, weights=str(tmp_path / "net.pth"))
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        features = from_torchvision.build(found, tmp_path / "net.pth").eval()(pixels)
        expected = theirs(pixels)
    np.testing.assert_allclose(
        logits(classifier.load(found), features), expected, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    "name", ["pixels", "dinov2_vits14", "resnet18_small", "clip_vit_b_32", "dino_vits16",
             "efficientnet_lite0_stage4", "simclr_resnet50"]
)  # fmt: skip
def test_a_backbone_without_one_is_refused(name: str):
    assert not classifier.has_classifier(row(name))
    with pytest.raises(BackboneError, match=rf"{name}: has no classifier of ImageNet's classes"):
        classifier.load(row(name))


def test_a_classifier_that_reads_another_pooling_is_refused():
    found = replace(row("timm_vit_small_patch16_224"), output="avg")
    with pytest.raises(BackboneError, match=r"reads 'token', not avg"):
        from_timm.last_layer(found, None)


def test_imagenet_has_a_thousand_different_names():
    names = imagenet_classes()
    assert len(names) == len(set(names)) == classifier.CLASSES
    assert (names[0], names[999]) == ("tench", "toilet tissue")
