"""The feature store: what is put comes back, what is known is never asked for again."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import DIM, contents, digests, encode, fill, locked, plan_of, write

import store


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Not to wait for the disk: no test here takes the power away."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def half(ids: np.ndarray) -> np.ndarray:
    """What the store keeps of the vectors of `ids`."""
    return encode(ids).astype(np.float16).astype(np.float32)


def test_each_row_comes_back_with_its_id_row_and_split(tmp_path: Path):
    plan = plan_of(range(50), split=[i % 2 for i in range(50)])._replace(row=np.arange(50) * 3)
    assert write(tmp_path / "s", plan) == 50
    found = store.Features(tmp_path / "s")
    assert (len(found), found.dim, found.splits) == (50, DIM, ["train", "test"])
    assert (found.dataset, found.backbone) == ("birds", "pixels")
    np.testing.assert_array_equal(found.block(0, 50), half(plan.id))
    for name in ("id", "row", "split"):
        np.testing.assert_array_equal(getattr(found, name), getattr(plan, name))


def test_blocks_and_single_rows_agree_across_shards(tmp_path: Path):
    write(tmp_path / "s", plan_of(range(50)))
    found, whole = store.Features(tmp_path / "s"), half(digests(range(50)))
    for start, stop in ((0, 1), (19, 21), (7, 49), (45, 60), (50, 60), (30, 20)):
        np.testing.assert_array_equal(found.block(start, stop), whole[start:stop])
    rows = np.random.default_rng(0).permutation(50).repeat(2)
    np.testing.assert_array_equal(found.take(rows), whole[rows])
    assert found.take(np.empty(0, np.int64)).shape == (0, DIM)
    for rows in (np.array([50]), np.array([-1, 3])):
        with pytest.raises(IndexError):
            found.take(rows)


def test_order_and_size_of_batches_change_no_byte(tmp_path: Path):
    plan = plan_of(range(50))
    write(tmp_path / "one", plan)
    rng = np.random.default_rng(0)
    with store.FeatureWriter(tmp_path / "two", plan, shard=20, block=8) as writer:
        for rows in np.array_split(rng.permutation(50), 9):
            writer.put(rows, encode(plan.id[rows]))
        writer.finish()
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_any_hdf5_tool_sees_one_array(tmp_path: Path, monkeypatch):
    plan = plan_of(range(50))
    write(tmp_path / "s", plan)
    monkeypatch.chdir("/")
    with h5py.File(tmp_path / "s/features.h5") as file:
        np.testing.assert_array_equal(file["features"][:], half(plan.id))
        for name in ("id", "row", "split"):
            np.testing.assert_array_equal(file[name][:], getattr(plan, name))


def test_vectors_can_be_memory_mapped_where_hdf5_says(tmp_path: Path):
    plan = plan_of(range(900))
    write(tmp_path / "s", plan, shard=900)
    with h5py.File(tmp_path / "s/shard-00000.h5") as file:
        offset = file["features"].id.get_offset()
    assert offset % 4096 == 0
    mapped = np.memmap(tmp_path / "s/shard-00000.h5", np.float16, "r", offset, (900, DIM))
    np.testing.assert_array_equal(mapped, half(plan.id))


def test_adding_20_images_embeds_20(tmp_path: Path):
    write(tmp_path / "s", plan_of(range(50)))
    between = [*range(17), *range(100, 120), *range(17, 50)]
    assert write(tmp_path / "s", plan_of(between)) == 20
    write(tmp_path / "anew", plan_of(between))
    assert contents(tmp_path / "s") == contents(tmp_path / "anew")


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_change_of_the_collection_embeds_only_what_is_new(tmp_path_factory, data):
    numbers, sizes = st.lists(st.integers(0, 60), min_size=1, max_size=70), st.integers(3, 30)
    folder = tmp_path_factory.mktemp("s")
    known: set[int] = set()
    for _ in range(3):
        wanted = data.draw(numbers)  # some twice: two images of the same bytes
        plan = plan_of(wanted, split=[data.draw(st.integers(0, 1)) for _ in wanted])
        shard, block = data.draw(sizes), data.draw(sizes)
        new = [n for n in wanted if n not in known]
        assert write(folder / "s", plan, shard, block) == len(new)
        known = set(wanted)
    write(folder / "anew", plan, shard, block)
    assert contents(folder / "s") == contents(folder / "anew")
    np.testing.assert_array_equal(store.Features(folder / "s").block(0, 70), half(plan.id))


def test_nothing_is_written_when_nothing_changed(tmp_path: Path):
    write(tmp_path / "s", plan_of(range(50)))
    before = {path: path.stat().st_ino for path in (tmp_path / "s").glob("shard*")}
    assert write(tmp_path / "s", plan_of(range(50))) == 0
    assert before == {path: path.stat().st_ino for path in (tmp_path / "s").glob("shard*")}


def test_another_encoder_embeds_everything_anew(tmp_path: Path):
    write(tmp_path / "s", plan_of(range(50)))
    assert write(tmp_path / "s", plan_of(range(50))._replace(encoder="other")) == 50


def test_a_reader_keeps_its_store_while_a_writer_replaces_it(tmp_path: Path):
    write(tmp_path / "s", plan_of(range(50)))
    found = store.Features(tmp_path / "s")
    write(tmp_path / "s", plan_of(range(100, 150)))
    np.testing.assert_array_equal(found.block(0, 50), half(digests(range(50))))


def test_a_closed_writer_is_gone_on_from(tmp_path: Path):
    plan = plan_of(range(50))
    with store.FeatureWriter(tmp_path / "s", plan, shard=20, block=8) as writer:
        writer.put(np.arange(30), encode(plan.id[:30]))
    with store.FeatureWriter(tmp_path / "s", plan, shard=20, block=8) as writer:
        assert writer.todo.tolist() == list(range(28, 50))  # the block of rows 28 to 35 was begun
        fill(writer)
        writer.close()
        writer.finish()
    np.testing.assert_array_equal(store.Features(tmp_path / "s").block(0, 50), half(plan.id))


def test_unreadable_images_cost_no_other_and_are_tried_again(tmp_path: Path):
    plan, broken = plan_of(range(50)), [3, 4, 40]
    readable = ~np.isin(np.arange(50), broken)
    vectors = np.where(readable[:, None], encode(plan.id), np.nan)
    with store.FeatureWriter(tmp_path / "s", plan, shard=20, block=8) as writer:
        writer.put(np.arange(50), vectors, readable)
        assert writer.unreadable().tolist() == broken
        with pytest.raises(store.StoreError, match="3 are not readable: put them, or leave them"):
            writer.finish()
    with store.FeatureWriter(tmp_path / "s", plan, shard=20, block=8) as writer:
        assert writer.todo.tolist() == broken
    assert write(tmp_path / "s", plan.keep(readable)) == 0
    assert store.Features(tmp_path / "s").row.tolist() == np.flatnonzero(readable).tolist()


def test_a_store_with_missing_rows_is_not_finished(tmp_path: Path):
    plan = plan_of(range(50))
    with store.FeatureWriter(tmp_path / "s", plan) as writer:
        writer.put(np.arange(48), encode(plan.id[:48]))
        with pytest.raises(store.StoreError, match="2 rows are missing"):
            writer.finish()
    assert not (tmp_path / "s/features.h5").exists()


@pytest.mark.parametrize(
    ("rows", "vectors", "message"),
    [
        ([0, 1], np.zeros((2, DIM - 1)), r"\(2, 5\) for 2 rows, expected \(2, 6\)"),
        ([0, 1], np.zeros((3, DIM)), r"\(3, 6\) for 2 rows"),
        ([-1, 1], np.zeros((2, DIM)), "rows beyond the 50"),
        ([49, 50], np.zeros((2, DIM)), "rows beyond the 50"),
        ([0, 7], np.full((2, DIM), [[0], [np.nan]]), "row 7: features are not finite"),
        ([0, 7], np.full((2, DIM), [[0], [70_000]]), "row 7: features are not finite"),
    ],
)
def test_a_put_that_cannot_be_right_stores_nothing(tmp_path: Path, rows, vectors, message):
    plan = plan_of(range(50))
    with store.FeatureWriter(tmp_path / "s", plan, shard=20, block=8) as writer:
        with pytest.raises(store.StoreError, match=message):
            writer.put(np.array(rows), vectors)
        assert fill(writer) == 50
        writer.finish()
    write(tmp_path / "anew", plan)
    assert contents(tmp_path / "s") == contents(tmp_path / "anew")


def test_what_is_stored_stays_when_it_is_put_again(tmp_path: Path):
    plan = plan_of(range(50))
    for _ in range(2):  # the second time over a finished store
        with store.FeatureWriter(tmp_path / "s", plan, shard=20, block=8) as writer:
            writer.put(np.arange(50), encode(plan.id))
            writer.put(np.arange(50), np.zeros((50, DIM)))
            writer.finish()
    np.testing.assert_array_equal(store.Features(tmp_path / "s").block(0, 50), half(plan.id))


@pytest.mark.parametrize("plan", [plan_of([]), plan_of(range(3))._replace(dim=0)])
def test_a_store_of_nothing_is_refused(tmp_path: Path, plan: store.Plan):
    with pytest.raises(store.StoreError, match="nothing to store"):
        store.FeatureWriter(tmp_path / "s", plan)


def test_a_second_writer_is_refused_while_the_first_works(tmp_path: Path):
    plan = plan_of(range(50))
    other = f"import store, stored, pathlib; stored.write(pathlib.Path({str(tmp_path / 's')!r}), "
    other += "stored.plan_of(range(3)))"
    paths = os.pathsep.join([os.getcwd(), str(Path(__file__).parents[1])])
    env = {**os.environ, "PYTHONPATH": paths}
    with store.FeatureWriter(tmp_path / "s", plan, shard=20, block=8) as writer:
        with pytest.raises(store.StoreError, match="another process is writing"):
            store.FeatureWriter(tmp_path / "s", plan)
        ran = subprocess.run([sys.executable, "-c", other], env=env, capture_output=True, text=True)
        assert "StoreError" in ran.stderr
        assert "another process is writing" in ran.stderr
        fill(writer)
        writer.finish()
    assert len(store.Features(tmp_path / "s")) == 50
    assert write(tmp_path / "s", plan) == 0


def test_a_folder_that_is_not_writable_is_named():
    with locked() as folder, pytest.raises(PermissionError) as caught:
        store.FeatureWriter(folder / "s", plan_of(range(3)))
    assert str(folder) in str(caught.value.filename)


def test_a_disk_too_small_is_said_at_once_and_not_filled(tmp_path: Path):
    plan = plan_of(range(50))
    write(tmp_path / "s", plan_of(range(20)))
    before = contents(tmp_path / "s")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in range(0, 2500, 250):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
        try:
            with pytest.raises(store.StoreError, match="no room on the disk"):
                store.FeatureWriter(tmp_path / "s", plan, shard=25, block=8)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        left = {**contents(tmp_path / "s")}
        assert left.pop("features.h5.part") == b""
        assert left == before
    assert write(tmp_path / "s", plan) == 30


def test_a_disk_that_fills_up_later_loses_nothing_that_was_synced(tmp_path: Path, monkeypatch):
    plan, pwrite, room = plan_of(range(50)), os.pwrite, 5

    def filling(*arguments):
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(*arguments)

    with store.FeatureWriter(tmp_path / "s", plan, shard=20, block=8) as writer:
        monkeypatch.setattr(os, "pwrite", filling)
        with pytest.raises(store.StoreError, match="no room on the disk"):
            fill(writer)
        monkeypatch.setattr(os, "pwrite", pwrite)
    with store.FeatureWriter(tmp_path / "s", plan, shard=20, block=8) as writer:
        assert 0 < len(writer.todo) < 50
        fill(writer)
        writer.finish()
    write(tmp_path / "anew", plan)
    assert contents(tmp_path / "s") == contents(tmp_path / "anew")


def test_a_disk_full_at_the_very_end_is_finished_later(tmp_path: Path, monkeypatch):
    plan, replace = plan_of(range(50)), os.replace
    calls = []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) % 3 == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(*arguments)

    monkeypatch.setattr(os, "replace", full)
    with store.FeatureWriter(tmp_path / "s", plan, shard=20, block=8) as writer:
        fill(writer)
        with pytest.raises(store.StoreError, match="no room on the disk"):
            writer.finish()
    assert write(tmp_path / "s", plan) == 0
    monkeypatch.undo()
    write(tmp_path / "anew", plan)
    assert contents(tmp_path / "s") == contents(tmp_path / "anew")


def test_a_file_system_without_preallocation_will_do(tmp_path: Path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    write(tmp_path / "one", plan_of(range(50)))
    monkeypatch.undo()
    write(tmp_path / "two", plan_of(range(50)))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


MILLION = """
import sys, pathlib, numpy as np, store
def anonymous():  # MB that are not a view of a file
    said = dict(line.split(":") for line in open("/proc/self/status"))
    return int(said["RssAnon"].split()[0]) / 1024
