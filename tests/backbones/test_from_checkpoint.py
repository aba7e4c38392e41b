"""Rows of the checkpoint loader, on files this test writes as the authors published theirs.

The names and shapes of those files are written down here from the authors' code, not taken from
timm, so that a network of another shape is found out.
"""

import argparse
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import backbones.cpu_torchvision  # noqa: F401  before torchvision
from backbones import Backbone, BackboneError, names, preprocess, row, weights
from backbones.from_checkpoint import build, load, read

State = dict[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]
Scales = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std of each channel

ROWS = [name for name in names() if row(name).loader == "checkpoint"]


@pytest.fixture(autouse=True)
def _own_lock_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "LOCK", tmp_path / "zoo.lock")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def vit(dim: int, depth: int = 12, patch: int = 16) -> Shapes:
    """github.com/facebookresearch/dino, vision_transformer.py (the same in MSN, MoCo v3, MAE)."""
    shapes: Shapes = {
        "cls_token": (1, 1, dim),
        "pos_embed": (1, (224 // patch) ** 2 + 1, dim),
        "patch_embed.proj.weight": (dim, 3, patch, patch),
        "patch_embed.proj.bias": (dim,),
    }
    linear = {"attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim)}
    linear |= {"mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim)}
    for block in (f"blocks.{i}" for i in range(depth)):
        for layer, shape in linear.items():
            shapes |= {f"{block}.{layer}.weight": shape, f"{block}.{layer}.bias": shape[:1]}
        for layer in ("norm1", "norm2"):
            shapes |= {f"{block}.{layer}.weight": (dim,), f"{block}.{layer}.bias": (dim,)}
    return shapes | {"norm.weight": (dim,), "norm.bias": (dim,)}


def dinov2(dim: int, depth: int, hidden: int, registers: int, positions: int) -> Shapes:
    """ViTs for pathology: timm's of the arguments on their model cards (SwiGLU, LayerScale)."""
    shapes = vit(dim, depth, 14) | {"pos_embed": (1, positions, dim)}
    for block in (f"blocks.{i}" for i in range(depth)):
        shapes |= {f"{block}.ls1.gamma": (dim,), f"{block}.ls2.gamma": (dim,)}
        shapes |= {f"{block}.mlp.fc1.weight": (hidden, dim), f"{block}.mlp.fc1.bias": (hidden,)}
        shapes |= {f"{block}.mlp.fc2.weight": (dim, hidden // 2)}
    return shapes | {"reg_token": (1, registers, dim)}


def resnet(*blocks: int, groups: int = 1, width: int = 64) -> Shapes:
    """torchvision's ResNet, whose names PyContrast, MoCo, SwAV and DINO keep."""
    from torchvision.models.resnet import Bottleneck, ResNet

    with torch.device("meta"):
        network = ResNet(Bottleneck, list(blocks), groups=groups, width_per_group=width)
    state = network.state_dict().items()
    return {name: tuple(t.shape) for name, t in state if not name.startswith("fc.")}


def under(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def head(*layers: str) -> State:
    return {
        name: torch.zeros(2) for layer in layers for name in (f"{layer}.weight", f"{layer}.bias")
    }


def infomin(state: State) -> dict:
    heads = head("module.head.0", "module.head.2", "module.head_jig.fc1.0", "module.head_jig.fc1.2")
    model = under("module.encoder.", state) | heads | head("module.head_jig.fc2")
    return {"model": model, "optimizer": {"state": {}, "param_groups": []}, "epoch": 800}


def mocov2(state: State) -> dict:
    queue = {"module.queue": torch.zeros(128, 8), "module.queue_ptr": torch.zeros(1)}
    encoders = under("module.encoder_q.", state) | under("module.encoder_k.", state)
    heads = head("module.encoder_q.fc.0", "module.encoder_q.fc.2", "module.encoder_k.fc.0")
    return {"epoch": 800, "arch": "resnet50", "state_dict": queue | encoders | heads}


def swav(state: State) -> dict:
    heads = head("projection_head.0", "projection_head.1", "projection_head.3")
    heads |= {"projection_head.1.running_mean": torch.zeros(2), "prototypes.weight": torch.zeros(2)}
    return under("module.", state | heads)


def dino(state: State) -> dict:
    return state


def msn(state: State) -> dict:
    heads = head(
        "module.fc.fc1", "module.fc.bn1", "module.fc.fc2", "module.fc.bn2", "module.fc.fc3"
    )
    return {"target_encoder": under("module.", state) | heads, "prototypes": torch.zeros(4, 256)}


def mocov3(state: State) -> dict:
    both = under("module.base_encoder.", state)
    # Any other weights: zeros that take no room.
    zeros = {name: torch.zeros(()).expand(tensor.shape) for name, tensor in state.items()}
    both |= under("module.momentum_encoder.", zeros)
    heads = head("module.base_encoder.head.0", "module.base_encoder.head.1")
    heads |= head("module.momentum_encoder.head.0", "module.predictor.0", "module.predictor.1")
    return {"epoch": 300, "arch": "vit", "state_dict": both | heads, "scaler": {"scale": 65536.0}}


def mae(state: State) -> dict:
    return {"model": state}


RESNET50 = resnet(3, 4, 6, 3)
PUBLISHED: dict[str, tuple[Callable[[State], dict], Shapes]] = {
    "infomin_resnet50": (infomin, RESNET50),
    "infomin_resnext152": (infomin, resnet(3, 8, 36, 3, groups=32, width=4)),
    "mocov2_resnet50": (mocov2, RESNET50),
    "swav_resnet50": (swav, RESNET50),
    "dino_resnet50": (dino, RESNET50),
    "dino_vits16": (dino, vit(384)),
    "dino_vitb16": (dino, vit(768)),
    "msn_vits16": (msn, vit(384)),
    "msn_vitb16": (msn, vit(768)),
    "msn_vitl16": (msn, vit(1024, 24)),
    "mocov3_vits16": (mocov3, vit(384)),
    "mocov3_vitb16": (mocov3, vit(768)),
    "mae_vitb16": (mae, vit(768)),
    "mae_vitl16": (mae, vit(1024, 24)),
    "mae_vith14": (mae, vit(1280, 32, 14)),
    "uni2_h": (dino, dinov2(1536, 24, 8192, 8, 256)),  # positions of patches alone
    "virchow2": (dino, dinov2(1280, 32, 6832, 4, 1 + 4 + 256)),
}


def write(path: Path, name: str, state: State, **more: object) -> Path:
    file = PUBLISHED[name][0](state) | more
    # Those of spring 2020 are older than torch's zip format.
    old = name.startswith(("infomin", "mocov2", "swav"))
    torch.save(file, path, _use_new_zipfile_serialization=not old)
    return path


def thin(shapes: Shapes) -> State:
    """Tensors of full size that take no room: one number each, seen from everywhere."""
    return {
        name: torch.tensor(i + 0.5).expand(shape) for i, (name, shape) in enumerate(shapes.items())
    }


def random(shapes: Shapes) -> State:
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        positive = "running_var" in name or (name.endswith("weight") and len(shape) == 1)
        scale = 0.05 if len(shape) > 1 else 0.2
        state[name] = torch.randn(shape, generator=generator) * scale + float(positive)
        state[name] = state[name].abs() if positive else state[name]
    return state


def normalised(images: np.ndarray, scales: Scales) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in scales)
    return (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std


def vit_features(state: State, images: np.ndarray, scales: Scales, heads: int) -> np.ndarray:
    """The published transformer, written out: what stands after `norm` at the class token."""

    def linear(x: torch.Tensor, layer: str) -> torch.Tensor:
        return F.linear(x, state[f"{layer}.weight"], state[f"{layer}.bias"])

    def norm(x: torch.Tensor, layer: str) -> torch.Tensor:
        return F.layer_norm(
            x, x.shape[-1:], state[f"{layer}.weight"], state[f"{layer}.bias"], eps=1e-6
        )

    kernel, bias = state["patch_embed.proj.weight"], state["patch_embed.proj.bias"]
    x = (
        F.conv2d(normalised(images, scales), kernel, bias, stride=kernel.shape[-1])
        .flatten(2)
        .transpose(1, 2)
    )
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], dim=1) + state["pos_embed"]
    image, token, dim = x.shape
    for block in sorted({name.rsplit(".", 3)[0] for name in state if ".mlp.fc1.w" in name}):
        qkv = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv")
        q, k, v = qkv.view(image, token, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-2, -1) / (dim // heads) ** 0.5).softmax(-1)
        mixed = (attention @ v).transpose(1, 2).reshape(image, token, dim)
        x = x + linear(mixed, f"{block}.attn.proj")
        wide = F.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1"))
        x = x + linear(wide, f"{block}.mlp.fc2")
    return norm(x, "norm")[:, 0].numpy()


def pictures(n: int = 2) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, 224, 224, 3), dtype=np.uint8)


def with_build(name: str, **build_more: object) -> Backbone:
    options = row(name).options
    return replace(
        row(name), options={**options, "build": {**options.get("build", {}), **build_more}}
    )


def test_every_row_has_its_published_format_here() -> None:
    assert set(ROWS) <= set(PUBLISHED)


@pytest.mark.parametrize("name", ROWS)
def test_a_published_file_fits_its_row_tensor_by_tensor(name: str, tmp_path: Path) -> None:
    state = thin(PUBLISHED[name][1])
    network = build(row(name), write(tmp_path / "file.pth", name, state))
    own = {key.removeprefix("vit."): tensor for key, tensor in network.state_dict().items()}
    assert own.keys() == state.keys()
    for key, tensor in own.items():
        assert tensor.shape == state[key].shape
        assert tensor.flatten()[0] == state[key].flatten()[0], key
    size = row(name).input.size
    features = network.to("meta")(torch.empty(1, 3, size, size, device="meta"))
    assert features.shape == (1, row(name).dim)


@pytest.mark.parametrize("name", ROWS)
def test_a_file_that_lacks_one_tensor_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    state = thin(PUBLISHED[name][1])
    gone = sorted(state)[-1]
    del state[gone]
    with pytest.raises(BackboneError, match=f"without {gone}"):
        build(row(name), write(tmp_path / "file.pth", name, state))


@pytest.mark.parametrize("name", ROWS)
def test_a_file_with_an_unknown_tensor_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    state = thin(PUBLISHED[name][1]) | {"adapter.weight": torch.zeros(2)}
    with pytest.raises(BackboneError, match=r"adapter\.weight"):
        build(row(name), write(tmp_path / "file.pth", name, state))


def test_features_of_a_published_resnet_are_those_of_torchvision(tmp_path: Path) -> None:
    from torchvision.models.resnet import Bottleneck, ResNet

    state = random(resnet(1, 1, 1, 1))
    path = write(tmp_path / "swav.pth.tar", "swav_resnet50", state)
    backbone = replace(with_build("swav_resnet50", layers=[1, 1, 1, 1]), weights=str(path))
    found = load(backbone, "cpu")(pictures())

    network = ResNet(Bottleneck, [1, 1, 1, 1]).eval()
    network.fc = torch.nn.Identity()
    network.load_state_dict(state)
    with torch.inference_mode():
        expected = network(normalised(pictures(), (backbone.input.mean, backbone.input.std)))
    assert found.dtype == np.float32
    assert found.shape == (2, 2048)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * expected.max().item())


@pytest.mark.parametrize(
    ("name", "heads", "patch"),
    [
        ("dino_vits16", 6, 16),
        ("msn_vitb16", 12, 16),
        ("mae_vitl16", 16, 16),
        ("mae_vith14", 16, 14),
    ],
)
def test_features_of_a_published_transformer_are_its_class_token(
    name: str, heads: int, patch: int, tmp_path: Path
) -> None:
    state = random(vit(row(name).dim, 1, patch))
    network = build(with_build(name, depth=1), write(tmp_path / "file.pth", name, state)).eval()
    scales = (row(name).input.mean, row(name).input.std)
    with torch.inference_mode():
        found = network(normalised(pictures(), scales)).numpy()
    expected = vit_features(state, pictures(), scales, heads)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_class_token_and_mean_of_the_patches_stand_side_by_side(tmp_path: Path) -> None:
    """Without registers in either: Virchow2's are between them."""
    state = random(dinov2(1280, 1, 6832, 4, 261))
    path = write(tmp_path / "file.pth", "virchow2", state)
    network = build(with_build("virchow2", depth=1), path).eval()
    one = build(replace(with_build("virchow2", depth=1), output="cls"), path).eval()
    pixels = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        found, tokens = network(pixels), one.forward_features(pixels)
        assert torch.equal(found[:, :1280], one(pixels))
    torch.testing.assert_close(found[:, 1280:], tokens[:, 5:].mean(1))
    assert tokens.shape[1] == 1 + 4 + 256


def test_a_layer_that_timm_does_not_have_is_refused() -> None:
    with pytest.raises(BackboneError, match=r"uni2_h: timm cannot build .*no attribute 'SwiGlu'"):
        build(with_build("uni2_h", mlp_layer="SwiGlu"), None)


def test_moco_v3_small_has_twelve_heads_not_six(tmp_path: Path) -> None:
    backbone = with_build("mocov3_vits16", depth=2)
    state = random(vit(384, 2))
    path = write(tmp_path / "vit-s.pth.tar", "mocov3_vits16", state)
    found = load(replace(backbone, weights=str(path)), "cpu")(pictures())
    scales = (backbone.input.mean, backbone.input.std)
    np.testing.assert_allclose(
        found, vit_features(state, pictures(), scales, 12), rtol=1e-3, atol=1e-3
    )
    six = vit_features(state, pictures(), scales, 6)  # the shapes are the same: it would load
    assert np.abs(found - six).max() > 0.01 * np.abs(six).max()


def test_moco_v3_reads_the_base_encoder(tmp_path: Path) -> None:
    state = thin(vit(384))
    path = write(tmp_path / "vit-s.pth.tar", "mocov3_vits16", state)
    network = build(row("mocov3_vits16"), path)
    assert network.state_dict()["norm.bias"][0] == state["norm.bias"][0]


def test_without_a_file_the_network_is_untrained_but_whole() -> None:
    backbone = with_build("dino_vits16", depth=1)
    network = build(backbone, None).eval()
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
    assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 384)


def test_half_precision_weights_become_single(tmp_path: Path) -> None:
    state = {name: t.half() for name, t in random(vit(384, 1)).items()}
    path = write(tmp_path / "file.pth", "dino_vits16", state)
    network = build(with_build("dino_vits16", depth=1), path)
    assert {t.dtype for t in network.state_dict().values()} == {torch.float32}


def test_a_safetensors_file_is_read_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(random(vit(384, 1)), tmp_path / "file.safetensors")
    network = build(with_build("dino_vits16", depth=1), tmp_path / "file.safetensors")
    assert network.state_dict()["norm.weight"].shape == (384,)


def test_a_file_of_another_network_is_refused_by_a_shape(tmp_path: Path) -> None:
    path = write(tmp_path / "file.pth", "dino_vits16", thin(vit(384)))
    with pytest.raises(BackboneError, match=r"wrong .*cls_token \[1, 1, 384\] not \[1, 1, 768\]"):
        build(row("dino_vitb16"), path)


def test_a_prefix_that_fits_nothing_is_refused(tmp_path: Path) -> None:
    torch.save({"model": thin(RESNET50)}, tmp_path / "file.pth")
    with pytest.raises(BackboneError, match=r"no tensor is called module\.encoder\.\*.*conv1"):
        build(row("infomin_resnet50"), tmp_path / "file.pth")


def test_an_entry_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "epoch": 3}, tmp_path / "file.pth")
    with pytest.raises(BackboneError, match="no entry 'model'; found: state_dict, epoch"):
        build(row("mae_vitb16"), tmp_path / "file.pth")


