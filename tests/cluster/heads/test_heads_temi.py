"""TEMI's steps against a plain loop over heads, in groups; initial and trained heads."""

from typing import Any

import numpy as np
import pytest
import torch
from blobs import DEVICES
from conftest import one_thread
from sklearn.metrics import adjusted_rand_score
from torch.nn import functional

import cluster.heads.temi
from cluster.heads.model import predict
from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.temi import Settings, Temi
from cluster.vectors.gather import standardized_gather
from cluster.vectors.rows import ArrayRows
from cluster.vectors.standardize import Scale, fit_scale, identity_scale

DIM, K, HEADS, BATCH = 6, 5, 3, 16
PLAIN = Settings(
    heads=HEADS, hidden=12, bottleneck=7, loss="temi", beta=0.6, temperature=0.1, momentum=0.9,
    prior_momentum=0.8, weight_decay=0.1, frozen=0,
)  # fmt: skip


_quick = pytest.fixture(autouse=True)(one_thread)


def learner(k: int = K, scale: Scale | None = None, device: str = "cpu", **changes: Any) -> Temi:
    return Temi(
        DIM, k, PLAIN._replace(**changes), scale=scale or identity_scale(DIM),
        watched=torch.zeros(1, DIM, device=device), seed=1, device=device,
    )  # fmt: skip


def batch(step: int, device: str = "cpu") -> torch.Tensor:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(2, BATCH, DIM, generator=generator).to(device)


def snapshot(temi: Temi) -> dict[str, np.ndarray]:
    return {name: t.detach().cpu().numpy().copy() for name, t in temi.state().items()}


class PlainHead:
    """One head with its teacher as they stand in the paper, in float64, autograd the only help."""

    def __init__(self, of: dict[str, np.ndarray], head: int) -> None:
        names = ("hidden_weight", "hidden_bias", "bottleneck_weight", "bottleneck_bias")
        names = (*names, "direction", "length")
        start = [torch.tensor(of[f"student/{name}"][head]).double() for name in names]
        self.student = [each.clone().requires_grad_() for each in start]
        self.teacher = [each.clone() for each in start]
        self.prior = torch.tensor(of["prior/prior"][head]).double()
        groups = [
            {"params": [w for n, w in enumerate(self.student) if n in decays], "weight_decay": much}
            for decays, much in (((0, 2, 4), PLAIN.weight_decay), ((1, 3, 5), 0.0))
        ]
        self.adam = torch.optim.AdamW(groups)

    def q(self, x: torch.Tensor, of: list[torch.Tensor]) -> torch.Tensor:
        w1, b1, w2, b2, direction, length = of
        z = functional.gelu(x @ w1.T + b1) @ w2.T + b2
        z = z / z.norm(dim=1, keepdim=True)
        prototypes = torch.stack([length[c] * d / d.norm() for c, d in enumerate(direction)])
        return (z @ prototypes.T / PLAIN.temperature).softmax(1)


def plain_step(heads: list[PlainHead], x: torch.Tensor, lr: float) -> list[float]:
    """A step of all heads, one after the other; their losses."""
    x = x.double()
    teachers = [[h.q(side, h.teacher).detach() for side in x] for h in heads]
    weight = sum((q[0] * q[1]).sum(1) for q in teachers) / len(heads)
    losses = []
    for h, (t, t_other) in zip(heads, teachers, strict=True):
        h.prior = 0.8 * h.prior + 0.2 * torch.cat([t, t_other]).mean(0)  # before the loss
        s, s_other = (h.q(side, h.student) for side in x)
        pmi = ((s * t_other) ** 0.6 / h.prior).sum(1).log()
        pmi = pmi + ((s_other * t) ** 0.6 / h.prior).sum(1).log()
        loss = -(weight * pmi).mean() / 2
        for group in h.adam.param_groups:
            group["lr"] = lr
        h.adam.zero_grad()
        (loss / len(heads)).backward()
        h.adam.step()
        h.teacher = [0.9 * t + 0.1 * s.detach() for t, s in zip(h.teacher, h.student, strict=True)]
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("device", DEVICES)
def test_steps_are_those_of_a_plain_float64_loop_over_heads(device: str):
    """Loss, gradient, AdamW, the prior before the loss and the teacher after the step."""
    temi = learner(device=device)
    plain = [PlainHead(snapshot(temi), head) for head in range(HEADS)]
    for step, lr in enumerate([1e-3, 2e-3, 3e-3]):
        found = temi.step(batch(step, device), lr)
        expected = plain_step(plain, batch(step), lr)
        np.testing.assert_allclose(found.loss.cpu(), expected, rtol=2e-5)
    state = snapshot(temi)
    names = [n.partition("/")[2] for n in state if n.startswith("student/")]
    for head, of in enumerate(plain):
        np.testing.assert_allclose(state["prior/prior"][head], of.prior, rtol=1e-4)
        for number, name in enumerate(names):
            student, teacher = of.student[number].detach(), of.teacher[number]
            np.testing.assert_allclose(state[f"student/{name}"][head], student, atol=2e-5)
            np.testing.assert_allclose(state[f"teacher/{name}"][head], teacher, atol=2e-5)


def test_steps_in_bfloat16_are_near_those_in_float32():
    plain, rounded = learner(), learner()
    begin = snapshot(plain)
    for step in range(20):
        one, other = plain.step(batch(step), 1e-2), rounded.step(batch(step).bfloat16(), 1e-2)
    torch.testing.assert_close(one.loss, other.loss, rtol=0.05, atol=0.02)
    for name, array in snapshot(plain).items():
        near = snapshot(rounded)[name]
        assert near.dtype == np.float32
        if "weight" in name:
            way = np.linalg.norm(array - begin[name])
            assert np.linalg.norm(near - array) < 0.3 * way, name


