"""SCAN's heads: the loss by hand and against a plain loop, selection of heads, scale, blobs."""

import math

import numpy as np
import pytest
import torch
from blobs import DEVICES
from conftest import one_thread
from sklearn.metrics import adjusted_rand_score

from cluster.heads.model import predict
from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.scan import Scan, Settings, scan_gradient, scan_loss
from cluster.vectors.gather import standardized_gather
from cluster.vectors.rows import ArrayRows
from cluster.vectors.standardize import Scale, fit_scale, identity_scale

DIM, K, HEADS = 6, 4, 3
PLAIN = Settings(heads=HEADS, entropy_weight=5.0, weight_decay=0.1)
NONE = torch.zeros(2, 0, DIM)
_quick = pytest.fixture(autouse=True)(one_thread)


def learner(
    scale: Scale | None = None, held_out: torch.Tensor = NONE, device: str = "cpu", **changes
) -> Scan:
    return Scan(
        DIM, K, PLAIN._replace(**changes), scale=scale or identity_scale(DIM),
        watched=torch.zeros(1, DIM, device=device), held_out=held_out.to(device), seed=2,
        device=device,
    )  # fmt: skip


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def one_hot(cluster: list[int]) -> torch.Tensor:
    """log p of one head, [1, pair, cluster]."""
    return torch.nn.functional.one_hot(torch.tensor([cluster]), K).double().clamp(1e-60).log()


def test_uniform_heads_are_at_log_k_less_the_entropy():
    uniform = torch.full((1, 8, K), 1 / K, dtype=torch.float64).log()
    assert scan_loss(uniform, uniform, 5.0).item() == pytest.approx(math.log(K) * (1 - 5))
    assert scan_loss(uniform, uniform, 0.0).item() == pytest.approx(math.log(K))


def test_confident_heads_that_agree_on_even_clusters_have_the_least_loss():
    p = one_hot([0, 1, 2, 3])
    assert scan_loss(p, p, 5.0).item() == pytest.approx(-5 * math.log(K))
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        log_p, log_q = torch.randn(2, 1, 9, K, generator=rng).double().log_softmax(3)
        assert scan_loss(log_p, log_q, 5.0).item() > -5 * math.log(K)


def test_one_cluster_for_everything_has_loss_0():
    p = one_hot([2, 2, 2])
    assert scan_loss(p, p, 5.0).item() == pytest.approx(0, abs=1e-6)


def test_confident_heads_that_disagree_have_a_large_but_finite_loss():
    loss = scan_loss(one_hot([0, 1]), one_hot([1, 0]), 0.0).item()
    assert 100 < loss < math.inf


def plain_loss(logits: torch.Tensor, other: torch.Tensor, entropy_weight: float) -> torch.Tensor:
    """Equation 2 of one head, an image after the other: float64 logits [pair, cluster]."""
    p, q = logits.softmax(1), other.softmax(1)
    together = torch.zeros((), dtype=torch.float64)
    for a, b in zip(p, q, strict=True):
        together = together + sum(a[c] * b[c] for c in range(K)).log()
    share = sum(p) / len(p)
    return -together / len(p) + entropy_weight * sum(s * s.log() for s in share)


