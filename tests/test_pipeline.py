"""The whole graph by `dvc repro`, as a user runs it: again, pushed and pulled."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from clones import ALWAYS, FOREIGN, LEARNER, ZOO, Clone, forked_python, kinds, made
from conftest import ROOT


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forked_python(tmp_path_factory.mktemp("bin"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, forked: Path) -> Clone:
    """Labelled pictures, and rows without pictures; a backbone of each origin. Run once through the
    whole graph, and pushed. One run a method: what DVC writes after each stage grows with all."""
    learner = {
        **{"objective": "simgcd", "dataset": "colours", "backbone": ZOO, "k": 3, "epochs": 1},
        **{"learns_from": "../known.h5", "batch": 20, "views": 2, "hidden": 16, "bottleneck": 8},
    }
    found = made(
        tmp_path_factory.mktemp("clone"),
        datasets={
            "colours": {"from": "folder", "root": "../pictures", "tree": "class"},
            "rows": {"from": "vectors", "rows": 90, "labels": "exports/labels.npy"},
        },
        adapted={LEARNER: learner},
        known={"colours": {"old": 2, "labelled": 0.5, "seed": 0}},
        runs={
            **{"kmeans": ["kmeans"], "sskmeans": ["sskmeans"], "export": []},
            **{"map": ["map"], "umap_kmeans": ["umap_kmeans"], "consensus": ["consensus"]},
            "curate": ["curate"],
        },
    )
    np.save(found.folder / "exports/rows.npy", np.random.default_rng(90).normal(size=(90, 16)))
    np.save(found.folder / "exports/labels.npy", np.arange(90) % 3)
    found.ran = found.repro(forked=forked)
    found.dvc("remote", "add", "--default", "shelf", str(tmp_path_factory.mktemp("shelf")))
    found.dvc("push")
    found.commit()
    return found


def test_one_command_runs_every_stage(clone: Clone):
    stages = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    assert kinds(clone.ran) == stages - {
        *("assign", "similar", "similar_by_labels", "export", "export_assigned"),
        *("vocabulary", "names", "export_named", "resize", "fuse_part", "fuse"),
        *("finish", "cut", "turtle", "reviewed", "reviewed_discovered"),
    }
    embedded = [
        f"embed@{one}-{by}" for one in ("colours", "rows") for by in (ZOO, FOREIGN, LEARNER)
    ]
    assert {name for name in clone.ran if name.startswith("embed@")} == set(embedded)
    assert clone.ran.index(f"embed@colours-{ZOO}") < clone.ran.index(f"adapt@{LEARNER}")
    assert clone.ran.index(f"adapt@{LEARNER}") < clone.ran.index(f"embed@colours-{LEARNER}")
    assert (clone.folder / "report/index.html").stat().st_size > 10_000
    table = (clone.folder / "report/table.md").read_text()
    for name in (ZOO, FOREIGN, LEARNER, "sskmeans"):
        assert name in table
    exported = (clone.folder / f"data/colours/{LEARNER}/tables/simgcd.csv").read_text()
    assert exported.startswith("path,split,cluster,class,")
    assert (clone.folder / f"data/colours/{LEARNER}/discovered/learned/learned.h5").exists()


def test_cells_that_cannot_be_are_marked_and_named_in_the_report(clone: Clone):
    for backbone in (ZOO, LEARNER):
        facts = json.loads((clone.folder / f"metrics/rows/{backbone}/evaluate.json").read_text())
        assert facts == {"absent": f"rows: it has no pictures that {backbone} could embed"}
    there = json.loads((clone.folder / f"metrics/rows/{FOREIGN}/evaluate.json").read_text())
    assert "absent" not in there
    page = (clone.folder / "report/index.html").read_text()
    assert f"it has no pictures that {ZOO} could embed" in page


def test_the_second_run_only_looks_whether_images_changed(clone: Clone):
    assert kinds(clone.repro()) == ALWAYS


def test_a_second_clone_pulls_everything_and_computes_nothing(clone: Clone, tmp_path: Path):
    """Though neither the pictures nor the files of vectors are there."""
    clone.run("git", "clone", "--quiet", str(clone.folder), str(tmp_path / "second"))
    second = Clone(tmp_path / "second")
    shutil.rmtree(second.folder / "exports")
    assert not (tmp_path / "pictures").exists()
    second.dvc("pull")
    for backbone in (ZOO, FOREIGN, LEARNER):
        for path in (clone.folder / f"data/colours/{backbone}/features").iterdir():
            theirs = second.folder / path.relative_to(clone.folder)
            assert theirs.read_bytes() == path.read_bytes()
    assert kinds(second.repro()) == ALWAYS
    assert second.run("git", "status", "--porcelain", "dvc.lock") == ""


def test_a_setting_of_an_objective_trains_its_runs_anew(clone: Clone):
    path = clone.folder / "recipes/objectives.yaml"
    objectives = yaml.safe_load(path.read_text())
    for objective, changed in (("scan", False), ("simgcd", True)):
        objectives[objective]["seed"] = 7
        path.write_text(yaml.safe_dump(objectives))
        assert (f"adapt@{LEARNER}" in clone.dvc("status", f"adapt@{LEARNER}")) is changed
    clone.run("git", "checkout", "recipes")
