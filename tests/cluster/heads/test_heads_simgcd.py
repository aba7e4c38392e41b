"""SimGCD's classifier: loss against a plain loop, teacher warm-up, seeds at once, easy classes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from blobs import DEVICES
from conftest import one_thread

from cluster import ClusterError
from cluster.heads.half_labelled import HalfLabelled
from cluster.heads.hyperbolic import Ball
from cluster.heads.model import predict
from cluster.heads.simgcd import Batch, Settings, SimGcd
from cluster.heads.simgcd_loss import Weights, simgcd_loss, teacher_temperature
from cluster.heads.training import Schedule, train
from cluster.vectors.gather import standardized_gather
from cluster.vectors.rms_scale import rms_scale
from cluster.vectors.rows import ArrayRows, Rows
from cluster.vectors.standardize import Scale, identity_scale

DIM, K, BATCH = 6, 4, 5
SETTINGS = Settings(0.35, 0.1, 0.07, 0.04, 10, 1e-3)
_quick = pytest.fixture(autouse=True)(one_thread)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def heads(
    seeds: tuple[int, ...] = (0, 1),
    weights: tuple[float, ...] = (2.0,),
    *,
    scale: Scale | None = None,
    device: str = "cpu",
    dim: int = DIM,
    **options: Any,
) -> SimGcd:
    return SimGcd(
        dim, K, SETTINGS, known=2, scale=scale or identity_scale(dim), entropy_weights=weights,
        seeds=seeds, device=device, **options,
    )  # fmt: skip


def batch(views: int, seeds: int, device: str = "cpu", seed: int = 0) -> Batch:
    x = normal(views, seeds, 2 * BATCH, DIM, seed=seed)
    label = torch.arange(seeds * BATCH).view(seeds, BATCH) % 2
    return Batch(torch.nn.functional.normalize(x, dim=3).to(device), label.to(device))


def plain_loss(cosine: np.ndarray, label: np.ndarray, teacher: float, epsilon: float) -> float:
    """Of one head, in float64, image by image: cosine [view, image, cluster]."""

    def softmax(z: np.ndarray) -> np.ndarray:
        e = np.exp(z - z.max())
        return e / e.sum()

    views = len(cosine)
    p = [[softmax(z / 0.1) for z in view] for view in cosine]
    q = [[softmax(z / teacher) for z in view] for view in cosine]
    across, supervised, share = [], [], np.mean([each for view in p for each in view], axis=0)
    for view in range(views):
        for image in range(len(p[view])):
            across.append(-(q[views - 1 - view][image] @ np.log(p[view][image])))
        for image, own in enumerate(label):
            supervised.append(-np.log(p[view][image][own]))
    short = math.log(len(share)) + sum(s * math.log(s) for s in share)
    return 0.65 * (np.mean(across) + epsilon * short) + 0.35 * np.mean(supervised)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("views", [1, 2])
def test_the_loss_is_that_of_a_plain_loop(views: int, device: str):
    cosine = normal(views, 3, 2 * BATCH, K).tanh()
    label = torch.arange(3 * BATCH).view(3, BATCH) % K
    epsilon = torch.tensor([0.0, 1.0, 4.0])
    found = simgcd_loss(
        cosine.to(device), label.to(device), 0.05, epsilon.to(device), Weights(0.35, 0.1)
    )
    expected = [
        plain_loss(cosine[:, h].double().numpy(), label[h].numpy(), 0.05, float(epsilon[h]))
        for h in range(3)
    ]
    np.testing.assert_allclose(found.cpu(), expected, rtol=1e-5)


def test_one_view_is_two_equal_ones():
    cosine, label = normal(1, 2, 8, K).tanh(), torch.zeros(2, 4, dtype=torch.int64)
    rest = (label, 0.05, torch.ones(2), Weights(0.35, 0.1))
    twice = simgcd_loss(torch.cat([cosine, cosine]), *rest)
    np.testing.assert_allclose(simgcd_loss(cosine, *rest), twice, rtol=1e-6)


def test_the_entropy_term_by_hand():
    """Two images in two clusters, each all but sure of its own: even, so nothing is short of log 2;
    both in one: log 2 is."""
    sure = torch.tensor([10.0, -10.0])
    label, weights = torch.zeros(1, 1, dtype=torch.int64), Weights(0.35, 0.1)

    def term(*images: torch.Tensor) -> float:
        cosine = torch.stack(images)[None, None]
        one, none = (simgcd_loss(cosine, label, 0.04, torch.tensor([e]), weights) for e in (1, 0))
        return float(one - none) / 0.65

    assert term(sure, -sure) == pytest.approx(0, abs=1e-6)
    assert term(sure, sure) == pytest.approx(math.log(2), abs=1e-6)
    flat = torch.zeros(2)
    assert term(sure, flat) == pytest.approx(
        math.log(2) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25), abs=1e-6
    )


def test_the_teacher_sharpens_along_a_line_and_then_stays():
    at = [teacher_temperature(step, 0.07, 0.04, 3) for step in range(6)]
    assert at == pytest.approx([0.07, 0.06, 0.05, 0.04, 0.04, 0.04])
    assert teacher_temperature(0, 0.07, 0.04, 0) == 0.04


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_is_torchs_sgd_on_the_loss_with_teacher_warmup_and_weight_norm(device: str):
    scale = Scale(normal(DIM).numpy(), np.full(DIM, 2.0, np.float32))
    of = heads(scale=scale, device=device)
    begin = of.state()["head/direction"].detach().cpu().double().clone()
    linears = []
    for weight in begin:
        linear = torch.nn.Linear(DIM, K, bias=False, dtype=torch.float64)
        linear.weight.data = weight.clone()
        linears.append(linear)
    sgds = [torch.optim.SGD([x.weight], lr=1, momentum=0.9, weight_decay=1e-3) for x in linears]
    for step, lr in enumerate([0.3, 0.2, 0.1]):
        drawn = batch(2, 2, device, seed=step)
        found = of.step(drawn, lr)
        for h, (linear, sgd) in enumerate(zip(linears, sgds, strict=True)):
            x = drawn.x[:, h].cpu().double()
            w = linear.weight / linear.weight.norm(dim=1, keepdim=True)
            cosine = (x @ w.T)[:, None]
            teacher = 0.07 - 0.003 * step
            loss = simgcd_loss(
                cosine, drawn.label[h : h + 1].cpu(), teacher, torch.tensor([2.0]).double(),
                Weights(0.35, 0.1),
            )  # fmt: skip
            assert float(found.loss[h]) == pytest.approx(loss.item(), rel=1e-5)
            sgd.zero_grad()
            loss.sum().backward()
            for group in sgd.param_groups:
                group["lr"] = lr
            sgd.step()
    now = of.state()["head/direction"].detach().cpu()
    assert (now - begin).abs().max() > 0.01
    for h, linear in enumerate(linears):
        np.testing.assert_allclose(now[h], linear.weight.detach(), atol=1e-5)


def test_sizes_are_the_clusters_of_the_batch():
    of, drawn = heads(), batch(1, 2)
    direction = of.state()["head/direction"].detach()
    own = torch.bmm(drawn.x[0], direction.mT)
    expected = (own / direction.norm(dim=2)[:, None]).argmax(2)
    sizes = [torch.bincount(each, minlength=K).tolist() for each in expected]
    assert of.step(drawn, 0.1).sizes.tolist() == sizes


def classes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of four classes, the classes, and labels: of half of the first two."""
    rng = np.random.default_rng(0)
    truth = np.arange(400) % K
    x = np.eye(K, DIM)[truth] * 5 + rng.normal(size=(400, DIM)) + 2
    label = np.where((truth < 2) & (rng.random(400) < 0.5), truth, -1)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth, label


