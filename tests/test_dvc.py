"""dvc.yaml says of each stage what it opens and what it writes: nothing else, nothing less."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clones import draw
from conftest import OBJECTIVES, PARAMS, Project
from graph import DVC, Entry, entry, items, stages

from pipeline.published import FILE, SAID

NET = "resnet18_small_narrow"
ITEM = {
    "dataset": "colours", "backbone": NET, "target": "colours", "among": "more", "from": "colours",
    "to": "more",
}  # fmt: skip
KEYS = {"datasets": "colours", "known": "colours", "backbones": NET, "imported": "outside"}
KEYS |= {"adapted": "learns", "resized": "smaller"}
# Of this machine, or kept for other runs: they are no outs
NO_OUTS = re.compile(r"\.seen\.(json|h5)$|^data/(frozen|links)/")
# Before a stage: have it write down what it has opened. (h5py opens files past Python.)
RECORD = """
import atexit, json, os, sys
opened = set()
def record(name):
    if isinstance(name, (str, os.PathLike)):
        opened.add(os.path.abspath(name))
def hear(event, arguments):
    if event in ("open", "os.listdir", "os.scandir"):
        record(arguments[0])
sys.addaudithook(hear)
import h5py
init = h5py.File.__init__
def recorded(self, name, *arguments, **more):
    record(name)
    init(self, name, *arguments, **more)
