"""Stages killed (SIGKILL) at random moments and run again: each byte as if undisturbed.

Each stage works in a process forked from one that has imported the libraries and started no thread,
so that 100 kills take minutes. The moment is drawn uniformly from the time that its `main` takes;
`kills` met it at work, `too_late` did not and were done again. Before every other kill the outputs
are taken away; else those of a whole run lie there. `torn`: files that have their final name after
a kill, and other bytes than the undisturbed ones (of a table that grows with each epoch: no whole
rows of it); `lost`: files of other stages that changed or went; `equal`: runs after a kill that
ended with the bytes of the undisturbed run in every file, and with no file more.
Checkpoints are saved and stores synced as often as can be, so that there is something to go on
with. But: the power stays on, so what a disk may forget is not tested.
"""

import contextlib
import json
import multiprocessing
import os
import random
import runpy
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench._small_project import CASES, Case, lay_out

PACKAGES = ("numpy", "torch", "h5py", "scikit-learn")
KILLS = 4  # of each case
IMAGES = (80, 16)  # of each class, in train and in test
ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "HF_HUB_OFFLINE": "1",
    "PYTHONWARNINGS": "ignore",
}
LIBRARIES = (
    "backbones.cpu_torchvision",
    "sklearn.cluster",
    "pyarrow.parquet",
    "lightning_fabric",
    "timm",
    "h5py",
)
# What differs from run to run: times of files, and of stages
NOT_COMPARED = (".seen.h5", ".seen.part", ".seen.json", "/embed.json", "report/index.html")
COST = "cost"  # of the facts in metrics/
GROWING = "metrics/backbones/"


class Ended(NamedTuple):
    """How a process ended: `killed` by us, or by itself; the seconds that its main took."""

    killed: bool
    seconds: float


def run(
    kills: int = KILLS, cases: Sequence[Case] = CASES, images: tuple[int, int] = IMAGES
) -> list[dict[str, Any]]:
    """One row a case and one of all. SystemExit when anything is torn, lost or not equal.

    `images`: of each of ten classes in train and in test, in the larger collection."""
    os.environ.update(ENVIRONMENT)
    of = multiprocessing.get_context("forkserver")
    of.set_forkserver_preload(["bench.faults", *LIBRARIES, *{f"stages.{c.stage}" for c in cases}])
    dice, rows = random.Random(0), []
    with TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, *images)
        for case in cases:
            if not case.killed:
                _attempt(of, folder, case, None)
                continue
            rows.append(_kill_again_and_again(of, folder, case, kills, dice))
            print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), file=sys.stderr)
    total = {key: sum(row[key] for row in rows) for key in rows[0] if key != "stage"}
    if total["torn"] or total["lost"] or total["equal"] != total["kills"]:
        raise SystemExit(f"a kill did harm: {rows}")
    return [*rows, {"stage": "all", **total}]


def _kill_again_and_again(
    of: Any, folder: Path, case: Case, kills: int, dice: random.Random
) -> dict[str, Any]:
    before = _all_files(folder)
    _attempt(of, folder, case, None)
    whole = _contents(folder)
    own = {str(path) for path in _all_files(folder) - before}
    _remove(_all_files(folder) - before)
    latest = _attempt(of, folder, case, None).seconds
    if _contents(folder) != whole:
        raise SystemExit(f"{case.name}: two undisturbed runs differ")
    row: dict[str, Any] = {
        "stage": case.name,
        "kills": 0,
        "too_late": 0,
        "torn": 0,
        "lost": 0,
        "equal": 0,
    }
    while row["kills"] < kills:
        if row["kills"] % 2 == 0:
            _remove(_all_files(folder) - before)
        ended = _attempt(of, folder, case, dice.uniform(0, latest))
        if not ended.killed:
            row["too_late"] += 1
            latest = min(0.9 * latest, ended.seconds)
            continue
        row["kills"] += 1
        found = _contents(folder)
        row["torn"] += sum(_torn(name, found[name], whole[name]) for name in own & found.keys())
        row["lost"] += sum(found.get(name) != whole[name] for name in whole.keys() - own)
        _attempt(of, folder, case, None)
        row["equal"] += _contents(folder) == whole
    return row


def _torn(name: str, found: bytes, whole: bytes) -> bool:
    if GROWING in name and found.endswith(b"\n"):
        return not whole.startswith(found)
    return found != whole


def _attempt(of: Any, folder: Path, case: Case, kill_after: float | None) -> Ended:
    """Run the case to its end, or kill it so many seconds after its main began."""
    hear, say = of.Pipe(duplex=False)
    process = of.Process(target=_work, args=(folder, case, say))
    process.start()
    say.close()
    with contextlib.suppress(EOFError):  # it failed before it began, as its exit code says
        hear.recv()
    began = time.perf_counter()
    process.join(kill_after)
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    seconds = time.perf_counter() - began
    killed = kill_after is not None and process.exitcode == -signal.SIGKILL
    if process.exitcode and not killed:
        raise SystemExit(f"{case.name} failed: {(folder / 'log.txt').read_text()[-2000:]}")
    return Ended(killed, seconds)


def _work(folder: Path, case: Case, say: Connection) -> None:
    """In the forked process: the stage as `python -m stages.NAME ARGUMENTS` runs it."""
    import store.writer
    from pipeline.fitting import checkpoint

    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    checkpoint.SECONDS_BETWEEN = 0.0
    store.writer.SECONDS_BETWEEN_SYNCS = 0.0
    os.chdir(folder)
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    if threads > 1:
        raise SystemExit(f"{threads} threads at the start: a fork of them is not sound")
    sys.argv = [case.stage, *case.arguments]
    say.send(None)
    runpy.run_module(f"stages.{case.stage}", run_name="__main__", alter_sys=True)


def _all_files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and path.name != "log.txt"}


def _contents(folder: Path) -> Mapping[str, bytes]:
    return {
        str(path): _without_cost(path)
        for path in _all_files(folder)
        if not str(path).endswith(NOT_COMPARED)
    }


def _without_cost(path: Path) -> bytes:
    """The bytes of a file; of facts of a stage those of all but its cost."""
    data = path.read_bytes()
    if path.suffix != ".json" or "metrics" not in path.parts:
        return data
    try:
        facts = json.loads(data)
    except ValueError:  # torn
        return data
    return json.dumps({key: value for key, value in facts.items() if key != COST}).encode()


def _remove(paths: set[Path]) -> None:
    for path in paths:
        path.unlink()
