"""Outputs of frozen blocks: stored and recomputed ones are equal; disk space, resuming, reuse."""

import os
import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import adapting
import numpy as np
import pytest
import torch
from adapting import BASE, FROZEN, count_stored, train, written
from learning import RUNTIME
from lightning_fabric import Fabric

import backbones
import store
from backbones import blocks
from cluster.objectives import Drawn
from cluster.vectors.standardize import identity_scale
from pipeline.adapting import build, loop, tokens
from pipeline.adapting.inputs import Inputs, read_inputs
from pipeline.adapting.model import Model
from pipeline.adapting.settings import Run, read_run
from pipeline.adapting.state import optimizer_of
from pipeline.params import StageError

_quiet = pytest.fixture(autouse=True)(adapting.quiet)
IMAGES, TOKENS = 72, 17 * 32  # of train; before the last block, of an image
Usage = namedtuple("Usage", "free")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapting.write_collection(tmp_path_factory.mktemp("made"))


@pytest.fixture(autouse=True)
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return adapting.go_to_copy(made, tmp_path, monkeypatch)


def inputs(objective: str, **changes: Any) -> tuple[Any, Inputs]:
    run = read_run(adapting.write_run(objective, **changes))
    return run, read_inputs(run, f"adapted.{objective}")


def sources(run: Run, of: tokens.Collection) -> tuple[tokens.Source, tokens.Source, blocks.Cut]:
    """Sources of cached and of recomputed tokens, of the same cut."""
    row = backbones.row(BASE)
    cut = blocks.cut(row, blocks.build(row), run.train_blocks)
    kinds = tokens.SHOWN
    stored = tokens.cached(
        cut.trunk, row, of, run, kinds, FROZEN, RUNTIME, "cpu"
    )  # fmt: skip
    return (
        stored,
        tokens.recomputed(cut.trunk, tokens.pixels(row, of, run, RUNTIME), row, "cpu"),
        cut,
    )


@pytest.mark.parametrize("train_blocks", [0, 1])
def test_stored_tokens_equal_recomputed_ones_bit_by_bit(train_blocks: int):
    run, found = inputs("simgcd", train_blocks=train_blocks)
    cached, recomputed, _ = sources(run, found.collection)
    some = np.random.default_rng(0).permutation(IMAGES)[:24]
    for kind in tokens.SHOWN:
        for view in range(1 if kind == "centre" else run.views):
            seen = kind, some, np.full(len(some), view)
            assert torch.equal(cached(*seen), recomputed(*seen))
    mixed = "view", some, np.arange(len(some)) % run.views
    assert cached(*mixed).dtype == torch.float16
    assert torch.equal(cached(*mixed), recomputed(*mixed))


def test_gradients_by_stored_tokens_equal_those_by_recomputed_ones_on_the_same_views():
    run, found = inputs("simgcd")
    *both, cut = sources(run, found.collection)
    gradients = []
    for source in both:
        objective = build.objective(run, "simgcd", found, 32, "cpu")
        model, drawn = Model(cut.tail, objective, identity_scale(32)), objective.draw(3)
        views = tokens.numbers(objective.slots, drawn.image.shape[1], run.views, run.seed, 3)
        slots = zip(objective.slots, drawn.image, views, strict=True)
        outputs = model(torch.stack([source(*slot) for slot in slots]))
        model.zero_grad()
        objective.loss(outputs, drawn, 0.0).total.backward()
        named = dict(model.named_parameters())
        gradients.append({name: p.grad.clone() for name, p in named.items() if p.requires_grad})
    stored, recomputed = gradients
    assert sum(name.startswith("tail.") for name in stored) == 12  # 4 layers and 2 norms
    for name, gradient in stored.items():
        assert gradient.abs().sum() > 0
        assert torch.equal(gradient, recomputed[name])


def test_a_batch_in_parts_has_the_mean_of_their_gradients():
    run, found = inputs("gcd", accumulate=2, optimizer="sgd")
    cached, _, cut = sources(run, found.collection)
    objective = build.objective(run, "gcd", found, 32, "cpu")
    model, drawn = Model(cut.tail, objective, identity_scale(32)), objective.draw(0)
    slots = zip(objective.slots, drawn.image, np.zeros((2, 16), int), strict=True)
    seen, learns = torch.stack([cached(*slot) for slot in slots]), optimizer_of(model, run)
    expected = dict[str, torch.Tensor]()
    for part in (slice(0, None, 2), slice(1, None, 2)):
        model.zero_grad()
        here = Drawn(drawn.image[:, part], drawn.label[part])
        objective.loss(model(seen[:, part]), here, 0.0).total.backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                expected[name] = expected.get(name, 0) + parameter.grad / 2
    model.zero_grad()
    fabric = Fabric(accelerator="cpu", devices=1)
    loop._step(fabric, fabric.setup(model, learns)[0], objective, drawn, seen, run, 0.0)
    for name, gradient in expected.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient)


def test_a_run_ends_the_same_with_stored_and_with_recomputed_tokens():
    stored = written(train("simgcd", frozen_features="cached"))
    recomputed = written(train("simgcd", frozen_features="recompute"))
    assert stored == recomputed


def test_their_size_is_printed_before_anything_is_stored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store.FeatureWriter, "__init__", stop)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(5_000_000_000))
    with pytest.raises(KeyboardInterrupt):
        train("selex", views=4000)
    size = (4000 + 1) * IMAGES * TOKENS * 2 / 1e9
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"outputs of the frozen blocks for 4001 views: {size:.2f} GB in data/frozen "
        "(5.00 GB are free)"
    )


