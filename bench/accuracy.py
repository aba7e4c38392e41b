"""Accuracy: every method on real pictures, mean ± sd over five seeds, with the seconds it took.

Each dataset is a project in a folder that stays (`--folder`), whose own stages are driven by `dvc
repro`: a bench that was killed goes on where it was, and a second one finds all done. But: DVC does
not watch the code; for other code take another folder. The methods are those of dvc.yaml that write
clusters, by all runs that there are for as many clusters as classes, so that new ones appear by
themselves; the backbones are the first of BACKBONES and, where params.yaml has `fused`, both side
by side. Seconds are of the stage alone, all seeds together, and not of what it begins with: all of
them need the neighbours, `selflabel` needs `scan`. ACC, NMI and ARI are on all images, which are
all of train.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench import _results
from bench._accuracy_rows import PACKAGES, Row, before, markdown, read
from bench.dvc import CODE
from pipeline.graph import MEMBERS, TABLES
from pipeline.io.cell import Cell
from pipeline.yaml_as_dvc import Loader

ROOT = Path(__file__).parents[1]
FOLDER = Path(tempfile.gettempdir()) / "cairn_accuracy"
CLOTHING = Path(os.environ.get("CAIRN_CLOTHING", ROOT.parent / "shared/data/clothing"))
SEEDS = [0, 1, 2, 3, 4]
DATASETS: dict[str, dict[str, Any]] = {
    "digits": {"from": "digits", "train": ["train", "test"]},
    "clothing": {
        "from": "folder", "root": str(CLOTHING), "tree": "split/class",
        "train": ["validation", "test"],
    },
    "fashion": {"from": "fashion_mnist", "splits": ["test"], "train": ["test"]},
}  # fmt: skip
BACKBONES = {
    "digits": ["efficientnet_lite0_96", "mobilenet_v2"],
    "clothing": ["efficientnet_lite0", "mobilenet_v2"],
    "fashion": ["efficientnet_lite0_96", "mobilenet_v2"],
}
FUSED = "fused"
MORE_RUNS = {"temi": ["temi_long"]}  # that are off in the default experiment; [] is [the stage]
FILES = ("dvc.yaml", ".dvc/config", ".dvcignore", ".gitignore", "recipes/objectives.yaml")
FILES += ("recipes/published.yaml",)


def main(arguments: Sequence[str]) -> None:
    """Run what is asked for, print the table, keep it with the rows of the other cells."""
    parser = argparse.ArgumentParser(prog="python -m bench accuracy", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--backbones", nargs="+", help="instead of those of the bench")
    parser.add_argument("--without", nargs="+", default=[], help="runs that are left out")
    parser.add_argument("--limit", type=float, help="seconds after which a stage is stopped")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="%(default)s")
    parser.add_argument(
        "--unclocked", action="store_true", help="keep no seconds: others use this machine"
    )
    given = parser.parse_args(arguments)
    rows = before()
    for of_cell in cells(given.only, given.backbones, given.without, given.limit, given.folder):
        if given.unclocked:
            of_cell = [{**row, "seconds": ""} for row in of_cell]
        mine = {(row["dataset"], row["backbone"]) for row in of_cell}
        others = [row for row in rows if (row["dataset"], row["backbone"]) not in mine]
        rows = sorted([*others, *of_cell], key=lambda row: [*DATASETS].index(row["dataset"]))
        print(f"\n{_results.table(of_cell)}", flush=True)
        _results.keep("accuracy", PACKAGES, rows)
    print(f"\n{markdown(rows)}")


def run() -> list[Row]:
    """All datasets, backbones and methods."""
    return [row for rows in cells([*DATASETS], None, [], None, FOLDER) for row in rows]


def cells(
    datasets: Sequence[str],
    backbones: Sequence[str] | None,
    without: Sequence[str],
    limit: float | None,
    folder: Path,
) -> Iterator[list[Row]]:
    """The rows of each cell, as soon as it is done."""
    for dataset in datasets:
        if dataset == "clothing" and not CLOTHING.is_dir():
            print(f"clothing: left out: {CLOTHING} is no folder; CAIRN_CLOTHING may name another")
            continue
        project, wanted = folder / dataset, list(backbones or BACKBONES[dataset])
        params = settings(
            yaml.load((ROOT / "params.yaml").read_text(), Loader=Loader), dataset, wanted
        )
        lay_out(project, params)
        for backbone in backbones or [wanted[0], *params.get("fused", ())]:
            cell = Cell(dataset, backbone)
            for run, target in targets(params, cell).items():
                if run not in without:
                    _say(target, dvc(project, ["repro", "--quiet", target], limit))
            evaluate = ["repro", "--quiet", "--single-item", f"evaluate@{dataset}-{backbone}"]
            _say(evaluate[-1], dvc(project, evaluate, None))
            if rows := read(project, cell):
                yield rows


def settings(params: dict[str, Any], dataset: str, backbones: Sequence[str]) -> dict[str, Any]:
    """The project's params.yaml with one dataset, these backbones, all runs and five seeds."""
    rows: dict[str, Any] = {name: {} for name in backbones}
    fused = {FUSED: list(backbones[:2])} if "fused" in params and len(backbones) > 1 else {}
    params = {**params, "datasets": {dataset: DATASETS[dataset]}, "known": {}, "backbones": rows}
    params |= {name: {} for name in ("imported", "adapted", "resized") if name in params}
    params |= {"fused": fused} if "fused" in params else {}
    params |= {"embedded": rows} if "embedded" in params else {}
    params["all"] = {**rows, **fused}
    params["runs"] = {
        stage: [] if stage in TABLES and stage != MEMBERS else _runs(params, stage, names)
        for stage, names in params["runs"].items()
    }
    every = [*methods(), *(run for runs in params["runs"].values() for run in runs)]
    for name in dict.fromkeys(every):
        if isinstance(section := params.get(name), dict):
            more = {"seeds": SEEDS} if "seeds" in section else {}
            more |= {"dims": [0]} if section.get("dims") == [0, 32] else {}
            params[name] = {**section, **more}
    return params


