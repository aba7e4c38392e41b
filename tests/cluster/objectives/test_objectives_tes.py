"""TES's loss by its formula, and that training brings pseudo-texts of a class together."""

from pathlib import Path

import numpy as np
import pytest
import torch

import backbones.cpu_torchvision  # noqa: F401  before open_clip
from backbones import tes as network_of
from cluster.errors import ClusterError
from cluster.objectives import Drawn
from cluster.objectives.tes import Tes, align, distill, halves
from tests import tiny_clip

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(2, 6, 10)).astype(np.float32)
LABEL = np.array([1, -1, 0, 1, -1, -1])
OLD = RANDOM.normal(size=(2, 5)).astype(np.float32)


def made(label: np.ndarray = LABEL, text: np.ndarray | None = OLD, batch: int = 4) -> Tes:
    return Tes(label, scale=3.0, text=text, batch=batch, seed=0, device="cpu")


def drawn(label: np.ndarray) -> Drawn:
    return Drawn(np.tile(np.arange(len(label)), (2, 1)), label)


def unit(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)


def cross_entropy(logit: np.ndarray, own: int) -> float:
    return float(np.log(np.exp(logit).sum()) - logit[own])


def by_hand(features: np.ndarray, label: np.ndarray, scale: float) -> tuple[float, float]:
    image = [unit(f[:5]) for view in features for f in view]
    text = [unit(f[5:]) for view in features for f in view]
    count, align = len(image), 0.0
    for i in range(count):
        align += cross_entropy(np.array([scale * image[i] @ text[j] for j in range(count)]), i)
        align += cross_entropy(np.array([scale * text[i] @ image[j] for j in range(count)]), i)
    taught, old = [], [unit(t) for t in OLD]
    for i in range(count):
        y = label[i % len(label)]
        if y >= 0:
            logit = np.array([text[i] @ t for t in old])
            taught.append(cross_entropy(logit, y) + ((text[i] - old[y]) ** 2).sum())
    return align / count, float(np.mean(taught))


def test_the_loss_is_the_formulas():
    objective = made()
    outputs = objective.outputs(torch.from_numpy(FEATURES))
    found = objective.loss(outputs, drawn(LABEL), 0.0)
    expected = by_hand(FEATURES, LABEL, 3.0)
    assert float(found.parts["align"]) == pytest.approx(expected[0], rel=1e-5)
    assert float(found.parts["distill"]) == pytest.approx(expected[1], rel=1e-5)
    assert float(found.total) == pytest.approx(sum(expected), rel=1e-5)


def test_neither_the_order_of_images_nor_their_lengths_count():
    objective, order = made(), RANDOM.permutation(6)
    longer = FEATURES * RANDOM.uniform(0.1, 9, (2, 6, 1)).astype(np.float32)
    pairs = ((FEATURES, LABEL), (longer[:, order], LABEL[order]))
    first, second = (
        objective.loss(objective.outputs(torch.from_numpy(f)), drawn(y), 0.0).total
        for f, y in pairs
    )
    torch.testing.assert_close(first, second)


def test_without_names_or_labels_alignment_is_alone():
    none = np.full(6, -1)
    features = torch.from_numpy(FEATURES)
    for objective, label in ((made(text=None), LABEL), (made(none, None), none)):
        found = objective.loss(objective.outputs(features), drawn(label), 0.0)
        assert set(found.parts) == {"align"}
        torch.testing.assert_close(found.total, found.parts["align"])
    named = made(none)
    found = named.loss(named.outputs(features), drawn(none), 0.0)
    assert float(found.parts["distill"]) == 0


def test_gradients_reach_both_halves_and_are_those_of_the_formula():
    x = torch.tensor(FEATURES, dtype=torch.float32, requires_grad=True)
    objective = made()
    objective.loss(objective.outputs(x), drawn(LABEL), 0.0).total.backward()
    for place in ((0, 0, 2), (1, 2, 7), (0, 1, 9)):
        step = np.zeros(FEATURES.shape)
        step[place] = 1e-5
        ahead, behind = (
            sum(by_hand(FEATURES.astype(np.float64) + s, LABEL, 3.0)) for s in (step, -step)
        )
        assert float(x.grad[place]) == pytest.approx((ahead - behind) / 2e-5, rel=1e-3, abs=1e-6)


