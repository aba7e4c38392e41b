"""map and umap_kmeans as stages: what they write, for whom, and what they refuse."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustered import N, split_of, write_features, write_index
from learning import CELL, FEATURES, call, write_all, write_neighbors, write_pca
from sklearn.metrics import normalized_mutual_info_score
from stored import digests

import store
from cluster.kmeans.assign import assign
from cluster.vectors.rows import ArrayRows
from pipeline.params import StageError

TRAIN = int((split_of(N) == 0).sum())
MAP: dict[str, Any] = {"dims": (2, 3), "neighbors": 8, "epochs": 60, "min_dist": 0.1, "seed": 0}
KMEANS: dict[str, Any] = {
    "k": (10, "1.5x"), "dims": 3, "voters": 6, "n_init": 3, "max_iter": 100, "tol": 1e-4,
    "init_images": 1000, "seeds": (0, 1),
}  # fmt: skip
OUT = CELL._replace(run="umap_kmeans").clusters


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    return write_all(tmp_path)


def lay_out(folder: Path, **changes: Any) -> dict[str, Any]:
    return call(folder, "map", {**MAP, **changes})


def places(folder: Path) -> list[np.ndarray]:
    with store.read(folder / CELL.map, "map") as file:
        return [file[f"{setting}/place"] for setting in range(len(file["dims"]))]


def write_vectors(folder: Path, x: np.ndarray) -> None:
    """The dataset `digits` with other vectors, float [image, dim], and what is made of them."""
    write_index(folder, "digits", [f"{i:03}.png" for i in range(N)], digests(range(N)))
    write_features(folder, "digits", "pixels", x.astype(np.float32), digests(range(N)))
    write_pca(folder)
    write_neighbors(folder)


def test_every_image_has_a_place_near_its_neighbours(digits: Path):
    assert lay_out(digits) == {"parts": 1}
    with store.read(digits / CELL.neighbors, "neighbors") as file:
        near = file["neighbor"][:, :3]
    for dims, place in zip((2, 3), places(digits), strict=True):
        assert (place.shape, place.dtype) == ((N, dims), np.float32)
        to_near = np.linalg.norm(place[:, None] - place[near], axis=2).mean(axis=1)
        to_all = np.linalg.norm(place[:, None] - place, axis=2).mean(axis=1)
        for part in (to_near / to_all)[:TRAIN], (to_near / to_all)[TRAIN:]:
            assert np.median(part) < 0.3


def test_equal_settings_give_equal_bytes_and_another_seed_does_not(digits: Path):
    lay_out(digits)
    first = (digits / CELL.map).read_bytes()
    lay_out(digits)
    assert (digits / CELL.map).read_bytes() == first
    lay_out(digits, seed=1)
    assert (digits / CELL.map).read_bytes() != first


def test_images_outside_of_train_move_no_other(digits: Path):
    lay_out(digits)
    before = places(digits)
    found = store.Features(digits / FEATURES)
    x = found.block(0, N)
    x[TRAIN:] = x[TRAIN:][::-1]
    ids = found.id[:]
    shutil.rmtree(digits / FEATURES)  # or what is stored of an image would stay
    write_features(digits, "digits", "pixels", x, ids)
    write_neighbors(digits)
    lay_out(digits)
    for one, other in zip(before, places(digits), strict=True):
        np.testing.assert_array_equal(one[:TRAIN], other[:TRAIN])
        np.testing.assert_array_equal(one[TRAIN:], other[TRAIN:][::-1])


def test_a_killed_run_goes_on_with_the_next_dims(digits: Path, monkeypatch: pytest.MonkeyPatch):
    import stages.map as stage

    lay_out(digits)
    whole, laid = (digits / CELL.map).read_bytes(), list[int]()
    (digits / CELL.map).unlink()
    real = stage.lay_out

    def stop_at_the_second(umap: Any, graph: Any, start: Any, dims: int, **more: Any) -> Any:
        laid.append(dims)
        if len(laid) == 2:
            raise KeyboardInterrupt
        return real(umap, graph, start, dims, **more)

    monkeypatch.setattr(stage, "lay_out", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        lay_out(digits)
    lay_out(digits)
    assert laid == [2, 3, 3]
    assert (digits / CELL.map).read_bytes() == whole
    assert not list((digits / CELL.map).parent.glob("*.part"))


def test_more_neighbours_than_the_table_has_are_refused(digits: Path):
    with pytest.raises(StageError, match=r"13 neighbours are asked for, .* has 12: set neighb"):
        lay_out(digits, neighbors=13)


def test_a_graph_in_parts_is_told(digits: Path, capsys: pytest.CaptureFixture[str]):
    said = lay_out(digits, neighbors=1, dims=(2,))
    assert said["parts"] > 10
    assert f"falls into {said['parts']} parts" in capsys.readouterr().out
    assert np.isfinite(places(digits)[0]).all()


def test_equal_vectors_have_one_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    vectors = np.random.default_rng(0).normal(size=(20, 16))
    write_vectors(tmp_path, vectors[np.arange(N) % 20])
    lay_out(tmp_path, dims=(2,))
    said = capsys.readouterr().out
    assert "120 images have 20 distinct vectors; copies are one" in said
    (place,) = places(tmp_path)
    np.testing.assert_array_equal(place[20:TRAIN], place[:20][np.arange(20, TRAIN) % 20])
    assert len(np.unique(place[:TRAIN], axis=0)) == 20
    call(tmp_path, "umap_kmeans", {**KMEANS, "k": (4,), "dims": 2})
    with store.read(tmp_path / OUT, "clusters") as file:
        for own in file["0/assignment"]:
            assert normalized_mutual_info_score(np.arange(N) // 20, own) < 0.1


@pytest.mark.parametrize("vectors", [1, 2, 3])
def test_few_distinct_vectors_are_no_trouble(
    vectors: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    x = np.random.default_rng(0).normal(size=(vectors, 4))
    write_vectors(tmp_path, x[np.arange(N) % vectors])
    lay_out(tmp_path)
    assert f"{vectors} distinct images are few: {vectors - 1} neighbours" in capsys.readouterr().out
    for place in places(tmp_path):
        assert np.isfinite(place).all()
        assert len(np.unique(place[:TRAIN], axis=0)) == vectors


def test_vectors_of_one_feature_are_no_trouble(tmp_path: Path):
    write_vectors(tmp_path, np.random.default_rng(0).normal(size=(N, 1)))
    write_neighbors(tmp_path, metric="euclidean")
    lay_out(tmp_path)
    assert all(np.isfinite(place).all() for place in places(tmp_path))


def test_k_means_on_the_map_is_kept_for_every_k_and_seed(digits: Path):
    lay_out(digits)
    fact = call(digits, "umap_kmeans", KMEANS)
    assert fact["space"] == "unit length, no projection, a map of 3 dims"
    place = places(digits)[1]
    with store.read(digits / OUT, "clusters") as file:
        assert (file["k"].tolist(), file["dims"].tolist()) == ([10, 15], [0, 0])
        assert (file.attrs["how"], file.attrs["metric"]) == ("neighbors", "cosine")
        assert file["0/voters"].tolist() == [6, 6]
        assert "0/centroids" not in file
        own, distance, loss = (file[f"0/{name}"][0] for name in ("assignment", "distance", "loss"))
    means = np.stack([place[:TRAIN][own[:TRAIN] == c].mean(axis=0) for c in range(10)])
    nearest = assign(ArrayRows(place), means[None])
    np.testing.assert_array_equal(nearest.assignment[0], own)
    np.testing.assert_allclose(nearest.distance[0], distance, atol=1e-4)
    np.testing.assert_allclose(np.square(distance[:TRAIN]).sum(), loss, rtol=1e-5)


def test_dims_that_the_map_has_not_are_refused(digits: Path):
    lay_out(digits)
    said = r"umap_kmeans\.dims is 10, the map has 2, 3 dims: choose .*, or add 10 to map\.dims"
    with pytest.raises(StageError, match=said):
        call(digits, "umap_kmeans", {**KMEANS, "dims": 10})


def test_a_map_of_other_images_is_refused(digits: Path):
    lay_out(digits)
    with store.read(digits / CELL.map, "map") as file:
        names = ("row", "split", "dims", "0/place", "1/place")
        arrays = {name: file[name] for name in names}
        attrs = {key: file.attrs[key] for key in store.KINDS["map"].attributes}
    store.save(digits / CELL.map, "map", {**arrays, "row": arrays["row"] + 1}, attrs)
    with pytest.raises(StageError, match=r"is of other images than .*: run `dvc repro map`"):
        call(digits, "umap_kmeans", KMEANS)
