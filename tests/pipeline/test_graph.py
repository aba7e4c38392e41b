"""What DVC could make no stages of is said in one line, by the name of the setting."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import PARAMS, Project, environment

from pipeline.graph import require_graph
from pipeline.params import StageError
from recipes.__main__ import FOLDER


def changed(path: str, value: object) -> dict[str, Any]:
    """The settings of the project with one change; two datasets to name."""
    params = deepcopy(PARAMS)
    params["datasets"]["photos"] = {"from": "folder", "root": "photos"}
    params["similar"] |= {"target": ["photos"], "among": ["digits"]}
    *folders, last = path.split(".")
    section = params
    for folder in folders:
        section = section[folder]
    section[last] = value
    return params


ROW = {"objective": "scan", "dataset": "digits", "backbone": "pixels", "learns_from": "x"}


RUNS = PARAMS["runs"]
JOINED = {**RUNS, "consensus": ["consensus"]}


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("runs.kmeans", "kmeans", r"runs\.kmeans is 'kmeans': expected a list"),
        ("runs.temi", None, r"runs\.temi is None: expected a list, as \[name\], or \[\] for none"),
        ("runs", ["kmeans"], r"runs is \['kmeans'\]: expected names with their settings"),
        ("runs.kmeans", ["kmeens"], "runs.kmeans: kmeens has no section .*did you mean 'kmeans'"),
        ("runs.temi", [], "runs.export: temi is off: take it out, or add it to runs.temi"),
        ("runs.export", ["temi_long"], "runs.export: temi_long is off: .*runs.temi"),
        ("runs.export_named", ["kmeans"], "runs.export_named: kmeans is not named: add it to ru"),
        ("runs.export", ["spektral"], "spektral has no section .*did you mean 'spectral'"),
        ("runs.export", ["kmeans_finished"], "kmeans_finished is off: .* to runs.finish"),
        ("runs.finish", ["kmeens"], "runs.finish: kmeens has no section .*did you mean 'kmeans'"),
        ("runs.finish", ["temi_long"], "runs.finish: temi_long is off: .*runs.temi"),
        ("runs.finish", ["kmeans_from_digits"], "kmeans_from_digits has no section"),
        ("datasets", None, "datasets is None: expected names"),
        ("datasets", ["digits"], r"datasets is \['digits'\]: expected names"),
        ("similar.target", "photos", r"similar\.target is 'photos': expected a list"),
        ("similar.target", ["foto"], r"similar\.target: foto is no dataset; did you mean 'photos'"),
        ("similar.among", [2024], r"similar\.among: 2024 is no dataset; known: digits, photos"),
        ("assign", {"from": ["digits"], "to": ["phots"], "runs": ["kmeans"]},
         r"assign\.to: phots is no dataset; did you mean 'photos'"),
        ("assign", {"from": ["digits"], "to": ["photos"], "runs": ["kmeens"]},
         r"assign\.runs: kmeens has no section"),
        ("known", {"photo": {"old": 5}}, "known: photo is no dataset; did you mean 'photos'"),
        ("adapted", {"mine": {**ROW, "dataset": "digit"}}, r"adapted\.mine\.dataset: digit is no"),
        ("adapted", {"mine": {**ROW, "backbone": "pixel"}}, "backbone: pixel is no backbone"),
        ("adapted", {"mine": {"objective": "scan"}}, r"adapted\.mine has no 'dataset'"),
        ("runs", {**RUNS, "umap_kmeans": ["umap_kmeans"]},
         r"runs\.umap_kmeans needs the map: set runs\.map to \[map\]"),
        ("export.reads", "map", r"export\.reads is map: set runs\.map to \[map\]"),
        ("export_named.reads", "mop", r"export_named\.reads is 'mop': expected neighbors, or map"),
        ("runs", {**RUNS, "map": ["map", "mine"]}, r"runs\.map is \['map', 'mine'\]: .*one map"),
        ("assign", {"from": ["digits"], "to": ["photos"], "runs": ["umap_kmeans_2d"]},
         r"umap_kmeans_2d is off: .* add it to runs\.umap_kmeans"),
        ("runs", {**JOINED, "member": ["kmeans", "temi_long"]},
         r"runs\.member: temi_long is off: .* add it to runs\.temi"),
        ("runs", {**JOINED, "member": ["kmeans", "consensus"]},
         r"runs\.member: consensus would join itself"),
        ("runs", {**JOINED, "member": []}, r"runs\.member is empty: name the runs"),
        ("resized", {"small": {"size": 96}}, r"resized\.small has no 'row'"),
        ("fused", ["pixels"], r"fused is \['pixels'\]: expected names"),
        ("fused", {"both": "pixels"}, r"fused\.both is 'pixels': expected two backbones"),
        ("fused", {"both": ["pixels"]}, r"fused\.both is .*expected two different backbones"),
        ("fused", {"both": ["pixels", "pixels"]}, "expected two different backbones or more"),
        ("fused", {"both": ["pixels", "pixel"]}, "pixel is named under no other .*did you mean"),
        ("fused", {"both": ["pixels", "both"]}, "both is fused itself: name its parts"),
        ("fused", {"pixels": ["pixels", "x"]}, "pixels is under backbones too"),
    ],
)  # fmt: skip
def test_a_slip_is_named_with_what_was_expected(path: str, value: object, says: str):
    with pytest.raises(StageError, match=rf"^params.yaml: .*{says}"):
        require_graph(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("runs.export", ["kmeans", "spectral", "scan"]), ("runs.temi", ["temi", "temi_long"]),
        ("assign.from", ["gone"]), ("similar", {"target": [], "among": ["gone"]}),
        ("runs.export_discovered", ["gone"]), ("adapted", {"mine": ROW}),
        ("runs", {**RUNS, "member": ["gone"]}), ("runs", JOINED),
        ("runs", {**RUNS, "map": ["map"], "umap_kmeans": ["umap_kmeans", "umap_kmeans_2d"]}),
    ],
)  # fmt: skip
def test_what_makes_no_stage_may_name_anything(path: str, value: object):
    """assign.from while assign.to is empty; what is discovered while no class is known."""
    require_graph(changed(path, value))


def test_finished_runs_and_those_that_are_assigned_are_runs():
    params = changed("runs.finish", ["kmeans", "kmeans_from_digits"])
    params["assign"] = {"from": ["digits"], "to": ["photos"], "runs": ["kmeans", "kmeans_finished"]}
    params["runs"]["export"] = ["kmeans_finished", "kmeans_from_digits_finished"]
    require_graph(params)


def test_a_fused_backbone_is_none_to_train():
    params = changed("fused", {"both": ["pixels", "efficientnet_lite0_stage4"]})
    require_graph(params)
    params["adapted"] = {"mine": {**ROW, "backbone": "both"}}
    with pytest.raises(StageError, match=r"adapted\.mine\.backbone: both is fused, and has no net"):
        require_graph(params)


def test_the_project_and_its_recipes_can_be_run():
    require_graph(PARAMS)
    for recipe in FOLDER.glob("*.yaml"):
        found = yaml.safe_load(recipe.read_text())
        runs = found.get("runs", {}) if isinstance(found, dict) else {}
        assert all(isinstance(names, list) for names in runs.values()), recipe


def test_a_stage_tells_of_a_dataset_that_is_not_there(project: Project):
    project.params["similar"] |= {"target": ["digit"], "among": ["digits"]}
    assert "similar.target: digit is no dataset" in project.refusal("index", "digits")


def test_it_is_a_command_for_what_dvc_cannot_read(project: Project):
    def command() -> subprocess.CompletedProcess[str]:
        check = [sys.executable, "-m", "pipeline.graph"]
        return subprocess.run(
            check, cwd=project.folder, env=environment(), capture_output=True, text=True
        )

    project.write_params()
    assert (command().returncode, command().stderr) == (0, "")
    project.params["runs"]["kmeans"] = "kmeans"
    project.write_params()
    assert command().stderr.startswith("params.yaml: runs.kmeans is 'kmeans'")
    assert command().stderr.count("\n") == 1
    Path(project.folder, "params.yaml").unlink()
    assert command().stderr == "no params.yaml here: run in the folder that holds it\n"
