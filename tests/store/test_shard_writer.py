"""A shard that is lent: others fill it, one after the other, and the store is as if one had."""

import re
from pathlib import Path

import numpy as np
import pytest
from stored import contents, encode, plan_of, write

import store


def fill(lent: store.Lent, count: int | None = None) -> np.ndarray:
    """Put the vectors of the first `count` rows that the shard lacks; which those were."""
    with store.ShardWriter(lent) as writer:
        rows = writer.todo[:count]
        writer.put(rows, encode(writer.plan.id[rows]))
    return lent.first + rows


def open_store(folder: Path) -> store.FeatureWriter:
    return store.FeatureWriter(folder, plan_of(range(50)), shard=20, block=8)


def test_lent_shards_end_in_the_bytes_of_a_store_filled_by_one(tmp_path: Path):
    write(tmp_path / "one", plan_of(range(50)))
    with open_store(tmp_path / "many") as writer:
        with writer.lent() as lent:
            assert [shard.first for shard in lent] == [0, 20, 40]
            for shard in reversed(lent):
                fill(shard)
            assert writer.committed() == 50
        writer.finish()
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


def test_a_second_writer_goes_on_after_the_last_whole_block(tmp_path: Path):
    with open_store(tmp_path) as writer, writer.lent() as lent:
        assert fill(lent[1], 13).tolist() == list(range(20, 33))
        assert writer.committed() == 8
        assert fill(lent[1]).tolist() == list(range(28, 40))
        assert len(fill(lent[1])) == 0


def test_rows_that_were_copied_are_not_asked_for_in_blocks_that_are_not_whole(tmp_path: Path):
    write(tmp_path / "grown", plan_of(range(0, 50, 2)))
    write(tmp_path / "one", plan_of(range(50)))
    with open_store(tmp_path / "grown") as writer:
        with writer.lent() as lent:
            asked = np.concatenate([fill(shard) for shard in lent])
        writer.finish()
    assert asked.tolist() == list(range(1, 50, 2))
    assert contents(tmp_path / "grown") == contents(tmp_path / "one")


def test_a_lent_shard_that_nobody_filled_is_missing_at_the_end(tmp_path: Path):
    with open_store(tmp_path) as writer:
        with writer.lent() as lent:
            fill(lent[0])
        with pytest.raises(store.StoreError, match="30 rows are missing"):
            writer.finish()


def test_what_cannot_be_read_is_remembered(tmp_path: Path):
    with open_store(tmp_path) as writer:
        with writer.lent() as lent:
            for shard in lent:
                with store.ShardWriter(shard) as one:
                    readable = one.todo != 3
                    one.put(one.todo, encode(one.plan.id[one.todo]), readable)
        assert writer.unreadable().tolist() == [3, 23, 43]


def test_a_byte_that_is_wrong_on_the_disk_is_found_before_the_store_is_published(tmp_path: Path):
    with open_store(tmp_path) as writer:
        with writer.lent() as lent:
            for shard in lent:
                fill(shard)
            at = lent[1].path
            whole = bytearray(at.read_bytes())
            vectors = encode(writer.plan.id[20:40]).astype(np.float16).tobytes()
            whole[whole.index(vectors)] ^= 1
            at.write_bytes(whole)
        with pytest.raises(store.StoreError, match=re.escape(f"{at}: rows 0 to 7 are damaged")):
            writer.finish()
    assert not (tmp_path / "features.h5").exists()


def test_a_shard_that_went_away_is_refused_by_name(tmp_path: Path):
    with open_store(tmp_path) as writer:
        lent = store.Lent(tmp_path / "shard-00007.h5.part", 0, writer.todo)
        with pytest.raises(store.StoreError, match=r"shard-00007\.h5\.part: no such file"):
            fill(lent)


def test_a_lent_shard_is_filled_in_the_dtype_of_its_store(tmp_path: Path):
    plan = plan_of(range(50))._replace(dtype="float32")
    with store.FeatureWriter(tmp_path, plan, shard=20, block=8) as writer:
        with writer.lent() as lent:
            for shard in lent:
                fill(shard)
        writer.finish()
    np.testing.assert_array_equal(store.Features(tmp_path).block(0, 50), encode(plan.id))
