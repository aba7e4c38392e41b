"""Self-labelling on images: loss against a plain loop, batches without confident images."""

import numpy as np
import pytest
import torch
from conftest import one_thread

from cluster.errors import ClusterError
from cluster.heads.model import Linear, predict
from cluster.objectives import Objective
from cluster.objectives.selflabel import Selflabel
from cluster.vectors.rows import ArrayRows

DIM, K, IMAGES = 5, 3, 20
_quick = pytest.fixture(autouse=True)(one_thread)


def start(seed: int = 0) -> Linear:
    rng = np.random.default_rng(seed)
    return Linear(rng.normal(size=(1, K, DIM)).astype("f4"), rng.normal(size=(1, K)).astype("f4"))


def selflabel(
    head: Linear | None = None, threshold: float = 0.7, balance: bool = False, unit: bool = False
) -> Selflabel:
    return Selflabel(
        IMAGES, DIM, head or start(), unit=unit, threshold=threshold, balance=balance, batch=8,
        seed=0, device="cpu",
    )  # fmt: skip


def features(images: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, images, DIM, generator=torch.Generator().manual_seed(seed))


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max())
    return e / e.sum()


def plain(head: Linear, x: np.ndarray, threshold: float, balance: bool) -> tuple[float, float]:
    """The loss and the share that is sure, in float64, an image after the other."""
    weight, bias = (part[0].astype(np.float64) for part in head)
    taught = []
    for centre, strong in zip(*x.astype(np.float64), strict=True):
        p = softmax(weight @ centre + bias)
        if p.max() >= threshold:
            label = int(p.argmax())
            taught.append((label, -np.log(softmax(weight @ strong + bias)[label])))
    labels = [label for label, _ in taught]
    weights = [1 / labels.count(label) if balance else 1.0 for label in labels]
    loss = sum(w * cost for w, (_, cost) in zip(weights, taught, strict=True)) / sum(weights)
    return loss, len(taught) / x.shape[1]


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("unit", [False, True])
def test_the_loss_is_that_of_a_plain_loop(balance: bool, unit: bool):
    of, x = selflabel(balance=balance, unit=unit, threshold=0.6), features(40)
    found = of.loss(of.outputs(x), of.draw(0), 0.0)
    seen = x.double().numpy()
    if unit:
        seen = seen / np.sqrt((seen**2).sum(2, keepdims=True))
    loss, share = plain(start(), seen, 0.6, balance)
    assert 0.2 < share < 0.9
    assert float(found.total.detach()) == pytest.approx(loss, rel=1e-5)
    assert found.parts.keys() == {"confident"}
    assert float(found.parts["confident"]) == pytest.approx(share)
    assert plain(start(), seen, 0.6, not balance)[0] != pytest.approx(loss, rel=1e-3)


def test_only_the_strong_view_of_confident_images_gets_a_gradient():
    of, x = selflabel(), features().requires_grad_()
    outputs = of.outputs(x)
    of.loss(outputs, of.draw(0), 0.0).total.backward()
    sure = outputs[0][0].detach().softmax(1).max(1).values >= 0.7
    assert 0 < int(sure.sum()) < 8
    assert x.grad[0].abs().sum() == 0
    assert (x.grad[1].abs().sum(1) > 0).tolist() == sure.tolist()
    assert all(parameter.grad.abs().sum() > 0 for parameter in of.heads.parameters())


@pytest.mark.parametrize("balance", [False, True])
def test_a_batch_without_confident_images_has_a_gradient_of_0_and_is_counted(balance: bool):
    of, x = selflabel(threshold=1.1, balance=balance), features().requires_grad_()
    for _ in range(2):
        found = of.loss(of.outputs(x), of.draw(0), 0.0)
        found.total.backward()
        assert float(found.total.detach()) == float(found.parts["confident"]) == 0
    for grad in (x.grad, *(parameter.grad for parameter in of.heads.parameters())):
        assert (grad == 0).all()
    assert of.idle == 2
    later = selflabel()
    later.load_state_dict(of.state_dict())
    later.loss(later.outputs(features()), later.draw(0), 0.0)  # here something is sure
    assert later.idle == 2


