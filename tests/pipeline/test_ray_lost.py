"""A node of a Ray cluster is killed between two tasks of a stage, or the run is stopped there: the
bytes of one machine, and nothing is done twice that was done."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clustered import N, write_dataset
from conftest import runtime
from learning import CELL, call, write_all
from ray_nodes import Cluster, losing_a_node, on_ray, quarter_of_an_hour, two_nodes

import stages.assign
import stages.curate
from pages.report.chosen.pick import Examples
from pipeline.io.cell import Cell, Pair
from pipeline.params import Runtime
from pipeline.ray.tasks import over_ray

limit = pytest.fixture(quarter_of_an_hour, autouse=True)
nodes = pytest.fixture(two_nodes, scope="module")

NEIGHBORS = {
    "k": 12, "metric": "cosine", "exact_up_to": 0, "compress_from": 0, "code_bytes": 8,
    "recall": 0.9,
}  # fmt: skip
KMEANS = {
    "k": (10,), "dims": (8,), "metric": "euclidean", "algorithm": "minibatch", "n_init": 2,
    "max_iter": 9, "tol": 1e-4, "batch": 40, "init_images": 100, "seeds": (0, 4, 7),
}  # fmt: skip
CURATE = {
    "levels": (30, 6), "dims": 8, "resampling": 1, "nearest": 2, "images": 40, "leaves": "nearest",
    "duplicates": 0.05, "outliers": 2.0, "neighbors": 5, "radius": "auto", "coverage_images": 100,
    "links": False, "n_init": 2, "max_iter": 20, "tol": 1e-4, "init_images": 1000, "seed": 0,
}  # fmt: skip
PART = 20  # images of a part of the search by codes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("discover: {auto: k}\n")
    monkeypatch.setattr("cluster.neighbors.compressed.part.SHARD", PART)
    return tmp_path


def by_codes(folder: Path, run: Runtime) -> tuple[bytes, dict[str, Any]]:
    facts = call(folder, "neighbors", NEIGHBORS, runtime=run)
    table = folder / CELL.neighbors
    found = table.read_bytes()
    table.unlink()
    return found, facts


def test_neighbours_by_codes_are_the_same_though_a_node_is_killed(
    nodes: Cluster, folder: Path, capfd: pytest.CaptureFixture[str]
):
    write_dataset(folder, "digits")
    here = by_codes(folder, runtime())
    with losing_a_node(nodes, "pipeline.searching.codes_on_ray", capfd) as done:
        assert by_codes(folder, on_ray(nodes)) == here
    assert sorted(done) == list(range(N // PART))
    assert not list(folder.rglob("*.part"))


def test_a_search_by_codes_that_was_stopped_goes_on_after_its_last_part(
    nodes: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    write_dataset(folder, "digits")
    here = by_codes(folder, runtime())
    counts = list[int]()

    def stopping(prepare: Any, tasks: Any, count: int, run: Runtime) -> Iterator[tuple[int, Any]]:
        counts.append(count)
        for number, found in over_ray(prepare, tasks, count, run):
            if len(counts) == 1 and len(list(folder.rglob("found-*.npz"))) == 3:
                raise KeyboardInterrupt
            yield number, found

    monkeypatch.setattr("pipeline.searching.codes_on_ray.over_ray", stopping)
    with pytest.raises(KeyboardInterrupt):
        by_codes(folder, on_ray(nodes))
    (left,) = folder.rglob("*.part")
    assert len(list(left.glob("found-*.npz"))) == 3
    trained = "cluster.neighbors.compressed.search._trained"
    monkeypatch.setattr(trained, lambda *_: pytest.fail("trained again"))
    assert by_codes(folder, on_ray(nodes)) == here
    assert counts == [N // PART, N // PART - 3]
    assert not left.exists()


def test_seeds_of_k_means_are_the_same_though_a_node_is_killed(
    nodes: Cluster, folder: Path, capfd: pytest.CaptureFixture[str]
):
    clusters = write_all(folder) / CELL._replace(run="kmeans").clusters
    call(folder, "kmeans", KMEANS)
    here = clusters.read_bytes()
    clusters.unlink()
    with losing_a_node(nodes, "pipeline.ray.tasks", capfd) as done:
        call(folder, "kmeans", KMEANS, runtime=on_ray(nodes))
    assert sorted(done[:3]) == [0, 1, 2]  # and then the block of all images
    assert clusters.read_bytes() == here


def test_images_are_assigned_the_same_though_a_node_is_killed(
    nodes: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """In blocks of 32."""
    write_all(folder)
    write_dataset(folder, "more")
    call(folder, "kmeans", KMEANS)
    pair = Pair(CELL, Cell("more", "pixels"))
    monkeypatch.setattr("pipeline.fitting.assign_blocks.CHUNK_ROWS", 32)
    stages.assign.main(pair, "kmeans", runtime())
    here = pair.assigned("kmeans").read_bytes()
    pair.assigned("kmeans").unlink()
    with losing_a_node(nodes, "pipeline.ray.tasks", capfd) as done:
        stages.assign.main(pair, "kmeans", on_ray(nodes))
    assert sorted(done) == list(range(5))
    assert pair.assigned("kmeans").read_bytes() == here


def test_a_collection_is_curated_the_same_though_a_node_is_killed(
    nodes: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """While near-duplicates are looked for, in tasks of 20 images."""
    write_all(folder)
    cell, params = CELL._replace(run="curate"), stages.curate.Params(**CURATE)
    monkeypatch.setattr("pipeline.curating.on_ray.IMAGES", 20)

    def curated(run: Runtime) -> tuple[dict[str, Any], dict[str, bytes]]:
        facts = stages.curate.main(cell, params, Examples(clusters=3, images=2), run)
        paths = [cell.curated_examples, *cell.curated.parent.iterdir()]
        found = {path.name: path.read_bytes() for path in paths}
        for path in paths:
            path.unlink()
        return facts, found

    here = curated(runtime())
    assert here[0]["duplicate"] > 0
    with losing_a_node(nodes, "pipeline.curating.on_ray", capfd) as done:
        assert curated(on_ray(nodes)) == here
    assert len(done) >= 4
    assert sorted(done) == list(range(len(done)))
