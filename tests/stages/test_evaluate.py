"""Stage evaluate: files in, a table and a few headlines out."""

import contextlib
import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustered import N, write_clusters, write_dataset
from conftest import Project
from sklearn import metrics
from trained import watch

import store
from pipeline.io.absent import mark
from pipeline.io.cell import Cell
from pipeline.params import StageError
from stages.evaluate import COLUMNS, Params, main

CELL = Cell("d", "pixels", "evaluate")
Rows = list[dict[str, str]]


def evaluate(folder: Path, images: int = 100, seed: int = 0) -> Rows:
    headlines(folder, images, seed)
    with (folder / CELL.table).open(newline="") as file:
        return list(csv.DictReader(file))


def epochs(folder: Path) -> Rows:
    evaluate(folder, images=0)
    with (folder / CELL.metric("epochs.csv")).open(newline="") as file:
        return list(csv.DictReader(file))


def headlines(folder: Path, images: int = 100, seed: int = 0) -> dict[str, dict[str, Any]]:
    with contextlib.chdir(folder):
        facts = main(CELL, Params(silhouette_images=images, seed=seed))
    json.dumps(facts, allow_nan=False)
    return facts


def relabel(folder: Path, label: np.ndarray, classes: int = 10, dataset: str = "d") -> None:
    attrs = {"dataset": dataset, "classes": [str(i) for i in range(classes)]}
    store.save(folder / CELL.labels, "labels", {"label": label.astype(np.int32)}, attrs)


def change(path: Path, changes: dict[str, Any]) -> None:
    """Other attributes of a file of clusters."""
    with store.read(path, "clusters") as file:
        arrays, attrs = {name: file[name] for name in names_of(file)}, dict(file.attrs)
    store.save(path, "clusters", arrays, attrs | changes)


def names_of(file: store.File) -> list[str]:
    each = ("assignment", "distance", "centroids", "loss", "iterations")
    names = [f"{s}/{name}" for s in range(len(file["k"])) for name in each]
    return ["row", "split", "k", "dims", "mean", "components", "variance", *names]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d", settings=((10, 0), (10, 8)))
    write_clusters(tmp_path, "d", run="overcluster", settings=((25, 0),))
    return tmp_path


def test_the_stage_runs_from_the_command_line(project: Project, folder: Path) -> None:
    project.stage("evaluate", "d", "pixels")
    assert set(project.metrics("evaluate", "d")) == {"kmeans", "overcluster"}


def test_one_row_a_run_setting_split_and_seed(folder: Path) -> None:
    rows = evaluate(folder)
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == 3 * 2 * 3
    keys = {tuple(row[key] for key in ("run", "setting", "split", "seed")) for row in rows}
    assert len(keys) == len(rows)
    assert {(row["k"], row["dims"], row["dim"]) for row in rows} == {
        ("10", "0", "64"), ("10", "8", "8"), ("25", "0", "64"),
    }  # fmt: skip


def test_scores_are_those_of_the_files(folder: Path) -> None:
    row = next(r for r in evaluate(folder) if r["split"] == "test" and r["seed"] == "1")
    with store.read(folder / CELL._replace(run="kmeans").clusters, "clusters") as file:
        own = file["0/assignment"][1]
    with store.read(folder / CELL.labels, "labels") as file:
        label = file["label"]
    test = np.arange(N) >= N * 3 // 4
    assert float(row["ari"]) == pytest.approx(
        metrics.adjusted_rand_score(label[test], own[test]), abs=1e-6
    )
    train = np.array([np.bincount(label[~test & (own == c)], minlength=10) for c in range(10)])
    right = (label[test] == train.argmax(1)[own[test]]) & train.any(1)[own[test]]
    assert float(row["majority_acc_train_map"]) == pytest.approx(right.mean(), abs=1e-6)


