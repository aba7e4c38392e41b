"""The loss of TEMI: by hand where possible, and against a plain float64 loop over heads."""

import math

import numpy as np
import pytest
import torch

from cluster.heads.temi_loss import head_losses, pair_weights

C = 4


def one_hot(cluster: int) -> torch.Tensor:
    """log q of one head for a pair that is surely of this cluster, [1, 2, cluster]."""
    q = torch.full((1, 2, C), 1e-60, dtype=torch.float64)
    q[:, :, cluster] = 1
    return q.log()


def uniform() -> torch.Tensor:
    return torch.full((1, 2, C), 1 / C, dtype=torch.float64).log()


def pmi(log_q: torch.Tensor, prior: list[float], beta: float) -> float:
    log_prior = torch.tensor([prior], dtype=torch.float64).log()
    loss = head_losses(log_q, log_q, log_prior, torch.ones(1), beta=beta, loss="pmi")
    return -loss.item()


BALANCED = [1 / C] * C


@pytest.mark.parametrize("beta", [0.5, 0.6, 1.0])
def test_uniform_heads_have_the_mutual_information_that_follows_from_beta(beta: float):
    assert pmi(uniform(), BALANCED, beta) == pytest.approx((2 - 2 * beta) * math.log(C))


@pytest.mark.parametrize("beta", [0.6, 1.0])
def test_confident_heads_that_agree_have_log_k_when_clusters_are_balanced(beta: float):
    assert pmi(one_hot(2), BALANCED, beta) == pytest.approx(math.log(C))


@pytest.mark.parametrize("beta", [0.6, 1.0])
def test_a_single_cluster_for_everything_is_worth_nothing(beta: float):
    collapsed = [1.0 if c == 1 else 1e-60 for c in range(C)]
    assert pmi(one_hot(1), collapsed, beta) == pytest.approx(0, abs=1e-6)


def test_a_pair_weighs_one_when_it_agrees_and_one_over_k_when_heads_are_uniform():
    assert pair_weights(one_hot(3)).item() == pytest.approx(1)
    assert pair_weights(uniform()).item() == pytest.approx(1 / C)


def random_heads(heads: int, pairs: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of student and teacher [head, 2 pair, cluster] and a prior [head, cluster]."""
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, heads, 2 * pairs, k)) * 3
    prior = rng.random((heads, k))
    return student, teacher, prior / prior.sum(axis=1, keepdims=True)


def plain_loop(
    student: np.ndarray, teacher: np.ndarray, prior: np.ndarray, beta: float, loss: str
) -> list[torch.Tensor]:
    """The losses of the heads as they stand in the paper, one head and one pair after the other."""
    q_s, q_t = (torch.as_tensor(logits).softmax(2) for logits in (student, teacher))
    heads, pairs = len(q_s), q_s.shape[1] // 2
    weight = torch.zeros(heads, pairs, dtype=torch.float64)
    for h in range(heads):
        for b in range(pairs):
            weight[h, b] = (q_t[h, b] * q_t[h, pairs + b]).sum()
    if loss == "temi":
        weight = weight.mean(0).expand(heads, pairs)
    out = []
    for h in range(heads):
        total = torch.zeros((), dtype=torch.float64)
        for b in range(pairs):
            for x, y in ((b, pairs + b), (pairs + b, b)):
                if loss == "scan":
                    total = total - (q_s[h, x] * q_t[h, y]).sum().log() / 2
                    continue
                inside = ((q_s[h, x] * q_t[h, y]) ** beta / torch.as_tensor(prior[h])).sum()
                total = total - (1 if loss == "pmi" else weight[h, b]) * inside.log() / 2
        total = total / pairs
        if loss == "scan":
            share = q_s[h].mean(0)
            total = total + 5 * (share * share.log()).sum()
        out.append(total)
    return out


@pytest.mark.parametrize("loss", ["temi", "wmi", "pmi", "scan"])
@pytest.mark.parametrize("beta", [0.6, 1.0])
def test_loss_and_gradient_are_those_of_a_plain_loop_over_heads(loss: str, beta: float):
    student, teacher, prior = random_heads(3, 5, 7)
    plain = torch.tensor(student, requires_grad=True)
    expected = plain_loop(plain, teacher, prior, beta, loss)
    sum(expected).backward()
    ours = torch.tensor(student, requires_grad=True)
    log_t = torch.tensor(teacher).log_softmax(2)
    own = pair_weights(log_t)
    found = head_losses(
        ours.log_softmax(2),
        log_t,
        torch.tensor(prior).log(),
        own.mean(0) if loss == "temi" else own,
        beta=beta,
        loss=loss,
    )
    found.sum().backward()
    np.testing.assert_allclose(found.detach(), torch.stack(expected).detach(), rtol=1e-10)
    np.testing.assert_allclose(ours.grad, plain.grad, rtol=1e-8, atol=1e-12)


def test_probabilities_of_25000_clusters_do_not_underflow():
    logits = torch.randn(1, 6, 25_000, generator=torch.Generator().manual_seed(0)) * 100
    log_q = logits.log_softmax(2)
    prior = torch.full((1, 25_000), 1 / 25_000).log()
    loss = head_losses(log_q, log_q, prior, pair_weights(log_q), beta=0.6, loss="temi")
    assert torch.isfinite(loss).all()
