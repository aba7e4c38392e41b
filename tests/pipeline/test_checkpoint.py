"""Checkpoints: whole or not at all, found again by what they follow from, never by others."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.fitting import checkpoint
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.params import StageError

TABLE = np.arange(12, dtype=np.int32).reshape(4, 3)
FACTS: dict[str, Any] = {"lr": 1e-3, "loss": "temi", "table": TABLE, "seed": 0}
STATE = {
    "at": np.array(7),
    "student/weight": np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32),
    "adam/0/step": np.array(7, np.float32),
    "none": np.zeros((0, 2)),
}


def place(folder: Path, **changes: Any) -> Checkpoint:
    return Checkpoint(folder / "temi.h5", "k10-d0-s0", {**FACTS, **changes})


def test_what_is_saved_comes_back_as_it_was(tmp_path: Path):
    assert place(tmp_path).resume is None
    place(tmp_path).save(STATE)
    found = place(tmp_path).resume
    assert found.keys() == STATE.keys()
    for name, array in STATE.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 2e-3}, {"loss": "pmi"}, {"seed": 1}, {"more": 1}, {"table": TABLE[:3]},
        {"table": TABLE + 1}, {"table": TABLE.astype(np.int64)}, {"table": TABLE.reshape(3, 4)},
    ],
)  # fmt: skip
def test_other_settings_or_inputs_never_take_it_up_and_say_so(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    first = place(tmp_path)
    first.save(STATE)
    other = place(tmp_path, **change)
    assert other.resume is None
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("keeping it and starting from scratch")
    assert first.path.name in lines[0]
    assert first.path.exists()
    other.save({"at": np.array(1)})
    other.remove()
    assert int(place(tmp_path).resume["at"]) == 7


def test_resuming_and_a_first_start_are_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place(tmp_path).save(STATE)
    place(tmp_path)
    Checkpoint(tmp_path / "temi.h5", "k10-d0-s1", FACTS)  # another seed
    Checkpoint(tmp_path / "temi_wide.h5", "k10-d0-s0", FACTS)  # another run
    assert capsys.readouterr().out == ""


def test_the_order_of_the_settings_does_not_matter(tmp_path: Path):
    place(tmp_path).save(STATE)
    turned = dict(reversed(FACTS.items()))
    assert Checkpoint(tmp_path / "temi.h5", "k10-d0-s0", turned).resume is not None


def test_a_save_that_is_cut_short_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    first = place(tmp_path)
    cut = {"at": np.array(8)}

    def killed(number: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        first.save(cut)
    assert place(tmp_path).resume is None
    monkeypatch.undo()
    first.save(STATE)
    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        first.save(cut)
    assert int(place(tmp_path).resume["at"]) == 7
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("much", [0, 1, 30, 0.5, -1])
def test_a_damaged_one_is_refused_in_one_line(tmp_path: Path, much: float):
    first = place(tmp_path)
    first.save(STATE)
    whole = first.path.read_bytes()
    first.path.write_bytes(whole[: int(much if much not in (0.5,) else len(whole) * much)])
    with pytest.raises(
        StageError, match=r"a damaged checkpoint \(.*\): remove it to start from scratch"
    ):
        place(tmp_path)


def test_a_flipped_bit_is_noticed(tmp_path: Path):
    first = place(tmp_path)
    first.save(STATE)
    whole = bytearray(first.path.read_bytes())
    whole[whole.index(STATE["student/weight"].tobytes()) + 3] ^= 1
    first.path.write_bytes(whole)
    with pytest.raises(StageError, match="a damaged checkpoint"):
        place(tmp_path)


def test_it_is_written_only_when_the_last_is_long_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = place(tmp_path)
    first.offer(lambda: pytest.fail("the state costs something"))
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", -1.0)
    first.offer(lambda: STATE)
    assert place(tmp_path).resume is not None


def test_when_it_is_needed_no_more_it_goes(tmp_path: Path):
    first = place(tmp_path)
    first.remove()
    first.save(STATE)
    first.remove()
    assert list(tmp_path.iterdir()) == []
