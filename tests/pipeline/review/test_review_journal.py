"""The file of decisions: what was acknowledged is never lost, whatever happens meanwhile."""

import errno
import multiprocessing
import os
import re
from pathlib import Path

import pytest
from killed import die_before

from pipeline.params import StageError
from pipeline.review.decisions import Place, Undo
from pipeline.review.journal import Journal, journal_of

A = f"{1:032x}"


def place(number: int, to: str = "cat") -> Place:
    return Place(images=(f"{number:032x}",), status="decided", category=to)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "review" / "birds.jsonl"


def test_decisions_come_back_in_order(path: Path):
    journal, said = Journal(path, "birds"), [place(1), place(2), Undo(), place(3, "Käfer")]
    for one in said:
        journal.append(one)
    assert journal.decisions == said
    assert Journal(path, "birds").decisions == said
    assert len(path.read_text().splitlines()) == 5  # and the header


def test_a_file_that_nobody_wrote_is_no_mistake(path: Path):
    assert Journal(path, "birds").decisions == []
    assert not path.exists()
    assert journal_of("birds") == Path("review/birds.jsonl")


@pytest.mark.parametrize("torn", ['{"do": "pla', "x", '{"review"'])
def test_a_torn_last_line_is_passed_over_and_cut_off(path: Path, torn: str):
    journal = Journal(path, "birds")
    journal.append(place(1))
    whole = path.read_bytes()
    path.write_bytes(whole + torn.encode())
    again = Journal(path, "birds")
    assert again.decisions == [place_at(journal, 0)]
    again.append(place(2))
    assert Journal(path, "birds").decisions == again.decisions
    assert path.read_bytes().startswith(whole)
    assert torn.encode() not in path.read_bytes()[len(whole) :].splitlines()[0][:12]


def place_at(journal: Journal, at: int) -> Place:
    found = journal.decisions[at]
    assert isinstance(found, Place)
    return found


def test_a_last_line_without_its_end_is_kept(path: Path):
    journal = Journal(path, "birds")
    journal.append(place(1))
    journal.append(place(2))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    again = Journal(path, "birds")
    again.append(place(3))
    assert (
        Journal(path, "birds").decisions
        == again.decisions
        == [*journal.decisions, place_at(again, 2)]
    )


def test_a_torn_header_is_written_again(path: Path):
    path.parent.mkdir()
    path.write_text('{"review": 1, "da')
    Journal(path, "birds").append(place(1))
    assert len(Journal(path, "birds").decisions) == 1


def test_the_file_of_another_dataset_is_refused(path: Path):
    Journal(path, "fish").append(place(1))
    with pytest.raises(StageError, match="about the dataset fish, expected birds: move it away"):
        Journal(path, "birds")


@pytest.mark.parametrize("line", ["no json", '{"do": "erase"}', "", "\udcff"])
def test_a_damaged_line_is_named_and_the_file_left_alone(path: Path, line: str):
    Journal(path, "birds").append(place(1))
    with path.open("a", errors="surrogateescape") as file:
        file.write(f"{line}\n")
    before = path.read_bytes()
    with pytest.raises(StageError, match="line 3 is no decision") as error:
        Journal(path, "birds")
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before


def test_two_that_have_the_file_open_read_what_the_other_wrote(path: Path):
    one, other = Journal(path, "birds"), Journal(path, "birds")
    one.append(place(1))
    other.append(place(2))
    one.append(place(3))
    assert other.refresh()
    assert not other.refresh()
    assert one.decisions == other.decisions == Journal(path, "birds").decisions
    assert len(one.decisions) == 3


def _append_many(path: Path, start: int) -> None:
    journal = Journal(path, "birds")
    for number in range(start, start + 50):
        journal.append(place(number))


def test_processes_that_write_at_once_lose_nothing(path: Path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append_many, args=(path, 100 * i)) for i in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = [one.images[0] for one in Journal(path, "birds").decisions if isinstance(one, Place)]
    for i in range(3):
        own = [f"{number:032x}" for number in range(100 * i, 100 * i + 50)]
        assert [image for image in found if image in own] == own
    assert len(found) == 150


def _append_until_killed(path: Path, call: int, halves: bool, told: Path) -> None:
    """Tells of each decision once it is acknowledged."""
    journal = Journal(path, "birds")
    acknowledged = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    die_before(call, halves=halves)
    for number in range(4):
        journal.append(place(number))
        os.write(acknowledged, f"{number}\n".encode())


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("call", range(12))  # 3 a decision: ftruncate, pwrite, fsync; one more
def test_a_kill_at_any_moment_loses_no_acknowledged_decision(
    path: Path, tmp_path: Path, call: int, halves: bool
):
    told = tmp_path / "told"
    writer = multiprocessing.get_context("fork").Process(
        target=_append_until_killed, args=(path, call, halves, told)
    )
    writer.start()
    writer.join()
    assert writer.exitcode == -9
    acknowledged = told.read_text().split() if told.exists() else []
    journal = Journal(path, "birds")
    found = [int(one.images[0], 16) for one in journal.decisions if isinstance(one, Place)]
    assert found[: len(acknowledged)] == [int(number) for number in acknowledged]
    assert len(found) <= len(acknowledged) + 1
    journal.append(place(99))
    assert len(Journal(path, "birds").decisions) == len(found) + 1


@pytest.mark.parametrize("fails", ["pwrite", "fsync"])
def test_a_full_disk_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
):
    journal = Journal(path, "birds")
    journal.append(place(1))
    before, real = path.read_bytes(), os.pwrite

    def full(descriptor: int, *rest: object) -> int:
        if fails == "pwrite" and rest:
            real(descriptor, rest[0][:7], rest[1])  # type: ignore[index,arg-type]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, fails, full)
        with pytest.raises(OSError, match="No space left"):
            journal.append(place(2))
    assert path.read_bytes() == before
    assert len(journal.decisions) == 1
    journal.append(place(3))
    assert Journal(path, "birds").decisions == journal.decisions


def test_a_file_that_is_gone_is_asked_for_and_none_takes_its_place(path: Path):
    journal = Journal(path, "birds")
    journal.append(place(1))
    kept = path.read_bytes()
    path.unlink()
    for touch in (journal.refresh, lambda: journal.append(place(2))):
        with pytest.raises(StageError, match=re.escape(f"{path} is gone")):
            touch()
    assert not path.exists()
    path.write_bytes(kept)
    journal.append(place(2))
    assert len(Journal(path, "birds").decisions) == 2


def test_a_file_that_git_put_in_its_place_is_read_from_the_start(path: Path, tmp_path: Path):
    journal = Journal(path, "birds")
    for number in range(3):
        journal.append(place(number))
    other = Journal(tmp_path / "other.jsonl", "birds")
    other.append(place(7, "a much longer name of a category, so that the file is not shorter"))
    os.replace(other.path, path)
    assert journal.refresh()
    assert journal.decisions == other.decisions
    journal.append(place(8))
    assert Journal(path, "birds").decisions == [*other.decisions, journal.decisions[-1]]
