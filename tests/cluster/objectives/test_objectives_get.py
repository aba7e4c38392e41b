"""GET's loss by its formula: SimGCD's on either half, and CICO between the halves."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from cluster.errors import ClusterError
from cluster.heads.model import linear
from cluster.objectives import Drawn
from cluster.objectives.get import Get, cico
from cluster.objectives.simgcd import Settings, Simgcd

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(2, 6, 10)).astype(np.float32)
LABEL = np.array([1, -1, 0, 1, -1, -1])
SETTINGS = Settings(
    hidden=8, bottleneck=4, supervised=0.35, temperature=0.1, teacher_first=0.07, teacher_last=0.04,
    teacher_warmup=30, entropy_weight=2.0, contrast_temperature=1.0, label_temperature=0.07,
)  # fmt: skip
COMMON: dict[str, Any] = {"batch": 4, "seed": 0, "device": "cpu"}


def made(label: np.ndarray = LABEL, dim: int = 10, k: int = 3, weight: float = 1.5) -> Get:
    return Get(label, dim, k, SETTINGS, cico=weight, **COMMON)


def drawn(label: np.ndarray) -> Drawn:
    return Drawn(np.tile(np.arange(len(label)), (2, 1)), label)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum()


def shares(vectors: list[np.ndarray], own: list[int]) -> list[np.ndarray]:
    """s_m of each vector, loop by loop."""
    anchors = []
    for y in sorted({y for y in own if y >= 0}):
        mean = np.mean([v for v, its in zip(vectors, own, strict=True) if its == y], axis=0)
        anchors.append(mean / math.sqrt(mean @ mean))
    return [softmax(np.array([v @ a for a in anchors]) / 0.4) for v in vectors]


def cico_by_hand(features: np.ndarray, label: np.ndarray) -> float:
    half = features.shape[-1] // 2
    both = features.astype(np.float64)
    image = [unit(v[:half]) for view in both for v in view]
    text = [unit(v[half:]) for view in both for v in view]
    own = [int(y) for _ in both for y in label]
    total = 0.0
    for s_image, s_text in zip(shares(image, own), shares(text, own), strict=True):
        total += -(s_text * np.log(s_image)).sum() - (s_image * np.log(s_text)).sum()
    return total / len(image)


def test_cico_is_the_formula_and_the_total_the_sum_of_three():
    objective = made()
    outputs = objective.outputs(torch.from_numpy(FEATURES))
    found = objective.loss(outputs, drawn(LABEL), 3.0)
    assert float(found.parts["cico"]) == pytest.approx(cico_by_hand(FEATURES, LABEL), rel=1e-5)
    without = made(weight=0.0).loss(outputs, drawn(LABEL), 3.0).total
    torch.testing.assert_close(found.total - without, 1.5 * found.parts["cico"])
    alone = Simgcd(LABEL, 5, 3, SETTINGS, unit=True, **COMMON)
    expected, parts = 0.0, set()
    for name, half in (("image", FEATURES[..., :5]), ("text", FEATURES[..., 5:])):
        x = torch.from_numpy((unit(half) * 5**0.5).astype(np.float32))
        branch = alone.loss(alone.outputs(x), drawn(LABEL), 3.0)
        expected += float(branch.total.detach())
        for part, value in branch.parts.items():
            torch.testing.assert_close(found.parts[f"{name}_{part}"], value)
            parts.add(f"{name}_{part}")
    assert float(without.detach()) == pytest.approx(expected, rel=1e-5)
    assert set(found.parts) == parts | {"cico"}


def test_of_cico_teachers_and_anchors_get_no_gradient():
    x = torch.from_numpy(unit(FEATURES[..., :5].astype(np.float64))).requires_grad_()
    y = torch.from_numpy(unit(FEATURES[..., 5:].astype(np.float64))).requires_grad_()
    cico(x, y, torch.from_numpy(LABEL)).backward()
    vectors, own = [v for view in x.detach().numpy() for v in view], [*LABEL, *LABEL]
    taught_by = shares([v for view in y.detach().numpy() for v in view], own)
    anchors = [
        unit(np.mean([v for v, its in zip(vectors, own, strict=True) if its == c], axis=0))
        for c in (0, 1)
    ]

    def loss(v: np.ndarray, teacher: np.ndarray) -> float:
        return -(teacher * np.log(softmax(np.array([v @ a for a in anchors]) / 0.4))).sum() / 12

    for place in ((0, 0, 2), (1, 1, 4)):  # a labelled image, and one that is not
        v, teacher = vectors[place[0] * 6 + place[1]], taught_by[place[0] * 6 + place[1]]
        step = np.eye(5)[place[2]] * 1e-6
        expected = (loss(v + step, teacher) - loss(v - step, teacher)) / 2e-6
        assert float(x.grad[place]) == pytest.approx(expected, rel=1e-5)
        assert abs(expected) > 1e-4


def test_cico_is_0_without_labels_and_has_no_gradient_with_one_class():
    x = torch.from_numpy(FEATURES).requires_grad_()
    for label in (np.full(6, -1), np.array([3, -1, 3, 3, -1, -1])):
        found = cico(*x.chunk(2, -1), torch.from_numpy(label))
        found.backward()
        assert float(found.detach()) == 0
        assert float(x.grad.abs().max()) == 0
    objective = made()
    total = objective.loss(objective.outputs(x), drawn(np.full(6, -1)), 0.0).total
    assert torch.isfinite(total)


def test_neither_the_order_of_images_nor_the_lengths_of_halves_count():
    objective, order = made(), RANDOM.permutation(6)
    longer = FEATURES * np.repeat(RANDOM.uniform(0.1, 9, (2, 6, 2)), 5, axis=2).astype(np.float32)
    first, second = (
        objective.loss(objective.outputs(torch.from_numpy(f)), drawn(y), 3.0).total
        for f, y in ((FEATURES, LABEL), (longer[:, order], LABEL[order]))
    )
    torch.testing.assert_close(first, second)


def test_gradients_reach_the_features_and_all_of_the_one_shared_head():
    objective = made()
    x = torch.from_numpy(FEATURES).requires_grad_()
    objective.loss(objective.outputs(x), drawn(LABEL), 0.0).total.backward()
    assert all(float(p.grad.abs().max()) > 0 for p in objective.heads.parameters())
    assert (x.grad.abs().sum((0, 1)) > 0).all()
    alone = Simgcd(LABEL, 5, 3, SETTINGS, unit=True, **COMMON)
    assert [p.shape for p in objective.heads.parameters()] == [
        p.shape for p in alone.heads.parameters()
    ]


def test_the_learned_heads_see_one_half_of_a_feature_as_the_network_gives_it():
    objective = made()
    assert not objective.unit
    halves = unit(FEATURES.astype(np.float64).reshape(12, 2, 5))
    feature = torch.from_numpy(halves.reshape(12, 10).astype(np.float32))
    outputs = objective.outputs(torch.from_numpy(FEATURES))
    found = objective.learned()
    assert set(found) == {"image", "text"}
    for name, cosine in (("image", outputs[2]), ("text", outputs[5])):
        head = found[name]
        assert head.weight.shape == (1, 3, 10)
        assert head.weight.dtype == head.bias.dtype == np.float32
        logit = linear(feature, *(torch.from_numpy(layer) for layer in head))[0].T
        torch.testing.assert_close(logit, cosine.flatten(0, 1) / 0.1, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(ClusterError, match="k is 1, but 2 classes are known: choose k from 2 on"):
        made(k=1)
    with pytest.raises(ClusterError, match="features have dim 9, expected two halves"):
        made(dim=9)
    with pytest.raises(ClusterError, match="some of each are needed"):
        made(np.full(6, -1))


def test_a_step_is_drawn_as_simgcds():
    alone = Simgcd(LABEL, 5, 3, SETTINGS, unit=True, **COMMON)
    for step in range(3):
        for ours, theirs in zip(made().draw(step), alone.draw(step), strict=True):
            assert np.array_equal(ours, theirs)
    assert made().state_dict() == {}
