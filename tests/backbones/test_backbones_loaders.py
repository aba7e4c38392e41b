"""Each loader on a small untrained file in the format it is published in: every tensor arrives."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import backbones.cpu_torchvision  # noqa: F401  before timm
from backbones import (
    Backbone,
    BackboneError,
    from_open_clip,
    from_package,
    from_timm,
    from_torchvision,
    load,
    row,
    weights,
)

Network = Callable[[torch.Tensor], torch.Tensor]
TINY_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 1, "layers": 1},
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def alike(ours: Network, theirs: Network, size: int) -> None:
    """They give the same, but for rounding, of which no library promises the bits."""
    pixels = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        found, expected = ours(pixels), theirs(pixels)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_timm_takes_all_but_the_classifier(tmp_path: Path) -> None:
    import timm

    found = row("timm_vit_small_patch16_224")
    theirs = timm.create_model(found.model)
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    theirs.reset_classifier(0)
    alike(from_timm.build(found, tmp_path / "model.safetensors").eval(), theirs.eval(), 224)


def test_timm_fits_dinov2s_position_embedding_to_the_size_of_the_row(tmp_path: Path) -> None:
    import timm

    found = row("dinov2_vits14")
    theirs = timm.create_model(found.model)
    assert theirs.pos_embed.shape[1] == 1 + 37 * 37
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    ours = from_timm.build(found, tmp_path / "model.safetensors")
    assert ours.pos_embed.shape[1] == 1 + 16 * 16
    for name, tensor in ours.state_dict().items():
        assert name == "pos_embed" or torch.equal(tensor, theirs.state_dict()[name])


def test_timm_refuses_a_file_that_lacks_a_tensor(tmp_path: Path) -> None:
    import timm

    found = replace(row("timm_resnet50"), model="resnet18.a1_in1k")
    state = timm.create_model(found.model).state_dict()
    del state["layer1.0.bn1.running_var"]
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(RuntimeError, match=r"Missing key.*layer1\.0\.bn1\.running_var"):
        from_timm.build(found, tmp_path / "net.pth")


def test_dinov3_is_read_at_its_class_token_not_at_timms_average() -> None:
    with torch.device("meta"):
        assert from_timm.build(row("dinov3_vits16"), None).global_pool == "token"


def test_torchvision_takes_all_but_the_last_linear_layer(tmp_path: Path) -> None:
    from torchvision.models import convnext_tiny

    found = replace(row("convnext_small"), model="convnext_tiny")
    theirs = convnext_tiny()
    torch.save(theirs.state_dict(), tmp_path / "net.pth")
    theirs.classifier[2] = torch.nn.Identity()
    alike(from_torchvision.build(found, tmp_path / "net.pth").eval(), theirs.eval(), 64)


@pytest.mark.parametrize("name", ["clip_vit_b_32", "laion2b_vit_b_16"])
def test_open_clip_gives_the_embedding_its_encode_image_gives(name: str, tmp_path: Path) -> None:
    import open_clip

    found = replace(row(name), options=TINY_CLIP)
    theirs = open_clip.create_model(found.model, **TINY_CLIP)
    save_file(theirs.state_dict(), tmp_path / "open_clip_model.safetensors")
    ours = from_open_clip.build(found, tmp_path / "open_clip_model.safetensors")
    alike(ours.eval(), theirs.eval().encode_image, 32)


@pytest.mark.parametrize(
    "name", ["pe_spatial_vitt16", "tipsv2_vitb14", "aimv2_vitl14", "eupe_vits16",
             "eupe_convnext_tiny"]
)  # fmt: skip
def test_timm_loads_the_networks_of_2026_as_it_publishes_them(name: str, tmp_path: Path) -> None:
    """Shallower ones, read where the row says; of all but EUPE's ViTs that is timm's own choice."""
    import timm

    found = row(name)
    shallow = {"depths": (1, 1, 1, 1)} if "convnext" in name else {"depth": 1}
    pool = {"global_pool": "token"} if name == "eupe_vits16" else {}
    theirs = timm.create_model(found.model, **shallow, **pool)
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    theirs.reset_classifier(0)
    ours = from_timm.build(replace(found, options=shallow), tmp_path / "model.safetensors")
    alike(ours.eval(), theirs.eval(), found.input.size)


def test_perception_encoders_give_the_embedding_that_meets_the_texts(tmp_path: Path) -> None:
    import open_clip

    from backbones import text

    found = row("pe_core_vit_t_16_384")
    theirs = open_clip.create_model(found.model)
    path = tmp_path / "open_clip_model.safetensors"
    save_file(theirs.state_dict(), path)
    ours = from_open_clip.build(found, path)
    alike(ours.eval(), theirs.eval().encode_image, 384)
    with torch.inference_mode():
        tower = text.TextTower(theirs, open_clip.get_tokenizer(found.model), torch.device("cpu"))
    assert tower.width == found.dim


def test_openais_clips_have_openais_activation() -> None:
    from open_clip.transformer import QuickGELU

    def quick(name: str) -> bool:
        network = from_open_clip.build(replace(row(name), options=TINY_CLIP), None)
        return any(isinstance(module, QuickGELU) for module in network.modules())

    assert quick("clip_vit_b_32")
    assert not quick("laion2b_vit_b_32")


def test_a_package_that_holds_another_network_is_refused() -> None:
    lite0, lite1 = row("efficientnet_lite0"), row("efficientnet_lite1")
    with pytest.raises(BackboneError, match=r"efficientnet_lite0: tensor \d+ of .* expects"):
        from_package.build(lite0, weights.place(lite1))


def test_an_early_stage_is_the_mean_of_what_the_whole_network_has_there() -> None:
    early, whole = row("efficientnet_lite0_stage4"), row("efficientnet_lite0")
    network, seen = from_package.build(whole, weights.place(whole)).eval(), list[torch.Tensor]()
    network.blocks[3].register_forward_hook(lambda module, given, found: seen.append(found))
    pixels = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        network(pixels)
        found = from_package.build(early, weights.place(early)).eval()(pixels)
    assert found.shape == (3, early.dim)
    assert torch.equal(found, seen[0].mean((2, 3)))


@pytest.mark.parametrize("output", ["stage 8", "stage 0", "stage four", "logits"])
def test_a_stage_that_the_network_does_not_have_is_refused(output: str) -> None:
    early = replace(row("efficientnet_lite0_stage4"), output=output)
    with pytest.raises(BackboneError, match=rf"no output '{output}'; expected avg, or stage 1 to"):
        from_package.build(early, None)


@pytest.mark.parametrize("found", [row("timm_resnet50"), row("clip_rn50")], ids=lambda it: it.name)
def test_an_output_nobody_knows_is_refused(found: Backbone) -> None:
    build = {"timm": from_timm.build, "open_clip": from_open_clip.build}[found.loader]
    with pytest.raises(BackboneError, match=f"{found.name}: no output 'logits'; expected"):
        build(replace(found, output="logits"), None)


def test_pixels_are_the_picture_itself() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    features = load("pixels")(images)
    assert features.dtype == np.float32
    assert np.array_equal(features.reshape(images.shape) * 255, images)


def test_an_unknown_loader_is_refused_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backbones.row", lambda _: replace(row("pixels"), loader="jax"))
    with pytest.raises(BackboneError, match=r"no loader called 'jax'; found: .*open_clip"):
        load("pixels")
