"""float16 or float32: what rounding would spoil is refused, and float32 holds it."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Project

import store
from pipeline.embedding.rounding import Rounding

N = 300
WAY_OUT = "write `dtype: float32` beside `features` of imported.mine in params.yaml"


@pytest.fixture
def points(project: Project) -> Project:
    """A dataset of vectors without pictures."""
    project.params["datasets"] = {"points": {"from": "vectors", "rows": N, "classes": 3}}
    project.params["imported"] = {"mine": {"features": "x.npy"}}
    project.index("points")
    return project


def bring(project: Project, x: np.ndarray, **says: str) -> str:
    np.save(project.folder / "x.npy", x)
    project.params["imported"]["mine"] = {"features": "x.npy", **says}
    project.stage("import", "mine")
    return project.stage("embed", "points", "mine")


def cloud(dim: int = 8) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, dim))


# What people bring, and what of it float16 leaves
NARROW = {
    "tiny": 1e-8 * cloud(),
    "places": np.array([48.1374, 11.5755]) + 1e-3 * cloud(2),
    "unit vectors beside a thousand": cloud() / np.linalg.norm(cloud(), axis=1)[:, None] + 1000,
    "an offset": 3000 + 0.05 * cloud(),
    "times": 1.7e4 + cloud(1),
    "whole numbers": (30_000 + 9 * cloud()).astype(np.int64),
}


@pytest.mark.parametrize("name", NARROW)
def test_vectors_that_float16_would_spoil_are_refused_and_float32_holds_them(
    points: Project, name: str
):
    x = NARROW[name]
    np.save(points.folder / "x.npy", x)
    points.stage("import", "mine")
    for _ in range(2):  # what was refused is refused again
        said = points.refusal("embed", "points", "mine")
        assert "the rounding of float16 would be " in said
        assert " % of the variance of these vectors about their mean, more than 1 %" in said
        assert WAY_OUT in said
    assert "300 embedded, 0 reused" in bring(points, x, dtype="float32")
    found = store.Features(points.store("points", "mine"))
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found.block(0, N), x.astype(np.float32))
    points.params["kmeans"] |= {"n_init": 1, "k": [3]}
    points.stage("pca", "points", "mine")
    points.stage("kmeans", "points", "mine")


def test_the_share_that_is_said_is_that_of_the_variance(points: Project):
    """Numbers from 2,048 to 4,096 are rounded to even ones: an error of 0 or 1."""
    x = 3000.0 + np.random.default_rng(0).integers(-10, 11, (N, 4))
    np.save(points.folder / "x.npy", x)
    points.stage("import", "mine")
    error = np.square(x.astype(np.float16).astype(float) - x).mean()
    share = round(1000 * error / x.var(0).mean()) / 10
    assert 1 < share < 2
    assert f"would be {share} % of" in points.refusal("embed", "points", "mine")


@pytest.mark.parametrize(
    "x",
    [cloud(), 100 + cloud(), np.full((N, 3), 0.1), np.zeros((N, 3)), 1e-3 * cloud(),
     (3000 + 0.05 * cloud()).astype(np.float16), np.arange(2.0 * N).reshape(N, 2)],
)  # fmt: skip
def test_what_loses_nothing_is_stored_as_float16(points: Project, x: np.ndarray):
    """Also vectors that are all equal, and those that came as float16."""
    assert "300 embedded" in bring(points, x)
    assert store.Features(points.store("points", "mine")).dtype == "float16"


def test_what_was_stored_before_a_refusal_stays(points: Project):
    bring(points, cloud())
    folder = points.store("points", "mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    np.save(points.folder / "x.npy", 3000 + 0.05 * cloud())
    points.stage("import", "mine")
    points.refusal("embed", "points", "mine")
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_number_beyond_float16_is_said_with_the_way_out(points: Project):
    x = cloud()
    x[7, 2] = 1e5
    x[9, 0] = np.nan
    np.save(points.folder / "x.npy", x)
    points.params["embed"]["unreadable"] = "skip"
    points.stage("import", "mine")
    points.stage("embed", "points", "mine")
    listed = (points.folder / "metrics/points/mine/unreadable.csv").read_text()
    assert f"its vector is beyond float16 (65504): {WAY_OUT}" in listed
    assert "00000009,its vector is NaN or infinite" in listed
    assert "1 unreadable" in bring(points, x, dtype="float32")


def test_short_vectors_among_long_ones_are_said(points: Project):
    x = cloud()
    x[:5] *= 1e-9
    assert f"5 of 300 vectors are so short that float16 takes their direction: {WAY_OUT}" in bring(
        points, x
    )


def test_the_dtype_of_a_backbone_is_one_word_in_its_row(project: Project):
    project.params["backbones"]["pixels"] = {"dtype": "float32"}
    project.index("digits")
    assert "192 dims of float32" in project.stage("backbone", "pixels")
    project.embed("digits", "pixels")
    found = store.Features(project.store("digits", "pixels"))
    assert found.dtype == "float32"
    project.params["backbones"]["pixels"] = {}
    project.stage("backbone", "pixels")
    facts = json.loads((project.folder / "data/backbones/pixels/backbone.json").read_text())
    assert "dtype" not in facts  # as it was written before there was another one
    assert "0 reused" in project.stage("embed", "digits", "pixels")
    project.params["backbones"]["pixels"] = {"dtype": "float64"}
    assert "backbones.pixels.dtype is 'float64'" in project.refusal("backbone", "pixels")


def plan(count: int) -> store.Plan:
    ids = np.arange(16 * count, dtype=np.int64).astype(np.uint8).reshape(count, 16)
    ids[:, :8] = np.arange(count, dtype=">i8")[:, None].view(np.uint8)
    rows = np.arange(count)
    return store.Plan("d", "b", "e", 4, ["train"], ids, rows, np.zeros(count, np.uint8))


def put(folder: Path, x: np.ndarray, rows: slice) -> None:
    """Embed some rows, as a run does that is killed at their end."""
    with store.FeatureWriter(folder, plan(len(x)), block=8) as writer:
        todo = writer.todo[rows]
        rounding = Rounding(writer, len(writer.todo), "take float32")
        for low in range(0, len(todo), 16):
            at = todo[low : low + 16]
            rounding.add(x[at], np.ones(len(at), bool))
            writer.put(at, x[at])


def test_a_run_that_goes_on_is_judged_by_all_that_is_stored(tmp_path: Path):
    """A few new vectors may be nearly equal, and those of a store that is spoilt all are."""
    fine = np.concatenate([cloud(4)[:96], 1 + 1e-4 * cloud(4)[:4]])
    put(tmp_path / "fine", fine, slice(0, 96))
    put(tmp_path / "fine", fine, slice(None))
    spoilt = 3000 + 0.05 * cloud(4)[:100]
    for _ in range(2):
        put(tmp_path / "spoilt", spoilt, slice(0, 48))
    with pytest.raises(store.StoreError, match="take float32; what was stored before stays"):
        put(tmp_path / "spoilt", spoilt, slice(None))


def test_embedding_stops_long_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipeline.embedding.rounding.EARLY", 32)
    with pytest.raises(store.StoreError, match="the rounding of float16"):
        put(tmp_path, 3000 + 0.05 * cloud(4)[:200], slice(0, 64))


def test_every_stage_reads_float32(points: Project):
    """Three groups far from zero, which float16 would make one; the approximate search too."""
    group = np.arange(N) % 3
    x = 100 + 1e-3 * (cloud() + 12 * np.eye(8)[group])
    np.save(points.folder / "y.npy", group)
    points.params["datasets"]["points"] = {"from": "vectors", "labels": "y.npy"}
    points.index("points")
    bring(points, x, dtype="float32")
    points.params["pca"]["normalize"] = False
    points.params["neighbors"] |= {"exact_up_to": 0, "metric": "euclidean"}
    points.params["kmeans"] |= {"n_init": 2, "dims": [0, 4]}
    points.params["temi"] |= {"steps": 20, "heads": 1}
    points.params["scan"] |= {"steps": 20, "heads": 1}
    stages = ("pca", "neighbors", "duplicates", "estimate_k", "kmeans", "temi", "scan", "spectral")
    for stage in (*stages, "selflabel", "probes", "evaluate"):
        points.stage(stage, "points", "mine")
    assert points.metrics("neighbors", "points", "mine")["recall"] > 0.95
    found = points.metrics("evaluate", "points", "mine")
    assert found["kmeans"]["acc"] == found["spectral"]["acc"] == 1
    for run in ("kmeans", "temi", "scan", "spectral", "selflabel"):
        assert "as they are, no projection" in points.metrics(run, "points", "mine")["space"]
