"""Vectors of the same images from elsewhere: import finds them, embed matches and stores them."""

import csv
import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Project
from drawn import draw

import store

N = 30


@pytest.fixture
def vectors(project: Project) -> np.ndarray:
    """30 pictures of the dataset `mine`, and a vector of each in vectors.npy, in their order."""
    root = project.folder / "pictures"
    root.mkdir()
    for i in range(N):
        draw(root / f"{i:03d}.png", seed=i)
    project.params["datasets"] = {"mine": {"from": "folder", "root": str(root), "classes": 3}}
    project.params["imported"] = {"clip": {"features": "vectors.npy"}}
    vectors = np.random.default_rng(0).normal(size=(N, 12)).astype(np.float32)
    np.save(project.folder / "vectors.npy", vectors)
    project.index("mine")
    return vectors


def bring(project: Project, to: str = "mine", *, command: bool = False, **says: Any) -> str:
    """Import and embed; what both said. `says`: what is written under `imported.clip`."""
    if says:
        project.params["imported"]["clip"] = says
    found = project.stage("import", "clip", command=command)
    return found + project.stage("embed", to, "clip", command=command)


def stored(project: Project, dataset: str = "mine") -> store.Features:
    return store.Features(project.store(dataset, "clip"))


def unreadable(project: Project) -> dict[str, str]:
    path = project.folder / "metrics/mine/clip/unreadable.csv"
    with path.open(newline="") as file:
        return {row["name"]: row["reason"] for row in csv.DictReader(file)}


def test_a_file_in_the_order_of_the_index_is_all_a_user_names(
    project: Project, vectors: np.ndarray
):
    said = bring(project, command=True)
    assert "import: clip of mine" in said
    assert f"{N} embedded, 0 reused, 0 unreadable" in said
    found = stored(project)
    np.testing.assert_array_equal(found.block(0, N), vectors.astype(np.float16))
    assert (found.dataset, found.backbone) == ("mine", "clip")
    project.embed("mine", "pixels")
    other = store.Features(project.store("mine", "pixels"))
    for name in ("id", "row", "split"):
        np.testing.assert_array_equal(getattr(found, name), getattr(other, name))
    views = project.folder / "data/mine/clip/views/views.json"
    assert json.loads(views.read_text())["number"] == 0
    facts = project.metrics("embed", "mine", "clip")
    assert (facts["images"], facts["embedded"], facts["views"]) == (N, N, 0)


def test_the_next_stages_run_on_them(project: Project, vectors: np.ndarray):
    bring(project)
    project.params["kmeans"] |= {"dims": [0, 4], "n_init": 1}
    project.stage("pca", "mine", "clip")
    project.stage("kmeans", "mine", "clip")
    with store.read(project.folder / "data/mine/clip/clusters/kmeans.h5", "clusters") as file:
        assert file["k"].tolist() == [3, 3]
        assert file.attrs["backbone"] == "clip"


def test_vectors_find_their_images_by_ids_in_any_order(project: Project, vectors: np.ndarray):
    """Those of other images are left out."""
    order = np.random.default_rng(1).permutation(N)
    ids = [f"{i:03d}.png" for i in order]
    np.savez(
        project.folder / "all.npz",
        x=np.concatenate([np.ones((2, 12)), vectors[order]]),
        name=np.array(["elsewhere.png", "nowhere.png", *ids]),
    )
    bring(project, features="all.npz:x", ids="all.npz:name")
    np.testing.assert_array_equal(stored(project).block(0, N), vectors.astype(np.float16))


@pytest.mark.parametrize("count", [N - 1, N + 1])
def test_without_ids_another_number_of_vectors_is_refused(
    project: Project, vectors: np.ndarray, count: int
):
    np.save(project.folder / "vectors.npy", np.ones((count, 12)))
    project.stage("import", "clip")
    assert project.refusal("embed", "mine", "clip") == (
        f"embed: vectors.npy: {count} vectors for {N} images: give ids, the names of their images, "
        "or one vector for each image in the order of the index"
    )


