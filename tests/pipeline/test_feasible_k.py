"""One rule for all methods: which k a collection can have, and what becomes of those it cannot."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Project
from drawn import draw
from PIL import Image

import store
from pipeline.fitting.feasible_k import feasible_k, limits_of_k
from pipeline.io.absent import Absent
from pipeline.io.cell import Cell
from pipeline.io.known import Known
from pipeline.params import StageError

CELL = Cell("few", "pixels", "overcluster")


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> store.Features:
    """30 images of train, of 12 distinct vectors, and 10 of test; ten classes are expected."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(12, 4))[np.r_[np.arange(30) % 12, np.arange(10) % 12]]
    row, split = np.arange(40), (np.arange(40) >= 30).astype(np.uint8)
    ids = np.random.default_rng(1).integers(0, 256, (40, 16)).astype(np.uint8)
    splits = ["train", "test"]
    plan = store.Plan("few", "pixels", "0" * 32, 4, splits, ids, row, split)
    with store.FeatureWriter(CELL.features, plan) as writer:
        writer.put(writer.todo, x[writer.todo].astype(np.float32))
        writer.finish()
    index = {"name": np.array([f"{i}.png" for i in row], object), "digest": ids, "split": split}
    attrs = {"dataset": "few", "splits": splits, "n_classes": 10}
    store.save(CELL.images, "index", index, attrs)
    return store.Features(CELL.features)


def of(found: store.Features, *k: int | str, train: int = 30, old: int = 0) -> list[int]:
    """`old`: of so many classes the first image is labelled, and every image after the 20th."""
    known = None
    if old:
        label = np.full(train, -1)
        label[:old], label[20:] = np.arange(old), 0
        known = Known(label, [str(c) for c in range(old)])
    return feasible_k(CELL, k, found, np.arange(train), CELL.k, known)


@pytest.mark.parametrize(
    ("k", "settings", "line"),
    [
        (13, {}, "k is 13, but there are 30 images to fit on, of 12 distinct vectors: choose k "
         "from 1 to 12"),
        (31, {}, "k is 31, but there are 30 images to fit on, of 12 distinct vectors: choose k "
         "from 1 to 12"),
        (12, {"train": 11}, "k is 12, but there are 11 images to fit on: choose k from 1 to 11"),
        (2, {"old": 3}, "k is 2, but 3 classes are known: choose k from 3 on"),
        (16, {"old": 3}, "k is 16, but 3 classes are known and 17 images are unlabelled, of 12 "
         "distinct vectors: choose k from 3 to 15"),
    ],
)  # fmt: skip
def test_a_number_that_cannot_be_is_refused_with_both_numbers(
    k: int, settings: dict[str, int], line: str, found: store.Features
):
    with pytest.raises(StageError) as error:
        of(found, k, **settings)
    assert str(error.value) == line


def test_the_limits_themselves_can_be(found: store.Features):
    assert of(found, 1, 12) == [1, 12]
    assert of(found, 3, 15, old=3) == [3, 15]


def test_of_several_those_that_cannot_be_are_left_out_with_a_line(
    found: store.Features, capsys: pytest.CaptureFixture[str]
):
    assert of(found, "1x", "2x", 5, 40) == [10, 5]
    assert capsys.readouterr().out == (
        "overcluster: k of 20, 40 left out: there are 30 images to fit on, of 12 distinct vectors\n"
    )
    assert of(found, "1x", "0.1x", "4x", old=3) == [10]
    assert capsys.readouterr().out.splitlines() == [
        "overcluster: k of 1 left out: 3 classes are known",
        "overcluster: k of 40 left out: 3 classes are known and 17 images are unlabelled, of 12 "
        "distinct vectors",
    ]


def test_multiples_alone_are_no_mistake_and_make_the_run_absent(found: store.Features):
    with pytest.raises(Absent, match=r"^k is 15, but there are 30 images to fit on, of 12 disti"):
        of(found, "1.5x", "2x")
    with pytest.raises(StageError, match=r"^k is 99, but there are 30 images"):
        of(found, "1.5x", 99)


