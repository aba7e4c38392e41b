"""Probes, which use labels: by hand, beside scikit-learn, and as a stage."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clustered import N, digits, write_dataset
from conftest import Project
from learning import CELL, call
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from test_spectral_stage import TRAIN, write_neighbors

import store
from cluster import ClusterError
from cluster.probes.knn_probe import knn_probe, purity
from cluster.probes.linear_probe import LinearProbe, accuracy, held_out, linear_probe
from cluster.probes.logistic_loss import Layer, on_cpu, on_gpu
from cluster.vectors.rows import ArrayRows, Subset
from pipeline.params import StageError
from stages.probes import COLUMNS

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
    ),
]
PLAIN = {"validation": 0.3, "seed": 0, "max_iter": 300}
SETTINGS: dict[str, Any] = {
    "knn": (3, 10),
    "temperature": 0.07,
    "purity": (1, 5),
    "penalties": (0.1, 0.01),
    "validation": 0.2,
    "max_iter": 100,
    "seeds": (0, 1),
}
LABELS, SCORES = CELL.labels, CELL._replace(run="probes").table


def blobs(
    n: int = 400, dim: int = 8, classes: int = 4, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Classes that overlap, in dims of very different scale and far from the origin."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, n)
    x = rng.normal(size=(classes, dim))[y] + rng.normal(size=(n, dim)) * noise
    return (x * np.geomspace(0.01, 100, dim) + 5).astype(np.float32), y


def outputs(probe: LinearProbe, x: np.ndarray) -> np.ndarray:
    """Probabilities, float64 [image, class]."""
    z = x.astype(np.float64) @ probe.head.weight[0].T.astype(np.float64) + probe.head.bias[0]
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("penalty", [1.0, 0.01, 0.0001])
def test_at_one_penalty_it_is_scikit_learns(penalty: float, device: str):
    x, y = blobs()
    scaled = StandardScaler().fit(x.astype(np.float64))
    theirs = LogisticRegression(C=1 / (penalty * len(x)), tol=1e-8, max_iter=5000)
    theirs.fit(scaled.transform(x), y)
    ours = linear_probe(ArrayRows(x), y, penalties=[penalty], device=device, **PLAIN)
    expected = theirs.predict_proba(scaled.transform(x))
    np.testing.assert_allclose(outputs(ours, x), expected, atol=1e-3)
    largest = np.abs(theirs.coef_).max()
    coefficients = ours.head.weight[0] * scaled.scale_
    np.testing.assert_allclose(coefficients, theirs.coef_, atol=3e-3 * largest)
    clear = np.sort(expected, axis=1)[:, -1] - np.sort(expected, axis=1)[:, -2] > 2e-3
    found = accuracy(ArrayRows(x[clear]), y[clear], ours, device)
    assert found == theirs.score(scaled.transform(x[clear]), y[clear])


def test_the_penalty_is_chosen_on_images_that_were_held_out():
    """By the definition: fit without them, score on them, the best; then fit on all."""
    x, y = blobs(120, dim=40, noise=5)
    grid = [3.0, 0.1, 0.001, 0.00001]
    held = held_out(y, 0.3, 0)
    alone = [linear_probe(ArrayRows(x[~held]), y[~held], penalties=[p], **PLAIN) for p in grid]
    scores = [accuracy(ArrayRows(x[held]), y[held], probe) for probe in alone]
    assert len(set(scores)) > 2
    chosen = linear_probe(ArrayRows(x), y, penalties=grid, **PLAIN)
    assert chosen.penalty == grid[int(np.argmax(scores))]
    refitted = linear_probe(ArrayRows(x), y, penalties=[chosen.penalty], **PLAIN)
    np.testing.assert_allclose(outputs(chosen, x), outputs(refitted, x), atol=2e-3)


def test_the_order_of_the_penalties_changes_nothing():
    x, y = blobs()
    left = linear_probe(ArrayRows(x), y, penalties=[1.0, 0.1, 0.01], **PLAIN)
    right = linear_probe(ArrayRows(x), y, penalties=[0.01, 1.0, 0.1, 0.1], **PLAIN)
    assert left.penalty == right.penalty
    np.testing.assert_array_equal(left.head.weight, right.head.weight)


def test_the_tile_size_changes_only_rounding(monkeypatch: pytest.MonkeyPatch):
    x, y = blobs()
    whole = linear_probe(ArrayRows(x), y, penalties=[0.01], **PLAIN)
    monkeypatch.setattr("cluster.vectors.tiles.TILE", 37)
    parts = linear_probe(ArrayRows(x), y, penalties=[0.01], **PLAIN)
    np.testing.assert_allclose(outputs(whole, x), outputs(parts, x), atol=1e-4)


def test_threads_and_parts_read_from_anywhere_change_nothing():
    x, y = blobs(3000)
    twice = np.repeat(x, 2, axis=0)
    before, found = torch.get_num_threads(), []
    try:
        for threads, rows in (
            (1, ArrayRows(x)),
            (2, Subset(ArrayRows(twice), np.arange(0, 6000, 2))),
        ):
            torch.set_num_threads(threads)
            found.append(linear_probe(rows, y, penalties=[0.1, 0.01], **PLAIN))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0].head.weight, found[1].head.weight)


@pytest.mark.parametrize("of_tile", [on_cpu, on_gpu])
def test_the_loss_and_its_gradient_are_those_that_torch_derives(of_tile):
    rng = np.random.default_rng(0)
    x, own = torch.from_numpy(blobs(2500)[0]), torch.from_numpy(blobs(2500)[1])
    sides = [rng.normal(size=s) for s in (8, 8, (4, 8), 4)]
    mean, deviation, weight, bias = (torch.from_numpy(s).abs() + 0.5 for s in sides)
    deviation *= x.std(0)
    layer = Layer(*(each.float() for each in (mean, deviation, weight, bias)))
    weight.requires_grad_(), bias.requires_grad_()
    outputs = (x.double() - mean) / deviation @ weight.T + bias
    expected = torch.nn.functional.cross_entropy(outputs, own, reduction="sum")
    expected.backward()
    loss, slope = of_tile(x, own, layer)
    assert loss == pytest.approx(expected.item(), rel=1e-4)
    derived = torch.cat([weight.grad, bias.grad[:, None]], 1)
    torch.testing.assert_close(slope.double(), derived, rtol=1e-4, atol=1e-2)


def test_the_scale_of_a_dim_changes_nothing():
    x, y = blobs()
    plain = linear_probe(ArrayRows(x), y, penalties=[0.01], **PLAIN)
    scaled = (x - 5) * np.geomspace(100, 0.01, x.shape[1]).astype(np.float32)
    other = linear_probe(ArrayRows(scaled), y, penalties=[0.01], **PLAIN)
    np.testing.assert_allclose(outputs(plain, x), outputs(other, scaled), atol=1e-3)


def test_classes_that_do_not_occur_are_never_found():
    x, y = blobs()
    probe = linear_probe(ArrayRows(x), y * 10 + 3, penalties=[0.1, 0.01], **PLAIN)
    assert probe.classes.tolist() == [3, 13, 23, 33]
    plain = linear_probe(ArrayRows(x), y, penalties=[0.1, 0.01], **PLAIN)
    np.testing.assert_array_equal(probe.head.weight, plain.head.weight)


def test_one_class_constant_dims_and_two_images_are_no_trouble():
    x, y = blobs(50)
    one = linear_probe(ArrayRows(x), np.full(50, 7), penalties=[1.0, 0.1], **PLAIN)
    assert accuracy(ArrayRows(x), np.full(50, 7), one) == 1
    flat = np.column_stack([x, np.full(50, 3.0), np.zeros(50)]).astype(np.float32)
    probe = linear_probe(ArrayRows(flat), y, penalties=[0.1], **PLAIN)
    assert np.isfinite(probe.head.weight).all()
    two = linear_probe(ArrayRows(x[:2]), np.array([0, 1]), penalties=[1.0, 0.1], **PLAIN)
    assert accuracy(ArrayRows(x[:2]), np.array([0, 1]), two) == 1


@pytest.mark.parametrize("share", [0.2, 1 / 3, 0.5])
def test_of_every_class_the_share_is_held_out(share: float):
    label = np.repeat(np.arange(5), [100, 31, 7, 30, 200])
    label = np.random.default_rng(0).permutation(label)
    held = held_out(label, share, 3)
    for one in range(5):
        assert abs(held[label == one].sum() - share * (label == one).sum()) < 1
    np.testing.assert_array_equal(held, held_out(label, share, 3))
    assert (held != held_out(label, share, 4)).any()


def test_a_dim_of_rounding_is_not_blown_up():
    x, y = blobs()
    x[:, 0] = 1000 + 0.5 * (np.arange(len(x)) % 7 == 0)  # the steps of float16 there
    weight = {
        stored: linear_probe(ArrayRows(x), y, penalties=[0.1], stored=stored, **PLAIN).head.weight
        for stored in ("float16", "float32")
    }
    assert np.abs(weight["float16"][0, :, 0]).max() < 0.1 * np.abs(weight["float32"][0, :, 0]).max()


def test_something_is_held_out_and_something_is_left():
    for images in (2, 3, 5):
        for share in (0.01, 0.99):
            held = held_out(np.arange(images), share, images)
            assert 1 <= held.sum() <= images - 1
    with pytest.raises(ClusterError, match="found 1 images with a label, expected 2 or more"):
        held_out(np.zeros(1, int), 0.5, 0)


def test_images_without_a_label_are_refused():
    x, y = blobs()
    with pytest.raises(ClusterError, match="a label is below 0"):
        linear_probe(ArrayRows(x), np.where(y == 2, -1, y), penalties=[1.0], **PLAIN)


def test_votes_worked_out_by_hand():
    """Temperature 1, similarities log 4, log 3, log 2: votes 4 : 0, then 4 : 3, then 4 : 5."""
    similarity = np.log(np.array([[4, 3, 2]])).astype(np.float32)
    found = knn_probe(
        np.array([[0, 1, 2]]), similarity, np.array([6, 2, 2]), k=[1, 2, 3], temperature=1
    )
    assert found.tolist() == [[6], [6], [2]]


def test_it_is_scikit_learns_classifier_by_weighted_votes():
    x, y = blobs(300)
    x = x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    similarity = x[200:] @ x[:200].T
    near = np.argsort(-similarity, axis=1)[:, :20]
    found = knn_probe(
        near,
        np.take_along_axis(similarity, near, 1).astype(np.float32),
        y[:200],
        k=[5, 20],
        temperature=0.07,
    )
    for k, of_k in zip([5, 20], found, strict=True):
        theirs = KNeighborsClassifier(
            k, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07)
        ).fit(x[:200].astype(np.float64), y[:200])
        np.testing.assert_array_equal(of_k, theirs.predict(x[200:].astype(np.float64)))


def test_neighbours_without_a_label_have_no_vote():
    given = np.array([[0, 1, 2], [0, 1, 0]]), np.array([[0.9, 0.8, 0.1], [0.9, 0.8, 0.7]], "f4")
    found = knn_probe(*given, np.array([-1, -1, 4]), k=[2, 3], temperature=0.07)
    assert found.tolist() == [[-1, -1], [4, -1]]


@pytest.mark.parametrize("similarity", [1e4, -1e4])
def test_similarities_of_any_size_are_no_trouble(similarity: float):
    given = np.array([[0, 1, 2]]), np.full((1, 3), similarity, np.float32)
    found = knn_probe(*given, np.array([5, 3, 3]), k=[3], temperature=0.01)
    assert found.tolist() == [[3]]


def test_purity_by_hand():
    """Of the first: 1, 0, then an image without a label, and one whose neighbour has none."""
    neighbor = np.array([[1, 2], [2, 0], [0, 1], [4, 0]])
    label_of = np.array([7, 7, 3, 7, -1])
    found = purity(neighbor, np.array([7, 7, -1, 7]), label_of, [1, 2])
    np.testing.assert_allclose(found, [(1 + 0) / 2, (0.5 + 0.5 + 1) / 3])
    assert np.isnan(purity(neighbor, np.full(4, -1), label_of, [1])).all()


@pytest.mark.parametrize("cells", [1, 50])
def test_the_size_of_the_blocks_changes_nothing(cells: int, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    given = rng.integers(0, 50, (90, 12)), rng.random((90, 12)).astype(np.float32)
    label = rng.integers(-1, 4, 50)
    own = rng.integers(-1, 4, 90)
    whole = knn_probe(*given, label, k=[4, 12], temperature=0.1), purity(given[0], own, label, [3])
    monkeypatch.setattr("cluster.probes.knn_probe.CELLS", cells)
    parts = knn_probe(*given, label, k=[4, 12], temperature=0.1), purity(given[0], own, label, [3])
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_allclose(whole[1], parts[1], rtol=1e-12)


def test_more_neighbours_than_there_are_and_no_temperature_are_refused():
    given = np.zeros((2, 3), int), np.zeros((2, 3), np.float32), np.zeros(1, int)
    with pytest.raises(ClusterError, match="the first 4 neighbours are asked for, the table has 3"):
        knn_probe(*given, k=[4], temperature=1)
    with pytest.raises(ClusterError, match="the first 0 neighbours"):
        purity(given[0], given[2][[0, 0]], given[2], [0])
    with pytest.raises(ClusterError, match="the temperature is 0"):
        knn_probe(*given, k=[1], temperature=0)


def probe(folder: Path, **changes) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Run the stage; the facts for its metrics and the rows of its table."""
    said = call(folder, "probes", {**SETTINGS, **changes})
    with (folder / SCORES).open() as file:
        rows = list(csv.DictReader(file))
    return said, rows