def test_a_corrupted_file_is_refused_by_its_sha256(tmp_path: Path) -> None:
    import hashlib

    path = write(tmp_path / "file.pth", "dino_vits16", thin(vit(384)))
    good = hashlib.sha256(path.read_bytes()).hexdigest()
    backbone = replace(row("dino_vits16"), weights=str(path), sha256=good)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BackboneError, match=f"has sha256 .* says {good}"):
        load(backbone, "cpu")


def test_a_file_that_changed_since_it_was_first_used_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "file.pth", "dino_vits16", random(vit(384, 1)))
    backbone = replace(with_build("dino_vits16", depth=1), weights=str(path))
    load(backbone, "cpu")
    write(path, "dino_vits16", random(vit(384, 1)), later=torch.zeros(1))
    with pytest.raises(BackboneError, match=r"zoo\.lock says"):
        load(backbone, "cpu")


def test_a_page_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.pth").write_text("<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(BackboneError, match="is not a checkpoint"):
        build(row("infomin_resnet50"), tmp_path / "file.pth")


class Bomb:
    def __reduce__(self) -> tuple:
        return os.mkdir, (os.environ["BOMB"],)


def test_opening_a_file_runs_none_of_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "went-off"))
    for old in (True, False):
        torch.save({"model": Bomb()}, tmp_path / "file.pth", _use_new_zipfile_serialization=not old)
        with pytest.raises(BackboneError, match=r"holds a \w+\.mkdir, and opening that may run"):
            read("a_row", tmp_path / "file.pth", "model")
    assert not (tmp_path / "went-off").exists()
    with (tmp_path / "file.pth").open("wb") as file:
        pickle.dump(Bomb(), file)
    with pytest.raises(BackboneError):
        read("a_row", tmp_path / "file.pth", "model")
    assert not (tmp_path / "went-off").exists()


