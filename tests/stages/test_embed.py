"""The embed stage as a user meets it: own pictures, kills, additions, broken files."""

import csv
import random
import signal
from pathlib import Path

import h5py
import killed
import numpy as np
import pytest
from conftest import Project
from drawn import draw
from PIL import Image

import store


@pytest.fixture
def pictures(project: Project) -> Path:
    """40 small pictures in a folder that the project knows as `mine`."""
    root = project.folder / "pictures"
    root.mkdir()
    for i in range(40):
        draw(root / f"{i:03d}.png", seed=i)
    project.params["datasets"] = {"mine": {"from": "folder", "root": str(root), "classes": 3}}
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_image_becomes_its_row_in_index_order(project: Project, pictures: Path):
    project.index("mine", command=True)
    project.embed("mine", command=True)
    found = store.Features(project.store("mine"))
    first = np.asarray(Image.open(pictures / "000.png").resize((8, 8), Image.Resampling.BILINEAR))
    assert len(found) == 40
    np.testing.assert_allclose(found.block(0, 1)[0], first.ravel() / 255, atol=2e-3)
    assert found.row.tolist() == list(range(40))


def test_any_hdf5_tool_sees_one_array(project: Project, pictures: Path):
    project.index("mine")
    project.embed("mine")
    with h5py.File(project.store("mine") / "features.h5") as file:
        assert file["features"].shape == (40, 192)
        np.testing.assert_array_equal(
            file["features"][:], store.Features(project.store("mine")).block(0, 40)
        )


def test_adding_20_images_embeds_20(project: Project, pictures: Path):
    project.index("mine")
    project.embed("mine")
    for i in range(20):
        draw(pictures / f"new-{i}.png", seed=1000 + i)  # sorted behind the others
        draw(pictures / f"000-{i}.png", seed=1000 + i)  # the same bytes, between the others
    for i in range(20):
        (pictures / f"000-{i}.png").unlink()
    project.index("mine")
    assert "20 embedded, 40 reused" in project.embed("mine")
    assert project.metrics("embed", "mine")["embedded"] == 20


def test_a_store_that_grew_has_the_bytes_of_one_made_at_once(project: Project, pictures: Path):
    project.index("mine")
    project.embed("mine")
    draw(pictures / "0001.png", seed=77)
    (pictures / "003.png").unlink()
    project.index("mine")
    project.embed("mine")
    grown = contents(project.store("mine"))
    for path in project.store("mine").iterdir():
        path.unlink()
    project.embed("mine")
    assert contents(project.store("mine")) == grown


def test_workers_change_no_byte(project: Project, pictures: Path):
    project.index("mine")
    found = []
    for workers in (1, 5):
        project.params["runtime"]["workers"] = workers
        project.embed("mine", command=workers == 5)
        found.append(contents(project.store("mine")))
        for path in project.store("mine").iterdir():
            path.unlink()
    assert found[0] == found[1]


def counted(call: int, halves: bool) -> str:
    """To have the stage sync at each step, die before a call, and print how many calls it made."""
    return killed.first(f"""
import atexit, store.writer
store.writer.SECONDS_BETWEEN_SYNCS = 0.0
made = die_before({call}, halves={halves})
atexit.register(lambda: print("calls", made()))
""")


