"""The table of All, Old and New: which images are scored, by whom, and what is refused."""

import contextlib
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustered import N, digits, split_of, write_clusters, write_dataset
from discovered import write_known

import store
from cluster.metrics.discovery import discovery_scores
from pages.report.chosen.clusters import read_chosen
from pages.report.chosen.pick import Examples
from pipeline.io.cell import Cell, known_of
from pipeline.params import StageError
from stages.evaluate_discovery import main

CELL = Cell("digits", "pixels", "evaluate_discovery")
FOUND = CELL._replace(run="sskmeans").discovered
EXAMPLES = Examples(clusters=3, images=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """k-means as itself, and, by the name of a method that knew labels, once more."""
    write_dataset(tmp_path, "digits")
    write_known(tmp_path)
    write_clusters(tmp_path, "digits", run="sskmeans", settings=((10, 0), (12, 8)))
    (tmp_path / FOUND).parent.mkdir(parents=True)
    (tmp_path / CELL._replace(run="sskmeans").clusters).rename(tmp_path / FOUND)
    write_clusters(tmp_path, "digits")
    return tmp_path


def score(folder: Path, runs: Sequence[str] = ("simgcd", "sskmeans")) -> dict[str, Any]:
    with contextlib.chdir(folder):
        Path("params.yaml").write_text(json.dumps({"runs": {"export_discovered": list(runs)}}))
        return main(CELL, EXAMPLES)


def evaluate(folder: Path) -> list[dict[str, str]]:
    score(folder)
    with (folder / CELL.table).open(newline="") as file:
        return list(csv.DictReader(file))


def test_there_is_a_row_a_run_setting_and_seed(folder: Path):
    rows = [row for row in evaluate(folder) if row["split"] == "train"]
    keys = [(r["run"], int(r["labelled"]) > 0, r["setting"], r["k"], r["seed"]) for r in rows]
    partly = [("sskmeans", True, s, k, seed) for s, k in (("0", "10"), ("1", "12"))
              for seed in "012"]  # fmt: skip
    assert keys == [*partly, *(("kmeans", False, "0", "10", seed) for seed in "012")]


def test_the_unlabelled_images_of_train_are_scored_and_no_others(folder: Path):
    row = evaluate(folder)[0]
    label = digits()[3]
    with store.read(folder / CELL.known, "known") as file:
        here = (file["label"] < 0) & (split_of(N) == 0)
    with store.read(folder / FOUND, "clusters") as file:
        own = file["0/assignment"][0]
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (own[here], label[here]), 1)
    assert int(row["images"]) == here.sum() < 120
    for name, value in discovery_scores(counts, np.arange(10) < 5).items():
        assert float(row[name]) == pytest.approx(value, rel=1e-5)


def test_other_splits_are_scored_apart_on_all_of_their_images(folder: Path):
    rows = [row for row in evaluate(folder) if row["split"] == "test"]
    assert {row["images"] for row in rows} == {"40"}
    label, test = digits()[3], split_of(N) == 1
    with store.read(folder / FOUND, "clusters") as file:
        own = file["0/assignment"][0]
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (own[test], label[test]), 1)
    row = next(row for row in rows if (row["run"], row["setting"]) == ("sskmeans", "0"))
    for name, value in discovery_scores(counts, np.arange(10) < 5).items():
        assert float(row[name]) == pytest.approx(value, rel=1e-5)
    assert "splits" not in score(folder)["sskmeans"]
    # Labels of the images of test alone are enough
    label = {"label": np.where(test, label, -1).astype(np.int32)}
    attrs = {"dataset": "digits", "classes": [str(c) for c in range(10)]}
    store.save(folder / CELL.labels, "labels", label, attrs)
    said = score(folder)["sskmeans"]
    assert set(said) == {"k", "splits"}
    seeds = [float(row["all_v2"]) for row in rows if row["run"] == "sskmeans"][:3]
    assert said["splits"]["test"]["all_v2"] == pytest.approx(np.mean(seeds), abs=1e-4)


def test_headlines_are_means_over_seeds_of_the_first_setting(folder: Path):
    rows = evaluate(folder)
    said = score(folder)
    each = [float(r["new_v2"]) for r in rows if (r["run"], r["split"]) == ("kmeans", "train")]
    assert said["kmeans"]["new_v2"] == pytest.approx(np.mean(each), abs=1e-4)
    assert said["kmeans"]["new_v2_sd"] == pytest.approx(np.std(each, ddof=1), abs=1e-4)
    assert said["sskmeans"]["k"] == 10


def test_clusters_of_another_dataset_are_left_out(folder: Path):
    write_clusters(folder, "digits", run="kmeans_from_letters", fitted_on="letters")
    assert {row["run"] for row in evaluate(folder)} == {"sskmeans", "kmeans"}