def test_the_settings_of_a_training_script_beside_the_weights_do_no_harm(tmp_path: Path) -> None:
    settings = argparse.Namespace(model="vit_base", lr=1e-3)
    path = write(tmp_path / "file.pth", "mae_vitb16", thin(vit(768)), args=settings)
    assert read("mae_vitb16", path, "model").keys() == vit(768).keys()


def test_a_misspelt_option_is_refused_with_those_there_are() -> None:
    backbone = replace(row("dino_vits16"), options={"prefx": "module."})
    with pytest.raises(BackboneError, match=r"options\.prefx.*known: key, prefix, drop, build"):
        build(backbone, None)


def test_an_unknown_network_or_output_is_refused() -> None:
    with pytest.raises(BackboneError, match="timm cannot build vit_smal"):
        build(replace(row("dino_vits16"), model="vit_smal"), None)
    with pytest.raises(BackboneError, match="no output 'pool'; expected avg, cls or cls"):
        build(replace(row("dino_vits16"), output="pool"), None)


def test_a_file_without_an_address_is_looked_for_among_the_downloads(tmp_path: Path) -> None:
    backbone = row("infomin_resnext152")
    with pytest.raises(
        BackboneError, match=r"InfoMin_resnext152v1_e200\.pth; put it there.*dropbox"
    ):
        load(backbone, "cpu")
    weights.checkpoints().mkdir(parents=True)
    write(weights.checkpoints() / backbone.weights, backbone.name, {"conv1.weight": torch.zeros(2)})
    with pytest.raises(BackboneError, match=r"without bn1\.weight"):
        load(backbone, "cpu")


def test_a_row_reads_the_picture_as_its_authors_did() -> None:
    from PIL import Image

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 500, 3), np.uint8))
    assert {preprocess(row(name), picture).shape for name in ROWS} == {(224, 224, 3)}
    assert row("swav_resnet50").input.std == (0.228, 0.224, 0.225)  # sic, eval_linear.py
