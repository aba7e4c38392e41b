"""SimCLR as an objective: loss against a plain loop, batches, and that it learns."""

import math

import numpy as np
import pytest
import torch
from conftest import one_thread

from cluster.objectives import Objective
from cluster.objectives.simclr import Simclr

DIM = 6
_quick = pytest.fixture(autouse=True)(one_thread)


def simclr(
    images: int = 20, temperature: float = 0.1, anchors: str = "all", batch: int = 8, seed: int = 0
) -> Simclr:
    return Simclr(
        images, DIM, width=4, temperature=temperature, anchors=anchors, batch=batch, seed=seed,
        device="cpu",
    )  # fmt: skip


def features(images: int = 8) -> torch.Tensor:
    return torch.randn(2, images, DIM, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("anchors", ["all", "first"])
def test_the_loss_is_that_of_a_plain_loop(anchors: str, temperature: float):
    of = simclr(temperature=temperature, anchors=anchors)
    outputs = of.outputs(features())
    z = outputs[0].detach().double().reshape(16, 4).numpy()
    losses = []
    for i in range(16 if anchors == "all" else 8):
        e = [math.exp(z[i] @ other / temperature) for other in z]
        losses.append(-math.log(e[(i + 8) % 16] / (sum(e) - e[i])))
    found = of.loss(outputs, of.draw(0), 0.0)
    assert float(found.total.detach()) == pytest.approx(np.mean(losses), rel=1e-5)
    assert found.parts.keys() == {"info_nce"}
    assert float(found.parts["info_nce"].detach()) == float(found.total.detach())


def test_both_slots_show_the_same_images_and_none_has_a_label():
    of = simclr()
    assert of.slots == ("view", "view")
    drawn = [of.draw(step) for step in range(5)]
    for each in drawn:
        assert each.image.shape == (2, 8)
        np.testing.assert_array_equal(each.image[0], each.image[1])
        assert (each.label == -1).all()
        assert each.label.shape == (8,)
    two_passes = np.concatenate([each.image[0] for each in drawn])
    assert (np.bincount(two_passes, minlength=20) == 2).all()


def test_a_step_follows_from_seed_and_number_alone():
    in_order = [simclr().draw(step).image for step in range(8)]
    asked = simclr()
    for step in (7, 0, 3, 7):
        np.testing.assert_array_equal(asked.draw(step).image, in_order[step])
    assert (simclr(seed=1).draw(0).image != in_order[0]).any()


def test_equal_seeds_give_equal_heads():
    one, same, another = (simclr(seed=seed).heads.state_dict() for seed in (4, 4, 5))
    for name in one:
        assert torch.equal(one[name], same[name])
        assert not torch.equal(one[name], another[name])


def test_gradients_reach_the_heads_and_the_features():
    of, x = simclr(), features().requires_grad_()
    of.loss(of.outputs(x), of.draw(0), 0.0).total.backward()
    assert (x.grad != 0).any(2).all()
    for parameter in of.heads.parameters():
        assert (parameter.grad != 0).any()


def test_its_head_learns_to_tell_images_apart():
    of = simclr()
    image, noise = features()
    x = torch.stack([image, image + 0.1 * noise]) + 2  # their vectors lie in a narrow cone
    sgd = torch.optim.SGD(of.heads.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for step in range(60):
        loss = of.loss(of.outputs(x), of.draw(step), 0.0).total
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_it_is_an_objective_without_state_and_learned_heads():
    of: Objective = simclr()
    assert not of.needs_features
    assert of.state_dict() == {}
    of.load_state_dict({})
    assert of.learned() == {}
