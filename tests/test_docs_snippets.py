"""Whatever the documentation shows can be done: its settings are valid, its commands are there."""

import copy
import functools
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, environment
from documents import Block, blocks, commands

import backbones
import images._spec
import stages.known
from backbones.row import read_row
from pipeline.adapting.settings import read_run
from pipeline.graph import require_graph
from pipeline.io.origin import read_used
from pipeline.params import Runtime, section

TEXT = (ROOT / "params.yaml").read_text()
PARAMS: dict[str, Any] = yaml.safe_load(TEXT)
GRAPH: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# Mappings of the user's names
NAMED = ("datasets", "known", "backbones", "resized", "imported", "adapted", "fused")
OTHERS = {"cd", "dvc", "export", "git", "pip", "pre-commit", "ray", "source"}
PLACEHOLDER = re.compile("[A-Z]{3}")


def stage_of(name: str, params: Mapping[str, Any]) -> str:
    """The stage that reads the section `name`: its own, or that of which it is a run."""
    if (ROOT / f"stages/{name}.py").exists():
        return name
    return next(stage for stage, runs in params["runs"].items() if name in runs)


def read(block: Block) -> dict[str, Any]:
    """A snippet, which may take over what params.yaml has a &name for."""
    text = re.sub(r"&\w+", "", block.text)  # that are there already
    every = yaml.safe_load(f"{TEXT}\n{text}")  # the last of equal keys counts
    return {name: every[name] for name in re.findall(r"^(\w+):", text, re.MULTILINE)}


def merged(snippet: Mapping[str, Any]) -> dict[str, Any]:
    """params.yaml with a snippet in it, as a user would write it."""
    params = copy.deepcopy(PARAMS)
    for name, value in snippet.items():
        params[name] = value if name in NAMED else {**params.get(name, {}), **value}
    return params


def require_valid(name: str, params: dict[str, Any]) -> None:
    """Hold one section of `params`, which params.yaml of this folder has, to its model."""
    if name == "datasets":
        for dataset, spec in params[name].items():
            if spec["from"] == "vectors":
                section(
                    importlib.import_module("pipeline.indexing.vectors").Vectors,
                    f"{name}.{dataset}",
                )
            else:
                images._spec.parse(spec)
    elif name == "known":
        for dataset in params[name]:
            assert dataset in params["datasets"]
            section(stages.known._form(f"known.{dataset}"), f"known.{dataset}")
    elif name in ("backbones", "resized"):
        for backbone in params[name]:
            backbones.row(read_used(backbone).row)
    elif name == "fused":
        own = ("backbones", "resized", "imported", "adapted")
        require_graph({
            "fused": params[name], "embedded": {b: {} for of in own for b in params[of]},
            **{of: params[of] for of in own},
        })  # fmt: skip
    elif name == "imported":
        model = importlib.import_module("stages.import").Params
        for backbone in params[name]:
            section(model, f"imported.{backbone}")
    elif name == "adapted":
        for run in params[name]:
            read_run(run)
    elif name == "runs":
        for stage, runs in params[name].items():
            assert stage in GRAPH
            assert all(run in params or stage.startswith(("export", "names")) for run in runs)
    elif name == "assign":
        assert set(params[name]) == set(PARAMS[name])
        assert {*params[name]["from"], *params[name]["to"]} <= set(params["datasets"])
    elif name == "runtime":
        section(Runtime, name)
    else:
        section(importlib.import_module(f"stages.{stage_of(name, params)}").Params, name)


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_settings_that_are_shown_are_valid(block: Block, tmp_path: Path, monkeypatch):
    snippet = read(block)
    params = merged(snippet)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    for name in snippet:
        require_valid(name, params)


def test_the_row_that_is_shown_is_valid():
    (block,) = (block for block in blocks("yml") if block.page == "docs/adding/backbone.md")
    for name, facts in yaml.safe_load(block.text).items():
        assert read_row(name, facts).name == name


@functools.cache
def help_of(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command, "--help"],
        capture_output=True, text=True, cwd=ROOT, env=environment(), check=True,
    )  # fmt: skip
    return done.stdout


def require_options(words: list[str], *command: str) -> None:
    for option in words:
        if option.startswith("-") and option != "--help":
            said = help_of(*command)
            assert re.search(rf"(?<!\S){re.escape(option)}\b", said), f"{command} has no {option}"


def require_module(module: str, words: list[str]) -> None:
    """A module that can be run, and the parts, recipes or rows that it is given."""
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
    part = [word for word in words[:1] if (path / f"{word}.py").exists()]
    require_options(words, module, *part)
    words = words[len(part) :]
    places = {"bench": "bench/{}.py", "recipes": "recipes/{}.yaml"}
    for word in words:
        if word.startswith("-"):
            continue
        if module in places and not PLACEHOLDER.search(word):
            assert (ROOT / places[module].format(word)).exists(), word
        elif module == "backbones" and not PLACEHOLDER.search(word):
            backbones.row(word)


def require_command(words: list[str]) -> None:
    if words[:2] == ["python", "-m"]:
        require_module(words[2], words[3:])
    elif words[0] in ("python", "pytest"):
        assert all((ROOT / word).exists() for word in words[1:])
    elif words[:2] == ["dvc", "repro"]:
        require_options(words[2:], "dvc", "repro")
        for target in (word for word in words[2:] if not word.startswith("-")):
            assert target.partition("@")[0] in GRAPH, target
    elif words[0] == "make":
        for target in (word for word in words[1:] if "=" not in word):
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
    else:
        assert words[0] in OTHERS or (ROOT / words[0]).exists(), words[0]
        for file in re.findall(r"\S+\.txt", " ".join(words)):
            assert (ROOT / file).exists(), file


@pytest.mark.parametrize(("page", "command"), commands())
def test_commands_that_are_shown_exist(page: str, command: str):
    require_command(shlex.split(command))
