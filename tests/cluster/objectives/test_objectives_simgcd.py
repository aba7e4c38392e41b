"""SimGCD as an objective: four terms against plain loops, teacher warm-up, learned head."""

import math

import numpy as np
import pytest
import torch
from conftest import one_thread
from contrasted import DIM, LABEL, contrast, drawn, features

from cluster import ClusterError
from cluster.heads.model import predict
from cluster.objectives import Drawn, Objective
from cluster.objectives.simgcd import Settings, Simgcd
from cluster.vectors.rows import ArrayRows

K = 4
IMAGES = np.array([1, 0, 2, 3, 5, 7, 9, 8])  # four labelled, anywhere
_quick = pytest.fixture(autouse=True)(one_thread)


def simgcd(
    seed: int = 0, label: np.ndarray = LABEL, k: int = K, batch: int = 6, supervised: float = 0.35
) -> Simgcd:
    settings = Settings(
        hidden=8, bottleneck=5, supervised=supervised, temperature=0.1, teacher_first=0.07,
        teacher_last=0.04, teacher_warmup=30, entropy_weight=2.0, contrast_temperature=1.0,
        label_temperature=0.07,
    )  # fmt: skip
    return Simgcd(label, DIM, k, settings, unit=True, batch=batch, seed=seed, device="cpu")


def plain(z: np.ndarray, cosine: np.ndarray, label: np.ndarray, teacher: float) -> dict[str, float]:
    """The terms in float64, image by image: L_u_cls with its entropy term, L_s_cls, and so on."""

    def softmax(logits: np.ndarray) -> np.ndarray:
        e = np.exp(logits - logits.max())
        return e / e.sum()

    across, known, p = [], [], []
    for view in range(2):
        for image in range(len(label)):
            student = softmax(cosine[view, image] / 0.1)
            across.append(-softmax(cosine[1 - view, image] / teacher) @ np.log(student))
            p.append(student)
            if label[image] >= 0:
                known.append(-math.log(student[label[image]]))
    mean = np.mean(p, axis=0)
    entropy = -sum(each * math.log(each) for each in mean)
    own, images = [*label[label >= 0]], len(label)
    rest = z[:, label >= 0].reshape(2 * len(own), z.shape[2])
    return {
        "u_cls": float(np.mean(across) + 2 * (math.log(K) - entropy)),
        "s_cls": float(np.mean(known)) if known else 0.0,
        "u_con": contrast(z.reshape(2 * images, -1), [*range(images)] * 2, 1.0),
        "s_con": contrast(rest, own + own, 0.07) if own else 0.0,
    }


@pytest.mark.parametrize(("epoch", "teacher"), [(0, 0.07), (10.5, 0.0595), (30, 0.04), (99, 0.04)])
def test_the_loss_is_that_of_plain_loops_and_the_teacher_sharpens(epoch: float, teacher: float):
    of = simgcd()
    outputs = of.outputs(features())
    z, cosine = (each.detach().double().numpy() for each in outputs)
    assert z.shape == (2, 8, 5)
    assert cosine.shape == (2, 8, K)
    terms = plain(z, cosine, LABEL[IMAGES], teacher)
    found = of.loss(outputs, drawn(IMAGES), epoch)
    assert {name: float(part.detach()) for name, part in found.parts.items()} == pytest.approx(
        {
            "classifier": 0.65 * terms["u_cls"] + 0.35 * terms["s_cls"],
            "info_nce": terms["u_con"],
            "sup_con": terms["s_con"],
        },
        rel=1e-4,
    )
    total = 0.65 * (terms["u_cls"] + terms["u_con"]) + 0.35 * (terms["s_cls"] + terms["s_con"])
    assert float(found.total.detach()) == pytest.approx(total, rel=1e-4)


def test_the_outputs_are_a_projection_of_length_one_and_cosines_of_the_feature():
    of, x = simgcd(), features()
    z, cosine = (each.detach() for each in of.outputs(x))
    np.testing.assert_allclose(z.norm(dim=2), np.ones((2, 8)), atol=1e-6)
    direction = of.heads.state_dict()["prototypes.direction"]
    expected = torch.nn.functional.cosine_similarity(x[:, :, None], direction, dim=3)
    np.testing.assert_allclose(cosine, expected, atol=1e-6)
    np.testing.assert_allclose(of.outputs(9 * x)[1].detach(), cosine, atol=1e-6)


def test_the_order_of_images_does_not_matter():
    of, order = simgcd(), np.array([5, 2, 7, 0, 1, 6, 3, 4])
    one = of.loss(of.outputs(features()), drawn(IMAGES), 4.0).total.detach()
    other = of.loss(of.outputs(features()[:, order]), drawn(IMAGES[order]), 4.0).total.detach()
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_batch_without_labels_is_the_loss_of_the_others():
    of, x = simgcd(), features().requires_grad_()
    outputs = of.outputs(x)
    z, cosine = (each.detach().double().numpy() for each in outputs)
    terms = plain(z, cosine, np.full(8, -1), 0.07)
    found = of.loss(outputs, Drawn(drawn(IMAGES).image, np.full(8, -1)), 0.0)
    assert float(found.total.detach()) == pytest.approx(
        0.65 * (terms["u_cls"] + terms["u_con"]), rel=1e-4
    )
    found.total.backward()
    assert (x.grad != 0).any(2).all()
    assert x.grad.isfinite().all()
    for parameter in of.heads.parameters():
        assert parameter.grad.isfinite().all()