@pytest.mark.parametrize("device", DEVICES)
def test_steps_are_those_of_a_plain_float64_loop_over_heads(device: str):
    scan = learner(device=device)
    state = {name: t.detach().cpu().double() for name, t in scan.state().items()}
    both = [state[f"head/{name}"] for name in ("weight", "bias")]
    heads = [[of[h].clone().requires_grad_() for of in both] for h in range(HEADS)]
    decays = (0.1, 0.0)
    adams = [
        torch.optim.AdamW(
            [{"params": [of], "weight_decay": d} for of, d in zip(head, decays, strict=True)]
        )
        for head in heads
    ]
    for step, lr in enumerate([1e-3, 2e-3, 3e-3]):
        x = normal(2, 10, DIM, seed=step)
        found = scan.step(x.to(device), lr)
        expected = []
        for (w, b), adam in zip(heads, adams, strict=True):
            loss = plain_loss(*(side.double() @ w.T + b for side in x), 5.0)
            adam.zero_grad()
            loss.backward()
            for group in adam.param_groups:
                group["lr"] = lr
            adam.step()
            expected.append(float(loss.detach()))
        np.testing.assert_allclose(found.loss.cpu(), expected, rtol=1e-5)
    now = scan.state()
    for h, (w, b) in enumerate(heads):
        np.testing.assert_allclose(now["head/weight"][h].detach().cpu(), w.detach(), atol=1e-5)
        np.testing.assert_allclose(now["head/bias"][h].detach().cpu(), b.detach(), atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("sure", [1.0, 30.0])
@pytest.mark.parametrize("entropy_weight", [0.0, 5.0])
def test_the_gradient_by_hand_is_that_of_autograd(entropy_weight: float, sure: float, device: str):
    """Also where a cluster has no image: there the logarithm of its share is cut off."""
    logits = normal(HEADS, K, 20).double() * sure
    logits[1, 2] -= 100
    logits = logits.to(device).requires_grad_()
    log_p, log_q = logits.log_softmax(1).mT.chunk(2, 1)
    loss = scan_loss(log_p, log_q, entropy_weight)
    expected = torch.autograd.grad(loss.sum(), logits)[0]
    found = scan_gradient(logits.detach(), entropy_weight)
    torch.testing.assert_close(found.loss, loss.detach())
    torch.testing.assert_close(found.slope, expected, rtol=1e-9, atol=1e-12)
    assert torch.equal(found.assignment, log_p.argmax(2))


def test_steps_in_bfloat16_are_near_those_in_float32():
    plain, rounded = learner(), learner()
    for step in range(20):
        x = normal(2, 256, DIM, seed=step)
        one, other = plain.step(x, 1e-2), rounded.step(x.bfloat16(), 1e-2)
    torch.testing.assert_close(one.loss, other.loss, rtol=0.02, atol=0.02)
    weight, near = (of.state()["head/weight"].detach() for of in (plain, rounded))
    assert near.dtype == torch.float32
    assert not torch.equal(near, near.bfloat16().float()), "the optimiser has all digits"
    assert (weight - near).norm() < 0.1 * weight.norm()


def test_heads_are_judged_by_the_images_held_out():
    held = normal(2, 30, DIM)
    scan = learner(held_out=held)
    for step in range(5):
        scan.step(normal(2, 10, DIM, seed=step), 1e-2)
    state = scan.state()
    w, b = (state[f"head/{n}"].detach().double() for n in ("weight", "bias"))
    expected = [
        plain_loss(*(side.double() @ w[h].T + b[h] for side in held), 5.0) for h in range(HEADS)
    ]
    found = scan.judge(np.zeros(HEADS))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(set(found.round(6))) == HEADS


def test_heads_are_judged_by_training_where_nothing_is_held_out():
    assert learner().judge(np.array([3.0, 1.0, 2.0])).tolist() == [3, 1, 2]


def test_sizes_are_the_clusters_of_the_images_not_of_their_neighbours():
    scan = learner()
    x, state = normal(2, 50, DIM), scan.state()
    own = (x[0] @ state["head/weight"].detach().mT + state["head/bias"].detach()[:, None]).argmax(2)
    sizes = [torch.bincount(each, minlength=K).tolist() for each in own]
    assert scan.step(x, 1e-3).sizes.tolist() == sizes


def blobs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, their neighbours and classes."""
    rng = np.random.default_rng(0)
    label = np.arange(400) % K
    x = (np.eye(K, DIM)[label] * 6 + rng.normal(size=(400, DIM))).astype(np.float32)
    near = ((x[:, None] - x) ** 2).sum(2).argsort(axis=1)[:, 1:11].astype(np.int32)
    return x, near, label


def trained(x: np.ndarray, near: np.ndarray, device: str = "cpu") -> np.ndarray:
    """The clusters of all images by every head, int32 [head, image]."""
    rows, pairs = ArrayRows(x), Pairs(near, 128, 0)
    scale = fit_scale(rows)
    scan, gather = (
        learner(scale, device=device, weight_decay=1e-4),
        standardized_gather(rows, device, 1, scale),
    )
    for step in range(150):
        scan.step(gather(pairs.at(step)), 1e-2)
    found = [predict(rows, scan.head(h), device=device).assignment[0] for h in range(HEADS)]
    return np.stack(found)


@pytest.mark.parametrize("device", DEVICES)
def test_on_easy_blobs_it_finds_the_classes(device: str):
    x, near, label = blobs()
    assert max(adjusted_rand_score(label, own) for own in trained(x, near, device)) > 0.95


def test_the_scale_of_the_features_does_not_matter_when_they_are_standardised():
    x, near, _ = blobs()
    x = x * [1, 30, 0.01, 1, 1, 1] + 5
    plain, larger = (trained((x * much).astype(np.float32), near) for much in (1, 1024))
    np.testing.assert_array_equal(plain, larger)


def test_a_thousand_times_larger_features_give_the_same_clusters():
    x, near, _ = blobs()
    plain, larger = trained(x, near), trained(x * np.float32(1000), near)
    assert (plain == larger).mean() > 0.99