def test_images_without_a_vector_are_as_unreadable_ones(project: Project, vectors: np.ndarray):
    kept = [i for i in range(N) if i not in (4, 9)]
    np.save(project.folder / "vectors.npy", vectors[kept])
    np.save(project.folder / "ids.npy", np.array([f"{i:03d}.png" for i in kept]))
    project.params["imported"]["clip"] = {"features": "vectors.npy", "ids": "ids.npy"}
    project.stage("import", "clip")
    process = project.start("embed", "mine", "clip")
    _, error = process.communicate()
    assert process.returncode == 1
    last = error.strip().splitlines()[-1]
    assert "2 of 30 images cannot be read, the first is 004.png (there is no vector of it" in last
    reason = "there is no vector of it in vectors.npy"
    assert unreadable(project) == {"004.png": reason, "009.png": reason}
    project.params["embed"]["unreadable"] = "skip"
    assert "2 unreadable" in project.stage("embed", "mine", "clip")
    found = stored(project)
    assert found.row.tolist() == kept
    np.testing.assert_array_equal(found.block(0, N - 2), vectors[kept].astype(np.float16))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vector_that_is_no_number_is_as_an_unreadable_image(
    project: Project, vectors: np.ndarray, value: float
):
    vectors[17, 3] = value
    np.save(project.folder / "vectors.npy", vectors)
    project.params["embed"]["unreadable"] = "skip"
    bring(project)
    assert unreadable(project) == {"017.png": "its vector is NaN or infinite"}
    assert 17 not in stored(project).row