h5py.File.__init__ = recorded
atexit.register(lambda: open("opened", "w").write(json.dumps(sorted(opened))))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two collections of the same pictures, and vectors without any; settings with which each
    stage reads all that it may read, and is soon done."""
    made = Project(tmp_path_factory.mktemp("graph"))
    draw(made.folder / "pictures", "red", "green", "blue")
    np.save(made.folder / "vectors.npy", np.random.default_rng(0).normal(size=(60, 8)))
    (made.folder / "known.csv").write_text("path,label\nred/0.png,red\nred/1.png,red\n")
    colours = {"from": "folder", "root": "pictures", "tree": "class"}
    params = made.params
    params["datasets"] = {"colours": colours, "more": colours}
    params["datasets"] |= {"bare": {"from": "vectors", "rows": 60, "labels": "labels.npy"}}
    np.save(made.folder / "labels.npy", np.arange(60) % 3)
    params["backbones"] = {NET: {}}
    params["imported"] = {"outside": {"features": "vectors.npy", "dataset": "bare"}}
    params["adapted"] = {"learns": {
        "objective": "simgcd", "dataset": "colours", "backbone": NET, "learns_from": "../known.h5",
        "epochs": 1, "views": 2, "batch": 32, "hidden": 8, "bottleneck": 8,
    }}  # fmt: skip
    params["resized"] = {"smaller": {"row": NET, "size": 24}}
    params["embedded"] = {name: {} for name in (NET, "smaller", "outside", "learns")}
    params["fused"] = {"both": [NET, "smaller"]}
    params["all"] = {**params["embedded"], "both": {}}
    drawn = {"old": 2, "labelled": 0.5, "seed": 0}
    params["known"] = {"colours": drawn, "bare": {**drawn, "old": 1}}
    params["embed"]["views"] = 2
    params["runs"]["finish"] = ["kmeans"]
    params["runs"]["member"] = ["kmeans"]
    few: dict[str, dict[str, Any]] = {
        "kmeans": {"k": ["auto", 3], "dims": [0, 4]}, "spectral": {"k": ["auto", 3]},
        "scan": {"k": ["auto", 3], "steps": 3, "views": True, "batch": 32},
        "selflabel": {"steps": 3, "other": "views", "batch": 32},
        "temi": {"k": ["auto", 3], "steps": 3, "batch": 32},
        "dcsbm": {"k": ["auto", 3]},
        "cut": {"k": ["auto", 3], "steps": 3, "batch": 32},
        "turtle": {"k": ["auto", 3], "steps": 3, "batch": 32, "inner_steps": 2, "max_iter": 5},
        "map": {"dims": [2, 3], "epochs": 3}, "umap_kmeans": {"k": ["auto", 3], "dims": 3},
        "consensus": {"k": ["auto", 3], "join": "all"},
        "sskmeans": {"k": ["auto", 3]}, "simgcd": {"k": ["auto", 3], "steps": 3, "batch": 32,
        "entropy_weight": 1.0}, "pim": {"k": ["auto", 3], "steps": 3,
        "conditional_entropy_weight": 1.0},
        "estimate_k": {"k_min": 3, "k_max": 5}, "estimate_k_by_labels": {"max_classes": 5},
        "curate": {"levels": [9, 3], "resampling": 1, "images": 9, "neighbors": 5},
        "similar": {"same": "keep", "balance": "clusters", "k": [3]},
        "similar_by_labels": {"same": "keep", "k": [3]},
        "probes": {"penalties": [0.1], "max_iter": 5},
    }  # fmt: skip
    for name, changes in few.items():
        assert changes.keys() <= params[name].keys() | set(OBJECTIVES["common"]), name
        params[name] |= changes
        if "seeds" in params[name]:
            params[name]["seeds"] = [0]
        if "n_init" in params[name]:
            params[name]["n_init"] = 1
    made.write_params()
    return made


def item_of(name: str, **changes: str) -> dict[str, str]:
    """One cell of a stage: all that its entry is written for."""
    of = items(stages()[name])
    if "key" in of:
        return {"key": KEYS[of["key"]]}
    values = {what: ITEM[what] for what in of.keys() & ITEM.keys()}
    if of.get("run", "").startswith("runs."):
        method = of["run"].removeprefix("runs.")
        of_runs = {
            "finish",
            "names",
            "export_named",
            "member",
            "reviewed",
        }  # lists of runs of other stages
        off = "kmeans" if method in of_runs else method  # one that is off, by its section
        values["run"] = (PARAMS["runs"][method] or [off])[0]
    if "into" in of:
        values["into"] = "consensus"
    if name in ("assign", "export_assigned"):
        values["run"] = "spectral"  # which needs the features of the first dataset too
    if name in ("export_discovered", "reviewed_discovered"):
        values["run"] = "simgcd"
    if name == "learned":
        values["backbone"] = "learns"
    if name == "fuse_part":
        values["fused"] = "both"
    if name == "fuse":
        values["backbone"] = "both"
    return values | {what: to for what, to in changes.items() if what in values}


def entry_of(project: Project, name: str, **changes: str) -> Entry:
    item = item_of(name, **changes)
    if "key" in item:
        (where,) = items(stages()[name]).values()
        of = project.params[where][item["key"]]
        item = {**(of if isinstance(of, dict) else {}), **item}
    return entry(name, item, project.params)


def files(folder: Path) -> dict[str, int]:
    """When each file was written, in ns."""
    tops = ("data", "candidates", "metrics", "report")
    every = (path for top in tops for path in (folder / top).rglob("*"))
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in every if p.is_file()}


def run(project: Project, one: Entry) -> tuple[set[str], set[str]]:
    """Run a stage; what it opened and wrote below data/, metrics/ and report/."""
    before = files(project.folder)
    process = project.start(*one.command, before=RECORD)
    _, error = process.communicate()
    assert process.returncode == 0, error
    opened = json.loads((project.folder / "opened").read_text())
    inside = {
        str(path.relative_to(project.folder))
        for path in map(Path, opened)
        if path.is_relative_to(project.folder)
    }
    inside |= {SAID for path in opened if Path(path) == FILE}  # it lies with the code
    after = files(project.folder)
    wrote = {path for path, when in after.items() if before.get(path) != when}
    tops = ("data/", "candidates/", "metrics", "report/", SAID)
    return {path for path in inside if path.startswith(tops)}, wrote


def lies_in(path: str, folders: list[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


# In the order in which one can run after the other, but for `names`, which none of these backbones
# has: its outs are marks, and what export_named reads of it is one
ORDER = [name for name in stages() if name != "adapt"]
ORDER.insert(ORDER.index("learned"), "adapt")


@pytest.fixture(scope="module")
def ran(project: Project) -> dict[str, tuple[Entry, set[str], set[str]]]:
    """Each stage, run for one cell: what dvc.yaml says of it, what it opened and what it wrote."""
    out = {}
    project.index("more")
    project.index("bare")
    project.stage("backbone", NET)
    for name in ("embed", "pca", "estimate_k", "kmeans", "neighbors", "duplicates"):
        project.stage(name, "more", NET)
    for name in ORDER:
        if name == "learned":
            project.stage("embed", "colours", "learns")
        if name == "fuse":
            project.stage("embed", "colours", "smaller")
            project.stage("fuse_part", "colours", "smaller", "both")
        one = entry_of(project, name)
        if name == "adapt":
            project.params["embed"]["views"] = 0
        out[name] = one, *run(project, one)
    return out


@pytest.mark.parametrize("name", ORDER)
def test_a_stage_writes_its_outs_and_nothing_else(ran: dict, name: str, project: Project):
    one, _, wrote = ran[name]
    others = {path for path in wrote if not lies_in(path, one.outs)}
    assert not {path for path in others if not NO_OUTS.search(path)}
    for out in one.outs:
        assert (project.folder / out).exists(), out
        assert name == "embed" or any(lies_in(path, [out]) for path in wrote), out


@pytest.mark.parametrize("name", ORDER)
def test_a_stage_opens_its_deps_and_nothing_else(ran: dict, name: str, project: Project):
    one, opened, _ = ran[name]
    for path in opened:
        own = ".part" in Path(path).name or lies_in(path, one.outs) or NO_OUTS.search(path)
        if not own and not (project.folder / path).is_dir():  # which is listed, or synced
            assert lies_in(path, one.deps), path
    for dep in one.deps:
        assert any(lies_in(path, [dep]) for path in opened), dep


def test_every_stage_is_in_the_graph():
    named = re.findall(r"python -m stages\.(\w+)", DVC.read_text())
    assert set(named) == {path.stem for path in (DVC.parent / "stages").glob("[!_]*.py")}
    assert set(ORDER) == set(stages())


def test_the_sections_that_a_stage_watches_are_those_of_params_yaml(project: Project):
    for name in ORDER:
        for where in entry_of(project, name).params:
            found: Any = project.params
            for key in where.split("."):
                assert key in found, (name, where)
                found = found[key]
