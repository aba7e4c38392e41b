"""A Ray cluster of several nodes on this machine: the bytes of one machine, and a node killed."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from clustered import write_dataset
from conftest import Project, runtime
from drawn import draw
from ray_nodes import (
    NODE,
    PATIENT,
    Cluster,
    on_ray,
    quarter_of_an_hour,
    ray,
    remove,
    require_one_line,
    two_nodes,
)  # fmt: skip
from stored import contents, digests

import backbones
import stages.kmeans
import stages.neighbors
import store
from pipeline.embedding.embedder import Embedder
from pipeline.embedding.ray_embedder import RayEmbedder
from pipeline.io.cell import Cell, images_of
from pipeline.params import Runtime, StageError
from pipeline.ray.actors import Share, answer, each
from pipeline.ray.connect import connect

SHARD, BLOCK = 20, 8
ON_CORES = Share(2, 1, runtime())

limit = pytest.fixture(quarter_of_an_hour, autouse=True)
nodes = pytest.fixture(two_nodes, scope="module")


@pytest.fixture
def pictures(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of 50 small pictures of the dataset `mine`, in whose project we are."""
    root = project.folder / "pictures"
    root.mkdir()
    for i in range(50):
        draw(root / f"{i:03d}.png", seed=i)
    project.params["datasets"] = {"mine": {"from": "folder", "root": str(root), "classes": 3}}
    monkeypatch.chdir(project.folder)
    project.write_params()
    project.index("mine")
    return [f"{i:03d}.png" for i in range(50)]


def plan_of_index(keep: slice = slice(None)) -> store.Plan:
    with store.read(images_of("mine"), "index") as file:
        digest, split, splits = file["digest"], file["split"], file.attrs["splits"]
    row = backbones.row("pixels")
    plan = store.Plan("mine", row.name, row.digest, row.dim, splits, digest, np.arange(50), split)
    return plan.keep(keep)


def embed(kind: type, run: Runtime, folder: str, names: list[str], **given) -> dict[int, str]:
    """Bring a store to its plan by one of the two embedders; which images could not be read."""
    load = given.get("load", partial(backbones.load, "pixels"))
    embedder = kind(backbones.row("pixels"), "mine", np.array(names, object), run, load)
    plan = given.get("plan", plan_of_index())
    with store.FeatureWriter(Path(folder), plan, shard=SHARD, block=BLOCK) as writer:
        reasons = embedder.fill(writer, "embed")
        if not reasons:
            writer.finish()
        else:
            assert [int(plan.row[at]) for at in writer.unreadable()] == sorted(reasons)
    return reasons


def test_shards_that_a_cluster_fills_have_the_bytes_of_one_machine(
    nodes: Cluster, pictures: list[str]
):
    """Every second image was stored before: it is not embedded again."""
    embed(Embedder, runtime(), "there", pictures, plan=plan_of_index(slice(0, 50, 2)))
    seen = Path("seen").resolve()
    seen.mkdir()
    embed(RayEmbedder, on_ray(nodes), "there", pictures, load=partial(noted, seen, False))
    assert sum(images for images, _ in notes(seen)) == 25
    embed(Embedder, runtime(), "here", pictures)
    assert len(contents(Path("here"))) == 4
    assert contents(Path("there")) == contents(Path("here"))


def test_images_that_cannot_be_read_are_named_as_on_one_machine(
    nodes: Cluster, pictures: list[str], project: Project
):
    for name in ("003.png", "044.png"):
        (project.folder / "pictures" / name).write_bytes(b"no picture")
    project.index("mine")
    here = embed(Embedder, runtime(), "here", pictures)
    assert sorted(here) == [3, 44]
    assert embed(RayEmbedder, on_ray(nodes), "there", pictures) == here


def test_a_picture_that_changed_is_refused_in_one_line(
    nodes: Cluster, pictures: list[str], project: Project
):
    draw(project.folder / "pictures" / "007.png", seed=99)
    project.params["runtime"] |= {"engine": "ray", "ray_address": nodes.address}
    project.before = PATIENT
    line = project.refusal("embed", *project.embed_arguments("mine", "pixels"))
    assert "007.png changed after it was indexed" in line


