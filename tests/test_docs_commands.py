"""Every command of README and docs is run as it is written, or run elsewhere in this suite."""

import shlex

import pytest
import yaml
from clones import Clone, forked_python, made
from conftest import ROOT
from test_docs_snippets import PLACEHOLDER, commands

# Commands by how they begin, and where they are run
ELSEWHERE = {
    "make ": ".ci/run",
    ".ci/run": "the CI itself",
    "pytest ": "this suite",
    "python tests/": "tests/test_docs.py",
    "python -m bench": "tests/bench; they measure for minutes",
    "python -m cluster": "make, once after the installation",
    "dvc push": "tests/test_pipeline.py",
    "dvc pull": "tests/test_pipeline.py",
    "dvc remote add": "tests/test_pipeline.py",
    "dvc cache dir": "tests/test_pipeline_changes.py, in a folder that exists",
    "dvc config --local": "tests/test_pipeline_changes.py",
    "dvc repro --pull": "tests/test_pipeline.py pulls",
    "dvc repro --force": "it would run everything again",
    "dvc repro adapt@birds_scan": "tests/test_pipeline.py adapts",
    "git ": "git",
    "pip install": "make test",
    "ray start": "tests/pipeline/test_ray.py",
    "ray get-auth-token": "it would write into the home folder",
    "export RAY_AUTH_MODE": "tests/pipeline/test_ray_token.py",
}
# What has to be there before the commands of import_export.md, which show one cell of many
BEFORE = {
    "stages.export": ["export"],
    "stages.assign": ["kmeans@photos-pixels-kmeans", "embed@next_month-pixels"],
    "stages.similar": ["duplicates@mine-pixels", "kmeans@large-pixels-kmeans"],
}
SETTINGS = {
    "datasets": {
        "digits": {"from": "digits", "part": 0.1},
        **{
            name: {"from": "folder", "root": "../pictures/red", "classes": 2}
            for name in ("photos", "next_month", "mine", "large")
        },
    },
    "backbones": {"pixels": {}},
    "imported": {},
    "runs": {"temi": ["temi"], "export": ["kmeans"]},
    "duplicates": {"threshold": 1.0},
    "similar": {"k": [2], "same": "keep"},
    "similar_by_labels": {"k": [2], "same": "keep"},
}


def is_elsewhere(command: str) -> bool:
    return any(command.startswith(begin) for begin in ELSEWHERE)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    found = made(tmp_path_factory.mktemp("commands"), **SETTINGS)
    for path in (ROOT / "recipes").glob("*.*"):
        if not (found.folder / "recipes" / path.name).exists():
            (found.folder / "recipes" / path.name).write_bytes(path.read_bytes())
    return found


def test_commands_that_are_shown_do_what_is_said(
    clone: Clone, tmp_path_factory: pytest.TempPathFactory
):
    """In the order of the page that explains them, the rest after it."""
    forked = forked_python(tmp_path_factory.mktemp("bin"))
    shown = [c for page, c in commands() if not PLACEHOLDER.search(c) and not is_elsewhere(c)]
    text = (ROOT / "docs/get_started.md").read_text()
    shown.sort(key=lambda c: (at if (at := text.find(f"\n{c}\n")) >= 0 else len(text), c))
    # recipes change params.yaml, and the whole graph comes before them
    shown.sort(key=lambda c: ("recipes" in c, c == "dvc repro"))
    assert shown[0] == "python -m stages.index digits"
    for command in dict.fromkeys(shown):
        words = shlex.split(command)
        if words[0] == "dvc":
            clone.dvc(*(words[1:] if words != ["dvc", "repro"] else ["status"]), forked=forked)
            continue
        assert words[:2] == ["python", "-m"], command
        if words[2] == "recipes" and words[3:]:  # it is written into the file that people have
            own = clone.folder / "params.yaml"
            own.write_bytes((ROOT / "params.yaml").read_bytes())
        before = BEFORE.get(words[2], [])
        if before:
            clone.repro(*before, forked=forked)
        clone.run(str(forked / "python"), *words[1:])
    assert (clone.folder / "data/digits/pixels/tables/kmeans.csv").exists()
    assert (clone.folder / "data/mine/pixels/similar/large/found.csv").exists()
    named = yaml.safe_load((clone.folder / "params.yaml").read_text())
    assert named["runs"]["temi"] == ["temi", "temi_imagenet_overcluster"]
    assert "temi@digits-pixels-temi_imagenet_overcluster" in clone.dvc("stage", "list")


def test_what_is_said_to_be_elsewhere_is_shown():
    """No reason outlives its command."""
    for begin in ELSEWHERE:
        assert any(command.startswith(begin) for _, command in commands()), begin
