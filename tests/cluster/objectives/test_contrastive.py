"""Contrastive losses against plain loops, their gradients and invariances, and seeded heads."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from blobs import DEVICES
from conftest import one_thread

from cluster import ClusterError
from cluster.objectives.contrastive import (
    PairMasks,
    by_class,
    by_image,
    from_similarity,
    info_nce,
    inner,
    log_share,
    sup_con,
)
from cluster.objectives.projector import Projector, Prototypes, SimclrProjector
from cluster.objectives.sampler import ShuffledSampler

LABEL = torch.tensor([2, -1, 0, 2, -1, 0, 1])
_quick = pytest.fixture(autouse=True)(one_thread)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(z, dim=-1)


def plain(
    vectors: list[np.ndarray], group: list[int], temperature: float, anchors: int | None = None
) -> float:
    """SupCon's L_out (eq. 2) anchor by anchor in float64; NT-Xent where a group is an image."""
    losses = []
    for i in range(len(vectors) if anchors is None else anchors):
        others = [a for a in range(len(vectors)) if a != i]
        below = sum(math.exp(vectors[i] @ vectors[a] / temperature) for a in others)
        shares = [
            math.log(math.exp(vectors[i] @ vectors[p] / temperature) / below)
            for p in others
            if group[p] == group[i]
        ]
        if shares:
            losses.append(-sum(shares) / len(shares))
    return sum(losses) / len(losses)


def plain_info_nce(z: torch.Tensor, temperature: float, first: bool = False) -> float:
    slots, images = z.shape[:2]
    vectors = list(z.double().numpy().reshape(slots * images, -1))
    group = [image for _ in range(slots) for image in range(images)]
    return plain(vectors, group, temperature, images if first else None)


def plain_sup_con(z: torch.Tensor, label: torch.Tensor, temperature: float) -> float:
    known = [image for image in range(len(label)) if label[image] >= 0]
    vectors = [view[image] for view in z.double().numpy() for image in known]
    return plain(vectors, [int(label[image]) for _ in z for image in known], temperature)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("slots", [2, 3])
