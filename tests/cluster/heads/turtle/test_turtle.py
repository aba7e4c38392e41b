"""TURTLE: steps against autograd on a plain loop, one and several spaces, blobs, odd input."""

import numpy as np
import pytest
import torch
from blobs import DEVICES
from conftest import one_thread
from sklearn.metrics import adjusted_rand_score

from cluster import ClusterError
from cluster.heads.model import predict
from cluster.heads.training import Schedule, train
from cluster.heads.turtle.outer_loss import outer_gradient
from cluster.heads.turtle.turtle import Settings, Turtle, images_of_step
from cluster.vectors.rows import ArrayRows
from cluster.vectors.standardize import Scale, fit_scale, identity_scale

DIM, K, HEADS = 6, 4, 3
PLAIN = Settings(
    heads=HEADS, entropy_weight=10.0, inner_steps=3, inner_lr=2e-2, warm_start=True,
    weight_decay=0.0,
)  # fmt: skip
ONE, TWO = [slice(0, DIM)], [slice(0, 2), slice(2, DIM)]
SPACES = pytest.mark.parametrize("spaces", [ONE, TWO], ids=["one space", "two spaces"])
_quick = pytest.fixture(autouse=True)(one_thread)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def learner(
    spaces: list[slice] = ONE,
    scale: Scale | None = None,
    device: str = "cpu",
    dim: int = DIM,
    k: int = K,
    **changes,
) -> Turtle:
    return Turtle(
        dim, k, PLAIN._replace(**changes), spaces=spaces, scale=scale or identity_scale(dim),
        watched=torch.zeros(1, dim, device=device), seed=2, device=device,
    )  # fmt: skip


def plain_outer(own: list[torch.Tensor], log_p: list[torch.Tensor], gamma: float) -> torch.Tensor:
    """The outer loss of one head, an image after the other; each [image, cluster] of a space."""
    label = (sum(own) / len(own)).softmax(1)
    loss = torch.zeros((), dtype=torch.float64)
    for of_space, z in zip(log_p, own, strict=True):
        for q, log in zip(label, of_space, strict=True):
            loss = loss - (q * log).sum() / len(label)
        share = sum(z.softmax(1)) / len(z)
        loss = loss + gamma * (share * share.log()).sum()
    return loss


@pytest.mark.parametrize("n_spaces", [1, 3])
def test_the_outer_loss_and_its_slope_are_those_of_autograd(n_spaces: int):
    own = normal(n_spaces, HEADS, K, 20).double()
    log_p = normal(n_spaces, HEADS, K, 20, seed=1).double().log_softmax(2)
    loss, slope = outer_gradient(own, log_p, 10.0)
    for h in range(HEADS):
        z = [own[s, h].T.clone().requires_grad_() for s in range(n_spaces)]
        expected = plain_outer(z, [log_p[s, h].T for s in range(n_spaces)], 10.0)
        assert loss[h].item() == pytest.approx(expected.item())
        for s, of in enumerate(torch.autograd.grad(expected, z)):
            torch.testing.assert_close(slope[s, h].T, of)


