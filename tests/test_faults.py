"""Kills, full and read-only disks, too little memory, two runs at once: a result is whole or is not
there, and what is wrong is said in one line. The long suite of kills: bench/faults.py; stores of
features: test_store_kill.py. Damaged files, names and what comes from others: test_faults_*.py."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Project, environment
from killed import die_before
from PIL import Image
from stored import locked

import images
import store
from backbones.row import BackboneError, row
from cluster import ClusterError, scratch
from pipeline.io import arrays, scores, whole
from pipeline.io.cell import Cell, images_of, labels_of
from pipeline.params import StageError
from store.disk import claim

OURS = (StageError, store.StoreError, BackboneError)
STATE = {"at": np.array(7), "w": np.arange(600.0).reshape(3, 200), "names": np.array(["a", "bc"])}


# What writes a file outside of the store, by name: the path below a folder, and how


def _write_json(path: Path) -> None:
    whole.write_json(path, {"number": list(range(2000))})


def _write_table(path: Path) -> None:
    scores.write_scores(path, ("a", "b"), [{"a": i, "b": 0.5} for i in range(1000)])


def _write_arrays(path: Path) -> None:
    arrays.save_arrays(path, STATE)


def _write_index(path: Path) -> None:
    names = np.array([f"{i:040}.png" for i in range(300)], object)
    parts = {
        "name": names,
        "digest": np.zeros((300, 16), np.uint8),
        "split": np.zeros(300, np.uint8),
    }
    store.save(path, "index", parts, {"dataset": "d", "splits": ["train"], "n_classes": 0})


def _write_backbone(path: Path) -> None:
    import torch

    from backbones import adapted

    network = torch.nn.Linear(40, 40)
    torch.nn.init.constant_(network.weight, 0.5), torch.nn.init.constant_(network.bias, 0.5)
    adapted.save(
        path, row("resnet18_small"), network, form="timm", output="avg", dim=40, method="m",
        data="d", extra={},
    )  # fmt: skip


WRITERS: dict[str, Callable[[Path], None]] = {
    "facts.json": _write_json,
    "table.csv": _write_table,
    "state.npz": _write_arrays,
    "index.h5": _write_index,
    "backbone": _write_backbone,
}


def everything(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def refusal(do: Callable[[], object]) -> str:
    """The one line in which `do` refuses, as a stage would print it."""
    with pytest.raises((*OURS, OSError)) as caught:
        do()
    error = caught.value
    said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    assert len(said.splitlines()) == 1
    return said


# Kills


def test_stages_killed_at_random_moments_and_run_again_end_as_undisturbed():
    """A few of the kills of bench/faults.py, which raises where anything is torn or lost."""
    script = """
import bench.faults as faults
names = "index", "embed, with views", "kmeans", "neighbors", "temi", "evaluate", "export, csv"
names += ("curate",)
before = "backbone", "pca", "duplicates"
cases = [c._replace(killed=c.name in names) for c in faults.CASES if c.name in names + before]
print(faults.run(1, cases, (16, 4))[-1]["kills"], len(names))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["8", "8"]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_kill_before_any_call_leaves_old_or_new_and_the_next_run_nothing_else(name, tmp_path):
    write = WRITERS[name]
    write(tmp_path / "whole" / name)
    undisturbed = everything(tmp_path / "whole")
    last = {path: data + b"." for path, data in undisturbed.items()}  # of an earlier run
    for call in range(100):
        shutil.rmtree(tmp_path / "f", ignore_errors=True)
        for path, data in last.items():
            (tmp_path / "f" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "f" / path).write_bytes(data)
        child = os.fork()
        if not child:
            die_before(call)
            with contextlib.suppress(BaseException):
                write(tmp_path / "f" / name)
                os._exit(0)
            os._exit(1)
        status = os.waitpid(child, 0)[1]
        found = everything(tmp_path / "f")
        for path in undisturbed.keys() & found.keys():
            assert found[path] in (last[path], undisturbed[path])
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        write(tmp_path / "f" / name)
        assert everything(tmp_path / "f") == undisturbed
    assert call > 2
    assert found == undisturbed


# Disks


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of its own; skips the test where none may be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes=200", "none", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no command mount here")
    if made.returncode:
        pytest.skip(f"no tmpfs may be mounted here ({made.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_temporary_folder_is_named(tmp_path, monkeypatch):
    """Not a signal when a page of a mapped file finds no room."""
    with small_disk(tmp_path / "disk", 256 * 1024) as disk:
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.setenv("TMPDIR", str(disk))
        monkeypatch.setattr(scratch, "LIMIT", 1000)
        monkeypatch.setattr(images._names, "IN_MEMORY", 1000)
        held = scratch.scratch_array((100, 1000), np.uint8)
        held[:] = 7
        with pytest.raises(ClusterError, match=rf"{disk}: no room for 0\.0 GB.*TMPDIR"):
            scratch.scratch_array(300_000, np.uint8)
        with pytest.raises(images.ImagesError, match=f"{disk}: no room for the names.*TMPDIR"):
            images.Names(str(i) for i in range(10**6))
        assert list(images.Names(map(str, range(10_000)))) == list(map(str, range(10_000)))
        assert (held == 7).all()
        assert not list(disk.iterdir())


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_said_in_one_line_and_leaves_what_was_there(name, tmp_path):
    write = WRITERS[name]
    with small_disk(tmp_path / "disk", 256 * 1024) as disk:
        write(disk / name)
        before = everything(disk)
        page, refused = 4096, 0
        for free in (0, 1, 2, 4):  # pages
            with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(page))
            os.truncate(
                disk / "filler", (disk / "filler").stat().st_size // page * page - free * page
            )
            try:
                write(disk / name)
            except (*OURS, OSError):
                said = refusal(lambda: write(disk / name))
                assert "no room on the disk" in said or "No space left" in said
                refused += 1
            (disk / "filler").unlink()
            left = everything(disk)
            if name == "backbone":  # a folder that has no row.yaml says that it is not whole
                left = {**before, **left}
            assert left == before
        assert refused >= 2
        write(disk / name)
        assert everything(disk) == before


