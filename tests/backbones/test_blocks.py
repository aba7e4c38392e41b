"""A network cut before its last blocks: the same function in two parts, one of which learns."""

import copy
import functools
import importlib
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

import backbones.cpu_torchvision  # noqa: F401  before timm
from backbones import Backbone, BackboneError, from_package, from_timm, names, row
from backbones.blocks import FAMILIES, LOADERS, build, cut, parts_of, synchronized
from backbones.blocks_parts import kind

TINY_VIT = {"embed_dim": 32, "depth": 3, "num_heads": 2, "patch_size": 8}
TINY_RESNET = {"layers": [2, 1, 1, 1], "channels": [8, 8, 8, 8]}
CLIP = {"embed_dim": 24, "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 32}}
CLIP["text_cfg"] |= {"heads": 1, "layers": 1}
TOWER = {"image_size": 32, "width": 64, "head_width": 32, "patch_size": 8}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)  # open_clip warns of the untrained networks built here
    yield
    logging.disable(logging.NOTSET)


def of_timm(model: str, output: str, size: int = 32, **options: object) -> Callable:
    def built() -> torch.nn.Module:
        found = replace(row("timm_resnet50"), model=model, output=output, options=options)
        return from_timm.build(replace(found, input=replace(found.input, size=size)), None)

    return built


def of_open_clip(**vision: object) -> torch.nn.Module:
    from open_clip import CustomTextCLIP

    return CustomTextCLIP(CLIP["embed_dim"], vision_cfg=vision, text_cfg=CLIP["text_cfg"]).visual


def of_torchvision(model: str, **options: object) -> torch.nn.Module:
    from backbones.from_torchvision import build

    return build(replace(row("mobilenet_v2"), model=model, options=options), None)


def torchvision_resnet() -> torch.nn.Module:
    from torchvision.models.resnet import Bottleneck, ResNet

    network = ResNet(Bottleneck, [1, 2, 1, 1], width_per_group=4)
    network.fc = torch.nn.Identity()
    return network


def torchvision_convnext() -> torch.nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    widths = (8, 16, 24, None)
    network = ConvNeXt([CNBlockConfig(a, b, 2) for a, b in itertools.pairwise(widths)])
    network.classifier = network.classifier[:-1]
    return network


VIT, EVA = "vit_tiny_patch16_224", "eva02_tiny_patch14_224"
TIMM_TOWER = {"image_size": 32, "timm_model_name": "test_vit", "timm_pool": "map"}
TIMM_TOWER |= {"timm_proj": "none"}
# What to build, and how many blocks it has.
NETWORKS: dict[str, tuple[Callable[[], torch.nn.Module], int]] = {
    "vit, class token": (of_timm(VIT, "cls", img_size=32, **TINY_VIT), 3),
    "vit, average": (of_timm(VIT, "avg", img_size=32, fc_norm=True, **TINY_VIT), 3),
    "vit, attention pool": (
        of_timm(VIT, "map", img_size=32, class_token=False, **TINY_VIT),
        3,
    ),
    "vit, registers": (
        of_timm(VIT, "cls", img_size=32, reg_tokens=4, no_embed_class=True, **TINY_VIT),
        3,
    ),
    "vit, early norm, any size": (
        of_timm(VIT, "cls", img_size=16, dynamic_img_size=True, pre_norm=True, **TINY_VIT),
        3,
    ),
    "eva": (of_timm(EVA, "cls", img_size=32, **TINY_VIT), 3),
    "dinov3, any size": (
        of_timm("vit_small_patch16_dinov3", "cls", img_size=16, **TINY_VIT),
        3,
    ),
    "efficientnet": (of_timm("tf_efficientnet_lite0", "avg"), 17),
    "efficientnet, up to a stage": (
        lambda: from_package.build(row("efficientnet_lite0_stage4"), None),
        8,
    ),
    "resnet, basic": (of_timm("resnet18", "avg", **TINY_RESNET), 5),
    "resnet, bottleneck": (of_timm("resnet50s", "avg", **TINY_RESNET, stem_width=8), 5),
    "resnet, small stem": (lambda: from_timm.build(row("resnet18_small_narrow"), None), 8),
    "convnext": (
        of_timm("convnext_atto", "avg", depths=[1, 2, 1, 1], dims=[8, 8, 16, 16]),
        5,
    ),
    "torchvision resnet": (torchvision_resnet, 5),
    "torchvision mobilenet": (lambda: of_torchvision("mobilenet_v2", width_mult=0.25), 18),
    "torchvision convnext": (torchvision_convnext, 6),
    "clip vit": (lambda: of_open_clip(layers=3, **TOWER), 3),
    "clip vit, norm after pool": (
        lambda: of_open_clip(layers=3, final_ln_after_pool=True, pool_type="avg", **TOWER),
        3,
    ),
    "clip vit, attention pool": (
        lambda: of_open_clip(layers=3, attentional_pool=True, attn_pooler_heads=2, **TOWER),
        3,
    ),
    "clip resnet": (lambda: of_open_clip(layers=[1, 2, 1, 1], width=8, image_size=32), 5),
    "clip with a network of timm": (lambda: of_open_clip(**TIMM_TOWER), 6),
}