def test_a_file_is_read_again_only_when_its_size_or_time_has_changed(
    project: Project, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    stage, read = importlib.import_module("stages.import"), list[str]()
    digest = stage._digest

    def noted(path: Path) -> str:
        read.append(path.name)
        return str(digest(path))

    monkeypatch.setattr(stage, "_digest", noted)
    monkeypatch.chdir(project.folder)
    project.write_params()
    facts = project.folder / "data/backbones/clip/backbone.json"
    stage.main("clip")
    before = facts.read_bytes()
    stage.main("clip")
    assert read == ["vectors.npy"]
    os.utime("vectors.npy", (1, 1))
    stage.main("clip")
    assert read == ["vectors.npy", "vectors.npy"]
    assert facts.read_bytes() == before
    np.save("vectors.npy", vectors + 1)
    stage.main("clip")
    assert facts.read_bytes() != before


def test_vectors_that_are_stored_are_not_read_again_and_changed_ones_are(
    project: Project, vectors: np.ndarray
):
    bring(project)
    before = {path.name: path.read_bytes() for path in project.store("mine", "clip").iterdir()}
    os.utime(project.folder / "vectors.npy", (1, 1))
    assert f"0 embedded, {N} reused" in bring(project)
    after = {path.name: path.read_bytes() for path in project.store("mine", "clip").iterdir()}
    assert after == before
    np.save(project.folder / "vectors.npy", vectors + 1)
    assert f"{N} embedded, 0 reused" in bring(project)
    np.testing.assert_array_equal(stored(project).block(0, N), (vectors + 1).astype(np.float16))


def test_a_second_clone_without_the_files_keeps_everything(project: Project, vectors: np.ndarray):
    np.save(project.folder / "vectors.npy", vectors[kept := np.arange(N) != 7])
    ids = np.array([f"{i:03d}.png" for i in range(N)])[kept]
    np.save(project.folder / "ids.npy", ids)
    project.params["embed"]["unreadable"] = "skip"
    bring(project, features="vectors.npy", ids="ids.npy")
    folders = [project.folder / "data/backbones/clip", project.store("mine", "clip")]
    before = {path: path.read_bytes() for folder in folders for path in folder.iterdir()}
    (project.folder / "data/backbones/clip.seen.json").unlink()  # is in no out
    for missing in ("vectors.npy", "ids.npy"):
        (project.folder / missing).unlink()
        said = bring(project)
        assert "vectors.npy is not here; clip of mine stays as it is" in said
        assert f"0 embedded, {N} reused, 1 unreadable" in said
    assert unreadable(project) == {"007.png": "there is no vector of it in vectors.npy"}
    after = {path: path.read_bytes() for folder in folders for path in folder.iterdir()}
    assert after == before


@pytest.fixture
def two(project: Project, vectors: np.ndarray) -> np.ndarray:
    """A second dataset, of the first five pictures."""
    root = project.folder / "more"
    root.mkdir()
    for i in range(5):
        draw(root / f"{i:03d}.png", seed=i)
    project.params["datasets"]["more"] = {"from": "folder", "root": str(root), "classes": 3}
    project.index("more")
    return vectors


def test_a_path_may_hold_the_name_of_the_dataset(project: Project, two: np.ndarray):
    exports = project.folder / "exports"
    exports.mkdir()
    np.save(exports / "mine.npy", two)
    said = bring(project, features="exports/{dataset}.npy")
    assert "exports/more.npy is not there: more by clip will be absent" in said
    assert "nothing to do: no vectors of it were imported as clip" in project.stage(
        "embed", "more", "clip"
    )
    before = project.store("mine", "clip").joinpath("features.h5").read_bytes()
    np.save(exports / "more.npy", two[:5] + 1)
    said = bring(project, "more")
    assert "import: clip of mine, more" in said
    np.testing.assert_array_equal(
        stored(project, "more").block(0, 5), (two[:5] + 1).astype(np.float16)
    )
    # What came for one dataset changes nothing of the other
    assert f"0 embedded, {N} reused" in project.stage("embed", "mine", "clip")
    assert project.store("mine", "clip").joinpath("features.h5").read_bytes() == before


def test_one_file_is_of_one_of_several_datasets(project: Project, two: np.ndarray):
    np.save(project.folder / "vectors.npy", two[:5])
    assert project.refusal("import", "clip") == (
        "import: params.yaml: imported.clip.features names one file, and there are 2 datasets: "
        "write {dataset} for the name in its path, or dataset: NAME beside it"
    )
    bring(project, "more", features="vectors.npy", dataset="more")
    assert len(stored(project, "more")) == 5
    assert "there is nothing to do" in project.stage("embed", "mine", "clip")


def test_what_looks_like_one_dataset_is_found_in_another_by_vectors_of_two_files(
    project: Project, two: np.ndarray
):
    """Their bytes differ, as those of two datasets do: they are of one backbone all the same."""
    for name, rows in (("mine", N), ("more", 5)):
        np.save(project.folder / f"{name}.npy", two[:rows] + 0.01)
    bring(project, features="{dataset}.npy")
    bring(project, "more")
    project.params["similar"] |= {"k": [1], "same": "keep"}
    project.stage("duplicates", "more", "clip")
    project.stage("similar", "more", "mine", "clip")
    found = project.folder / "data/more/clip/similar/mine/found.h5"
    with store.read(found, "similar") as file:
        assert file["found"][:, 0].tolist() == list(range(5))


@pytest.mark.parametrize(
    ("says", "line"),
    [
        ({"features": "vectors.npz"},
         "imported.clip: vectors.npz is there for no dataset: write FILE, or a path with "
         "{dataset}"),
        ({"feature": "vectors.npy"}, "imported.clip.feature is not a setting; did you mean "
         "'features'? (and 1 more)"),
        ({"features": "vectors.npy", "dataset": "min"},
         "params.yaml: imported.clip.dataset: there is no dataset 'min'; did you mean 'mine'?"),
    ],
)  # fmt: skip
def test_what_stage_import_refuses_is_one_line(
    project: Project, vectors: np.ndarray, says: dict[str, str], line: str
):
    project.params["imported"]["clip"] = says
    assert project.refusal("import", "clip").endswith(line)


@pytest.mark.parametrize(
    ("ids", "line"),
    [
        (["a.png"] * 7, "embed: ids.npy: 7 ids for 30 vectors of vectors.npy"),
        ([f"{i}.jpg" for i in range(N)],
         "embed: ids.npy: none of its ids is the name of an image, such as '000.png'; the first id "
         "is '0.jpg'"),
        ([f"{max(i, 1):03d}.png" for i in range(N)],
         "embed: ids.npy: 1 ids are there more than once, such as '001.png' at 0 and 1: leave one "
         "vector of each image, by numpy.unique(ids, return_index=True)"),
    ],
)  # fmt: skip
def test_ids_that_do_not_fit_are_refused_in_one_line(
    project: Project, vectors: np.ndarray, ids: list[str], line: str
):
    np.save(project.folder / "ids.npy", np.array(ids))
    project.params["imported"]["clip"] = {"features": "vectors.npy", "ids": "ids.npy"}
    project.stage("import", "clip")
    assert project.refusal("embed", "mine", "clip") == line


def test_ids_are_found_as_people_write_paths(project: Project, vectors: np.ndarray):
    root = project.folder / "pictures"
    ways = [f"{root}/{{}}", "./{}", ".\\{}", " {}"]
    ids = np.array([ways[i % 4].format(f"{i:03d}.png") for i in range(N)])
    np.save(project.folder / "ids.npy", ids)
    said = bring(project, features="vectors.npy", ids="ids.npy")
    assert "embed: 30 ids of ids.npy are spelled otherwise than the images" in said
    np.testing.assert_array_equal(stored(project).block(0, N), vectors.astype(np.float16))


def test_vectors_in_columns_are_noticed(project: Project, vectors: np.ndarray):
    np.save(project.folder / "vectors.npy", vectors.T)
    project.stage("import", "clip")
    assert "(or are these its columns? then transpose it)" in project.refusal(
        "embed", "mine", "clip"
    )
