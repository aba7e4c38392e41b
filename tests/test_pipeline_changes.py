"""What `dvc repro` runs again after a change, and what it leaves alone."""

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