n, dim = 1_000_000, 64
ids = np.zeros((n, 16), np.uint8)
ids[:, :8] = np.arange(n).view(np.uint8).reshape(n, 8)
plan = store.Plan("d", "b", "e", dim, ["train"], ids, np.arange(n), np.zeros(n, np.uint8))
vectors = np.random.default_rng(0).random((4096, dim), np.float32)
before, peak = anonymous(), 0
writer = store.FeatureWriter(pathlib.Path(sys.argv[1]), plan)
for low in range(0, n, 4096):
    writer.put(np.arange(low, min(n, low + 4096)), vectors[: n - low])
    peak = max(peak, anonymous())
writer.finish()
del writer
found = store.Features(pathlib.Path(sys.argv[1]))
for low in range(0, n, 8192):
    found.block(low, low + 8192)
    peak = max(peak, anonymous())
print(peak - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_million_rows_are_written_and_read_in_little_memory(tmp_path: Path):
    ran = subprocess.run(
        [sys.executable, "-c", MILLION, str(tmp_path / "s")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(store.__file__).parents[1])},
    )
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < 100  # the vectors are 128 MB, and 256 MB as they are put


def test_a_store_of_float32_keeps_every_bit(tmp_path: Path):
    plan = plan_of(range(50))._replace(dtype="float32")
    assert write(tmp_path / "s", plan) == 50
    found = store.Features(tmp_path / "s")
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found.block(0, 50), encode(plan.id))
    np.testing.assert_array_equal(found.take(np.array([49, 3])), encode(plan.id[[49, 3]]))
    with h5py.File(tmp_path / "s/features.h5") as file:
        assert file["features"].dtype == np.float32
        np.testing.assert_array_equal(file["features"][:], encode(plan.id))
    assert write(tmp_path / "s", plan_of(range(60))._replace(dtype="float32")) == 10


