"""PIM: its gradient in two passes against autograd, and easy classes."""

import numpy as np
import pytest
import torch
from blobs import DEVICES
from conftest import one_thread

from cluster import ClusterError
from cluster.heads import pim
from cluster.heads.model import predict
from cluster.heads.pim import Pim, Settings
from cluster.heads.training import Schedule, train
from cluster.vectors import tiles
from cluster.vectors.rms_scale import rms_scale
from cluster.vectors.rows import ArrayRows, Subset
from cluster.vectors.standardize import Scale, identity_scale

N, DIM, K, HEADS = 50, 6, 4, 3
WEIGHT = np.array([0.1, 0.5, 1.0])
_quick = pytest.fixture(autouse=True)(one_thread)


def rows(n: int = N) -> tuple[ArrayRows, np.ndarray]:
    """Vectors of length 1 and labels of some, classes 0 and 1."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, DIM))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return ArrayRows(x), np.where(np.arange(n) % 3 == 0, np.arange(n) % 2, -1)


def starts(heads: int = HEADS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(heads, K, DIM)).astype(np.float32) * 0.1


def learner(
    of: ArrayRows | Subset, label: np.ndarray, scale: Scale | None = None, device: str = "cpu"
) -> Pim:
    settings = Settings(25.0, 1e-2)
    return Pim(
        of, label, starts(), WEIGHT, settings, scale=scale or identity_scale(DIM), device=device
    )


def plain_loss(
    w: torch.Tensor, x: torch.Tensor, label: np.ndarray, weight: float, logit_scale: float
) -> torch.Tensor:
    """Of one head (w [cluster, dim]), all images at once, for autograd."""
    p = torch.softmax(logit_scale * x @ w.T, 1)
    entropy = -(p * p.log()).sum(1)
    share = p.mean(0)
    loss = weight * entropy[torch.from_numpy(label < 0)].mean() + (share * share.log()).sum()
    known = np.flatnonzero(label >= 0)
    return loss - p[known, label[known]].log().mean() if len(known) else loss


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kept", [pim.KEPT, 0])
@pytest.mark.parametrize("tile", [8192, 7])
def test_two_passes_give_the_gradient_of_all_images_at_once(
    tile: int, kept: int, device: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tiles, "TILE", tile)
    monkeypatch.setattr(pim, "KEPT", kept)
    of, label = rows()
    scale = Scale(np.linspace(0, 0.1, DIM, dtype=np.float32), np.full(DIM, 1.5, np.float32))
    for seen in (label, np.full(N, -1)):
        found = learner(of, seen, scale, device).gradient()
        x = torch.from_numpy((of.array - scale.mean.astype(np.float64)) / 1.5)
        for h in range(HEADS):
            begin = (starts()[h] - scale.mean.astype(np.float64)) / 1.5
            w = torch.from_numpy(begin).requires_grad_()
            loss = plain_loss(w, x, seen, WEIGHT[h], 25.0)
            loss.backward()
            assert float(found.loss[h]) == pytest.approx(loss.item(), rel=1e-5)
            np.testing.assert_allclose(found.gradient[h].cpu(), w.grad, atol=1e-5)
            own = (x @ w.detach().T).argmax(1)
            assert found.sizes[h].tolist() == torch.bincount(own, minlength=K).tolist()


def test_a_step_is_torchs_adam_with_weight_decay():
    of, label = rows()
    ours, x = learner(of, label), torch.from_numpy(of.array).double()
    for h in range(HEADS):
        w = torch.from_numpy(starts()[h]).double().requires_grad_()
        adam, alone = torch.optim.Adam([w], weight_decay=1e-2), learner(of, label)
        for lr in (1e-2, 5e-3):
            adam.zero_grad()
            plain_loss(w, x, label, WEIGHT[h], 25.0).backward()
            adam.param_groups[0]["lr"] = lr
            adam.step()
            alone.step(None, lr)
        np.testing.assert_allclose(alone.state()["head/weight"][h].detach(), w.detach(), atol=1e-4)
    for lr in (1e-2, 5e-3):
        ours.step(None, lr)
    np.testing.assert_array_equal(
        ours.state()["head/weight"].detach(), alone.state()["head/weight"].detach()
    )


def classes() -> tuple[ArrayRows, np.ndarray, np.ndarray]:
    """Three classes, the last unknown; half of the images of the others are labelled."""
    rng = np.random.default_rng(0)
    truth = np.arange(300) % 3
    x = np.eye(3, DIM)[truth] * 5 + rng.normal(size=(300, DIM))
    label = np.where((truth < 2) & (rng.random(300) < 0.5), truth, -1)
    return ArrayRows(x / np.linalg.norm(x, axis=1, keepdims=True)), truth, label


def trained(weight: np.ndarray, begin: np.ndarray, device: str = "cpu") -> Pim:
    of, _, label = classes()
    scale = rms_scale(of, center=False)
    one = Pim(of, label, begin, weight, Settings(25.0, 1e-2), scale=scale, device=device)
    train(one, lambda step: None, Schedule(200, 1e-2, 1e-2, 0), 4)
    return one


@pytest.mark.parametrize("device", DEVICES)
def test_from_a_rough_start_it_finds_known_classes_by_their_number_and_the_new_one(device: str):
    of, truth, _ = classes()
    rough = np.eye(3, DIM, dtype=np.float32)[None] * 0.3 + starts(1)[:, :3]
    head = trained(np.array([0.5]), rough, device).head(0)
    assert (predict(of, head, device=device).assignment[0] == truth).mean() > 0.97
    assert (head.bias == 0).all()


def test_heads_at_once_are_each_as_if_trained_alone():
    begin = starts(3)[:, :3]
    together = trained(WEIGHT, begin)
    for h in range(3):
        alone = trained(WEIGHT[h : h + 1], begin[h : h + 1])
        np.testing.assert_allclose(alone.head(0).weight, together.head(h).weight, atol=2e-3)
        of, _, _ = classes()
        np.testing.assert_array_equal(
            predict(of, alone.head(0)).assignment, predict(of, together.head(h)).assignment
        )


def test_a_head_gives_the_probabilities_that_were_trained():
    of, label = rows()
    scale = Scale(np.linspace(0, 0.1, DIM, dtype=np.float32), np.full(DIM, 1.5, np.float32))
    one = learner(of, label, scale)
    x = (of.array.astype(np.float64) - scale.mean) / 1.5
    w = one.state()["head/weight"][1].detach().double().numpy()
    p = np.exp(25 * x @ w.T)
    p /= p.sum(1, keepdims=True)
    np.testing.assert_allclose(predict(of, one.head(1)).probability[0], p.max(1), rtol=1e-4)


def test_fewer_clusters_than_known_classes_are_refused():
    of, label = rows()
    label = np.where(label >= 0, np.arange(N) % 5, -1)
    with pytest.raises(
        ClusterError, match=r"^k is 4, but 5 classes are known: choose k from 5 on$"
    ):
        learner(of, label)
