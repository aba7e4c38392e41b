"""Stages estimate_k and estimate_k_by_labels: what they write, and what they refuse."""

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Project, one_thread
from learning import FEATURES, INDEX, KNOWN, PCA, call, write_pca

import stages.estimate_k
import stages.estimate_k_by_labels
import store
from pipeline.io.cell import Cell
from pipeline.io.estimate import read_estimate
from pipeline.params import StageError

N, GROUPS = 300, 4
SETTINGS: dict[str, Any] = {
    "images": 240, "k_min": 2, "k_max": 9, "growth": 1.0, "dims": 5, "silhouette_images": 100,
    "coding_dims": 4, "distortion": 0.1, "n_init": 2, "max_iter": 50, "tol": 1e-4, "seed": 0,
    "seeds": (0, 1),
}  # fmt: skip
BY_LABELS: dict[str, Any] = {
    "method": "accuracy", "max_classes": 12, "dims": 0, "n_init": 2, "max_iter": 50, "tol": 1e-4,
    "init_images": 1000, "seeds": (0, 1),
}  # fmt: skip
FREE, BY = (Cell("digits", "pixels", run) for run in ("estimate_k", "estimate_k_by_labels"))

threads = pytest.fixture(scope="module", autouse=True)(one_thread)


def write_groups(
    folder: Path, images: int = N, block: int = 64, distinct: int | None = None
) -> np.ndarray:
    """Index and features of clear groups, the last 20 not of train; the group of each image.

    distinct: how many vectors there are, one after the other again and again."""
    generator = np.random.default_rng(5)
    group = generator.integers(GROUPS, size=images)
    group[:GROUPS] = np.arange(GROUPS)
    x = generator.normal(size=(GROUPS, 16))[group] * 6 + generator.normal(size=(images, 16))
    if distinct:
        x, group = (each[np.arange(images) % distinct] for each in (x, group))
    ids = np.zeros((images, 16), np.uint8)
    ids[:, :4] = np.arange(images, dtype=">u4").view(np.uint8).reshape(-1, 4)
    split = (np.arange(images) >= images - 20).astype(np.uint8)
    names = np.array([f"{i}.png" for i in range(images)], object)
    arrays = {"name": names, "digest": ids, "split": split}
    attrs = {"dataset": "digits", "splits": ["train", "test"], "n_classes": 0}
    store.save(folder / INDEX, "index", arrays, attrs)
    plan = store.Plan(
        "digits", "pixels", "0" * 32, 16, ["train", "test"], ids, np.arange(images), split
    )
    writer = store.FeatureWriter(folder / FEATURES, plan)
    writer.put(writer.todo, x.astype(np.float32)[writer.todo])
    writer.finish()
    write_pca(folder, normalize=True)
    return group


