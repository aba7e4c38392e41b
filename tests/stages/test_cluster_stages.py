"""pca and kmeans as stages: what they write, and what they refuse."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import Project
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

import store
from pipeline.io.cell import Cell

CELL = Cell("digits", "imported", "kmeans")
STAGE = ("kmeans", "digits", "imported")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 8 x 8 digits as imported features, and their PCA."""
    project = Project(tmp_path_factory.mktemp("prepared"))
    vectors, labels = load_digits(return_X_y=True)
    split = np.where(np.arange(1797) < 1437, "train", "test")
    np.savez(project.folder / "digits.npz", vectors=vectors, labels=labels, split=split)
    columns = {"labels": "digits.npz:labels", "splits": "digits.npz:split"}
    project.params["datasets"] = {"digits": {"from": "vectors", **columns}}
    project.params["imported"] = {"imported": {"features": "digits.npz:vectors"}}
    project.index("digits")
    project.stage("import", "imported")
    project.embed("digits", "imported")
    project.stage("pca", "digits", "imported")
    return project.folder


@pytest.fixture
def digits(project: Project, prepared: Path) -> Project:
    shutil.copytree(prepared / "data", project.folder / "data")
    project.params["kmeans"] |= {"dims": [0, 8], "seeds": [0, 1], "n_init": 4}
    return project


def test_every_setting_and_seed_is_kept(digits: Project):
    digits.params["kmeans"]["k"] = ["1x", "1.5x", 7]
    digits.stage(*STAGE)
    with store.read(digits.folder / CELL.clusters, "clusters") as file:
        assert file["k"].tolist() == [10, 15, 7, 10, 15, 7]
        assert file["dims"].tolist() == [0, 0, 0, 8, 8, 8]
        assert file["1/centroids"].shape == (2, 15, 64)
        assert file["4/centroids"].shape == (2, 15, 8)
        assert file["5/assignment"].shape == (2, 1797)
        assert set(np.unique(file["5/assignment"][0])) == set(range(7))
        assert file.attrs["seeds"] == [0, 1]


def test_auto_is_the_estimated_number_of_clusters(digits: Project):
    digits.params["kmeans"] |= {"k": ["auto", 7, 8], "dims": [0]}
    line = digits.refusal(*STAGE)
    assert line.endswith("data/digits/imported/k.json: No such file or directory")
    (digits.folder / CELL.k).write_text('{"k": 8}\n')
    digits.stage(*STAGE)
    with store.read(digits.folder / CELL.clusters, "clusters") as file:
        assert file["k"].tolist() == [8, 7]


def test_inertia_is_scikit_learns_and_only_train_is_fitted(digits: Project):
    digits.stage(*STAGE)
    features = store.Features(digits.folder / CELL.features)
    train = features.block(0, 1437)
    train /= np.linalg.norm(train, axis=1, keepdims=True)
    with store.read(digits.folder / CELL.clusters, "clusters") as file:
        ours = KMeans(10, init=file["0/centroids"][0], n_init=1, tol=1e-4).fit(train)
        assert ours.inertia_ == pytest.approx(file["0/loss"][0], rel=1e-3)
        fitted = np.square(file["0/distance"][0, :1437], dtype=np.float64).sum()
        assert fitted == pytest.approx(file["0/loss"][0], rel=1e-6)


def test_equal_settings_give_equal_bytes(digits: Project):
    digits.stage(*STAGE)
    first = (digits.folder / CELL.clusters).read_bytes()
    digits.params["runtime"]["memory_gb"] = 0.0001  # nothing fits: all is read from the store
    (digits.folder / CELL.clusters).unlink()
    digits.stage(*STAGE, command=True)
    assert (digits.folder / CELL.clusters).read_bytes() == first


def test_a_seed_gives_the_same_whatever_seeds_are_beside_it(digits: Project):
    found = []
    for seeds in ([1], [0, 1]):
        digits.params["kmeans"]["seeds"] = seeds
        digits.stage(*STAGE)
        with store.read(digits.folder / CELL.clusters, "clusters") as file:
            found.append(file["1/assignment"][-1])
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize(
    "change", [{"metric": "cosine"}, {"algorithm": "minibatch"}, {"algorithm": "hierarchical"}]
)
def test_each_metric_and_algorithm_clusters_digits(digits: Project, change: dict):
    digits.params["lloyd"] = digits.params["kmeans"].copy()
    digits.stage(*STAGE, "--run", "lloyd")
    digits.params["kmeans"] |= {**change, "max_iter": 10, "batch": 256}
    digits.stage(*STAGE)
    with (
        store.read(digits.folder / CELL._replace(run="lloyd").clusters, "clusters") as lloyd,
        store.read(digits.folder / CELL.clusters, "clusters") as file,
    ):
        # Unit centroids are no means, and mini-batches stop short: a little more, never less.
        ratio = file["0/loss"].min() / lloyd["0/loss"].min()
        assert 1 <= ratio < 1.1


def test_more_clusters_than_images_are_refused(digits: Project):
    digits.params["kmeans"]["k"] = [5000]
    line = digits.refusal(*STAGE)
    assert line == (
        "kmeans: k is 5000, but there are 1437 images to fit on: choose k from 1 to 1437"
    )
    assert not (digits.folder / CELL.clusters).exists()


def test_a_multiple_of_an_unknown_number_of_classes_is_refused(digits: Project):
    with store.read(digits.folder / CELL.images, "index") as file:
        arrays = {name: file[name] for name in ("name", "digest", "split")}
        attrs = {**file.attrs, "n_classes": 0}
    del attrs["kind"], attrs["version"]
    store.save(digits.folder / CELL.images, "index", arrays, attrs)
    line = digits.refusal(*STAGE)
    assert "such as k: [20], or k: [auto], or expect some: datasets.digits.classes: 20" in line


def test_a_wish_for_more_dims_than_there_are_is_told(digits: Project):
    digits.params["kmeans"]["dims"] = [64, 8]
    assert "leading components; dims beyond are left out" in digits.stage(*STAGE)