def test_too_little_disk_space_is_one_line_and_nothing_is_stored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(3 * IMAGES * TOKENS * 2 - 1))
    line = r"^data/frozen has 0\.00 GB free, 0\.00 GB are needed for 3 views: free .*recompute$"
    with pytest.raises(StageError, match=line):
        train("simgcd")
    assert not list(FROZEN.rglob("*.h5"))


def test_a_fill_that_is_stopped_resumes_where_it_was(monkeypatch: pytest.MonkeyPatch):
    undisturbed = written(train("gcd"))
    shutil.rmtree(FROZEN)
    stored, put = count_stored(monkeypatch), store.FeatureWriter.put

    def stop(self: store.FeatureWriter, rows: Any, *rest: Any) -> None:
        put(self, rows, *rest)
        if sum(stored) > IMAGES:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.FeatureWriter, "put", stop)
        with pytest.raises(KeyboardInterrupt):
            train("gcd")
    before = sum(stored)
    assert IMAGES < before < 2 * IMAGES
    assert written(train("gcd")) == undisturbed
    assert sum(stored) - before <= 2 * IMAGES  # the first view is not embedded again


def test_two_views_of_an_image_are_different_ones_of_those_that_there_are():
    seen = np.stack([tokens.numbers(("view", "view"), 50, 3, 0, step) for step in range(20)])
    assert (seen[:, 0] != seen[:, 1]).all()
    pairs = {tuple(pair) for pair in seen.transpose(0, 2, 1).reshape(-1, 2).tolist()}
    assert pairs == {(a, b) for a in range(3) for b in range(3) if a != b}
    again = tokens.numbers(("view", "view"), 50, 3, 0, 7)
    np.testing.assert_array_equal(seen[7], again)
    assert (tokens.numbers(("view", "view"), 50, 3, 1, 7) != again).any()
    assert (tokens.numbers(("centre", "strong"), 50, 3, 0, 7)[0] == 0).all()
    run, found = inputs("simgcd")
    cached, *_ = sources(run, found.collection)
    first, second = (cached("view", np.arange(IMAGES), np.full(IMAGES, v)) for v in (0, 1))
    assert (first != second).flatten(1).any(1).float().mean() > 0.9


def test_without_a_number_of_views_every_step_has_new_ones(monkeypatch: pytest.MonkeyPatch):
    seen, altered = list[int](), tokens.altered

    def noted(augment: Any, view: int, row: backbones.Backbone) -> tokens.Alter:
        seen.append(view)
        return altered(augment, view, row)

    monkeypatch.setattr(tokens, "altered", noted)
    train("simclr", frozen_features="recompute", views=0)
    assert sorted(set(seen)) == list(range(8 * 2))  # of each step two
    assert len(seen) == 8 * 2 * 16


def test_another_run_with_the_same_cut_stores_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    stored = count_stored(monkeypatch)
    train("simgcd")
    assert sum(stored) == 3 * IMAGES
    capsys.readouterr()
    train("gcd", "other", lr=0.01, seed=3)
    assert sum(stored) == 3 * IMAGES
    assert "frozen" not in capsys.readouterr().out
    train("selex")  # which looks at the pictures themselves, too
    assert sum(stored) == 4 * IMAGES
    train("simgcd", train_blocks=2)
    assert sum(stored) == 7 * IMAGES
    train("simgcd", views=4)
    assert sum(stored) == 8 * IMAGES


def test_tokens_that_are_there_are_read_while_another_process_claims_them():
    run, found = inputs("gcd")
    _, recomputed, _ = sources(run, found.collection)
    paths = [path.parent for path in FROZEN.rglob("features.h5")]
    assert len(paths) == len(tokens.SHOWN) * run.views - run.views + 1
    claims = [store.disk.claim(path / "features.h5.part") for path in paths]
    try:
        again, *_ = sources(run, found.collection)
    finally:
        for claim in claims:
            os.close(claim)
    seen = "strong", np.arange(9), np.full(9, 1)
    assert torch.equal(again(*seen), recomputed(*seen))


def test_tokens_beyond_float16_are_one_line_when_recomputed_too():
    class Large(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.mean((2, 3)) + 7e4

    run, found = inputs("gcd", frozen_features="recompute")
    row = backbones.row(BASE)
    read = tokens.pixels(row, found.collection, run, RUNTIME)
    line = r"^the frozen blocks of tiny_vit output NaN, infinity or more than float16 can hold "
    with pytest.raises(StageError, match=line):
        tokens.recomputed(Large(), read, row, "cpu")("view", np.arange(2), np.zeros(2, int))


def test_each_of_several_gpus_reads_its_own_images_alone():
    run, found = inputs("gcd", accumulate=2)
    objective, seen = build.objective(run, "gcd", found, 32, "cpu"), list[np.ndarray]()

    def read(kind: str, image: np.ndarray, view: np.ndarray) -> torch.Tensor:
        seen.append(image)
        return torch.from_numpy(image)

    second: Any = SimpleNamespace(global_rank=1, world_size=2)
    for _, drawn, own in loop._prefetched(second, objective, read, run, 0, 3):
        np.testing.assert_array_equal(own.numpy(), drawn.image[:, 1::2])
    assert [len(image) for image in seen] == [run.batch // 2] * 2 * 3


def test_other_weights_of_the_base_store_their_own_tokens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    results = []
    for seed in (0, 1):
        train("simclr", "own", train_blocks=2, epochs=1, seed=seed)
        adapting.embed_digits("own")
        with monkeypatch.context() as patch:
            stored = count_stored(patch)
            capsys.readouterr()
            results.append(written(train("gcd", backbone="own", epochs=1)))
            assert sum(stored) == 3 * IMAGES
            assert "outputs of the frozen blocks for 3 views: " in capsys.readouterr().out
    first, second = results
    assert first["gcd.csv"] != second["gcd.csv"]