def _runs(params: Mapping[str, Any], stage: str, names: Sequence[str]) -> list[str]:
    """Those with as many clusters as classes: `overcluster` has other k."""
    every = [*(names or [stage]), *MORE_RUNS.get(stage, [])]
    found = [name for name in every if isinstance(params.get(name), Mapping)]
    return [name for name in found if params[name].get("k", ["1x"])[0] == "1x"]


def methods() -> list[str]:
    """The stages that cluster the images of a cell: their out is a file in clusters/."""
    graph = yaml.load((ROOT / "dvc.yaml").read_text(), Loader=Loader)["stages"]
    return [
        name
        for name, stage in graph.items()
        if set(stage.get("matrix", {})) >= {"dataset", "backbone"}
        and any("/clusters/" in str(out) and ".h5" in str(out) for out in stage.get("outs", []))
    ]


def targets(params: Mapping[str, Any], cell: Cell) -> dict[str, str]:
    """The stages of a cell for `dvc repro`, by run, in the order of dvc.yaml."""
    out = {}
    for stage in methods():
        where, runs = f"{stage}@{cell.dataset}-{cell.backbone}", params["runs"].get(stage)
        out |= {stage: where} if runs is None else {run: f"{where}-{run}" for run in runs}
    return out


def lay_out(project: Path, params: Mapping[str, Any]) -> None:
    """The project with its code linked; what its stages have made stays."""
    for name in (".dvc/plots", "recipes"):
        (project / name).mkdir(parents=True, exist_ok=True)
    for name in CODE:
        (project / name).unlink(missing_ok=True)
        (project / name).symlink_to(ROOT / name)
    plots = [path.relative_to(ROOT) for path in (ROOT / ".dvc/plots").iterdir()]
    for file in (*FILES, *plots):
        (project / file).write_bytes((ROOT / file).read_bytes())
    text = yaml.safe_dump(dict(params), sort_keys=False)
    if not (project / "params.yaml").exists() or (project / "params.yaml").read_text() != text:
        (project / "params.yaml").write_text(text)
    if not (project / ".git").exists():
        subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)


def dvc(project: Path, words: Sequence[str], limit: float | None) -> str:
    """Run it and all that it starts; the last line of what went wrong, "" if nothing did."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HF_HUB_OFFLINE": "1",
        "DVC_NO_ANALYTICS": "1",
    }
    started = subprocess.Popen(
        [sys.executable, "-m", "dvc", *words], cwd=project, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = started.communicate(timeout=limit)
    except BaseException as stopped:  # Ctrl+C too: the stage is in a session of its own
        os.killpg(started.pid, signal.SIGTERM)
        started.communicate()
        if not isinstance(stopped, subprocess.TimeoutExpired):
            raise
        return f"stopped after {limit:.0f} s"
    lines = [line for line in said.splitlines() if line.strip()]
    return "" if started.returncode == 0 else " / ".join(lines[-3:]) or shlex.join(words)


def _say(what: str, wrong: str) -> None:
    print(f"{what}: {wrong}" if wrong else f"{what}: done", flush=True)
