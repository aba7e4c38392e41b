"""The whole graph by `dvc repro`, as a user runs it: again, changed, pushed and pulled."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import PARAMS, ROOT, of_stages
from PIL import Image

CODE = ("stages", "pages", "pipeline", "backbones", "images", "store", "cluster")
FILES = ("dvc.yaml", ".dvcignore", ".gitignore", "recipes/objectives.yaml")
ZOO, FOREIGN, LEARNER = "resnet18_small_narrow", "foreign", "learner"  # a backbone of each origin
ALWAYS = {"index", "import", "known"}  # they look each time


class Clone:
    """A git repository with the project's graph, and small settings of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, forked: Path | None = None) -> str:
        """forked: where a `python` lies that is to run the stages."""
        found = Path(sys.executable).parent
        environment = {
            **os.environ,
            "PATH": f"{forked or found}:{found}:{os.environ['PATH']}",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",  # other tests use the other cores
            "DVC_NO_ANALYTICS": "1",
            **{
                f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME",)
            },
            **{f"GIT_{who}_EMAIL": "test@localhost" for who in ("AUTHOR", "COMMITTER")},
        }
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def dvc(self, *arguments: str, forked: Path | None = None) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, forked=forked)

    def repro(self, *arguments: str, forked: Path | None = None) -> list[str]:
        """The names of the stages that ran."""
        lines = self.dvc("repro", *arguments, forked=forked).splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage")]

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "state")

    def change(self, **sections: object) -> None:
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for name, section in sections.items():
            params[name] = section if name in WHOLE else params[name] | section
        params["all"] = params["backbones"] | params["imported"] | params["adapted"]
        path.write_text(yaml.safe_dump(params))


WHOLE = ("datasets", "backbones", "imported", "adapted")  # not merged with what is there


def kinds(ran: Iterable[str]) -> set[str]:
    """The names of stages without their cells."""
    return {name.split("@")[0] for name in ran}


