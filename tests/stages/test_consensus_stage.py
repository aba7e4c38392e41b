"""member and consensus as stages: what they join, for whom they write, and what they refuse."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from clustered import N, split_of, write_clusters, write_dataset
from conftest import Project
from learning import CELL, call, write_neighbors
from sklearn.metrics import adjusted_rand_score

import store
from cluster.neighbors.knn_vote import knn_vote
from pipeline.io.absent import Absent
from pipeline.params import StageError

TRAIN = int((split_of(N) == 0).sum())
PLAIN: dict[str, Any] = {
    "k": (10,), "join": "same_k", "neighbors": 8, "voters": 6, "n_init": 3, "max_iter": 100,
    "tol": 1e-4, "seeds": (0, 1),
}  # fmt: skip
OUT = CELL._replace(run="consensus").clusters


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    write_dataset(tmp_path, "digits")
    write_neighbors(tmp_path)
    write_clusters(tmp_path, "digits", run="kmeans", settings=((10, 0), (15, 8)))
    write_clusters(tmp_path, "digits", run="temi", seeds=(5, 6))
    return tmp_path


def hand_over(folder: Path, *runs: str) -> None:
    import stages.member

    (folder / "params.yaml").write_text(yaml.safe_dump({"runs": {"member": list(runs)}}))
    with contextlib.chdir(folder):
        for name in runs:
            stages.member.main(CELL, "consensus", name)


def join(folder: Path, *runs: str, **changes: Any) -> dict[str, Any]:
    hand_over(folder, *runs)
    return call(folder, "consensus", {**PLAIN, **changes})


def assignments(folder: Path, run: str, setting: int = 0) -> np.ndarray:
    with store.read(folder / CELL._replace(run=run).clusters, "clusters") as file:
        return file[f"{setting}/assignment"]


def test_the_runs_are_joined_and_the_agreement_is_the_probability(digits: Path):
    said = join(digits, "kmeans", "temi")
    assert said["space"] == "unit length, no projection, what kmeans, temi put together"
    assert said["k10"]["clusterings"] == 5
    members = [*assignments(digits, "kmeans"), *assignments(digits, "temi")]
    with store.read(digits / OUT, "clusters") as file:
        assert (file["k"].tolist(), file.attrs["how"]) == ([10], "neighbors")
        assert file["0/voters"].tolist() == [6, 6]
        own, sure = file["0/assignment"][0], file["0/probability"][0]
    between = [adjusted_rand_score(a, b) for a in members for b in members if a is not b]
    mean = np.mean([adjusted_rand_score(member, own) for member in members])
    assert mean > np.mean(between)
    assert sure.min() >= 0
    assert sure.max() == 1
    np.testing.assert_allclose(sure * 5, np.round(sure * 5), atol=1e-5)
    assert abs(sure[:TRAIN].mean() - said["k10"]["agreement"]) < 1e-3


def test_others_are_voted_in(digits: Path):
    join(digits, "kmeans", "temi")
    own = assignments(digits, "consensus")
    with store.read(digits / CELL.neighbors, "neighbors") as file:
        near, similar = file["neighbor"][TRAIN:, :6], file["similarity"][TRAIN:, :6]
    np.testing.assert_array_equal(
        own[:, TRAIN:], knn_vote(near, similar, own[:, :TRAIN], 10).assignment
    )


def test_of_one_clustering_the_consensus_is_that(digits: Path):
    write_clusters(digits, "digits", run="temi", seeds=(5,))
    join(digits, "temi")
    (member,) = assignments(digits, "temi")
    for own in assignments(digits, "consensus"):
        assert adjusted_rand_score(member[:TRAIN], own[:TRAIN]) == 1
    with store.read(digits / OUT, "clusters") as file:
        assert (file["0/probability"][:, :TRAIN] == 1).all()


def test_equal_settings_give_equal_bytes(digits: Path):
    join(digits, "kmeans", "temi")
    first = (digits / OUT).read_bytes()
    join(digits, "kmeans", "temi")
    assert (digits / OUT).read_bytes() == first


def test_all_settings_are_joined_if_that_is_asked(digits: Path):
    assert join(digits, "kmeans", "temi", join="all")["k10"]["clusterings"] == 8


def test_a_k_that_no_run_has_is_left_out_or_refused(
    digits: Path, capsys: pytest.CaptureFixture[str]
):
    join(digits, "kmeans", k=(10, 12))
    assert "consensus: k of 12 left out: no run has so many clusters" in capsys.readouterr().out
    with pytest.raises(StageError, match=r"consensus\.k: the runs .* have 10, 15 clusters: choose"):
        join(digits, "kmeans", k=(12,))


def test_more_clusters_than_the_runs_tell_apart_stay_empty(
    digits: Path, capsys: pytest.CaptureFixture[str]
):
    write_clusters(digits, "digits", run="temi", seeds=(5,), settings=((3, 0),))
    join(digits, "temi", k=(5,), join="all")
    said = capsys.readouterr().out
    assert "consensus k=5: the runs tell only 3 groups apart" in said
    assert "clusters without an image: 2 (seed 0), 2 (seed 1)" in said


def test_a_graph_without_a_path_between_the_images_of_a_cluster_is_no_trouble(digits: Path):
    said = join(digits, "kmeans", "temi", neighbors=1)
    assert said["k10"]["agreement"] > 0.6


def test_absent_runs_are_left_out_and_without_any_other_it_is_absent(
    digits: Path, capsys: pytest.CaptureFixture[str]
):
    hand_over(digits, "kmeans", "temi")
    store.save(digits / CELL.member("consensus", "temi"), "absent", {}, {"reason": "too few"})
    call(digits, "consensus", PLAIN)
    assert "absent runs left out: temi" in capsys.readouterr().out
    store.save(digits / CELL.member("consensus", "kmeans"), "absent", {}, {"reason": "too few"})
    with pytest.raises(Absent, match="no run is there to be joined: too few"):
        call(digits, "consensus", PLAIN)


def test_runs_of_other_images_are_refused(digits: Path):
    hand_over(digits, "kmeans")
    path = digits / CELL.member("consensus", "kmeans")
    write_clusters(digits, "digits", run="kmeans")
    other = digits / CELL._replace(run="kmeans").clusters
    raw = other.read_bytes().replace(b"digits", b"widget")
    path.write_bytes(raw)
    with pytest.raises((StageError, store.StoreError)):
        call(digits, "consensus", PLAIN)


def test_they_run_from_the_command_line_and_an_absent_run_is_passed_on(project: Project):
    folder = project.folder
    write_dataset(folder, "digits")
    write_neighbors(folder)
    write_clusters(folder, "digits", run="kmeans")
    temi = folder / CELL._replace(run="temi").clusters
    store.save(temi, "absent", {}, {"reason": "too few"})
    project.params["runs"] |= {"member": ["kmeans", "temi"], "consensus": ["consensus"]}
    project.params["consensus"] = {
        key: list(value) if isinstance(value, tuple) else value for key, value in PLAIN.items()
    }
    for name in ("kmeans", "temi"):
        project.stage("member", "digits", "pixels", "consensus", name)
    said = project.stage("consensus", "digits", "pixels")
    assert "absent runs left out: temi" in said
    assert project.metrics("consensus")["k10"]["clusterings"] == 3
    metrics = folder / CELL.metric("member_consensus_temi.json")
    assert json.loads(metrics.read_text()) == {"absent": "too few"}
