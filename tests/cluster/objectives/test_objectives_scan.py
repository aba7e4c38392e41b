"""SCAN on images: loss against a plain loop, selection of the head, and blobs."""

import numpy as np
import pytest
import torch
from conftest import one_thread
from sklearn.metrics import adjusted_rand_score

from cluster.errors import ClusterError
from cluster.heads.model import predict
from cluster.objectives import Drawn, Objective
from cluster.objectives.scan import Scan
from cluster.vectors.rows import ArrayRows

DIM, K, HEADS, IMAGES = 5, 3, 4, 20
NEIGHBOR = ((np.arange(IMAGES)[:, None] + [1, 2, 3]) % IMAGES).astype(np.int32)
_quick = pytest.fixture(autouse=True)(one_thread)


def scan(
    neighbor: np.ndarray = NEIGHBOR, heads: int = HEADS, seed: int = 0, entropy_weight: float = 5.0
) -> Scan:
    return Scan(
        neighbor, DIM, K, heads=heads, entropy_weight=entropy_weight, batch=8, seed=seed,
        device="cpu",
    )  # fmt: skip


def features(images: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, images, DIM, generator=torch.Generator().manual_seed(seed))


def step(of: Objective, number: int) -> float:
    x = features(seed=number)
    return float(of.loss(of.outputs(x), of.draw(number), 0.0).total.detach())


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max())
    return e / e.sum()


def plain(of: Scan, x: torch.Tensor) -> tuple[list[float], list[float]]:
    """-log <p, q> and H(mean p) of each head, in float64, an image after the other."""
    weight, bias = (t.detach().double().numpy() for t in of.heads.parameters())
    apart, entropy = [], []
    for head in range(HEADS):
        here = slice(head * K, (head + 1) * K)
        p, q = (
            [softmax(weight[here] @ one + bias[here]) for one in side]
            for side in x.double().numpy()
        )
        apart.append(-np.mean([np.log(a @ b) for a, b in zip(p, q, strict=True)]))
        share = np.mean(p, axis=0)
        entropy.append(-sum(s * np.log(s) for s in share))
    return apart, entropy


@pytest.mark.parametrize("weight", [5.0, 0.0])
def test_the_loss_is_the_sum_over_heads_of_a_plain_loop(weight: float):
    of, x = scan(entropy_weight=weight), features()
    found = of.loss(of.outputs(x), of.draw(0), 0.0)
    apart, entropy = plain(of, x)
    assert float(found.total.detach()) == pytest.approx(sum(apart) - weight * sum(entropy), 1e-5)
    assert float(found.parts["consistency"]) == pytest.approx(np.mean(apart), rel=1e-5)
    assert float(found.parts["entropy"]) == pytest.approx(np.mean(entropy), rel=1e-5)


def test_outputs_are_log_probabilities_of_each_head():
    (log_p,) = scan().outputs(features())
    assert log_p.shape == (2, 8, HEADS, K)
    assert log_p.dtype == torch.float32
    np.testing.assert_allclose(log_p.detach().exp().sum(-1), 1, rtol=1e-5)
    (half,) = scan().outputs(features().bfloat16())
    assert half.dtype == torch.float32


def test_slots_show_an_image_and_one_of_its_neighbours_and_no_label():
    of = scan()
    assert of.slots == ("view", "view")
    for number in range(6):
        drawn = of.draw(number)
        assert drawn.image.shape == (2, 8)
        assert ((drawn.image[1] - drawn.image[0]) % IMAGES <= 3).all()
        assert (drawn.image[0] != drawn.image[1]).all()
        assert drawn.label.tolist() == [-1] * 8


def test_a_step_follows_from_seed_and_number_alone():
    in_order = [scan().draw(number).image for number in range(8)]
    of = scan()
    for number in (7, 0, 4):
        np.testing.assert_array_equal(of.draw(number).image, in_order[number])
    assert any((scan(seed=1).draw(n).image != in_order[n]).any() for n in range(8))


def test_heads_follow_from_the_seed_and_leave_the_common_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, same, other = scan(), scan(), scan(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.heads.weight, same.heads.weight)
    assert not torch.equal(first.heads.weight, other.heads.weight)
    assert float(first.heads.weight.detach().abs().max()) <= DIM**-0.5


def test_gradients_reach_all_heads_and_the_features_of_both_slots():
    of, x = scan(), features().requires_grad_()
    of.loss(of.outputs(x), of.draw(0), 0.0).total.backward()
    for grad in (*(p.grad for p in of.heads.parameters()), x.grad[0], x.grad[1]):
        assert (grad.flatten(1) if grad.ndim > 1 else grad[:, None]).abs().sum(1).gt(0).all()


