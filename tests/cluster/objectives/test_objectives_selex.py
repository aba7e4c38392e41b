"""SelEx as an objective: both losses by plain loops, levels in order, resuming, what is trained."""

from typing import Any

import numpy as np
import pytest
import torch
from conftest import one_thread

from cluster import ClusterError
from cluster.kmeans.assign import assign
from cluster.kmeans.semi_supervised import sskmeans
from cluster.objectives import Drawn, Loss
from cluster.objectives.contrastive import by_image, from_similarity
from cluster.objectives.selex import Levels, Selex, in_published_order, levels_of
from cluster.objectives.selex_hierarchy import hierarchy
from cluster.objectives.selex_loss import pairwise_distances, supervised, unsupervised
from cluster.vectors.rows import ArrayRows

DIM, OLD, K = 6, 4, 7
SETTINGS: dict[str, Any] = {
    "supervised": 0.35, "smoothing": 0.5, "temperature": 1.0, "label_temperature": 0.07,
    "hidden": 12, "bottleneck": 8, "width": 16, "balanced": True, "paper_formula": True,
    "batch": 12, "seed": 3, "device": "cpu",
}  # fmt: skip
LENGTH = 5.0  # length of features: as backbones give them, not 1
_quick = pytest.fixture(autouse=True)(one_thread)


def images(n: int = 84, old: int = OLD, k: int = K) -> tuple[np.ndarray, np.ndarray]:
    """Features in k directions and labels of some images of the first `old`; no order in either."""
    generator = np.random.default_rng(2)
    cluster = generator.permutation(np.arange(n) % k)
    centres = generator.normal(size=(k, DIM))
    x = LENGTH * (centres[cluster] + 0.3 * generator.normal(size=(n, DIM)))
    known = (cluster < old) & (generator.random(n) < 0.5)
    return x.astype(np.float32), np.where(known, cluster, -1)


def made(label: np.ndarray, k: int = K, **more) -> Selex:
    return Selex(label, DIM, k, **{**SETTINGS, **more})


def looked(epoch: int = 0, **more) -> tuple[Selex, np.ndarray]:
    x, label = images()
    objective = made(label, **more)
    objective.before_epoch(ArrayRows(x), epoch)
    return objective, x


def a_step(objective: Selex, x: np.ndarray, step: int = 0) -> tuple[Loss, Drawn, torch.Tensor]:
    """The loss of a step whose views are the features, shaken."""
    drawn = objective.draw(step)
    noise = np.random.default_rng(step).normal(size=(*drawn.image.shape, DIM))
    features = torch.tensor(x[drawn.image] + 0.2 * noise).float().requires_grad_()
    return objective.loss(objective.outputs(features), drawn, 0.0), drawn, features


def plain_share(z: np.ndarray, temperature: float, i: int, among: list[int]) -> dict[int, float]:
    """log p_ij of all j != i of `among`."""
    logit = {j: -float(np.linalg.norm(z[i] - z[j])) / temperature for j in among if j != i}
    total = np.log(sum(np.exp(one) for one in logit.values()))
    return {j: one - total for j, one in logit.items()}


def plain_unsupervised(z: np.ndarray, target: np.ndarray, temperature: float) -> float:
    each = [
        -sum(
            target[i, j] * log
            for j, log in plain_share(z, temperature, i, [*range(len(z))]).items()
        )
        for i in range(len(z))
    ]
    return float(np.mean(each))


def plain_sup_con(z: np.ndarray, label: np.ndarray, temperature: float) -> float:
    among = [int(i) for i in np.flatnonzero(label >= 0)]
    each = []
    for i in among:
        share = plain_share(z, temperature, i, among)
        each.append(-np.mean([log for j, log in share.items() if label[j] == label[i]]))
    return float(np.mean(each))


