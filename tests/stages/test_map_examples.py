"""Stage map_examples: what the report shows of the map, and in which colours."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from clustered import N, split_of, write_clusters, write_dataset
from conftest import Project
from scipy.spatial.distance import pdist
from test_evaluate import relabel
from test_examples_stage import FIRST, choose, rank

import store
from pages.report.chosen.clusters import Chosen, read_chosen
from pages.report.chosen.map import OnMap, read_on_map
from pipeline.fitting.map import save_map
from pipeline.io.absent import Absent, mark
from pipeline.io.cell import Cell
from pipeline.params import StageError
from stages.map_examples import Params, main

CELL = Cell("d", "pixels", "map_examples")
ALL: dict[str, int] = {"points": 1000, "pictures": 30, "across": 8, "seed": 0}
TRAIN = split_of(N) == 0


def write_map(folder: Path, place: np.ndarray, dims: int = 2) -> None:
    found = store.Features(folder / CELL.features)
    facts = {"metric": "cosine", "neighbors": 5, "min_dist": 0.1, "seed": 0}
    save_map(folder / CELL.map, found, {9: np.zeros((N, 9), np.float32), dims: place}, **facts)


def spots(seed: int = 0) -> np.ndarray:
    """Where the images of a map lie, float32 [image, axis]; those of no train far away."""
    place = np.random.default_rng(seed).normal(size=(N, 2)).astype(np.float32) * (5, 2) + 3
    place[~TRAIN] += 100
    return place.astype(np.float32)


def lay(folder: Path, **changes: int) -> dict[str, int]:
    with contextlib.chdir(folder):
        return main(CELL, Params(**{**ALL, **changes}))


def shown(folder: Path) -> tuple[OnMap, Chosen]:
    with contextlib.chdir(folder):
        chosen = read_chosen(CELL.examples)
        assert chosen is not None
        found = read_on_map(CELL, chosen)
    assert found is not None
    return found, chosen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d", settings=((10, 0), (10, 8)))
    with contextlib.chdir(tmp_path):
        rank(FIRST)
    choose(tmp_path)
    write_map(tmp_path, spots())
    return tmp_path


def test_the_images_of_train_lie_where_the_map_has_them_in_the_colours_of_the_best(folder: Path):
    assert lay(folder) == {"images": 120, "points": 120, "pictures": 5}
    found, chosen = shown(folder)
    assert (found.run, found.setting, found.seed) == (chosen.run, chosen.setting, chosen.seed)
    scale = pdist(spots()[TRAIN]) / pdist(found.place)  # turned, moved and scaled
    np.testing.assert_allclose(scale, scale[0], rtol=1e-3)
    assert np.ptp(found.place[:, 0]) == found.place.max() == 1 > np.ptp(found.place[:, 1])
    turned = np.cov(found.place.T)
    assert abs(turned[0, 1]) < 1e-4 < turned[1, 1] < turned[0, 0]
    with store.read(folder / CELL._replace(run="kmeans").clusters, "clusters") as file:
        own = file["1/assignment"][2][TRAIN]
    assert found.cluster.tolist() == own.tolist()
    for c in range(10):
        np.testing.assert_allclose(found.center[c], np.median(found.place[own == c], axis=0))
    with store.read(folder / CELL.images, "index") as file:
        assert found.name.tolist() == file["name"][TRAIN][found.picture].tolist()
        np.testing.assert_array_equal(found.digest, file["digest"][TRAIN][found.picture])


def test_of_many_images_some_are_drawn_and_all_pictures_are_among_them(folder: Path):
    lay(folder)
    every, _ = shown(folder)
    assert lay(folder, points=20)["points"] <= 20 + len(every.picture)
    few, _ = shown(folder)
    assert few.images == 120
    assert few.name.tolist() == every.name.tolist()
    np.testing.assert_array_equal(few.place[few.picture], every.place[every.picture])
    np.testing.assert_array_equal(few.center, every.center)  # of all images
    first = (folder / CELL.map_examples).read_bytes()
    lay(folder, points=20)
    assert (folder / CELL.map_examples).read_bytes() == first
    lay(folder, points=20, seed=1)
    assert (folder / CELL.map_examples).read_bytes() != first


def test_a_map_of_one_place_and_a_page_without_pictures_are_no_crash(folder: Path):
    write_map(folder, np.ones((N, 2), np.float32))
    assert lay(folder)["pictures"] == 1
    found, _ = shown(folder)
    assert np.unique(found.place).tolist() == [0]
    assert lay(folder, pictures=0) == {"images": 120, "points": 120, "pictures": 0}


def test_labels_decide_nothing(folder: Path):
    lay(folder)
    before = (folder / CELL.map_examples).read_bytes()
    relabel(folder, np.full(N, -1))
    lay(folder)
    assert (folder / CELL.map_examples).read_bytes() == before


def test_what_cannot_be_drawn_is_said_in_one_line(folder: Path):
    write_map(folder, np.zeros((N, 3), np.float32), dims=3)
    with pytest.raises(Absent, match="the map has 9, 3 dims: add 2 to map"):
        lay(folder)
    with contextlib.chdir(folder):
        rank(FIRST._replace(backbone="edges"))
    choose(folder)
    with pytest.raises(Absent, match="no clustering of pixels is ranked"):
        lay(folder)


def test_a_map_of_other_images_is_refused(folder: Path):
    with store.read(folder / CELL.map, "map") as file:
        arrays = {name: file[name] for name in ("row", "split", "dims", "0/place", "1/place")}
        attrs = dict(file.attrs)
    store.save(folder / CELL.map, "map", {**arrays, "row": arrays["row"] + 1}, attrs)
    with pytest.raises(StageError, match=r"map.h5 is of other images than the clusters"):
        lay(folder)


def test_the_map_of_another_clustering_than_is_shown_is_none(folder: Path):
    lay(folder)
    with contextlib.chdir(folder):
        rank(FIRST._replace(seed=1))
    choose(folder)
    with contextlib.chdir(folder):
        chosen = read_chosen(CELL.examples)
        assert chosen is not None
        assert read_on_map(CELL, chosen) is None
        mark([CELL.map_examples], "no map")
        assert read_on_map(CELL, chosen) is None
        CELL.map_examples.unlink()
        assert read_on_map(CELL, chosen) is None


def test_the_stage_leaves_a_mark_where_there_is_nothing_to_show(project: Project, folder: Path):
    assert "map_examples: " not in project.stage("map_examples", "d", "pixels")
    write_map(folder, np.zeros((N, 3), np.float32), dims=3)
    said = project.stage("map_examples", "d", "pixels")
    assert said.startswith("map_examples: there is nothing to do: the map has 9, 3 dims")
    with store.read(folder / CELL.map_examples, "absent") as file:
        assert "add 2 to map.dims" in file.attrs["reason"]
