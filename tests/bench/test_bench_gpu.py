"""`python -m bench gpu`, as far as it goes without a GPU: every part at a tiny size on the CPU."""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import ROOT

from bench import _gpu_tests, _results, _wheels, gpu
from bench._alone import Row, row, rows_of
from bench._gpu_timing import Ceilings, Clock

NONE = {"pydantic", "pydantic_core", "dvc", "faiss", "tabulate", "tensorflow", "ray", "beartype"}
NONE |= {"hypothesis", "xdist"}
WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({NONE})); "
# What is said to be installed beside a GPU; with what these need
GIVEN = ("torch", "numba", "h5py", "scikit-learn", "timm", "safetensors", "onnxruntime", "PyYAML")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def said(what: str, value: int) -> str:
    return f"print({json.dumps(row(what, value))!r}, flush=True);"


def module(name: str) -> ModuleType:
    return importlib.import_module(f"bench._gpu_{name}")


def tiny(name: str, seconds: float = 1e4) -> list[Row]:
    """The rows of a part, which may take so many seconds from now on."""
    clock = Clock(1.0)
    clock._end = time.perf_counter() + seconds
    return list(module(name).rows("cpu", module(name).TINY, clock))


def held(rows: list[Row]) -> str:
    return " ".join(each["held"] for each in rows)


@pytest.mark.parametrize("name", [name for name in gpu.LIMITS if name != "tests"])
def test_a_part_measures_and_its_answers_hold(name: str):
    rows = tiny(name)
    assert all(isinstance(each["value"], str) or each["value"] > 0 for each in rows)
    assert len({each["what"] for each in rows}) == len(rows)
    assert "NOT" not in held(rows)
    if name != "device":
        assert any(each["bound"] != "" and each["share"] != "" for each in rows)
    if name == "kmeans":
        kept = [each["held"] for each in rows if "off by" in each["held"]]
        assert len(kept) == 3
        assert all(float(each.split("off by ")[1].split()[0]) < 1e-6 for each in kept)
        assert sum("the fastest of others over ours" in each["what"] for each in rows) == 3
        peers = [float(each["held"].split()[1]) for each in rows if " of ours" in each["held"]]
        assert all(abs(each) < 1e-3 for each in peers)
        assert len(peers) >= 6
    if name == "neighbors":
        assert held(rows).count("0 of 200 are no neighbours") == 2
    if name == "temi":
        assert "10 epochs" in rows[1]["what"]
        assert "loss" in rows[1]["held"]
    if name == "embed":
        assert rows[-1]["what"] == "the stage, 10 files"
    if name == "adapt":
        assert "an epoch of 16 images" in rows[-1]["what"]


def test_the_sizes_are_those_that_are_compared():
    cases = module("kmeans").FULL.cases
    assert [(c.images, c.k, c.runs) for c in cases] == [
        (1_280_000, 1000, 1), (1_280_000, 25_000, 1), (50_000, 10, 10),
    ]  # fmt: skip
    assert module("kmeans").FULL.dim == module("neighbors").FULL.dim == 768
    assert module("neighbors").FULL[:3] == (1_280_000, 768, 50)
    temi = module("temi").FULL
    assert (temi.images, temi.dim, temi.heads, temi.epochs) == (50_000, 768, 50, 100)
    assert module("embed").FULL.images == 20_000
    assert module("adapt").FULL.model == module("embed").FULL.model == "vit_base_patch16_224"


def test_without_time_a_part_takes_fewer_rounds_and_says_so():
    rows = {each["what"]: each for each in tiny("kmeans", 0.0)}
    assert "900 x 16, k = 10: all of 3 passes of the 4 that are wanted, with the upload" in rows
    assert rows["900 x 16, k = 10: plain torch, fast"]["held"] == "left out: no time is left"
    assert "ten times that of a tenth: no time for all" in held(tiny("neighbors", 0.0))
    assert "; 1 epochs took " in held(tiny("temi", 0.0))


def test_a_clock_ends_before_the_part_does(monkeypatch: pytest.MonkeyPatch):
    now = time.perf_counter()
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr("bench._alone.BEGAN", now - 30)
    clock = Clock(60)
    assert clock.left() == pytest.approx(27)
    assert clock.rounds(100, 1.0) in (26, 27)
    assert clock.rounds(100, 1.0, 0.5) == 13
    assert clock.rounds(5, 1.0) == 5
    assert Clock(20).left() == 0
    assert Clock(20).rounds(100, 1.0, least=2) == 2


def test_a_bound_is_the_slower_of_arithmetic_and_memory():
    best = Ceilings(operations=100.0, bytes=10.0)
    assert best.seconds(50, 1) == 0.5
    assert best.seconds(50, 20) == 2
    assert row("a pass", 4.0, "s", bound=1.0)["share"] == 0.25
    assert row("a stage", 100.0, "images/s", bound=400.0)["share"] == 0.25
    assert row("no bound", 1.0, "s")["share"] == ""