def test_a_batch_where_all_have_labels_is_that_of_plain_loops():
    of, label = simgcd(), np.array([3, 0, 1, 1, 2, 0, 3, 3])
    outputs = of.outputs(features())
    z, cosine = (each.detach().double().numpy() for each in outputs)
    terms = plain(z, cosine, label, 0.07)
    total = 0.65 * (terms["u_cls"] + terms["u_con"]) + 0.35 * (terms["s_cls"] + terms["s_con"])
    found = of.loss(outputs, Drawn(drawn(IMAGES).image, label), 0.0)
    assert float(found.total.detach()) == pytest.approx(total, rel=1e-4)


def test_gradients_reach_the_heads_and_the_features():
    of, x = simgcd(), features().requires_grad_()
    of.loss(of.outputs(x), drawn(IMAGES), 0.0).total.backward()
    assert (x.grad != 0).any(2).all()
    for parameter in of.heads.parameters():
        assert (parameter.grad != 0).any()


def test_each_half_of_the_outputs_gets_the_gradient_of_its_own_terms():
    """The prototypes learn nothing from the contrast, and the projector nothing from the classes,
    and where labels are all that counts, images without one teach nothing."""
    of, x = simgcd(supervised=1.0), features()
    z, cosine = (each.detach().requires_grad_() for each in of.outputs(x))
    parts = of.loss((z, cosine), drawn(IMAGES), 0.0).parts
    alone = torch.autograd.grad(parts["classifier"], [z, cosine], allow_unused=True)
    assert alone[0] is None
    unknown = LABEL[IMAGES] < 0
    assert (alone[1][:, unknown] == 0).all()
    assert (alone[1][:, ~unknown] != 0).any()
    for name in ("info_nce", "sup_con"):
        alone = torch.autograd.grad(parts[name], [z, cosine], allow_unused=True)
        assert (alone[0] != 0).any()
        assert alone[1] is None


def test_half_of_a_batch_has_labels_and_a_step_follows_from_its_number_alone():
    in_order = [simgcd().draw(step) for step in range(8)]
    for image, label in in_order:
        np.testing.assert_array_equal(image[0], image[1])
        np.testing.assert_array_equal(label, LABEL[image[0]])
        assert (label >= 0).sum() == 3
    asked = simgcd()
    for step in (7, 0, 3, 7):
        np.testing.assert_array_equal(asked.draw(step).image, in_order[step].image)
    assert any((simgcd(seed=1).draw(s).image != in_order[s].image).any() for s in range(4))


def test_equal_seeds_give_equal_heads():
    one, same, another = (simgcd(seed=seed).heads.state_dict() for seed in (4, 4, 5))
    for name in one:
        assert torch.equal(one[name], same[name])
    for name in ("prototypes.direction", "projector.first.weight"):
        assert not torch.equal(one[name], another[name])


def test_the_learned_head_has_the_probabilities_of_the_training():
    of, x = simgcd(), features()[0]
    rows = torch.nn.functional.normalize(x, dim=1).numpy()
    learned = of.learned()
    assert learned.keys() == {"learned"}
    assert learned["learned"].weight.shape == (1, K, DIM)
    assert learned["learned"].weight.dtype == learned["learned"].bias.dtype == np.float32
    assert (learned["learned"].bias == 0).all()
    found = predict(ArrayRows(rows), learned["learned"])
    expected = (of.outputs(x[None])[1][0].detach() / 0.1).softmax(1).max(1)
    np.testing.assert_array_equal(found.assignment[0], expected.indices)
    np.testing.assert_allclose(found.probability[0], expected.values, rtol=1e-4)


def test_it_finds_known_classes_by_their_number_and_new_ones():
    rng = np.random.default_rng(0)
    truth = np.arange(200) % K
    x = np.eye(K, DIM)[truth] * 5 + rng.normal(size=(200, DIM))
    x = torch.from_numpy((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))
    of = simgcd(label=np.where((truth < 2) & (rng.random(200) < 0.5), truth, -1), batch=64)
    sgd = torch.optim.SGD(of.heads.parameters(), lr=0.1, momentum=0.9)
    for step in range(150):
        found = of.draw(step)
        loss = of.loss(of.outputs(x[found.image]), found, step / 5).total
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    own = predict(ArrayRows(x.numpy()), of.learned()["learned"]).assignment[0]
    assert (own[truth < 2] == truth[truth < 2]).mean() > 0.95
    sizes = [np.bincount(own[truth == new], minlength=K) for new in (2, 3)]
    assert {int(size.argmax()) for size in sizes} == {2, 3}
    assert min(size.max() for size in sizes) > 45


def test_fewer_clusters_than_known_classes_are_refused():
    with pytest.raises(
        ClusterError, match=r"^k is 1, but 2 classes are known: choose k from 2 on$"
    ):
        simgcd(k=1)
    assert simgcd(k=2).learned()["learned"].weight.shape[1] == 2


def test_labels_on_one_side_only_are_refused():
    with pytest.raises(ClusterError, match="4 images have a label and 0 have none"):
        simgcd(label=np.zeros(4, np.int64))


def test_it_is_an_objective_without_state():
    of: Objective = simgcd()
    assert not of.needs_features
    assert of.slots == ("view", "view")
    assert of.state_dict() == {}
    of.load_state_dict({})