def plain_supervised(
    z: np.ndarray, label: np.ndarray, levels: np.ndarray, temperature: float
) -> float:
    total, width = plain_sup_con(z, label, temperature), z.shape[1]
    for i, own in enumerate(levels):
        part = 2 ** (i + 1)
        total += plain_sup_con(z[:, : width // part], own, temperature) / part
    return total


def vectors(count: int = 7, width: int = 16) -> np.ndarray:
    z = np.random.default_rng(4).normal(size=(2, count, width))
    return z / np.linalg.norm(z, axis=2, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_unsupervised_self_expertise_is_a_plain_loop(temperature: float):
    z = vectors()
    target = np.random.default_rng(5).random((14, 14)) * (1 - np.eye(14))
    found = unsupervised(torch.tensor(z), torch.tensor(target), temperature)
    expected = plain_unsupervised(z.reshape(14, -1), target, temperature)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_supervised_self_expertise_is_a_plain_loop():
    z, label = vectors(), np.array([-1, 0, 2, -1, 0, 1, -1])
    levels = np.array([[3, 0, 2, 3, 0, 1, 4], [2, 0, 1, 2, 0, 0, 2], [1, 0, 0, 1, 0, 0, 1]])
    found = supervised(torch.tensor(z), torch.tensor(label), torch.tensor(levels), 0.07)
    expected = plain_supervised(z.reshape(14, -1), np.tile(label, 2), np.tile(levels, 2), 0.07)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_without_smoothing_it_is_infonce_of_distances():
    objective, x = looked(smoothing=0)
    found, drawn, features = a_step(objective, x)
    z = objective.outputs(features)[0]
    pairs = by_image(2, drawn.image.shape[1], "cpu")
    expected = from_similarity(
        -pairwise_distances(z.flatten(0, 1)) / SETTINGS["temperature"], pairs
    )
    assert found.parts["unsupervised"].item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("paper_formula", [True, False])
def test_the_loss_of_a_step_is_a_plain_computation(paper_formula: bool):
    """From the features and what memory holds, through targets and both losses."""
    objective, x = looked(paper_formula=paper_formula)
    found, drawn, features = a_step(objective, x)
    z = objective.outputs(features)[0].detach().double().flatten(0, 1).numpy()
    f = features.detach().double().flatten(0, 1).numpy()
    if paper_formula:
        f = f / np.linalg.norm(f, axis=1, keepdims=True)
    known = Levels(**objective.state_dict())
    own = np.tile(known.label[:, drawn.image[0]], 2)
    n, start, conf = len(f), 0, np.zeros((len(f), len(f)))
    for level, size in enumerate(known.size):
        radius = known.radius[start : start + size]
        for i in range(n):
            for j in range(n):
                far = np.linalg.norm(f[i] - f[j])
                conf[i, j] += 2.0**-level * (far > 2 * radius[own[level, j]])
        start += size
    share = conf / (conf.sum(axis=1, keepdims=True) if paper_formula else conf.sum(axis=1))
    target = 0.5 * np.roll(np.eye(n), n // 2, axis=1) + 0.5 * share
    alone = plain_unsupervised(z, target, 1.0)
    shared = plain_supervised(z, np.tile(drawn.label, 2), own, 0.07)
    assert found.parts["unsupervised"].item() == pytest.approx(alone, rel=1e-5)
    assert found.parts["supervised"].item() == pytest.approx(shared, rel=1e-5)
    assert found.total.item() == pytest.approx(0.65 * alone + 0.35 * shared / 2, rel=1e-5)


def test_half_of_a_step_is_labelled_and_both_views_are_of_the_same_images():
    label = images()[1]
    drawn = made(label).draw(5)
    assert (drawn.image[0] == drawn.image[1]).all()
    assert (drawn.label == label[drawn.image[0]]).all()
    assert ((drawn.label >= 0).sum(), drawn.image.shape) == (6, (2, 12))


def test_levels_are_in_the_order_of_the_images():
    """A labelled image has its class at level 0; images of a known class share a group above, and
    so do images whose known classes share one below."""
    x, label = images()
    objective = made(label)
    objective.before_epoch(ArrayRows(x), 0)
    known = Levels(**objective.state_dict())
    assert known.label.dtype == np.int32
    assert known.size.tolist() == [7, 2 + 1, 1 + 1]
    assert known.centroids.shape == (12, DIM)
    assert known.radius.shape == (12,)
    assert (known.label[0] == label)[label >= 0].all()
    for upper in known.label[1:]:
        for cluster in range(OLD):
            assert len(set(upper[known.label[0] == cluster].tolist())) == 1
    assert set(known.label[2][known.label[0] < OLD].tolist()) == {0}


def test_published_code_reads_upper_levels_in_another_order():
    """The loader has 1 and 4 first, which are labelled, and then 0 2 3 5; images in known clusters
    are 0 1 4 5. So the list is of 1 4 0 5 2 3, and 0 2 3 5 read what is of 0 5 2 3."""
    label = np.array([-1, 0, -1, -1, 1, -1])
    known = np.array([True, True, False, False, True, True])
    levels = np.array([[10, 11, 12, 13, 14, 15], [20, 21, 22, 23, 24, 25]], np.int32)
    found = in_published_order(levels, known, label)
    assert found.tolist() == [[10, 11, 15, 12, 14, 13], [20, 21, 25, 22, 24, 23]]


def test_levels_of_the_published_code_are_ours_in_that_order():
    """Level 0 and labelled images are right there too; others are not."""
    label = images()[1]
    right, wrong = (Levels(**looked(paper_formula=of)[0].state_dict()) for of in (True, False))
    np.testing.assert_array_equal(wrong.label[0], right.label[0])
    expected = in_published_order(right.label[1:], right.label[0] < OLD, label)
    np.testing.assert_array_equal(wrong.label[1:], expected)
    differs = wrong.label[1:] != right.label[1:]
    assert differs[:, label < 0].any()
    assert not differs[:, label >= 0].any()


def test_each_epoch_computes_radii_and_the_published_code_keeps_the_first():
    fresh = np.random.default_rng(8).normal(size=(84, DIM)).astype(np.float32)
    for paper_formula in (True, False):
        objective, _ = looked(paper_formula=paper_formula)
        before = Levels(**objective.state_dict())
        objective.before_epoch(ArrayRows(fresh), 1)
        after = Levels(**objective.state_dict())
        assert not np.array_equal(before.centroids, after.centroids)
        assert np.array_equal(before.radius, after.radius) != paper_formula


def test_features_have_the_length_of_prototypes_by_the_paper_formula():
    """So their length changes nothing; in the published code it changes who is within reach."""
    drawn_features = torch.randn(2, 12, DIM, generator=torch.Generator().manual_seed(0))
    for paper_formula, length in ((True, 1), (False, 40)):
        objective, _ = looked(paper_formula=paper_formula)
        f = objective.outputs(drawn_features)[1]
        longer = objective.outputs(40 * drawn_features)[1]
        np.testing.assert_allclose(longer, length * f, rtol=1e-5)
        assert not f.requires_grad


def test_the_length_of_features_does_not_change_the_clusters():
    x, label = images()
    found = []
    for scale in (1, 16):
        objective = made(label)
        objective.before_epoch(
            ArrayRows(x * scale * np.linspace(1, 2, len(x), dtype=np.float32)[:, None]), 0
        )
        found.append(Levels(**objective.state_dict()))
    np.testing.assert_array_equal(found[0].label, found[1].label)
    np.testing.assert_allclose(found[0].radius, found[1].radius, rtol=1e-4)


def test_every_level_has_the_balanced_passes_where_asked():
    """In one cloud without groups, where they leave their trace at level 0 and above it."""
    generator = np.random.default_rng(0)
    rows = ArrayRows(generator.normal(size=(90, DIM)).astype(np.float32) + 1)
    label, found = np.where(np.arange(90) < 8, np.arange(90) % OLD, -1), []
    common: dict[str, Any] = {"n_init": 1, "max_iter": 10, "tol": 1e-4}
    for balanced, size in ((True, 13), (False, None)):
        level0 = sskmeans(rows, label, K, seeds=[5], cluster_size=size, **common).centroids[0]
        own = assign(rows, level0[None], label=label).assignment[0]
        upper = hierarchy(rows, own, level0, OLD, seed=5, balance=balanced, **common)
        of_all = [level0, *(level.centroids for level in upper)]
        found.append(levels_of(rows, label, K, seed=5, balanced=balanced, device="cpu"))
        np.testing.assert_array_equal(found[-1].centroids, np.concatenate(of_all))
        labels = [own, *(level.assignment for level in upper)]
        np.testing.assert_array_equal(found[-1].label, np.stack(labels))
        other = hierarchy(rows, own, level0, OLD, seed=5, balance=not balanced, **common)
        assert not np.array_equal(other[0].centroids, upper[0].centroids), "or it were no test"
    assert not np.array_equal(found[0].centroids[:K], found[1].centroids[:K])


def test_a_resumed_objective_goes_on_as_if_never_stopped():
    objective, x = looked(epoch=2)
    kept = {name: array.copy() for name, array in objective.state_dict().items()}
    resumed = made(images()[1])
    resumed.load_state_dict(kept)
    resumed.heads.load_state_dict(objective.heads.state_dict())
    for step in (0, 7):
        assert torch.equal(a_step(objective, x, step)[0].total, a_step(resumed, x, step)[0].total)
    for one in (objective, resumed):
        one.before_epoch(ArrayRows(x + 1), 3)
    for name, array in objective.state_dict().items():
        np.testing.assert_array_equal(array, resumed.state_dict()[name])


def test_epochs_have_seeds_of_their_own_and_one_epoch_is_reproducible():
    x = np.random.default_rng(0).normal(size=(84, DIM)).astype(np.float32)
    found = []
    for epoch in (0, 0, 1):
        objective = made(images()[1])
        objective.before_epoch(ArrayRows(x), epoch)
        found.append(objective.state_dict()["centroids"])
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_the_state_is_empty_before_the_first_epoch():
    objective = made(images()[1])
    assert objective.state_dict() == {}
    objective.load_state_dict({})
    assert objective.state_dict() == {}
    assert objective.learned() == {}


def test_gradients_reach_all_heads_and_the_features():
    objective, x = looked()
    found, _, features = a_step(objective, x)
    found.total.backward()
    assert (features.grad != 0).any(dim=2).all()
    for parameter in objective.heads.parameters():
        assert (parameter.grad != 0).any()


def test_equal_outputs_have_finite_losses_and_gradients():
    objective, _ = looked()
    drawn = objective.draw(0)
    features = torch.ones(2, 12, DIM, requires_grad=True)
    found = objective.loss(objective.outputs(features), drawn, 0.0)
    found.total.backward()
    assert torch.isfinite(found.total)
    assert torch.isfinite(features.grad).all()
    for parameter in objective.heads.parameters():
        assert torch.isfinite(parameter.grad).all()


def test_distances_of_near_vectors_are_not_rounding():
    x = torch.randn(20, 512, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.nn.functional.normalize(torch.cat([x, x + 0.004 * x.flip(0), x, 0 * x[:1]]), dim=1)
    exact = np.linalg.norm(x[:, None] - x, axis=2)
    found = pairwise_distances(x.float()).numpy()
    assert not found[exact == 0].any()
    np.testing.assert_allclose(found, exact, atol=2e-4)


def test_distances_far_from_the_origin_are_as_good():
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(pairwise_distances(x + 256), pairwise_distances(x), atol=1e-3)


def test_bfloat16_features_lose_nothing_more():
    objective, x = looked()
    drawn = objective.draw(0)
    half = torch.tensor(x[drawn.image]).bfloat16()
    z, f = objective.outputs(half.float())
    plain = objective.loss((z, f), drawn, 0.0).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = objective.loss((z, f), drawn, 0.0).total
    assert under.dtype == torch.float32
    torch.testing.assert_close(plain, under, rtol=1e-5, atol=0)


def test_a_class_of_one_image_has_its_other_view():
    """One labelled image: its views are each other's only candidates, so that labels add 0."""
    x, label = images()
    one = np.where(np.arange(len(x)) == np.flatnonzero(label == 0)[0], 0, -1)
    objective = made(one, batch=2)
    objective.before_epoch(ArrayRows(x), 0)
    found, drawn, features = a_step(objective, x)
    found.total.backward()
    assert (drawn.label >= 0).sum() == 1
    z = objective.outputs(features)[0]
    level = torch.tensor(objective.state_dict()["label"][:, drawn.image[0]]).long()
    without = supervised(z, torch.full((2,), -1), level, 0.07)
    assert found.parts["supervised"].item() == pytest.approx(without.item(), abs=1e-6)
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize(("old", "sizes"), [(1, [7]), (2, [7, 1 + 2]), (3, [7, 1 + 2])])
def test_levels_of_few_known_classes(old: int, sizes: list[int]):
    x, label = images(old=old)
    objective = made(label)
    objective.before_epoch(ArrayRows(x), 0)
    assert objective.state_dict()["size"].tolist() == sizes
    assert torch.isfinite(a_step(objective, x)[0].total)


def test_without_new_clusters_there_is_level_0_alone():
    x, label = images(old=K)
    objective = made(label)
    objective.before_epoch(ArrayRows(x), 0)
    assert objective.state_dict()["size"].tolist() == [K]
    assert torch.isfinite(a_step(objective, x)[0].total)


@pytest.mark.parametrize(
    ("k", "more", "said"),
    [
        (3, {}, "k is 3, but 4 classes are known: choose k from 4 on"),
        (85, {}, "k is 85, but there are 84 images"),
        (
            7,
            {"width": 7},
            "width is 7, and the levels of 4 known classes halve it 3 times: set it to 8",
        ),
        (7, {"width": 0, "bottleneck": 4}, "width is 4, and the levels of 4 known classes halve"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(k: int, more: dict, said: str):
    with pytest.raises(ClusterError, match=said):
        made(images()[1], k, **more)


def test_a_collection_without_labels_is_refused():
    with pytest.raises(ClusterError, match="0 images have a label and 84 have none"):
        made(np.full(84, -1))