def test_without_labels_the_scores_are_empty(folder: Path, capsys: pytest.CaptureFixture[str]):
    label = {"label": np.full(N, -1, np.int32)}
    store.save(folder / CELL.labels, "labels", label, {"dataset": "digits", "classes": []})
    rows = evaluate(folder)
    assert {(row["images"], row["all_v2"], row["new_v1"]) for row in rows} == {("0", "", "")}
    assert score(folder)["sskmeans"] == {"k": 10}
    assert "there is nothing to score" in capsys.readouterr().out


def test_files_of_other_images_are_refused(folder: Path):
    write_known(folder, "letters")
    (folder / known_of("letters")).rename(folder / CELL.known)
    with pytest.raises(StageError, match=r"digits/known\.h5 is of other images"):
        evaluate(folder)


def test_a_folder_without_runs_is_refused(folder: Path):
    (folder / FOUND).unlink()
    with pytest.raises(StageError, match="no stage that clusters has run"):
        evaluate(folder)


def name_classes(folder: Path, run: str, sure: np.ndarray) -> None:
    """Make the clusters of k-means those of a run that knew two classes, of the images `sure`."""
    with store.read(folder / FOUND, "clusters") as file:
        names = ["row", "split", "k", "dims", "mean", "components", "variance"]
        names += [f"{s}/{name}" for s in range(len(file["k"])) for name in ("assignment", "loss")]
        arrays, attrs = {name: file[name] for name in names}, dict(file.attrs)
        for s in range(len(file["k"])):
            probability = 1 / (1 + file[f"{s}/distance"])
            probability[:, sure] = 1
            arrays[f"{s}/probability"] = probability
    attrs |= {"how": "linear", "run": run, "old": ["naught", "one"]}
    to = folder / CELL._replace(run=run).discovered
    store.save(to, "clusters", arrays, attrs)


def test_shown_is_the_first_exported_run_without_the_images_whose_class_was_known(folder: Path):
    sure = np.arange(0, 120, 2)
    name_classes(folder, "simgcd", sure)
    score(folder, runs=("pim", "simgcd", "sskmeans"))
    found = read_chosen(folder / CELL.found_examples)
    assert found is not None
    assert (found.run, found.old, found.k) == ("simgcd", ["naught", "one"], 10)
    with store.read(folder / FOUND, "clusters") as file:
        seed = int(file["0/loss"].argmin())
        own = file["0/assignment"][seed]
    assert (found.seed, found.seeds) == (seed, 3)
    free = np.setdiff1d(np.arange(120), sure)
    assert found.size.tolist() == np.bincount(own[free], minlength=10).tolist()
    names = digits()[0]
    assert {names.index(name) for name in found.name} <= set(free.tolist())
    assert [own[names.index(name)] for name in found.name] == found.cluster.tolist()
    assert len(set(found.cluster.tolist())) == 3


@pytest.mark.parametrize("runs", [(), ("pim",), ("sskmeans",)])
def test_nothing_is_shown_of_runs_that_are_not_there_or_knew_no_class(
    folder: Path, runs: tuple[str, ...]
):
    """The file of sskmeans here says nothing of known classes."""
    name_classes(folder, "simgcd", np.arange(9))
    score(folder, runs)
    assert read_chosen(folder / CELL.found_examples) is None


def test_rejected_images_are_wrong_and_counted(folder: Path):
    plain = evaluate(folder)[0]
    with store.read(folder / FOUND, "clusters") as file:
        names = ["row", "split", "k", "dims", "mean", "components", "variance"]
        names += [f"{s}/{name}" for s in (0, 1) for name in ("assignment", "distance", "loss")]
        arrays = {name: file[name] for name in names}
        attrs = dict(file.attrs)
    assert plain["rejected"] == "0"
    own = arrays["0/assignment"]
    rejected = np.zeros(own.shape, np.uint8)
    label = digits()[3]
    with store.read(folder / CELL.known, "known") as file:
        here = np.flatnonzero((file["label"] < 0) & (split_of(N) == 0))
    rejected[0, here[label[here] == 7]] = 1
    store.save(folder / FOUND, "clusters", arrays | {"0/rejected": rejected}, attrs)
    row = evaluate(folder)[0]
    assert (row["images"], row["rejected"]) == (plain["images"], str((label[here] == 7).sum()))
    kept = here[label[here] != 7]
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (own[0, kept], label[kept]), 1)
    lost = np.bincount(label[here[label[here] == 7]], minlength=10)
    for name, value in discovery_scores(counts, np.arange(10) < 5, lost).items():
        assert float(row[name]) == pytest.approx(value, rel=1e-5)
    # No cluster stands for the rejected: their class is wrong as a whole
    right = float(row["new_v2"]) * (label[here] >= 5).sum()
    assert right <= (label[kept] >= 5).sum()
    assert float(row["all_v1"]) >= float(row["all_v2"])
