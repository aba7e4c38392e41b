"""The review page in a browser: what a person does, and what the file of decisions holds then."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project, environment

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
CLOTHING = ROOT.parent / "shared/data/clothing"
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium")
FEW = 12  # photographs of each class
PATIENCE = 20_000  # milliseconds: the machine may be busy

Page = Any  # playwright's, which may be absent


class Review:
    """A server of the review page, and what the tests look up there."""

    def __init__(self, project: Project, dataset: str, browser: Any) -> None:
        self._folder, self._browser = project.folder, browser
        self.file = project.folder / f"review/{dataset}.jsonl"
        command = [sys.executable, "-m", "pages.review", dataset, "--no-open"]
        self._process = subprocess.Popen(
            command, cwd=project.folder, env=environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self._process.stdout
        self.address, said = "", ""
        for line in self._process.stdout:
            said += line
            if found := re.search(r"http://\S+/", line):
                self.address = found[0]
                break
        assert self.address, said
        self.opened: list[Any] = []
        self.errors: list[str] = []  # of the page's own code

    def open(self, hash: str = "", **context: Any) -> Page:
        """A tab of its own at that place of the page."""
        page = self.context(**context).new_page()
        page.set_default_timeout(PATIENCE)
        sync_api.expect.set_options(timeout=PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(self.address + hash)
        return page

    def context(self, **settings: Any) -> Any:
        self.opened.append(self._browser.new_context(**settings))
        return self.opened[-1]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path) as answer:
            return json.loads(answer.read())

    def groups(self) -> dict[str, Any]:
        return {group["key"]: group for group in self.get("api/groups?sort=size")["groups"]}

    def decisions(self) -> list[dict[str, Any]]:
        lines = self.file.read_text().splitlines()[1:] if self.file.exists() else []
        return [json.loads(line) for line in lines]

    def decide(self, **wish: Any) -> None:
        """As another tab would."""
        body = json.dumps(wish).encode()
        asked = urllib.request.Request(self.address + "api/decisions", body)
        asked.add_header("Content-Type", "application/json")
        urllib.request.urlopen(asked).close()

    def undo_all(self) -> None:
        while self.get("api/progress")["can_undo"]:
            self.decide(do="undo")

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.communicate()


def make(folder: Path, dataset: str) -> Project:
    """A project with a clustering of pixels, which takes no network and no weights."""
    project = Project(folder)
    row = {"from": "digits"}
    if dataset == "clothing":
        for kind in sorted((CLOTHING / "validation").iterdir()):  # a few of each, to be quick
            for photograph in sorted(kind.glob("*.jpg"))[:FEW]:
                (folder / "photographs" / kind.name).mkdir(parents=True, exist_ok=True)
                shutil.copy(photograph, folder / "photographs" / kind.name)
        row = {"from": "folder", "root": str(folder / "photographs"), "classes": 10}
    project.params["datasets"] = {dataset: row}
    project.index(dataset)
    project.embed(dataset)
    for stage in ("neighbors", "pca", "kmeans"):
        project.stage(stage, dataset, "pixels")
    return project


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def of_digits(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Review]:
    review = Review(make(tmp_path_factory.mktemp("digits"), "digits"), "digits", browser)
    yield review
    review.close()


@pytest.fixture
def review(of_digits: Review) -> Iterator[Review]:
    """That of digits, with nothing decided."""
    yield of_digits
    for context in of_digits.opened:
        context.close()
    of_digits.opened.clear()
    of_digits.undo_all()
    assert of_digits.errors == []


def done(page: Page, said: str) -> None:
    """Wait until the page says that something was done, which is in the file by then."""
    sync_api.expect(page.locator("#status")).to_contain_text(said, timeout=PATIENCE)


def card(page: Page, key: str) -> Any:
    return page.locator(f".cards > .card[data-key='{key}']")


def call(page: Page, key: str, name: str) -> None:
    """Name a group on its card."""
    field = card(page, key).locator("input.name")
    field.fill(name)
    field.press("Enter")
    card(page, f"n:{name}").wait_for()


def cells(page: Page) -> Any:
    return page.locator(".grid .cell:not([hidden])")


def largest(review: Review, many: int = 1) -> list[str]:
    return [key for key in review.groups() if key.startswith("c:")][:many]


def test_a_name_is_kept_and_taken_back_without_end(review: Review):
    (key,) = largest(review)
    page = review.open()
    call(page, key, "zero")
    assert [d["category"] for d in review.decisions()][-1] == "zero"
    call(page, "n:zero", "nought")
    page.keyboard.press("u")
    card(page, "n:zero").wait_for()
    page.keyboard.press("Control+z")
    card(page, key).wait_for()
    page.get_by_role("button", name="Redo").click()
    card(page, "n:zero").wait_for()
    page.keyboard.press("Control+Shift+Z")
    card(page, "n:nought").wait_for()
    page.reload()
    card(page, "n:nought").wait_for()


def test_two_clusters_become_one(review: Review):
    one, other = largest(review, 2)
    both = review.groups()[one]["size"] + review.groups()[other]["size"]
    page = review.open()
    call(page, one, "shape")
    card(page, other).get_by_role("button", name="Merge").click()
    page.get_by_role("combobox").and_(page.locator("dialog input")).wait_for()
    page.keyboard.type("shape")
    page.keyboard.press("Enter")
    card(page, other).wait_for(state="detached")
    assert review.groups()["n:shape"]["size"] == both


def test_two_clusters_without_a_name_become_one_of_the_name_that_is_asked_for(review: Review):
    one, other = largest(review, 2)
    both = review.groups()[one]["size"] + review.groups()[other]["size"]
    page = review.open()
    card(page, one).get_by_role("button", name="Merge").click()
    page.get_by_role("option", name=f"cluster {other[2:]} ").click()
    asked = page.get_by_role("dialog").get_by_role("combobox")
    sync_api.expect(asked).to_have_value(f"cluster {other[2:]} + {one[2:]}")
    page.keyboard.type("shape")  # what stands there is marked, so that one types over it
    page.keyboard.press("Enter")
    card(page, "n:shape").wait_for()
    assert review.groups()["n:shape"]["size"] == both
    page.keyboard.press("u")
    card(page, one).wait_for()


def test_what_is_typed_on_one_card_outlives_what_is_decided_on_another(review: Review):
    one, other = largest(review, 2)
    page = review.open()
    field = card(page, other).locator("input.name")
    field.click()
    page.keyboard.type("hal")
    review.decide(do="name", groups=[one], category="elsewhere")
    card(page, "n:elsewhere").wait_for()
    page.keyboard.type("f")
    page.keyboard.press("Enter")
    card(page, "n:half").wait_for()


def test_a_suggestion_is_accepted_or_dismissed_by_a_key(review: Review):
    page = review.open()
    asked = page.locator(".proposal").first.get_attribute("aria-label")
    same = page.locator(f".proposal[aria-label={json.dumps(asked)}]")
    page.locator(".proposal").first.focus()
    page.keyboard.press("d")
    sync_api.expect(same).to_have_count(0)
    page.reload()
    page.locator(".cards > .card").first.wait_for()
    sync_api.expect(same).to_have_count(0)
    page.evaluate("localStorage.clear()")
    page.reload()
    same.focus()
    page.keyboard.press("y")
    if asked.startswith("Are "):  # their name is asked for
        page.get_by_role("dialog").wait_for()
        page.keyboard.press("Enter")
    page.locator(".cards > .card[data-key^='n:']").first.wait_for()
    assert review.decisions()[-1]["do"] in ("name", "together")


def test_a_cluster_falls_into_two(review: Review):
    (key,) = largest(review)
    size, number = review.groups()[key]["size"], key[2:]
    page = review.open(f"#/group/{key}")
    page.get_by_role("button", name="Split").click()
    page.locator(".halves .cell").first.wait_for()
    assert len(review.decisions()) == 0 or review.decisions()[-1]["do"] == "undo"
    page.get_by_role("button", name="Split so").click()
    card(page, f"n:cluster {number} · a").wait_for()
    halves = [g for k, g in review.groups().items() if k.startswith(f"n:cluster {number} ·")]
    assert sum(half["size"] for half in halves) == size
    page.keyboard.press("u")
    card(page, key).wait_for()
    assert review.groups()[key]["size"] == size


def test_picked_pictures_move(review: Review):
    (key,) = largest(review)
    page = review.open(f"#/group/{key}")
    cells(page).nth(1).click()
    cells(page).nth(4).click(modifiers=["Shift"])
    sync_api.expect(page.locator(".bar")).to_contain_text("4 picked")
    cells(page).nth(2).click()
    page.get_by_role("button", name="New…").click()
    page.keyboard.type("odd")
    page.keyboard.press("Enter")
    done(page, "3 pictures to odd")
    assert review.groups()["n:odd"]["decided"] == 3
    cells(page).nth(0).click()
    page.keyboard.press("x")
    done(page, "1 picture marked as junk")
    page.goto(f"{review.address}#/group/s%3Ajunk")
    sync_api.expect(cells(page)).to_have_count(1)


def test_a_rectangle_picks_what_it_touches(review: Review):
    (key,) = largest(review)
    page = review.open(f"#/group/{key}")
    first, last = cells(page).nth(0).bounding_box(), cells(page).nth(2).bounding_box()
    page.mouse.move(first["x"] + 20, first["y"] + 20)
    page.mouse.down()
    page.mouse.move(last["x"] + 10, last["y"] + last["height"] + 25, steps=5)
    page.mouse.up()
    sync_api.expect(page.locator(".bar")).to_contain_text("6 picked")
    page.keyboard.press("Escape")
    sync_api.expect(page.locator(".bar")).to_be_hidden()


def test_everything_goes_by_keyboard(review: Review):
    page = review.open()
    page.locator(".card").first.wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("r")
    page.keyboard.type("written")
    page.keyboard.press("Enter")
    card(page, "n:written").wait_for()
    page.keyboard.press("ArrowRight")
    card(page, "n:written").focus()
    page.keyboard.press("Enter")
    cells(page).first.wait_for()
    for pressed in ("ArrowRight", "ArrowRight", "Space", "Shift+ArrowRight", "m"):
        page.keyboard.press(pressed)
    page.keyboard.type("other")
    page.keyboard.press("Enter")
    done(page, "2 pictures to other")
    page.keyboard.press("y")
    done(page, "to written")
    assert review.groups()["n:written"]["decided"] == review.groups()["n:written"]["size"]
    page.keyboard.press("?")
    sync_api.expect(page.get_by_role("dialog")).to_contain_text("undo")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url("**/#/audit")


def test_screen_readers_get_names(review: Review):
    (key,) = largest(review)
    page = review.open(f"#/group/{key}")
    path = review.get(f"api/rows?rows={review.groups()[key]['typical'][0]}")["path"][0]
    page.get_by_role("option", name=path).first.wait_for()
    for role in ("banner", "main", "navigation", "listbox", "status"):
        assert page.get_by_role(role).count(), role


def test_names_are_text(review: Review):
    (key,) = largest(review)
    page = review.open()
    name = "<img src=x onerror=\"document.title='caught'\"> & 'co' / #?"
    field = card(page, key).locator("input.name")
    field.fill(name)
    field.press("Enter")
    done(page, name)
    page.locator(".cards > .card").first.focus()
    found = page.locator(".card", has=page.locator("input.name")).filter(
        has=page.locator(f"a[aria-label={json.dumps('Open ' + name)}]")
    )
    found.locator("a.open").click()
    cells(page).first.wait_for()
    assert page.locator("input.name").input_value() == name
    assert page.title() != "caught"


def test_search_by_a_picture_and_by_a_file(review: Review, tmp_path: Path):
    (key,) = largest(review)
    row = review.groups()[key]["typical"][0]
    page = review.open(f"#/group/{key}")
    cells(page).first.click()
    page.get_by_role("button", name="Like this").click()
    page.wait_for_url(f"**/#/search?like={row}")
    cells(page).first.wait_for()
    review.decide(do="name", groups=[key], category="alike")
    done(page, "called alike")
    cells(page).first.click()
    page.keyboard.press("Enter")  # it is right as it is
    done(page, "1 picture to alike")
    with urllib.request.urlopen(f"{review.address}full/{row}") as answer:
        (tmp_path / "asked.webp").write_bytes(answer.read())
    page.set_input_files("input[type=file]", tmp_path / "asked.webp")
    page.get_by_role("heading", name="Like asked.webp").wait_for()
    cells(page).first.wait_for()
    (tmp_path / "torn.png").write_bytes(b"no picture")
    page.set_input_files("input[type=file]", tmp_path / "torn.png")
    page.locator("#status.failed").wait_for()


def test_a_lasso_fills_the_grid(review: Review):
    page = review.open("#/map?color=cluster")
    canvas = page.locator(".themap canvas").last
    page.get_by_role("img", name="coloured by cluster").wait_for()
    box = canvas.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.keyboard.down("Shift")
    reach = 0.2 * min(box["width"], box["height"])
    page.mouse.move(middle[0] - reach, middle[1] - reach)
    page.mouse.down()
    for x, y in ((1, -1), (1, 1), (-1, 1), (-1, -1)):
        page.mouse.move(middle[0] + x * reach, middle[1] + y * reach, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    cells(page).first.wait_for()
    found = page.locator(".lassoed .facts").text_content()
    cells(page).first.dblclick()
    page.locator("img.large").wait_for()
    page.go_back()
    cells(page).first.wait_for()
    assert page.locator(".lassoed .facts").text_content() == found
    cells(page).first.click()
    page.keyboard.press("q")
    done(page, "1 picture marked as unknown")


def test_the_map_has_colours_and_duplicates_a_threshold(review: Review):
    page = review.open("#/duplicates")
    page.get_by_role("slider").wait_for()
    page.goto(f"{review.address}#/map?color=doubt")
    page.get_by_role("img", name="coloured by doubt").wait_for()
    assert page.get_by_label("Colour", exact=True).input_value() == "doubt"


def test_an_audit_tells_a_share_with_its_interval(review: Review):
    for key in largest(review, 20):
        review.decide(do="name", groups=[key], category="digit")
    page = review.open("#/audit")
    share = page.get_by_role("group", name="So far")
    for answer, text in (("Enter", "100 % right"), ("1", "100 % right"), ("q", "67 % right")):
        page.get_by_role("heading", name="Is this “digit”?").wait_for()
        picture = page.locator("img.large").get_attribute("src")
        page.keyboard.press(answer)
        sync_api.expect(page.locator("img.large")).not_to_have_attribute("src", picture)
        sync_api.expect(share).to_contain_text(text)
    sync_api.expect(share).to_contain_text("from 3 of 100 answers")
    assert [d["do"] for d in review.decisions()[-3:]] == ["audit"] * 3


def test_questions_are_answered_by_numbers(review: Review):
    page = review.open("#/clusters")
    for key, name in zip(largest(review, 3), ("a", "b", "c"), strict=True):
        call(page, key, name)
    page.goto(f"{review.address}#/next")
    page.get_by_role("heading", name="What is this?").wait_for()
    page.keyboard.press("n")
    page.get_by_role("dialog").wait_for()
    page.keyboard.type("rare")
    page.keyboard.press("Enter")
    done(page, "1 picture to rare")
    page.get_by_role("button", name="Check a batch").click()
    cells(page).first.wait_for()
    cells(page).nth(0).click()
    cells(page).nth(1).click()
    page.get_by_role("button", name="Accept the others").click()
    page.get_by_role("heading", name="What are these 2?").wait_for()
    cells(page).nth(1).click()  # both were picked: only the first one still is
    page.keyboard.press("x")
    done(page, "1 picture marked as junk")
    page.get_by_role("heading", name="What are these 1?").wait_for()
    sync_api.expect(page.get_by_role("button", name="Accept the others")).to_be_disabled()
    page.keyboard.press("q")
    done(page, "1 picture marked as unknown")
    page.get_by_role("button", name="Sort the rest").first.click()
    page.get_by_role("button", name="Let Cairn sort the rest").click()
    page.locator("button:has-text('Sort again')").wait_for()


def test_back_works_and_the_address_holds_the_view(review: Review):
    (key,) = largest(review)
    page = review.open()
    card(page, key).locator("a.open").click()
    page.locator(".grid").wait_for()
    page.get_by_label("Order").select_option("doubt")
    page.wait_for_url("**order=doubt")
    cells(page).nth(1).dblclick()
    page.wait_for_url("**/#/image/*")
    page.keyboard.press("ArrowRight")
    page.reload()
    page.locator("img.large").wait_for()
    page.go_back()
    page.wait_for_url("**order=doubt")
    page.go_back()
    page.go_back()
    card(page, key).wait_for()


def test_two_tabs_are_in_step(review: Review):
    (key,) = largest(review)
    one, other = review.open(), review.open(f"#/group/{key}")
    cells(other).first.wait_for()
    call(one, key, "both")
    other.get_by_text("it was renamed or emptied").wait_for()
    other.goto(f"{review.address}#/clusters")
    card(other, "n:both").wait_for()
    one.keyboard.press("u")
    card(other, key).wait_for()


def test_a_telephone_shows_all_of_it(review: Review):
    (key,) = largest(review)
    narrow = {"viewport": {"width": 400, "height": 800}, "color_scheme": "dark"}
    page = review.open(**narrow, has_touch=True)
    for hash in ("clusters", f"group/{key}", f"group/{key}?split=2", "next", "audit", "moved"):
        page.goto(f"{review.address}#/{hash}")
        page.locator(".view :is(h1, .cell)").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), hash
    page.goto(f"{review.address}#/group/{key}")
    cells(page).first.tap()
    sync_api.expect(page.locator(".bar")).to_contain_text("1 picked")


@pytest.mark.skipif(not CLOTHING.is_dir(), reason="the clothing photographs are not beside this")
def test_photographs_are_looked_at_and_sorted(
    tmp_path_factory: pytest.TempPathFactory, browser: Any
):
    """Once through: names, a move, a split, undo, likeness, an answer of the audit, reload."""
    review = Review(make(tmp_path_factory.mktemp("clothing"), "clothing"), "clothing", browser)
    try:
        one, other = largest(review, 2)
        page = review.open()
        call(page, one, "shoes")
        card(page, "n:shoes").locator("a.open").click()
        page.locator(".cell img.here").first.wait_for()
        cells(page).first.click()
        page.keyboard.press("n")
        page.keyboard.type("hat")
        page.keyboard.press("Enter")
        done(page, "1 picture to hat")
        page.goto(f"{review.address}#/group/{other}?split=2")
        page.locator(".halves .cell").first.wait_for()
        page.get_by_role("button", name="Split so").click()
        card(page, f"n:cluster {other[2:]} · a").wait_for()
        page.keyboard.press("u")
        card(page, other).wait_for()
        page.goto(f"{review.address}#/search?like={review.groups()['n:hat']['typical'][0]}")
        cells(page).first.wait_for()
        page.goto(f"{review.address}#/audit")
        page.get_by_role("button", name="Unknown").click()
        page.get_by_text("from 1 of 100 answers").wait_for()
        page.goto(f"{review.address}#/clusters")
        page.reload()
        card(page, "n:shoes").wait_for()
        assert {"n:shoes", "n:hat", "s:unknown"} <= review.groups().keys()
        assert review.errors == []
        review.close()
        page.keyboard.press("u")
        done(page, "The server does not answer")
    finally:
        for context in review.opened:
            context.close()
        review.close()