def draw(root: Path, *colours: str) -> None:
    """20 noisy pictures of each colour, a folder each."""
    for c, colour in enumerate(colours):
        (root / colour).mkdir(parents=True)
        for i in range(20):
            pixels = np.random.default_rng([c, i]).integers(0, 90, (20, 20, 3), np.uint8)
            pixels[..., c % 3] += 150
            Image.fromarray(pixels).save(root / colour / f"{i}.png")


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose command `python` runs a stage in a fork, for there are many."""
    python = tmp_path_factory.mktemp("bin") / "python"
    python.write_text(of_stages().command())
    python.chmod(0o755)
    return python.parent


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, forked: Path) -> Clone:
    """Labelled pictures, and rows without pictures; a backbone of each origin. Run once through the
    whole graph, and pushed."""
    folder = tmp_path_factory.mktemp("clone")
    draw(folder.parent / "pictures", "red", "green", "blue")
    for name in CODE:
        (folder / name).symlink_to(ROOT / name)
    for name in (".dvc/plots", "recipes", "exports"):
        (folder / name).mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes((ROOT / name).read_bytes())
    for path in [ROOT / ".dvc/config", *(ROOT / ".dvc/plots").iterdir()]:
        (folder / path.relative_to(ROOT)).write_bytes(path.read_bytes())
    params = copy.deepcopy(PARAMS)
    small = {"n_init": 2, "seeds": [0, 1], "dims": [0, 8]}
    colours = {"from": "folder", "root": "../pictures", "tree": "class"}
    rows = {"from": "vectors", "rows": 90, "labels": "exports/labels.npy"}
    learner = {
        **{"objective": "simgcd", "dataset": "colours", "backbone": ZOO, "k": 3, "epochs": 1},
        **{"learns_from": "../known.h5", "batch": 20, "views": 2, "hidden": 16, "bottleneck": 8},
    }
    params |= {
        "datasets": {"colours": colours, "rows": rows},
        "backbones": {ZOO: {}},
        "imported": {FOREIGN: {"features": "exports/{dataset}.npy"}},
        "adapted": {LEARNER: learner},
        "known": {"colours": {"old": 2, "labelled": 0.5, "seed": 0}},
    }
    params["kmeans"] |= {**small, "k": [3]}
    params["overcluster"] |= {**small, "k": [5], "dims": [0]}
    params["spectral"] |= {"k": [3], "seeds": [0, 1]}
    params["scan"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["selflabel"] |= {"steps": 3}
    params["temi"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["runs"] |= {"export": ["temi"]}
    params["all"] = params["backbones"] | params["imported"] | params["adapted"]
    params["estimate_k"] |= {"k_max": 5, "seeds": [0, 1]}
    params["estimate_k_by_labels"] |= {"max_classes": 6, "seeds": [0]}
    for run in ("sskmeans", "sskmeans_balanced"):
        params[run] |= {"k": [3], "n_init": 2, "seeds": [0, 1]}
    params["simgcd"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["pim"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["probes"] |= {"penalties": [0.1], "seeds": [0]}
    params["runtime"]["device"] = "cpu"
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for name, n in (("colours", 60), ("rows", 90)):
        np.save(folder / f"exports/{name}.npy", np.random.default_rng(n).normal(size=(n, 16)))
    np.save(folder / "exports/labels.npy", np.arange(90) % 3)
    found = Clone(folder)
    found.run("git", "init", "--quiet")
    found.ran = found.repro(forked=forked)
    found.dvc("remote", "add", "--default", "shelf", str(tmp_path_factory.mktemp("shelf")))
    found.dvc("push")
    found.commit()
    return found


def test_one_command_runs_every_stage(clone: Clone):
    stages = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    assert kinds(clone.ran) == stages - {"assign", "similar", "similar_by_labels"}
    embedded = [
        f"embed@{one}-{by}" for one in ("colours", "rows") for by in (ZOO, FOREIGN, LEARNER)
    ]
    assert {name for name in clone.ran if name.startswith("embed@")} == set(embedded)
    assert clone.ran.index(f"embed@colours-{ZOO}") < clone.ran.index(f"adapt@{LEARNER}")
    assert clone.ran.index(f"adapt@{LEARNER}") < clone.ran.index(f"embed@colours-{LEARNER}")
    assert (clone.folder / "report/index.html").stat().st_size > 10_000
    table = (clone.folder / "report/table.md").read_text()
    for name in (ZOO, FOREIGN, LEARNER, "sskmeans_balanced"):
        assert name in table
    exported = (clone.folder / f"data/colours/{LEARNER}/tables/simgcd.csv").read_text()
    assert exported.startswith("path,split,cluster,class,")
    assert (clone.folder / f"data/colours/{LEARNER}/discovered/learned/learned.h5").exists()


def test_cells_that_cannot_be_are_marked_and_named_in_the_report(clone: Clone):
    for backbone in (ZOO, LEARNER):
        facts = json.loads((clone.folder / f"metrics/rows/{backbone}/evaluate.json").read_text())
        assert facts == {"absent": f"rows: it has no pictures that {backbone} could embed"}
    there = json.loads((clone.folder / f"metrics/rows/{FOREIGN}/evaluate.json").read_text())
    assert "absent" not in there
    page = (clone.folder / "report/index.html").read_text()
    assert f"it has no pictures that {ZOO} could embed" in page


def test_the_second_run_only_looks_whether_images_changed(clone: Clone):
    assert kinds(clone.repro()) == ALWAYS


def test_a_second_clone_pulls_everything_and_computes_nothing(clone: Clone, tmp_path: Path):
    """Though neither the pictures nor the files of vectors are there."""
    clone.run("git", "clone", "--quiet", str(clone.folder), str(tmp_path / "second"))
    second = Clone(tmp_path / "second")
    shutil.rmtree(second.folder / "exports")
    assert not (tmp_path / "pictures").exists()
    second.dvc("pull")
    for backbone in (ZOO, FOREIGN, LEARNER):
        for path in (clone.folder / f"data/colours/{backbone}/features").iterdir():
            theirs = second.folder / path.relative_to(clone.folder)
            assert theirs.read_bytes() == path.read_bytes()
    assert kinds(second.repro()) == ALWAYS
    assert second.run("git", "status", "--porcelain", "dvc.lock") == ""


def test_questions_about_results_get_answers(clone: Clone):
    metrics = json.loads(clone.dvc("metrics", "show", "--json"))
    assert f"metrics/colours/{ZOO}/evaluate.json" in json.dumps(metrics)
    clone.change(kmeans={"n_init": 3})
    assert "kmeans.n_init" in clone.dvc("params", "diff")
    assert "index.html" in clone.dvc("plots", "show")
    clone.run("git", "checkout", "params.yaml")


def test_an_experiment_runs_what_its_setting_reaches(clone: Clone, forked: Path):
    said = clone.dvc("exp", "run", "--set-param", "kmeans.n_init=3", forked=forked)
    ran = {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")}
    kmeans = {name for name in ran if name.startswith("kmeans@")}
    assert f"kmeans@colours-{ZOO}-kmeans" in kmeans
    assert len(kmeans) == 6
    assert all(name.endswith("-kmeans") for name in kmeans)
    assert kinds(ran) <= {*ALWAYS, "kmeans", "evaluate", "evaluate_discovery", "report"}
    clone.run("git", "checkout", "params.yaml", "dvc.lock")
    clone.dvc("checkout")


def test_a_setting_of_an_objective_trains_its_runs_anew(clone: Clone):
    path = clone.folder / "recipes/objectives.yaml"
    objectives = yaml.safe_load(path.read_text())
    for objective, changed in (("scan", False), ("simgcd", True)):
        objectives[objective]["seed"] = 7
        path.write_text(yaml.safe_dump(objectives))
        assert (f"adapt@{LEARNER}" in clone.dvc("status", f"adapt@{LEARNER}")) is changed
    clone.run("git", "checkout", "recipes")


def test_a_method_is_switched_off_by_an_empty_list(clone: Clone):
    def listed() -> set[str]:
        return kinds(line.split()[0] for line in clone.dvc("stage", "list").splitlines())

    assert "temi" in listed()
    clone.change(runs={"temi": [], "export": []})
    assert not {"temi", "export"} & listed()
    assert {"scan", "kmeans"} <= listed()
    assert kinds(clone.repro("--dry", "evaluate")) <= ALWAYS
    clone.run("git", "checkout", "params.yaml")


def test_a_backbone_more_costs_its_own_cells_alone(clone: Clone, forked: Path):
    clone.change(backbones={ZOO: {}, "pixels": {}})
    ran = clone.repro("kmeans", forked=forked)
    new = [name for name in ran if name.split("@")[0] not in ALWAYS]
    assert "kmeans@colours-pixels-kmeans" in new
    assert "backbone@pixels" in new
    assert all("pixels" in name for name in new)
    clone.run("git", "checkout", "params.yaml", "dvc.lock")


def test_own_pictures_and_assign_need_a_line_each(clone: Clone, forked: Path):
    draw(clone.folder.parent / "others", "red", "green")
    params = yaml.safe_load((clone.folder / "params.yaml").read_text())
    others = {"from": "folder", "root": "../others"}
    clone.change(
        datasets={**params["datasets"], "others": others},
        assign={"from": ["colours"], "to": ["others"], "runs": ["kmeans", "spectral", "temi"]},
        similar={"target": ["others"], "among": ["colours"], "k": [2]},
    )
    ran = clone.repro("assign", "similar", forked=forked)
    clone.repro("--single-item", f"evaluate@others-{ZOO}", "report", forked=forked)
    for backbone in (ZOO, LEARNER, FOREIGN):  # the last of which has no file of others
        assert f"assign@colours-others-{backbone}-kmeans" in ran
        assert f"assign@colours-others-{backbone}-temi" in ran
        assert f"similar@others-colours-{backbone}" in ran
        assert f"embed@others-{backbone}" in ran
        assert f"embed@colours-{backbone}" not in ran
    page = (clone.folder / "report/index.html").read_text()
    assert "What looks like others in colours" in page
    found = json.loads((clone.folder / f"metrics/others/{ZOO}/evaluate.json").read_text())
    assert "acc" not in json.dumps(found)  # no labels: the label-free scores only
