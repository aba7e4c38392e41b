"""Self-labelling: a step by hand, balancing weights, batches without confident images."""

import math

import numpy as np
import pytest
import torch
from blobs import DEVICES
from conftest import one_thread
from sklearn.metrics import accuracy_score

from cluster.heads.model import Linear, predict
from cluster.heads.selflabel import SelfLabel, Settings, selflabel_loss
from cluster.vectors.rows import ArrayRows
from cluster.vectors.standardize import Scale, fit_scale, identity_scale

# Two clusters: the sign of the first number; its logits are (x, -x), so p = 1 / (1 + exp(-2 |x|))
HEAD = Linear(np.array([[[1, 0], [-1, 0]]], np.float32), np.zeros((1, 2), np.float32))
PLAIN = Settings(threshold=0.95, balance=False, weight_decay=0.0)
_quick = pytest.fixture(autouse=True)(one_thread)
SURE, UNSURE = 2.0, 1.0  # p = .982 and .881


def learner(scale: Scale | None = None, device: str = "cpu", **changes) -> SelfLabel:
    return SelfLabel(
        HEAD, PLAIN._replace(**changes), scale=scale or identity_scale(2),
        watched=torch.tensor([[1.0, 0], [-1, 0]], device=device), device=device,
    )  # fmt: skip


def views(plain: list[float], other: list[float], device: str = "cpu") -> torch.Tensor:
    """[2, image, dim] of the first numbers; the second is 0."""
    x = torch.tensor([plain, other], device=device)
    return torch.stack([x, torch.zeros_like(x)], 2)


def costs(x: float, label: int) -> float:
    return math.log(1 + math.exp(-2 * x * (1 if label == 0 else -1)))


@pytest.mark.parametrize("device", DEVICES)
def test_only_confident_images_of_the_plain_view_label_the_other(device: str):
    head = learner(device=device)
    x = views([SURE, UNSURE, -SURE, -UNSURE], [0.3, -9.0, 0.5, 9.0], device)
    found = head.step(x, 1e-3)
    assert found.loss.item() == pytest.approx((costs(0.3, 0) + costs(0.5, 1)) / 2, rel=1e-6)
    assert found.sizes.tolist() == [[2, 2]]
    assert head.judge(np.zeros(1)).tolist() == [0.5]
    assert head.idle == 0


def test_clusters_have_equal_weight_when_they_are_balanced():
    x = views([SURE, SURE, SURE, -SURE, -UNSURE], [0.1, 0.2, 0.3, 0.5, 9.0])
    first = sum(costs(each, 0) for each in (0.1, 0.2, 0.3))
    plain, balanced = learner(), learner(balance=True)
    assert plain.step(x, 0.0).loss.item() == pytest.approx((first + costs(0.5, 1)) / 4, rel=1e-6)
    expected = (first / 3 + costs(0.5, 1)) / 2
    assert balanced.step(x, 0.0).loss.item() == pytest.approx(expected, rel=1e-6)


def test_the_gradient_is_that_of_cross_entropy_by_hand():
    """At x = (.5, 0) with label 0, p_0 = 1 / (1 + e^-1): dL/dw_0 = -(1 - p_0) x, and Adam's first
    step goes by lr against each sign."""
    head = learner()
    head.step(views([SURE], [0.5]), 0.01)
    weight, bias = (head.state()[f"head/{n}"].detach().numpy() for n in ("weight", "bias"))
    np.testing.assert_allclose(weight, [[[1.01, 0], [-1.01, 0]]], atol=1e-6)
    np.testing.assert_allclose(bias, [[0.01, -0.01]], atol=1e-6)


@pytest.mark.parametrize("balance", [False, True])
def test_a_batch_without_confident_images_changes_nothing_and_is_counted(balance: bool):
    """SCAN's issue #46: its self-labelling stops with an error here."""
    head = learner(balance=balance, weight_decay=0.1)
    head.step(views([SURE, -SURE], [1.0, 1.0]), 1e-2)  # so that Adam has a momentum
    before = head.state()["head/weight"].detach().clone()
    for _ in range(3):
        assert head.step(views([UNSURE, -UNSURE], [1.0, 1.0]), 1e-2).loss.item() == 0
    assert torch.equal(head.state()["head/weight"], before)
    assert head.idle == 3
    assert head.judge(np.zeros(1)).tolist() == [0.75]
    assert np.isfinite(head.head(0).weight).all()


def test_a_label_that_the_other_view_finds_impossible_has_the_gradient_of_cross_entropy():
    plain = torch.tensor([[9.0, 0, 0], [0, 9.0, 0]])
    other = torch.tensor([[-300.0, 0, 1], [2, 5, -90]], dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(other, torch.tensor([0, 1]))
    found = selflabel_loss(plain, other, 0.9, balance=False).loss
    torch.testing.assert_close(found, expected)
    slopes = (torch.autograd.grad(loss, other)[0] for loss in (found, expected))
    torch.testing.assert_close(*slopes)


def test_the_share_is_that_of_each_epoch():
    head = learner()
    head.step(views([UNSURE, UNSURE], [0.0, 0.0]), 1e-3)
    assert head.judge(np.zeros(1)).tolist() == [1]
    head.step(views([SURE, SURE], [0.0, 0.0]), 1e-3)
    assert head.judge(np.zeros(1)).tolist() == [0]


def test_it_starts_from_the_given_head():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(300, 2)) * [5, 0.1] + [100, 3]).astype(np.float32)
    scale = fit_scale(ArrayRows(x))
    start = Linear(rng.normal(size=(1, 4, 2)).astype("f4"), rng.normal(size=(1, 4)).astype("f4"))
    watched = torch.from_numpy((x - scale.mean) / scale.deviation)
    head = SelfLabel(start, PLAIN, scale=scale, watched=watched)
    expected = predict(ArrayRows(x), start)
    found = predict(ArrayRows(x), head.head(0))
    np.testing.assert_array_equal(found.assignment, expected.assignment)
    np.testing.assert_array_equal(head.watch(0), expected.assignment[0])
    np.testing.assert_allclose(found.probability, expected.probability, rtol=1e-3)


def test_it_learns_what_it_did_not_know_from_views_that_differ():
    """The second number tells the classes too, and only the other view shows it alone."""
    rng = np.random.default_rng(0)
    label = np.arange(200) % 2
    sign = 1 - 2 * label[:, None]
    plain = np.hstack([sign * 3, sign]) + rng.normal(size=(200, 2)) * 0.3
    other = np.hstack([sign * 0, sign]) + rng.normal(size=(200, 2)) * 0.3
    head = learner(balance=True)
    x = torch.from_numpy(np.stack([plain, other]).astype(np.float32))
    before = predict(ArrayRows(x[1].numpy()), head.head(0)).assignment[0]
    for _ in range(100):
        head.step(x, 3e-2)
    after = predict(ArrayRows(x[1].numpy()), head.head(0)).assignment[0]
    assert accuracy_score(label, before) < 0.7
    assert accuracy_score(label, after) > 0.97