@pytest.mark.parametrize("temperature", [0.07, 0.1, 1.0])
def test_info_nce_is_that_of_a_plain_loop(slots: int, temperature: float, device: str):
    z = unit(slots, 5, 4)
    found = info_nce(z.to(device), temperature)
    assert float(found) == pytest.approx(plain_info_nce(z, temperature), rel=1e-5)
    first = info_nce(z.to(device), temperature, "first")
    assert float(first) == pytest.approx(plain_info_nce(z, temperature, True), rel=1e-5)
    assert float(first) != pytest.approx(float(found), rel=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_sup_con_is_that_of_a_plain_loop_over_labelled_images(
    slots: int, temperature: float, device: str
):
    """With one view class 1 has a single vector: it is compared, but is no anchor."""
    z = unit(slots, 7, 4)
    found = sup_con(z.to(device), LABEL.to(device), temperature)
    assert float(found) == pytest.approx(plain_sup_con(z, LABEL, temperature), rel=1e-5)


def test_nt_xent_by_hand():
    """Two images whose views are alike and whose vectors are orthogonal, at temperature 1: each
    anchor has e for its positive and 1 for each of two others."""
    z = torch.eye(2).expand(2, 2, 2)
    assert float(info_nce(z, 1.0)) == pytest.approx(-math.log(math.e / (math.e + 2)), rel=1e-6)
    one = sup_con(z, torch.tensor([0, 0]), 1.0)  # shares e/(e+2), 1/(e+2), 1/(e+2)
    assert float(one) == pytest.approx(math.log(math.e + 2) - 1 / 3, rel=1e-6)


def test_each_image_a_class_of_its_own_is_info_nce():
    z = unit(2, 7, 4)
    np.testing.assert_allclose(sup_con(z, torch.arange(7), 0.2), info_nce(z, 0.2), rtol=1e-6)


def test_the_order_of_images_and_the_numbers_of_classes_do_not_matter():
    z, order = unit(2, 7, 4), torch.tensor([3, 0, 6, 2, 5, 1, 4])
    moved = z[:, order]
    for anchors in ("all", "first"):
        np.testing.assert_allclose(
            info_nce(moved, 0.1, anchors), info_nce(z, 0.1, anchors), rtol=1e-5
        )
    expected = sup_con(z, LABEL, 0.07)
    np.testing.assert_allclose(sup_con(moved, LABEL[order], 0.07), expected, rtol=1e-5)
    renamed = torch.where(LABEL >= 0, 10 - LABEL, -1)
    np.testing.assert_allclose(sup_con(z, renamed, 0.07), expected, rtol=1e-6)


def test_images_without_a_label_leave_sup_con_as_it_is_and_get_no_gradient_from_it():
    z = unit(2, 7, 4)
    moved = torch.where((LABEL >= 0)[:, None], z, unit(2, 7, 4, seed=1)).requires_grad_()
    loss = sup_con(moved, LABEL, 0.07)
    np.testing.assert_allclose(loss.detach(), sup_con(z, LABEL, 0.07), rtol=1e-6)
    loss.backward()
    assert (moved.grad[:, LABEL < 0] == 0).all()
    assert (moved.grad[:, LABEL >= 0] != 0).any(2).all()


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("of", [
    lambda z, t: info_nce(z, t),
    lambda z, t: info_nce(z, t, "first"),
    lambda z, t: sup_con(z, LABEL, t),
])  # fmt: skip
def test_gradients_are_those_of_differences(
    of: Callable[[torch.Tensor, float], torch.Tensor], temperature: float
):
    z = unit(2, 7, 3).requires_grad_()
    of(z, temperature).backward()
    assert (z.grad != 0).any()
    step, wanted = 1e-2, z.grad.clone()
    for place in ((0, 0, 0), (1, 2, 1), (0, 6, 2)):
        move = torch.zeros_like(z)
        move[place] = step
        with torch.no_grad():
            slope = (of(z + move, temperature) - of(z - move, temperature)) / (2 * step)
        # The loss is curved: a difference over 2e-2 is right to a few per cent at .07.
        np.testing.assert_allclose(wanted[place], slope, rtol=0.05, atol=2e-3)


def test_no_label_gives_a_zero_that_keeps_the_graph():
    z = unit(2, 7, 4).requires_grad_()
    loss = sup_con(z, torch.full((7,), -1), 0.07)
    assert float(loss.detach()) == 0
    loss.backward()
    assert (z.grad == 0).all()


def test_one_labelled_image_of_one_view_has_nothing_to_be_compared_with():
    z = unit(1, 3, 4).requires_grad_()
    loss = sup_con(z, torch.tensor([-1, 4, -1]), 0.07)
    loss.backward()
    assert float(loss.detach()) == 0
    assert (z.grad == 0).all()


def test_one_image_has_no_other_to_compare_with():
    z = unit(2, 1, 4).requires_grad_()
    loss = info_nce(z, 0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert z.grad.abs().max() < 1e-6


def test_one_view_is_refused():
    with pytest.raises(
        ClusterError, match=r"^InfoNCE needs 2 views of each image or more, found 1$"
    ):
        info_nce(unit(1, 5, 4), 0.1)


def test_equal_vectors_and_low_temperatures_stay_finite():
    for z in (torch.ones(2, 4, 3) / 3**0.5, unit(2, 4, 3)):
        z = z.clone().requires_grad_()
        losses = [info_nce(z, 1e-3), info_nce(z, 1e-3, "first"), sup_con(z, LABEL[:4], 1e-3)]
        sum(losses).backward()
        assert all(loss.isfinite() for loss in losses)
        assert z.grad.isfinite().all()
    alike = torch.ones(2, 4, 3) / 3**0.5
    assert float(info_nce(alike, 0.07)) == pytest.approx(math.log(7), rel=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_and_bfloat16_vectors_still_give_float32(device: str):
    z = unit(2, 7, 64).to(device)
    expected = info_nce(z, 0.07)
    with torch.autocast(device, dtype=torch.bfloat16):
        found = info_nce(z, 0.07)
    assert found.dtype == torch.float32
    assert float(found) == float(expected)
    assert info_nce(z.bfloat16(), 0.07).dtype == torch.float32
    rough = (inner(z) / 0.07).bfloat16()
    pairs = by_image(2, 7, device)
    exact = from_similarity(rough.float(), pairs)
    assert float(from_similarity(rough, pairs)) == float(exact)


def test_a_similarity_of_ones_own_is_compared_the_same_way():
    """Minus the distance over a temperature, of the labelled images, as a plain loop."""
    z = unit(2, 7, 4)
    flat = z.reshape(14, 4).double().numpy()
    group, losses = LABEL.repeat(2).tolist(), []
    for i in range(14):
        others = [a for a in range(14) if a != i and min(group[a], group[i]) >= 0]
        e = {a: math.exp(-np.linalg.norm(flat[i] - flat[a]) / 0.3) for a in others}
        shares = [math.log(e[p] / sum(e.values())) for p in others if group[p] == group[i]]
        if shares:
            losses.append(-np.mean(shares))
    distance = torch.cdist(z.flatten(0, 1), z.flatten(0, 1))
    found = from_similarity(-distance / 0.3, by_class(LABEL, 2))
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)


def test_pairs_are_those_of_the_definition():
    image, label = by_image(2, 7, "cpu"), by_class(LABEL, 2)
    for i in range(14):
        for j in range(14):
            a, b = int(LABEL[i % 7]), int(LABEL[j % 7])
            assert image.candidate[i, j] == (i != j)
            assert image.positive[i, j] == (i != j and i % 7 == j % 7)
            assert label.candidate[i, j] == (i != j and a >= 0 and b >= 0)
            assert label.positive[i, j] == (i != j and a == b and a >= 0)


def test_shares_of_a_row_sum_to_one_and_are_zero_elsewhere():
    similarity = (inner(unit(2, 7, 4)) / 0.1).requires_grad_()
    other = by_class(LABEL, 2).candidate
    log_p = log_share(similarity, other)
    assert (log_p[~other] == 0).all()
    sums = (log_p.exp() * other).sum(1)
    np.testing.assert_allclose(sums.detach(), (LABEL >= 0).repeat(2).float(), atol=1e-5)
    log_p.sum().backward()
    assert similarity.grad.isfinite().all()
    assert (similarity.grad[~other] == 0).all()


def test_nothing_to_compare_is_zero():
    none = torch.zeros(3, 3, dtype=torch.bool)
    similarity = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = from_similarity(similarity, PairMasks(none, none))
    loss.backward()
    assert float(loss.detach()) == 0
    assert (similarity.grad == 0).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("width", [0, 9])
def test_a_projector_is_dinos_head_with_an_output_of_length_one(width: int, device: str):
    head = Projector(6, hidden=8, bottleneck=5, width=width, seed=3).to(device)
    x = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1))
    found = head(x.to(device)).detach().cpu()
    w = {name: each.detach().cpu().double().numpy() for name, each in head.named_parameters()}
    for slot in range(2):
        for image in range(4):
            z = x[slot, image].double().numpy()
            for layer in ("first", "second", "third"):
                z = w[f"{layer}.weight"] @ z + w[f"{layer}.bias"]
                if layer != "third":
                    z = np.array([v * 0.5 * (1 + math.erf(v / 2**0.5)) for v in z])
            if width:
                z = z / np.linalg.norm(z)
                z = np.array([row @ z / np.linalg.norm(row) for row in w["last.direction"]])
            np.testing.assert_allclose(found[slot, image], z / np.linalg.norm(z), atol=1e-5)


