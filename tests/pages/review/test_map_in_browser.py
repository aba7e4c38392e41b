"""The map of the review page in a browser: what is drawn, pointed at, selected and said."""

import colorsys
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from in_browser import SLOW, STATIC, browser, check, page_of

CORNERS = ("north-west", "north-east", "south-west", "south-east")  # of 50 points each


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Any, str]]:
    with browser() as found:
        yield found


@pytest.fixture
def page(shared: tuple[Any, str]) -> Iterator[Any]:
    with page_of(*shared) as page:
        yield page


def show(page: Any, count: int = 200, url: bool = False) -> None:
    check(page, "map", "show", {"count": count, "url": url})
    settle(page)


def settle(page: Any) -> None:
    page.evaluate("() => new Promise((done) => setTimeout(done, 200))")


def screen(page: Any) -> np.ndarray:
    """Where the points are when all are shown: float [point, 2], pixels of the page."""
    x, y = np.array(page.evaluate("[Array.from(x), Array.from(y)]"))
    box = page.locator(".map-stage").bounding_box()
    width, height = box["width"] - 2, box["height"] - 2  # without its border
    low, high = np.array([x.min(), y.min()]), np.array([x.max(), y.max()])
    room = np.array([width, height]) - 56
    scale = (room / (high - low)).min()
    middle = np.array([box["x"] + 1 + width / 2, box["y"] + 1 + height / 2])
    return (np.stack([x, y], 1) - (low + high) / 2) * scale + middle


def color_at(page: Any, x: float, y: float) -> str:
    """Of the points alone, as #rrggbb."""
    r, g, b = check(page, "map", "colorAt", [x, y])
    return f"#{r:02x}{g:02x}{b:02x}"


def lasso(page: Any, corners: list[tuple[float, float]]) -> None:
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in [*corners[1:], corners[0]]:
        page.mouse.move(*corner, steps=4)
    page.mouse.up()
    settle(page)


def around(places: np.ndarray, margin: float = 8) -> list[tuple[float, float]]:
    (x0, y0), (x1, y1) = places.min(axis=0) - margin, places.max(axis=0) + margin
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def alone(places: np.ndarray, group: slice) -> int:
    """A point of a group that has no other near it."""
    far = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(far, np.inf)
    own = np.arange(len(places))[group]
    return int(own[far.min(axis=1)[own].argmax()])


def test_points_lie_where_they_belong_in_the_colours_of_their_groups(page: Any) -> None:
    show(page)
    places = screen(page)
    light = page.evaluate("LIGHT")
    found = {color_at(page, *places[alone(places, slice(g, None, 4))]) for g in range(4)}
    assert found == set(light[:4])
    assert color_at(page, *places.mean(axis=0)) == "#ffffff"


def test_the_pointer_finds_the_nearest_point_and_a_click_says_which(page: Any) -> None:
    show(page)
    places = screen(page)
    one = alone(places, slice(2, None, 4))
    page.mouse.move(*places[one] + 1)
    page.mouse.move(*places.mean(axis=0))
    assert [row for row, _ in page.evaluate("said.hover")] == [10 * one, None]
    page.mouse.click(*places[one])
    page.mouse.click(*places.mean(axis=0))
    assert page.evaluate("said.click") == [10 * one]


@pytest.mark.parametrize("way", ["shift", "button"])
def test_a_lasso_gives_the_rows_within_and_escape_ends_it(page: Any, way: str) -> None:
    show(page)
    places = screen(page)
    if way == "shift":
        page.keyboard.down("Shift")
    else:
        page.get_by_role("button", name="Select by a lasso").click()
    lasso(page, around(places[1::4]))
    page.keyboard.up("Shift")
    is_array, rows = page.evaluate("said.lasso[0]")
    assert is_array
    assert rows == [10 * i for i in range(1, 200, 4)]
    other = places[alone(places, slice(0, None, 4))]
    assert color_at(page, *other) != page.evaluate("LIGHT[0]")  # set back
    page.locator(".map-over").focus()
    page.keyboard.press("Escape")
    settle(page)
    assert page.evaluate("said.lasso[1]") == [True, []]
    assert color_at(page, *other) in page.evaluate("LIGHT")