def test_the_order_of_the_images_does_not_matter():
    of, x = scan(), features()
    totals = [of.loss(of.outputs(y), of.draw(0), 0.0).total for y in (x, x.flip(1))]
    assert float(totals[0].detach()) == pytest.approx(float(totals[1].detach()), rel=1e-5)


def told(of: Scan, losses: list[list[float]]) -> None:
    """Steps whose head h has p = (a, 1 - a, 0) of everything: a loss that falls as `losses` say."""
    for each in losses:
        p = torch.tensor([[a, 1 - a, 1e-9] for a in each]).log()
        of.loss((p.expand(2, 8, -1, -1),), Drawn(np.zeros((2, 8), int), np.full(8, -1)), 0.0)


def kept(of: Scan) -> int:
    """Which head it would give away."""
    weight = of.learned()["learned"].weight[0]
    heads = of.heads.weight.detach().numpy().reshape(-1, K, DIM)
    return int(np.flatnonzero((heads == weight).all((1, 2)))[0])


GOOD, BAD = 0.5, 0.9  # even use of two clusters beats one cluster, by the weight of the entropy


def test_the_head_of_the_lowest_loss_in_the_last_pass_is_kept():
    of = scan(heads=3)  # a pass over 20 images in batches of 8: 3 steps
    assert kept(of) == 0
    told(of, [[BAD, BAD, GOOD]] * 5)
    assert kept(of) == 2
    told(of, [[BAD, GOOD, BAD]] * 2)  # two of the last three
    assert kept(of) == 1
    head = of.learned()["learned"]
    assert (head.weight.shape, head.bias.shape) == ((1, K, DIM), (1, K))
    np.testing.assert_array_equal(head.bias[0], of.heads.bias.detach()[K : 2 * K])


@pytest.mark.parametrize("stop", range(8))
def test_its_state_makes_it_keep_the_same_head(stop: int):
    rng = np.random.default_rng(3)
    losses = rng.uniform(0.5, 0.9, (8, HEADS)).tolist()
    whole, first, second = scan(), scan(), scan()
    told(whole, losses)
    told(first, losses[:stop])
    second.load_state_dict({name: array.copy() for name, array in first.state_dict().items()})
    np.testing.assert_array_equal(second.state_dict()["recent"], first.state_dict()["recent"])
    told(second, losses[stop:])
    np.testing.assert_array_equal(second.state_dict()["recent"], whole.state_dict()["recent"])
    assert second.state_dict()["recent"].shape == (3, HEADS)
    assert kept(second) == kept(whole)


def test_a_state_does_not_change_afterwards():
    of = scan()
    told(of, [[0.5, 0.6, 0.7, 0.8]] * 3)
    memory, learned = of.state_dict()["recent"].copy(), of.learned()["learned"].weight.copy()
    before = (of.state_dict()["recent"], of.learned()["learned"].weight)
    told(of, [[0.9, 0.6, 0.7, 0.8]] * 3)
    with torch.no_grad():
        of.heads.weight.fill_(0)
    np.testing.assert_array_equal(before[0], memory)
    np.testing.assert_array_equal(before[1], learned)


def test_an_image_that_is_its_own_neighbour_is_refused():
    with pytest.raises(ClusterError, match="are their own neighbour"):
        scan(np.arange(IMAGES, dtype=np.int32)[:, None])


def test_it_finds_blobs_by_moving_the_features_too():
    """The tail is one matrix that begins as noise; features of the classes are far apart before."""
    rng = np.random.default_rng(0)
    label = np.arange(150) % K
    x = (np.eye(K, DIM)[label] * 4 + rng.normal(size=(150, DIM)) * 0.5).astype(np.float32)
    near = ((x[:, None] - x) ** 2).sum(2).argsort(1)[:, 1:6].astype(np.int32)
    of = Scan(near, DIM, K, heads=3, entropy_weight=5.0, batch=64, seed=0, device="cpu")
    tail = torch.nn.Linear(DIM, DIM)
    with torch.no_grad():
        tail.weight.copy_(torch.eye(DIM) + 0.3 * features()[0, :DIM])
    adam = torch.optim.Adam([*tail.parameters(), *of.heads.parameters()], lr=1e-2)
    for number in range(100):
        drawn = of.draw(number)
        total = of.loss(of.outputs(tail(torch.from_numpy(x)[drawn.image])), drawn, 0.0).total
        adam.zero_grad()
        total.backward()
        adam.step()
    rows = ArrayRows(tail(torch.from_numpy(x)).detach().numpy())
    own = predict(rows, of.learned()["learned"]).assignment[0]
    assert adjusted_rand_score(label, own) > 0.95


def test_it_is_an_objective_that_needs_no_features_and_does_not_normalise():
    of: Objective = scan()
    assert (of.needs_features, of.unit) == (False, False)
    assert np.isfinite(step(of, 0))
