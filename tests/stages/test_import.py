"""The import stage: features, labels, ids and splits from files of other programs."""

import os

import numpy as np
import pytest
from conftest import Project

import store

OUT = (
    "data/images/mine.h5",
    "data/labels/mine.h5",
    "data/features/mine/imported",
    "data/views/mine/imported",
)


@pytest.fixture
def vectors(project: Project) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(300, 12)).astype(np.float32)
    np.save(project.folder / "vectors.npy", vectors)
    np.save(project.folder / "labels.npy", np.arange(300) % 4)
    project.params["import"] = {"mine": {"features": "vectors.npy", "labels": "labels.npy"}}
    return vectors


def test_features_and_labels_are_all_a_user_writes(project: Project, vectors: np.ndarray):
    said = project.stage("import", "mine", *OUT, command=True)
    assert "300 x 12 features, 4 classes" in said
    found = store.Features(project.folder / OUT[2])
    np.testing.assert_allclose(found.block(0, 300), vectors, atol=2e-3)
    with store.read(project.folder / OUT[1], "labels") as file:
        assert file["label"].tolist() == [i % 4 for i in range(300)]
    with store.read(project.folder / OUT[0], "index") as file:
        assert file.attrs["n_classes"] == 4


def test_the_next_stages_run_on_them(project: Project, vectors: np.ndarray):
    project.stage("import", "mine", *OUT)
    project.params["kmeans"]["dims"] = [0, 4]
    project.stage("pca", OUT[2], "pca.h5")
    project.stage("kmeans", OUT[2], OUT[0], "k.json", "pca.h5", "kmeans.h5")
    with store.read(project.folder / "kmeans.h5", "clusters") as file:
        assert file["k"].tolist() == [4, 4]


def test_names_of_classes_images_and_splits(project: Project, vectors: np.ndarray):
    np.savez(
        project.folder / "all.npz",
        embeddings=vectors,
        kind=np.array(["owl", "cat", ""] * 100),
        name=np.array([f"{i}.jpg" for i in range(300)]),
        part=np.array(["test"] * 100 + ["train"] * 200),
    )
    project.params["import"]["mine"] = {
        "features": "all.npz",
        "labels": "all.npz:kind",
        "ids": "all.npz:name",
        "splits": "all.npz:part",
    }
    project.stage("import", "mine", *OUT)
    with store.read(project.folder / OUT[1], "labels") as file:
        assert file.attrs["classes"] == ["cat", "owl"]
        assert file["label"][:3].tolist() == [1, 0, -1]
    with store.read(project.folder / OUT[0], "index") as file:
        assert file["name"][2] == "2.jpg"
        assert file.attrs["splits"] == ["train", "test"]
        assert np.bincount(file["split"]).tolist() == [200, 100]


def test_files_are_read_again_only_when_they_changed(project: Project, vectors: np.ndarray):
    project.stage("import", "mine", *OUT)
    assert "as it was" in project.stage("import", "mine", *OUT)
    os.utime(project.folder / "vectors.npy", (1, 1))
    assert "300 x 12" in project.stage("import", "mine", *OUT)


def test_files_that_are_on_another_machine_leave_what_was_imported(
    project: Project, vectors: np.ndarray
):
    project.stage("import", "mine", *OUT)
    for name in ("vectors.npy", "labels.npy"):
        (project.folder / name).unlink()
    assert "no files here" in project.stage("import", "mine", *OUT)


def test_what_does_not_fit_is_refused_in_one_line(project: Project, vectors: np.ndarray):
    np.save(project.folder / "labels.npy", np.arange(7))
    assert "7 labels for 300 features" in project.refusal("import", "mine", *OUT)
    project.params["import"]["mine"] = {"features": "vectors.npz"}
    assert "no file vectors.npz" in project.refusal("import", "mine", *OUT)
    project.params["import"]["mine"] = {"feature": "vectors.npy"}
    assert "did you mean 'features'" in project.refusal("import", "mine", *OUT)
    vectors[17, 3] = np.nan
    np.save(project.folder / "vectors.npy", vectors)
    project.params["import"]["mine"] = {"features": "vectors.npy"}
    assert "row 17 is NaN" in project.refusal("import", "mine", *OUT)
