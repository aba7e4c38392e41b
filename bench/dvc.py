"""What DVC costs: a `dvc repro` that finds nothing to do, and a stage beside its bare command.

The default graph is run once with small settings, on the digits by `pixels` and a small untrained
network, in a folder of its own, and then again. Stages that look outside run each time (`index`):
their commands alone are a row of their own. A trivial stage copies a file; its cost is the slope
between 5 and 25 of them less the command's own time, so DVC's start is not in it. `start` is how
long a stage takes until its arguments are read: Python and its imports. Seconds are medians of 3.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import yaml

PACKAGES = ("dvc",)
ROOT = Path(__file__).parents[1]
CODE = ("stages", "pages", "pipeline", "backbones", "images", "store", "cluster")
BACKBONES: dict[str, Any] = {"pixels": {}, "resnet18_small_narrow": {}}
FEW, MANY, REPEATS = 5, 25, 3
COPY = "cp params.yaml out{number}"
INDEX = "index digits"
STARTS = ("index", "evaluate", "kmeans", "temi")

# So that the whole graph takes a minute or two
SMALL: dict[str, dict[str, Any]] = {
    "estimate_k": {"k_max": 4, "seeds": [0, 1], "images": 300, "silhouette_images": 100},
    "kmeans": {"dims": [0], "n_init": 1, "seeds": [0]},
    "overcluster": {"k": ["2x"], "n_init": 1, "seeds": [0]},
    "spectral": {"seeds": [0]},
    "scan": {"steps": 2, "seeds": [0]},
    "selflabel": {"steps": 2},
    "temi": {"steps": 2, "seeds": [0], "heads": 2},
    "probes": {"penalties": [0.1], "seeds": [0]},
    "runtime": {"device": "cpu"},
}


def run() -> list[dict[str, Any]]:
    """One row a cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lay_out(folder / "graph")
        _dvc(folder / "graph", "repro", "--quiet")
        stages = len(_dvc(folder / "graph", "stage", "list", "--name-only").split())
        nothing = _seconds(lambda: _only_index(folder / "graph"))
        index = _seconds(lambda: _run(folder / "graph", *_stage(INDEX)))
        starts = {
            stage: _seconds(lambda stage=stage: _run(folder / "graph", *_stage(f"{stage} --help")))
            for stage in STARTS
        }
        few, many = (_trivial(folder / str(count), count) for count in (FEW, MANY))
        bare = _seconds(lambda: _run(folder / "graph", *_shell(COPY.format(number=0))))
    slope = (many - few) / (MANY - FEW)
    rows = [
        ("dvc repro, nothing to do", stages, nothing),
        ("of it: index, which looks each time", 1, index),
        ("dvc's part of a stage", 1, slope - bare),
    ]
    rows += [(f"start of {stage}", 1, seconds) for stage, seconds in starts.items()]
    return [
        {
            "what": what,
            "stages": count,
            "seconds": round(seconds, 3),
            "ms_a_stage": round(1000 * seconds / count),
        }
        for what, count, seconds in rows
    ]


def _lay_out(folder: Path) -> None:
    """The default project, its code linked, with small settings."""
    _init(folder)
    for name in CODE:
        (folder / name).symlink_to(ROOT / name)
    (folder / ".dvc/plots").mkdir()
    (folder / "recipes").mkdir()
    files = ("dvc.yaml", ".dvcignore", ".gitignore", "recipes/published.yaml")
    rest = [ROOT / name for name in files]
    for file in [*rest, *(ROOT / ".dvc/plots").iterdir()]:
        (folder / file.relative_to(ROOT)).write_bytes(file.read_bytes())
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["backbones"] = params["all"] = BACKBONES
    for section, changes in SMALL.items():
        params[section] |= changes
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def _trivial(folder: Path, count: int) -> float:
    """Seconds of a first `dvc repro` of so many stages that copy a file."""
    _init(folder)
    (folder / "params.yaml").write_text("some: 1\n")
    stages = {
        f"copy{number}": {
            "cmd": COPY.format(number=number),
            "deps": ["params.yaml"],
            "params": ["some"],
            "outs": [f"out{number}"],
        }
        for number in range(count)
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    return _seconds(lambda: _dvc(folder, "repro", "--quiet", "--force", "--no-run-cache"))


def _init(folder: Path) -> None:
    (folder / ".dvc").mkdir(parents=True)
    _run(folder, "git", "init", "--quiet")
    (folder / ".dvc/config").write_bytes((ROOT / ".dvc/config").read_bytes())


def _only_index(folder: Path) -> None:
    ran = [line for line in _dvc(folder, "repro").splitlines() if line.startswith("Running")]
    if [line.split("'")[1].partition("@")[0] for line in ran] != ["index"]:
        raise SystemExit(f"a second dvc repro was not idle: {ran}")


def _seconds(work: Any) -> float:
    found = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return median(found)


def _stage(command: str) -> list[str]:
    return [sys.executable, "-m", *shlex.split(f"stages.{command}")]


def _shell(command: str) -> list[str]:
    """As DVC runs it."""
    return [os.environ.get("SHELL", "/bin/sh"), "-c", command]


def _dvc(folder: Path, *arguments: str) -> str:
    return _run(folder, sys.executable, "-m", "dvc", *arguments)


def _run(folder: Path, *command: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)}: {_last(done.stdout, done.stderr)}")
    return done.stdout


def _last(*texts: str) -> Sequence[str]:
    return [line for text in texts for line in text.splitlines() if line.strip()][-3:]
