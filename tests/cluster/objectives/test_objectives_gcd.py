"""GCD as an objective: loss against a plain loop, batches, and which parts get gradients."""

import numpy as np
import pytest
import torch
from conftest import one_thread
from contrasted import DIM, LABEL, contrast, drawn, features

from cluster import ClusterError
from cluster.objectives import Drawn, Objective
from cluster.objectives.gcd import Gcd

IMAGES = np.array([0, 1, 2, 3, 5, 7, 8, 9])  # four labelled, anywhere
_quick = pytest.fixture(autouse=True)(one_thread)


def gcd(seed: int = 0, width: int = 9, label: np.ndarray = LABEL, supervised: float = 0.35) -> Gcd:
    return Gcd(
        label, DIM, hidden=8, bottleneck=5, width=width, temperature=1.0, label_temperature=0.07,
        supervised=supervised, batch=6, seed=seed, device="cpu",
    )  # fmt: skip


@pytest.mark.parametrize("width", [0, 9])
def test_the_loss_is_that_of_a_plain_loop(width: int):
    of = gcd(width=width)
    outputs = of.outputs(features())
    z = outputs[0].detach().double().numpy()
    assert z.shape == (2, 8, width or 5)
    np.testing.assert_allclose(np.linalg.norm(z, axis=2), 1, atol=1e-6)
    label = LABEL[IMAGES]
    apart = contrast(z.reshape(16, -1), [*range(8), *range(8)], 1.0)
    known = [*label[label >= 0]]
    together = contrast(z[:, label >= 0].reshape(2 * len(known), -1), known + known, 0.07)
    found = of.loss(outputs, drawn(IMAGES), 3.5)
    assert {name: float(part.detach()) for name, part in found.parts.items()} == pytest.approx(
        {"info_nce": apart, "sup_con": together}, rel=1e-4
    )
    assert float(found.total.detach()) == pytest.approx(0.65 * apart + 0.35 * together, rel=1e-4)


def test_the_order_of_images_does_not_matter():
    of, order = gcd(), np.array([5, 2, 7, 0, 1, 6, 3, 4])
    one = of.loss(of.outputs(features()), drawn(IMAGES), 0.0).total.detach()
    other = of.loss(of.outputs(features()[:, order]), drawn(IMAGES[order]), 0.0).total.detach()
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_half_of_a_batch_has_labels_and_both_slots_show_the_same_images():
    of = gcd()
    assert of.slots == ("view", "view")
    for step in range(10):
        image, label = of.draw(step)
        assert image.shape == (2, 6)
        np.testing.assert_array_equal(image[0], image[1])
        np.testing.assert_array_equal(label, LABEL[image[0]])
        np.testing.assert_array_equal(label >= 0, [True] * 3 + [False] * 3)


def test_a_step_follows_from_seed_and_number_alone():
    in_order = [gcd().draw(step) for step in range(8)]
    asked = gcd()
    for step in (7, 0, 3, 7):
        np.testing.assert_array_equal(asked.draw(step).image, in_order[step].image)
        np.testing.assert_array_equal(asked.draw(step).label, in_order[step].label)
    assert any((gcd(seed=1).draw(s).image != in_order[s].image).any() for s in range(4))


def test_equal_seeds_give_equal_heads():
    one, same, another = (gcd(seed=seed).heads.state_dict() for seed in (4, 4, 5))
    for name in one:
        assert torch.equal(one[name], same[name])
    assert not torch.equal(one["last.direction"], another["last.direction"])


@pytest.mark.parametrize("label", [np.full(8, -1), np.arange(8) % 3])
def test_batches_without_labels_and_with_nothing_else_give_a_number(label: np.ndarray):
    of, x = gcd(), features().requires_grad_()
    found = of.loss(of.outputs(x), Drawn(drawn(IMAGES).image, label), 0.0)
    found.total.backward()
    assert found.total.isfinite()
    assert (float(found.parts["sup_con"].detach()) > 0) == (label[0] >= 0)
    assert x.grad.isfinite().all()
    for parameter in of.heads.parameters():
        assert parameter.grad.isfinite().all()


def test_gradients_reach_the_heads_and_the_features():
    of, x = gcd(), features().requires_grad_()
    of.loss(of.outputs(x), drawn(IMAGES), 0.0).total.backward()
    assert (x.grad != 0).any(2).all()
    for parameter in of.heads.parameters():
        assert (parameter.grad != 0).any()


def test_with_labels_alone_unlabelled_images_get_no_gradient():
    of, x = gcd(supervised=1.0), features().requires_grad_()
    of.loss(of.outputs(x), drawn(IMAGES), 0.0).total.backward()
    known = LABEL[IMAGES] >= 0
    assert (x.grad[:, ~known] == 0).all()
    assert (x.grad[:, known] != 0).any(2).all()


def test_labels_on_one_side_only_are_refused():
    with pytest.raises(ClusterError, match="0 images have a label and 4 have none"):
        gcd(label=np.full(4, -1))


def test_it_is_an_objective_without_state_and_learned_heads():
    of: Objective = gcd()
    assert not of.needs_features
    assert of.state_dict() == {}
    of.load_state_dict({})
    assert of.learned() == {}