def test_ten_kills_end_with_the_bytes_of_an_undisturbed_run(project: Project, pictures: Path):
    for i in range(40, 700):
        draw(pictures / f"{i:03d}.png", seed=i)
    project.params["runtime"] |= {"workers": 1, "batch_size": 16}
    project.index("mine")
    wanted = project.embed_arguments("mine", "pixels")

    def attempt(call: int) -> int | None:
        """Embed and die before that call, or amid it; how many calls there were if it ended."""
        before = counted(call, halves=dice.random() < 0.5)
        process = project.start("embed", *wanted, before=before)
        said, error = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), error
        return int(said.split()[-1]) if process.returncode == 0 else None

    dice, kills, resumed = random.Random(0), 0, 0
    calls = attempt(killed.EVER)
    undisturbed = contents(project.store("mine"))
    assert calls is not None
    assert calls > 60
    for path in project.store("mine").iterdir():
        path.unlink()
    while kills < 10:
        if attempt(dice.randrange(calls // 2)) is None:
            kills += 1
            continue
        assert contents(project.store("mine")) == undisturbed
        resumed += 1
        for path in project.store("mine").iterdir():
            path.unlink()
    project.embed("mine")
    assert contents(project.store("mine")) == undisturbed
    assert resumed  # or no kill came so late that the next run had something to go on with


def spoil(pictures: Path) -> None:
    (pictures / "005.png").write_bytes((pictures / "005.png").read_bytes()[:200])
    (pictures / "007.png").write_bytes(b"")
    (pictures / "009.jpg").write_text("no picture")


def test_unreadable_images_are_listed_and_the_others_kept(project: Project, pictures: Path):
    spoil(pictures)
    project.index("mine")
    process = project.start("embed", *project.embed_arguments("mine", "pixels"))
    _, error = process.communicate()
    assert process.returncode == 1
    last = error.strip().splitlines()[-1]
    assert "3 of 41 images cannot be read, the first is 005.png" in last
    with (project.folder / "metrics/mine/pixels/unreadable.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["005.png", "007.png", "009.jpg"]
    for name, seed in (("005.png", 5), ("007.png", 7)):  # the user mends them
        draw(pictures / name, seed)
    (pictures / "009.jpg").unlink()
    project.index("mine")
    project.embed("mine")
    assert len(store.Features(project.store("mine"))) == 40


def test_skipped_images_leave_the_others_in_their_rows(project: Project, pictures: Path):
    spoil(pictures)
    project.params["embed"]["unreadable"] = "skip"
    project.index("mine")
    assert "3 unreadable" in project.embed("mine")
    found = store.Features(project.store("mine"))
    assert len(found) == 38
    assert {5, 7, 9}.isdisjoint(found.row.tolist())
    assert sorted(found.row.tolist()) == found.row.tolist()
    before = contents(project.store("mine"))
    project.embed("mine")
    assert contents(project.store("mine")) == before


def test_an_image_that_changed_after_the_index_is_refused(project: Project, pictures: Path):
    project.index("mine")
    draw(pictures / "011.png", seed=999)
    line = project.refusal("embed", *project.embed_arguments("mine", "pixels"))
    assert line == "embed: 011.png changed after it was indexed: run `dvc repro` again"


def test_an_unknown_backbone_is_refused_with_a_close_name(project: Project, pictures: Path):
    project.index("mine")
    project.params["backbones"]["pixel"] = {}
    assert "did you mean pixels" in project.refusal("backbone", "pixel", command=True)
    line = project.refusal("embed", "mine", "pixel", command=True)
    assert line.startswith("embed: params.yaml: no pixel under backbones:, imported: or adapted:")
    assert line.endswith("did you mean 'pixels'?")


def test_an_empty_folder_is_refused(project: Project, pictures: Path):
    for path in pictures.iterdir():
        path.unlink()
    assert "no image in" in project.refusal("index", "mine")


def test_a_read_only_output_is_refused_and_nothing_is_lost(project: Project, pictures: Path):
    project.index("mine")
    (file := project.folder / "data/mine/pixels").write_text("a file where the folder should be")
    line = project.refusal("embed", *project.embed_arguments("mine", "pixels"))
    assert "data/mine/pixels" in line
    assert file.read_text() == "a file where the folder should be"


def test_a_flipped_byte_is_refused_and_only_its_block_embedded_anew(
    project: Project, pictures: Path
):
    project.index("mine")
    project.embed("mine")
    sound = contents(project.store("mine"))
    shard = project.store("mine") / "shard-00000.h5"
    with h5py.File(shard) as file:
        at = file["features"].id.get_offset() + 1000
    data = bytearray(shard.read_bytes())
    data[at] ^= 1
    shard.write_bytes(data)
    line = project.refusal("pca", "mine", "pixels")
    assert "shard-00000.h5: rows 0 to 39 are damaged" in line
    project.embed("mine")
    assert contents(project.store("mine")) == sound


def test_pictures_that_went_away_leave_what_was_computed(project: Project, pictures: Path):
    project.index("mine")
    pictures.rename(pictures.with_name("elsewhere"))
    assert "pictures is not here" in project.index("mine")
    assert (project.folder / "data/mine/images.h5").exists()
