"""What decisions come to: worked examples, and undo and redo as in an editor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.review.decisions import (
    Audit,
    Cluster,
    Name,
    Place,
    Redo,
    Rename,
    Together,
    Undo,
    read_decision,
    write_line,
)
from pipeline.review.replay import Placed, replay, standing

A, B, C = (f"{i:032x}" for i in (1, 2, 3))
ONE = Cluster(of="f", number=1, typical=(A, B))


def place(*images: str, to: str = "cat") -> Place:
    return Place(images=images, status="decided", category=to)


def test_the_last_word_about_an_image_counts():
    said = replay([place(A, B), place(B, to="dog"), Place(images=(A,), status="junk")])
    assert said.placed == {A: Placed("junk", ""), B: Placed("decided", "dog")}


def test_what_is_undecided_again_was_never_said():
    assert replay([place(A, B), Place(images=(A,), status="undecided")]).placed.keys() == {B}


def test_a_rename_reaches_what_was_said_before_and_nothing_later():
    said = replay([
        place(A), Name(clusters=(ONE,), category="cat"), Rename(category="cat", to="pet"), place(B)
    ])  # fmt: skip
    assert said.placed == {A: Placed("decided", "pet"), B: Placed("decided", "cat")}
    assert said.named == [(ONE, "pet")]
    assert said.renamed == [("cat", "pet")]


def test_what_is_decided_together_is_one_step_and_its_parts_hold_in_order():
    parts = (place(A, B), Name(clusters=(ONE,), category="cat"), Rename(category="cat", to="pet"))
    both = Together(of=(*parts, place(B, to="dog")))
    assert replay([both]) == replay([*parts, place(B, to="dog")])
    assert replay([place(C), both, Undo()]).placed.keys() == {C}
    assert replay([place(C), both, Undo(), Redo()]) == replay([place(C), both])
    assert read_decision(write_line(both)) == both
    for wrong in ('{"do":"together","of":[]}', '{"do":"together","of":[{"do":"undo"}]}'):
        with pytest.raises(ValidationError):
            read_decision(wrong)
    junk = Together(of=(Place(images=(A,), status="junk", category="cat"),))
    with pytest.raises(ValueError, match="status junk with category"):
        read_decision(write_line(junk))


def test_an_audit_says_what_its_image_is():
    said = replay([Audit(image=A, called="dog", status="decided", category="cat")])
    assert said.placed == {A: Placed("decided", "cat")}
    assert [one.called for one in said.audited] == ["dog"]


def test_undo_and_redo_are_those_of_an_editor():
    first, second, third = place(A), place(B), place(C)
    assert standing([first, second, Undo()]) == ([first], [second])
    assert standing([first, second, Undo(), Undo(), Redo()]) == ([first], [second])
    assert standing([first, second, Undo(), third]) == ([first, third], [])
    assert standing([first, second, Undo(), third, Redo()]) == ([first, third], [])
    assert standing([Undo(), Redo(), first]) == ([first], [])


@given(st.lists(st.integers(0, 5)))
def test_undo_and_redo_go_the_same_way_back(said: list[int]):
    every = [place(f"{i:032x}", to=str(i)) for i in said]
    back = [Undo()] * len(every)
    assert replay([*every, *back]).placed == {}
    assert not replay([*every, *back]).can_undo
    again = replay([*every, *back, *([Redo()] * len(every))])
    assert again == replay(every)


def test_a_decision_is_read_as_it_was_written():
    every = [place(A, to="Käfer ✓"), Name(clusters=(ONE,), category=""), Undo()]
    assert [read_decision(write_line(one)) for one in every] == every


@pytest.mark.parametrize(
    "line",
    [
        '{"do": "place", "images": ["xyz"], "status": "junk"}',
        '{"do": "place", "images": [], "status": "decided"}',
        '{"do": "place", "images": [], "status": "junk", "category": "cat"}',
        '{"do": "place", "images": [], "status": "sure", "category": "cat"}',
        '{"do": "erase"}',
        '{"do": "undo", "of": 3}',
        '{"do": "rename", "category": "", "to": "x"}',
        '{"do": "rename", "category": "x", "to": "' + "y" * 201 + '"}',
        "[]",
        "",
    ],
)
def test_what_is_no_decision_is_refused(line: str):
    with pytest.raises((ValidationError, ValueError)):
        read_decision(line)
