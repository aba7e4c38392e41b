"""The notebooks in examples/ run as they are, from an empty folder, and need few calls of ours."""

import ast
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, environment

NOTEBOOK = ROOT / "examples/cluster_a_folder.ipynb"
OURS = {"store", "images", "backbones", "cluster", "pipeline", "pages", "stages", "recipes"}
CALLS = 10

# Runs the cells of a notebook, one after the other in one namespace, and says what came of it
RUN = f"""
import ast, inspect, json, sys
import matplotlib.pyplot

def ours(call):
    # A method of what a call returned is not looked up again: the call itself is counted
    if any(isinstance(part, ast.Call) for part in ast.walk(call.func)):
        return None
    called = eval(ast.unparse(call.func), dict(cells))
    home = inspect.getmodule(called) or inspect.getmodule(type(getattr(called, "__self__", None)))
    return called.__qualname__ if home and home.__name__.split(".")[0] in {OURS!r} else None

cells, texts = {{"__name__": "__main__"}}, json.loads(sys.argv[1])
for text in texts:
    exec(compile(text, "<cell>", "exec"), cells)
called = []
for text in texts:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            try:
                called.append(ours(node))
            except NameError:
                called.append(None)  # of a name within a function of the notebook
figures = [matplotlib.pyplot.figure(at) for at in matplotlib.pyplot.get_fignums()]
print(json.dumps({{
    "called": [name for name in called if name],
    "new": cells["embedded"].new,
    "estimate": int(cells["estimate"].k),
    "cluster": cells["cluster"].tolist(),
    "pictures": [sum(len(axis.images) for axis in figure.axes) for figure in figures],
}}))
"""


def cells(kind: str) -> list[str]:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def run(folder: Path) -> dict[str, Any]:
    """The notebook in a process of its own, in FOLDER."""
    ran = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(cells("code"))],
        cwd=folder,
        env={**environment(), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    *said, last = ran.stdout.splitlines()
    return {**json.loads(last), "said": "\n".join(said)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def first(folder: Path) -> dict[str, Any]:
    return run(folder)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "clustered/clusters.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_kinds_that_were_drawn_are_found(first: dict[str, Any], folder: Path):
    rows = table(folder)
    assert [row["path"] for row in rows] == sorted(os.listdir(folder / "pictures"))
    assert [int(row["cluster"]) for row in rows] == first["cluster"]
    kinds = {(row["path"].partition("-")[0], row["cluster"]) for row in rows}
    assert len(rows) == 60
    assert len(kinds) == len(set(first["cluster"])) == 5
    assert first["estimate"] == 5
    assert "estimated: 5 clusters" in first["said"]


def test_neighbors_are_of_the_same_kind(first: dict[str, Any], folder: Path):
    for row in table(folder):
        assert row["path"].partition("-")[0] == row["nearest"].partition("-")[0]
        assert row["path"] != row["nearest"]
        assert 0.5 < float(row["similarity"]) <= 1


def test_clusters_and_neighbors_are_shown(first: dict[str, Any]):
    assert first["pictures"] == [5 * 8, 3 * 8]


def test_run_again_it_embeds_nothing_and_finds_the_same(first: dict[str, Any], folder: Path):
    written = (folder / "clustered/clusters.csv").read_bytes()
    again = run(folder)
    assert (first["new"], again["new"]) == (60, 0)
    assert again["cluster"] == first["cluster"]
    assert (folder / "clustered/clusters.csv").read_bytes() == written


def test_it_needs_few_calls_of_ours(first: dict[str, Any]):
    called = first["called"]
    assert {"embed_folder", "estimate_k", "kmeans", "assign", "nearest_neighbors"} <= set(called)
    assert len(called) <= CALLS


def test_the_file_is_a_notebook_without_outputs():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
        else:
            assert set(cell) == {"cell_type", "id", "metadata", "source"}


def test_settings_stand_in_one_cell():
    assigned = [node.targets[0].id for node in ast.parse(cells("code")[0]).body]  # type: ignore
    assert assigned == ["FOLDER", "BACKBONE", "K", "OUT"]