def test_vectors_are_counted_no_further_than_is_asked(
    found: store.Features, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cluster.neighbors.equal_rows.TILE", 5)
    read, block = list[int](), store.Features.block
    monkeypatch.setattr(
        store.Features, "block", lambda self, a, b: read.append(b) or block(self, a, b)
    )
    assert limits_of_k(found, np.arange(30), 5).most == 30
    assert read == [5]
    assert limits_of_k(found, np.arange(30), 13).most == 12


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """12 pictures, 4 of them black; 20 classes are expected, one is known."""
    project = Project(tmp_path_factory.mktemp("tiny"))
    root = project.folder / "pictures"
    root.mkdir()
    for i in range(12):
        draw(root / f"{i:02}.png", seed=i)
        if i % 3 == 0:
            Image.new("RGB", (8 + i, 8)).save(root / f"{i:02}.png")
    (project.folder / "known.csv").write_text("path,label\n01.png,bird\n02.png,bird\n")
    project.params["datasets"] = {"tiny": {"from": "folder", "root": str(root), "classes": 20}}
    project.params["known"] = {"tiny": {"table": str(project.folder / "known.csv")}}
    project.params["all"] = {"pixels": {}}
    for name in ("scan", "temi", "cut", "turtle", "simgcd", "pim"):
        project.params[name] |= {"steps": 2}
    project.index("tiny")
    project.embed("tiny")
    project.stage("known", "tiny")
    project.params["map"] |= {"epochs": 2}
    for name in ("pca", "neighbors", "duplicates", "estimate_k", "map"):
        project.stage(name, "tiny", "pixels")
    return project


METHODS = (
    *("kmeans", "spectral", "scan", "temi", "dcsbm", "cut", "turtle", "umap_kmeans"),
    *("sskmeans", "simgcd", "pim"),
)


@pytest.fixture
def settings(tiny: Project) -> Iterator[dict[str, Any]]:
    """Sections of params.yaml, which the test may change."""
    before = {name: dict(tiny.params[name]) for name in METHODS}
    with contextlib.chdir(tiny.folder):
        yield tiny.params
    tiny.params |= before


@pytest.mark.parametrize("name", METHODS)
def test_every_method_refuses_leaves_out_and_goes_on_alike(
    name: str, tiny: Project, settings: dict[str, Any]
):
    """9 distinct vectors: 8 pictures and black."""
    knows = name in ("sskmeans", "simgcd", "pim")
    most = 1 + 7 if knows else 9
    settings[name] |= {"k": [most + 1]}
    line = tiny.refusal(name, "tiny", "pixels")
    assert line.startswith(f"{name}: k is {most + 1}, but ")
    assert line.endswith(f"distinct vectors: choose k from 1 to {most}")
    settings[name] |= {"k": ["1x", 3, "auto"], "seeds": [0]}
    assert f"{name}: k of 20 left out: " in tiny.stage(name, "tiny", "pixels")
    settings[name] |= {"k": ["1x"]}
    said = tiny.stage(name, "tiny", "pixels")
    assert said.startswith(f"{name}: there is nothing to do: k is 20, but ")


def test_where_no_run_can_be_the_report_says_why(tiny: Project, settings: dict[str, Any]):
    for name in (*METHODS, "selflabel"):
        tiny.stage(name, "tiny", "pixels")
    for name in ("clusters/kmeans", "discovered/simgcd"):
        assert "nothing to do: k is 20" in tiny.stage("export", "tiny", "pixels", name)
    for name in ("evaluate", "evaluate_discovery"):
        said = tiny.stage(name, "tiny", "pixels")
        assert said.startswith(f"{name}: there is nothing to do: no run has clusters: k is 20, but")
    tiny.stage("report")
    page = Path("report/index.html").read_text()
    assert "Absent: pixels: no run has clusters: k is 20, but there are 12 images" in page


def test_one_run_that_can_be_is_scored_and_shown(tiny: Project, settings: dict[str, Any]):
    for name in METHODS:
        tiny.stage(name, "tiny", "pixels")
    tiny.stage("evaluate_discovery", "tiny", "pixels")
    settings["kmeans"] |= {"k": ["1x", 4], "seeds": [0], "dims": [0]}
    tiny.stage("kmeans", "tiny", "pixels")
    tiny.stage("evaluate", "tiny", "pixels")
    assert set(tiny.metrics("evaluate", "tiny")) == {"kmeans"}
    tiny.stage("report")
    (line,) = re.findall("Absent: [^<]+", Path("report/index.html").read_text())
    assert line.startswith("Absent: pixels, category discovery: no run has clusters: k is 20, but")
