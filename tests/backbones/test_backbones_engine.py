"""The engine: fast, and the same bytes for the same image whatever surrounds it."""

import functools
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import DEVICES

from backbones import Backbone, BackboneError, Encoder, Input, engine, from_timm, load, row
from backbones.stream import Reader, stream

SMALL = Input(64, 64, "crop", "bicubic", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
VIT = replace(
    row("timm_vit_small_patch16_224"),
    name="vit",
    model="vit_tiny_patch16_224",
    options={"img_size": 64},
    dim=192,
    input=SMALL,
)
CONV = replace(VIT, name="conv", model="resnet18", options={}, dim=512, output="avg")


def images(count: int, size: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@functools.cache
def network(found: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return from_timm.build({"vit": VIT, "conv": CONV}[found], None)


def encoder(found: Backbone) -> Encoder:
    return engine.encoder(network(found.name), found, "cpu")


def halves(features: np.ndarray) -> bytes:
    return features.astype(np.float16).tobytes()


@pytest.fixture(autouse=True)
def _torch_as_found(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def no_onnx(*_: object) -> Callable[[np.ndarray], np.ndarray]:
    raise RuntimeError("no word\nfor this")


def wrong_onnx(*_: object) -> Callable[[np.ndarray], np.ndarray]:
    return lambda batch: np.zeros((len(batch), 192), np.float32)


@pytest.mark.parametrize("found", [VIT, CONV], ids=lambda found: found.name)
@pytest.mark.parametrize("fallback", [False, True], ids=["onnxruntime", "torch"])
def test_an_image_gives_the_same_bytes_at_any_place_among_any_others_on_any_threads(
    found: Backbone, fallback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fallback:
        monkeypatch.setattr(engine, "_onnx", no_onnx)
    seen = set()
    for threads in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        encode = encoder(found)
        for place in (0, 3, 6):
            batch = images(7, seed=place)
            batch[place] = images(1)[0]
            seen.add(encode(batch)[place].tobytes())
        seen.add(encode(images(1))[0].tobytes())
    assert len(seen) == 1


def test_a_padded_batch_gives_the_bytes_of_a_full_one_with_real_weights() -> None:
    encode = load("efficientnet_lite0")
    full = images(5, 224)
    padded = np.concatenate([full[:2], np.zeros((3, 224, 224, 3), np.uint8)])
    assert halves(encode(padded)[:2]) == halves(encode(full)[:2])


def test_several_threads_may_share_an_encoder() -> None:
    encode = encoder(VIT)
    batches = [images(3, seed=seed) for seed in range(8)]
    alone = [encode(batch).tobytes() for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = [features.tobytes() for features in pool.map(encode, batches)]
    assert together == alone


@pytest.mark.parametrize("found", [VIT, CONV], ids=lambda found: found.name)
def test_onnxruntime_gives_what_torch_gives(
    found: Backbone, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    fast = encoder(found)(images(4))
    whole = engine.Whole(network(found.name), found).eval()
    with torch.inference_mode():
        slow = whole(torch.from_numpy(images(4))).numpy()
    assert np.abs(fast - slow).max() <= 1e-3 * np.abs(slow).max()
    assert caplog.records == [], "no fallback"
    assert capfd.readouterr() == ("", ""), "no chatter"


@pytest.mark.parametrize("onnx", [no_onnx, wrong_onnx])
def test_where_the_export_fails_torch_runs_and_one_line_says_so(
    onnx: Callable[..., object], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = encoder(VIT)(images(4))
    monkeypatch.setattr(engine, "_onnx", onnx)
    with caplog.at_level(logging.WARNING):
        found = encoder(VIT)(images(4))
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    (record,) = caplog.records
    assert record.getMessage().startswith("vit: runs on torch, slower, because onnxruntime ")
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize("half", [None, torch.bfloat16])
def test_the_road_a_gpu_takes_gives_the_same_features_in_its_precision(
    half: torch.dtype | None,
) -> None:
    expected = encoder(CONV)(images(4))
    whole = engine.Whole(network("conv"), CONV).eval().requires_grad_(False)
    found = engine.on_torch(whole, torch.device("cpu"), half)(images(4))
    assert found.dtype == np.float32
    tolerance = (2e-2 if half else 1e-3) * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=tolerance)


@pytest.mark.parametrize("found", [VIT, CONV], ids=lambda found: found.name)
def test_weights_are_cast_once_and_give_what_autocast_gives_to_the_bit(found: Backbone) -> None:
    whole = engine.Whole(network(found.name), found).eval().requires_grad_(False)
    whole.to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = whole(torch.from_numpy(images(4))).float().numpy()
    encode = engine.on_torch(whole, torch.device("cpu"), torch.bfloat16)
    assert np.array_equal(encode(images(4)), expected)
    assert {weight.dtype for weight in whole.parameters()} == {torch.float32}, "it may be trained"
    cast = engine._cast_once(whole, torch.bfloat16)
    layers = [each for each in cast.modules() if type(each) in engine._MULTIPLY]
    assert layers
    assert {weight.dtype for each in layers for weight in each.parameters()} == {torch.bfloat16}
    norms = [each for each in cast.modules() if "Norm" in type(each).__name__]
    assert {weight.dtype for each in norms for weight in each.parameters()} == {torch.float32}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("found", [VIT, CONV], ids=lambda found: found.name)
def test_a_device_gives_the_features_of_float32_in_its_precision(
    found: Backbone, device: str
) -> None:
    encode = engine.encoder(network(found.name), found, device)
    network(found.name).cpu()
    whole = engine.Whole(network(found.name), found).eval()
    with torch.inference_mode():
        expected = whole(torch.from_numpy(images(6))).numpy()
    features = encode(images(6))
    assert features.dtype == np.float32
    tolerance = (1e-3 if device == "cpu" else 3e-2) * np.abs(expected).max()
    np.testing.assert_allclose(features, expected, atol=tolerance)
    assert encode(images(6)).tobytes() == features.tobytes()
    assert encode(images(0)).shape == (0, found.dim)


@pytest.mark.parametrize("device", DEVICES)
def test_a_stream_gives_what_its_encoder_gives_of_full_batches(device: str) -> None:
    encode = engine.encoder(network("vit"), VIT, device)
    network("vit").cpu()
    shown = images(11)
    batches = stream(
        [Reader(encode, VIT.dim, device != "cpu")], lambda at: [shown[at]], np.arange(11),
        batch_size=4, workers=3, forwards=2, failure=ValueError,
    )  # fmt: skip
    found = np.concatenate([batch.vectors[0] for batch in batches])
    padded = np.concatenate([shown, np.zeros((1, 64, 64, 3), np.uint8)])
    expected = np.concatenate([encode(padded[at : at + 4]) for at in (0, 4, 8)])
    assert np.array_equal(found, expected[:11])


def test_a_batch_on_the_road_of_a_gpu_is_channels_last_to_the_end() -> None:
    class Spy(torch.nn.Conv2d):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            assert pixels.is_contiguous(memory_format=torch.channels_last)
            return super().forward(pixels).mean((2, 3))

    found = replace(CONV, dim=8)
    whole = engine.Whole(Spy(3, 8, 3), found).eval().requires_grad_(False)
    assert engine.on_torch(whole, torch.device("cpu"), None)(images(2)).shape == (2, 8)
    assert whole.network.weight.is_contiguous(memory_format=torch.channels_last)


def test_batch_norm_does_not_look_at_the_other_images() -> None:
    whole = engine.Whole(network("conv").train(), CONV)
    engine.encoder(whole.network, CONV, "cpu")
    assert not any(module.training for module in whole.network.modules())
    encode = engine.on_torch(whole.eval(), torch.device("cpu"), None)
    batch, others = images(4), images(4, seed=1)
    others[0] = batch[0]
    np.testing.assert_allclose(encode(batch)[0], encode(others)[0], rtol=1e-4, atol=1e-5)


def test_normalisation_is_that_of_the_row() -> None:
    whole = engine.Whole(torch.nn.Identity(), row("mobilenet_v2"))
    batch = images(2, 8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = ((batch / 255 - mean) / std).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(whole(torch.from_numpy(batch)), expected, atol=1e-6)


def test_an_image_may_be_read_only_and_lie_in_any_order() -> None:
    batch = np.asfortranarray(images(2))
    batch.flags.writeable = False
    assert np.array_equal(encoder(VIT)(batch), encoder(VIT)(images(2)))
    whole = engine.Whole(network("vit"), VIT).eval().requires_grad_(False)
    assert engine.on_torch(whole, torch.device("cpu"), None)(batch).shape == (2, 192)


def test_no_image_gives_no_vector() -> None:
    assert encoder(VIT)(images(0)).shape == (0, 192)


@pytest.mark.parametrize("wrong", [images(2, 32), images(2).astype(np.float32), images(2)[0]])
def test_images_of_another_kind_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(BackboneError, match=r"vit: got .*, expected uint8 \[image, 64, 64, 3\]"):
        encoder(VIT)(wrong)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(BackboneError, match=f"vit: no device '{device}'"):
        engine.encoder(network("vit"), VIT, device)


def test_a_dim_that_is_not_the_rows_is_refused() -> None:
    with pytest.raises(BackboneError, match=r"vit: gives \(192,\) .* the row says 7"):
        encoder(replace(VIT, dim=7))


def test_features_that_are_no_numbers_are_refused() -> None:
    broken = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(192))
    broken(torch.zeros(1, 3, 64, 64))
    torch.nn.init.constant_(broken[1].weight, float("nan"))
    with pytest.raises(BackboneError, match="vit: gives NaN or infinity on cpu"):
        engine.encoder(broken, VIT, "cpu")