@pytest.mark.parametrize("kept", [0, 10**9])
@pytest.mark.parametrize("loss", ["temi", "wmi", "pmi", "scan"])
def test_heads_in_groups_learn_what_all_heads_at_once_do(
    loss: str, kept: int, monkeypatch: pytest.MonkeyPatch
):
    at_once = learner(loss=loss, heads=5)
    for step in range(4):
        expected = at_once.step(batch(step), 1e-3)
    monkeypatch.setattr(cluster.heads.temi, "CELLS", {"cpu": 2 * 2 * BATCH * 12})
    monkeypatch.setattr(cluster.heads.temi, "KEPT", kept)
    in_groups = learner(loss=loss, heads=5)
    assert len(in_groups._groups(2 * BATCH)) == 3
    for step in range(4):
        found = in_groups.step(batch(step), 1e-3)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
    np.testing.assert_array_equal(found.sizes, expected.sizes)
    for name, array in snapshot(at_once).items():
        np.testing.assert_allclose(snapshot(in_groups)[name], array, atol=1e-5)


def test_sizes_are_the_teachers_clusters_of_the_images():
    temi = learner()
    x = batch(0)
    heads = [PlainHead(snapshot(temi), head) for head in range(HEADS)]
    own = [h.q(x[0].double(), h.teacher).argmax(1) for h in heads]
    sizes = [torch.bincount(each, minlength=K).tolist() for each in own]
    assert temi.step(x, 1e-3).sizes.tolist() == sizes


def test_the_last_layer_does_not_move_while_it_is_frozen():
    temi = learner(frozen=2)
    start = snapshot(temi)
    for step in range(2):
        temi.step(batch(step), 1e-2)
    now = snapshot(temi)
    for name in ("direction", "length"):
        np.testing.assert_array_equal(now[f"student/{name}"], start[f"student/{name}"])
    assert (now["student/bottleneck_weight"] != start["student/bottleneck_weight"]).all()
    temi.step(batch(2), 1e-2)
    assert (snapshot(temi)["student/direction"] != start["student/direction"]).all()


@pytest.mark.parametrize("device", DEVICES)
def test_a_head_predicts_what_the_teacher_does_and_takes_the_scale_in(device: str):
    x = np.random.default_rng(0).normal(size=(200, DIM)).astype(np.float32) * 40 + 300
    scale = fit_scale(ArrayRows(x))
    temi = learner(scale=scale, device=device, momentum=0.99)
    scaled = torch.from_numpy((x - scale.mean) / scale.deviation)
    temi._watched = scaled.to(device)
    for step in range(30):
        temi.step(scaled[:32].view(2, 16, DIM).to(device) + step / 40, 3e-2)
    state = snapshot(temi)
    differs = 0
    for head in range(HEADS):
        found = predict(ArrayRows(x), temi.head(head), device=device)
        plain = PlainHead(state, head)
        names = [n for n in state if n.startswith("teacher/")]
        q = plain.q(scaled.double(), [torch.tensor(state[n][head]).double() for n in names])
        np.testing.assert_allclose(found.probability[0], q.max(1).values, rtol=2e-3)
        assert (found.assignment[0] == q.argmax(1).numpy()).mean() > 0.99
        assert (found.assignment[0] == temi.watch(head)).mean() > 0.99
        student = plain.q(scaled.double(), plain.student).argmax(1).numpy()
        differs += int((found.assignment[0] != student).sum())
    assert differs, "a student that predicts as its teacher does would not show who is asked"


def test_a_cluster_that_nobody_takes_does_not_end_in_nan():
    temi = learner(temperature=1e-4, prior_momentum=0.0)  # probabilities that are 0 in float32
    for step in range(3):
        loss = temi.step(batch(step), 1e-3).loss
        assert (snapshot(temi)["prior/prior"] == 0).any()
        assert torch.isfinite(loss).all()
    assert all(np.isfinite(array).all() for array in snapshot(temi).values())


def test_3000_clusters_on_a_few_images_work_in_groups(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster.heads.temi, "CELLS", {"cpu": 3000 * 2 * BATCH * 2})
    monkeypatch.setattr(cluster.heads.temi, "KEPT", 0)
    temi = learner(k=3000, beta=1.0)
    first = temi.step(batch(0), 1e-3).loss
    for _ in range(15):
        found = temi.step(batch(0), 1e-2)
    assert found.sizes.shape == (HEADS, 3000)
    assert (found.sizes.sum(1) == BATCH).all()
    assert (found.loss < first).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("loss", ["temi", "wmi", "pmi", "scan"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_on_easy_blobs_it_finds_the_classes(dtype: torch.dtype, loss: str, device: str):
    rng = np.random.default_rng(0)
    label = np.arange(400) % 4
    x = (np.eye(4, DIM)[label] * 6 + rng.normal(size=(400, DIM)) * 0.7).astype(np.float32)
    near = ((x[:, None] - x) ** 2).sum(2).argsort(axis=1)[:, 1:11].astype(np.int32)
    rows, pairs = ArrayRows(x), Pairs(near, 128, 0)
    scale = fit_scale(rows)
    gather = standardized_gather(rows, device, 1, scale, dtype)
    temi = learner(
        4, scale, device, loss=loss, heads=8, hidden=64, bottleneck=32, momentum=0.98,
        weight_decay=1e-4,
    )  # fmt: skip
    total = torch.zeros(8, device=device)
    for step in range(300):
        found = temi.step(gather(pairs.at(step)), 3e-3)
        total = total * 0.9 + found.loss
    best = int(temi.judge(total.double().cpu().numpy()).argmin())
    own = predict(rows, temi.head(best), device=device).assignment[0]
    assert adjusted_rand_score(label, own) > 0.95