def test_another_dtype_embeds_everything_anew_and_the_old_store_stays_until_then(tmp_path: Path):
    plan = plan_of(range(50))
    write(tmp_path / "s", plan)
    before = contents(tmp_path / "s")
    wide = plan._replace(dtype="float32")
    with store.FeatureWriter(tmp_path / "s", wide, shard=20, block=8) as writer:
        assert len(writer.todo) == 50
        writer.put(np.arange(16), encode(plan.id[:16]))
    assert {name: contents(tmp_path / "s")[name] for name in before} == before
    assert store.Features(tmp_path / "s").dtype == "float16"
    assert write(tmp_path / "s", wide) == 34  # it goes on from what was put
    assert write(tmp_path / "s", plan) == 50
    assert contents(tmp_path / "s") == before


def test_what_float16_cannot_hold_float32_can(tmp_path: Path):
    plan, far = plan_of(range(3)), np.full((3, DIM), 1e5)
    with (
        store.FeatureWriter(tmp_path / "s", plan) as writer,
        pytest.raises(store.StoreError, match="row 0: features are not finite in float16"),
    ):
        writer.put(np.arange(3), far)
    wide = plan._replace(dtype="float32")
    with store.FeatureWriter(tmp_path / "s", wide) as writer:
        writer.put(np.arange(3), far)
        with pytest.raises(store.StoreError, match="not finite in float32"):
            writer.put(np.arange(3), far * 1e40)
        writer.finish()
    np.testing.assert_array_equal(store.Features(tmp_path / "s").block(0, 3), far)


def test_shards_of_two_dtypes_are_no_store(tmp_path: Path):
    """Their checksums agree: those of zeros do, and each is sound by itself."""
    for name, dtype in (("s", "float16"), ("t", "float32")):
        plan = plan_of(range(40))._replace(dtype=dtype)
        with store.FeatureWriter(tmp_path / name, plan, shard=20, block=8) as writer:
            writer.put(writer.todo, np.zeros((40, DIM)))
            writer.finish()
    (tmp_path / "t/shard-00001.h5").rename(tmp_path / "s/shard-00001.h5")
    with pytest.raises(store.StoreError, match=r"shard-00001\.h5: .*(float32|another run)"):
        store.Features(tmp_path / "s")


def test_what_is_stored_so_far_can_be_read(tmp_path: Path):
    plan = plan_of(range(50))
    with store.FeatureWriter(tmp_path / "s", plan, shard=20, block=8) as writer:
        rows = np.array([3, 40, 17])
        writer.put(rows, encode(plan.id[rows]), np.array([True, True, False]))
        found = np.concatenate(list(writer.stored()))
    np.testing.assert_array_equal(found, encode(plan.id[[3, 40]]).astype(np.float16))
