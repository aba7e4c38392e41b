"""A row of the zoo at other sizes of its pictures: what goes in and comes out, what is refused."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image

from backbones import (
    BackboneError,
    from_checkpoint,
    from_open_clip,
    from_timm,
    from_torchvision,
    load,
    preprocess,
    row,
)  # fmt: skip
from backbones.row import base_of, read_row
from backbones.sizes import mean_of_sizes

LITE, SMALL = "efficientnet_lite0", "resnet18_small_narrow"


def picture(height: int = 60, width: int = 90) -> Image.Image:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_as_much_of_a_picture_is_seen_at_any_size() -> None:
    own, small = row(LITE).input, row(f"{LITE}@112").input
    assert (own.size, own.resize) == (224, 256)
    assert (small.size, small.resize) == (112, 128)
    assert replace(small, size=224, resize=256) == own


def test_the_digest_knows_the_size_and_nothing_but_it() -> None:
    digests = {name: row(name).digest for name in (LITE, f"{LITE}@160", f"{LITE}@96+160")}
    assert len(set(digests.values())) == 3
    assert row(f"{LITE}@224").digest == digests[LITE]
    assert row(f"{LITE}@96+160").digest != row(f"{LITE}@160+96").digest


def test_a_network_of_convolutions_sees_the_size() -> None:
    found = row(f"{SMALL}@40")
    pixels = preprocess(found, picture())
    assert pixels.shape == (40, 40, 3)
    (own,) = load(f"{SMALL}@40")(pixels[np.newaxis])
    (other,) = load(SMALL)(preprocess(row(SMALL), picture())[np.newaxis])
    assert own.shape == other.shape == (128,)
    assert not np.allclose(own, other)


def test_the_mean_of_sizes_is_that_of_unit_vectors_at_unit_length() -> None:
    each = []
    for name in (f"{SMALL}@28", f"{SMALL}@40"):
        (vector,) = load(name)(preprocess(row(name), picture())[np.newaxis]).astype(np.float64)
        each.append(vector / np.sqrt((vector**2).sum()))
    mean = (each[0] + each[1]) / 2
    both = row(f"{SMALL}@28+40")
    pixels = preprocess(both, picture())
    assert pixels.shape == (28 * 28 + 40 * 40, 3)
    encode = load(both.name)
    (found,) = encode(pixels[np.newaxis])
    np.testing.assert_allclose(found, mean / np.sqrt((mean**2).sum()), atol=1e-6)
    twice = encode(np.stack([pixels, preprocess(both, picture(50, 50))]))
    np.testing.assert_array_equal(twice[0], found)  # whatever stands beside it
    assert encode(np.empty((0, *pixels.shape), np.uint8)).shape == (0, 128)
    with pytest.raises(BackboneError, match=r"expected uint8 \[image, 2384, 3\]"):
        encode(pixels[np.newaxis, :5])


def test_a_mean_worked_out_by_hand() -> None:
    found = replace(row(f"{SMALL}@16+32"), dim=2)
    vectors = {16: [3.0, 4.0], 32: [0.0, 2.0]}  # unit: (.6, .8), (0, 1); sum (.6, 1.8)

    def of_size(one):
        return lambda images: np.tile(np.float32(vectors[one.input.size]), (len(images), 1))

    encode = mean_of_sizes(found, of_size)
    (mean,) = encode(np.zeros((1, 16 * 16 + 32 * 32, 3), np.uint8))
    np.testing.assert_allclose(mean, np.array([1, 3]) / np.sqrt(10), atol=1e-7)


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("timm_vit_small_patch16_224@96", from_timm.build),
        ("dinov2_vits14@98", from_timm.build),
        ("dinov3_vits16@96", from_timm.build),
        ("dino_vits16@96", from_checkpoint.build),
        ("clip_vit_b_32@96", from_open_clip.build),
    ],
)
def test_a_transformer_takes_its_positions_along(name: str, build) -> None:
    found = row(name)
    network = build(replace(found, weights="none"), None).eval()
    with torch.inference_mode():
        pixels = torch.zeros(1, 3, found.input.size, found.input.size)
        assert network(pixels).shape == (1, found.dim)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (f"{LITE}@", "expected one size in pixels, 16 or more, or different ones"),
        (f"{LITE}@8", "expected one size in pixels, 16 or more"),
        (f"{LITE}@96+96", "or different ones"),
        (f"{LITE}@1e2", "expected one size"),
        (f"{LITE}@٣٢", "expected one size"),
        ("pixels@16", "pixels has no other size than 8: its vector is the picture"),
        ("simclr_resnet50@96", "simclr_resnet50 has no other size than 224"),
        ("efficientnet_lit@96", "did you mean efficientnet_lite"),
    ],
)
def test_what_is_no_size_is_refused_in_one_line(name: str, says: str) -> None:
    with pytest.raises(BackboneError, match=says):
        row(name)


def test_a_size_that_is_no_multiple_of_the_patches_is_refused_with_those_beside_it() -> None:
    found = replace(row("timm_vit_small_patch16_224@100"), weights="none")
    with pytest.raises(BackboneError, match=r"no multiple of its patches of 16; take 96 or 112$"):
        from_timm.build(found, None)


def test_a_network_with_one_size_says_so() -> None:
    found = replace(row("mobilenet_v2@96"), model="vit_b_16")
    with pytest.raises(BackboneError, match="vit_b_16 takes pictures of 224 pixels only"):
        from_torchvision.build(found, None)


def test_an_adapted_backbone_may_begin_with_a_size() -> None:
    base = {key: value for key, value in asdict(row(f"{SMALL}@40")).items() if key != "sizes"}
    facts = {**asdict(row(SMALL)), "loader": "adapted", "options": {"base": base, "form": "plain"}}
    del facts["name"]
    found = base_of(read_row("mine", facts, "row.yaml"))
    assert (found.name, found.input.size) == (f"{SMALL}@40", 40)
