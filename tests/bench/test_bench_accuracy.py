"""The harness of `bench accuracy`: which stages it drives, and what it makes of their scores."""

import copy
import json
import time
from pathlib import Path

import pytest
import yaml
from conftest import PARAMS
from reported import score

from bench import _accuracy_rows, _results, accuracy
from pipeline.graph import require_graph
from pipeline.io.cell import Cell

CELL = Cell("digits", "efficientnet_lite0_96")


@pytest.fixture
def params() -> dict:
    return copy.deepcopy(PARAMS)


def test_every_method_has_five_seeds_and_as_many_clusters_as_classes(params: dict):
    found = accuracy.settings(params, "digits", ["a", "b"])
    require_graph(found)
    assert found["known"] == {}
    assert list(found["all"])[:2] == ["a", "b"]
    assert set(found["runs"]["temi"]) == {"temi", "temi_long"}
    assert found["runs"]["kmeans"] == ["kmeans"]
    assert found["runs"]["export"] == []
    for run in accuracy.targets(found, CELL):
        assert found[run].get("seeds", accuracy.SEEDS) == accuracy.SEEDS
        assert found[run].get("k", ["1x"])[0] == "1x"
    assert found["kmeans"]["dims"] == [0]


def test_the_stages_are_those_that_write_clusters(params: dict):
    assert {"kmeans", "spectral", "scan", "selflabel", "temi"} <= set(accuracy.methods())
    assert not {"assign", "learned", "simgcd", "sskmeans"} & set(accuracy.methods())
    found = accuracy.targets(accuracy.settings(params, "digits", ["a"]), CELL)
    assert found["spectral"] == "spectral@digits-efficientnet_lite0_96"
    assert found["temi_long"] == "temi@digits-efficientnet_lite0_96-temi_long"


def test_a_run_that_is_off_is_switched_on_and_two_backbones_are_fused(params: dict):
    params["runs"]["dcsbm"], params["dcsbm"] = [], {"k": ["1x"], "seeds": [0]}
    params["fused"] = {}
    found = accuracy.settings(params, "digits", ["a", "b"])
    assert found["runs"]["dcsbm"] == ["dcsbm"]
    assert found["fused"] == {accuracy.FUSED: ["a", "b"]}
    assert accuracy.FUSED in found["all"]
    assert accuracy.settings(params, "digits", ["a"])["fused"] == {}
    params["runs"]["new"] = []  # without a section of its name
    assert accuracy.settings(params, "digits", ["a"])["runs"]["new"] == []


def test_a_project_that_is_there_keeps_what_it_has_made(tmp_path: Path, params: dict):
    found = accuracy.settings(params, "digits", ["pixels"])
    accuracy.lay_out(tmp_path, found)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/made").touch()
    changed = (tmp_path / "params.yaml").stat().st_mtime_ns
    accuracy.lay_out(tmp_path, found)
    assert (tmp_path / "data/made").exists()
    assert (tmp_path / "params.yaml").stat().st_mtime_ns == changed
    assert yaml.safe_load((tmp_path / "params.yaml").read_text()) == found
    assert accuracy.dvc(tmp_path, ["stage", "list", "--quiet"], None) == ""


def test_a_stage_that_takes_too_long_is_stopped_and_a_failure_is_a_line(tmp_path: Path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n no_scm = true\n")
    stages = {"slow": {"cmd": "sleep 900"}, "wrong": {"cmd": "echo no such luck; exit 3"}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    begin = time.perf_counter()
    assert accuracy.dvc(tmp_path, ["repro", "slow"], 6) == "stopped after 6 s"
    assert time.perf_counter() - begin < 600
    assert "no such luck" in accuracy.dvc(tmp_path, ["repro", "wrong"], None)


def test_rows_are_those_of_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("metrics/digits/pixels").mkdir(parents=True)
    Path("metrics/digits/pixels/examples.h5").touch()
    score("pixels", known=False, dataset="digits", scan=0.6, temi=0.5)
    Path("metrics/digits/pixels/scan.json").write_text(json.dumps({"cost": [{"seconds": 12.34}]}))
    scan, temi = _accuracy_rows.read(tmp_path, Cell("digits", "pixels"))
    assert (scan["run"], scan["acc"], scan["acc_sd"], scan["seconds"]) == ("scan", 60.0, 1.0, 12.3)
    assert (temi["nmi"], temi["seeds"], temi["seconds"]) == (30.0, 3, "")
    assert _accuracy_rows.markdown([scan, temi]).splitlines() == [
        "| run | digits, 90, `pixels` |",
        "|---|--:|",
        "| `scan` | 60.0 ± 1.0, 40.0, 12 s |",
        "| `temi` | 50.0 ± 1.0, 30.0 |",
    ]


def test_a_cell_that_is_measured_again_takes_the_place_of_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(_results, "FOLDER", tmp_path)
    row = {"images": 9, "k": 10, "seeds": 5, "acc": 1.0, "acc_sd": 0.5, "nmi": 2.0, "seconds": 3.0}

    def measured(acc: float, *datasets: str) -> None:
        rows = [
            [{**row, "dataset": d, "backbone": "x", "run": "scan", "acc": acc}] for d in datasets
        ]
        monkeypatch.setattr(accuracy, "cells", lambda *_: iter(rows))
        accuracy.main(["--unclocked"] if acc > 1 else [])

    measured(1.0, "fashion", "digits")
    measured(2.0, "fashion")
    found = [(r["dataset"], r["acc"], r["seconds"]) for r in _accuracy_rows.before()]
    assert found == [("digits", 1.0, 3.0), ("fashion", 2.0, "")]
    assert "| `scan` | 1.0 ± 0.5, 2.0, 3 s | 2.0 ± 0.5, 2.0 |" in capsys.readouterr().out