@pytest.mark.parametrize("setting", [0, 1])
@pytest.mark.parametrize("unit", [True, False])
def test_the_silhouette_is_taken_in_one_space_whatever_was_clustered(
    folder: Path, setting: int, unit: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clusters(folder, "d", settings=((10, 0), (10, 8)), normalize=unit)
    # Runs that did not read a PCA, and one that did
    own = {"how": "neighbors"} if unit else {"how": "neighbors", "normalize": True}
    change(folder / CELL._replace(run="overcluster").clusters, own)
    rows = evaluate(folder, images=1000)
    row = next(
        r for r in rows
        if (r["run"], r["setting"]) == ("kmeans", str(setting)) and r["split"] == "train"
    )  # fmt: skip
    with store.read(folder / CELL._replace(run="kmeans").clusters, "clusters") as file:
        own = file[f"{setting}/assignment"][0, : N * 3 // 4]
    found = store.Features(folder / CELL.features)
    x = found.block(0, len(own))
    if unit:
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    said = "evaluate: silhouettes are among the vectors as they are (pca.normalize: false)\n"
    assert (said in capsys.readouterr().out) is not unit
    assert float(row["silhouette"]) == pytest.approx(metrics.silhouette_score(x, own), abs=1e-5)


def test_silhouettes_can_be_left_out(folder: Path) -> None:
    assert all(row["silhouette"] == "" for row in evaluate(folder, images=0))
    assert "silhouette" not in headlines(folder, images=0)["kmeans"]


def test_equal_input_gives_equal_bytes(folder: Path) -> None:
    places = [folder / path for path in (CELL.table, CELL.metric("epochs.csv"))]
    said = headlines(folder, images=50)
    before = [path.read_bytes() for path in places]
    assert headlines(folder, images=50) == said
    assert [path.read_bytes() for path in places] == before


def test_headlines_are_the_first_setting_on_train(folder: Path) -> None:
    rows = [r for r in evaluate(folder) if r["run"] == "kmeans" and r["setting"] == "0"]
    values = [float(row["acc"]) for row in rows if row["split"] == "train"]
    found = headlines(folder)["kmeans"]
    assert found["acc"] == pytest.approx(np.mean(values), abs=1e-4)
    assert found["acc_sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-4)


def test_images_without_a_label_are_left_out_of_the_label_scores_only(folder: Path) -> None:
    complete = evaluate(folder)
    with store.read(folder / CELL.labels, "labels") as file:
        label = file["label"]
    label[::2] = -1
    relabel(folder, label)
    rows = evaluate(folder)
    assert {(row["images"], row["labelled"]) for row in rows} == {("120", "60"), ("40", "20")}
    with store.read(folder / CELL._replace(run="kmeans").clusters, "clusters") as file:
        own = file["0/assignment"][0]
    here = np.arange(N) < 120
    expected = metrics.adjusted_rand_score(label[here][1::2], own[here][1::2])
    assert float(rows[0]["ari"]) == pytest.approx(expected, abs=1e-6)
    for column in ("silhouette", "stability", "entropy", "largest"):
        assert [row[column] for row in rows] == [row[column] for row in complete]


def test_a_dataset_without_labels_gets_the_label_free_scores(tmp_path: Path) -> None:
    write_dataset(tmp_path, "d", labelled=False)
    write_clusters(tmp_path, "d")
    rows = evaluate(tmp_path)
    assert {row["acc"] for row in rows} == {row["ami"] for row in rows} == {""}
    assert all(math.isfinite(float(row["silhouette"])) for row in rows)
    assert set(headlines(tmp_path)["kmeans"]) == {
        "k", "silhouette", "silhouette_sd", "stability"
    }  # fmt: skip


def test_labels_of_the_test_images_alone_are_enough(folder: Path) -> None:
    with store.read(folder / CELL.labels, "labels") as file:
        label = file["label"]
    relabel(folder, np.where(np.arange(N) < 120, -1, label))
    test = [row for row in evaluate(folder) if row["split"] == "test"]
    assert all(row["acc"] != "" and row["acc_train_map"] == "" for row in test)
    found = headlines(folder)["kmeans"]
    of_seeds = [
        float(row["acc"]) for row in test if (row["run"], row["setting"]) == ("kmeans", "0")
    ]
    assert set(found) == {"k", "silhouette", "silhouette_sd", "stability", "splits"}
    scores = found["splits"]["test"]  # a split may have the name of a score
    assert set(scores) == {f"{n}{sd}" for n in ("acc", "nmi", "ari") for sd in ("", "_sd")}
    assert scores["acc"] == pytest.approx(np.mean(of_seeds), abs=1e-4)


def test_a_single_seed_has_no_deviation_and_no_stability(tmp_path: Path) -> None:
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d", seeds=(7,))
    rows = evaluate(tmp_path)
    assert {row["seed"] for row in rows} == {"7"}
    assert {row["stability"] for row in rows} == {""}
    assert not any(key.endswith("_sd") for key in headlines(tmp_path)["kmeans"])


def test_clusters_of_another_dataset_are_scored_beside_its_own(folder: Path) -> None:
    # Fewer clusters than classes, and the labels hold a class that train has not.
    write_clusters(folder, "d", run="kmeans_from_other", settings=((3, 0),), fitted_on="other")
    with store.read(folder / CELL.labels, "labels") as file:
        label = file["label"]
    label[-5:] = 11
    relabel(folder, label, classes=12)
    rows = evaluate(folder)
    assert {row["fitted_on"] for row in rows if row["run"] == "kmeans_from_other"} == {"other"}
    assert {row["fitted_on"] for row in rows if row["run"] == "kmeans"} == {"d"}
    assert headlines(folder)["kmeans_from_other"]["k"] == 3


def test_clusters_that_go_beyond_the_labels_are_refused(folder: Path) -> None:
    relabel(folder, np.zeros(100))
    with pytest.raises(StageError, match=r"image 159 of the index.*labels for 100 images only"):
        evaluate(folder)


def test_clusters_of_images_without_features_are_refused(folder: Path) -> None:
    found = store.Features(folder / CELL.features)
    keep = np.arange(N) != 5
    plan = store.Plan(
        "d", "pixels", "0" * 32, 64, found.splits, found.id[keep], found.row[keep],
        found.split[keep],
    )  # fmt: skip
    store.FeatureWriter(folder / CELL.features, plan).finish()
    with pytest.raises(store.StoreError, match="has not all of the images asked for"):
        evaluate(folder)


def test_labels_of_another_dataset_are_refused(project: Project, folder: Path) -> None:
    relabel(folder, np.zeros(N), dataset="cats")
    assert "is of dataset d, expected cats" in project.refusal("evaluate", "d", "pixels")


def test_a_folder_without_clusterings_is_refused(folder: Path) -> None:
    for path in (folder / CELL.file("clusters")).glob("*.h5"):
        path.unlink()
    with pytest.raises(StageError, match=r"no file \*.h5; no stage that clusters"):
        evaluate(folder)


def test_the_accuracy_after_each_epoch_is_that_of_the_watched_images(folder: Path) -> None:
    row = np.arange(0, 120, 3)
    with store.read(folder / CELL.labels, "labels") as file:
        label = file["label"]
    right = label[row]
    turned = (right + 3) % 10  # the same clusters under other numbers
    half = np.where(np.arange(len(row)) < len(row) // 2, right, 9)
    one = np.zeros_like(right)
    each = np.array([[one, half, turned], [right, one, one]])
    watch(write_clusters(folder, "d", run="scan", seeds=(3, 5)), row, each)
    found = epochs(folder)
    assert {row["run"] for row in found} == {"scan"}
    assert [(r["seed"], r["epoch"]) for r in found] == [
        (seed, str(epoch)) for seed in "35" for epoch in (1, 2, 3)
    ]
    acc = np.array([float(row["acc"]) for row in found]).reshape(2, 3)
    most = np.bincount(right).max() / len(right)  # of one cluster for all
    np.testing.assert_allclose(acc[0, [0, 2]], [most, 1], rtol=1e-5)
    np.testing.assert_allclose(acc[1], [1, most, most], rtol=1e-5)
    assert most < acc[0, 1] < 1
    assert {row["labelled"] for row in found} == {"40"}


def test_epochs_leave_out_images_without_a_label_and_datasets_without_labels(folder: Path) -> None:
    row = np.arange(0, 120, 3)
    with store.read(folder / CELL.labels, "labels") as file:
        label = file["label"]
    wrong = label[row].copy()
    wrong[::2] = 0
    watch(write_clusters(folder, "d", run="scan", seeds=(0,)), row, wrong[None, None])
    assert float(epochs(folder)[0]["acc"]) < 1
    label[row[::2]] = -1
    relabel(folder, label)
    (found,) = epochs(folder)
    assert (found["acc"], found["labelled"]) == ("1", "20")
    relabel(folder, np.full(N, -1))
    assert epochs(folder) == []
    table = (folder / CELL.metric("epochs.csv")).read_text()
    assert table.startswith("dataset,backbone,run,setting,k,dims,")


def test_methods_without_epochs_leave_a_table_with_a_head_only(folder: Path) -> None:
    assert epochs(folder) == []


def test_of_an_absent_cell_all_outs_say_so(project: Project, folder: Path) -> None:
    shutil.rmtree(folder / CELL.features)
    mark([folder / CELL.features], "it has no pictures")
    project.stage("evaluate", "d", "pixels")
    assert (folder / CELL.table).exists()
    assert (folder / CELL.metric("epochs.csv")).exists()
    said = json.loads((folder / CELL.metric("evaluate.json")).read_text())
    assert said == {"absent": "d: it has no pictures"}