def test_a_lasso_of_any_shape_agrees_with_a_plain_loop(page: Any) -> None:
    """A star, which crosses itself: by the even-odd rule its middle is outside."""
    found, wanted = check(page, "map", "star")
    assert found == wanted
    assert 200 < len(found) < 1000


def test_the_nearest_point_is_that_of_a_plain_search(page: Any) -> None:
    assert check(page, "map", "searches") == 0


def test_zooming_in_shows_more_pictures_which_never_overlap(page: Any) -> None:
    asked = list[str]()
    page.on("request", lambda one: asked.append(one.url) if "/thumb/" in one.url else None)
    show(page, 2000, url=True)
    page.wait_for_timeout(300)
    before = len(asked)
    assert 0 < before < 40
    places = screen(page)
    page.mouse.move(*places[0::4].mean(axis=0))
    for _ in range(3):
        page.mouse.wheel(0, -200)
        settle(page)
    page.wait_for_timeout(300)
    assert len(asked) > before
    overlaps, most, counts = check(page, "map", "closer")
    assert overlaps == 0
    assert max(counts) <= most
    assert counts[0] < counts[1] < counts[2]


def test_panning_keeps_the_pictures_that_stay_in_sight(page: Any) -> None:
    first, second = check(page, "map", "moved")
    both = first.keys() & second.keys()
    assert len(both) > 20
    assert all(first[cell] == second[cell] for cell in both)


def test_colours_and_what_is_visible_can_change(page: Any) -> None:
    show(page)
    places = screen(page)
    one = alone(places, slice(0, None, 4))
    before = color_at(page, *places[one])
    page.evaluate("map.setColors(byNumber(x.map((at) => at), 'doubt', 'sure', 'doubtful'))")
    settle(page)
    assert color_at(page, *places[one]) != before
    assert "doubt" in page.locator(".map-legend").inner_text()
    said = page.locator("[role=img]").get_attribute("aria-label")
    assert "200 pictures, coloured by doubt" in said
    page.evaluate("map.setVisible(Uint8Array.from(x, (_, i) => i % 4 ? 1 : 0))")
    settle(page)
    assert color_at(page, *places[one]) == "#ffffff"


def test_the_legend_counts_and_switches_groups(page: Any) -> None:
    show(page)
    places = screen(page)
    one = alone(places, slice(3, None, 4))
    entries = page.locator(".map-legend-entry")
    assert sorted(entries.all_inner_texts()) == sorted(f"{name}\n50" for name in CORNERS)
    entry = page.get_by_role("button", name=re.compile("^south-east"))
    entry.click()
    page.mouse.move(*places[one])
    settle(page)
    assert entry.get_attribute("aria-pressed") == "false"
    assert color_at(page, *places[one]) == "#ffffff"
    assert page.evaluate("said.hover") == []
    page.get_by_title("Show only south-east").click()
    settle(page)
    assert color_at(page, *places[alone(places, slice(0, None, 4))]) == "#ffffff"
    page.get_by_title("Show all").first.click()


