"""Names of files and classes that look like options, commands, formulas or HTML do no harm, from
the index to the report, and come back from every table as they are."""

import csv
import importlib
import os
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Project
from learning import RUNTIME
from PIL import Image
from reported import Tags

import pipeline.params
import store
from pipeline.io.cell import Cell

NAMES = (
    "-rf.png", "--help.png", "$(touch ran).png", "`touch ran`.png", "a;touch ran;.png", "'\".png",
    "a\nb.png", "a\rb.png", "*.png", "a b,c.png", "=cmd|' !A0.png", "@SUM(1).png", "%s{0}.png",
    "<script>alert(1)</script>.png", "<img src=x onerror=alert(1)>.png", "&lt;b&gt;.png",
    "\"><svg onload=alert(1)>.png", "\u202egnp.png", "\x1b[31m.png", "~.png", "x" * 251 + ".png",
    "con.png", "é.png",
)  # fmt: skip
CELL = Cell("photos", "pixels")
CLASSES = ("<script>alert(1)<", "=1+1", "-x", "$(touch ran)")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose files and classes have such names, run from index to report."""
    folder = tmp_path_factory.mktemp("named")
    project = Project(folder)
    rng = np.random.default_rng(0)
    for number in range(2):
        for at, name in enumerate(NAMES):
            place = folder / "photos" / CLASSES[(at + number) % 4] / f"{number}" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shade = np.full((9, 9, 3), 60 + 40 * (at % 4)) + rng.integers(0, 40, (9, 9, 3))
            Image.fromarray(shade.astype(np.uint8)).save(place, "PNG")
    for name in ("<script>alert(2)<.png", "-.png", 'a\r\n,".png', "=2.png"):
        (folder / "photos" / CLASSES[0] / name).write_bytes(b"no picture")
    project.params["datasets"] = {"photos": {"from": "folder", "root": "photos", "tree": "class"}}
    project.params["backbones"] = project.params["all"] = {"pixels": {}}
    project.params["examples"] |= {"clusters": 4, "images": 3}
    project.params["embed"]["unreadable"] = "skip"
    project.params["kmeans"] |= {"dims": [0], "n_init": 1, "seeds": [0]}
    project.params["neighbors"]["k"] = 5
    project.write_params()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(os, "fsync", lambda _: None)
        run("index", "photos")
        run("backbone", "pixels")
        run("embed", CELL)
        _pca_less()
        for name in ("kmeans", "neighbors", "duplicates"):
            run(name, CELL._replace(run=name))
        run("export", CELL, "clusters/kmeans")
        run("evaluate", CELL._replace(run="evaluate"))
        run("report")
    return folder


def _pca_less() -> None:
    """3,072 components of pixels take seconds, and nobody asks for one."""
    dim = store.Features(CELL.features).dim
    parts = {"mean": np.zeros(dim), "components": np.zeros((0, dim)), "variance": np.zeros(0)}
    said = {"dataset": "photos", "backbone": "pixels", "images": 1}
    store.save(CELL.pca, "pca", parts, said | {"normalize": True, "whiten": False})


def run(name: str, *words: str | Cell) -> None:
    """A stage here, as from the command line."""
    module = importlib.import_module(f"stages.{name}")
    wants = typing.get_type_hints(module.main)
    more: dict[str, Any] = {
        word: pipeline.params.section(kind, name if word == "params" else word)
        for word, kind in wants.items()
        if isinstance(kind, type) and issubclass(kind, pipeline.params.Section)
    }
    if "runtime" in more:
        more["runtime"] = RUNTIME
    module.main(*words, **more)


def test_no_name_is_run_by_a_shell_or_taken_for_an_option(named: Path):
    assert not list(named.rglob("ran"))
    with store.read(named / CELL.images, "index") as file:
        found = {name.rpartition("/")[2] for name in file["name"]}
    assert {name.rpartition("/")[2] for name in NAMES} <= found


def test_every_name_comes_back_from_the_tables(named: Path):
    """Also one that a spreadsheet may take for a formula: a name is data, and has to lead back to
    its file; whoever opens the table in a spreadsheet takes the column for text."""
    with store.read(named / CELL.images, "index") as file:
        everyone = set(file["name"])
    with (named / CELL.file("tables/kmeans.csv")).open(newline="", encoding="utf-8") as file:
        exported = {row["path"] for row in csv.DictReader(file)}
    path = named / CELL.metric("unreadable.csv")
    with path.open(newline="", encoding="utf-8") as file:
        unreadable = {row["name"] for row in csv.DictReader(file)}
    assert len(unreadable) == 4
    assert exported | unreadable == everyone
    assert all((named / "photos" / name).is_file() for name in everyone)


def test_the_report_shows_names_and_does_not_run_them(named: Path):
    page = (named / "report/index.html").read_text(encoding="utf-8")
    tags = Tags(page)
    assert not tags.open
    own = page.count("<script>")
    assert own == page.count("</script>") <= 1
    assert "<script>alert" not in page
    for tag, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert tag not in {"iframe", "object", "embed", "base", "form"}
    assert "4 images could not be read" in page


def test_a_name_that_is_not_unicode_is_refused_in_one_line(project: Project):
    folder = project.folder / "photos"
    folder.mkdir()
    try:
        (folder / os.fsdecode(b"\xff\x1b[2J.png")).touch()
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    project.params["datasets"] = {"photos": {"from": "folder", "root": "photos"}}
    line = project.refusal("index", "photos")
    assert "not valid UTF-8" in line
    assert line.isprintable()