def trained(
    rows: Rows,
    label: np.ndarray,
    seeds: tuple[int, ...],
    weights: tuple[float, ...],
    device: str,
    **options: Any,
) -> SimGcd:
    scale = rms_scale(rows, center=True)
    of = heads(seeds, weights, scale=scale, device=device, **options)
    stream, gather = (
        HalfLabelled([label] * len(seeds), 64, seeds),
        standardized_gather(rows, device, 1, scale),
    )

    def draw(step: int) -> Batch:
        found = stream.at(step)
        return Batch(gather(found.images)[None], torch.from_numpy(found.label).to(device))

    train(of, draw, Schedule(150, 0.1, 0.0, 0), 1)
    return of


@pytest.mark.parametrize("device", DEVICES)
def test_it_finds_known_classes_by_their_number_and_new_ones(device: str):
    x, truth, label = classes()
    of = trained(ArrayRows(x), label, (0, 1, 2), (2.0,), device)
    for number in range(3):
        own = predict(ArrayRows(x), of.head(number), device=device).assignment[0]
        assert (own[truth < 2] == truth[truth < 2]).mean() > 0.95
        sizes = [np.bincount(own[truth == new], minlength=K) for new in (2, 3)]
        assert {int(size.argmax()) for size in sizes} == {2, 3}
        assert min(size.max() for size in sizes) > 95


