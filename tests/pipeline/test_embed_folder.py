"""A folder of pictures, embedded from Python: the same store as that of the stages."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from conftest import PARAMS, Project
from drawn import draw

import images
from pipeline.embedding.folder import embed_folder
from pipeline.params import StageError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "photos/deep").mkdir(parents=True)
    for seed, name in enumerate(["b.png", "a.png", "deep/c.png"]):
        draw(tmp_path / "photos" / name, seed)
    return tmp_path / "photos"


def test_a_folder_is_embedded_once(pictures: Path, tmp_path: Path):
    first = embed_folder(pictures, "pixels", tmp_path / "out")
    assert first.names.tolist() == ["a.png", "b.png", "deep/c.png"]
    assert (first.new, first.unreadable, len(first.features)) == (3, {}, 3)
    again = embed_folder(pictures, "pixels", tmp_path / "out")
    assert again.new == 0
    np.testing.assert_array_equal(again.features.block(0, 3), first.features.block(0, 3))


def test_a_row_may_be_asked_for_at_another_size(pictures: Path, tmp_path: Path):
    found = embed_folder(pictures, "resnet18_small_narrow@40", tmp_path / "out").features
    assert (found.backbone, found.dim, len(found)) == ("resnet18_small_narrow@40", 128, 3)
    other = embed_folder(pictures, "resnet18_small_narrow", tmp_path / "out").features
    assert not np.array_equal(found.block(0, 3), other.block(0, 3))


def test_only_new_pictures_are_embedded_and_renamed_ones_are_known(pictures: Path, tmp_path: Path):
    first = embed_folder(pictures, "pixels", tmp_path / "out").features.block(0, 3)
    (pictures / "b.png").rename(pictures / "z.png")
    draw(pictures / "new.png", 9)
    found = embed_folder(pictures, "pixels", tmp_path / "out")
    assert found.names.tolist() == ["a.png", "deep/c.png", "new.png", "z.png"]
    assert found.new == 1
    np.testing.assert_array_equal(found.features.take(np.array([0, 3, 1])), first)


def test_pictures_that_cannot_be_read_are_left_out_and_named(pictures: Path, tmp_path: Path):
    (pictures / "b.png").write_bytes(b"no picture")
    found = embed_folder(pictures, "pixels", tmp_path / "out")
    assert found.names.tolist() == ["a.png", "deep/c.png"]
    assert found.new == 2
    assert list(found.unreadable) == ["b.png"]
    assert "no image" in found.unreadable["b.png"]
    assert embed_folder(pictures, "pixels", tmp_path / "out").new == 0


def test_a_folder_without_a_picture_that_can_be_read_is_refused(tmp_path: Path):
    with pytest.raises(images.ImagesError, match="does not exist"):
        embed_folder(tmp_path / "photos", "pixels", tmp_path / "out")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(b"no picture")
    with pytest.raises(StageError, match=r"none of the 1 pictures .* a\.png"):
        embed_folder(tmp_path / "photos", "pixels", tmp_path / "out")


def test_the_files_are_those_of_the_stages(pictures: Path, project: Project):
    found = embed_folder(pictures, "pixels", project.folder / "out")
    project.params["datasets"] = {"photos": {"from": "folder", "root": str(pictures)}}
    project.index("photos")
    project.embed("photos")
    for path in project.store("photos").glob("*.h5"):
        assert path.read_bytes() == (found.features.path / path.name).read_bytes()
    index = project.folder / "out/images.h5"
    assert index.read_bytes() == (project.folder / "data/photos/images.h5").read_bytes()


def test_how_it_runs_is_what_params_yaml_says():
    wanted = inspect.signature(embed_folder).parameters
    for name in ("device", "batch_size", "workers"):
        assert wanted[name].default == PARAMS["runtime"][name]
