"""Recipes: what they put into params.yaml, by the numbers of the papers."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

import images
from pipeline.adapting.settings import read_run
from pipeline.yaml_as_dvc import Loader
from recipes import RecipeError
from recipes.__main__ import follow, known, main, said
from recipes.merge import merge

TEXT = (ROOT / "params.yaml").read_text()
SPLITS = {  # arXiv:2201.02609 and successors: old classes
    "cifar10": 5, "cifar100": 80, "imagenet100": 50, "cub": 100, "stanford_cars": 98,
    "fgvc_aircraft": 50, "herbarium19": 341, "oxford_pets": 19,
}  # fmt: skip
MEMAX = dict.fromkeys(SPLITS, 1.0) | {"cifar100": 4.0, "cub": 2.0}
SMOOTHING = dict.fromkeys(SPLITS, 0.1) | {"cub": 1.0, "stanford_cars": 1.0}
SMOOTHING |= {"oxford_pets": 0.5, "fgvc_aircraft": 0.5}
PUBLISHED = {
    "frozen_features": "recompute",
    "views": 0,
    "center": False,
    "augment": "crop",
    "optimizer": "sgd",
}
PUBLISHED |= {"epochs": 200, "batch": 128, "lr": 0.1, "min_lr": 1e-4, "blocks_lr": 1.0}
PUBLISHED |= {"weight_decay": 5e-5, "keep": "last", "warmup": 0}
HEAD = {"hidden": 2048, "bottleneck": 256, "supervised": 0.35, "label_temperature": 0.07}
PROTOTYPES = {"temperature": 0.1, "teacher_first": 0.07, "teacher_last": 0.04, "teacher_warmup": 30}
SCAN = {  # name: neighbours, heads, blocks, optimizer, lr, decay, epochs, batch; arXiv:2005.12320
    "cifar10": (20, 1, "all", "adamw", 1e-4, 1e-4, 50, 128),
    "cifar20": (20, 1, "all", "adamw", 1e-4, 1e-4, 100, 512),
    "stl10": (20, 1, "all", "adamw", 1e-4, 1e-4, 100, 128),
    "imagenet50": (50, 10, 0, "sgd", 5.0, 0.0, 100, 512),
    "imagenet100": (50, 10, 0, "sgd", 5.0, 0.0, 100, 1024),
    "imagenet200": (50, 10, 0, "sgd", 5.0, 0.0, 100, 1024),
}
SELFLABEL = {  # optimizer, lr, epochs, batch, balance
    "cifar10": ("adamw", 1e-4, 200, 1000, True),
    "cifar20": ("adamw", 1e-4, 200, 1000, True),
    "stl10": ("adamw", 1e-4, 100, 1000, True),
    **dict.fromkeys(("imagenet50", "imagenet100", "imagenet200"), ("sgd", 0.03, 25, 512, False)),
}


def recipe(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "recipes" / f"{name}.yaml").read_text())


@pytest.fixture(scope="module")
def merged() -> dict[str, str]:
    return {name: merge(TEXT, recipe(name)).text for name in known()}


@pytest.fixture(scope="module")
def parsed(merged: dict[str, str]) -> dict[str, Any]:
    return {name: yaml.load(text, Loader) for name, text in merged.items()}


@pytest.fixture(scope="module")
def zoo() -> set[str]:
    return set(yaml.load((ROOT / "backbones/zoo.yaml").read_text(), Loader))


@pytest.fixture
def runs(parsed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The runs of a recipe, as the stage adapt reads them, by objective."""

    def read(name: str) -> dict[str, dict[str, Any]]:
        monkeypatch.chdir(tmp_path)
        runs = parsed[name]["adapted"]
        Path("params.yaml").write_text(yaml.safe_dump({"adapted": runs}))  # short, and soon read
        found = [read_run(key).model_dump() for key in runs]
        assert len({run["objective"] for run in found}) == len(found) > 0
        return {run["objective"]: run for run in found}

    return read


@pytest.mark.parametrize("name", known())
def test_a_recipe_is_whole_and_every_name_in_it_leads_somewhere(
    name: str, parsed: dict[str, Any], zoo: set[str]
) -> None:
    params = parsed[name]
    own = params["adapted"]
    assert set(params["backbones"]) <= zoo
    assert not own.keys() & zoo
    for run in own.values():
        assert run["dataset"] in params["datasets"]
        assert run["learns_from"] != "../known.h5" or run["dataset"] in params["known"]
        assert run["backbone"] in [*own, *params["backbones"]]
        assert run["objective"] != "get" or own[run["backbone"]]["objective"] == "tes"
    assert params["all"].keys() == {*params["backbones"], *params["imported"], *own}
    for method in ("kmeans", "temi", "sskmeans"):
        assert set(params["runs"][method]) <= params.keys()