def stage(project: Project, name: str, *arguments: str, limit: Callable[[], None] | None = None):
    """A stage in a process of its own, with a limit set in it before it begins."""
    project.write_params()
    return subprocess.Popen(
        [sys.executable, "-m", f"stages.{name}", *arguments], cwd=project.folder, env=ENVIRONMENT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit,
    )  # fmt: skip


ENVIRONMENT = environment()


def only_line(error: str) -> str:
    lines = error.strip().splitlines()
    assert len(lines) == 1, error
    return lines[0]


def test_a_stage_on_a_full_or_read_only_disk_refuses_in_one_line(project: Project):
    with small_disk(project.folder / "data", 16 * 1024) as disk:
        _, error = (process := stage(project, "index", "digits")).communicate()
        assert process.returncode == 1
        assert only_line(error).startswith("index: data/digits/images.h5: no room on the disk")
        assert not [path for path in disk.rglob("*") if path.is_file()]
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        _, error = (process := stage(project, "index", "digits")).communicate()
        assert process.returncode == 1
        assert only_line(error).endswith("Read-only file system")


def test_a_limit_to_the_size_of_files_is_said_as_a_full_disk(project: Project):
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))  # noqa: E731
    _, error = (process := stage(project, "index", "digits", limit=limit)).communicate()
    assert process.returncode == 1
    assert "data/digits/images.h5: no room on the disk (File too large)" in only_line(error)
    assert not list((project.folder / "data").rglob("*.h5*"))


@pytest.mark.parametrize("name", WRITERS)
def test_a_read_only_folder_is_said_in_one_line(name):
    with locked() as folder:
        said = refusal(lambda: WRITERS[name](folder / name))
        assert "Permission denied" in said
        assert not list(folder.iterdir())


# Memory

LIMITED = """
import contextlib, json, resource, sys
import torch
import stages, stages.pca
torch.ones(4, 4) @ torch.ones(4, 4)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
ended = []
for limit in (used + int(sys.argv.pop(1)) * 2**20, soft):
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            ended.append(stages.run(stages.pca.main))
    except SystemExit as error:
        ended.append(error.code)
print(json.dumps(ended))
"""


@pytest.mark.parametrize("more", [10, 40])  # MB; the vectors as float32 are 20
def test_too_little_memory_ends_in_one_line_and_enough_in_the_result(project: Project, more: int):
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here, which says how much memory is used")
    ids, rows = np.arange(40_000, dtype=np.int64).view(np.uint8).reshape(-1, 16), np.arange(20_000)
    cell = Cell("x", "b")
    plan = store.Plan("x", "b", "e", 256, ["train"], ids, rows, np.zeros(20_000, np.uint8))
    with store.FeatureWriter(project.folder / cell.features, plan) as writer:
        writer.put(rows, np.random.default_rng(0).normal(size=(20_000, 256)).astype(np.float32))
        writer.finish()
    project.write_params()
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, str(more), "x", "b"],
        cwd=project.folder,
        env={**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    refused, done = json.loads(ran.stdout)
    assert "memory" in only_line(refused)
    assert only_line(ran.stderr).startswith("pca: ")  # of the second run alone
    assert done is None
    with store.read(project.folder / cell.pca, "pca") as file:
        assert file["components"].shape == (256, 256)
    assert sorted(path.name for path in project.folder.rglob("pca*")) == ["pca.h5", "pca.json"]


# Two at once


@pytest.mark.parametrize("name", sorted(WRITERS.keys() - {"backbone"}))
def test_while_another_process_writes_a_file_it_is_refused(name, tmp_path):
    held = claim(tmp_path / f"{name}.part")
    said = refusal(lambda: WRITERS[name](tmp_path / name))
    assert said == f"{tmp_path / name}: another process is writing it; wait for it or stop it"
    os.close(held)
    WRITERS[name](tmp_path / name)
    assert list(everything(tmp_path)) == [name]


def test_two_runs_of_a_stage_at_once_end_whole(project: Project):
    pictures(project.folder / "photos", 60)
    project.params["datasets"] = {"photos": {"from": "folder", "root": "photos"}}
    place = images_of("photos"), labels_of("photos")
    project.index("photos")
    whole = [(project.folder / path).read_bytes() for path in place]
    for path in place:
        (project.folder / path).unlink()
    both = [stage(project, "index", "photos") for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 1])
    for process, error in zip(both, errors, strict=True):
        if process.returncode:
            assert "another process is writing it" in only_line(error)
    assert [(project.folder / path).read_bytes() for path in place] == whole
    assert not list((project.folder / "data").rglob("*.part"))


def pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(folder / f"{number}.png")
