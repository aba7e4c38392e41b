"""Heads that cut a graph: the losses against a plain loop, the gradient against autograd, blobs."""

import numpy as np
import pytest
import torch
from blobs import DEVICES
from conftest import one_thread
from scipy.special import hyp2f1
from sklearn.metrics import adjusted_rand_score

from cluster.heads.cut import cut as module
from cluster.heads.cut.cut import Cut, Settings
from cluster.heads.cut.edges import Edges, gaussian_weights
from cluster.heads.cut.envelope import degree_bins
from cluster.heads.cut.loss import (
    Batch,
    Factors,
    Kind,
    cut_gradient,
    mixed_gradient,
    normalized_cut,
)
from cluster.heads.model import predict
from cluster.heads.training import Schedule, train
from cluster.vectors.rows import ArrayRows
from cluster.vectors.standardize import fit_scale, identity_scale

DIM, K, HEADS, IMAGES = 6, 4, 3, 12
KINDS: list[Kind] = ["prcut", "h_rcut", "h_ncut"]
PLAIN = Settings(
    heads=HEADS, cut="h_rcut", m=20, momentum=0.9, temperature_first=10.0, temperature_last=1.0,
    bins=4, weight_decay=0.1, steps=3,
)  # fmt: skip
DEGREE = np.random.default_rng(5).random(IMAGES) * 5 + 0.5
_quick = pytest.fixture(autouse=True)(one_thread)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(edges: int = 30, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(IMAGES, size=(2, edges))
    return Batch(
        normal(IMAGES, DIM, seed=seed), torch.arange(IMAGES), torch.from_numpy(left),
        torch.from_numpy(right), torch.from_numpy(rng.random(edges)).float(),
    )  # fmt: skip


def plain_losses(
    p: torch.Tensor, of: Batch, average: torch.Tensor, settings: Settings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut and balance of one head, an edge after the other: p, float64 [image, cluster]."""
    mean = sum(p) / len(p)
    share = settings.momentum * average + (1 - settings.momentum) * mean
    bins = degree_bins(DEGREE, settings.bins)
    cut = torch.zeros((), dtype=torch.float64)
    for i, j, w in zip(of.left, of.right, of.weight.double(), strict=True):
        for c in range(K):
            if settings.cut == "prcut":
                factor = 1 / share[c]
            elif settings.cut == "h_rcut":
                factor = (1 - (1 - share[c]) ** (settings.m + 1)) / ((settings.m + 1) * share[c])
            else:
                factor = plain_phi(bins.mean[bins.bin[i]], bins, share[c], settings.m) / DEGREE[i]
            cut = cut - w * factor * p[i, c] * p[j, c].log()
    return cut / of.weight.double().sum(), sum(mean * mean.log())


def plain_phi(mean: float, bins, share: torch.Tensor, m: int) -> torch.Tensor:
    """Phi by the polynomials that the 2F1 are."""
    out = torch.ones((), dtype=torch.float64)
    for least, weight in zip(bins.least, bins.share, strict=True):
        value, term = torch.zeros(()).double(), torch.ones(()).double()
        for n in range(m + 1):
            value = value + term
            term = term * (n - m) / (mean / least + 1 + n) * share
        out = out * value**weight
        assert value.item() == pytest.approx(hyp2f1(-m, 1, mean / least + 1, share.item()))
    return out


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_slopes_are_those_of_autograd_on_a_plain_loop(kind: Kind, device: str):
    settings, of = PLAIN._replace(cut=kind), batch()
    logits = normal(HEADS, K, IMAGES, seed=1).double()
    average = normal(HEADS, K, seed=2).double().softmax(1)
    there = Batch(*(each.to(device) for each in of))
    factors = Factors(kind, DEGREE, settings.m, settings.bins, device)
    found = cut_gradient(logits.to(device), there, average.to(device), 0.9, factors)
    for h in range(HEADS):
        z = logits[h].T.clone().requires_grad_()
        losses = plain_losses(z.softmax(1), of, average[h], settings)
        assert found.loss[h].item() == pytest.approx(sum(losses).item(), rel=1e-5)
        for which, loss in enumerate(losses):
            (expected,) = torch.autograd.grad(loss, z, retain_graph=True)
            torch.testing.assert_close(
                found.slope[which, h].T.cpu(), expected, rtol=1e-5, atol=1e-8
            )
        share = 0.9 * average[h] + 0.1 * z.detach().softmax(1).mean(0)
        torch.testing.assert_close(found.share[h].cpu(), share)
    assert torch.equal(found.assignment.cpu(), logits.argmax(1))


def test_mixed_gradients_weigh_alike_and_one_of_zeros_is_left_out():
    weight, bias = torch.zeros(2, 1, 1, 2), torch.zeros(2, 1, 1)
    weight[0, 0, 0] = torch.tensor([300.0, 0])
    bias[0] = 400  # length 500
    weight[1, 0, 0] = torch.tensor([0, 1e-3])
    mixed, mixed_bias = mixed_gradient(weight, bias)
    np.testing.assert_allclose(mixed[0], [[0.6, 1]], rtol=1e-6)
    np.testing.assert_allclose(mixed_bias[0], [0.8], rtol=1e-6)
    zero, _ = mixed_gradient(torch.zeros(2, 1, 1, 2), torch.zeros(2, 1, 1))
    assert not zero.any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_that_of_adamw_on_the_mixed_gradient(kind: Kind):
    settings, of = PLAIN._replace(cut=kind), batch()
    cut = learner(settings)
    w, b = (cut.state()[f"head/{n}"].detach().clone().double() for n in ("weight", "bias"))
    heads = [[w[h].clone().requires_grad_(), b[h].clone().requires_grad_()] for h in range(HEADS)]
    groups = [
        {"params": [part[0] for part in heads], "weight_decay": 0.1},
        {"params": [part[1] for part in heads], "weight_decay": 0.0},
    ]
    adam, average = torch.optim.AdamW(groups, lr=1e-2), torch.full((HEADS, K), 1 / K).double()
    for tau in (7.0, 4.0, 1.0):
        found = cut.step(of, 1e-2)
        for h, part in enumerate(heads):
            p = ((of.x.double() @ part[0].T + part[1]) / tau).softmax(1)
            losses = plain_losses(p, of, average[h], settings)
            each = [torch.autograd.grad(loss, part, retain_graph=True) for loss in losses]
            lengths = [sum(g.square().sum() for g in grads).sqrt() for grads in each]
            for number, of_part in enumerate(part):
                of_part.grad = sum(g[number] / n for g, n in zip(each, lengths, strict=True))
            assert found.loss[h].item() == pytest.approx(sum(losses).item(), rel=1e-4)
            average[h] = 0.9 * average[h] + 0.1 * p.detach().mean(0)
        adam.step()
    for h, part in enumerate(heads):
        now = cut.state()["head/weight"][h].detach()
        np.testing.assert_allclose(now, part[0].detach(), atol=2e-4)


def learner(settings: Settings = PLAIN, k: int = K, **changes) -> Cut:
    given = {
        "scale": identity_scale(DIM), "degree": DEGREE, "watched": torch.zeros(1, DIM),
        "judged": batch(), "seed": 2, **changes,
    }  # fmt: skip
    return Cut(DIM, k, settings, **given)


def test_groups_of_heads_change_nothing(monkeypatch: pytest.MonkeyPatch):
    whole, parts = learner(), learner()
    one = whole.step(batch(), 1e-2)
    monkeypatch.setattr(module, "CELLS", 1)
    other = parts.step(batch(), 1e-2)
    torch.testing.assert_close(one.loss, other.loss)
    assert torch.equal(one.sizes, other.sizes)
    np.testing.assert_array_equal(whole.judge(np.zeros(3)), parts.judge(np.zeros(3)))
    for mine, theirs in zip(whole.state().values(), parts.state().values(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_the_normalised_cut_by_hand():
    """Edges 0-0 of weight 2, 0-1 of 1, 1-1 of 3: cuts 1 and 1 of volumes 5 and 7."""
    left, right, weight = np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([2.0, 1, 3])
    assert normalized_cut(left, right, weight, 2) == pytest.approx(1 / 5 + 1 / 7)
    assert normalized_cut(left, right, weight, 4) == pytest.approx(1 / 5 + 1 / 7 + 2)  # two empty


def test_the_normalised_cut_is_worst_where_clusters_are_given_up_or_drawn():
    rng = np.random.default_rng(0)
    ends = rng.integers(8, size=(2, 5000))
    assert normalized_cut(*ends, np.ones(5000), 8) == pytest.approx(7, abs=0.1)
    assert normalized_cut(*np.zeros_like(ends), np.ones(5000), 8) == 7
    assert normalized_cut(ends[0], ends[0], np.ones(5000), 8) == 0


def blobs() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, their neighbours, squared distances and classes."""
    rng = np.random.default_rng(0)
    label = np.arange(400) % K
    x = (np.eye(K, DIM)[label] * 6 + rng.normal(size=(400, DIM))).astype(np.float32)
    square = ((x[:, None] - x) ** 2).sum(2)
    near = square.argsort(axis=1)[:, 1:11].astype(np.int32)
    return x, near, np.take_along_axis(square, near, 1), label


def trained(
    x: np.ndarray, near: np.ndarray, square: np.ndarray, kind: Kind, device: str = "cpu", k: int = K
) -> tuple[Cut, np.ndarray]:
    """A learner, and the clusters of all images by each head, int32 [head, image]."""
    rows, edges = ArrayRows(x), Edges(near, gaussian_weights(square), 0)
    scale = fit_scale(rows)
    standard = torch.from_numpy((x - scale.mean) / scale.deviation).to(device)

    def on(drawn) -> Batch:
        places = [torch.from_numpy(each).to(device) for each in drawn]
        return Batch(standard[places[0]], *places)

    settings = PLAIN._replace(cut=kind, steps=150, m=512, temperature_first=1.0)
    cut = Cut(
        x.shape[1], k, settings, scale=scale, degree=edges.degrees(), watched=standard[:5],
        judged=on(edges.spread(10_000)), seed=2, device=device,
    )  # fmt: skip
    train(cut, lambda step: on(edges.at(step, 512)), Schedule(150, 3e-2, 0.0, 0), 2)
    found = [predict(rows, cut.head(h), device=device).assignment[0] for h in range(HEADS)]
    return cut, np.stack(found)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_on_easy_blobs_the_head_of_the_least_cut_finds_the_classes(kind: Kind, device: str):
    x, near, square, label = blobs()
    cut, found = trained(x, near, square, kind, device)
    best = int(cut.judge(np.zeros(HEADS)).argmin())
    assert adjusted_rand_score(label, found[best]) > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_one_cluster_one_feature_and_copies_give_finite_heads(kind: Kind):
    x, near, square, _ = blobs()
    _, found = trained(x, near, square, kind, k=1)
    assert not found.any()
    cut, _ = trained(x[:, :1].copy(), near, square, kind)
    assert all(torch.isfinite(of).all() for of in cut.state().values())
    cut, _ = trained(np.ones_like(x), near, np.zeros_like(square), kind)
    assert all(torch.isfinite(of).all() for of in cut.state().values())
