"""Several backbones shown each picture once: the same stores, and none harmed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Project, runtime
from PIL import Image
from test_views import draw, reindex

import backbones
import images
from backbones import BackboneError
from pipeline.io.cell import Cell
from stages.embed import Params
from stages.embed import main as embed

Embed = Callable[..., str]
IMAGES, PIXELS, SMALL = 300, "pixels", "resnet18_small_narrow"  # so a block of 256, and a part


@pytest.fixture
def pictures(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small pictures in a folder that the project knows as `mine`, for two backbones."""
    root = project.folder / "pictures"
    root.mkdir()
    for i in range(IMAGES):
        draw(root / f"{i:03d}.png", seed=i)
    project.params["datasets"] = {"mine": {"from": "folder", "root": str(root)}}
    project.params["backbones"] = {SMALL: {}, PIXELS: {}}
    monkeypatch.chdir(project.folder)
    reindex(project)
    return root


@pytest.fixture
def run(project: Project, pictures: Path, capsys: pytest.CaptureFixture[str]) -> Embed:
    """The stage, in this process, for `share` backbones at once; what it printed."""

    def run(backbone: str, share: int = 1, **settings: object) -> str:
        project.backbone(backbone)
        params = Params(**{**project.params["embed"], **settings})
        embed(Cell("mine", backbone), params, runtime(share_decoding=share))
        return capsys.readouterr().out

    return run


@pytest.fixture
def apart(project: Project, run: Embed) -> dict[str, dict[str, bytes]]:
    """The stores of both, each embedded by itself; none of it is left."""
    for name in (PIXELS, SMALL):
        run(name)
    found = {name: contents(project, name) for name in (PIXELS, SMALL)}
    for name in found:
        shutil.rmtree(project.store("mine", name))
    return found


def contents(project: Project, backbone: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in project.store("mine", backbone).iterdir()}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bytes of every picture that is decoded."""
    seen, decode = list[bytes](), images.decode

    def counting(raw: bytes) -> Image.Image:
        seen.append(raw)
        return decode(raw)

    monkeypatch.setattr(images, "decode", counting)
    return seen


def test_two_backbones_decode_each_picture_once_and_store_what_they_would_alone(
    project: Project, run: Embed, apart: dict[str, dict[str, bytes]], decoded: list[bytes]
):
    assert f"{IMAGES} pictures were shown to {SMALL} too" in run(PIXELS, share=2)
    assert "0 embedded" in run(SMALL, share=2)
    assert len(decoded) == len(set(decoded)) == IMAGES
    assert {name: contents(project, name) for name in (PIXELS, SMALL)} == apart


def test_what_was_shared_before_a_stop_is_kept(
    project: Project,
    run: Embed,
    apart: dict[str, dict[str, bytes]],
    decoded: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
):
    counting = images.decode

    def stopping(raw: bytes) -> Image.Image:
        if len(decoded) == IMAGES - 1:
            raise KeyboardInterrupt
        return counting(raw)

    monkeypatch.setattr(images, "decode", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(PIXELS, share=2)
    monkeypatch.setattr(images, "decode", counting)
    assert "44 embedded, 256 reused" in run(SMALL)  # a block of 256 was whole
    run(PIXELS)
    assert {name: contents(project, name) for name in (PIXELS, SMALL)} == apart


def test_a_store_that_is_whole_is_left_as_it_is(project: Project, run: Embed, pictures: Path):
    (pictures / "007.png").write_bytes(b"no picture")
    reindex(project)
    run(SMALL, unreadable="skip")
    before = contents(project, SMALL)
    assert "shown" not in run(PIXELS, share=2, unreadable="skip")
    assert contents(project, SMALL) == before


def test_files_that_are_linked_to_a_cache_are_not_written_through(
    project: Project, run: Embed, pictures: Path
):
    run(SMALL)
    run(PIXELS)
    cache, folder = project.folder / "cache", project.store("mine", SMALL)
    shutil.copytree(folder, cache)
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    for path in folder.iterdir():
        path.unlink()
        os.link(cache / path.name, path)
    for i in range(3):
        draw(pictures / f"0-{i}.png", seed=1000 + i)
    reindex(project)
    assert "3 pictures were shown" in run(PIXELS, share=2)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert f"0 embedded, {IMAGES + 3} reused" in run(SMALL)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before


def test_pictures_of_which_half_a_block_is_there_are_not_embedded_in_vain(
    project: Project, run: Embed, pictures: Path
):
    run(PIXELS)
    draw(pictures / "0-0.png", seed=1000)
    reindex(project)
    assert "shown" not in run(PIXELS, share=2)


def test_a_picture_that_cannot_be_read_is_left_to_both(
    project: Project, run: Embed, pictures: Path
):
    (pictures / "270.png").write_bytes(b"no picture")
    reindex(project)
    run(PIXELS, share=2, unreadable="skip")
    assert f"1 embedded, {IMAGES - 1} reused, 1 unreadable" in run(SMALL, unreadable="skip")
    shared = contents(project, SMALL)
    shutil.rmtree(project.store("mine", SMALL))
    run(SMALL, unreadable="skip")
    assert contents(project, SMALL) == shared


def test_a_backbone_that_fails_is_left_to_its_own_stage(
    project: Project, run: Embed, monkeypatch: pytest.MonkeyPatch
):
    load = backbones.load

    def failing(name: str, device: str = "cpu") -> backbones.Encoder:
        if name == SMALL:
            raise BackboneError(f"{name}: no weights")
        return load(name, device)

    monkeypatch.setattr(backbones, "load", failing)
    said = run(PIXELS, share=2)
    assert f"{SMALL} does not share the pictures, its own stage will have to run: {SMALL}" in said
    assert f"{IMAGES} embedded" in said


def test_features_that_are_no_numbers_are_left_to_the_stage_that_names_the_picture(
    project: Project, run: Embed, monkeypatch: pytest.MonkeyPatch
):
    load = backbones.load

    def infinite(name: str, device: str = "cpu") -> backbones.Encoder:
        encode = load(name, device)
        return (lambda seen: np.full_like(encode(seen), np.nan)) if name == SMALL else encode

    monkeypatch.setattr(backbones, "load", infinite)
    said = run(PIXELS, share=2)
    assert "features are not finite" in said
    assert f"{IMAGES} embedded" in said
