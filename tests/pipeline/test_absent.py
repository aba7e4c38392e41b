"""Cells that cannot be: a mark in place of each out, passed on by every later stage, and undone."""

import json
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Project
from drawn import draw

import store
from pipeline.io.absent import mark, reason, unmark
from pipeline.io.cell import Cell
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


def of_graph(stage: str, names: dict[str, str]) -> tuple[list[str], list[Path]]:
    """The words and all outs, metrics and plots of a stage of dvc.yaml."""
    found = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]

    def filled(text: str) -> str:
        for name, value in names.items():
            text = text.replace(f"${{item.{name}}}", value)
        return text.replace("${export.format}", "csv")

    paths = []
    for kind in ("outs", "metrics", "plots"):
        for each in found.get(kind, []):
            paths.append(Path(filled(each if isinstance(each, str) else next(iter(each)))))
    return filled(found["cmd"]).split()[3:], paths


EACH = {
    **dict.fromkeys(("embed", "pca", "neighbors", "duplicates", "estimate_k", "spectral")),
    **dict.fromkeys(("scan", "selflabel", "evaluate", "evaluate_discovery", "probes")),
    **dict.fromkeys(("estimate_k_by_labels", "simgcd", "pim")),
    "kmeans": "overcluster", "temi": "temi", "sskmeans": "sskmeans_balanced",
    "export": "kmeans", "export_discovered": "simgcd", "assign": "kmeans",
    "similar": None, "similar_by_labels": None, "learned": None,
}  # fmt: skip


def test_every_stage_of_a_cell_is_tried():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert EACH.keys() == {name for name, stage in stages.items() if "matrix" in stage}


def is_marked(path: Path) -> bool:
    if path.suffix == ".h5":
        with store.read(path, "absent") as file:
            return bool(file.attrs["reason"].endswith(WHY))
    if path.suffix == ".csv":
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
            names |= {"from": one, "to": other, "target": one, "among": other}
            words, outs = of_graph(stage, names)
            if stage != "embed":
                name = stage.removesuffix("_discovered").removesuffix("_by_labels")
                name = stage if stage == "estimate_k_by_labels" else name
                assert f"nothing to do: mine: {WHY}" in skipped.stage(name, *words), stage
            assert outs
            for path in outs:
                assert is_marked(path), path


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


def test_vectors_that_were_there_are_reused_when_the_cell_comes_back(skipped: Project):
    skipped.params["embed"]["skip"] = {}
    skipped.embed("mine")
    before = Path("data/mine/pixels/features/features.h5").read_bytes()
    skipped.params["embed"]["skip"] = {"mine": ["pixels"]}
    skipped.embed("mine")
    assert reason(CELL) == WHY
    skipped.params["embed"]["skip"] = {"other": ["pixels"], "mine": ["other"]}
    assert "0 embedded, 12 reused" in skipped.embed("mine")
    assert Path("data/mine/pixels/features/features.h5").read_bytes() == before


def test_a_stage_that_reads_an_absent_cell_in_python_is_refused_by_the_kind_of_file(
    skipped: Project,
):
    skipped.embed("mine")
    skipped.stage("pca", "mine", "pixels")
    with pytest.raises(store.StoreError, match=r"pca\.h5"), store.read(CELL.pca, "pca"):
        pass


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
