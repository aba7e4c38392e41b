"""Stages candidates and rank: clusterings of several backbones side by side, without labels."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from clustered import SPLITS, N, digits, split_of, write_clusters, write_dataset, write_features
from conftest import Project

import store
from cluster.metrics.agreement import adjusted_rand_index
from cluster.ranking.places import mean_place
from cluster.spectral.snn_graph import shared_neighbor_graph
from pipeline.io.absent import Absent, mark
from pipeline.io.cell import Cell
from pipeline.params import StageError
from pipeline.ranking.candidates import place_of, read_candidates
from pipeline.ranking.judge import CRITERIA, RANKED, judge
from pipeline.ranking.settings import RankSettings
from stages import candidates, rank

PIXELS, EDGES = Cell("d", "pixels"), Cell("d", "edges")
TRAIN = N * 3 // 4
SETTINGS = RankSettings(neighbors=6, lag=4, images=1000, silhouette_images=1000, seed=0)


def write_neighbors(cell: Cell, columns: int = 6) -> None:
    """The nearest of train of every image."""
    found = store.Features(cell.features)
    x = found.block(0, len(found))
    away = np.linalg.norm(x[:, None] - x[None, :TRAIN], axis=2)
    away[np.arange(TRAIN), np.arange(TRAIN)] = np.inf
    near = np.argsort(away, axis=1, kind="stable")[:, :columns].astype(np.int32)
    arrays = {"row": found.row, "split": found.split, "neighbor": near}
    arrays["similarity"] = np.zeros(near.shape, np.float32)
    said = {"metric": "cosine", "splits": SPLITS, "dim": found.dim, "recall": 1.0}
    attrs = {"dataset": cell.dataset, "backbone": cell.backbone, **said}
    store.save(cell.neighbors, "neighbors", arrays, attrs)


def read_table() -> list[dict[str, str]]:
    with open("metrics/d/rank.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def both(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two backbones, with two runs each."""
    monkeypatch.chdir(project.folder)
    write_dataset(Path(), "d", labelled=False)
    _, digests, features, _ = digits()
    edges = np.diff(features.reshape(-1, 8, 8), axis=2).reshape(len(features), -1)
    write_features(Path(), "d", "edges", edges, digests)
    for cell in (PIXELS, EDGES):
        write_clusters(Path(), "d", cell.backbone, settings=((10, 0), (8, 8)))
        write_clusters(Path(), "d", cell.backbone, run="overcluster", settings=((25, 0),))
        write_neighbors(cell)
    project.params["datasets"] = {"d": {"from": "digits"}}
    project.params["backbones"] = {"pixels": {}, "edges": {}}
    project.params["all"] = {"pixels": {}, "edges": {}}
    project.params["rank"] |= SETTINGS.model_dump()
    return project


@pytest.fixture
def ranked(both: Project) -> Project:
    for cell in (PIXELS, EDGES):
        assert f"9 clusterings of d by {cell.backbone}" in both.stage("candidates", *cell[:2])
    assert "rank: of 18 clusterings" in both.stage("rank", "d")
    return both


def test_a_row_a_clustering_best_first(ranked: Project):
    rows = read_table()
    assert [row["rank"] for row in rows] == [str(n) for n in range(1, 19)]
    keys = {tuple(row[name] for name in ("backbone", "run", "setting", "seed")) for row in rows}
    assert len(keys) == 18
    scores = {name: np.array([float(row[name]) for row in rows]) for name in CRITERIA}
    place = mean_place({name: scores[name] for name in RANKED})
    np.testing.assert_allclose([float(row["place"]) for row in rows], place, rtol=1e-5)
    assert (np.diff(place) > -1e-5).all()
    said = json.loads(Path("metrics/d/rank.json").read_text())
    first = {name: rows[0][name] for name in ("backbone", "run", "setting", "k", "seed")}
    assert {name: str(value) for name, value in said["chosen"].items()} == first
    assert (said["candidates"], said["images"], said["neighbors"]) == (18, TRAIN, 6)
    assert 0 <= said["concordance"] <= 1
    assert len(said["correlations"]) == len(CRITERIA) * (len(CRITERIA) - 1) / 2


def test_scores_are_those_of_the_clusters_on_the_mean_of_both_graphs(ranked: Project):
    w = np.zeros((TRAIN, TRAIN))
    for cell in (PIXELS, EDGES):
        with store.read(cell.neighbors, "neighbors") as file:
            graph = shared_neighbor_graph(file["neighbor"][:TRAIN]).toarray()
        w += graph / graph.sum() / 2
    row = next(r for r in read_table() if (r["backbone"], r["run"], r["setting"], r["seed"]) == (
        "edges", "kmeans", "1", "2"))  # fmt: skip
    with store.read(EDGES._replace(run="kmeans").clusters, "clusters") as file:
        every = file["1/assignment"][:, :TRAIN]
    hot = np.eye(8)[every[2]]

    def information(joint: np.ndarray) -> float:
        inside = joint > 0
        expected = np.outer(joint.sum(1), joint.sum(0))
        return float((joint[inside] * np.log(joint[inside] / expected[inside])).sum())

    near = hot.T @ w @ hot
    step = w / w.sum(axis=0)
    far = hot.T @ np.linalg.matrix_power(step, 3) @ w @ hot
    assert float(row["information"]) == pytest.approx(information(near), rel=1e-5)
    assert float(row["information_far"]) == pytest.approx(information(far), rel=1e-5)
    modularity = np.trace(near) - np.square(near.sum(axis=1)).sum()
    assert float(row["modularity"]) == pytest.approx(modularity, rel=1e-5)
    agree = [adjusted_rand_index(every[2], other) for other in every[:2]]
    assert float(row["stability"]) == pytest.approx(np.mean(agree), rel=1e-5)


