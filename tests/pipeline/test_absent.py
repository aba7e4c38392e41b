"""Cells that cannot be: marked with the reason, passed on by every stage, refused by readers."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Project
from PIL import Image

import store
from pipeline.io.absent import EPOCHS, MARK, mark, reason, unmark
from pipeline.io.cell import Cell
from pipeline.io.estimate import read_estimate
from pipeline.params import StageError

BARE = Cell("bare", "pixels")
WHY = "it has no pictures that pixels could embed"


def draw(folder: Path, count: int) -> None:
    folder.mkdir()
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (9, 9, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


@pytest.fixture
def made(project: Project) -> Project:
    """Pictures; a dataset without any, whose vectors a backbone has; and another that has none."""
    draw(project.folder / "pictures", 12)
    rng = np.random.default_rng(0)
    np.save(project.folder / "bare.npy", rng.normal(size=(30, 4)).astype(np.float32))
    np.save(project.folder / "labels.npy", np.arange(30) % 3)
    project.params["datasets"] = {
        "photos": {"from": "folder", "root": "pictures"},
        "bare": {"from": "vectors", "labels": "labels.npy"},
    }
    project.params["imported"] = {"outside": {"features": "{dataset}.npy"}}
    project.params["kmeans"] |= {"k": [3], "dims": [0], "n_init": 1, "seeds": [0]}
    for dataset in ("photos", "bare"):
        project.index(dataset)
    said = project.stage("import", "outside")
    assert "import: photos.npy is not there: photos by outside will be absent" in said
    return project


def absent(project: Project, cell: Cell, why: str) -> None:
    """Stage embed says that there is no such cell, and marks all that it writes."""
    said = project.embed(*cell[:2])
    assert said == f"embed: there is nothing to do: {why}\n"
    for folder in (cell.features, cell.views):
        marked = json.loads((project.folder / folder / MARK).read_text())
        assert marked == {"absent": why}
    facts = json.loads((project.folder / cell.metric("embed.json")).read_text())
    assert facts == {"absent": why}
    assert not list((project.folder / cell.features).glob("*.h5"))


def test_vectors_have_no_pictures_for_a_row_of_the_zoo(made: Project):
    absent(made, BARE, WHY)
    for name in ("pca", "kmeans", "evaluate"):
        assert made.stage(name, "bare", "pixels") == (
            f"{name}: there is nothing to do: bare: {WHY}\n"
        )
        facts = made.folder / BARE.metric(f"{name}.json")
        assert json.loads(facts.read_text()) == {"absent": f"bare: {WHY}"}
    table = made.folder / BARE._replace(run="evaluate").table
    assert table.read_text() == EPOCHS  # which `dvc plots` can show
    with store.read(made.folder / BARE.pca, "absent") as file:
        assert file.attrs["reason"] == f"bare: {WHY}"


def test_an_imported_backbone_has_cells_where_there_is_a_file(made: Project):
    absent(made, Cell("photos", "outside"), "no vectors of it were imported as outside")
    made.embed("bare", "outside")
    made.stage("pca", "bare", "outside")
    with store.read(made.folder / Cell("bare", "outside").pca, "pca") as file:
        assert file.attrs["images"] == 30
    rng = np.random.default_rng(1)
    np.save(made.folder / "photos.npy", rng.normal(size=(12, 4)))  # it is there after all
    made.stage("import", "outside")
    made.embed("photos", "outside")
    cell = Cell("photos", "outside")
    assert len(store.Features(made.folder / cell.features)) == 12
    assert not (made.folder / cell.features / MARK).exists()
    made.stage("pca", "photos", "outside")
    assert made.metrics("embed", "photos", "outside")["embedded"] == 12


def test_a_cell_that_is_left_out_comes_back_without_embedding(made: Project):
    made.params["embed"]["views"] = 1
    made.embed("photos")
    cell = Cell("photos", "pixels")
    folder = made.folder / cell.features
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    made.params["embed"]["skip"] = {"photos": ["pixels"]}
    said = made.embed("photos")
    assert said == "embed: there is nothing to do: left out by embed.skip\n"
    assert (made.folder / cell.views / MARK).exists()
    said = made.stage("pca", "photos", "pixels")
    assert said == "pca: there is nothing to do: photos: left out by embed.skip\n"
    made.params["embed"]["skip"] = {"bare": ["pixels"]}
    made.embed("photos")
    facts = made.metrics("embed", "photos")
    assert (facts["images"], facts["embedded"], facts["views_embedded"]) == (12, 0, 0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    made.stage("duplicates", "photos", "pixels")
    with store.read(made.folder / cell.duplicates, "duplicates") as file:
        assert len(file["row"]) == 12


def test_of_a_pair_either_may_be_absent(made: Project):
    made.embed("photos")
    made.embed("bare")
    for first, second in (("photos", "bare"), ("bare", "photos")):
        said = made.stage("assign", first, second, "pixels", "kmeans")
        assert said == f"assign: there is nothing to do: bare: {WHY}\n"
        found = Cell(second, "pixels", f"kmeans_from_{first}").clusters
        with store.read(made.folder / found, "absent") as file:
            assert file.attrs["reason"] == f"bare: {WHY}"


def test_a_stage_that_marks_still_refuses_mistakes_in_its_settings(made: Project):
    made.embed("bare")
    made.params["pca"]["withen"] = True
    line = made.refusal("pca", "bare", "pixels")
    assert line == "pca: params.yaml: pca.withen is not a setting; did you mean 'whiten'?"


def test_marks_are_refused_by_readers_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    mark([BARE.features, BARE.pca, BARE.k, BARE.file("tables/kmeans.csv")], "as it is")
    with pytest.raises(store.StoreError, match=r"features\.h5: no such file") as error:
        store.Features(BARE.features)
    assert len(str(error.value).splitlines()) == 1
    with (
        pytest.raises(store.StoreError, match=r"pca\.h5: kind is .absent., expected .pca.") as error,
        store.read(BARE.pca, "pca"),
    ):
        pass
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(StageError, match=r"k\.json: ") as error:
        read_estimate(BARE.k)
    assert len(str(error.value).splitlines()) == 1
    assert BARE.file("tables/kmeans.csv").read_text() == "absent: as it is\n"


def test_a_mark_leaves_what_lies_in_a_folder_and_goes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    BARE.features.mkdir(parents=True)
    (BARE.features / "shard-0.h5").write_bytes(b"rows")
    assert reason(BARE) is None
    mark([BARE.features, BARE.views], "no reason")
    assert reason(BARE) == "no reason"
    first = (BARE.views / MARK).read_bytes()
    mark([BARE.features, BARE.views], "no reason")
    assert (BARE.views / MARK).read_bytes() == first
    unmark([BARE.features, BARE.views])
    unmark([BARE.features, BARE.views])
    assert reason(BARE) is None
    assert [path.name for path in BARE.features.iterdir()] == ["shard-0.h5"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"absent": 3}', "\xff", '{"absent": null}'])
def test_a_damaged_mark_is_refused_by_name(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    BARE.features.mkdir(parents=True)
    (BARE.features / MARK).write_text(text, encoding="latin-1")
    with pytest.raises(StageError, match=r"features/absent\.json: not as a stage wrote it"):
        reason(BARE)


def test_an_absent_base_of_adapt_is_named(made: Project):
    made.embed("bare")
    made.params["adapted"] = {"mine": {
        "objective": "simclr", "dataset": "bare", "backbone": "pixels", "learns_from": "features",
    }}  # fmt: skip
    line = made.refusal("adapt", "mine")
    assert f"bare by pixels is absent: {WHY}" in line
