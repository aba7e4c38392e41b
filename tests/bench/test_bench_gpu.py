"""`python -m bench gpu`, as far as it goes without a GPU: every part at a tiny size on the CPU."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT

from bench import _gpu_device, _gpu_embed, _gpu_heads, _gpu_search, _gpu_tests, _results, _wheels
from bench import gpu as part
from bench._alone import Row, row, rows_of

SMALL: dict[str, Callable[[], Iterator[Row]]] = {
    "device": lambda: _gpu_device.device("cpu", size=64, numbers=1000),
    "kmeans": lambda: _gpu_search.kmeans_pass("cpu", images=900, dim=16, k=10, passes=3),
    "neighbors": lambda: _gpu_search.neighbors("cpu", images=500, dim=16, k=5, queries=300),
    "heads": lambda: _gpu_heads.heads("cpu", images=300, dim=16, k=4, number=3, batch=64),
    "network": lambda: _gpu_embed.network("cpu", model="test_vit", side=160, batches=(2,)),
    "embed": lambda: _gpu_embed.embed(
        "cpu", images=3, model="test_vit", dim=64, side=160, batches=(2,)
    ),
}
NONE = {"pydantic", "pydantic_core", "dvc", "faiss", "tabulate", "tensorflow", "ray"}
WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({NONE})); "


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def said(what: str, value: int) -> str:
    return f"print({json.dumps(row(what, value))!r}, flush=True);"


@pytest.mark.parametrize("name", SMALL)
def test_a_part_measures_and_its_answers_hold(name: str):
    rows = list(SMALL[name]())
    assert all(isinstance(each["value"], str) or each["value"] > 0 for each in rows)
    assert len({each["what"] for each in rows}) == len(rows)
    held = " ".join(each["held"] for each in rows)
    assert "NOT" not in held
    if name == "kmeans":
        assert float(held.split("off by ")[1].split()[0]) < 1e-6
    if name == "neighbors":
        assert held.strip().startswith("0 of 1,500 are no neighbours")
    if name == "heads":
        assert held.count("loss") == 2


def test_the_parts_end_within_six_minutes():
    assert sum(each.limit for each in part.PARTS.values()) <= 360


def test_every_part_names_a_function_that_is_there():
    for each in part.PARTS.values():
        module, function, device = each.command[-3:]
        assert callable(getattr(sys.modules[module], function))
        assert device == "cuda"


def test_a_part_that_fails_hangs_or_crashes_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_results, "FOLDER", tmp_path)
    parts = {
        "fails": part.Part(python(said("begun", 1) + "raise ValueError('out of luck')"), 30),
        "hangs": part.Part(python(said("begun", 2) + "import time; time.sleep(99)"), 1),
        "crashes": part.Part(python("import os; os.abort()"), 30),
        "works": part.Part(python("print('noise'); " + said("a", 1) + said("a", 3)), 30),
    }
    kept: list[int] = []

    def keep(rows: list[Row]) -> None:
        _results.keep("gpu", part.PACKAGES, rows)
        kept.append(len(json.loads((tmp_path / "gpu.json").read_text())["rows"]))

    part.every(parts, [], keep)
    assert kept == [3, 6, 8, 10]
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["versions"]["torch"] == torch.__version__
    rows = {(each["part"], each["what"]): each for each in found["rows"]}
    assert rows["fails", "begun"]["value"] == 1
    assert rows["fails", "error"]["held"] == "ended with 1: ValueError: out of luck"
    assert rows["hangs", "begun"]["value"] == 2
    assert rows["hangs", "error"]["held"] == "stopped after 1 s"
    assert rows["crashes", "error"]["held"].startswith("ended with -6")
    assert rows["works", "a"]["value"] == 3
    assert ("works", "error") not in rows


def test_an_error_of_a_part_is_one_line():
    command = [sys.executable, "-m", "bench._alone", "bench._gpu_device", "device", "mars"]
    *_, last = rows_of(command, 60)
    assert last["what"] == "error"
    assert last["held"].startswith("RuntimeError: ")
    assert "\n" not in last["held"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
def test_where_torch_sees_no_gpu_it_says_so_in_one_line():
    command = [sys.executable, "-m", "bench", "gpu"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [f"gpu: {part.lacking()}"]
    assert "torch sees no GPU" in ran.stderr


def test_little_has_to_be_installed():
    code = WITHOUT + (
        "import bench.__main__, bench.gpu, bench._gpu_device, bench._gpu_search, bench._gpu_heads, "
        "bench._gpu_embed, bench._gpu_tests, bench._wheels; "
        "print(*bench._wheels.missing())"
    )
    ran = subprocess.run(python(code), cwd=ROOT, capture_output=True, text=True)
    assert "pydantic" in ran.stdout.split(), ran.stderr


def test_tests_of_the_numerics_are_collected_without_pydantic():
    files = [str(file) for file in _gpu_tests.chosen(ROOT / "tests")]
    options = ["--collect-only", "--continue-on-collection-errors", *files]
    code = f"{WITHOUT} import pytest; pytest.main({options!r})"
    ran = subprocess.run(python(code), cwd=ROOT, capture_output=True, text=True)
    failed = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("ERROR ")]
    assert failed == ["tests/stages/test_probes.py"], ran.stdout  # those of a stage are in it too
    assert "test_it_is_the_plain_loop" in ran.stdout


def test_the_tests_are_run_and_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "DEVICES = ['cpu', 'cuda']\n"
        "@pytest.mark.parametrize('device', DEVICES)\n"
        "def test_it(device): assert device == 'cpu', 'no such luck'\n"
        "def test_a_gpu_works(): pass\n"
        "def test_other(): assert False\n"
    )
    (tmp_path / "test_broken.py").write_text("DEVICES = []\nimport no_such_module\n")
    (tmp_path / "test_of_no_gpu.py").write_text("def test_a_gpu(): assert False\n")
    code = (
        "import pathlib; from bench import _alone, _gpu_tests, _results; "
        f"_gpu_tests.TESTS = pathlib.Path({str(tmp_path)!r}); "
        "list(_gpu_tests.tests('cpu'))"
    )
    rows: dict[str, Any] = {each["what"]: each for each in rows_of(python(code), 60)}
    counts = {what: rows[what]["value"] for what in ("passed", "failed", "not collected")}
    assert counts == {"passed": 1, "failed": 1, "not collected": 1}
    why = {what.rpartition("/")[2]: each["held"] for what, each in rows.items()}
    assert "no such luck" in why["test_some.py::test_it[cuda]"]
    assert "no_such_module" in why["test_broken.py"]


def test_what_is_missing_is_named_with_the_way_to_bring_it():
    advice = _wheels.advice(["pydantic", "timm"])
    assert "pip download --only-binary :all: --python-version" in advice
    assert " pydantic==" in advice
    assert " --no-deps timm==" in advice
    assert "PYTHONPATH=wheels/site python -m bench gpu" in advice
    assert "/wheels/" in (ROOT / ".gitignore").read_text().split()
    assert _wheels.advice([]) == "all packages that this can use are installed"