def test_neither_labels_nor_the_order_of_backbones_decide(ranked: Project):
    before = Path("metrics/d/rank.csv").read_bytes()
    Path("data/d/labels.h5").unlink()
    for cell in (PIXELS, EDGES):
        ranked.stage("candidates", *cell[:2])
    ranked.params["backbones"] = {"edges": {}, "pixels": {}}
    ranked.stage("rank", "d")
    rows = Path("metrics/d/rank.csv").read_text().splitlines()
    assert sorted(rows) == sorted(before.decode().splitlines())
    ranked.params["backbones"] = {"pixels": {}, "edges": {}}
    ranked.stage("rank", "d")
    assert Path("metrics/d/rank.csv").read_bytes() == before


def test_what_was_taken_out_of_the_params_and_absent_cells_stay_out(ranked: Project):
    mark([place_of(EDGES)], "no run has clusters: too few images")
    said = ranked.stage("rank", "d")
    assert "rank: edges is left out: no run has clusters: too few images" in said
    assert {row["backbone"] for row in read_table()} == {"pixels"}
    ranked.params["all"] = {"edges": {}}
    said = ranked.stage("rank", "d")
    assert "there is nothing to do: no run has clusters: too few images" in said
    assert "absent" in json.loads(Path("metrics/d/rank.json").read_text())
    ranked.params["all"] = ranked.params["backbones"] = {"other": {}}
    ranked.write_params()
    with pytest.raises(StageError, match="run `dvc repro candidates`"):
        rank.main("d", SETTINGS)


def test_cells_are_compared_on_the_images_that_all_have(both: Project):
    """The first 40 images are not among those of one backbone."""
    _, digests, features, _ = digits()
    path = EDGES.features
    for file in path.glob("*"):
        file.unlink()
    plan = store.Plan(
        "d", "edges", "0" * 32, features.shape[1], SPLITS, digests[40:], np.arange(40, N),
        split_of(N)[40:],
    )  # fmt: skip
    writer = store.FeatureWriter(path, plan)
    writer.put(writer.todo, features[40:][writer.todo])
    writer.finish()
    found = store.Features(path)
    near = np.array([[40 + (i + j) % 80 for j in range(1, 7)] for i in range(len(found))], np.int32)
    arrays = {"row": found.row, "split": found.split, "neighbor": near}
    arrays["similarity"] = np.zeros(near.shape, np.float32)
    said = {"metric": "cosine", "splits": SPLITS, "dim": found.dim, "recall": 1.0}
    store.save(EDGES.neighbors, "neighbors", arrays, {"dataset": "d", "backbone": "edges", **said})
    write_clusters(Path(), "d", "edges")
    EDGES._replace(run="overcluster").clusters.unlink()
    for cell in (PIXELS, EDGES):
        both.stage("candidates", *cell[:2])
    assert "rank: on the 80 images that all backbones have, of 120" in both.stage("rank", "d")
    cells = [read_candidates(place_of(cell)) for cell in (PIXELS, EDGES)]
    alone = judge([cells[0]._replace(row=np.arange(TRAIN))], SETTINGS)
    assert alone.images == TRAIN
    with pytest.raises(Absent, match="have 0 images of train in common"):
        judge([cells[0], cells[1]._replace(row=cells[1].row + 1000)], SETTINGS)


def test_runs_of_other_datasets_are_no_candidates(both: Project):
    write_clusters(Path(), "d", run="kmeans_from_more", fitted_on="more")
    both.stage("candidates", "d", "pixels")
    found = read_candidates(place_of(PIXELS))
    assert {c.run for c in found.every} == {"kmeans", "overcluster"}
    for run in ("kmeans", "overcluster"):
        PIXELS._replace(run=run).clusters.unlink()
    assert "no run was fitted on train of the dataset itself" in both.stage(
        "candidates", *PIXELS[:2]
    )


def test_a_table_of_neighbours_that_is_too_narrow_or_of_others_is_one_line(both: Project):
    write_neighbors(PIXELS, 4)
    with pytest.raises(StageError, match=r"has 4: set neighbors\.k to 6"):
        candidates.main(PIXELS, SETTINGS)
    with store.read(PIXELS.neighbors, "neighbors") as file:
        arrays = {name: file[name] for name in ("row", "split", "neighbor", "similarity")}
        attrs = dict(file.attrs)
    arrays["neighbor"] += 1000
    store.save(PIXELS.neighbors, "neighbors", arrays, attrs)
    with pytest.raises(StageError, match="neighbours outside of train"):
        candidates.main(PIXELS, SETTINGS.model_copy(update={"neighbors": 4}))