@functools.cache
def made(name: str) -> torch.nn.Module:
    """Random weights, and norms that do something."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = NETWORKS[name][0]()
        for key, tensor in network.state_dict().items():
            if tensor.is_floating_point() and tensor.dim() == 1:
                tensor.uniform_(0.5, 1.5) if "var" in key else tensor.add_(
                    torch.randn(tensor.shape) * 0.1
                )
    return network


def network_of(name: str) -> torch.nn.Module:
    return copy.deepcopy(made(name))


def sized(size: int) -> Backbone:
    return replace(row("pixels"), input=replace(row("pixels").input, size=size))


ROW = sized(32)


def pixels(size: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def alike(found: torch.Tensor, expected: torch.Tensor) -> None:
    """But for rounding: no library promises the same bits for the same sum twice."""
    torch.testing.assert_close(
        found, expected, rtol=1e-5, atol=1e-5 * float(expected.detach().abs().max())
    )


def trained(network: torch.nn.Module) -> set[str]:
    return {name for name, it in network.named_parameters() if it.requires_grad}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_two_parts_are_the_network(name: str) -> None:
    network, blocks = network_of(name), NETWORKS[name][1]
    with torch.inference_mode():
        for train_blocks in {0, 1, 2, blocks - 1, blocks, "all"}:
            trunk, tail = cut(ROW, network, train_blocks)
            tokens = trunk.eval()(pixels())
            kept = tokens.clone()
            expected = network.eval()(pixels())
            assert expected.std() > 0
            alike(tail.eval()(tokens), expected)
            assert torch.equal(tokens, kept), "stored tokens are read again"
            assert len(tokens) == 2, "the image comes first"


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_the_last_blocks_alone(name: str) -> None:
    network, blocks = network_of(name), NETWORKS[name][1]
    before: set[str] = set()
    for train_blocks in range(1, min(blocks, 3) + 1):
        trunk, tail = cut(ROW, network, train_blocks)
        assert not trained(trunk)
        now = trained(network)
        block = {id(it) for it in parts_of(ROW, network).blocks[-train_blocks].parameters()}
        found = {id(it) for key, it in network.named_parameters() if key in now - before}
        assert found == block, "one block more"
        network.zero_grad()
        tail(trunk(pixels())).square().sum().backward()
        reached = {key for key, it in network.named_parameters() if it.grad is not None}
        assert reached == now
        before = now


def test_all_trains_everything_in_training_mode_and_none_nothing() -> None:
    network = network_of("resnet, basic")
    trunk, tail = cut(ROW, network, "all")
    assert tail is network
    assert network.training
    assert trained(network) == {name for name, _ in network.named_parameters()}
    trunk, tail = cut(ROW, network, 0)
    assert trunk is network
    assert not network.training
    assert trained(network) == set()


def test_the_statistics_of_batch_norms_stay_as_they_are() -> None:
    network = network_of("resnet, basic")
    before = {name: it.clone() for name, it in network.named_buffers()}
    trunk, tail = cut(ROW, network, 2)
    tail(trunk(pixels())).sum().backward()
    assert all(torch.equal(before[name], it) for name, it in network.named_buffers())


def test_norms_across_gpus_keep_their_activations() -> None:
    network = network_of("efficientnet").eval()
    x = pixels()
    with torch.no_grad():
        expected = network(x)
        alike(synchronized(network)(x), expected)
    norms = [it for it in network.modules() if isinstance(it, torch.nn.SyncBatchNorm)]
    assert len(norms) > 3
    assert not any(type(it) is torch.nn.BatchNorm2d for it in network.modules())


@pytest.mark.parametrize("name", ["vit, class token", "dinov3, any size", "clip vit", "convnext"])
def test_what_the_tail_learns_is_in_the_network(name: str) -> None:
    network = network_of(name)
    trunk, tail = cut(ROW, network, 1)
    before = {name: it.clone() for name, it in network.state_dict().items()}
    with torch.no_grad():
        for it in tail.parameters():
            if it.requires_grad:
                it.add_(1)
    changed = {key for key, it in network.state_dict().items() if not torch.equal(it, before[key])}
    assert changed == trained(network)
    alike(tail(trunk(pixels())), network(pixels()))


@pytest.mark.parametrize("name", ["vit, registers", "dinov3, any size", "clip vit"])
def test_each_part_takes_along_all_that_it_reads(name: str) -> None:
    network = network_of(name)
    trunk, tail = cut(ROW, network, 1)
    own = {id(it) for it in network.parameters()}
    # Only a register that is not used by any part may be left out.
    assert {id(it) for part in (trunk, tail) for it in part.parameters()} == own
    ahead = {id(it) for it in trunk.parameters()}
    assert not ahead & {id(it) for it in tail.parameters()}, "the tail is the light part"
    expected = network(pixels()).double()
    halves = trunk.double(), tail.double()
    found = halves[1](halves[0](pixels().double()))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_tail_can_be_copied_for_a_teacher() -> None:
    network = network_of("vit, class token")
    trunk, tail = cut(ROW, network, 1)
    teacher, tokens = copy.deepcopy(tail), trunk(pixels())
    expected = tail(tokens)
    with torch.no_grad():
        for it in tail.parameters():
            it.add_(0.1)
    alike(teacher(tokens), expected)
    assert (tail(tokens) - expected).abs().max() > 1e-3


def test_a_trunk_runs_on_onnxruntime() -> None:
    import numpy as np

    from backbones.engine import Whole, _onnx

    trunk, _ = cut(ROW, network_of("vit, registers"), 1)
    whole = Whole(trunk, ROW).eval()
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    with torch.inference_mode():
        expected = whole(torch.from_numpy(images)).numpy()
    found = _onnx(whole, images)(images)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_network_that_cuts_itself_is_asked() -> None:
    class Own(torch.nn.Linear):
        def cut(self, train_blocks: int) -> tuple[torch.nn.Module, torch.nn.Module]:
            return torch.nn.Identity(), torch.nn.Linear(train_blocks, 1)

    assert cut(ROW, Own(1, 1), 5).tail.in_features == 5


@pytest.mark.parametrize(
    ("name", "train_blocks", "message"),
    [
        ("vit, average", 4, "pixels: train_blocks is 4, but it has 3 blocks; take fewer"),
        ("vit, average", -1, 'train_blocks is -1, expected "all" or a number from 0 on'),
        ("vit, average", True, "train_blocks is True, expected"),
        ("vit, average", "last", "train_blocks is 'last', expected"),
    ],
)
def test_a_number_of_blocks_that_cannot_be_is_refused(
    name: str, train_blocks: int, message: str
) -> None:
    with pytest.raises(BackboneError) as caught:
        cut(ROW, network_of(name), train_blocks)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_whose_blocks_cannot_be_told_is_refused_by_its_class() -> None:
    with pytest.raises(BackboneError, match=r"pixels: the blocks of a torch.*\.Linear cannot be"):
        cut(ROW, torch.nn.Linear(2, 2), 1)
    assert cut(ROW, torch.nn.Linear(2, 2), 0).trunk(torch.ones(1, 2)).shape == (1, 2)
    mixed = network_of("eva")
    mixed.rope_mixed = True
    with pytest.raises(BackboneError, match=r"timm\.models\.eva\.Eva cannot be told"):
        cut(ROW, mixed, 1)


@pytest.mark.parametrize("name", ["pixels", "simclr_resnet50"])
def test_what_torch_cannot_train_is_refused(name: str) -> None:
    loader = row(name).loader
    with pytest.raises(BackboneError, match=f"{name}: a backbone of loader {loader} cannot be tra"):
        build(row(name))


def test_an_untrained_row_is_the_same_each_time_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, again = build(row("resnet18_small_narrow")), build(row("resnet18_small_narrow"))
    assert torch.equal(before, torch.get_rng_state())
    state = again.state_dict()
    assert all(torch.equal(it, state[name]) for name, it in first.state_dict().items())
    assert first.eval()(pixels(28)).shape == (2, 128)


def test_the_small_stem_keeps_every_pixel() -> None:
    for name, width in (("resnet18_small", 64), ("resnet18_small_narrow", 16)):
        with torch.device("meta"):
            network = from_timm.build(row(name), None)
            stem = parts_of(row(name), network).stem
            assert stem(torch.empty(1, 3, 32, 32)).shape == (1, width, 32, 32)
            assert sum(it.numel() for it in network.conv1.parameters()) == 27 * width


def test_a_small_stem_with_published_weights_is_refused() -> None:
    wrong = replace(row("timm_resnet50"), options={"stem": "small"})
    with pytest.raises(BackboneError, match=r"timm_resnet50: options\.stem is 'small' and weights"):
        from_timm.build(wrong, None)


def first_of_each_method() -> Iterator[Backbone]:
    """But: none that are slow to build without a file, as are the largest and most checkpoints."""
    seen = set()
    for found in map(row, names()):
        quick = found.loader in LOADERS and found.loader != "checkpoint" and found.dim <= 1280
        if quick and (found.loader, found.method) not in seen:
            seen.add((found.loader, found.method))
            yield found
    yield from map(row, ("dino_resnet50", "dino_vits16"))


@pytest.mark.parametrize("found", list(first_of_each_method()), ids=lambda it: it.name)
def test_the_blocks_of_the_zoo_can_be_told(found: Backbone) -> None:
    build = importlib.import_module(f"backbones.from_{found.loader}").build
    with torch.device("meta"):
        network = build(found, None)
    assert kind(network) in FAMILIES
    assert len(parts_of(found, network).blocks) >= 8