def test_the_parts_end_within_six_minutes_and_the_summary_within_thirty_lines():
    assert sum(limit for limit, _ in gpu.LIMITS.values()) <= 360
    assert [each.limit for each in gpu.parts().values()] == [x for x, _ in gpu.LIMITS.values()]
    rows: list[Row] = []
    for name in gpu.LIMITS:
        rows += [{"part": name, **row(f"row {at}", at, "s")} for at in range(20)]
        rows.append({"part": name, **row("with a bound", 2.0, "s", bound=1.0)})
        rows.append({"part": name, **row("error", "", held="out of luck " * 20)})
        rows.append({"part": name, **row("all of it", 3.0, "s")})
    lines = gpu.summary(rows).splitlines()
    assert len(lines) <= 30
    assert all(len(line) < 300 for line in lines)
    assert sum("out of luck" in line for line in lines) == len(gpu.LIMITS)
    assert sum("with a bound" in line for line in lines) == len(gpu.LIMITS)
    assert lines[-1] == "21 s"


def test_a_part_that_fails_hangs_or_crashes_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_results, "FOLDER", tmp_path)
    parts = {
        "fails": gpu.Part(python(said("begun", 1) + "raise ValueError('out of luck')"), 300, 1),
        "hangs": gpu.Part(python(said("begun", 2) + "import time; time.sleep(999)"), 5, 1),
        "crashes": gpu.Part(python("import os; os.abort()"), 300, 1),
        "works": gpu.Part(python("print('noise'); " + said("a", 1) + said("a", 3)), 300, 1),
    }
    kept: list[int] = []

    def keep(rows: list[Row]) -> None:
        _results.keep("gpu", gpu.PACKAGES, rows)
        kept.append(len(json.loads((tmp_path / "gpu.json").read_text())["rows"]))

    gpu.every(parts, [], keep)
    assert kept == [3, 6, 8, 10]
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["versions"]["torch"] == torch.__version__
    rows = {(each["part"], each["what"]): each for each in found["rows"]}
    assert rows["fails", "begun"]["value"] == 1
    assert rows["fails", "error"]["held"] == "ended with 1: ValueError: out of luck"
    assert rows["hangs", "begun"]["value"] == 2
    assert rows["hangs", "error"]["held"] == "stopped after 5 s"
    assert rows["crashes", "error"]["held"].startswith("ended with -6")
    assert rows["works", "a"]["value"] == 3
    assert ("works", "error") not in rows


def test_parts_that_are_not_asked_for_stay_as_they_were_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_results, "FOLDER", tmp_path)
    assert gpu.before({"temi"}) == []
    rows = [{"part": name, **row("a", 1)} for name in ("temi", "embed")]
    _results.keep("gpu", gpu.PACKAGES, rows)
    assert gpu.before({"temi"}) == rows[:1]
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "machine": {"cores": 999}}))
    assert gpu.before({"temi"}) == []


def test_an_error_of_a_part_is_one_line():
    start = [sys.executable, "-m", "bench._alone", "bench.gpu", "measure"]
    *_, last = rows_of([*start, "device", "mars", "tiny", "600"], 600)
    assert last["what"] == "error"
    assert last["held"].startswith("RuntimeError: ")
    assert "\n" not in last["held"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
def test_where_torch_sees_no_gpu_it_says_so_in_one_line():
    ran = command()
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [f"gpu: {gpu.lacking()}"]
    assert "torch sees no GPU" in ran.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "neighbours"], "invalid choice: 'neighbours'"),
        (["--device", "cpu"], "--device cpu needs --tiny"),
    ],
)
def test_what_cannot_be_asked_for_is_said(options: list[str], message: str):
    ran = command(*options)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_command_runs_the_parts_that_are_asked_for_and_keeps_nothing_tiny():
    file = ROOT / "bench/results/gpu.json"
    before = file.read_bytes() if file.exists() else None
    ran = command("--device", "cpu", "--tiny", "--only", "tests", "device")
    assert ran.returncode == 0, ran.stderr
    *_, end = ran.stdout.split("\n\n")
    assert end.splitlines()[1].split()[0] == "device", "the summary comes last"
    (passed,) = [line.split() for line in end.splitlines() if line.split()[1:2] == ["passed"]]
    assert int(passed[2]) >= 4
    assert "kmeans" not in end
    assert (file.read_bytes() if file.exists() else None) == before


def command(*options: str) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-m", "bench", "gpu"]
    return subprocess.run([*start, *options], cwd=ROOT, capture_output=True, text=True)