def write_known(folder: Path, group: np.ndarray, old: int = 2) -> None:
    """Every second image of the first `old` groups is labelled."""
    label = np.where((group < old) & (np.arange(len(group)) % 2 == 0), group, -1).astype(np.int32)
    arrays = {"label": label, "class": np.arange(old, dtype=np.int32)}
    attrs = {"dataset": "digits", "old": [f"old {c}" for c in range(old)]}
    store.save(folder / KNOWN, "known", arrays, attrs)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    write_known(folder, write_groups(folder))
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shutil.copytree(written / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def estimate(**changed: Any) -> dict[str, Any]:
    """Run the stage in this folder; the facts for its metrics."""
    return call(Path(), "estimate_k", {**SETTINGS, **changed})


def by_labels(**changed: Any) -> dict[str, Any]:
    return call(Path(), "estimate_k_by_labels", {**BY_LABELS, **changed})


def rows(cell: Cell = FREE) -> list[dict[str, str]]:
    with cell.table.open(newline="") as file:
        return list(csv.DictReader(file))


def files(cell: Cell = FREE) -> list[bytes]:
    return [
        path.read_bytes() for path in (cell.k if cell == FREE else cell.k_by_labels, cell.table)
    ]


def test_clear_groups_are_counted_and_all_is_written(folder: Path):
    said = estimate()
    assert said["k"] == GROUPS
    assert said["low"] <= GROUPS <= said["high"]
    assert said["sureness"] == round(len(said["agree"]) / 6, 4) >= 0.6
    assert (said["images"], said["tried"]) == (240, [2, 9])
    assert read_estimate(FREE.k) == 4
    table = rows()
    assert [(row["k"], row["seed"]) for row in table] == [
        (str(k), seed) for k in range(2, 10) for seed in "01"
    ]
    level, measured = table[0]["halves_without_groups"], table[0]["halves"]
    assert float(table[0]["halves_score"]) == pytest.approx(float(measured) - float(level), 1e-3)


def test_equal_seeds_give_equal_files_and_memory_has_no_say(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    said = estimate()
    first = files()
    monkeypatch.setattr("cluster.estimate_k.null_reference.DRAWN", 7)
    assert estimate() == said
    assert files() == first
    estimate(seed=1)
    assert files()[1] != first[1]


def test_the_estimate_reads_no_more_images_than_are_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    taken: list[np.ndarray] = []
    take: Callable[..., np.ndarray] = store.Features.take

    def watch(self: store.Features, wanted: np.ndarray) -> np.ndarray:
        taken.append(wanted)
        return take(self, wanted)

    monkeypatch.setattr(store.Features, "take", watch)
    assert estimate(images=60)["images"] == 60
    read = np.concatenate(taken)
    assert len(read) == 60
    assert read.max() < N - 20, "only images of train"


def test_fewer_images_than_clusters_are_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write_groups(tmp_path, images=80)
    monkeypatch.chdir(tmp_path)
    assert estimate(k_max=50, growth=1.5)["tried"] == [2, 30]
    said = "estimate_k: up to 30 clusters are tried, half of the 60 images of train"
    assert said in capsys.readouterr().out.splitlines()


def test_no_more_clusters_are_tried_than_there_are_distinct_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    group = write_groups(tmp_path, distinct=7)
    monkeypatch.chdir(tmp_path)
    said = estimate(k_max=50, growth=1.0)
    assert said["tried"] == [2, 7]
    assert 2 <= said["k"] <= 7
    many = "there are 280 images to fit on, of 7 distinct vectors"
    assert f"estimate_k: up to 7 clusters are tried, {many}" in capsys.readouterr().out.splitlines()
    write_known(tmp_path, group)
    by_labels(max_classes=40)
    assert "estimate_k_by_labels: up to 9 clusters are tried: 2 classes are known and " in (
        capsys.readouterr().out
    )


def test_wrong_numbers_are_one_clear_line(folder: Path):
    with pytest.raises(StageError, match=r"k_max is 3, less than estimate_k\.k_min, 5"):
        estimate(k_min=5, k_max=3)


def test_a_hierarchy_counts_the_groups_and_goes_on_after_a_kill(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    said = by_labels(method="hierarchy", seeds=(0, 1, 2))
    assert said["k"] == GROUPS == read_estimate(BY.k_by_labels)
    assert (said["known_classes"], said["max_classes"]) == (2, 12)
    tried = rows(BY)
    assert len(tried) == 3 * said["tried"]
    assert str(GROUPS) in {row["k"] for row in tried if row["acc"]}
    whole, score, asked = files(BY), stages.estimate_k_by_labels.score_levels, list[int]()

    def dies(*arguments: Any, seed: int, **more: Any) -> Any:
        asked.append(seed)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return score(*arguments, seed=seed, **more)

    monkeypatch.setattr("stages.estimate_k_by_labels.score_levels", dies)
    with pytest.raises(KeyboardInterrupt):
        by_labels(method="hierarchy", seeds=(0, 1, 2))
    assert by_labels(method="hierarchy", seeds=(0, 1, 2)) == said
    assert asked == [0, 1, 2, 2]
    assert files(BY) == whole


def test_the_labelled_part_finds_all_classes(folder: Path):
    said = by_labels()
    # Any k that keeps both known classes whole is perfect; of those tried the lowest is taken.
    assert said["acc"] == 1
    assert 2 <= said["k"] <= GROUPS
    assert read_estimate(BY.k_by_labels) == said["k"]
    tried = [int(row["k"]) for row in rows(BY) if row["seed"] == "0"]
    assert tried == sorted(set(tried))
    assert (said["known_classes"], said["tried"]) == (2, len(tried))
    assert min(tried) >= 2
    assert max(tried) <= 12
    assert not list(Path("data").rglob("*.part"))


def test_the_mean_over_seeds_decides(folder: Path, monkeypatch: pytest.MonkeyPatch):
    scores = {3: [0.9, 0.1], 5: [0.6, 0.6]}

    def told(rows: Any, label: Any, k: int, params: Any, device: Any) -> np.ndarray:
        return np.array(scores.get(k, [0.5 - k / 100, 0.5 - k / 100]))

    monkeypatch.setattr("stages.estimate_k_by_labels._accuracy", told)
    assert by_labels(max_classes=6)["k"] == 5


def test_a_killed_search_goes_on_and_clusters_no_k_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    said = by_labels()
    whole = files(BY)
    asked: list[int] = []
    accuracy = stages.estimate_k_by_labels._accuracy

    def dies(rows: Any, label: Any, k: int, params: Any, device: Any) -> np.ndarray:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(k)
        return accuracy(rows, label, k, params, device)

    monkeypatch.setattr("stages.estimate_k_by_labels._accuracy", dies)
    with pytest.raises(KeyboardInterrupt):
        by_labels()
    first = asked.copy()

    def watched(rows: Any, label: Any, k: int, params: Any, device: Any) -> np.ndarray:
        asked.append(k)
        return accuracy(rows, label, k, params, device)

    monkeypatch.setattr("stages.estimate_k_by_labels._accuracy", watched)
    assert by_labels() == said
    assert first == asked[:2]
    assert len(set(asked)) == len(asked)
    assert files(BY) == whole


def test_other_labels_take_up_nothing_of_a_killed_search(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    accuracy, asked = stages.estimate_k_by_labels._accuracy, []

    def dies(rows: Any, label: Any, k: int, params: Any, device: Any) -> np.ndarray:
        if asked:
            raise KeyboardInterrupt
        asked.append(k)
        return np.array([5.0, 5.0])  # would win

    monkeypatch.setattr("stages.estimate_k_by_labels._accuracy", dies)
    with pytest.raises(KeyboardInterrupt):
        by_labels()
    monkeypatch.setattr("stages.estimate_k_by_labels._accuracy", accuracy)
    with store.read(KNOWN, "known") as file:
        label, attrs = file["label"], dict(file.attrs)
    label[np.flatnonzero(label == 0)[0]] = -1
    store.save(
        KNOWN, "known", {"label": label, "class": np.arange(2, dtype=np.int32)},
        {"dataset": attrs["dataset"], "old": attrs["old"]},
    )  # fmt: skip
    assert by_labels()["acc"] <= 1
    assert "keeping it and starting from scratch" in capsys.readouterr().out


def test_fewer_classes_than_are_known_is_one_clear_line(folder: Path, tmp_path: Path):
    project = Project(tmp_path)
    project.params["estimate_k_by_labels"] = {**BY_LABELS, "max_classes": 1, "seeds": [0]}
    line = project.refusal("estimate_k_by_labels", "digits", "pixels")
    assert line == (
        "estimate_k_by_labels: estimate_k_by_labels.max_classes is 1, and 2 classes are known: "
        "choose 2 or more"
    )


def test_images_that_are_all_alike_or_too_few_stop_nothing_and_are_said_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    with store.read(PCA, "pca") as file:
        arrays = {name: file[name] for name in ("mean", "components", "variance")}
        attrs = dict(file.attrs)
    arrays["components"], arrays["variance"] = np.zeros((0, 16)), np.zeros(0)
    named = {key: attrs[key] for key in ("dataset", "backbone", "normalize", "whiten", "images")}
    store.save(PCA, "pca", arrays, named)
    said = estimate()
    assert (said["k"], said["sureness"], said["tried"]) == (1, 0, [])
    (line,) = capsys.readouterr().out.splitlines()
    assert "the images are too few or all alike" in line
    assert rows() == []
    write_pca(folder, normalize=True)
    assert estimate(images=4, k_max=2)["k"] == 2  # the only one tried


def test_few_images_are_clustered_as_far_as_they_go(folder: Path):
    assert estimate(images=7)["tried"] == [2, 3]
    assert estimate(images=7, k_min=4)["k"] == 1