def test_a_state_does_not_change_afterwards():
    of = selflabel(threshold=1.1)
    memory, learned = of.state_dict(), of.learned()["learned"]
    of.loss(of.outputs(features()), of.draw(0), 0.0)
    with torch.no_grad():
        of.heads.weight.fill_(0)
    assert int(memory["idle"]) == 0
    np.testing.assert_array_equal(learned.weight, start().weight)


def test_both_slots_show_the_same_images_and_none_has_a_label():
    of = selflabel()
    assert of.slots == ("centre", "strong")
    drawn = [of.draw(number) for number in range(5)]
    for each in drawn:
        np.testing.assert_array_equal(each.image[0], each.image[1])
        assert each.label.tolist() == [-1] * 8
    assert (np.bincount(np.concatenate([each.image[0] for each in drawn])) == 2).all()


def test_it_starts_from_the_given_head_and_returns_it():
    of = selflabel()
    assert all((a == b).all() for a, b in zip(of.learned()["learned"], start(), strict=True))
    x = features(50)
    expected = predict(ArrayRows(x[0].numpy()), start()).assignment[0]
    np.testing.assert_array_equal(of.outputs(x)[0][0].detach().argmax(1), expected)
    assert torch.equal(torch.from_numpy(start().weight[0]), of.heads.weight.detach())


def test_a_head_for_unit_features_does_not_see_their_length():
    x = features()
    for unit in (False, True):
        of = selflabel(unit=unit)
        assert of.unit is unit
        near, far = of.outputs(x)[0].detach(), of.outputs(x * 7)[0].detach()
        assert torch.allclose(near, far, atol=1e-5) is unit
    assert torch.isfinite(selflabel(unit=True).outputs(torch.zeros(2, 4, DIM))[0]).all()


def test_making_one_leaves_the_common_generator_and_the_given_head_alone():
    torch.manual_seed(0)
    before, head = torch.get_rng_state(), start()
    of = selflabel(head)
    with torch.no_grad():
        of.heads.weight.add_(1)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(head.weight, start().weight)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (Linear(np.zeros((1, K, 7), "f4"), np.zeros((1, K), "f4")), "1 heads .* of 7 dims"),
        (Linear(np.zeros((2, K, DIM), "f4"), np.zeros((2, K), "f4")), "2 heads for features of 5"),
    ],
)
def test_a_head_of_another_backbone_and_several_are_refused(head: Linear, said: str):
    with pytest.raises(ClusterError, match=f"found {said}.*, expected one for 5"):
        selflabel(head)


def test_features_that_the_strong_view_moves_come_back_to_their_cluster():
    """The tail is one matrix; in the strong views a class lies where nothing is known yet."""
    rng = np.random.default_rng(0)
    label = np.arange(IMAGES) % 2
    centre = np.zeros((IMAGES, DIM), np.float32)
    strong = centre + rng.normal(size=centre.shape).astype("f4") * 0.1
    centre[:, 0] = 6 * (1 - 2 * label)
    strong[:, 1] += 1 - 2 * label
    x = torch.from_numpy(np.stack([centre, strong]))
    weight = np.zeros((1, 2, DIM), np.float32)
    weight[0, :, 0] = [1, -1]
    of = selflabel(Linear(weight, np.zeros((1, 2), "f4")), threshold=0.99, balance=True)
    tail = torch.nn.Linear(DIM, DIM, bias=False)
    with torch.no_grad():
        tail.weight.copy_(torch.eye(DIM))
    adam = torch.optim.Adam([*tail.parameters(), *of.heads.parameters()], lr=3e-2)

    def right() -> float:
        found = of.outputs(tail(x))[0][1].argmax(1).numpy()
        return float((found == label).mean())

    assert right() < 0.9
    for number in range(60):
        drawn = of.draw(number)
        of.loss(of.outputs(tail(x[:, drawn.image[0]])), drawn, 0.0).total.backward()
        adam.step()
        adam.zero_grad()
    assert right() == 1


def test_it_is_an_objective_that_needs_no_features():
    of: Objective = selflabel()
    assert not of.needs_features