def test_keys_move_and_zoom_and_focus_finds_a_picture(page: Any) -> None:
    show(page)
    page.evaluate("map.focus(1230)")
    settle(page)
    page.locator(".map-over").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("said.click") == [1230]  # it is in the middle
    for key in ("ArrowLeft", "ArrowUp", "+", "-", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    assert page.evaluate("said.click[1]") == 1230
    page.keyboard.press("0")
    settle(page)
    places = screen(page)
    page.mouse.click(*places[alone(places, slice(1, None, 4))])
    assert page.evaluate("said.click[2]") == 10 * alone(places, slice(1, None, 4))


def test_two_fingers_zoom_about_the_place_between_them(page: Any) -> None:
    show(page)
    places = screen(page)
    middle = places[alone(places, slice(0, None, 4))]
    check(page, "map", "pinch", middle.tolist())
    settle(page)
    where = (places - middle) * 3 + middle  # three times closer
    inside = ((where > 60) & (where < [560, 540])).all(axis=1)
    for at in np.flatnonzero(inside)[:5].tolist():
        page.mouse.click(*where[at])
        assert page.evaluate("said.click.at(-1)") == 10 * at
    assert page.evaluate("said.click.length") == min(5, inside.sum()) > 0


@pytest.mark.parametrize("count", [0, 1])
def test_few_points_or_none_are_a_map_too(page: Any, count: int) -> None:
    show(page, count)
    page.evaluate("map.setThumbnailUrl((row) => `thumb/${row}`)")
    settle(page)
    assert f"Map of {count} pictures" in page.locator("[role=img]").get_attribute("aria-label")
    page.evaluate("map.destroy()")
    assert page.locator("#at").inner_html() == ""


def test_on_dark_the_colours_are_others_and_the_page_is_narrow(shared: tuple[Any, str]) -> None:
    options = {"color_scheme": "dark", "viewport": {"width": 400, "height": 700}}
    with page_of(*shared, **options) as page:
        page.add_style_tag(content=":root { color-scheme: light dark }")
        show(page)
        places = screen(page)
        found = color_at(page, *places[alone(places, slice(0, None, 4))])
        assert found in page.evaluate("DARK")
        parts = (".map-stage", ".map-legend")
        stage, legend = (page.locator(part).bounding_box() for part in parts)
        assert stage["width"] > 380
        assert legend["y"] >= stage["y"] + stage["height"]


def test_100_000_points_move(page: Any, capsys: pytest.CaptureFixture[str]) -> None:
    show(page, 100_000, url=True)
    each = check(page, "map", "dragged", 30)
    with capsys.disabled():
        print(f"\nmap: {each:.1f} ms a frame of 100,000 points while panned")
    assert each < SLOW / 30


def test_colours_of_groups_stay_apart_for_people_with_colour_blindness() -> None:
    """Machado et al. 2009 at full severity; distances in OKLab, of which .02 can be seen."""
    text = (STATIC / "map_colors.js").read_text()
    for name in ("LIGHT", "DARK"):
        line = re.search(rf"{name} = \[([^\]]*)", text)
        assert line
        colors = re.findall(r"#\w+", line[1])
        rgb = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in colors])
        assert len(rgb) == 10
        seen = rgb / 255
        linear = np.where(seen <= 0.04045, seen / 12.92, ((seen + 0.055) / 1.055) ** 2.4)
        for kind in ([1, 0, 0, 0, 1, 0, 0, 0, 1], *BLIND):
            lab = oklab(np.clip(linear @ np.reshape(kind, (3, 3)).T, 0, 1))
            far = np.linalg.norm(lab[:, None] - lab, axis=2)
            assert far[~np.eye(10, dtype=bool)].min() > 0.1
        assert len({round(colorsys.rgb_to_hsv(*c)[0], 1) for c in seen.tolist()}) > 4


BLIND = (
    [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
    [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881],
    [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900],
)


def oklab(linear: np.ndarray) -> np.ndarray:
    to_lms = [[0.4122215, 0.5363325, 0.051446], [0.2119035, 0.6806995, 0.1073970],
              [0.0883025, 0.2817188, 0.6299787]]  # fmt: skip
    to_lab = [[0.2104543, 0.793618, -0.004072], [1.9779985, -2.4285922, 0.4505937],
              [0.025904, 0.7827718, -0.8086758]]  # fmt: skip
    return np.cbrt(linear @ np.array(to_lms).T) @ np.array(to_lab).T
