"""Every command of README and docs runs as it is written, in the order of reading, on one clone:
none leaves the project in a state in which another fails."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from clones import forked_python, made
from conftest import ROOT
from documents import commands
from test_docs_snippets import PLACEHOLDER

from pipeline.yaml_as_dvc import Loader
from recipes.merge import merge

# What is run elsewhere or not at all, by how it begins, and the reason
ELSEWHERE = {
    "make test": "it would run this test",
    "make check": ".ci/run",
    "make bench": "tests/bench; it measures for an hour",
    "make review": "tests/pages/review; it serves until it is ended",
    "python -m pages.review": "tests/pages/review",
    ".ci/run": "the CI itself",
    "pytest ": "this suite",
    "python tests/": "tests/test_docs.py",
    "python -m bench": "tests/bench; they measure for minutes",
    "python -m cluster": "make, once after the installation",
    "pre-commit ": "it asks a network for its hooks",
    "pip install": "make test",
    "dvc push": "tests/test_pipeline.py, with a second clone",
    "dvc pull": "tests/test_pipeline.py, in the second clone",
    "dvc repro --pull": "tests/test_pipeline.py pulls",
    "dvc repro --force": "it would run everything again",
    "dvc repro adapt@birds_scan": "tests/test_pipeline.py adapts",
    "dvc remote add --default shelf s3": "it needs a network",
    "dvc cache dir": "tests/test_pipeline_changes.py, in a folder that exists",
    "dvc config --local": "tests/test_pipeline_changes.py",
    "git ": "git",
    "ray start": "tests/pipeline/test_ray.py",
    "ray get-auth-token": "it would write into the home folder",
    "export RAY_AUTH_MODE": "tests/pipeline/test_ray_token.py",
}
# The settings of params.yaml, made quick: its text otherwise, anchors and comments included
QUICK = {
    r"\{from: digits\}": "{from: digits, part: 0.1}",
    r"(?m)^  efficientnet_lite0_stage4: .*\n": "",
    r"seeds: \[0, 1, 2\]": "seeds: [0]",
    r"n_init: \d+": "n_init: 1",
    r"\bsteps: \d+": "steps: 3",
    r"heads: \d+": "heads: 2",
    r"k_max: 50": "k_max: 12",
    r"penalties: \[.*?\]": "penalties: [0.1]",
    r"k: \[20, 50\]": "k: [2]",
    r"same: drop": "same: keep",
    r"device: auto": "device: cpu",
}
PICTURES = {"from": "folder", "root": "../pictures/red", "classes": 2}
# What import_export.md has its reader write into params.yaml, and the cells that its commands need,
# of which it shows one of many
SHARED = {"datasets": dict.fromkeys(("photos", "next_month", "mine", "large"), PICTURES)}
CELLS = (
    *("kmeans@photos-pixels-kmeans", "embed@next_month-pixels"),
    *("duplicates@mine-pixels", "kmeans@large-pixels-kmeans"),
)
EXPERIMENT = "dvc exp run -S 'kmeans.n_init=5'"


def is_elsewhere(command: str) -> bool:
    return any(command.startswith(begin) for begin in ELSEWHERE)


def shown() -> list[str]:
    every = [c for _, c in commands() if not PLACEHOLDER.search(c) and not is_elsewhere(c)]
    return list(dict.fromkeys(every))


class Reader:
    """Who types what the pages show into one clone."""

    def __init__(self, folder: Path, forked: Path) -> None:
        self.clone, self.forked = made(folder), forked
        text = (ROOT / "params.yaml").read_text()
        for long, short in QUICK.items():
            text, count = re.subn(long, short, text)
            assert count, long
        self.params = self.clone.folder / "params.yaml"
        self.params.write_text(text)
        for path in [ROOT / "Makefile", *(ROOT / "recipes").glob("*.*")]:
            (self.clone.folder / path.relative_to(ROOT)).write_bytes(path.read_bytes())
        self.clone.commit()

    def settings(self) -> dict:
        return yaml.load(self.params.read_text(), Loader)

    def add(self, names: dict) -> None:
        """Write names into their sections by hand; all else stays as it is."""
        self.params.write_text(merge(self.params.read_text(), names).text)

    def type(self, command: str) -> str:
        program, *words = shlex.split(command)
        if program == "dvc":
            return self.clone.dvc(*words, forked=self.forked)
        if program == "make":  # without installing
            words = ["--old-file=.venv/installed", *words]
        else:
            assert (program, words[0]) == ("python", "-m"), command
            program = str(self.forked / program)
        return self.clone.run(program, *words, forked=self.forked)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    forked = forked_python(tmp_path_factory.mktemp("bin"))
    return Reader(tmp_path_factory.mktemp("commands"), forked)


def stages_that_ran(said: str) -> set[str]:
    return {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")}


def test_commands_run_in_the_order_of_the_pages_on_one_clone(reader: Reader):
    said = {}
    for command in shown():
        if command == "python -m recipes cub":
            # DVC writes params.yaml anew once more: with recipes and datasets, and before a recipe
            settings = reader.settings()
            reader.add(SHARED)
            reader.type(f"{EXPERIMENT.replace('5', '6')} {' '.join(CELLS)}")
            again = reader.settings()
        said[command] = reader.type(command)
    folder = reader.clone.folder
    assert (folder / "data/digits/pixels/tables/kmeans.csv").exists()
    assert (folder / "data/mine/pixels/similar/large/found.csv").exists()
    assert "report/index.html" in said["make repro"]
    assert "metrics/digits/pixels/evaluate.json" in said["dvc metrics show"]
    assert "index.html" in said["dvc plots show"]
    ran = {name.partition("@")[0] for name in stages_that_ran(said[EXPERIMENT])}
    chosen = {"candidates", "rank", "examples"}
    assert ran <= {"index", "kmeans", "export", "evaluate", "report"} | chosen
    assert settings["kmeans"]["n_init"] == 5
    assert settings["kmeans_sweep"]["n_init"] == 1  # it no longer follows, as get_started.md says
    assert settings["runs"]["temi"] == ["temi", "temi_cifar10", "temi_imagenet_overcluster"]
    settings["kmeans"]["n_init"] = 6
    settings["datasets"] |= SHARED["datasets"]
    assert again == settings
    assert "kmeans@cub" in reader.type("dvc stage list")


# What in params.yaml becomes what by mistake, and what DVC says of it
SLIPS = (
    (r"(?m)^  # photos: \{table.*", "  photos: {tree: known}", "YAML file structure is corrupted"),
    (r"\Z", "kmeans: &kmeans {}", "found duplicate anchor"),
    (r"(?m)^known: .*", r"report: {}\nknown: {}", "found duplicate key"),
    (r"(?m)^  digits: .*", "", "expected list/dictionary, got NoneType"),
    (r"temi: \[temi\]", "temi: temi", "object is not iterable"),
    (r"(?m)^  pixels: \{\}", "  pixel: {}", "are missing from 'backbones/zoo.yaml'"),
)


@pytest.mark.parametrize(("right", "wrong", "words"), SLIPS, ids=[words for *_, words in SLIPS])
def test_what_dvc_says_of_a_slip_is_explained(right: str, wrong: str, words: str, tmp_path: Path):
    assert f"`{words}`" in (ROOT / "docs/get_started.md").read_text()
    clone = made(tmp_path)
    text, count = re.subn(right, wrong, (ROOT / "params.yaml").read_text())
    assert count == 1
    (clone.folder / "params.yaml").write_text(text)
    with pytest.raises(AssertionError, match=words):
        clone.dvc("repro", "--dry", "backbone")


def test_an_archive_unpacked_without_git_is_told_what_it_lacks(tmp_path: Path):
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    command = ["make", "--old-file=.venv/installed", "repro"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "say git init" in done.stderr.splitlines()[0]


def test_a_python_without_the_libraries_is_told_of_the_one_that_has_them():
    command = [sys.executable, "-S", "-m", "stages.index", "digits"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "say `source .venv/bin/activate` first" in line


def test_what_is_said_to_be_elsewhere_is_shown():
    """No reason outlives its command."""
    for begin in ELSEWHERE:
        assert any(command.startswith(begin) for _, command in commands()), begin
