"""Backbones side by side: their vectors against the formula, and what cannot be fused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import Project
from drawn import draw

import store

N, NET = 40, "resnet18_small_narrow"


@pytest.fixture
def parts(project: Project) -> Project:
    """40 pictures in two splits, and vectors of 12 and 5 dims, the second a thousand times as long;
    `both` is fused of them, with 4 components each."""
    root = project.folder / "pictures"
    for i in range(N):
        path = root / ("train/a" if i % 4 else "test/a") / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(path, seed=i, side=8)
    rng = np.random.default_rng(0)
    spec = {"from": "folder", "root": str(root), "tree": "split/class", "classes": 3}
    project.params["datasets"] = {"mine": spec}
    for name, dim, length in (("wide", 12, 1.0), ("long", 5, 1000.0)):
        np.save(project.folder / f"{name}.npy", length * (rng.normal(size=(N, dim)) + 1))
        project.params["imported"][name] = {"features": f"{name}.npy"}
    named(project, both=["wide", "long"])
    project.params["fuse"]["dims"] = 4
    project.index("mine")
    for name in ("wide", "long"):
        project.stage("import", name)
        project.stage("embed", "mine", name)
    return project


def named(project: Project, **fused: list[str]) -> None:
    params = project.params
    own = ("backbones", "resized", "imported", "adapted")
    params["embedded"] = {name: row for of in own for name, row in params[of].items()}
    params["fused"] = fused
    params["all"] = params["embedded"] | fused


def fuse(project: Project, name: str = "both", *, command: bool = False) -> str:
    said = ""
    for part in project.params["embedded"]:
        said += project.stage("fuse_part", "mine", part, name)
    return said + project.stage("fuse", "mine", name, command=command)


def plain(vectors: np.ndarray, train: np.ndarray, dims: int) -> np.ndarray:
    """E(X) = u(PCA(u(X))), in float64; [image, dims], of signs that are as they come."""
    x = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    x = x - x[train].mean(axis=0)
    _, _, components = np.linalg.svd(x[train], full_matrices=False)
    e = x @ components[:dims].T
    return e / np.linalg.norm(e, axis=1, keepdims=True)


def test_the_vectors_are_those_of_the_formula(parts: Project):
    said = fuse(parts, command=True)
    assert "fuse: 40 images, 8 dims: 4 of wide + 4 of long" in said
    found = store.Features(parts.store("mine", "both"))
    assert (found.dim, found.widths, found.dtype, found.backbone) == (8, [4, 4], "float16", "both")
    each = {name: store.Features(parts.store("mine", name)) for name in ("wide", "long")}
    for other in each.values():
        for what in ("id", "row", "split"):
            np.testing.assert_array_equal(getattr(found, what), getattr(other, what))
        assert (other.widths, found.splits) == ([other.dim], other.splits)
    train = found.split == found.splits.index("train")
    e = [plain(other.block(0, N).astype(np.float64), train, 4) for other in each.values()]
    z = np.concatenate(e, axis=1)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    own = found.block(0, N).astype(np.float64)
    np.testing.assert_allclose(own @ own.T, z @ z.T, atol=3e-3)  # cosines: signs fall out
    np.testing.assert_allclose(np.abs(own), np.abs(z), atol=1e-3)
    halves = [np.linalg.norm(half, axis=1) for half in (own[:, :4], own[:, 4:])]
    np.testing.assert_allclose(halves, 0.5**0.5, atol=1e-3)  # each part weighs alike


def test_it_is_a_backbone_as_any_other(parts: Project):
    fuse(parts)
    parts.params["kmeans"] |= {"dims": [0, 4], "n_init": 1}
    for stage in ("pca", "kmeans", "neighbors", "duplicates"):
        parts.stage(stage, "mine", "both")
    with store.read(parts.folder / "data/mine/both/clusters/kmeans.h5", "clusters") as file:
        assert file.attrs["backbone"] == "both"
    views = parts.folder / "data/mine/both/views/views.json"
    assert json.loads(views.read_text())["number"] == 0
    assert parts.metrics("fuse", "mine", "both") == {"images": N, "widths": [4, 4]}


def test_equal_parts_make_equal_bytes_and_other_parts_another_encoder(parts: Project):
    fuse(parts)
    folder = parts.store("mine", "both")
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    encoder = store.Features(folder).encoder
    fuse(parts)  # over what is there
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    shutil.rmtree(parts.folder / "data/mine/both")
    fuse(parts)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    named(parts, both=["long", "wide"])
    fuse(parts)
    assert store.Features(folder).encoder != encoder
    parts.params["fuse"]["dims"] = 3
    fuse(parts)
    assert store.Features(folder).widths == [3, 3]


def test_of_a_backbone_that_is_no_part_nothing_is_made(parts: Project):
    parts.params["imported"]["more"] = {"features": "wide.npy"}
    named(parts, both=["wide", "long"])
    parts.stage("import", "more")
    parts.stage("embed", "mine", "more")
    assert "fuse_part: there is nothing to do: more is no part of both" in fuse(parts)
    assert len(store.Features(parts.store("mine", "both"))) == N


def test_an_absent_part_makes_the_fused_one_absent(parts: Project):
    parts.params["embed"]["skip"] = {"mine": ["long"]}
    parts.stage("embed", "mine", "long")
    said = fuse(parts)
    assert "fuse: there is nothing to do: its part long: mine: left out by embed.skip" in said
    assert "nothing to do" in parts.stage("pca", "mine", "both")
    parts.params["embed"]["skip"] = {"mine": ["both"]}
    parts.stage("embed", "mine", "long")
    assert "fuse: there is nothing to do: left out by embed.skip" in fuse(parts)
    parts.params["embed"]["skip"] = {}
    assert "40 images" in fuse(parts)
    assert "hold half" in parts.stage("pca", "mine", "both")


def test_parts_of_other_images_are_refused(parts: Project):
    np.save(parts.folder / "ids.npy", np.array([f"train/a/{i:03d}.png" for i in range(N) if i % 4]))
    np.save(parts.folder / "few.npy", np.random.default_rng(1).normal(size=(30, 5)))
    parts.params["imported"]["long"] = {"features": "few.npy", "ids": "ids.npy"}
    parts.params["embed"]["unreadable"] = "skip"
    parts.stage("import", "long")
    parts.stage("embed", "mine", "long")
    for part in ("wide", "long"):
        parts.stage("fuse_part", "mine", part, "both")
    assert parts.refusal("fuse", "mine", "both", command=True) == (
        "fuse: fused.both: wide has 40 images of mine, long 30, 30 of them in both: embed or "
        "import the same images by both"
    )


def test_a_part_whose_vectors_are_equal_adds_nothing(parts: Project):
    np.save(parts.folder / "long.npy", np.ones((N, 5)))
    parts.stage("import", "long")
    parts.stage("embed", "mine", "long")
    said = fuse(parts)
    assert "fuse_part: long: 1 of 5 components, its vectors are all equal: it adds nothing" in said
    found = store.Features(parts.store("mine", "both"))
    assert found.widths == [4, 1]
    assert not found.block(0, N)[:, 4].any()


def test_fewer_components_than_are_wanted_are_taken(parts: Project):
    parts.params["fuse"]["dims"] = 256
    said = fuse(parts)
    assert "fuse_part: long: 5 of 5 components, 100.0% of the variance" in said
    assert store.Features(parts.store("mine", "both")).widths == [12, 5]


def test_components_of_two_datasets_do_not_compare(parts: Project):
    parts.params["datasets"]["other"] = parts.params["datasets"]["mine"]
    for name in ("wide", "long"):
        parts.params["imported"][name] = {"features": f"{name}.npy", "dataset": "other"}
    parts.index("other")
    for name in ("wide", "long"):
        parts.params["imported"][name] = {"features": f"{{dataset}}_{name}.npy"}
        for dataset in ("mine", "other"):
            shutil.copy(parts.folder / f"{name}.npy", parts.folder / f"{dataset}_{name}.npy")
        parts.stage("import", name)
        for dataset in ("mine", "other"):
            parts.stage("embed", dataset, name)
            parts.stage("fuse_part", dataset, name, "both")
    parts.params["kmeans"] |= {"n_init": 1, "dims": [0]}
    for dataset in ("mine", "other"):
        parts.stage("fuse", dataset, "both")
        for stage in ("pca", "kmeans", "duplicates"):
            parts.stage(stage, dataset, "both")
    line = (
        "there is nothing to do: both is fused of the principal components of each dataset, which "
        "do not compare; its parts do"
    )
    assert line in parts.stage("assign", "mine", "other", "both", "kmeans")
    assert line in parts.stage("similar", "mine", "other", "both")
    assigned = parts.folder / "data/other/both/clusters/kmeans_from_mine.h5"
    with store.read(assigned, "absent") as file:
        assert file.attrs["reason"].startswith("both is fused of")


def test_a_row_at_two_sizes_is_two_backbones_that_can_be_fused(project: Project):
    root = project.folder / "pictures"
    root.mkdir()
    for i in range(12):
        draw(root / f"{i}.png", seed=i, side=20)
    params = project.params
    params["datasets"] = {"mine": {"from": "folder", "root": str(root)}}
    params["backbones"] = {NET: {"size": 32, "dtype": "float32"}}
    params["resized"] = {"mean": {"row": NET, "sizes": [28, 40]}}
    named(project, both=[NET, "mean"])
    project.index("mine")
    assert f"backbone: {NET}@32, 128 dims of float32" in project.stage("backbone", NET)
    project.stage("backbone", "mean")
    facts = json.loads(Path(project.folder, "data/backbones/mean/backbone.json").read_text())
    assert facts["row"] == f"{NET}@28+40"
    for name in (NET, "mean"):
        assert "12 embedded, 0 reused" in project.stage("embed", "mine", name)
        assert "0 embedded, 12 reused" in project.stage("embed", "mine", name)
    found = store.Features(project.store("mine", "mean"))
    assert (found.backbone, found.dim) == ("mean", 128)
    np.testing.assert_allclose(np.linalg.norm(found.block(0, 12), axis=1), 1, atol=1e-3)
    assert store.Features(project.store("mine", NET)).dtype == "float32"
    assert "fuse: 12 images" in fuse(project)


@pytest.mark.parametrize(
    ("origin", "row", "says"),
    [
        ("backbones", {"size": 16.5}, "backbones.net.size is 16.5"),
        ("backbones", {"size": 32, "sizes": [32, 40]}, "backbones.net has size and sizes"),
        ("backbones", {"sizes": [32]}, "backbones.net.sizes is"),
        ("backbones", {"row": NET}, "backbones.net.row is not a setting"),
        ("resized", {"row": NET, "size": 8}, "expected one size in pixels, 16 or more"),
        ("resized", {"row": "pixels", "size": 32}, "pixels has no other size than 8"),
        ("resized", {"size": 32}, "resized.net has no 'row'"),
        ("resized", {"row": "resnet18_smal", "size": 32}, "did you mean resnet18_small"),
    ],
)
def test_what_cannot_be_a_size_is_refused_in_one_line(
    project: Project, origin: str, row: dict, says: str
):
    project.params[origin] = {"net": row}
    assert says in project.refusal("backbone", "net")
