"""dcsbm and finish as stages: what they write, for whom, how they go on, what they refuse."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Project
from learning import CELL, FEATURES, RUNTIME, call, run_with_stops, write_all, write_pca
from sklearn.metrics import normalized_mutual_info_score
from test_spectral_stage import write_vectors

import store
from cluster.block_model.information import edge_information
from cluster.neighbors.knn_vote import knn_vote
from pipeline.fitting.edge_graph import open_edge_graph
from pipeline.io.space import open_space
from pipeline.params import StageError
from stages import dcsbm, finish

GRAPH: dict[str, Any] = {
    "neighbors": 6, "candidates": 12, "dims": 16, "lag": 2, "sweeps": 20, "voters": 5,
}  # fmt: skip
PLAIN: dict[str, Any] = {
    **GRAPH, "k": (10, "1.5x"), "eigenvectors": 40, "n_init": 1, "max_iter": 30, "tol": 1e-4,
    "seeds": (0, 1),
}  # fmt: skip
OUT = CELL._replace(run="dcsbm").clusters
KMEANS: dict[str, Any] = {
    "k": (10,), "dims": (0, 8), "metric": "euclidean", "algorithm": "lloyd", "batch": 64,
    "init_images": 1000, "n_init": 1, "max_iter": 20, "tol": 1e-4, "seeds": (0, 1),
}  # fmt: skip


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    return write_all(tmp_path)


def cluster(folder: Path, **changes: Any) -> dict[str, Any]:
    return call(folder, "dcsbm", {**PLAIN, **changes})


def finished(folder: Path, of: str, **changes: Any) -> dict[str, Any]:
    with contextlib.chdir(folder):
        params = finish.Params(**{**GRAPH, **changes})
        return finish.main(CELL._replace(run="finish"), of, params, RUNTIME)


def arrays_of(path: Path, *names: str) -> dict[str, np.ndarray]:
    with store.read(path, "clusters") as file:
        return {name: file[name] for name in names}


def test_every_k_and_seed_is_kept_with_its_information(digits: Path):
    said = cluster(digits)
    names = [f"{s}/{n}" for s in (0, 1) for n in ("assignment", "loss", "voters", "probability")]
    found = arrays_of(digits / OUT, "k", "dims", *names)
    assert (found["k"].tolist(), found["dims"].tolist()) == ([10, 15], [0, 0])
    assert found["0/voters"].tolist() == [5, 5]
    np.testing.assert_allclose(said["information"][1], -found["1/loss"], atol=1e-4)
    with contextlib.chdir(digits):
        space = open_space(CELL.features, CELL.pca)
        edges = open_edge_graph(CELL, space, dcsbm.Params(**PLAIN), RUNTIME)
    own = found["0/assignment"][0][space.train]
    assert -found["0/loss"][0] == edge_information(edges.graph, own, 10, lag=2)


def test_train_is_fitted_and_the_others_are_voted_in(digits: Path):
    cluster(digits)
    found = arrays_of(digits / OUT, "split", "0/assignment", "0/probability")
    with store.read(digits / CELL.neighbors, "neighbors") as file:
        near, similar = file["neighbor"][:, :5], file["similarity"][:, :5]
    train, own = found["split"] == 0, found["0/assignment"]
    voted = knn_vote(near[~train], similar[~train], own[:, train], 10)
    np.testing.assert_array_equal(own[:, ~train], voted.assignment)
    np.testing.assert_array_equal(found["0/probability"][:, ~train], voted.probability)


def test_a_stopped_run_goes_on_to_the_same_bytes(digits: Path, monkeypatch: pytest.MonkeyPatch):
    cluster(digits)
    whole = (digits / OUT).read_bytes()
    (digits / OUT).unlink()
    stops, saved = run_with_stops(lambda: cluster(digits), 5, monkeypatch)
    assert stops > 3
    assert len(saved) > 20
    assert (digits / OUT).read_bytes() == whole
    assert not list((digits / OUT).parent.glob("*.part"))


def test_any_run_is_finished_as_a_run_of_its_own(digits: Path):
    call(digits, "kmeans", KMEANS)
    before = CELL._replace(run="kmeans").clusters
    kept = (digits / before).read_bytes()
    said = finished(digits, "kmeans")
    assert (digits / before).read_bytes() == kept
    after = digits / CELL._replace(run="kmeans_finished").clusters
    found = arrays_of(after, "k", "dims", "0/loss", "1/loss", "1/assignment")
    assert (found["k"].tolist(), found["dims"].tolist()) == ([10, 10], [0, 8])
    assert said["information"] == [
        [round(-float(loss), 4) for loss in found[f"{s}/loss"]] for s in (0, 1)
    ]
    start = arrays_of(digits / before, "1/assignment", "split")
    train = start["split"] == 0
    with contextlib.chdir(digits):
        space = open_space(CELL.features, CELL.pca)
        edges = open_edge_graph(CELL, space, finish.Params(**GRAPH), RUNTIME)
    for seed, loss in enumerate(found["1/loss"]):
        own = start["1/assignment"][seed][train]
        assert -loss > edge_information(edges.graph, own, 10, lag=2)
    with store.read(after, "clusters") as file:
        assert (file.attrs["how"], file.attrs["run"]) == ("neighbors", "kmeans_finished")


def test_a_finished_run_can_be_finished_assigned_and_found_by_later_stages(project: Project):
    write_all(project.folder)
    project.params["kmeans"] |= {"k": [10], "dims": [0, 8], "n_init": 1, "seeds": [0]}
    project.params["finish"] |= GRAPH
    project.params["runs"] |= {"finish": ["kmeans"], "export": ["kmeans_finished"]}
    for words in (
        ("kmeans",), ("finish",), ("duplicates",), ("evaluate",), ("export",)
    ):  # fmt: skip
        more = {"finish": ["kmeans"], "export": ["clusters/kmeans_finished"]}.get(words[0], [])
        project.stage(*words, "digits", "pixels", *more)
    assert {"kmeans", "kmeans_finished"} <= set(project.metrics("evaluate", "digits"))
    assert (project.folder / CELL.file("tables/kmeans_finished.csv")).exists()
    project.params["runs"]["finish"] = []
    line = project.refusal("finish", "digits", "pixels", "kmeans")
    assert "runs.export: kmeans_finished is off: take it out, or add kmeans to" in line


def test_mistakes_are_refused_in_one_line(digits: Path):
    with pytest.raises(StageError, match=r"dcsbm.candidates is 5, fewer than its 6 neighbors"):
        cluster(digits, candidates=5)
    with pytest.raises(StageError, match=r"13 neighbours are asked for, .* has 12: set neighb"):
        cluster(digits, candidates=13)
    with pytest.raises(StageError, match="k is 121, but there are 120 images to fit on"):
        cluster(digits, k=(121,))


def test_odd_settings_are_no_crash(digits: Path, capsys: pytest.CaptureFixture[str]):
    said = cluster(digits, neighbors=1, voters=1, k=(1, 3, 110), seeds=(0,), lag=1)
    assert said["components"] > 10
    assert "falls into" in capsys.readouterr().out
    assert not arrays_of(digits / OUT, "0/assignment")["0/assignment"].any()
    cluster(digits, dims=1, k=(10,), seeds=(0,), eigenvectors=2)


def test_copies_are_one_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Files sorted by class, each of the same 20 vectors: the order tells nothing."""
    n = 160
    vectors = np.random.default_rng(0).normal(size=(20, 16))
    write_vectors(tmp_path, vectors[np.arange(n) % 20])
    write_pca(tmp_path)
    cluster(tmp_path, k=(4,), seeds=(0,))
    assert "120 images have 20 distinct vectors; copies are one" in capsys.readouterr().out
    own = arrays_of(tmp_path / OUT, "0/assignment")["0/assignment"][0]
    assert len(np.unique(own)) > 1
    assert normalized_mutual_info_score(np.repeat(range(8), 20), own) < 1e-9
    assert store.Features(tmp_path / FEATURES).dim == 16
