"""The embed stage as a user meets it: own pictures, kills, additions, broken files."""

import csv
import os
import random
import shutil
import signal
from pathlib import Path

import h5py
import killed
import numpy as np
import pytest
import yaml
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
    assert line.startswith(
        "embed: params.yaml: no pixel under backbones:, resized:, imported:, adapted: or fused:"
    )
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


def noted(project: Project, stage: str, key: str, value: object) -> None:
    """What DVC notes once a stage has ended well."""
    lock = {"stages": {stage: {"params": {"params.yaml": {key: value}}}}}
    (project.folder / "dvc.lock").write_text(yaml.safe_dump(lock))


def test_pictures_that_are_not_here_are_kept_under_the_same_settings_only(
    project: Project, pictures: Path
):
    project.index("mine")
    spec = project.params["datasets"]["mine"]
    noted(project, "index@mine", "datasets.mine", dict(spec))
    before = contents(project.folder / "data/mine")
    pictures.rename(pictures.with_name("elsewhere"))
    said = project.index("mine")
    assert said == f"index: {pictures} is not here; data/mine/images.h5 stays as it is\n"
    for slip in ({"root": f"{pictures}s"}, {"part": 0.5}, {"exclude": ["0*"]}):
        project.params["datasets"]["mine"] = {**spec, **slip}
        line = project.refusal("index", "mine")
        assert line.endswith(
            "is not here, and datasets.mine has changed since data/mine/images.h5 was made: "
            "correct it, or run where the files are"
        )
    assert contents(project.folder / "data/mine") == before
    project.params["datasets"]["mine"] = {**spec, "root": str(pictures.with_name("elsewhere"))}
    assert "40 images" in project.index("mine")  # moved
    assert contents(project.folder / "data/mine")["images.h5"] == before["images.h5"]


def test_a_dataset_of_vectors_is_kept_under_the_same_settings_only(project: Project):
    np.save(project.folder / "ids.npy", np.array(["a", "b", "c"]))
    spec = {"from": "vectors", "ids": "ids.npy"}
    project.params["datasets"] = {"mine": spec}
    project.index("mine")
    noted(project, "index@mine", "datasets.mine", spec)
    (project.folder / "ids.npy").unlink()
    assert "ids.npy is not here; data/mine/images.h5 stays as it is" in project.index("mine")
    project.params["datasets"] = {"mine": {**spec, "ids": "idz.npy"}}
    assert "datasets.mine has changed" in project.refusal("index", "mine")


@pytest.mark.parametrize("how", ["replaced", "in place", "another target of the link"])
def test_another_picture_of_equal_size_and_time_is_seen(project: Project, pictures: Path, how: str):
    place, file = pictures / "007.png", project.folder / "other.png"
    if how.startswith("another"):
        place.rename(project.folder / "one.png")
        place.symlink_to(project.folder / "one.png")
    project.index("mine")
    before, stat, raw = contents(project.folder / "data/mine"), place.stat(), place.read_bytes()
    other = raw[:-20] + bytes(20)
    if how == "in place":
        place.write_bytes(other)
        os.utime(place, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    else:
        file.write_bytes(other)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        if how == "replaced":
            file.replace(place)
        else:
            place.unlink()
            place.symlink_to(file)
    assert place.stat().st_mtime_ns == stat.st_mtime_ns
    assert place.stat().st_size == stat.st_size
    project.index("mine")
    assert contents(project.folder / "data/mine")["images.h5"] != before["images.h5"]


def test_what_is_left_out_of_a_folder_is_said_by_index(project: Project, pictures: Path):
    (pictures / "raw.cr2").write_bytes(b"II*\0")
    (pictures / "@eaDir").mkdir()
    project.params["datasets"]["mine"]["exclude"] = ["00?.png"]
    said = project.index("mine")
    for line in (
        "index: left out: 1 .cr2 (develop .cr2 to JPEG, PNG or TIFF to have them)",
        "index: folders of the system left out: @eaDir",
        "index: files and folders excluded: 10 by 00?.png",
        "index: 30 images (train 30), 3 classes, 0 twins",
    ):
        assert line in said.splitlines()


def test_twelve_bits_in_sixteen_are_said_once_and_read_when_asked(project: Project, pictures: Path):
    for i in range(3):
        values = np.random.default_rng(i).integers(0, 4096, (8, 8)).astype(np.uint16)
        values[0, 0] = 4095
        Image.fromarray(values).save(pictures / f"scan-{i}.tif")
    project.index("mine")
    said = project.embed("mine")
    line = "embed: 3 of 3 pictures with 16 bits a channel have no value above 4,095"
    assert said.count(line) == 1
    assert "say depth: 12 of mine" in said
    assert store.Features(project.store("mine")).block(40, 43).max() < 0.1
    project.params["datasets"]["mine"]["depth"] = 12
    project.index("mine")
    said = project.embed("mine")
    assert "3 embedded, 40 reused" in said
    assert "16 bits" not in said
    assert store.Features(project.store("mine")).block(40, 43).max() > 0.9


def test_a_bound_of_memory_changes_no_vector(project: Project, pictures: Path):
    project.index("mine")
    project.embed("mine")
    before = contents(project.store("mine"))
    shutil.rmtree(project.store("mine"))
    project.params["runtime"]["memory_gb"] = 1e-9
    project.embed("mine")
    assert contents(project.store("mine")) == before


def test_equal_pictures_in_several_splits_or_classes_are_said(project: Project, pictures: Path):
    for name in ("train/a/1", "train/b/2", "test/a/3", "train/c/4"):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(
            pictures / ("001.png" if "4" not in name else "002.png"), pictures / f"{name}.png"
        )
    for path in pictures.glob("*.*"):
        path.unlink()
    project.params["datasets"]["mine"] |= {"tree": "split/class"}
    said = project.index("mine")
    line = (
        "images that are there more than once: 1 in several splits: what is scored was fitted too"
    )
    assert f"index: {line}; 1 in several classes" in said


def test_a_root_that_holds_the_project_is_said(project: Project, pictures: Path):
    project.params["datasets"]["mine"] |= {"root": str(project.folder)}
    assert "index: root holds this project" in project.index("mine")
