"""sskmeans as a stage: what it writes, for whom, and what it refuses."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustered import N, split_of
from learning import CELL, ESTIMATE, FEATURES, KNOWN, RUNTIME, call, write_dataset, write_pca

import store
from cluster.kmeans.balanced import even_size
from cluster.kmeans.semi_supervised import sskmeans
from cluster.vectors.rows import ArrayRows
from pipeline.params import StageError

TRAIN = split_of(N) == 0
OLD = 6
PLAIN: dict[str, Any] = {
    "k": ("1x", 12),
    "dims": (0, 8),
    "balanced": False,
    "n_init": 3,
    "max_iter": 50,
    "tol": 1e-4,
    "init_images": 1000,
    "seeds": (0, 1),
}
OUT = CELL._replace(run="sskmeans").discovered


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset `digits`; of the first 6 digits every second image of train is labelled."""
    folder = tmp_path_factory.mktemp("prepared")
    write_dataset(folder, "digits")
    write_pca(folder)
    with store.read(folder / CELL.labels, "labels") as file:
        digit = file["label"]
    label = np.where((digit < OLD) & (np.arange(N) % 2 == 0), digit, -1).astype(np.int32)
    label[0] = 3  # which a person may do: it is a 0
    arrays = {"label": label, "class": np.arange(OLD, dtype=np.int32)}
    attrs = {"dataset": "digits", "old": [str(digit) for digit in range(OLD)]}
    store.save(folder / KNOWN, "known", arrays, attrs)
    return folder


@pytest.fixture
def folder(tmp_path: Path, prepared: Path) -> Path:
    shutil.copytree(prepared / "data", tmp_path / "data")
    return tmp_path


def cluster(folder: Path, **changes) -> dict[str, np.ndarray]:
    """Run the stage; what it wrote."""
    call(folder, "sskmeans", {**PLAIN, **changes})
    with store.read(folder / OUT, "clusters") as file:
        assert file.attrs["how"] == "centroids"
        names = ["k", "dims"]
        each = ("assignment", "centroids", "distance", "iterations", "loss")
        names += [f"{s}/{name}" for s in range(len(file["k"])) for name in each]
        return {name: file[name] for name in names}


def known(folder: Path) -> np.ndarray:
    with store.read(folder / KNOWN, "known") as file:
        return file["label"]


def test_labelled_images_of_train_have_their_class_and_all_others_the_nearest(folder: Path):
    found, label = cluster(folder), known(folder)
    assert (found["k"].tolist(), found["dims"].tolist()) == ([10, 12, 10, 12], [0, 0, 8, 8])
    assert found["2/centroids"].shape == (2, 10, 8)
    x = store.Features(folder / FEATURES).block(0, N)
    distance = np.linalg.norm(x[:, None] - found["1/centroids"][0], axis=2)
    expected = np.where(TRAIN & (label >= 0), label, distance.argmin(1))
    assert expected[0] != distance.argmin(1)[0]
    np.testing.assert_array_equal(found["1/assignment"][0], expected)
    own = distance[np.arange(N), expected]
    np.testing.assert_allclose(found["1/distance"][0], own, rtol=1e-4, atol=1e-5)
    assert found["1/loss"][0] == pytest.approx(np.square(own[TRAIN]).sum(), rel=1e-5)


@pytest.mark.parametrize("balanced", [False, True])
def test_it_is_the_function_on_train(folder: Path, balanced: bool):
    found = cluster(folder, balanced=balanced, k=(10,), dims=(0,))
    x, label = store.Features(folder / FEATURES).block(0, N)[TRAIN], known(folder)[TRAIN]
    settings = {name: PLAIN[name] for name in ("seeds", "n_init", "max_iter", "tol", "init_images")}
    size = even_size(len(x), 10) if balanced else None
    fit = sskmeans(ArrayRows(x), label.astype(np.int64), 10, cluster_size=size, **settings)
    np.testing.assert_array_equal(found["0/centroids"], fit.centroids)
    np.testing.assert_array_equal(found["0/iterations"], fit.iterations)


def test_fewer_clusters_than_known_classes_are_refused(folder: Path):
    with pytest.raises(StageError, match="k is 5, but 6 classes are known: choose k from 6 on"):
        cluster(folder, k=(5,))


def test_equal_settings_give_equal_bytes(folder: Path):
    written = []
    for memory in (8, 1e-6):  # nothing fits: all is read from the store
        runtime = RUNTIME.model_copy(update={"memory_gb": memory})
        call(folder, "sskmeans", PLAIN, runtime=runtime)
        written.append((folder / OUT).read_bytes())
    assert written[0] == written[1]


def test_auto_is_the_estimated_number_of_clusters(folder: Path):
    (folder / ESTIMATE).parent.mkdir(parents=True, exist_ok=True)
    (folder / ESTIMATE).write_text('{"k": 8}\n')
    assert cluster(folder, k=("auto",), dims=(0,))["k"].tolist() == [8]
