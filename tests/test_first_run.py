"""The stopwatch of bench/first_run.py: each moment of a stage counts once, as what it was."""

import importlib
from pathlib import Path

import pytest

from bench import _stopwatch as stopwatch
from bench import first_run


class Hand:
    """A clock that is turned by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_an_import_in_the_midst_of_reading_is_an_import():
    hand = Hand()
    clock = stopwatch.Clock(hand)
    clock.turn("computing")
    hand.seconds = 1
    with clock.during("reading"):
        hand.seconds = 3
        with clock.during("imports"):
            hand.seconds = 7
        hand.seconds = 15
    hand.seconds = 31
    clock.turn("")
    hand.seconds = 63  # main is over
    with clock.during("writing"):
        hand.seconds = 127
    assert clock.seconds == {"imports": 4, "reading": 10, "computing": 17, "writing": 0}


def test_what_is_done_within_a_context_is_not_counted_with_it(tmp_path: Path):
    hand = Hand()
    clock = stopwatch.Clock(hand)

    class Slow:
        def __enter__(self) -> None:
            hand.seconds += 1

        def __exit__(self, *raised: object) -> None:
            hand.seconds += 2

    def main() -> None:
        with stopwatch.counted_context(Slow, clock, "writing")():
            hand.seconds += 4

    stopwatch.measured(main, clock, str(tmp_path / "lines"))()
    assert clock.seconds == {"imports": 0, "reading": 0, "computing": 4, "writing": 3}


@pytest.mark.parametrize("module", stopwatch.WRAPPED)
def test_what_is_wrapped_is_there(module: str):
    for name in stopwatch.WRAPPED[module]:
        owner: object = importlib.import_module(module)
        for part in name.removesuffix("()").split("."):
            owner = getattr(owner, part)
        assert callable(owner)


def test_the_columns_of_a_stage_add_up_to_what_its_command_took(tmp_path: Path):
    first_run.copy_project(tmp_path / "project")
    rows, whole = first_run.measure(tmp_path / "project", tmp_path / "watch", ["index@digits"])
    assert [row["stage"] for row in rows] == ["index@digits"]
    assert list(rows[0]) == ["stage", *first_run.COLUMNS, "total"]
    parts = [rows[0][name] for name in first_run.COLUMNS]
    assert sum(parts) == pytest.approx(rows[0]["total"], abs=1e-4)  # what the sums round off
    assert all(part > 0 for part in parts)
    assert rows[0]["total"] < whole