def relabel(folder: Path, label: np.ndarray, dataset: str = "digits") -> None:
    attrs = {"dataset": dataset, "classes": [str(i) for i in range(10)]}
    store.save(folder / LABELS, "labels", {"label": label.astype(np.int32)}, attrs)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    write_dataset(tmp_path, "digits")
    write_neighbors(tmp_path)
    return tmp_path


def test_the_stage_probes_each_split_and_tells_mean_and_deviation(stored: Path):
    said, rows = probe(stored)
    assert tuple(rows[0]) == COLUMNS
    found = [(row["probe"], row["split"], row["seed"]) for row in rows]
    knn = [(f"knn_{k}", split, "") for split in ("train", "test") for k in (3, 10)]
    assert found == [("linear", "test", "0"), ("linear", "test", "1"), *knn]
    accs = [float(row["acc"]) for row in rows[:2]]
    assert said["test"]["linear_probe_acc"] == pytest.approx(np.mean(accs), abs=1e-4)
    assert said["test"]["linear_probe_acc_sd"] == pytest.approx(np.std(accs, ddof=1), abs=1e-4)
    assert said["train"].keys() == {
        "label_purity_1", "label_purity_5", "knn_3_probe_acc", "knn_10_probe_acc",
    }  # fmt: skip
    assert min(value for key, value in said["test"].items() if not key.endswith("sd")) > 0.6