@pytest.mark.parametrize("name", SPLITS)
def test_category_discovery_is_as_published(name: str, runs: Any, parsed: dict[str, Any]) -> None:
    params, found = parsed[name], runs(name)
    assert params["known"][name] == {"old": "published", "labelled": 0.5, "seed": 0}
    old = images.old_classes(params["datasets"][name])
    assert old is not None
    assert len(old) == SPLITS[name]
    memax = {"entropy_weight": MEMAX[name], "contrast_temperature": 1.0, "k": "1x"}
    wanted = {
        "gcd": {**HEAD, "temperature": 1.0, "width": 65536, "train_blocks": 1},
        "simgcd": {**HEAD, **PROTOTYPES, **memax, "train_blocks": 1},
        "selex": {
            **HEAD, "temperature": 1.0, "width": 65536, "smoothing": SMOOTHING[name],
            "train_blocks": 3 if name == "stanford_cars" else 2, "weight_decay": 1e-4,
            "balanced": name != "herbarium19", "k": "1x",
        },
        "tes": {"train_blocks": 0, "words": 7, "backbone": "clip_vit_b_16"},
        "get": {**HEAD, **PROTOTYPES, **memax, "cico": 1.0, "train_blocks": 1},
    }  # fmt: skip
    expected = {"selex"} if name == "oxford_pets" else wanted.keys()
    assert found.keys() == expected
    for objective, run in found.items():
        assert {**run, **PUBLISHED, **wanted[objective]} == run
        if objective not in ("tes", "get"):
            assert run["backbone"] == "dino_vitb16"


@pytest.mark.parametrize("name", SCAN)
def test_scan_and_what_goes_before_and_after_are_as_published(name: str, runs: Any) -> None:
    found = runs(f"scan_{name}")
    scan, label = found["scan"], found["selflabel"]
    what = "neighbors heads train_blocks optimizer lr weight_decay epochs batch"
    assert tuple(scan[key] for key in what.split()) == SCAN[name]
    assert (scan["entropy_weight"], scan["augment"], scan["k"]) == (5.0, "simclr", "1x")
    assert scan["min_lr"] == scan["lr"]  # it is constant
    what = "optimizer lr epochs batch balance"
    assert tuple(label[key] for key in what.split()) == SELFLABEL[name]
    assert (label["threshold"], label["augment"], label["train_blocks"]) == (0.99, "strong", "all")
    if name.startswith("imagenet"):
        assert scan["backbone"] == "mocov2_resnet50"
    else:
        clr = found["simclr"]
        assert clr["backbone"] == "resnet18_small"
        what = "epochs batch lr min_lr weight_decay temperature width anchors augment"
        wanted = (500, 512, 0.4, 4e-4, 1e-4, 0.1, 128, "first", "simclr")
        assert tuple(clr[key] for key in what.split()) == wanted


def test_nothing_that_was_there_moves_and_comments_stay(merged: dict[str, str]) -> None:
    for text in merged.values():
        left = iter(text.splitlines())
        for line in TEXT.splitlines():
            comment = line.partition("#")[2]
            assert any(line == other or (comment and comment in other) for other in left), line


def test_a_second_time_changes_nothing(merged: dict[str, str]) -> None:
    assert merge(merged["cub"], recipe("cub")) == (merged["cub"], [])


def test_dvc_reads_the_stages_of_recipes_that_were_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merged: dict[str, str]
) -> None:
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    text = merged["oxford_pets"]
    for name in ("scan_stl10", "temi_cifar10"):
        text = merge(text, recipe(name)).text
    Path("params.yaml").write_text(text)
    with Repo.init(".", no_scm=True) as repo:
        found = {stage.addressing for stage in repo.index.stages}
    assert {"adapt@oxford_pets_selex", "adapt@stl10_selflabel", "adapt@stl10_scan"} <= found
    assert {"learned@stl10-stl10_scan", "embed@oxford_pets-stl10_simclr"} <= found
    assert "evaluate_discovery@oxford_pets-oxford_pets_selex" in found
    assert {"temi@stl10-resnet18_small-temi", "temi@digits-pixels-temi_cifar10"} <= found


def test_another_value_is_refused_in_one_line_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = merge(TEXT, {"known": {"cub": {"old": 3, "labelled": 0.5, "seed": 0}}}).text
    Path("params.yaml").write_text(mine)
    with pytest.raises(RecipeError, match=r"params.yaml has known.cub already, with another"):
        follow(["cub"])
    assert os.listdir() == ["params.yaml"]
    assert Path("params.yaml").read_text() == mine