# Every other package is hidden: what is installed here says nothing of a machine with a GPU
HIDE = """
import importlib.metadata as of, re, sys
from packaging.requirements import Requirement
def name(text): return re.sub("[-_.]+", "-", text).lower()
waiting, allowed = list(GIVEN), set()
while waiting:
    one = name(waiting.pop())
    if one in allowed: continue
    allowed.add(one)
    try: needs = map(Requirement, of.requires(one) or [])
    except of.PackageNotFoundError: continue
    waiting += [n.name for n in needs if not n.marker or n.marker.evaluate({"extra": ""})]
owners = of.packages_distributions()
hidden = {m for m, own in owners.items() if not {name(o) for o in own} & allowed}
paths = sys.meta_path.pop()
class Hide:
    invalidate_caches = paths.invalidate_caches
    def find_distributions(context=of.DistributionFinder.Context()):
        found = paths.find_distributions(context)
        return [one for one in found if name(one.metadata["Name"]) in allowed]
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else paths.find_spec(name, path, target)
sys.meta_path.append(Hide)
"""


def hiding(packages: tuple[str, ...]) -> str:
    return HIDE.replace("GIVEN", repr(packages))


def test_parts_need_no_more_than_is_there_or_named():
    named = (*_wheels.NEEDED.values(), "lightning-fabric", "pillow-heif")
    code = hiding((*GIVEN, *named)) + (
        "from bench import gpu\n"
        "for part in ('kmeans', 'temi', 'embed', 'adapt'):\n"
        "    for row in gpu.measure(part, 'cpu', 'tiny', '1000'): print(part, row['what'])\n"
        "print('faiss' in sys.modules, 'dvc' in sys.modules)"
    )
    ran = subprocess.run(python(code), cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "embed the stage" in ran.stdout
    assert "adapt an epoch" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "False False"


def test_what_is_missing_beside_the_usual_is_what_the_page_says():
    code = hiding(GIVEN) + "from bench import _wheels; print(*_wheels.missing())"
    ran = subprocess.run(python(code), cwd=ROOT, capture_output=True, text=True)
    missing = ran.stdout.split()
    assert "pydantic" in missing, ran.stderr
    page = (ROOT / "docs/benchmarks.md").read_text()
    assert all(package in page for package in missing)


def test_little_has_to_be_installed_to_begin():
    names = ", ".join(f"bench._gpu_{name}" for name in gpu.LIMITS)
    code = WITHOUT + f"import bench.__main__, bench.gpu, {names}; print(*bench._wheels.missing())"
    ran = subprocess.run(python(code), cwd=ROOT, capture_output=True, text=True)
    assert "pydantic" in ran.stdout.split(), ran.stderr


def test_tests_of_the_numerics_are_collected_without_pydantic_beartype_hypothesis_or_xdist():
    files = [str(file) for file in _gpu_tests.chosen(ROOT / "tests")]
    options = ["--collect-only", "--continue-on-collection-errors", *files]
    code = f"import os; os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'; {WITHOUT}"
    code += f"import pytest; pytest.main({options!r})"
    ran = subprocess.run(python(code), cwd=ROOT, capture_output=True, text=True)
    failed = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("ERROR ")]
    assert not [file for file in failed if file.startswith("tests/cluster")], ran.stdout
    assert "test_it_is_the_plain_loop" in ran.stdout
    assert "test_losses_and_gradients_are_those_of_a_cpu" in ran.stdout


def test_the_tests_are_run_and_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "DEVICES = ['cpu', 'cuda']\n"
        "@pytest.mark.parametrize('device', DEVICES)\n"
        "def test_it(device): assert device == 'cpu', 'no such luck'\n"
        "def test_a_gpu_works(): pass\n"
        "def test_other(): assert False\n"
    )
    (tmp_path / "test_broken.py").write_text("DEVICES = []\nraise ValueError('no such thing')\n")
    (tmp_path / "test_lacking.py").write_text("DEVICES = []\nimport no_such_module\n")
    (tmp_path / "test_of_no_gpu.py").write_text("def test_a_gpu(): assert False\n")
    sizes = _gpu_tests.FULL._replace(folder=tmp_path, processes=2)
    clock = Clock(1.0)
    clock._end = time.perf_counter() + 600
    rows: dict[str, Any] = {each["what"]: each for each in _gpu_tests.rows("cpu", sizes, clock)}
    counts = {what: rows[what]["value"] for what in _gpu_tests.COUNTED}
    assert counts == {
        "passed": 1, "failed": 1, "skipped": 0, "not collected": 1, "lack a package": 1,
    }  # fmt: skip
    why = {what.rpartition("/")[2]: each["held"] for what, each in rows.items()}
    assert "no such luck" in why["test_some.py::test_it[cuda]"]
    assert "no such thing" in why["test_broken.py"]
    assert "no_such_module" in why["test_lacking.py"]


def test_what_is_missing_is_named_with_the_way_to_bring_it():
    advice = _wheels.advice(["pydantic", "timm", "faiss-gpu"])
    assert "pip download --only-binary :all: --python-version" in advice
    assert " pydantic==" in advice
    assert " --no-deps timm==" in advice
    assert " --no-deps faiss-gpu==" in advice
    assert "PYTHONPATH=wheels/site python -m bench gpu" in advice
    assert "/wheels/" in (ROOT / ".gitignore").read_text().split()
    assert _wheels.advice([]) == "all packages that this can use are installed"