def test_simclrs_projector_is_two_layers_with_an_output_of_length_one():
    head, x = SimclrProjector(6, width=4, seed=3), torch.randn(2, 5, 6)
    w = {name: each.detach().double() for name, each in head.named_parameters()}
    z = (x.double() @ w["first.weight"].T + w["first.bias"]).clamp(min=0)
    z = z @ w["second.weight"].T + w["second.bias"]
    expected = z / z.norm(dim=2, keepdim=True)
    np.testing.assert_allclose(head(x).detach(), expected, atol=1e-5)


HEADS: list[Callable[[int], torch.nn.Module]] = [
    lambda seed: Projector(6, hidden=8, bottleneck=5, width=9, seed=seed),
    lambda seed: SimclrProjector(6, width=4, seed=seed),
    lambda seed: Prototypes(6, 9, seed=seed),
]


@pytest.mark.parametrize("make", HEADS)
def test_equal_seeds_give_equal_heads_whatever_else_is_drawn(
    make: Callable[[int], torch.nn.Module],
):
    shared = torch.random.get_rng_state()
    one = make(7).state_dict()
    assert (torch.random.get_rng_state() == shared).all()
    torch.rand(3)
    same, another = make(7).state_dict(), make(8).state_dict()
    for name, each in one.items():
        assert torch.equal(each, same[name])
        if (each != 0).any():  # DINO's head begins without bias
            assert not torch.equal(each, another[name])