def test_half_of_a_step_is_labelled_if_any_image_is_else_all_images_are_sampled():
    objective = made()
    for step in range(4):
        images, label = objective.draw(step)
        assert images.shape == (2, 4)
        assert np.array_equal(images[0], images[1])
        assert np.array_equal(label[:2], LABEL[images[0, :2]])
        assert (label[:2] >= 0).all()
        assert (LABEL[images[0, 2:]] < 0).all()
    alone = made(np.full(6, -1), None, batch=3)
    seen = [alone.draw(step) for step in range(2)]
    assert sorted(np.concatenate([it.image[1] for it in seen])) == list(range(6))
    assert all((it.label == -1).all() for it in seen)
    assert np.array_equal(alone.draw(0).image, seen[0].image)


def test_texts_that_do_not_fit_are_refused():
    with pytest.raises(ClusterError, match=r"texts are \[1, 5\], but 2 classes are known"):
        made(text=OLD[:1])
    for wrong in (0.0, np.nan):
        text = OLD.copy()
        text[1] = wrong
        with pytest.raises(
            ClusterError, match="the text embedding of class 1 cannot be normalised"
        ):
            made(text=text)
    with pytest.raises(ClusterError, match="some of each are needed"):
        made(np.zeros(6, int))


def test_it_has_no_heads_and_no_state():
    objective = made()
    assert not list(objective.heads.parameters())
    assert (objective.learned(), objective.state_dict()) == ({}, {})


def test_half_precision_features_give_a_float32_loss():
    image, text = halves(torch.from_numpy(FEATURES).bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = align(image[0], text[0], 100.0), distill(text, torch.tensor(LABEL), text[0, :2])
    assert {loss.dtype for loss in found} == {torch.float32}


@pytest.mark.parametrize("named", [True, False], ids=["two classes named", "no names"])
def test_training_brings_the_pseudo_texts_of_a_class_together(tmp_path: Path, named: bool):
    network = network_of.start(tiny_clip.row_in(tmp_path), n_words=7, seed=0)
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randn(3, 3, 32, 32, generator=generator)
    own = np.repeat(np.arange(3), 12)
    noise = torch.randn(2, 36, 3, 32, 32, generator=generator)
    label = np.where((np.arange(36) % 12 < 6) & (own < 2) & named, own, -1)
    trunk, tail = network.cut(0)
    with torch.no_grad():
        tokens = torch.stack([trunk(kinds[own] + 0.3 * view) for view in noise])
    text = np.random.default_rng(1).normal(size=(2, 24)).astype(np.float32) if named else None
    objective = Tes(label, scale=14.0, text=text, batch=16, seed=0, device="cpu")
    trained = [p for p in network.parameters() if p.requires_grad]
    sgd = torch.optim.SGD(trained, lr=0.1, momentum=0.9)
    same = torch.from_numpy(own[:, None] == own)
    others = same & ~torch.eye(36, dtype=torch.bool)

    def together(cosine: torch.Tensor) -> float:
        """The mean cosine within a class less that between classes."""
        return float(cosine[others].mean() - cosine[~same].mean())

    def state() -> tuple[float, float]:
        """Of pseudo texts with each other, and of images with pseudo texts."""
        with torch.no_grad():
            image, text = halves(tail(tokens[0]))
        return together(text @ text.T), together(image @ text.T)

    before = state()
    for step in range(40):
        found = objective.draw(step)
        pairs = zip(tokens, found.image, strict=True)
        features = torch.stack([tail(view[images]) for view, images in pairs])
        sgd.zero_grad()
        objective.loss(objective.outputs(features), found, 0.0).total.backward()
        sgd.step()
    after = state()
    assert before[0] < 0.1
    assert after[0] > 0.5
    assert after[1] > before[1] + 0.05
    assert all(p.grad is None for p in network.image.parameters())
