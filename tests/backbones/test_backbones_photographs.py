"""Real weights on real photographs: the proof that preprocessing, weights and order are right."""

import functools

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_image

from backbones import Encoder, from_package, load, preprocess, row, weights
from backbones.engine import Whole

LITES = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
PALACE, TRIPOD, ESPRESSO = {698}, {872}, {967}
CATS = {281, 282, 285}  # tabby, tiger cat, Egyptian cat
PHOTOGRAPHS = [
    (lambda: load_sample_image("china.jpg"), PALACE),
    (data.camera, TRIPOD),
    (data.coffee, ESPRESSO),
    (data.chelsea, CATS),
]


@functools.cache
def encoder(name: str) -> Encoder:
    return load(name)


def synthetic() -> Image.Image:
    """A picture of nothing, the same on every machine: no decoder has touched it."""
    y, x = np.mgrid[:300, :400]
    bands = [x * 255 // 399, y * 255 // 299, (x // 20 + y // 20) % 2 * 255]
    return Image.fromarray(np.stack(bands, axis=-1).astype(np.uint8))


@pytest.mark.parametrize("name", LITES)
def test_efficientnet_lite_names_what_is_on_photographs(name: str) -> None:
    found = row(name)
    network = Whole(from_package.classifier(found, weights.fetch(found)), found).eval()
    for photograph, classes in PHOTOGRAPHS:
        picture = Image.fromarray(photograph()).convert("RGB")
        pixels = torch.from_numpy(preprocess(found, picture)[np.newaxis])
        with torch.inference_mode():
            assert int(network(pixels).argmax()) in classes


def test_two_photographs_of_cats_are_nearer_than_a_cat_and_a_coffee() -> None:
    found = row("efficientnet_lite0")
    cat = Image.fromarray(data.chelsea())
    pictures = [cat, cat.transpose(Image.Transpose.FLIP_LEFT_RIGHT), Image.fromarray(data.coffee())]
    features = encoder(found.name)(np.stack([preprocess(found, it) for it in pictures]))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    similar = features @ features.T
    assert similar[0, 1] > 0.9 > 0.5 > similar[0, 2]


# When one of these changes, so have the features of that backbone: if that was meant, raise its
# `revision` in zoo.yaml, so that no store mixes old vectors with new ones.
GOLDEN: dict[str, tuple[int, float, dict[int, float]]] = {
    # revision, length of the vector, some of its entries
    "efficientnet_lite0": (2, 14.2281, {113: 3.9607, 287: 4.3034, 468: 3.4535, 974: 3.5234}),
    "efficientnet_lite1": (2, 12.6682, {388: 2.9752, 667: 4.1913, 918: 4.2237, 1077: 3.7079}),
    "efficientnet_lite0_stage4": (
        2,
        84.8924,
        {24: -20.6565, 29: -21.7912, 66: 26.3153},
    ),
    "pixels": (2, 7.6162, {0: 0.0706, 31: 0.1843, 93: 0.9255, 187: 0.9255}),
}


# The same of a picture of 28 x 28, which is enlarged
SMALL: dict[str, tuple[float, dict[int, float]]] = {
    "efficientnet_lite0_96": (24.92, {492: 5.1468, 920: 5.3086, 1115: 4.9628, 1157: 5.1079}),
    "efficientnet_lite0@64+96": (1.0, {492: 0.1863, 920: 0.1991, 1115: 0.1849, 1157: 0.1867}),
}


@pytest.mark.parametrize("name", SMALL)
def test_features_of_a_small_picture_are_those_of_revision_2(name: str) -> None:
    length, entries = SMALL[name]
    small = synthetic().resize((28, 28), Image.Resampling.NEAREST)
    (features,) = encoder(name)(preprocess(row(name), small)[np.newaxis])
    assert row(name).revision == 2
    np.testing.assert_allclose(features[list(entries)], list(entries.values()), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(features), length, rtol=1e-3)


@pytest.mark.parametrize("name", GOLDEN)
def test_features_are_those_of_this_revision(name: str) -> None:
    revision, length, entries = GOLDEN[name]
    (features,) = encoder(name)(preprocess(row(name), synthetic())[np.newaxis])
    assert row(name).revision == revision
    np.testing.assert_allclose(features[list(entries)], list(entries.values()), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(features), length, rtol=1e-3)