class PlainHead:
    """One head as modules of torch, with its weight norm, in float64."""

    def __init__(self, turtle: Turtle, head: int, spaces: list[slice]) -> None:
        state = {name: of.detach().cpu().double() for name, of in turtle.state().items()}
        self.spaces = spaces
        self.v = [state["encoder/direction"][head][:, s].clone() for s in spaces]
        self.g = [state["encoder/length"][n, head].clone() for n in range(len(spaces))]
        self.b = [state["encoder/bias"][n, head].clone() for n in range(len(spaces))]
        self.outer = [*self.v, *self.g, *self.b]
        self.w, self.c = self._classifiers(state, head)
        for of in (*self.outer, *self.w, *self.c):
            of.requires_grad_()
        self.adam = torch.optim.AdamW(self.outer, lr=1.0, weight_decay=0.0)
        self.inner = torch.optim.Adam([*self.w, *self.c], lr=PLAIN.inner_lr)

    def _classifiers(self, state, head: int) -> tuple[list, list]:
        w = [state["classifier/weight"][head][:, s].clone() for s in self.spaces]
        return w, [state["classifier/offset"][n, head].clone() for n in range(len(self.spaces))]

    def begin(self, turtle: Turtle, head: int) -> None:
        """Classifiers with the weights of a cold start."""
        state = {name: of.detach().double() for name, of in turtle.state().items()}
        self.w, self.c = self._classifiers(state, head)
        for of in (*self.w, *self.c):
            of.requires_grad_()
        self.inner = torch.optim.Adam([*self.w, *self.c], lr=PLAIN.inner_lr)

    def own(self, parts: list[torch.Tensor]) -> list[torch.Tensor]:
        return [
            x @ (g[:, None] * v / v.norm(dim=1, keepdim=True)).T + b
            for x, v, g, b in zip(parts, self.v, self.g, self.b, strict=True)
        ]

    def log_p(self, parts: list[torch.Tensor]) -> list[torch.Tensor]:
        each = zip(parts, self.w, self.c, strict=True)
        return [(x @ w.T + c).log_softmax(1) for x, w, c in each]

    def step(self, x: torch.Tensor, lr: float) -> float:
        parts = [x[:, s].double() for s in self.spaces]
        own = self.own(parts)
        label = (sum(own) / len(own)).softmax(1).detach()
        for _ in range(PLAIN.inner_steps):
            self.inner.zero_grad()
            sum(-(label * log).sum(1).mean() for log in self.log_p(parts)).backward()
            self.inner.step()
        self.adam.zero_grad()
        loss = plain_outer(own, [log.detach() for log in self.log_p(parts)], PLAIN.entropy_weight)
        loss.backward()
        for group in self.adam.param_groups:
            group["lr"] = lr
        self.adam.step()
        return loss.item()


@SPACES
@pytest.mark.parametrize("device", DEVICES)
def test_steps_are_those_of_a_plain_float64_loop_over_heads(spaces: list[slice], device: str):
    turtle = learner(spaces, device=device)
    plain = [PlainHead(turtle, h, spaces) for h in range(HEADS)]
    for step, lr in enumerate([1e-2, 2e-2, 3e-2]):
        x = normal(30, DIM, seed=step)
        found = turtle.step(x.to(device), lr)
        expected = [head.step(x, lr) for head in plain]
        np.testing.assert_allclose(found.loss.cpu(), expected, rtol=1e-4)
    state = {name: of.detach().cpu() for name, of in turtle.state().items()}
    for h, head in enumerate(plain):
        for n, s in enumerate(spaces):
            for name, mine, theirs in (
                ("direction", state["encoder/direction"][h][:, s], head.v[n]),
                ("length", state["encoder/length"][n, h], head.g[n]),
                ("bias", state["encoder/bias"][n, h], head.b[n]),
                ("classifier", state["classifier/weight"][h][:, s], head.w[n]),
            ):
                np.testing.assert_allclose(mine, theirs.detach(), atol=2e-4, err_msg=name)


def test_a_cold_start_begins_with_other_classifiers_in_every_step():
    turtle, before = learner(warm_start=False), []
    begin = turtle._begin_classifiers

    def remembered() -> None:
        begin()
        before.append(turtle.state()["classifier/weight"].detach().clone())

    turtle._begin_classifiers = remembered  # type: ignore[method-assign]
    for step in range(3):
        turtle.step(normal(30, DIM, seed=step), 1e-2)
    assert len({tuple(of.flatten().tolist()) for of in before}) == 3
    again = learner(warm_start=False)
    for step in range(3):
        again.step(normal(30, DIM, seed=step), 1e-2)
    for name, of in turtle.state().items():
        assert torch.equal(of, again.state()[name]), name


