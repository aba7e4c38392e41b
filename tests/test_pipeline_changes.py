"""What `dvc repro` and `dvc exp run` run again after a change, and what they leave alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from clones import ALWAYS, FOREIGN, ZOO, Clone, draw, forked_python, kinds, made
from PIL import Image

import store


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forked_python(tmp_path_factory.mktemp("bin"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, forked: Path) -> Clone:
    """Labelled pictures by a row of the zoo and by imported vectors, of which no class is known."""
    found = made(tmp_path_factory.mktemp("clone"), runs={"export": ["temi"]})
    found.repro(forked=forked)
    assert (found.folder / f"data/colours/{ZOO}/tables/temi.csv").exists()
    found.commit()
    return found


def test_questions_about_results_get_answers(clone: Clone):
    metrics = json.loads(clone.dvc("metrics", "show", "--json"))
    assert f"metrics/colours/{ZOO}/evaluate.json" in json.dumps(metrics)
    clone.change(kmeans={"n_init": 3})
    assert "kmeans.n_init" in clone.dvc("params", "diff")
    assert "index.html" in clone.dvc("plots", "show")
    clone.run("git", "checkout", "params.yaml")


def test_an_experiment_runs_what_its_setting_reaches(clone: Clone, forked: Path):
    said = clone.dvc("exp", "run", "--set-param", "kmeans.n_init=3", forked=forked)
    ran = {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")}
    kmeans = {name for name in ran if name.startswith("kmeans@")}
    assert f"kmeans@colours-{ZOO}-kmeans" in kmeans
    assert len(kmeans) == 2
    assert all(name.endswith("-kmeans") for name in kmeans)
    assert kinds(ran) <= {*ALWAYS, "kmeans", "evaluate", "report"}
    clone.run("git", "checkout", "params.yaml", "dvc.lock")
    clone.dvc("checkout")


def test_a_method_is_switched_off_by_an_empty_list(clone: Clone):
    def listed() -> set[str]:
        return kinds(line.split()[0] for line in clone.dvc("stage", "list").splitlines())

    assert "temi" in listed()
    clone.change(runs={"temi": [], "export": []})
    assert not {"temi", "export"} & listed()
    assert {"scan", "kmeans"} <= listed()
    assert kinds(clone.repro("--dry", "evaluate")) <= ALWAYS
    clone.run("git", "checkout", "params.yaml")


def test_a_backbone_more_costs_its_own_cells_alone(clone: Clone, forked: Path):
    clone.change(backbones={ZOO: {}, "pixels": {}})
    ran = clone.repro("kmeans", forked=forked)
    new = [name for name in ran if name.split("@")[0] not in ALWAYS]
    assert "kmeans@colours-pixels-kmeans" in new
    assert "backbone@pixels" in new
    assert all("pixels" in name for name in new)
    clone.run("git", "checkout", "params.yaml", "dvc.lock")


def test_own_pictures_and_assign_need_a_line_each(clone: Clone, forked: Path):
    draw(clone.folder.parent / "others", "red", "green")
    params = yaml.safe_load((clone.folder / "params.yaml").read_text())
    others = {"from": "folder", "root": "../others"}
    clone.change(
        datasets={**params["datasets"], "others": others},
        assign={"from": ["colours"], "to": ["others"], "runs": ["kmeans", "spectral", "temi"]},
        similar={"target": ["others"], "among": ["colours"], "k": [2]},
    )
    ran = clone.repro("assign", "similar", forked=forked)
    clone.repro("--single-item", f"evaluate@others-{ZOO}", "report", forked=forked)
    for backbone in (ZOO, FOREIGN):  # the latter has no file of others
        assert f"assign@colours-others-{backbone}-kmeans" in ran
        assert f"assign@colours-others-{backbone}-temi" in ran
        assert f"similar@others-colours-{backbone}" in ran
        assert f"embed@others-{backbone}" in ran
        assert f"embed@colours-{backbone}" not in ran
    page = (clone.folder / "report/index.html").read_text()
    assert "What looks like others in colours" in page
    found = json.loads((clone.folder / f"metrics/others/{ZOO}/evaluate.json").read_text())
    assert "acc" not in json.dumps(found)  # no labels: the label-free scores only


def test_the_cache_may_lie_on_another_drive(clone: Clone, forked: Path, tmp_path: Path):
    """A store that grows is written over the links into the cache, never through them."""
    clone.dvc("cache", "dir", "--local", str(tmp_path / "cache"))
    clone.dvc("config", "--local", "cache.type", "symlink")
    seen = list[int]()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(clone.folder.parent / f"pictures/red/more{number}.png")
        clone.repro(f"embed@colours-{ZOO}", forked=forked)
        features = clone.folder / f"data/colours/{ZOO}/features"
        assert all(path.is_symlink() for path in features.iterdir())
        seen.append(len(store.Features(features)))
    assert seen[1] == seen[0] + 1
