"""Flipped and cut bytes anywhere: refused by name in one line, never read as data, and mended by
embedding just what they hit."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import contents, encode, flipped, plan_of, read_all, save_each_kind, write

import store

FILES = ("features.h5", "shard-00000.h5", "shard-00001.h5")
PLAN = plan_of(range(34), split=[i % 2 for i in range(34)])
SHARD, BLOCK = 20, 8

# A place in a file as a share of its length, and what happens there.
PLACES = st.floats(0, 1, exclude_max=True)
FLIPS = st.tuples(PLACES, st.sampled_from([1 << bit for bit in range(8)] + [0xFF]))
many = settings(max_examples=50, deadline=None)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)


def refused(path: Path, look: Callable[[], object], whole: object) -> bool:
    """Whether `look` refuses what lies at `path`, by name; or else it has to see `whole`."""
    try:
        seen = look()
    except store.StoreError as error:
        message = str(error)
    else:
        assert seen == whole
        return False
    assert path.name in message
    assert "\n" not in message
    return True


def all_of(folder: Path) -> dict[str, object]:
    found = store.Features(folder)
    said = (found.dataset, found.backbone, found.splits, found.dim)
    arrays = (found.block(0, len(found)), found.id, found.row, found.split)
    return {"said": said, "arrays": [(a.dtype, a.shape, a.tolist()) for a in arrays]}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, Path]:
    return save_each_kind(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "s"
    write(folder, PLAN, SHARD, BLOCK)
    return folder


@pytest.mark.parametrize("kind", ["index", "labels", "pca", "clusters"])
@many
@given(flip=FLIPS)
def test_a_flipped_byte_is_refused_or_changes_nothing(saved, kind, flip):
    path, data = saved[kind], saved[kind].read_bytes()
    whole = read_all(path, kind)
    path.write_bytes(flipped(data, flip))
    try:
        refused(path, lambda: read_all(path, kind), whole)
    finally:
        path.write_bytes(data)


def test_every_byte_of_an_index_counts(saved):
    """Of the small file all bytes; a flip that is not refused lies where HDF5 left a gap."""
    path, data = saved["index"], saved["index"].read_bytes()
    whole = read_all(path, "index")
    count = 0
    for at in range(len(data)):
        path.write_bytes(flipped(data, (at / len(data), 0x10)))
        count += refused(path, lambda: read_all(path, "index"), whole)
    path.write_bytes(data)
    assert count > 0.95 * len(data)


@pytest.mark.parametrize("kind", ["index", "labels", "pca", "clusters"])
@settings(max_examples=40, deadline=None)
@given(place=PLACES)
def test_a_cut_file_is_refused(saved, kind, place):
    path, data = saved[kind], saved[kind].read_bytes()
    path.write_bytes(data[: int(place * len(data))])
    try:
        with pytest.raises(store.StoreError, match=path.name):
            read_all(path, kind)
    finally:
        path.write_bytes(data)


@pytest.mark.parametrize("name", FILES)
@many
@given(flip=FLIPS)
def test_a_flipped_byte_in_a_store_is_refused_and_mended(stored, tmp_path_factory, name, flip):
    whole, sound = all_of(stored), contents(stored)
    folder = tmp_path_factory.mktemp("damaged") / "s"
    shutil.copytree(stored, folder)
    (folder / name).write_bytes(flipped(sound[name], flip))
    damaged = refused(folder / name, lambda: all_of(folder), whole)
    embedded = write(folder, PLAN, SHARD, BLOCK)
    assert all_of(folder) == whole
    if damaged:  # what was not is in a gap, or in what only other programs read
        assert contents(folder) == sound
    assert embedded <= {"features.h5": 0, "shard-00000.h5": 20, "shard-00001.h5": 14}[name]
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=30, deadline=None)
@given(place=PLACES)
def test_a_cut_file_in_a_store_is_refused_and_mended(stored, tmp_path_factory, name, place):
    sound = contents(stored)
    folder = tmp_path_factory.mktemp("cut") / "s"
    shutil.copytree(stored, folder)
    (folder / name).write_bytes(sound[name][: int(place * len(sound[name]))])
    with pytest.raises(store.StoreError, match=name):
        all_of(folder)
    assert write(folder, PLAN, SHARD, BLOCK) <= 20
    assert contents(folder) == sound
    shutil.rmtree(folder)


@pytest.mark.parametrize(("row", "block"), [(0, 8), (9, 8), (17, 4), (21, 8), (33, 6)])
def test_damage_to_vectors_costs_their_block_alone(stored, tmp_path, row, block):
    folder = tmp_path / "s"
    shutil.copytree(stored, folder)
    path = folder / f"shard-{row // SHARD:05d}.h5"
    with h5py.File(path) as file:
        at = file["features"].id.get_offset() + row % SHARD * PLAN.dim * 2
    data = path.read_bytes()
    path.write_bytes(flipped(data, (at / len(data), 0x40)))
    found = store.Features(folder)
    for look in (lambda: found.block(row, row + 1), lambda: found.take(np.array([row]))):
        with pytest.raises(store.StoreError, match=r"shard-0000.\.h5: rows .* damaged .*embed@"):
            look()
    assert write(folder, PLAN, SHARD, BLOCK) == block
    assert contents(folder) == contents(stored)


@many
@given(flip=FLIPS, cut=st.booleans())
def test_damage_to_what_a_killed_run_left_is_never_stored(stored, tmp_path_factory, flip, cut):
    folder = tmp_path_factory.mktemp("killed") / "s"
    with store.FeatureWriter(folder, PLAN, shard=SHARD, block=BLOCK) as writer:
        broken = ~np.isin(np.arange(34), [3, 30])
        writer.put(np.arange(34), encode(PLAN.id), broken)
    path = sorted(folder.glob("shard-*.part"))[round(flip[0] * 7) % 2]
    data = path.read_bytes()
    path.write_bytes(data[: int(flip[0] * len(data))] if cut else flipped(data, flip))
    assert write(folder, PLAN, SHARD, BLOCK) >= 2
    assert all_of(folder) == all_of(stored)
    shutil.rmtree(folder)


def test_shards_of_another_run_are_refused(stored, tmp_path):
    write(tmp_path / "other", plan_of(range(1, 35)), SHARD, BLOCK)
    shutil.copytree(stored, tmp_path / "s")
    shutil.copy(tmp_path / "other/shard-00001.h5", tmp_path / "s")
    with pytest.raises(store.StoreError, match=r"shard-00001\.h5: damaged, or of another run"):
        store.Features(tmp_path / "s")
    assert write(tmp_path / "s", PLAN, SHARD, BLOCK) == 1  # of 20 to 33 the other had all but 20
    assert contents(tmp_path / "s") == contents(stored)


def test_a_missing_shard_is_refused_by_name_and_embedded_anew(stored, tmp_path):
    shutil.copytree(stored, tmp_path / "s")
    (tmp_path / "s/shard-00001.h5").unlink()
    with pytest.raises(store.StoreError, match=r"shard-00001\.h5: no such file"):
        store.Features(tmp_path / "s")
    assert write(tmp_path / "s", PLAN, SHARD, BLOCK) == 14


def test_a_shard_of_an_unknown_version_is_refused_by_name(stored, monkeypatch):
    newer = store.KINDS["features"]._replace(version=2)
    monkeypatch.setitem(store.KINDS, "features", newer)
    with pytest.raises(store.StoreError, match=r"shard-00000\.h5: version 1 of kind features"):
        store.Features(stored)
