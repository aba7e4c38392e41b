"""pca, kmeans and assign as stages: what they write, and what they refuse."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import Project
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

import store

INDEX, FEATURES = "data/images/digits.h5", "data/features/digits/imported"
CLUSTERS = Path("data/clusters/digits/imported/kmeans.h5")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 8 x 8 digits as imported features, and their PCA."""
    project = Project(tmp_path_factory.mktemp("prepared"))
    vectors, labels = load_digits(return_X_y=True)
    split = np.where(np.arange(1797) < 1437, "train", "test")
    np.savez(project.folder / "digits.npz", vectors=vectors, labels=labels, split=split)
    columns = {"features": "", "labels": ":labels", "splits": ":split"}
    project.params["import"] = {"digits": {k: f"digits.npz{v}" for k, v in columns.items()}}
    views = "data/views/digits/imported"
    project.stage("import", "digits", INDEX, "data/labels/digits.h5", FEATURES, views)
    project.stage("pca", FEATURES, "data/pca/digits.h5")
    return project.folder


@pytest.fixture
def digits(project: Project, prepared: Path) -> Project:
    shutil.copytree(prepared / "data", project.folder / "data")
    project.params["kmeans"] |= {"dims": [0, 8], "seeds": [0, 1], "n_init": 4}
    return project


def kmeans_arguments(out: Path = CLUSTERS) -> tuple[str, ...]:
    return FEATURES, INDEX, "data/k/digits.json", "data/pca/digits.h5", str(out)


def test_every_setting_and_seed_is_kept(digits: Project):
    digits.params["kmeans"]["k"] = ["1x", "1.5x", 7]
    digits.stage("kmeans", *kmeans_arguments())
    with store.read(digits.folder / CLUSTERS, "clusters") as file:
        assert file["k"].tolist() == [10, 15, 7, 10, 15, 7]
        assert file["dims"].tolist() == [0, 0, 0, 8, 8, 8]
        assert file["1/centroids"].shape == (2, 15, 64)
        assert file["4/centroids"].shape == (2, 15, 8)
        assert file["5/assignment"].shape == (2, 1797)
        assert set(np.unique(file["5/assignment"][0])) == set(range(7))
        assert file.attrs["seeds"] == [0, 1]


def test_auto_is_the_estimated_number_of_clusters(digits: Project):
    digits.params["kmeans"] |= {"k": ["auto", 7, 8], "dims": [0]}
    line = digits.refusal("kmeans", *kmeans_arguments())
    assert line.endswith("data/k/digits.json: No such file or directory")
    (digits.folder / "data/k").mkdir()
    (digits.folder / "data/k/digits.json").write_text('{"k": 8}\n')
    digits.stage("kmeans", *kmeans_arguments())
    with store.read(digits.folder / CLUSTERS, "clusters") as file:
        assert file["k"].tolist() == [8, 7]


def test_inertia_is_scikit_learns_and_only_train_is_fitted(digits: Project):
    digits.stage("kmeans", *kmeans_arguments())
    features = store.Features(digits.folder / FEATURES)
    train = features.block(0, 1437)
    train /= np.linalg.norm(train, axis=1, keepdims=True)
    with store.read(digits.folder / CLUSTERS, "clusters") as file:
        ours = KMeans(10, init=file["0/centroids"][0], n_init=1, tol=1e-4).fit(train)
        assert ours.inertia_ == pytest.approx(file["0/loss"][0], rel=1e-3)
        fitted = np.square(file["0/distance"][0, :1437], dtype=np.float64).sum()
        assert fitted == pytest.approx(file["0/loss"][0], rel=1e-6)


def test_equal_settings_give_equal_bytes(digits: Project):
    digits.stage("kmeans", *kmeans_arguments())
    first = (digits.folder / CLUSTERS).read_bytes()
    digits.params["runtime"]["memory_gb"] = 0.0001  # nothing fits: all is read from the store
    digits.stage("kmeans", *kmeans_arguments(Path("again/kmeans.h5")), command=True)
    assert (digits.folder / "again/kmeans.h5").read_bytes() == first


