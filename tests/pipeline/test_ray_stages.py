"""Stages whose seeds, clusters or blocks are tasks of a Ray cluster: the bytes of one machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustered import write_dataset
from conftest import Project, runtime
from drawn import draw
from learning import CELL, HEADS, call, outs, run_stage, write_all, written
from ray_nodes import (
    PATIENT,
    Cluster,
    losing_a_node,
    on_ray,
    quarter_of_an_hour,
    two_nodes,
)  # fmt: skip

import images
import pipeline.indexing.digests
import stages.assign
import stages.index
import store
from pipeline.io.cell import Cell, Pair, images_of
from pipeline.ray.tasks import over_ray

limit = pytest.fixture(quarter_of_an_hour, autouse=True)
nodes = pytest.fixture(two_nodes, scope="module")

KMEANS = {
    "k": (10, 7), "dims": (8,), "metric": "euclidean", "n_init": 2, "max_iter": 9, "tol": 1e-4,
    "batch": 40, "init_images": 100, "seeds": (0, 4),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("discover: {auto: k}\n")
    return write_all(tmp_path)


@pytest.mark.parametrize("name", ["scan", "selflabel", "cut", "turtle"])
def test_heads_are_those_of_one_machine(nodes: Cluster, folder: Path, name: str):
    if name == "selflabel":
        run_stage(folder, "scan", HEADS["scan"])
    facts = call(folder, name, HEADS[name])
    here = written(folder, name)
    for path in outs(folder, name):
        path.unlink()
    assert call(folder, name, HEADS[name], runtime=on_ray(nodes)) == facts
    assert written(folder, name) == here
    assert not list(folder.rglob("*.part"))


def test_heads_are_the_same_though_a_node_is_killed_while_they_learn(
    nodes: Cluster, folder: Path, capfd: pytest.CaptureFixture[str]
):
    longer = {**HEADS["temi"], "steps": 400, "seeds": (0, 4, 7)}
    call(folder, "temi", longer)
    here = written(folder, "temi")
    with losing_a_node(nodes, "pipeline.fitting.heads.on_ray", capfd) as done:
        call(folder, "temi", longer, runtime=on_ray(nodes))
    assert sorted(done) == list(range(6))
    assert written(folder, "temi") == here


def test_what_a_training_says_is_said_here(
    nodes: Cluster, folder: Path, capsys: pytest.CaptureFixture[str]
):
    run_stage(folder, "scan", HEADS["scan"])
    sure = {**HEADS["selflabel"], "threshold": 0.999999}
    capsys.readouterr()
    call(folder, "selflabel", sure)
    here = capsys.readouterr().out.splitlines()
    call(folder, "selflabel", sure, runtime=on_ray(nodes))
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(here)
    assert len([line for line in here if "no image was confident" in line]) == 4


def test_a_stage_as_a_process_finds_its_functions_on_the_cluster(nodes: Cluster, project: Project):
    write_all(project.folder)
    project.params["kmeans"] |= {"algorithm": "minibatch", "max_iter": 2, "dims": [0]}
    project.params["temi"] |= {"steps": 12, "heads": 2, "neighbors": 6, "dims": [0]}
    for name in ("kmeans", "temi"):
        project.params["runtime"] |= {"engine": "local"}
        project.stage(name, "digits", "pixels")
        clusters = project.folder / CELL._replace(run=name).clusters
        here = clusters.read_bytes()
        clusters.unlink()
        project.params["runtime"] |= {"engine": "ray", "ray_address": nodes.address}
        project.before = PATIENT
        project.stage(name, "digits", "pixels")
        assert clusters.read_bytes() == here


def test_seeds_of_k_means_are_those_of_one_machine(nodes: Cluster, folder: Path):
    clusters, found = folder / CELL._replace(run="kmeans").clusters, list[bytes]()
    for run in (runtime(), on_ray(nodes)):
        call(folder, "kmeans", {**KMEANS, "algorithm": "hierarchical"}, runtime=run)
        found.append(clusters.read_bytes())
        clusters.unlink()
    assert found[0] == found[1]


@pytest.mark.parametrize("how", ["mlp", "neighbors"])
def test_images_are_assigned_as_on_one_machine(
    nodes: Cluster, folder: Path, how: str, monkeypatch: pytest.MonkeyPatch
):
    """In blocks of 32."""
    write_dataset(folder, "more")
    if how == "mlp":
        run_stage(folder, "temi", {**HEADS["temi"], "dims": (0,)})
    else:
        spectral = {"k": (5,), "neighbors": 6, "eigenvalues": 20, "voters": 5, "n_init": 2}
        call(folder, "spectral", {**spectral, "max_iter": 30, "tol": 1e-4, "seeds": (0, 4)})
    name = {"mlp": "temi", "neighbors": "spectral"}[how]
    pair = Pair(CELL, Cell("more", "pixels"))
    monkeypatch.setattr("pipeline.fitting.assign_blocks.CHUNK_ROWS", 32)
    found = []
    for run in (runtime(), on_ray(nodes)):
        stages.assign.main(pair, name, run)
        with store.read(pair.assigned(name), "clusters") as file:
            assert file.attrs["how"] == how
            names = [f"0/{what}" for what in ("assignment", "distance", "probability", "loss")]
            found.append({name: file[name] for name in names if name in file})
        pair.assigned(name).unlink()
    assert found[0].keys() == found[1].keys()
    for key, here in found[0].items():
        if how == "mlp" and key.endswith("probability"):  # products of other numbers of rows
            np.testing.assert_allclose(found[1][key], here, rtol=1e-6)
        else:
            np.testing.assert_array_equal(found[1][key], here)


def pictures(project: Project, count: int) -> Path:
    """A folder of so many, 000.png and on."""
    root = project.folder / "pictures"
    root.mkdir()
    for i in range(count):
        draw(root / f"{i:03d}.png", seed=i)
    return root


def test_an_index_is_the_same_though_a_node_is_killed_and_what_is_known_is_not_read(
    nodes: Cluster, project: Project, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):  # fmt: skip
    root = pictures(project, 50)
    project.params["datasets"] = {"mine": {"from": "folder", "root": str(root)}}
    project.write_params()
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(pipeline.indexing.digests, "CHUNK", 4)
    monkeypatch.setattr(pipeline.indexing.digests, "TASK", 12)
    index, nowhere = images_of("mine"), runtime(engine="ray", ray_address="nowhere")
    stages.index.main("mine", runtime())
    here, seen = index.read_bytes(), index.with_suffix(".seen.h5")
    index.unlink()
    seen.unlink()
    with losing_a_node(nodes, "pipeline.indexing.digests", capfd) as done:
        stages.index.main("mine", on_ray(nodes))
    assert sorted(done) == list(range(5))
    assert index.read_bytes() == here
    (root / "050.png").write_bytes((root / "000.png").read_bytes())
    asked: list[list[str]] = []

    def counting(prepare: Any, tasks: Any, *rest: Any) -> Iterator[tuple[int, Any]]:
        each = list(tasks)
        asked.extend(names for (names,) in each)
        return over_ray(prepare, each, *rest)

    monkeypatch.setattr(pipeline.indexing.digests, "over_ray", counting)
    stages.index.main("mine", on_ray(nodes))
    assert asked == [["050.png"]]
    stages.index.main("mine", nowhere)  # all are known, so nobody is asked
    with store.read(index, "index") as file:
        assert (file["digest"][50] == file["digest"][0]).all()


def test_a_picture_that_cannot_be_read_is_named(
    nodes: Cluster, project: Project, monkeypatch: pytest.MonkeyPatch
):
    root = pictures(project, 9)
    spec = {"from": "folder", "root": str(root)}
    gone = images.list_images(spec)
    (root / "004.png").unlink()
    (project.folder / "params.yaml").touch()
    monkeypatch.chdir(project.folder)
    with pytest.raises(images.ImagesError, match=r"004\.png"):
        pipeline.indexing.digests.digests(
            spec, gone.names, project.folder / "images.seen.h5", on_ray(nodes)
        )