def test_the_stage_fits_on_train_only(stored: Path):
    """Labels of the other split that are all wrong change no probe: it is just wrong there."""
    _, before = probe(stored)
    label = digits()[3]
    relabel(stored, np.where(np.arange(N) < TRAIN, label, (label + 1) % 10))
    said, after = probe(stored)
    assert [r for r in before if r["split"] == "train"] == [
        r for r in after if r["split"] == "train"
    ]
    assert said["test"]["linear_probe_acc"] < 0.2


def test_where_only_train_has_labels_a_third_is_held_out(stored: Path):
    label = digits()[3].copy()
    label[TRAIN:] = -1
    label[:10] = -1
    relabel(stored, label)
    said, rows = probe(stored)
    assert [r["seed"] for r in rows if r["split"] == "held out"] == ["0", "1"]
    assert said.keys() == {"train", "held out"}
    x, y = digits()[2][10:TRAIN].astype(np.float16).astype(np.float32), label[10:TRAIN]
    held = held_out(y, 1 / 3, 0)
    alone = linear_probe(
        ArrayRows(x[~held]), y[~held], penalties=SETTINGS["penalties"],
        validation=0.2, seed=0, max_iter=100,
    )  # fmt: skip
    assert float(rows[0]["acc"]) == pytest.approx(
        accuracy(ArrayRows(x[held]), y[held], alone), abs=1e-6
    )


def test_without_labels_there_is_a_line_and_nothing_else(
    stored: Path, capsys: pytest.CaptureFixture[str]
):
    relabel(stored, np.full(N, -1))
    assert probe(stored) == ({}, [])
    assert (stored / SCORES).read_text() == ",".join(COLUMNS) + "\n"
    assert capsys.readouterr().out.count("\n") == 1


def test_labels_of_another_index_are_refused(stored: Path):
    relabel(stored, np.zeros(5))
    with pytest.raises(StageError, match=r"holds image 159 of the index, .* for 5 images only"):
        probe(stored)
    relabel(stored, np.zeros(N), dataset="birds")
    with pytest.raises(StageError, match="is of dataset birds"):
        probe(stored)


def test_it_runs_from_the_command_line_and_refuses_in_one_line(project: Project):
    write_dataset(project.folder, "digits")
    write_neighbors(project.folder)
    project.params["probes"] = {
        key: list(value) if isinstance(value, tuple) else value for key, value in SETTINGS.items()
    }
    project.params["probes"]["knn"] = [13]
    line = project.refusal("probes", "digits", "pixels")
    assert "13 neighbours are asked for" in line