def test_a_seed_gives_the_same_whatever_seeds_are_beside_it(digits: Project):
    found = []
    for seeds in ([1], [0, 1]):
        digits.params["kmeans"]["seeds"] = seeds
        digits.stage("kmeans", *kmeans_arguments())
        with store.read(digits.folder / CLUSTERS, "clusters") as file:
            found.append(file["1/assignment"][-1])
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("change", [{"metric": "cosine"}, {"algorithm": "minibatch"}])
def test_each_metric_and_algorithm_clusters_digits(digits: Project, change: dict):
    digits.stage("kmeans", *kmeans_arguments(Path("lloyd.h5")))
    digits.params["kmeans"] |= {**change, "max_iter": 10, "batch": 256}
    digits.stage("kmeans", *kmeans_arguments())
    with (
        store.read(digits.folder / "lloyd.h5", "clusters") as lloyd,
        store.read(digits.folder / CLUSTERS, "clusters") as file,
    ):
        # Unit centroids are no means, and mini-batches stop short: a little more, never less.
        ratio = file["0/loss"].min() / lloyd["0/loss"].min()
        assert 1 <= ratio < 1.1


def test_more_clusters_than_images_are_refused(digits: Project):
    digits.params["kmeans"]["k"] = [5000]
    line = digits.refusal("kmeans", *kmeans_arguments())
    assert line == (
        "kmeans: k is 5000, but there are 1437 images to fit on: choose k from 1 to 1437"
    )
    assert not (digits.folder / CLUSTERS).exists()


def test_a_multiple_of_an_unknown_number_of_classes_is_refused(digits: Project):
    with store.read(digits.folder / "data/images/digits.h5", "index") as file:
        arrays = {name: file[name] for name in ("name", "digest", "split")}
        attrs = {**file.attrs, "n_classes": 0}
    del attrs["kind"], attrs["version"]
    store.save(digits.folder / "data/images/digits.h5", "index", arrays, attrs)
    line = digits.refusal("kmeans", *kmeans_arguments())
    assert "such as k: [20], or k: [auto], or expect some: datasets.digits.classes: 20" in line


def test_a_wish_for_more_dims_than_there_are_is_told(digits: Project):
    digits.params["kmeans"]["dims"] = [64, 8]
    assert "leading components; dims beyond are left out" in digits.stage(
        "kmeans", *kmeans_arguments()
    )


def test_finished_clusters_are_given_to_other_images(digits: Project):
    """Through the PCA that they were fitted in: past it, transfer is meaningless."""
    digits.stage("kmeans", *kmeans_arguments())
    assigned = Path("data/clusters/digits/imported/kmeans_from_digits.h5")
    digits.stage("assign", str(CLUSTERS), FEATURES, FEATURES, str(assigned))
    with (
        store.read(digits.folder / CLUSTERS, "clusters") as before,
        store.read(digits.folder / assigned, "clusters") as after,
    ):
        for setting in (0, 1):
            np.testing.assert_array_equal(
                before[f"{setting}/assignment"], after[f"{setting}/assignment"]
            )
        assert after.attrs["fitted_on"] == "digits"
        assert after.attrs["run"] == "kmeans_from_digits"


def test_clusters_of_another_backbone_are_refused(digits: Project):
    digits.stage("kmeans", *kmeans_arguments())
    plan = store.Plan(
        "digits", "other", "e" * 32, 4, ["train"], np.zeros((1, 16), np.uint8), *_one_row()
    )
    writer = store.FeatureWriter(digits.folder / "other", plan)
    writer.put(np.arange(1), np.ones((1, 4)))
    writer.finish()
    line = digits.refusal("assign", str(CLUSTERS), FEATURES, "other", "out.h5")
    assert "clusters features of imported, other holds those of other" in line


def _one_row() -> tuple[np.ndarray, np.ndarray]:
    return np.arange(1), np.zeros(1, np.uint8)