def test_seeds_and_weights_at_once_are_each_as_if_trained_alone():
    x, _, label = classes()
    rows = ArrayRows(x)
    all_of_them = trained(rows, label, (3, 4), (0.5, 2.0), "cpu")
    for s, seed in enumerate((3, 4)):
        for w, weight in enumerate((0.5, 2.0)):
            alone = trained(rows, label, (seed,), (weight,), "cpu").head(0)
            beside = all_of_them.head(2 * s + w)
            np.testing.assert_allclose(alone.weight, beside.weight, atol=1e-3)
            np.testing.assert_array_equal(
                predict(rows, alone).assignment, predict(rows, beside).assignment
            )


def test_the_scale_of_the_features_does_not_matter():
    x, _, label = classes()
    plain, larger = (
        predict(rows, trained(rows, label, (0,), (2.0,), "cpu").head(0)).assignment
        for rows in (ArrayRows(x), ArrayRows(x * np.float32(1024)))
    )
    np.testing.assert_array_equal(plain, larger)


def test_a_head_gives_the_probabilities_that_were_trained():
    """Temperature, mean and length lie in its weights."""
    x, _, label = classes()
    rows = ArrayRows(x)
    of = trained(rows, label, (0,), (2.0,), "cpu")
    scale, w = rms_scale(rows, center=True), of.state()["head/direction"][0].detach().double()
    scaled = (x.astype(np.float64) - scale.mean) / scale.deviation
    logits = scaled @ (w / w.norm(dim=1, keepdim=True)).numpy().T / 0.1
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    np.testing.assert_allclose(predict(rows, of.head(0)).probability[0], p.max(1), rtol=1e-4)


def test_fewer_clusters_than_known_classes_are_refused():
    with pytest.raises(
        ClusterError, match=r"^k is 2, but 3 classes are known: choose k from 3 on$"
    ):
        SimGcd(
            DIM, 2, SETTINGS, known=3, scale=identity_scale(DIM), entropy_weights=[1.0], seeds=[0]
        )


def test_rows_of_length_one_stay_as_they_are_unless_centred():
    x, _, _ = classes()
    scale = rms_scale(ArrayRows(x), center=False)
    assert (scale.mean == 0).all()
    assert (scale.deviation == 1).all()
    centred = rms_scale(ArrayRows(x * np.float32(7)), center=True)
    np.testing.assert_allclose(centred.mean, 7 * x.mean(0), rtol=1e-5)
    around = (7 * x - centred.mean) / centred.deviation
    assert np.square(around).sum(1).mean() == pytest.approx(1, rel=1e-5)


def test_equal_rows_are_refused():
    with pytest.raises(ClusterError, match="all 9 vectors are equal"):
        rms_scale(ArrayRows(np.ones((9, 3), np.float32)), center=True)


