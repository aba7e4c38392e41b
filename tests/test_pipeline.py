"""The whole graph by `dvc repro`, as a user runs it: again, changed, pushed and pulled."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import OBJECTIVES, PARAMS, ROOT, of_stages
from PIL import Image

CODE = ("stages", "pages", "pipeline", "backbones", "images", "store", "cluster")
DISCOVERY = ("known", "estimate_k_by_labels", "sskmeans", "simgcd", "pim", "export_discovered")
DISCOVERY += ("evaluate_discovery",)
FILES = ("dvc.yaml", ".dvcignore", ".gitignore")


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
            whole = name in ("datasets", "import", "backbones")
            params[name] = section if whole else params[name] | section
        path.write_text(yaml.safe_dump(params))


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
    """Labelled pictures and imported vectors, run once through the whole graph, and pushed."""
    folder = tmp_path_factory.mktemp("clone")
    draw(folder.parent / "pictures", "red", "green", "blue")
    for name in CODE:
        (folder / name).symlink_to(ROOT / name)
    for name in FILES:
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / ".dvc/plots").mkdir(parents=True)
    for path in [ROOT / ".dvc/config", *(ROOT / ".dvc/plots").iterdir()]:
        (folder / path.relative_to(ROOT)).write_bytes(path.read_bytes())
    params = copy.deepcopy(PARAMS)
    small = {"n_init": 2, "seeds": [0, 1], "dims": [0, 8]}
    colours = {"from": "folder", "root": "../pictures", "tree": "class"}
    vectors = {"features": "vectors.npy"}
    params |= {
        "datasets": {"colours": colours},
        "backbones": ["pixels"],
        "import": {"mine": vectors},
        "known": {"colours": {"old": 2, "labelled": 0.5, "seed": 0}},
    }
    params["kmeans"] |= {**small, "k": [3]}
    params["overcluster"] |= {**small, "k": [5], "dims": [0]}
    params["spectral"] |= {"k": [3], "seeds": [0, 1]}
    params["scan"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["selflabel"] |= {"steps": 3}
    params["temi"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["export"] |= {"runs": ["temi"]}
    params["estimate_k"] |= {"k_max": 5, "seeds": [0, 1]}
    params["estimate_k_by_labels"] |= {"max_classes": 6, "seeds": [0]}
    for run in ("sskmeans", "sskmeans_balanced"):
        params[run] |= {"k": [3], "n_init": 2, "seeds": [0, 1]}
    params["simgcd"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["pim"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["probes"] |= {"penalties": [0.1], "seeds": [0]}
    params["runtime"]["device"] = "cpu"
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    np.save(folder / "vectors.npy", np.random.default_rng(0).normal(size=(200, 16)))
    found = Clone(folder)
    found.run("git", "init", "--quiet")
    found.ran = found.repro(forked=forked)
    found.dvc("remote", "add", "--default", "shelf", str(tmp_path_factory.mktemp("shelf")))
    found.dvc("push")
    found.commit()
    return found


def test_one_command_runs_every_stage(clone: Clone):
    ran = {name.split("@")[0] for name in clone.ran}
    stages = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    idle = {"assign", "similar", "similar_by_labels"}
    idle |= {f"{name}_imported" for name in DISCOVERY}  # no class of imported features is known
    idle |= {name for name in stages if name.startswith("adapt") or name.endswith("_adapted")}
    idle |= {"learned"}
    assert ran == stages - idle
    assert (clone.folder / "report/index.html").stat().st_size > 10_000
    table = (clone.folder / "report/table.md").read_text()
    assert "pixels" in table
    assert "sskmeans_balanced" in table
    exported = (clone.folder / "data/assignments/colours/pixels/simgcd.csv").read_text()
    assert exported.startswith("path,split,cluster,class,")


def test_the_second_run_only_looks_whether_images_changed(clone: Clone):
    assert {name.split("@")[0] for name in clone.repro()} == {"index", "import", "known"}


def test_a_second_clone_pulls_everything_and_computes_nothing(clone: Clone, tmp_path: Path):
    """Though neither the pictures nor the imported file are there."""
    clone.run("git", "clone", "--quiet", str(clone.folder), str(tmp_path / "second"))
    second = Clone(tmp_path / "second")
    (second.folder / "vectors.npy").unlink()
    assert not (tmp_path / "pictures").exists()
    second.dvc("pull")
    ours = clone.folder / "data/features/colours/pixels"
    for path in ours.iterdir():
        assert (second.folder / path.relative_to(clone.folder)).read_bytes() == path.read_bytes()
    assert {name.split("@")[0] for name in second.repro()} == {"index", "import", "known"}
    assert second.run("git", "status", "--porcelain", "dvc.lock") == ""


def test_questions_about_results_get_answers(clone: Clone):
    metrics = json.loads(clone.dvc("metrics", "show", "--json"))
    assert "metrics/colours/pixels.json" in json.dumps(metrics)
    clone.change(kmeans={"n_init": 3})
    assert "kmeans.n_init" in clone.dvc("params", "diff")
    assert "index.html" in clone.dvc("plots", "show")
    clone.run("git", "checkout", "params.yaml")


def test_an_experiment_runs_what_its_setting_reaches(clone: Clone, forked: Path):
    said = clone.dvc("exp", "run", "--set-param", "kmeans.n_init=3", forked=forked)
    assert "Running stage 'kmeans@colours-pixels-kmeans'" in said
    assert "Running stage 'embed" not in said
    assert "Running stage 'kmeans@colours-pixels-overcluster'" not in said
    clone.run("git", "checkout", "params.yaml", "dvc.lock")
    clone.dvc("checkout")


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
    clone.repro("--single-item", "evaluate@others-pixels", "report", forked=forked)
    assert "assign@colours-others-pixels-kmeans" in ran
    assert "assign@colours-others-pixels-temi" in ran
    assert "similar@others-colours-pixels" in ran
    assert "embed@others-pixels" in ran
    assert "embed@colours-pixels" not in ran
    page = (clone.folder / "report/index.html").read_text()
    assert "What looks like others in colours" in page
    found = json.loads((clone.folder / "metrics/others/pixels.json").read_text())
    assert "acc" not in json.dumps(found)  # no labels: the label-free scores only


def test_a_backbone_that_learned_is_one_more(clone: Clone, forked: Path):
    run = {
        **OBJECTIVES["simgcd"],
        **{"dataset": "colours", "backbone": "resnet18_small_narrow", "k": 3, "epochs": 1},
        **{"batch": 20, "views": 2, "hidden": 16, "bottleneck": 8},
    }
    clone.change(
        backbones=["pixels", "resnet18_small_narrow"],
        adapt_with_known={"learner": run},
        adapted={"datasets": ["colours"], "known": ["colours"], "backbones": {"learner": run}},
    )
    ran = clone.repro("learned", forked=forked)
    first = ["embed@colours-resnet18_small_narrow", "adapt_with_known@learner"]
    assert [name for name in ran if name not in ("index@colours", "known@colours")] == [
        *first, "embed_adapted@colours-learner", "learned@colours-learner",
    ]  # fmt: skip
    assert (clone.folder / "data/clusters/discovered/colours/learner/learned/learned.h5").exists()
    assert {name.split("@")[0] for name in clone.repro("learned")} <= {"index", "known"}
