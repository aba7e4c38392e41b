"""Augmented views beside the centre view: how many are asked for, the same bytes for ever."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import killed
import numpy as np
import pytest
from conftest import Project, runtime
from PIL import Image

import backbones
import images
import images.augment
import pipeline.params
import store
from images.augment import augment
from pipeline.embedding.views import open_views
from pipeline.io.cell import Cell
from stages.embed import Params
from stages.embed import main as embed
from stages.index import main as index

Embed = Callable[..., str]
IMAGES = 40


@pytest.fixture
def pictures(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small pictures, the first two the same, in a folder that the project knows as `mine`."""
    root = project.folder / "pictures"
    root.mkdir()
    for i in range(IMAGES):
        draw(root / f"{i:03d}.png", seed=max(i, 1))
    project.params["datasets"] = {"mine": {"from": "folder", "root": str(root)}}
    monkeypatch.chdir(project.folder)
    reindex(project)
    return root


def draw(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def reindex(project: Project) -> None:
    project.write_params()
    index("mine", runtime())


@pytest.fixture
def facts() -> dict[str, Any]:
    """What the stage said of itself, at last."""
    return {}


@pytest.fixture
def run(
    project: Project, pictures: Path, facts: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> Embed:
    """The stage, in this process; what it printed. Settings are those of params.yaml but these."""

    def run(workers: int = 2, **settings: object) -> str:
        project.backbone("pixels")
        params = Params(**{**project.params["embed"], **settings})
        runtime = pipeline.params.Runtime(**{**project.params["runtime"], "workers": workers})
        facts.update(embed(Cell("mine", "pixels"), params, runtime))
        return capsys.readouterr().out

    return run


@pytest.fixture
def folder(project: Project) -> Path:
    return project.folder / "data/mine/pixels/views"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_no_views_leave_a_folder_that_says_so(project: Project, run: Embed, folder: Path):
    said = run(views=0)
    assert names(folder) == ["views.json"]
    assert open_views(folder, store.Features(project.store("mine"))) == []
    assert "views" not in said


def test_a_view_is_a_store_of_the_same_images_as_the_centre(
    project: Project, run: Embed, folder: Path, facts: dict[str, Any]
):
    said = run(views=2)
    assert f"{IMAGES} embedded, 0 reused, 0 unreadable, {2 * IMAGES} for 2 augmented views" in said
    assert (facts["embedded"], facts["views"], facts["views_embedded"]) == (40, 2, 80)
    assert names(folder) == ["strong-0", "strong-1", "views.json"]
    centre = store.Features(project.store("mine"))
    views = open_views(folder, centre)
    for view in views:
        np.testing.assert_array_equal(view.row, centre.row)
        np.testing.assert_array_equal(view.id, centre.id)
        np.testing.assert_array_equal(view.split, centre.split)
        assert (view.dataset, view.backbone, view.dim) == ("mine", "pixels", centre.dim)
    both = [view.block(0, IMAGES) for view in views]
    assert not (both[0] == both[1]).all(axis=1).any()
    assert not (both[0] == centre.block(0, IMAGES)).all(axis=1).any()


def test_a_vector_is_that_of_the_augmented_picture(run: Embed, folder: Path, pictures: Path):
    run(views=2, augment="weak")
    raw = (pictures / "007.png").read_bytes()
    picture = augment(images.decode(raw), "weak", images.digest(raw), 1)
    row = backbones.row("pixels")
    (expected,) = backbones.load("pixels")(backbones.preprocess(row, picture)[np.newaxis])
    (found,) = store.Features(folder / "weak-1").take(np.array([7]))
    np.testing.assert_array_equal(found, expected.astype(np.float16))


def test_equal_pictures_have_equal_views(run: Embed, folder: Path):
    run(views=1)
    first, second, third = store.Features(folder / "strong-0").block(0, 3)
    np.testing.assert_array_equal(first, second)
    assert (first != third).any()


def test_workers_change_no_byte(run: Embed, folder: Path):
    run(views=2, workers=1)
    found = contents(folder)
    shutil.rmtree(folder)
    run(views=2, workers=5)
    assert contents(folder) == found


def test_what_an_image_gets_does_not_depend_on_the_others(
    project: Project, run: Embed, folder: Path, pictures: Path
):
    run(views=1)
    before = store.Features(folder / "strong-0").block(0, IMAGES)
    shutil.rmtree(folder)
    for i in range(0, IMAGES, 2):
        (pictures / f"{i:03d}.png").unlink()
    reindex(project)
    run(views=1)
    np.testing.assert_array_equal(
        store.Features(folder / "strong-0").block(0, IMAGES // 2), before[1::2]
    )


def test_another_view_is_added_and_one_that_is_not_asked_for_is_removed(run: Embed, folder: Path):
    run(views=2)
    two = contents(folder)
    assert "0 embedded, 40 reused, 0 unreadable, 0 for 1 augmented views" in run(views=1)
    one = contents(folder)
    assert names(folder) == ["strong-0", "views.json"]
    assert "40 for 2 augmented views" in run(views=2)
    assert contents(folder) == two
    shutil.rmtree(folder)
    run(views=1)
    assert contents(folder) == one
    run(views=0)
    assert names(folder) == ["views.json"]


def test_the_other_augmentation_takes_the_place_of_the_first(run: Embed, folder: Path):
    run(views=1, augment="strong")
    strong = store.Features(folder / "strong-0").block(0, IMAGES)
    (folder / "notes").mkdir()  # of somebody else
    run(views=1, augment="weak")
    assert names(folder) == ["notes", "views.json", "weak-0"]
    assert (store.Features(folder / "weak-0").block(0, IMAGES) != strong).any(axis=1).all()


def test_old_views_stay_until_the_new_ones_are_whole(
    run: Embed, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    run(views=1, augment="strong")
    monkeypatch.setattr(images.augment, "augment", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(views=1, augment="weak")
    assert len(store.Features(folder / "strong-0")) == IMAGES
    assert json.loads((folder / "views.json").read_text()) == {"augment": "strong", "number": 1}


def test_a_kill_in_the_middle_of_a_view_ends_in_the_bytes_of_an_undisturbed_run(
    project: Project, run: Embed, folder: Path
):
    project.params["embed"]["views"] = 2
    run()
    undisturbed = contents(folder)
    shutil.rmtree(folder)
    project.params["runtime"]["workers"] = 1
    project.params["runtime"]["batch_size"] = 16
    before = killed.first("""
import store
die_after(store.FeatureWriter, "put", 2, lambda writer: writer.folder.name == "strong-1")
""")
    process = project.start("embed", *project.embed_arguments("mine", "pixels"), before=before)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert list(folder.glob("strong-1/*.part"))
    assert "views.json" not in names(folder)
    assert "40 for 2 augmented views" in run()  # the first view is reused
    assert contents(folder) == undisturbed


def test_a_stopped_view_goes_on_where_it_was(
    project: Project, run: Embed, folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    for i in range(IMAGES, 300):
        draw(pictures / f"{i:03d}.png", seed=i)
    reindex(project)
    run(views=2)
    undisturbed = contents(folder)
    shutil.rmtree(folder)

    def stopping(picture: Image.Image, name: str, digest: bytes, view: int) -> Image.Image:
        if view == 1 and digest == images.digest((pictures / "299.png").read_bytes()):
            raise KeyboardInterrupt
        return augment(picture, name, digest, view)

    monkeypatch.setattr(images.augment, "augment", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(views=2)
    monkeypatch.setattr(images.augment, "augment", augment)
    assert "44 for 2 augmented views" in run(views=2)  # a block of 256 was whole
    assert contents(folder) == undisturbed


def test_added_images_are_all_that_is_embedded(
    project: Project, run: Embed, folder: Path, pictures: Path
):
    run(views=2)
    for i in range(5):
        draw(pictures / f"{i:03d}-new.png", seed=1000 + i)
    reindex(project)
    assert "5 embedded, 40 reused, 0 unreadable, 10 for 2 augmented views" in run(views=2)
    grown = contents(folder)
    shutil.rmtree(folder)
    run(views=2)
    assert contents(folder) == grown


def test_images_that_cannot_be_read_are_in_no_view(
    project: Project, run: Embed, folder: Path, pictures: Path
):
    (pictures / "005.png").write_text("no picture")
    reindex(project)
    with pytest.raises(pipeline.params.StageError, match=r"005\.png"):
        run(views=1, unreadable="error")
    assert not folder.exists()
    run(views=1, unreadable="skip")
    (view,) = open_views(folder, store.Features(project.store("mine")))
    assert len(view) == IMAGES - 1
    assert 5 not in view.row.tolist()


def test_pictures_that_went_away_give_no_new_view_and_keep_the_old(
    run: Embed, folder: Path, pictures: Path
):
    run(views=1)
    before = contents(folder)
    (pictures / "007.png").unlink()
    run(views=1)  # nothing is missing, so nothing is read
    with pytest.raises(
        pipeline.params.StageError, match=r"strong-1: 1 of 40 images .*embed\.views: 0"
    ):
        run(views=2)
    left = contents(folder)
    assert {name: left[name] for name in before} == before


def test_views_of_other_images_are_refused(
    project: Project, run: Embed, folder: Path, pictures: Path
):
    run(views=1)
    (pictures / "007.png").unlink()
    reindex(project)
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    run(views=1)
    with pytest.raises(pipeline.params.StageError, match="is of other images"):
        open_views(elsewhere, store.Features(project.store("mine")))


def test_a_large_photograph_is_shrunk_before_it_is_augmented(
    project: Project, run: Embed, folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    sizes = set()

    def looking(picture: Image.Image, *how: object) -> Image.Image:
        sizes.add(picture.size)
        return picture

    monkeypatch.setattr(images.augment, "augment", looking)
    Image.new("RGB", (900, 600), "red").save(pictures / "large.png")
    reindex(project)
    run(views=1)
    assert sizes == {(12, 9), (24, 16)}  # `pixels` resizes to 8


@pytest.mark.parametrize(("key", "value"), [("views", -1), ("augment", "stronger")])
def test_a_wrong_setting_is_named(project: Project, key: str, value: object, monkeypatch):
    project.params["embed"][key] = value
    project.write_params()
    monkeypatch.chdir(project.folder)
    with pytest.raises(pipeline.params.StageError, match=f"embed.{key} is {value!r}"):
        pipeline.params.section(Params, "embed")