def test_initial_weights_are_distributed_as_in_the_originals():
    dino = Projector(64, hidden=256, bottleneck=32, width=0, seed=0)
    for layer in (dino.first, dino.second, dino.third):
        assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
        assert (layer.bias == 0).all()
    simclr = SimclrProjector(64, width=32, seed=0)
    prototypes = Prototypes(64, 50, seed=0)
    for each in (*simclr.parameters(), prototypes.direction):
        assert 0.11 < float(each.detach().abs().max()) <= 64**-0.5
    first, own = (each.detach().numpy() for each in (simclr.first.weight, prototypes.direction))
    assert abs(np.corrcoef(first[:50].ravel(), own.ravel())[0, 1]) < 0.1  # apart from each other


def test_every_parameter_of_a_head_learns():
    for make in HEADS:
        head = make(0)
        x = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(2)).requires_grad_()
        (head(x) * unit(2, 5, 9)[..., : head(x).shape[2]]).sum().backward()
        assert (x.grad != 0).any()
        for parameter in head.parameters():
            assert parameter.requires_grad
            assert (parameter.grad != 0).any()


def test_cosines_hinge_on_no_length_and_on_no_autocast():
    head, x = Prototypes(64, 9, seed=0), torch.randn(2, 5, 64)
    w = head.direction.detach()
    expected = torch.nn.functional.cosine_similarity(x[:, :, None], w, dim=3)
    np.testing.assert_allclose(head(x).detach(), expected, atol=1e-6)
    np.testing.assert_allclose(head(3 * x).detach(), expected, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_allclose(head(x).detach(), expected, atol=1e-6)
    with torch.no_grad():
        head.direction *= 5
    np.testing.assert_allclose(head(x).detach(), expected, atol=1e-6)
    np.testing.assert_allclose(head.unit().detach().norm(dim=1), np.ones(9), atol=1e-6)


def test_every_image_comes_once_a_pass_and_passes_have_orders_of_their_own():
    of = ShuffledSampler(7, 3, 0)
    drawn = np.concatenate([of.at(step) for step in range(28)]).reshape(-1, 7)
    assert drawn.dtype == np.int64
    assert (np.sort(drawn, axis=1) == np.arange(7)).all()
    assert len(np.unique(drawn, axis=0)) > 10


def test_a_step_does_not_depend_on_the_steps_before():
    in_order = [ShuffledSampler(7, 3, 0).at(step) for step in range(15)]
    asked = ShuffledSampler(7, 3, 0)
    for step in (14, 0, 3, 4, 2, 14):
        np.testing.assert_array_equal(asked.at(step), in_order[step])
    assert any((ShuffledSampler(7, 3, 1).at(step) != in_order[step]).any() for step in range(3))


def test_a_batch_is_at_most_one_pass():
    of = ShuffledSampler(4, 100, 0)
    assert of.batch == 4
    np.testing.assert_array_equal(np.sort(of.at(9)), np.arange(4))


@pytest.mark.parametrize(("images", "batch"), [(1, 8), (8, 1), (0, 8)])
def test_a_batch_of_one_image_is_refused(images: int, batch: int):
    with pytest.raises(
        ClusterError, match=f"a batch of {batch} from {images} images has fewer than two"
    ):
        ShuffledSampler(images, batch, 0)