def test_the_stage_runs_on_the_cluster_with_augmented_views(
    nodes: Cluster, pictures: list[str], project: Project
):
    project.params["embed"]["views"] = 1
    project.embed("mine")
    folders = [project.store("mine"), project.folder / "data/mine/pixels/views/strong-0"]
    here = [contents(folder) for folder in folders]
    for path in [path for folder in folders for path in folder.iterdir()]:
        path.unlink()
    project.params["runtime"] |= {"engine": "ray", "ray_address": nodes.address}
    project.before = PATIENT
    assert "50 embedded, 0 reused, 0 unreadable, 50 for 1" in project.embed("mine")
    assert [contents(folder) for folder in folders] == here


def test_neighbours_have_the_bytes_of_one_machine(nodes: Cluster, tmp_path: Path):
    write_dataset(tmp_path, "digits")
    params = stages.neighbors.Params(k=12, metric="cosine", exact_up_to=1000, recall=0.95,
        compress_from=1000, code_bytes=8,
    )  # fmt: skip
    found = []
    (tmp_path / "params.yaml").touch()
    for run in (runtime(), on_ray(nodes)):
        cell = Cell("digits", "pixels")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            facts = stages.neighbors.main(cell, params, run)
            found.append((facts, cell.neighbors.read_bytes()))
            cell.neighbors.unlink()
    assert found[0] == found[1]


def noted(seen: Path, sleeps: bool, device: str) -> Callable[[np.ndarray], np.ndarray]:
    """The backbone pixels that writes down, for each batch, on which node how many images it saw.

    If one `sleeps`, it is the first process that saw 12: it says so and sees no more.
    """
    pixels = backbones.load("pixels", device)
    node, alone, total = ray.get_runtime_context().get_node_id(), threading.Lock(), 0

    def encode(images: np.ndarray) -> np.ndarray:
        nonlocal total
        with alone:
            if sleeps and total >= 12:
                with suppress(FileExistsError):
                    seen.with_name("asleep").mkdir()
                    seen.with_name("asleep").joinpath(node).touch()
                    time.sleep(600)  # that is, until it is killed
            total += len(images)
            with (seen / f"{node}-{os.getpid()}").open("a") as file:
                file.write(f"{len(images)}\n")
            return pixels(images)

    return encode


def notes(seen: Path) -> list[tuple[int, str]]:
    """Images of each batch so far, and the node."""
    return [
        (int(line), path.name.partition("-")[0])
        for path in seen.iterdir()
        for line in path.read_text().split()
    ]


def test_a_node_killed_while_it_embeds_loses_nothing(
    nodes: Cluster, pictures: list[str], capfd: pytest.CaptureFixture[str]
):
    embed(Embedder, runtime(), "here", pictures)
    seen, asleep = Path("seen").resolve(), Path("asleep").resolve()
    seen.mkdir()
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.1):
            if asleep.exists() and (node := os.listdir(asleep)):
                remove(nodes, *node)
                return

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        load = partial(noted, seen, True)
        embed(RayEmbedder, on_ray(nodes, batch_size=4), "there", pictures, load=load)
    finally:
        over.set()
        thread.join()
    require_one_line(capfd)
    nodes.add_node(num_cpus=1, **NODE)
    assert contents(Path("there")) == contents(Path("here"))
    [killed] = os.listdir(asleep)
    there = sum(count for count, node in notes(seen) if node == killed)
    elsewhere = sum(count for count, node in notes(seen) if node != killed)
    assert there == 12  # in the middle of its shard
    assert 38 <= elsewhere <= 50  # what was not on the disk yet was embedded again


class Deadly:
    """An actor that dies of the task 3."""

    def run(self, task: int) -> int:
        if task == 3:
            os._exit(1)
        return task


