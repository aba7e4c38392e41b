"""The table of All, Old and New: which images are scored, by whom, and what is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from clustered import N, digits, split_of, write_clusters, write_dataset
from discovered import write_known

import store
from cluster.metrics.discovery import discovery_scores
from pipeline.params import StageError
from stages.evaluate_discovery import main

KNOWN, LABELS = "data/known/digits.h5", "data/labels/digits.h5"
CLUSTERS, FOUND = "data/clusters/digits/pixels", "data/clusters/discovered/digits/pixels"
METRICS, SCORES = "metrics/digits/pixels.discovery.json", "data/scores/discovery/digits/pixels.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """k-means as itself, and, by the name of a method that knew labels, once more."""
    write_dataset(tmp_path, "digits")
    write_known(tmp_path)
    write_clusters(tmp_path, "digits", run="sskmeans", settings=((10, 0), (12, 8)))
    (tmp_path / FOUND).mkdir(parents=True)
    (tmp_path / CLUSTERS / "sskmeans.h5").rename(tmp_path / FOUND / "sskmeans.h5")
    write_clusters(tmp_path, "digits")
    return tmp_path


def evaluate(folder: Path) -> list[dict[str, str]]:
    main(*(folder / name for name in (FOUND, CLUSTERS, KNOWN, LABELS, METRICS, SCORES)))
    with (folder / SCORES).open(newline="") as file:
        return list(csv.DictReader(file))


def test_there_is_a_row_a_run_setting_and_seed(folder: Path):
    rows = evaluate(folder)
    keys = [(r["run"], int(r["labelled"]) > 0, r["setting"], r["k"], r["seed"]) for r in rows]
    partly = [("sskmeans", True, s, k, seed) for s, k in (("0", "10"), ("1", "12"))
              for seed in "012"]  # fmt: skip
    assert keys == [*partly, *(("kmeans", False, "0", "10", seed) for seed in "012")]


def test_the_unlabelled_images_of_train_are_scored_and_no_others(folder: Path):
    row = evaluate(folder)[0]
    label = digits()[3]
    with store.read(folder / KNOWN, "known") as file:
        here = (file["label"] < 0) & (split_of(N) == 0)
    with store.read(folder / FOUND / "sskmeans.h5", "clusters") as file:
        own = file["0/assignment"][0]
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (own[here], label[here]), 1)
    assert int(row["images"]) == here.sum() < 120
    for name, value in discovery_scores(counts, np.arange(10) < 5).items():
        assert float(row[name]) == pytest.approx(value, rel=1e-5)


def test_headlines_are_means_over_seeds_of_the_first_setting(folder: Path):
    rows = evaluate(folder)
    said = json.loads((folder / METRICS).read_text())
    each = [float(r["new_v2"]) for r in rows if r["run"] == "kmeans"]
    assert said["kmeans"]["new_v2"] == pytest.approx(np.mean(each), abs=1e-4)
    assert said["kmeans"]["new_v2_sd"] == pytest.approx(np.std(each, ddof=1), abs=1e-4)
    assert said["sskmeans"]["k"] == 10


def test_clusters_of_another_dataset_are_left_out(folder: Path):
    write_clusters(folder, "digits", run="kmeans_from_letters", fitted_on="letters")
    assert {row["run"] for row in evaluate(folder)} == {"sskmeans", "kmeans"}


def test_without_labels_the_scores_are_empty(folder: Path, capsys: pytest.CaptureFixture[str]):
    label = {"label": np.full(N, -1, np.int32)}
    store.save(folder / LABELS, "labels", label, {"dataset": "digits", "classes": []})
    rows = evaluate(folder)
    assert {(row["images"], row["all_v2"], row["new_v1"]) for row in rows} == {("0", "", "")}
    assert json.loads((folder / METRICS).read_text())["sskmeans"] == {"k": 10}
    assert "there is nothing to score" in capsys.readouterr().out


def test_files_of_other_images_are_refused(folder: Path):
    write_known(folder, "letters")
    (folder / "data/known/letters.h5").rename(folder / KNOWN)
    with pytest.raises(StageError, match=r"known/digits\.h5 is of other images"):
        evaluate(folder)


def test_a_folder_without_runs_is_refused(folder: Path):
    (folder / FOUND / "sskmeans.h5").unlink()
    with pytest.raises(StageError, match="a stage such as sskmeans has not run"):
        evaluate(folder)
