"""Learned heads applied: against a plain float64 loop, in parts, seeds stacked."""

import math

import numpy as np
import pytest
import torch
from blobs import DEVICES

import cluster.heads.model
from cluster.heads.model import Linear, Mlp, predict
from cluster.vectors.rows import ArrayRows

DIM, HIDDEN, BOTTLENECK, K, SEEDS = 6, 9, 5, 7, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, DIM)).astype(np.float32)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


LINEAR = Linear(normal(SEEDS, K, DIM), normal(SEEDS, K))
MLP = Mlp(
    normal(SEEDS, HIDDEN, DIM),
    normal(SEEDS, HIDDEN),
    normal(SEEDS, BOTTLENECK, HIDDEN),
    normal(SEEDS, BOTTLENECK),
    normal(SEEDS, K, BOTTLENECK) * 5,
)


def by_hand(head: Linear | Mlp, seed: int) -> np.ndarray:
    """Probabilities [image, cluster] in float64."""
    layer = [array[seed].astype(np.float64) for array in head]
    z = X.astype(np.float64) @ layer[0].T + layer[1]
    if isinstance(head, Mlp):
        z = z * (1 + np.vectorize(math.erf)(z / math.sqrt(2))) / 2
        z = z @ layer[2].T + layer[3]
        z = z / np.linalg.norm(z, axis=1, keepdims=True) @ layer[4].T
    q = np.exp(z - z.max(axis=1, keepdims=True))
    return q / q.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("head", [LINEAR, MLP], ids=["linear", "mlp"])
def test_it_is_a_plain_loop_over_seeds(head: Linear | Mlp, device: str):
    found = predict(ArrayRows(X), head, device=device)
    assert found.assignment.dtype == np.int32
    assert found.probability.dtype == np.float32
    for seed in range(SEEDS):
        q = by_hand(head, seed)
        np.testing.assert_array_equal(found.assignment[seed], q.argmax(1))
        np.testing.assert_allclose(found.probability[seed], q.max(1), rtol=1e-4)


@pytest.mark.parametrize("head", [LINEAR, MLP], ids=["linear", "mlp"])
def test_parts_do_not_change_the_answer(head: Linear | Mlp, monkeypatch: pytest.MonkeyPatch):
    whole = predict(ArrayRows(X), head)
    monkeypatch.setattr(cluster.heads.model, "CELLS", 7 * SEEDS * HIDDEN)
    parts = predict(ArrayRows(X), head)
    np.testing.assert_array_equal(whole.assignment, parts.assignment)
    np.testing.assert_allclose(whole.probability, parts.probability, rtol=1e-5)


def test_a_tie_goes_to_the_lower_cluster():
    head = Linear(np.zeros((1, K, DIM), np.float32), np.zeros((1, K), np.float32))
    found = predict(ArrayRows(X), head)
    assert (found.assignment == 0).all()
    np.testing.assert_allclose(found.probability, 1 / K)


def test_outputs_far_apart_do_not_overflow():
    found = predict(ArrayRows(X), Linear(LINEAR.weight * 1e6, LINEAR.bias))
    assert np.isfinite(found.probability).all()
    assert found.probability.max() == 1


def test_a_vector_of_zeros_and_no_image_at_all_have_answers():
    zeros = Mlp(*(array * (n == 4) for n, array in enumerate(MLP)))
    assert np.isfinite(predict(ArrayRows(np.zeros((2, DIM))), zeros).probability).all()
    assert predict(ArrayRows(np.zeros((0, DIM))), MLP).assignment.shape == (SEEDS, 0)


def test_seeds_stacked_are_the_seeds_one_by_one():
    whole = predict(ArrayRows(X), MLP)
    for seed in range(SEEDS):
        one = predict(ArrayRows(X), Mlp(*(torch.tensor(a[[seed]]).numpy() for a in MLP)))
        np.testing.assert_array_equal(one.assignment[0], whole.assignment[seed])
