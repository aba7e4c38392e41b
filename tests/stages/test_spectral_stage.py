"""spectral as a stage: what it writes, for whom, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustered import N, split_of, write_dataset, write_features, write_index
from conftest import Project
from learning import CELL, FEATURES, TABLE, call
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from stored import digests

import store
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.knn_vote import knn_vote
from cluster.spectral.snn_graph import shared_neighbor_graph
from cluster.spectral.spectral import leading_eigenvectors, spectral
from cluster.vectors.rows import Subset
from pipeline.params import StageError

TRAIN = int((split_of(N) == 0).sum())  # they come first
PLAIN: dict[str, Any] = {
    "k": (10, "1.5x"),
    "neighbors": 8,
    "eigenvalues": 20,
    "voters": 6,
    "n_init": 3,
    "max_iter": 100,
    "tol": 1e-4,
    "seeds": (0, 1),
}
OUT = CELL._replace(run="spectral").clusters


def write_neighbors(folder: Path, k: int = 12, metric: str = "cosine", among: int = TRAIN) -> Path:
    """The table of the dataset `digits`: by all pairs, neighbours among the first `among`."""
    found = store.Features(folder / FEATURES)
    x = found.block(0, N).astype(np.float64)
    if metric == "cosine":
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        similarity = x @ x.T
    else:
        similarity = -np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(similarity, -np.inf)
    near = np.argsort(-similarity[:, :among], axis=1, kind="stable")[:, :k]
    arrays = {
        "row": found.row,
        "split": found.split,
        "neighbor": near.astype(np.int32),
        "similarity": np.take_along_axis(similarity, near, axis=1).astype(np.float32),
    }
    attrs = {"dataset": "digits", "backbone": "pixels", "metric": metric, "splits": found.splits}
    store.save(folder / TABLE, "neighbors", arrays, {**attrs, "dim": found.dim, "recall": 1.0})
    return folder / TABLE


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    write_dataset(tmp_path, "digits")
    write_neighbors(tmp_path)
    return tmp_path


def cluster(folder: Path, **changes: Any) -> dict[str, Any]:
    """Run the stage; the facts for its metrics."""
    return call(folder, "spectral", {**PLAIN, **changes})


def read(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    with store.read(folder / OUT, "clusters") as file:
        names = ["k", "dims", "mean", "components", "split"]
        names += [f"{s}/{n}" for s in (0, 1) for n in ("assignment", "probability", "voters")]
        return {name: file[name] for name in (*names, "0/loss", "1/loss")}, file.attrs


def test_every_k_and_seed_is_kept_with_how_others_are_assigned(digits: Path):
    cluster(digits)
    arrays, attrs = read(digits)
    assert (arrays["k"].tolist(), arrays["dims"].tolist()) == ([10, 15], [0, 0])
    assert arrays["0/voters"].tolist() == [6, 6]
    assert set(np.unique(arrays["1/assignment"][0])) == set(range(15))
    assert (attrs["how"], attrs["metric"], attrs["normalize"]) == ("neighbors", "cosine", True)
    assert arrays["components"].shape == (0, 64)


def test_train_is_fitted_and_the_others_are_voted_in(digits: Path):
    cluster(digits)
    arrays, _ = read(digits)
    with store.read(digits / TABLE, "neighbors") as file:
        neighbor, similarity = file["neighbor"], file["similarity"]
    leading = leading_eigenvectors(shared_neighbor_graph(neighbor[:TRAIN, :8]), 21)
    fit = spectral(leading, 10, seeds=[0, 1], n_init=3, max_iter=100, tol=1e-4)
    np.testing.assert_array_equal(arrays["0/assignment"][:, :TRAIN], fit.assignment)
    np.testing.assert_array_equal(arrays["0/loss"], fit.loss)
    voted = knn_vote(neighbor[TRAIN:, :6], similarity[TRAIN:, :6], fit.assignment, 10)
    np.testing.assert_array_equal(arrays["0/assignment"][:, TRAIN:], voted.assignment)
    np.testing.assert_array_equal(arrays["0/probability"][:, TRAIN:], voted.probability)
    own = fit.assignment[0]
    agree = own[neighbor[:TRAIN, :6]] == own[:, None]
    weight = similarity[:TRAIN, :6].astype(np.float64)
    share = (agree * weight).sum(1) / weight.sum(1)
    np.testing.assert_allclose(arrays["0/probability"][0, :TRAIN], share, rtol=1e-6)


def test_one_k_is_the_same_alone_and_beside_another(digits: Path):
    cluster(digits)
    both = read(digits)[0]["1/assignment"]
    cluster(digits, k=(15,))
    with store.read(digits / OUT, "clusters") as file:
        np.testing.assert_array_equal(file["0/assignment"], both)


def test_equal_settings_give_equal_bytes(digits: Path):
    cluster(digits)
    first = (digits / OUT).read_bytes()
    cluster(digits)
    assert (digits / OUT).read_bytes() == first


def test_the_metrics_tell_the_eigengap_and_the_parts_of_the_graph(digits: Path):
    said = cluster(digits)
    gaps = np.diff(said["eigenvalues"])
    assert said["eigengap_k"] == 2 + gaps[1:].argmax()
    assert (len(said["eigenvalues"]), said["components"], said["isolated"]) == (21, 1, 0)


def test_a_graph_that_falls_apart_is_told(digits: Path, capsys: pytest.CaptureFixture[str]):
    said = cluster(digits, neighbors=1, voters=1)
    assert said["components"] > 10
    assert "falls into" in capsys.readouterr().out


def test_a_table_of_distances_serves_as_well(digits: Path):
    cluster(digits)
    cosine = read(digits)[0]["0/assignment"]
    write_neighbors(digits, metric="euclidean")
    cluster(digits)
    arrays, attrs = read(digits)
    assert (attrs["metric"], attrs["normalize"]) == ("euclidean", False)
    assert adjusted_rand_score(cosine[0], arrays["0/assignment"][0]) > 0.3


def test_more_neighbours_than_the_table_has_are_refused(digits: Path):
    with pytest.raises(StageError, match=r"13 neighbours are asked for, .* has 12: set neighb"):
        cluster(digits, voters=13)


def test_neighbours_outside_of_train_are_refused(digits: Path):
    write_neighbors(digits, among=N)
    with pytest.raises(StageError, match="has neighbours outside of train: run `dvc repro neigh"):
        cluster(digits)


def write_vectors(folder: Path, x: np.ndarray) -> None:
    """The dataset `digits` with other vectors, float [image, dim], and their neighbours."""
    write_index(folder, "digits", [f"{i:03}.png" for i in range(N)], digests(range(N)))
    write_features(folder, "digits", "pixels", x.astype(np.float32), digests(range(N)))
    found = store.Features(folder / FEATURES)
    rows, own = Subset(found, np.arange(TRAIN)), np.where(np.arange(N) < TRAIN, np.arange(N), -1)
    table = nearest_neighbors(found, rows, 12, metric="cosine", own=own)
    arrays = {"row": found.row, "split": found.split, **table._asdict()}
    attrs = {"dataset": "digits", "backbone": "pixels", "metric": "cosine"}
    attrs |= {"splits": found.splits, "dim": found.dim, "recall": 1.0}
    store.save(folder / TABLE, "neighbors", arrays, attrs)


@pytest.mark.parametrize("black", [False, True])
def test_files_sorted_by_class_tell_nothing_where_the_vectors_do_not(
    black: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Classes one after the other, each of the same 20 vectors; or of 15 and black pictures."""
    vectors = np.random.default_rng(0).normal(size=(20, 16))
    label = np.repeat(range(8), 20)
    x = vectors[np.arange(N) % 20]
    x[np.arange(N) % 4 == 1] *= not black
    write_vectors(tmp_path, x)
    cluster(tmp_path, k=(4,), neighbors=8, voters=6)
    said = capsys.readouterr().out
    assert f"120 images have {16 if black else 20} distinct vectors; copies are one" in said
    with store.read(tmp_path / OUT, "clusters") as file:
        for own in file["0/assignment"]:
            assert len(np.unique(own)) == 4
            assert normalized_mutual_info_score(label, own) < 1e-9


def test_the_order_of_files_with_equal_vectors_changes_no_cluster(tmp_path: Path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 16))[rng.integers(0, 40, N)]
    order = np.r_[rng.permutation(TRAIN), np.arange(TRAIN, N)]
    found = []
    for folder, each in ((tmp_path / "one", x), (tmp_path / "other", x[order])):
        write_vectors(folder, each)
        cluster(folder, k=(5,))
        with store.read(folder / OUT, "clusters") as file:
            found.append(file["0/assignment"][:, :TRAIN])
    np.testing.assert_array_equal(found[0][:, order[:TRAIN]], found[1])


def test_it_runs_from_the_command_line_and_refuses_in_one_line(project: Project):
    write_dataset(project.folder, "digits")
    write_neighbors(project.folder)
    project.params["spectral"] = {
        key: list(value) if isinstance(value, tuple) else value for key, value in PLAIN.items()
    }
    project.stage("spectral", "digits", "pixels")
    assert read(project.folder)[1]["run"] == "spectral"
    project.params["spectral"]["k"] = [121]
    line = project.refusal("spectral", "digits", "pixels")
    assert line == "spectral: k is 121, but there are 120 images to fit on: choose k from 1 to 120"