def test_a_task_that_kills_every_actor_ends_the_run(
    nodes: Cluster, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pipeline.ray.actors.RESTARTS", 1)
    with pytest.raises(StageError, match="a Ray actor died 2 times: look for what killed it"):
        list(each(ON_CORES, Deadly, (), [(task,) for task in range(5)], 5))


def test_a_raylet_that_is_gone_on_the_machine_that_asks_is_said(monkeypatch: pytest.MonkeyPatch):
    def get(_: object) -> None:
        raise ray.exceptions.RayActorError(
            error_msg="The actor is dead because its owner has died."
        )

    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(StageError, match="Ray has stopped on this machine"):
        answer(None)


CLOUDS = Cell("clouds", "pixels", "kmeans")


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 90,000 images, two parts of train and some of test, and what k-means reads."""
    folder, n, dim = tmp_path_factory.mktemp("clouds"), 90_000, 8
    generator = np.random.default_rng(0)
    x = (
        60
        + generator.normal(size=(n, dim))
        + 3 * generator.normal(size=(12, dim))[np.arange(n) % 12]
    )
    split = (np.arange(n) % 10 == 0).astype(np.uint8)
    of = {"dataset": "clouds", "splits": ["train", "test"]}
    row = backbones.row("pixels")
    plan = store.Plan(
        **of, backbone=row.name, encoder=row.digest, dim=dim,
        id=digests(range(n)), row=np.arange(n), split=split,
    )  # fmt: skip
    with store.FeatureWriter(folder / CLOUDS.features, plan) as writer:
        writer.put(np.arange(n), x.astype(np.float32))
        writer.finish()
    basis = {"mean": x.mean(0), "components": np.eye(dim), "variance": np.ones(dim)}
    said = {"dataset": "clouds", "backbone": "pixels", "images": n}
    store.save(folder / CLOUDS.pca, "pca", basis, {**said, "normalize": False, "whiten": False})
    names = np.array([f"{i}" for i in range(n)], object)
    arrays = {"name": names, "digest": plan.id, "split": split}
    store.save(folder / CLOUDS.images, "index", arrays, {**of, "n_classes": 12})
    (folder / "params.yaml").touch()
    return folder


KMEANS = {
    "k": [9, 2], "dims": [5], "metric": "euclidean", "algorithm": "lloyd", "n_init": 1,
    "max_iter": 30, "tol": 0.0, "batch": 1024, "init_images": 5000, "seeds": [0, 1],
}  # fmt: skip


def cluster_clouds(folder: Path, run: Runtime) -> bytes:
    params = stages.kmeans.Params.model_validate_json(json.dumps(KMEANS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        stages.kmeans.main(CLOUDS, params, run)
        found = CLOUDS.clusters.read_bytes()
        CLOUDS.clusters.unlink()
        return found


def test_clusters_are_those_of_one_machine_though_a_node_is_killed(
    nodes: Cluster,
    clouds: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    here = cluster_clouds(clouds, runtime())
    moves: list[int] = []

    @contextmanager
    def watched(*_: object) -> Iterator[Callable[[int], None]]:
        def progress(moved: int) -> None:
            moves.append(moved)
            if len(moves) == 4:
                remove(nodes, min(node.node_id for node in nodes.worker_nodes))

        yield progress

    monkeypatch.setattr("stages.kmeans.passes", watched)
    there = cluster_clouds(clouds, on_ray(nodes))
    require_one_line(capfd)
    assert moves[3] > 0  # it was not at its end
    assert there == here


@pytest.fixture
def closed() -> Iterator[str]:
    """An address at which nobody listens, nor can while the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_wrong_address_is_one_line_in_seconds(
    project: Project, closed: str, monkeypatch: pytest.MonkeyPatch
):
    project.index("digits")
    project.params["runtime"] |= {"engine": "ray", "ray_address": closed}
    line = project.refusal("embed", *project.embed_arguments("digits", "pixels"), command=True)
    says = f"runtime.ray_address is {closed}: no Ray cluster answers there (Connection refused)"
    assert says in line
    # Neither of these, which take their time, is asked
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("ray.init"))
    monkeypatch.setattr("pipeline.ray.connect.subprocess.run", lambda *_, **__: pytest.fail("run"))
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(StageError, match="Connection refused"):
        connect(runtime(engine="ray", ray_address=closed))


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:99999", ":6379", "ray://10.0.0.1:10001"])
def test_what_is_no_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(StageError, match="expected auto, local or HOST:PORT"):
        connect(runtime(engine="ray", ray_address=address))


def test_a_port_at_which_something_else_listens_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipeline.ray.connect.HEALTH", 0.5)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StageError, match=f"127.0.0.1:{port}: .* something else does"):
            connect(runtime(engine="ray", ray_address=f"127.0.0.1:{port}"))


def test_without_ray_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(StageError, match=r"Ray is not installed: pip install ray==2\.60\.0"):
        connect(runtime(engine="ray"))