@SPACES
def test_the_head_that_is_stored_labels_as_the_task_encoder(spaces: list[slice]):
    x = np.random.default_rng(0).normal(size=(50, DIM)).astype(np.float32) * 3 + 1
    rows = ArrayRows(x)
    scale = fit_scale(rows)
    turtle = learner(spaces, scale)
    standard = torch.from_numpy((x - scale.mean) / scale.deviation)
    for _ in range(3):
        turtle.step(standard, 1e-2)
    own = turtle._encoded(turtle._parts(standard)).mean(0)
    for head in range(HEADS):
        found = predict(rows, turtle.head(head))
        np.testing.assert_array_equal(found.assignment[0], own[head].argmax(0))
        np.testing.assert_allclose(found.probability[0], own[head].softmax(0).amax(0), rtol=1e-3)


def test_steps_in_bfloat16_are_near_those_in_float32():
    plain, rounded = learner(), learner()
    for step in range(10):
        x = normal(256, DIM, seed=step)
        one, other = plain.step(x, 1e-2), rounded.step(x.bfloat16(), 1e-2)
    torch.testing.assert_close(one.loss, other.loss, rtol=0.02, atol=0.05)


def blobs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features with wide margins between the classes, and the classes."""
    rng = np.random.default_rng(seed)
    label = np.arange(400) % K
    x = np.eye(K, 2 * K)[label] * 8 + rng.normal(size=(400, 2 * K))
    return x.astype(np.float32), label


def trained(
    x: np.ndarray, spaces: list[slice], device: str = "cpu", steps: int = 200, **changes
) -> tuple[Turtle, np.ndarray]:
    """A learner, and the clusters of all images by the head of the lowest loss."""
    rows, n = ArrayRows(x), len(x)
    scale = fit_scale(rows)
    standard = torch.from_numpy((x - scale.mean) / scale.deviation).to(device)
    turtle = learner(spaces, scale, device, x.shape[1], inner_steps=10, heads=5, **changes)
    history = train(
        turtle, lambda step: standard[images_of_step(step, n, 200, 0)],
        Schedule(steps, 3e-2, 3e-2, 0), 2,
    )  # fmt: skip
    best = int(history.criterion[-1].argmin())
    return turtle, predict(rows, turtle.head(best), device=device).assignment[0]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("warm", [True, False])
def test_on_blobs_it_finds_the_classes(warm: bool, device: str):
    x, label = blobs()
    _, own = trained(x, [slice(0, 2 * K)], device, warm_start=warm)
    assert adjusted_rand_score(label, own) > 0.9


def test_in_two_spaces_it_finds_the_classes_that_both_have():
    first, label = blobs()
    second, _ = blobs(1)
    both = np.concatenate([first, second], axis=1)
    _, own = trained(both, [slice(0, 2 * K), slice(2 * K, 4 * K)])
    assert adjusted_rand_score(label, own) > 0.9


def test_one_cluster_one_feature_and_copies_give_finite_heads():
    x, _ = blobs()
    assert not trained(x, [slice(0, 2 * K)], steps=20, k=1)[1].any()
    for odd, dim in ((x[:, :1].copy(), 1), (np.ones_like(x), 2 * K), (x[:2], 2 * K)):
        turtle, _ = trained(odd, [slice(0, dim)], steps=20)
        assert all(torch.isfinite(of.float()).all() for of in turtle.state().values())


def test_spaces_that_are_not_all_columns_are_refused():
    for spaces in ([slice(0, 4)], [slice(0, 3), slice(4, DIM)], [slice(3, DIM), slice(0, 3)]):
        with pytest.raises(ClusterError, match="are not the 6 columns in their order"):
            learner(spaces)


def test_every_pass_sees_every_image_once_and_a_step_depends_on_nothing_else():
    steps = [images_of_step(step, 10, 5, 0) for step in range(6)]
    for first, second in zip(steps[::2], steps[1::2], strict=True):
        assert sorted([*first, *second]) == list(range(10))
    assert steps[0].tolist() != steps[2].tolist()
    np.testing.assert_array_equal(images_of_step(4, 10, 5, 0), steps[4])
    np.testing.assert_array_equal(images_of_step(4, 10, 99, 0), np.arange(10))
