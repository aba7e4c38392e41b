"""Where the page comes from: program, libraries, machine, and what the stages cost."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from clustered import write_clusters, write_dataset
from conftest import ROOT
from reported import Tags, evaluate, report, specs, text_of

import pages.report.provenance as module
from pages.report.chosen.pick import Examples
from pages.report.provenance import commit, gpus, libraries, provenance
from pages.report.tables.costs import read_costs
from pipeline.io.absent import mark
from pipeline.io.cell import Cell
from pipeline.params import StageError


def write_program(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    ran = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of its own that is under git."""
    folder = tmp_path.resolve() / "tree"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "cairn"\nversion = "7.8.9"\n')
    (folder / "params.yaml").write_text("a: 1\n")
    (folder / "dvc.lock").write_text("one\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all")
    monkeypatch.setattr(module, "ROOT", folder)
    return folder


def test_the_commit_is_named_and_whether_the_tree_was_changed(tree: Path) -> None:
    at = git(tree, "rev-parse", "HEAD")[:12]
    assert commit() == f"commit {at}"
    (tree / "dvc.lock").write_text("two\n")  # DVC does, while it runs
    (tree / "new.txt").write_text("no part of the program\n")
    assert commit() == f"commit {at}"
    (tree / "params.yaml").write_text("a: 2\n")
    assert commit() == f"commit {at}, with changes"
    assert dict(provenance())["Program"] == f"cairn 7.8.9, commit {at}, with changes"


def test_a_tree_inside_another_repository_has_no_commit(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "inner").mkdir()
    monkeypatch.setattr(module, "ROOT", tree / "inner")
    assert commit() == ""


def test_without_git_and_a_gpu_nothing_is_said_of_them(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    said = dict(provenance())
    assert said["Program"] == "cairn 7.8.9"
    assert "GPU" not in said
    assert said["Python"] == ".".join(map(str, sys.version_info[:3]))


def test_gpus_are_named_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    write_program(tmp_path, "nvidia-smi", "echo NVIDIA H200; echo NVIDIA H200; echo NVIDIA L4")
    assert gpus() == "2 × NVIDIA H200, NVIDIA L4"
    write_program(tmp_path, "nvidia-smi", "echo has failed because of its driver; exit 9")
    assert gpus() == ""


def test_the_pinned_libraries_that_are_installed_have_their_versions() -> None:
    found = dict(line.split(" ") for line in libraries())
    assert found["numpy"] == importlib.metadata.version("numpy")
    assert {"h5py", "numba", "scikit-learn", "torch", "dvc"} <= found.keys()
    assert "pytest" not in found


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({"amx-bf16": True, "avx512bf16": True, "avx512f": True, "avx2": True},
         "AMX, avx512_bf16, AVX-512, AVX2"),
        ({"amx-bf16": False, "avx2": True}, "AVX2"),
        ({}, ""),
    ],
)  # fmt: skip
def test_the_arithmetic_of_the_processor_is_named(
    features: dict[str, bool], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: features)
    line = dict(provenance())["Processor"]
    assert re.search(rf"\d+ cores?{f' · {said}' if said else ''}$", line), line


def test_the_date_is_a_day() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \(UTC\)", dict(provenance())["Date"])


def test_no_heavy_library_is_loaded_for_it() -> None:
    code = "import sys, pages.report.provenance as p; p.provenance(); "
    code += (
        "print(sorted({'torch', 'tensorflow', 'sklearn', 'scipy', 'faiss'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout == "[]\n", ran.stderr


def spent(cell: Cell, name: str, seconds: float, memory: int, gpu: int | None = None) -> None:
    path = cell.metric(f"{name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    cost = {"seconds": seconds, "peak_memory_mb": memory}
    cost |= {} if gpu is None else {"gpu_peak_memory_mb": gpu}
    path.write_text(json.dumps({"cost": [cost], "acc": 1}))


ONE, TWO = Cell("d", "one"), Cell("d", "two")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_costs_are_summed_by_stage_and_memory_is_the_highest() -> None:
    spent(ONE, "kmeans", 1.25, 300)
    spent(TWO, "kmeans", 2.5, 200)
    spent(ONE, "export_kmeans", 1, 100)
    spent(ONE, "export_temi", 2, 90)
    spent(ONE, "similar_by_labels_x", 3, 80)
    spent(ONE, "similar_x", 4, 70)
    spent(Cell("d", "gone"), "kmeans", 99, 999)
    mark([TWO.metric("embed.json")], "it has no pictures")
    found = read_costs([ONE, TWO], [])
    assert found is not None
    assert [cost[:4] for cost in found.by_stage] == [
        ("export", "1", 3.0, 100), ("kmeans", "2", 3.75, 300),
        ("similar", "1", 4.0, 70), ("similar_by_labels", "1", 3.0, 80),
    ]  # fmt: skip
    assert [cost[:3] for cost in found.by_cell if cost.stage == "kmeans"] == [
        ("kmeans", "d · one", 1.25), ("kmeans", "d · two", 2.5),
    ]  # fmt: skip
    assert found.total[2:4] == (13.75, 300)
    assert not found.gpu


@pytest.mark.usefixtures("here")
def test_trainings_are_a_stage_and_the_gpu_has_a_column_where_one_was_used() -> None:
    spent(ONE, "kmeans", 1, 300)
    path = Path("metrics/backbones/gcd_0.json")
    path.parent.mkdir()
    spent(TWO, "any", 5, 100, gpu=4000)
    TWO.metric("any.json").replace(path)
    found = read_costs([ONE], ["gcd_0", "not yet"])
    assert found is not None
    assert found.gpu
    assert [(*cost[:2], *cost.cells) for cost in found.by_cell] == [
        ("adapt", "gcd_0", "5.0", "100", "4,000"), ("kmeans", "d · one", "1.0", "300", ""),
    ]  # fmt: skip


@pytest.mark.usefixtures("here")
def test_costs_that_nobody_wrote_are_none_and_damaged_ones_one_clear_line() -> None:
    ONE.metric("").mkdir(parents=True)
    ONE.metric("kmeans.json").write_text("{}")
    assert read_costs([ONE], []) is None
    ONE.metric("kmeans.json").write_text('{"cost": {"seconds": 1}}')
    with pytest.raises(StageError, match=r"kmeans.json: not as a stage wrote it"):
        read_costs([ONE], [])


def test_the_page_ends_with_it_folded_in(here: Path) -> None:
    write_dataset(here, "d")
    write_clusters(here, "d")
    evaluate("d", examples=Examples(clusters=0, images=3))
    specs(d={"from": "digits"})
    page = report()
    assert "Peak memory" not in page, "no stage said what it cost"
    spent(Cell("d", "pixels"), "kmeans", 12.34, 1234)
    spent(Cell("d", "pixels"), "embed", 1, 100)
    page = report()
    tags = Tags(page)
    assert not tags.open
    assert ("details", {"class": "origin"}) in tags.found
    text = text_of(page[page.index('<details class="origin">') :])
    for head, line in provenance():
        assert f"{head} {line}" in text
    assert "docs/why_results_differ.md" in text
    assert "Stage Cells Seconds Peak memory, MB embed 1 1.0 100 kmeans 1 12.3 1,234" in text
    assert "All 13.3 1,234" in text
    assert "kmeans d · pixels 12.3 1,234" in text
    assert "Of the GPU" not in text
