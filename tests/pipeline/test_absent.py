"""Cells that cannot be: a mark in place of each out, passed on by every later stage, and undone."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Project
from drawn import draw
from graph import entry, stages

import store
from pipeline.io.absent import mark, reason, unmark
from pipeline.io.cell import Cell
from pipeline.io.estimate import read_estimate
from pipeline.params import StageError

WHY = "left out by embed.skip"
CELL = Cell("mine", "pixels")


@pytest.fixture
def skipped(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """12 pictures that `pixels` is not to embed, and never did."""
    root = project.folder / "pictures"
    root.mkdir()
    for i in range(12):
        draw(root / f"{i:03d}.png", seed=i)
    project.params["datasets"] = {"mine": {"from": "folder", "root": str(root), "classes": 3}}
    project.params["known"] = {}
    project.params["embed"]["skip"] = {"mine": ["pixels"]}
    monkeypatch.chdir(project.folder)
    project.index("mine")
    return project


EACH = {
    **dict.fromkeys(("embed", "pca", "neighbors", "duplicates", "estimate_k", "spectral")),
    **dict.fromkeys(("scan", "selflabel", "evaluate", "evaluate_discovery", "probes")),
    **dict.fromkeys(("estimate_k_by_labels", "simgcd", "pim")),
    **dict.fromkeys(("candidates", "rank", "examples")),
    "map": "map", "map_examples": "map", "umap_kmeans": "umap_kmeans", "member": "kmeans",
    "consensus": "consensus",
    "kmeans": "overcluster", "temi": "temi", "dcsbm": "dcsbm", "finish": "kmeans",
    "cut": "cut", "turtle": "turtle", "sskmeans": "sskmeans_balanced",
    "names": "kmeans", "export_named": "kmeans", "curate": "curate", "evaluate_curated": "curate",
    "reviewed": "kmeans", "reviewed_discovered": "simgcd",
    "export": "kmeans", "export_discovered": "simgcd", "assign": "kmeans",
    "export_assigned": "kmeans", "similar": None, "similar_by_labels": None, "learned": None,
}  # fmt: skip


def test_every_stage_of_a_cell_is_tried():
    """`vocabulary` is of no cell; that parts pass on is tried in test_fuse.py."""
    of_cells = {name for name, stage in stages().items() if "matrix" in stage}
    assert EACH.keys() == of_cells - {"vocabulary", "fuse_part", "fuse"}


def is_marked(path: Path) -> bool:
    if path.suffix == ".h5":
        with store.read(path, "absent") as file:
            return bool(file.attrs["reason"].endswith(WHY))
    if path.suffix in (".csv", ".txt"):
        return path.read_text() in ("epoch,loss\n", f"absent: mine: {WHY}\n")
    path = path if path.suffix else path / "absent.json"
    return bool(json.loads(path.read_text())["absent"].endswith(WHY))


def test_every_later_stage_writes_a_mark_in_place_of_each_of_its_outs(skipped: Project):
    """Also those whose other dataset is there."""
    assert f"embed: there is nothing to do: {WHY}" in skipped.embed("mine")
    skipped.params["datasets"]["whole"] = {"from": "digits", "part": 0.05}
    skipped.index("whole")
    skipped.embed("whole")
    for stage, run in EACH.items():
        for one, other in (("mine", "whole"), ("whole", "mine")):
            names = {"dataset": "mine", "backbone": "pixels", "run": run or ""}
            names |= {"into": "consensus"}
            names |= {"from": one, "to": other, "target": one, "among": other}
            each = entry(stage, names, skipped.params)
            if stage != "embed":
                assert f"nothing to do: mine: {WHY}" in skipped.stage(*each.command), stage
            assert each.outs
            for out in each.outs:
                assert is_marked(Path(out)), out


def test_a_cell_that_can_be_after_all_has_what_one_has_that_always_could(skipped: Project):
    skipped.embed("mine")
    skipped.stage("pca", "mine", "pixels")
    skipped.params["embed"]["skip"] = {}
    assert "12 embedded" in skipped.embed("mine")
    assert reason(CELL) is None
    assert not list(Path("data/mine/pixels").rglob("absent.json"))
    skipped.stage("pca", "mine", "pixels")
    before = {path: path.read_bytes() for path in Path("data/mine/pixels").rglob("*.h5")}
    for path in before:
        path.unlink()
    skipped.embed("mine")
    skipped.stage("pca", "mine", "pixels")
    assert {path: path.read_bytes() for path in Path("data/mine/pixels").rglob("*.h5")} == before


def test_marks_are_made_and_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert reason(CELL) is None
    CELL.features.mkdir(parents=True)
    (CELL.features / "shard-00000.h5").write_bytes(b"stays")
    mark([CELL.features, Path("t.csv"), Path("metrics/e.csv"), Path("k.json")], "no pictures")
    assert reason(CELL) == "no pictures"
    assert Path("t.csv").read_text() == "absent: no pictures\n"
    assert Path("metrics/e.csv").read_text() == "epoch,loss\n"
    assert json.loads(Path("k.json").read_text()) == {"absent": "no pictures"}
    unmark([CELL.features, CELL.views])
    assert reason(CELL) is None
    assert (CELL.features / "shard-00000.h5").read_bytes() == b"stays"


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"absent": 3}'])
def test_a_damaged_mark_is_one_line(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    CELL.features.mkdir(parents=True)
    (CELL.features / "absent.json").write_text(text)
    with pytest.raises(StageError, match=r"absent\.json: not as a stage wrote it"):
        reason(CELL)


BARE = Cell("bare", "pixels")
NO_PICTURES = "it has no pictures that pixels could embed"


@pytest.fixture
def made(project: Project) -> Project:
    """Pictures; a dataset without any, whose vectors a backbone has; and another that has none."""
    (project.folder / "pictures").mkdir()
    for i in range(12):
        draw(project.folder / "pictures" / f"{i}.png", seed=i)
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


def marked(project: Project, cell: Cell, why: str) -> None:
    """Stage embed says that there is no such cell, and marks all that it writes."""
    said = project.embed(*cell[:2])
    assert said == f"embed: there is nothing to do: {why}\n"
    for folder in (cell.features, cell.views):
        found = json.loads((project.folder / folder / "absent.json").read_text())
        assert found == {"absent": why}
    facts = json.loads((project.folder / cell.metric("embed.json")).read_text())
    assert facts == {"absent": why}
    assert not list((project.folder / cell.features).glob("*.h5"))


def test_vectors_have_no_pictures_for_a_row_of_the_zoo(made: Project):
    marked(made, BARE, NO_PICTURES)
    for name in ("pca", "kmeans", "evaluate"):
        assert made.stage(name, "bare", "pixels") == (
            f"{name}: there is nothing to do: bare: {NO_PICTURES}\n"
        )
        facts = made.folder / BARE.metric(f"{name}.json")
        assert json.loads(facts.read_text()) == {"absent": f"bare: {NO_PICTURES}"}
    table = made.folder / BARE._replace(run="evaluate").table
    assert table.read_text() == "epoch,loss\n"  # which `dvc plots` can show
    with store.read(made.folder / BARE.pca, "absent") as file:
        assert file.attrs["reason"] == f"bare: {NO_PICTURES}"


def test_an_imported_backbone_has_cells_where_there_is_a_file(made: Project):
    marked(made, Cell("photos", "outside"), "no vectors of it were imported as outside")
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
    assert not (made.folder / cell.features / "absent.json").exists()
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
    assert (made.folder / cell.views / "absent.json").exists()
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
        pytest.raises(
            store.StoreError, match=r"pca\.h5: kind is .absent., expected .pca."
        ) as error,
        store.read(BARE.pca, "pca"),
    ):
        pass
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(StageError, match=r"k\.json: ") as error:
        read_estimate(BARE.k)
    assert len(str(error.value).splitlines()) == 1
    assert BARE.file("tables/kmeans.csv").read_text() == "absent: as it is\n"


def test_an_absent_base_of_adapt_is_named(made: Project):
    made.embed("bare")
    made.params["adapted"] = {"mine": {
        "objective": "simclr", "dataset": "bare", "backbone": "pixels", "learns_from": "features",
    }}  # fmt: skip
    line = made.refusal("adapt", "mine")
    assert f"bare by pixels is absent: {NO_PICTURES}" in line
