"""From a picture to a backbone's square, held to torchvision's own transforms. But: pictures that
are enlarged are so by bilinear interpolation."""

import numpy as np
import pytest
from PIL import Image

import backbones.cpu_torchvision  # noqa: F401  before torchvision
from backbones import names, preprocess, row

SHAPES = [(300, 400), (401, 223), (224, 224), (31, 97), (8, 8), (1, 50)]


def picture(height: int, width: int) -> Image.Image:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2", "clip_vit_b_32"])
def test_a_crop_is_torchvisions_resize_and_centre_crop(name: str, shape: tuple[int, int]) -> None:
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    found = row(name).input
    how = "bilinear" if min(shape) < found.resize else found.interpolation
    theirs = Compose([Resize(found.resize, InterpolationMode(how)), CenterCrop(found.size)])
    image = picture(*shape)
    assert np.array_equal(preprocess(row(name), image), np.asarray(theirs(image)))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_squash_is_torchvisions_resize_of_both_sides(shape: tuple[int, int]) -> None:
    from torchvision.transforms import InterpolationMode, Resize

    found = row("siglip2_vit_b_16")
    how = "bilinear" if min(shape) < 224 else "bicubic"
    theirs = Resize((224, 224), InterpolationMode(how))
    image = picture(*shape)
    assert np.array_equal(preprocess(found, image), np.asarray(theirs(image)))


def test_a_picture_that_is_enlarged_has_no_value_beyond_its_own() -> None:
    """As bicubic interpolation would give it, which overshoots at edges."""
    pixels = np.full((28, 28, 3), 100, np.uint8)
    pixels[:, 14:] = 150
    found, small = row("efficientnet_lite0_96"), Image.fromarray(pixels)
    seen = preprocess(found, small)
    assert (seen.min(), seen.max()) == (100, 150)
    reduced = preprocess(found, small.resize((280, 280), Image.Resampling.NEAREST))
    assert (reduced.min(), reduced.max()) != (100, 150)


def test_every_backbone_gets_its_square_of_uint8() -> None:
    for found in map(row, names()):
        pixels = preprocess(found, picture(60, 90))
        assert pixels.shape == (found.input.size, found.input.size, 3)
        assert pixels.dtype == np.uint8


def test_the_centre_of_a_picture_stays_in_the_centre() -> None:
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[140:160, 290:310] = 255
    seen = preprocess(row("efficientnet_lite0"), Image.fromarray(pixels))
    assert np.array_equal(seen, seen[::-1])
    assert np.array_equal(seen, seen[:, ::-1])
    assert seen[112, 112].tolist() == [255, 255, 255]