def test_an_even_prior_is_the_entropy_term_and_another_its_divergence_by_hand():
    cosine, label = normal(2, 1, 6, K).tanh(), torch.zeros(1, 2, dtype=torch.int64)
    rest = (label, 0.05, torch.tensor([3.0]), Weights(0.35, 0.1))
    even = simgcd_loss(cosine, *rest, torch.full((1, K), 1 / K))
    np.testing.assert_allclose(even, simgcd_loss(cosine, *rest), rtol=1e-6)
    prior = torch.tensor([[0.7, 0.1, 0.1, 0.1]])
    share = (cosine / 0.1).softmax(3).mean((0, 2))[0].double().numpy()
    more = sum(p * (math.log(1 / K) - math.log(q)) for p, q in zip(share, prior[0], strict=True))
    found = float(simgcd_loss(cosine, *rest, prior) - even)
    assert found == pytest.approx(0.65 * 3 * more, rel=1e-4)


def test_the_estimated_prior_is_a_moving_average_of_predicted_shares():
    of = heads((0,), prior_momentum=0.75)
    first, second = (of.step(batch(1, 1, seed=s), 0.1).sizes[0] / (2 * BATCH) for s in (0, 1))
    expected = 0.75 * (0.75 / K + 0.25 * first) + 0.25 * second
    np.testing.assert_allclose(of.state()["prior/share"][0], expected, rtol=1e-6)
    assert "prior/share" not in heads((0,)).state()


def test_a_long_tail_keeps_its_shares_where_the_prior_is_estimated():
    """Four classes of 280, 60, 40 and 20 images: even clusters would divide the largest."""
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(K), [60, 20, 280, 40])
    x = (np.eye(K, DIM)[truth] * 4 + rng.normal(size=(400, DIM))).astype(np.float32)
    label = np.where((truth < 2) & (rng.random(400) < 0.5), truth, -1)
    right = {}
    for name, options in (("uniform", {}), ("estimated", {"prior_momentum": 0.9})):
        of = trained(ArrayRows(x), label, (0, 1, 2), (4.0,), "cpu", **options)
        own = [predict(ArrayRows(x), of.head(n)).assignment[0] for n in range(3)]
        right[name] = np.mean([
            np.bincount(each[truth == 2], minlength=K).max() / 280 for each in own
        ])  # fmt: skip
    assert right["estimated"] > right["uniform"] + 0.1


def test_in_a_ball_logits_are_those_of_plain_formulas():
    of, drawn, c, r = heads((0, 1), ball=Ball(0.1, 1.2)), batch(2, 2), 0.1, 1.2
    direction = of.state()["head/direction"].detach().double().numpy()
    found = of._logits(drawn.x).detach()
    for view in range(2):
        for h in range(2):
            w = direction[h] / np.linalg.norm(direction[h], axis=1, keepdims=True)
            for image, x in enumerate(drawn.x[view, h].double().numpy()):
                z = x * math.sqrt(DIM)
                linear = w @ (z * min(1, r / np.linalg.norm(z)))
                length = math.sqrt(c) * np.linalg.norm(linear)
                expected = math.tanh(length) * linear / length
                np.testing.assert_allclose(found[view, h, image], expected, rtol=1e-4, atol=1e-6)


def test_in_a_ball_known_and_new_classes_are_found_too_and_the_head_is_that_which_was_trained():
    x, truth, label = classes()
    of = trained(ArrayRows(x), label, (0, 1), (2.0,), "cpu", ball=Ball(0.1, 1.2))
    scale = rms_scale(ArrayRows(x), center=True)
    scaled = torch.from_numpy((x - scale.mean) / scale.deviation)
    logits = of._logits(scaled[None, None].expand(1, 2, -1, -1)).detach()[0]
    for number in range(2):
        own = predict(ArrayRows(x), of.head(number)).assignment[0]
        np.testing.assert_array_equal(own, logits[number].argmax(1))
        assert (own[truth < 2] == truth[truth < 2]).mean() > 0.95
        assert min(np.bincount(own[truth == new], minlength=K).max() for new in (2, 3)) > 95
