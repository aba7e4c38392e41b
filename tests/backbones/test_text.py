"""Text towers and what is made of them: the pseudo text of TES, the two branches of GET."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from blobs import DEVICES

import backbones.cpu_torchvision  # noqa: F401  before open_clip
from backbones import Backbone, BackboneError, blocks, from_open_clip, get, load, row, tes, text
from backbones.adapted import save
from tests import tiny_clip

TEXT = "a photo of a small red bird"  # seven words, each one token


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return tiny_clip.row_in(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return tiny_clip.row_in(tmp_path_factory.mktemp("custom"), force_custom_text=True)


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _same() -> Iterator[None]:
    """No seed of ours may move what others draw from."""
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(before, torch.random.get_rng_state())


def adapted(base: Backbone, form: str, dim: int, output: str = "both", **options: object):
    """A row as `adapt` writes it."""
    facts = {"base": asdict(base), "form": form, **options}
    return replace(base, loader="adapted", dim=dim, output=output, options=facts)


def test_a_text_has_the_vector_that_open_clips_encode_text_gives(found: Backbone, custom: Backbone):
    import open_clip

    for each, kind in ((found, open_clip.model.CLIP), (custom, open_clip.model.CustomTextCLIP)):
        model = text.model_of(each).eval()
        assert type(model) is kind
        tower, texts = text.load(each, "cpu"), [TEXT, "a cat", ""]
        with torch.inference_mode():
            theirs = model.encode_text(open_clip.tokenize(texts, context_length=16)).numpy()
        assert tower.encode(texts).dtype == np.float32
        np.testing.assert_allclose(tower.encode(texts), theirs, rtol=0, atol=1e-5)
        assert tower.encode([]).shape == (0, tower.width) == (0, 24)
        assert tower.scale == pytest.approx(1 / 0.07)


def test_many_texts_are_as_one_by_one(found: Backbone, monkeypatch: pytest.MonkeyPatch):
    tower, texts = text.load(found, "cpu"), [f"number {i}" for i in range(7)]
    whole = tower.encode(texts)
    monkeypatch.setattr(text, "_AT_ONCE", 3)
    np.testing.assert_allclose(tower.encode(texts), whole, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_gives_the_embeddings_of_a_cpu(found: Backbone, device: str):
    texts = [f"number {i}" for i in range(5)]
    there = text.load(found, device)
    np.testing.assert_allclose(
        there.encode(texts), text.load(found, "cpu").encode(texts), rtol=1e-4, atol=1e-4
    )
    assert there.scale == pytest.approx(text.load(found, "cpu").scale)


def test_a_prompt_has_spaces_for_underscores():
    assert text.prompts(["polar_bear", " dog__house"]) == [
        "a photo of a polar bear",
        "a photo of a dog house",
    ]


def test_a_row_without_a_text_tower_is_refused_with_some_that_have_one():
    with pytest.raises(BackboneError, match=r"pixels: loader pixels has no text .*: clip_rn50, "):
        text.load(row("pixels"), "cpu")
    with pytest.raises(BackboneError, match="pixels: TES begins with the image embedding"):
        tes.start(row("pixels"), n_words=7, seed=0)


def test_what_no_text_can_be_read_with_is_refused(
    found: Backbone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    few = {"text_cfg": {**tiny_clip.CONFIG["text_cfg"], "vocab_size": 50}}
    with pytest.raises(BackboneError, match=r"knows 49408 tokens, its text tower 50; correct"):
        text.load(tiny_clip.row_in(tmp_path, **few), "cpu")
    with pytest.raises(BackboneError, match=r"tiny_clip: no text tower on 'cuda:99' \("):
        text.load(found, "cuda:99")
    with pytest.raises(BackboneError, match=r"tiny_clip: does not load \(.*file of this row\?$"):
        text.load(replace(found, options={}), "cpu")
    monkeypatch.setattr("open_clip.get_tokenizer", lambda _: 1 / 0)
    with pytest.raises(BackboneError, match=r"its tokenizer is of the Hugging Face hub and not he"):
        text.load(row("siglip2_vit_b_16"), "cpu")
    monkeypatch.undo()
    monkeypatch.setattr(from_open_clip, "both_towers", lambda *_: torch.nn.Identity())
    with pytest.raises(BackboneError, match=r"tower of ViT-B-16 is a Identity, no transformer of "):
        text.load(found, "cpu")


def test_a_text_tower_that_is_not_read_at_its_end_makes_no_pseudo_text(found: Backbone):
    other = {**tiny_clip.CONFIG["text_cfg"], "no_causal_mask": True, "pool_type": "last"}
    changed = replace(
        found, options={**found.options, "text_cfg": other, "force_custom_text": True}
    )
    model = text.model_of(changed, trained=False)
    with pytest.raises(BackboneError, match=r"not read at \[EOT\] under a causal mask.*clip_rn50"):
        text.pieces_of(changed, model)


def test_words_that_are_the_tokens_of_a_text_give_that_texts_vector(
    found: Backbone, custom: Backbone
):
    import open_clip

    for each in (found, custom):
        model = text.model_of(each).eval()
        tokens = open_clip.tokenize([TEXT], context_length=16)
        assert int(tokens.argmax()) == 8, "[SOT], seven words, [EOT]"
        table = getattr(model, "text", model).token_embedding
        pseudo = tes.PseudoText(text.pieces_of(each, model), 7).eval()
        with torch.inference_mode():
            expected = model.encode_text(tokens)
            torch.testing.assert_close(pseudo(table(tokens[:, 1:8])), expected, rtol=0, atol=1e-5)
            assert (pseudo(table(tokens[:, 2:9])) - expected).abs().max() > 1e-3


def test_class_token_is_what_is_projected(found: Backbone, pixels: torch.Tensor):
    whole = from_open_clip.build(found, Path(found.weights)).eval()
    before = replace(found, output="class_token", dim=32)
    token = from_open_clip.build(before, Path(found.weights)).eval()
    with torch.inference_mode():
        torch.testing.assert_close(token(pixels) @ whole.proj, whole(pixels), rtol=0, atol=1e-6)
    assert token(pixels).shape == (5, 32)
    for other in ("clip_rn50", "eva02_clip_vit_b_16"):
        with (
            torch.device("meta"),
            pytest.raises(BackboneError, match="no class token before a proj"),
        ):
            from_open_clip.build(replace(row(other), output="class_token"), None)


def test_tes_gives_clips_image_and_the_pseudo_text_and_halves_are_picked(
    found: Backbone, pixels: torch.Tensor
):
    network = tes.start(found, n_words=7, seed=3)
    tower = from_open_clip.build(found, Path(found.weights)).eval()
    trunk, tail = network.cut(0)
    with torch.inference_mode():
        image = tower(pixels)
        both = network(pixels)
        torch.testing.assert_close(trunk(pixels), image, rtol=0, atol=1e-5)
        torch.testing.assert_close(tail(trunk(pixels)), both, rtol=0, atol=1e-5)
    assert both.shape == (5, 48)
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(both[:, :24], unit(image, dim=1))
    torch.testing.assert_close(both[:, 24:].norm(dim=1), torch.ones(5))
    for output, half in (("image", both[:, :24]), ("text", both[:, 24:])):
        other = tes.build(adapted(found, "tes", 24, output, n_words=7), network.image)
        other.load_state_dict(network.state_dict(), strict=True)
        with torch.inference_mode():
            torch.testing.assert_close(other(pixels), half)


def test_of_tes_just_the_linear_layer_is_trained_and_its_seed_alone_decides_it(
    found: Backbone, pixels: torch.Tensor
):
    network = tes.start(found, n_words=7, seed=3)
    trunk, tail = network.cut(0)
    tail(trunk(pixels)).square().sum().backward()
    tail(trunk(pixels))[:, 24:].sum().backward()
    moved = {name for name, p in network.named_parameters() if p.grad is not None}
    assert moved == {f"tail.synthesizer.words.{part}" for part in ("weight", "bias")}
    assert all(p.requires_grad == (n in moved) for n, p in network.named_parameters())
    assert not any(module.training for module in network.modules())
    same, other = (tes.start(found, n_words=7, seed=seed).synthesizer.words for seed in (3, 4))
    assert torch.equal(network.synthesizer.words.weight, same.weight)
    assert not torch.equal(other.weight, same.weight)
    with pytest.raises(BackboneError, match="train_blocks is 1, but TES keeps all of CLIP frozen"):
        network.cut(1)


def test_a_saved_tes_is_the_network_again_without_clips_file(
    found: Backbone, pixels: torch.Tensor, tmp_path: Path
):
    network = tes.start(found, n_words=5, seed=0)
    away = replace(found, weights="nowhere.safetensors")
    saved = save(
        tmp_path / "mine", away, network, form="tes", output="both", dim=48,
        method="TES", data="none", extra={"n_words": 5},
    )  # fmt: skip
    again = blocks.build(saved)
    with torch.inference_mode():
        torch.testing.assert_close(again.eval()(pixels), network(pixels), rtol=0, atol=1e-5)
    assert Path(saved.weights).stat().st_size < Path(found.weights).stat().st_size / 5


@pytest.mark.parametrize("train_blocks", [0, 1, 2, "all"])
def test_of_get_just_the_last_blocks_and_the_linear_layer_are_trained(
    found: Backbone, pixels: torch.Tensor, train_blocks
):
    from open_clip.transformer import ResidualAttentionBlock

    under = tes.start(found, n_words=7, seed=0)
    network = get.start(under, train_blocks=train_blocks, seed=1)
    trunk, tail = network.cut(train_blocks)
    with torch.inference_mode():
        torch.testing.assert_close(tail(trunk(pixels)), network(pixels))
    tail(trunk(pixels)).mul(torch.arange(64)).sum().backward()
    moved = {name for name, p in network.named_parameters() if p.grad is not None}
    assert moved == {name for name, p in network.named_parameters() if p.requires_grad}
    count = sum(
        isinstance(module, ResidualAttentionBlock)
        and all(p.grad is not None for p in module.parameters())
        for module in network.modules()
    )
    assert count == (3 if train_blocks == "all" else train_blocks)
    assert {n for n in moved if "widen" in n} == {"tail.widen.weight", "tail.widen.bias"}
    if train_blocks != "all":
        assert len(moved) == 2 + 12 * count, "blocks of 12 arrays, and no norm after them"
    assert not any(p.requires_grad for p in under.parameters()), "what it was made from is left"
    with pytest.raises(BackboneError, match="train_blocks is 7, but this network of GET was made"):
        network.cut(7)


def test_get_begins_as_clips_class_token_beside_the_widened_pseudo_text(
    found: Backbone, pixels: torch.Tensor
):
    under = tes.start(found, n_words=7, seed=0)
    network = get.start(under, train_blocks=1, seed=1)
    token = from_open_clip.build(
        replace(found, output="class_token", dim=32), Path(found.weights)
    ).eval()
    unit = torch.nn.functional.normalize
    with torch.inference_mode():
        both = network(pixels)
        torch.testing.assert_close(both[:, :32], unit(token(pixels), dim=1), rtol=0, atol=1e-5)
        text_half = network.tail.widen(under.synthesizer(under.image(pixels)))
        torch.testing.assert_close(both[:, 32:], unit(text_half, dim=1), rtol=0, atol=1e-5)


def test_training_get_moves_the_image_half_but_not_what_the_text_half_sees(
    found: Backbone, pixels: torch.Tensor
):
    network = get.start(tes.start(found, n_words=7, seed=0), train_blocks=1, seed=1)
    with torch.inference_mode():
        before = network(pixels)
    _, tail = network.cut(1)
    with torch.no_grad():
        for parameter in tail.visual.parameters():
            if parameter.requires_grad:
                parameter += 0.1
        after = network(pixels)
    assert (after[:, :32] - before[:, :32]).abs().max() > 1e-3
    torch.testing.assert_close(after[:, 32:], before[:, 32:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("train_blocks", [1, "all"])
def test_a_saved_get_is_the_network_again_and_encodes_pictures(
    found: Backbone, pixels: torch.Tensor, tmp_path: Path, train_blocks, caplog
):
    under = tes.start(found, n_words=7, seed=0)
    base = save(
        tmp_path / "one", found, under, form="tes", output="both", dim=48,
        method="TES", data="none", extra={"n_words": 7},
    )  # fmt: skip
    network = get.start(blocks.build(base), train_blocks=train_blocks, seed=1)
    saved = save(
        tmp_path / "two", base, network, form="get", output="both", dim=64,
        method="GET", data="none", extra={"train_blocks": train_blocks},
    )  # fmt: skip
    again = blocks.build(saved).eval()
    with torch.inference_mode():
        torch.testing.assert_close(again(pixels), network(pixels), rtol=0, atol=1e-5)
    assert blocks.cut(saved, again, train_blocks).tail is again.tail
    if train_blocks == "all":
        return
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        np.square(load(str(tmp_path / "two"))(pictures)).sum(1), 2, rtol=1e-5
    )
    assert not caplog.records, "onnxruntime runs it"


def test_rows_that_cannot_be_built_say_why(found: Backbone):
    image = from_open_clip.build(found, None)
    for wrong, message in (
        (adapted(found, "tes", 48, "cls", n_words=7), "no output 'cls'; expected both, image, te"),
        (adapted(found, "tes", 48), "options.n_words is None, expected a whole number from 1 on"),
        (adapted(found, "tes", 48, n_words=15), r"15 pseudo tokens, but .* texts of 1 to 14$"),
        (adapted(replace(found, output="class_token"), "tes", 48, n_words=7), "output is class_to"),
        (replace(found, output="both", options={}), "options.base is no row; adapt it anew"),
    ):
        with pytest.raises(BackboneError, match=message):
            tes.build(wrong, image)
    under = tes.build(adapted(found, "tes", 48, n_words=7), image)
    with pytest.raises(BackboneError, match="GET begins with a network of form tes, found Vision"):
        get.build(adapted(found, "get", 64, train_blocks=1), image)
    with pytest.raises(BackboneError, match=r"options.train_blocks is 'most', expected"):
        get.build(adapted(found, "get", 64, train_blocks="most"), under)
    with pytest.raises(BackboneError, match="no output 'text'; expected both"):
        get.build(adapted(found, "get", 64, "text", train_blocks=1), under)
