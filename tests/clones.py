"""Small projects that `dvc repro` runs: a git repository with the project's graph in each."""

import copy
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import yaml
from conftest import PARAMS, ROOT, of_stages
from PIL import Image

CODE = ("stages", "pages", "pipeline", "backbones", "images", "store", "cluster")
FILES = (
    *("dvc.yaml", ".dvcignore", ".gitignore"),
    *("recipes/objectives.yaml", "recipes/published.yaml"),
)
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
        own = ("backbones", "resized", "imported", "adapted")
        params["embedded"] = {name: row for origin in own for name, row in params[origin].items()}
        params["all"] = params["embedded"] | params["fused"]
        path.write_text(yaml.safe_dump(params))


# Not merged with what is there
WHOLE = ("datasets", "backbones", "resized", "imported", "adapted", "fused")


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


def made(parent: Path, **changes: object) -> Clone:
    """A clone of the project below `parent`, 60 pictures of three colours beside it and vectors
    of them in exports/, before its first `dvc repro`."""
    folder = parent / "project"
    folder.mkdir()
    draw(parent / "pictures", "red", "green", "blue")
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
    params["datasets"] = {"colours": {"from": "folder", "root": "../pictures", "tree": "class"}}
    params["backbones"] = {ZOO: {}}
    params["imported"] = {FOREIGN: {"features": "exports/{dataset}.npy"}}
    params["kmeans"] |= {**small, "k": [3]}
    params["overcluster"] |= {**small, "k": [5], "dims": [0]}
    params["spectral"] |= {"k": [3], "seeds": [0, 1]}
    params["scan"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["selflabel"] |= {"steps": 3}
    params["temi"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["dcsbm"] |= {"k": [3], "seeds": [0, 1]}
    params["map"] |= {"dims": [2], "epochs": 3}
    params["umap_kmeans"] |= {"k": [3], "dims": 2, "seeds": [0, 1]}
    params["consensus"] |= {"k": [3], "seeds": [0, 1]}
    params["estimate_k"] |= {"k_max": 5, "seeds": [0, 1]}
    params["estimate_k_by_labels"] |= {"max_classes": 6, "seeds": [0]}
    for run in ("sskmeans", "sskmeans_balanced"):
        params[run] |= {"k": [3], "n_init": 2, "seeds": [0, 1]}
    params["simgcd"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["pim"] |= {"k": [3], "steps": 3, "seeds": [0, 1]}
    params["probes"] |= {"penalties": [0.1], "seeds": [0]}
    params["runtime"]["device"] = "cpu"
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    np.save(folder / "exports/colours.npy", np.random.default_rng(60).normal(size=(60, 16)))
    found = Clone(folder)
    found.change(**changes)
    found.run("git", "init", "--quiet")
    return found


def forked_python(folder: Path) -> Path:
    """A folder whose command `python` runs a stage in a fork, for there are many."""
    python = folder / "python"
    python.write_text(of_stages().command())
    python.chmod(0o755)
    return folder
