"""HypCD's objectives: plain loops in float64, how angle gives way to distance, what is learned."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from conftest import one_thread
from contrasted import DIM, LABEL, drawn, features

from cluster import ClusterError
from cluster.heads.hyperbolic import Ball
from cluster.heads.model import predict
from cluster.objectives import Drawn
from cluster.objectives.hypcd import HypSelex, HypSimgcd, Settings
from cluster.objectives.selex import Selex
from cluster.vectors.rows import ArrayRows

K, C, R = 4, 0.1, 2.0
IMAGES = np.array([1, 0, 2, 3, 5, 7, 9, 8])
SETTINGS = Settings(
    supervised=0.35, temperature=0.1, teacher_first=0.07, teacher_last=0.04, teacher_warmup=30,
    entropy_weight=2.0, contrast_temperature=1.0, label_temperature=0.07, angle_scale=0.3,
    curvature=C, clip=R, distance_weight=0.8, epochs=200,
)  # fmt: skip
_quick = pytest.fixture(autouse=True)(one_thread)


def hyp_simgcd(unit: bool = True, **changes: Any) -> HypSimgcd:
    of = {"k": K, "batch": 6, "seed": 0, "device": "cpu", **changes}
    return HypSimgcd(LABEL, DIM, of.pop("k"), SETTINGS, unit=unit, **of)


def into(z: np.ndarray) -> np.ndarray:
    z = z * min(1, R / np.linalg.norm(z))
    s = math.sqrt(C) * np.linalg.norm(z)
    return math.tanh(s) * z / s


def distance(x: np.ndarray, y: np.ndarray) -> float:
    xy, xx, yy = -x @ y, x @ x, y @ y
    sum_ = (1 + 2 * C * xy + C * yy) * -x + (1 - C * xx) * y
    sum_ /= 1 + 2 * C * xy + C * C * xx * yy
    return 2 / math.sqrt(C) * math.atanh(math.sqrt(C) * np.linalg.norm(sum_))


def contrast(near: np.ndarray, group: list[int]) -> float:
    """near: [vector, vector], similarities divided by their temperature."""
    losses = []
    for i in range(len(near)):
        others = [j for j in range(len(near)) if j != i]
        total = math.log(sum(math.exp(near[i, j]) for j in others))
        losses.append(np.mean([total - near[i, j] for j in others if group[j] == group[i]]))
    return float(np.mean(losses))


def test_the_contrast_is_that_of_plain_loops_and_distance_takes_over():
    of, x, label = hyp_simgcd(), features(), LABEL[IMAGES]
    points = np.stack([[into(z) for z in view] for view in x.double().numpy()])
    outputs = of.outputs(x)
    np.testing.assert_allclose(outputs[0].detach(), points, rtol=1e-4, atol=1e-6)
    flat, known = points.reshape(-1, DIM), np.tile(label >= 0, 2)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    away = np.array([[distance(a, b) if a is not b else 0 for b in flat] for a in flat])
    own, alike = [*range(8)] * 2, [*label[label >= 0]] * 2
    ix = np.ix_(known, known)
    angle = 0.65 * contrast(unit @ unit.T / 0.3, own)
    angle += 0.35 * contrast((unit @ unit.T / 0.021)[ix], alike)
    far = 0.65 * contrast(-away, own) + 0.35 * contrast(-away[ix] / 0.07, alike)
    for epoch in (0.0, 50.0, 200.0, 300.0):
        found = of.loss(outputs, drawn(IMAGES), epoch)
        assert float(found.parts["angle"].detach()) == pytest.approx(angle, rel=2e-4)
        assert float(found.parts["distance"].detach()) == pytest.approx(far, rel=2e-4)
        w = 0.8 * min(1, epoch / 200)
        expected = float(found.parts["classifier"].detach()) + (1 - w) * angle + w * far
        assert float(found.total.detach()) == pytest.approx(expected, rel=2e-4)


def test_the_classes_that_are_trained_are_those_of_the_learned_head():
    for unit in (True, False):
        of, x = hyp_simgcd(unit=unit), 5 * features()
        logits = of.outputs(x)[1].detach()
        head = of.learned()["learned"]
        rows = torch.nn.functional.normalize(x, dim=-1) if unit else x
        own = predict(ArrayRows(rows.reshape(-1, DIM).numpy()), head).assignment[0]
        np.testing.assert_array_equal(own, logits.argmax(-1).flatten())


def test_gradients_reach_prototypes_and_features_and_are_finite():
    of = hyp_simgcd()
    for x in (features(), 1e-6 * features(), 1e6 * features(), 0 * features()):
        x = x.clone().requires_grad_()
        of.loss(of.outputs(x), drawn(IMAGES), 100.0).total.backward()
        assert x.grad.isfinite().all()
        for parameter in of.heads.parameters():
            assert parameter.grad.isfinite().all()
    unlabelled = Drawn(drawn(IMAGES).image, np.full(8, -1))
    assert of.loss(of.outputs(features()), unlabelled, 0.0).total.isfinite()


def test_fewer_clusters_than_known_classes_are_refused():
    with pytest.raises(ClusterError, match=r"^k is 1, but 2 classes are known: choose k from 2 on"):
        hyp_simgcd(k=1)


def hyp_selex(weight: float = 1.0, ball: Ball | None = None) -> tuple[HypSelex, np.ndarray]:
    rng = np.random.default_rng(2)
    group = rng.permutation(np.arange(60) % 5)
    x = 5 * (rng.normal(size=(5, DIM))[group] + 0.3 * rng.normal(size=(60, DIM)))
    label = np.where((group < 4) & (rng.random(60) < 0.5), group, -1)
    selex = Selex(
        label, DIM, 5, supervised=0.35, smoothing=0.5, temperature=1.0, label_temperature=0.07,
        hidden=12, bottleneck=8, width=16, balanced=True, paper_formula=True, batch=12, seed=3,
        device="cpu",
    )  # fmt: skip
    of = HypSelex(selex, ball or Ball(C, R), distance_weight=weight, epochs=10)
    of.before_epoch(ArrayRows(x.astype(np.float32)), 0)
    return of, x


def test_selex_in_a_ball_goes_from_euclidean_to_hyperbolic_distances():
    of, x = hyp_selex()
    batch = of.draw(0)
    noise = np.random.default_rng(0).normal(size=(*batch.image.shape, DIM))
    z = torch.tensor(x[batch.image] + 0.2 * noise).float().requires_grad_()
    points, f = of.outputs(z)
    inside = math.tanh(math.sqrt(C) * R) / math.sqrt(C)
    np.testing.assert_allclose(points.detach().norm(dim=2), np.full((2, 12), inside), rtol=1e-5)
    first, last = (of.loss((points, f), batch, epoch) for epoch in (0.0, 10.0))
    assert float(first.total.detach()) == pytest.approx(float(first.parts["angle"].detach()))
    assert float(last.total.detach()) == pytest.approx(float(last.parts["distance"].detach()))
    assert float(first.total.detach()) != pytest.approx(float(last.total.detach()), rel=0.01)
    last.total.backward()
    assert z.grad.isfinite().all()
    for parameter in of.heads.parameters():
        assert (parameter.grad != 0).any()
        assert parameter.grad.isfinite().all()


def test_selex_in_a_ball_without_curvature_has_twice_the_distances():
    of, x = hyp_selex(ball=Ball(1e-9, 1.0))
    batch = of.draw(0)
    z = torch.tensor(x[batch.image]).float() + torch.randn(2, 12, DIM)
    points, f = of.outputs(z)
    halved = of._selex.contrast(2 * points, f, batch).total
    assert float(of.loss((points, f), batch, 10.0).total.detach()) == pytest.approx(
        float(halved.detach()), rel=1e-3
    )


def test_selex_in_a_ball_resumes_with_its_levels():
    of, x = hyp_selex()
    other, _ = hyp_selex()
    other.load_state_dict({})
    other.load_state_dict(of.state_dict())
    batch = of.draw(1)
    other.heads.load_state_dict(of.heads.state_dict())
    z = torch.tensor(x[batch.image]).float()
    one, two = (
        float(each.loss(each.outputs(z), batch, 3.0).total.detach()) for each in (of, other)
    )
    assert one == two