def test_what_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"no params\.yaml here"):
        follow(["cub"])
    Path("params.yaml").write_text("datasets: {}\nknown: {}\n")
    with pytest.raises(RecipeError, match="there is no recipe cubs; there are cifar10, "):
        follow(["cubs"])
    with pytest.raises(RecipeError, match=r"has no backbones, which the recipe needs: add it, em"):
        follow(["cub"])
    with pytest.raises(RecipeError, match="has no known, which the recipe needs: add it, empty"):
        merge("datasets: {}\n", {"known": {"a": {"old": 3}}})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("known: {}  # which\nx: 1\n", "known:  # which\n  a: {old: 3}\nx: 1\n"),
        ("known:\n  # b: some\nx: 1\n", "known:\n  a: {old: 3}\n  # b: some\nx: 1\n"),
        ("known: {b: {old: 1}}\n", "known: {b: {old: 1}, a: {old: 3}}\n"),
        ("known: &k {}\n", "known: &k\n  a: {old: 3}\n"),
        ("known:\n    b:\n      old: 1\n# x", "known:\n    b:\n      old: 1\n    a: {old: 3}\n# x"),
        ("known: {}", "known:\n  a: {old: 3}\n"),
    ],
)  # fmt: skip
def test_a_mapping_is_added_to_however_it_is_written(before: str, after: str) -> None:
    assert merge(before, {"known": {"a": {"old": 3}}}).text == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("runs: {temi: []}  # x\n", "runs: {temi: [a, b]}  # x\n"),
        ("runs:\n  temi: []  # x\n", "runs:\n  temi: [a, b]  # x\n"),
        ("runs:\n  temi: [c, a]\n", "runs:\n  temi: [c, a, b]\n"),
        (
            "runs:\n  temi:\n    - c  # x\nx: 1\n",
            "runs:\n  temi:\n    - c  # x\n    - a\n    - b\nx: 1\n",
        ),
        ("runs:\n  temi:\n  - c\n", "runs:\n  temi:\n  - c\n  - a\n  - b\n"),
        ("runs:\n  temi:\nx: 1\n", "runs:\n  temi:\n    - a\n    - b\nx: 1\n"),
    ],
)
def test_a_list_is_added_to_however_it_is_written(before: str, after: str) -> None:
    assert merge(before, {"runs": {"temi": ["a", "b"]}}).text == after


def test_a_section_of_its_own_goes_to_the_end_and_none_of_yours_is_changed() -> None:
    found = merge(TEXT, recipe("temi_cifar10"))
    assert found.added == ["temi_cifar10", "runs.temi.temi_cifar10"]
    last = found.text[found.text.index("\ntemi_cifar10:") :]
    assert yaml.safe_load(last) == {"temi_cifar10": recipe("temi_cifar10")["temi_cifar10"]}
    mine = found.text.replace("heads: 16", "heads: 17")
    with pytest.raises(RecipeError, match="has temi_cifar10 already, with another value: rename"):
        merge(mine, recipe("temi_cifar10"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("runs: 3\n", "params.yaml: runs.temi is not to be found: a part of it is 3"),
        ("runs: {temi: {a: 1}}\n", "params.yaml: runs.temi is {'a': 1}, expected a list"),
    ],
)
def test_a_list_that_is_something_else_is_said_in_one_line(text: str, line: str) -> None:
    with pytest.raises(RecipeError, match=f"^{re.escape(line)}$"):
        merge(text, {"runs": {"temi": ["a"]}})


def test_a_file_that_is_no_yaml_is_said_in_one_line() -> None:
    with pytest.raises(RecipeError, match=r"^params\.yaml is no valid YAML: .*$"):
        merge("a: [\nb: {\n", recipe("cub"))


def test_what_cannot_be_added_to_is_left_alone() -> None:
    text = "a: &a {b: {old: 1}}\nknown: *a\n"
    with pytest.raises(RecipeError, match="in a way that cannot be added to: add the lines of the"):
        merge(text, {"known": {"c": {"old": 3}}})


def test_the_command_lists_recipes_and_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(TEXT)
    for arguments in ([], ["cub"], ["cub"]):
        monkeypatch.setattr(sys, "argv", ["recipes", *arguments])
        main()
    out = capsys.readouterr().out
    assert f"cub                {said('cub')[0]}\n" in out
    assert "+ adapted.cub_get\n" in out
    assert out.endswith("params.yaml has it all already\n")
    monkeypatch.setattr(sys, "argv", ["recipes", "cubs"])
    with pytest.raises(SystemExit, match="recipes: there is no recipe cubs"):
        main()
