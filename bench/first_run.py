"""The first run of a newcomer: where the seconds of each stage of the default experiment go.

`dvc repro` in a copy of the project's tracked files, with caches of its own (DVC's, matplotlib's),
so that nothing was made before but what `make` makes when it installs: compiled loops. Columns, in
seconds: `start`, from the shell's start until main is called (Python, imports at the top of files,
settings); of main the `imports` in functions, `reading` and `writing` of files, and `computing`,
the rest (bench/_stopwatch.py); `end`, until the shell is gone. `dvc repro` itself is a row: its
whole time less that of the stages.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import _stopwatch

PACKAGES = ("dvc", "h5py", "matplotlib", "numba", "numpy", "scikit-learn", "scipy", "torch")
ROOT = Path(__file__).parents[1]
BUDGET = 180.0  # seconds
COLUMNS = ("start", *_stopwatch.KINDS, "end")
# A shell that says when a command began and ended
SHELL = """#!/bin/sh
begin=$(date +%s.%N)
/bin/sh "$@"
said=$?
echo "$DVC_STAGE $begin $(date +%s.%N)" >> {file}
exit $said
"""


def run() -> list[dict[str, Any]]:
    """A row a stage in the order of the run, then DVC, the sums, and what is left of the budget."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_project(folder / "project")
        subprocess.run([sys.executable, "-m", "cluster"], cwd=folder / "project", check=True)
        rows, whole = measure(folder / "project", folder / "watch")
    dvc = whole - sum(row["total"] for row in rows)
    rows.append({"stage": "dvc", **dict.fromkeys(COLUMNS, ""), "total": dvc})
    sums = {name: sum(row[name] for row in rows if row[name] != "") for name in (*COLUMNS, "total")}
    rows.append({"stage": "all", **sums})
    rows.append(
        {"stage": f"left of {BUDGET:.0f}", **dict.fromkeys(COLUMNS, ""), "total": BUDGET - whole}
    )
    return [
        {
            name: round(value, 2) if isinstance(value, float) else value
            for name, value in row.items()
        }
        for row in rows
    ]


def copy_project(folder: Path) -> None:
    """The files that git tracks, as they are now, in a repository of their own."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():  # not one that is about to be removed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)


def measure(
    project: Path, watched: Path, targets: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], float]:
    """`dvc repro` of `targets` (none: all) in `project`: a row a stage, and the seconds of it all.

    `watched` is a new folder for what watches. SystemExit when a stage fails.
    """
    watched.mkdir()
    shutil.copyfile(_stopwatch.__file__, watched / "sitecustomize.py")
    stages, commands = watched / "stages.jsonl", watched / "commands.txt"
    shell = watched / "shell"
    shell.write_text(SHELL.format(file=shlex.quote(str(commands))))
    shell.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(watched),
        "PYTHONWARNINGS": "ignore",
        "SHELL": str(shell),
        _stopwatch.FILE: str(stages),
        "XDG_CACHE_HOME": str(watched / "cache"),
        "MPLCONFIGDIR": str(watched / "cache/matplotlib"),
        "DVC_SITE_CACHE_DIR": str(watched / "cache/dvc"),
        "DVC_NO_ANALYTICS": "1",
    }
    begin = time.time()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", *targets],
        cwd=project, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    whole = time.time() - begin
    if done.returncode:
        last = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-5:]
        raise SystemExit("dvc repro: " + "\n".join(last))
    return list(_rows(commands.read_text(), stages.read_text())), whole


def _rows(commands: str, stages: str) -> Iterator[dict[str, Any]]:
    said = {line["stage"]: line for line in map(json.loads, stages.splitlines())}
    for line in commands.splitlines():
        name, begin, end = line.split()
        of = said[name.removeprefix("dvc.yaml:")]
        yield {
            "stage": name,
            "start": of["main"] - float(begin),
            **{kind: of[kind] for kind in _stopwatch.KINDS},
            "end": float(end) - of["done"],
            "total": float(end) - float(begin),
        }
