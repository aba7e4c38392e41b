"""The page of duplicates in a browser: groups, the slider, and what is set aside."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from in_browser import browser, check, page_of

GROUPS = [
    {"kind": "exact", "rows": [3, 9], "similarity": [1, 1], "sizes": [[40, 30, 1200]] * 2},
    {"kind": "near", "rows": [7, 2, 5], "similarity": [1, 0.985, 0.91],
     "sizes": [[400, 300, 52_000], [40, 30, 900], [20, 10, 300]]},
    {"kind": "near", "rows": [20, 21], "similarity": [1, 0.97], "sizes": [[9, 9, 90], [0, 0, 0]]},
]  # fmt: skip


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Any, str]]:
    with browser() as found:
        yield found


@pytest.fixture
def page(shared: tuple[Any, str]) -> Iterator[Any]:
    with page_of(*shared) as page:
        yield page


def show(page: Any, groups: list[dict[str, Any]] = GROUPS) -> None:
    check(page, "duplicates", "show", groups)
    page.locator(".dup-said", has_text=".").wait_for()


def test_exact_and_near_groups_lie_apart_with_cosines_and_sizes(page: Any) -> None:
    show(page)
    assert page.locator("h2").all_inner_texts() == ["Exact (1)", "Near (1)"]
    said = [text.split("\n") for text in page.locator(".dup-tier figcaption").all_inner_texts()]
    assert said[:2] == [["kept", "40 × 30", "1.2 kB"], ["equal", "40 × 30", "1.2 kB"]]
    assert said[2] == ["kept", "400 × 300", "52 kB"]
    assert said[3:] == [["0.985", "40 × 30", "900 B"], ["0.910", "20 × 10", "300 B"]]
    page.get_by_role("button", name="Open picture 2").click()
    assert page.evaluate("said.opened") == [2]


def test_the_slider_asks_for_another_threshold(page: Any) -> None:
    show(page)
    page.get_by_role("slider").fill("0.95")
    page.locator("h2", has_text="Near (2)").wait_for()
    assert "threshold=0.95&" in page.evaluate("said.asked.at(-1)")
    assert page.get_by_role("slider").get_attribute("min") == "0.9"
    assert "away" in page.locator("figcaption").last.inner_text()  # a picture that is gone


def test_one_group_or_all_keep_their_largest_and_a_chained_picture_stays(page: Any) -> None:
    show(page)
    page.get_by_role("button", name="Keep the largest", exact=True).nth(1).click()
    page.get_by_text("Set aside as junk: 1 picture;").wait_for()
    place = {"do": "place", "status": "junk"}
    assert page.evaluate("said.posted") == [["api/decisions", {**place, "rows": [2]}]]
    page.get_by_role("button", name="Keep the largest of all groups").click()
    page.get_by_text("Dropped here: 2 pictures").wait_for()
    assert page.evaluate("said.posted[1]") == ["api/decisions", {**place, "rows": [9]}]
    assert page.get_by_label("Pictures that were dropped").input_value() == "2.jpg\n9.jpg"
    page.get_by_text("Dropped here").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.path().read_text() == "2.jpg\n9.jpg\n"


def test_all_groups_are_those_too_that_are_not_shown_yet(page: Any) -> None:
    page.evaluate("window.part = 1")
    show(page)
    page.get_by_role("button", name="Show more (1)").wait_for()
    page.get_by_role("button", name="Keep the largest of all groups").click()
    page.get_by_text("Dropped here: 2 pictures").wait_for()
    assert page.evaluate("said.posted.length") == 1


def test_what_cannot_be_written_is_said_and_nothing_counts_as_dropped(page: Any) -> None:
    show(page)
    page.evaluate("window.broken = true")
    page.get_by_role("button", name="Keep the largest of all groups").click()
    page.get_by_text("the disk is full").wait_for()
    assert page.locator(".dup-drops").is_hidden()
    assert json.dumps(page.evaluate("said.posted")) == "[]"


def test_without_any_that_is_said(page: Any) -> None:
    show(page, [])
    assert page.locator(".dup-said").inner_text() == "No pictures are that much alike."
    assert page.get_by_role("button", name="Keep the largest of all groups").is_disabled()
