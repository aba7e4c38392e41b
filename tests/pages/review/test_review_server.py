"""Every endpoint of the review page, and what is said where something is wrong."""

import errno
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import runtime
from PIL import Image
from reviewed import N, png, write_project
from starlette.testclient import TestClient

import store
from pages.review.asked import choose
from pages.review.server.app import make_app
from pages.review.server.events import Events
from pages.review.server.served import Served
from pages.review.state import State
from pipeline.naming.proposals import Proposals, place, write_proposals
from pipeline.review.decisions import Place
from pipeline.review.journal import Journal, journal_of

TOKEN, PORT = "a-token", 4321
BASE = f"http://127.0.0.1:{PORT}"


class Page:
    """What a tab would do."""

    def __init__(self, run: str | None = None) -> None:
        self.told: list[tuple[str, dict[str, object]]] = []
        state = State(choose("birds", None, run), lambda *event: self.told.append(event))
        self.served = Served(state, runtime(workers=1))
        self.app = make_app(self.served, Events(), TOKEN, "127.0.0.1", PORT)
        self.client = TestClient(self.app, base_url=BASE, raise_server_exceptions=False)

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.client.get(f"/{TOKEN}/{path}")
        assert answer.status_code == status, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        answer = self.client.post(f"/{TOKEN}/{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def decide(self, answers: int = 200, **wish: Any) -> Any:
        return self.post("api/decisions", wish, answers)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path)
    found = Page()
    yield found
    found.served.thumbnails.stop()


def lines() -> list[str]:
    path = journal_of("birds")
    return path.read_text().splitlines() if path.exists() else []


def test_about_says_what_is_looked_at_and_what_is_missing(page: Page):
    about = page.get("api/about")
    assert about["dataset"] == "birds"
    assert (about["backbone"], about["run"], about["folder"]) == ("pixels", "kmeans", "clusters")
    assert (about["images"], about["k"], about["version"]) == (N, 4, 0)
    assert [run["key"] for run in about["runs"]] == ["clusters/kmeans", "clusters/overcluster"]
    assert about["has"]["neighbors"]
    assert about["has"]["embed"]
    assert not about["has"]["map"]
    assert any("dvc repro map" in note for note in about["notes"])
    assert any("dvc repro duplicates" in note for note in about["notes"])
    assert not any("\n" in note for note in about["notes"])


def test_groups_are_the_clusters_and_their_pages_hold_every_picture_once(page: Page):
    groups = page.get("api/groups")["groups"]
    assert sum(each["size"] for each in groups) == N
    assert [each["size"] for each in groups] == sorted((g["size"] for g in groups), reverse=True)
    rows: list[int] = []
    for each in groups:
        for offset in range(0, each["size"], 7):
            part = page.get(f"api/group?key={each['key']}&limit=7&offset={offset}")
            assert len(part["rows"]) == len(part["status"]) == len(part["doubt"])
            rows += part["rows"]
        assert each["typical"] == page.get(f"api/group?key={each['key']}")["rows"][:12]
    assert sorted(rows) == list(range(N))


@pytest.mark.parametrize("order", ["typical", "doubt", "like:5"])
def test_an_order_has_every_picture_of_the_group(page: Page, order: str):
    key = page.get("api/groups")["groups"][0]["key"]
    found = page.get(f"api/group?key={key}&order={order}")
    assert sorted(found["rows"]) == sorted(page.get(f"api/group?key={key}")["rows"])
    if order == "doubt":
        assert found["doubt"] == sorted(found["doubt"], reverse=True)


def test_a_picture_is_most_like_itself(page: Page):
    found = page.get("api/search?like=7&n=5")
    assert found["rows"][0] == 7
    assert found["similarity"] == sorted(found["similarity"], reverse=True)
    assert {row % 3 for row in found["rows"]} == {1}
    image = page.get("api/image?row=7")
    assert image["path"] == "07.png"
    assert (image["width"], image["height"]) == (16, 12)
    assert {row % 3 for row in image["neighbors"]} == {1}
    assert page.get("api/rows?rows=7,8")["path"] == ["07.png", "08.png"]


def test_a_file_that_is_dropped_on_the_page_is_embedded_by_the_same_backbone(page: Page):
    raw = (Path("pictures") / "07.png").read_bytes()
    headers = {"content-type": "application/octet-stream"}
    found = page.client.post(f"/{TOKEN}/api/search", content=raw, headers=headers).json()
    assert found["rows"][0] == 7
    assert found["similarity"][0] > 0.999
    wrong = page.client.post(f"/{TOKEN}/api/search", content=b"no picture", headers=headers)
    assert wrong.status_code == 415
    assert "\n" not in wrong.json()["error"]


def test_names_are_proposed_for_any_seed_by_the_images_in_common(page: Page):
    cell = page.served.state.collection.cell
    seed = page.served.state.collection.clustering.seed
    words = [[(f"word {c}", 0.9), ("thing", 0.1)] for c in range(4)]
    write_proposals(place(cell, "kmeans"), Proposals((0, 1)[seed], 4, "nobody", words))
    about = page.post("api/open", {"backbone": "pixels", "run": "clusters/kmeans"})
    assert about["has"]["names"]
    for each in page.get("api/groups")["groups"]:
        assert each["proposals"] == [f"word {each['key'][2:]}", "thing"]
    page.post("api/open", {"backbone": "pixels", "run": "clusters/kmeans", "setting": 1})
    for each in page.get("api/groups")["groups"]:
        assert each["proposals"][0].startswith("word ")


def test_words_need_a_text_tower(page: Page):
    assert "no text tower" in page.get("api/search?text=bird", 409)["error"]


def test_a_name_makes_a_category_and_undo_takes_it_back(page: Page):
    key = page.get("api/groups")["groups"][0]["key"]
    size = page.get(f"api/group?key={key}")["size"]
    said = page.decide(do="name", groups=[key], category="  a   dark one ")
    assert said["said"] == f"cluster {key[2:]} called a dark one"
    assert said["progress"]["cluster"] == size
    assert said["can_undo"]
    assert page.get("api/group?key=n:a dark one")["size"] == size
    page.get(f"api/group?key={key}", 404)
    assert page.decide(do="undo")["said"].startswith("took back: ")
    assert page.get(f"api/group?key={key}")["size"] == size
    again = page.decide(do="redo")
    assert again["categories"] == ["a dark one"]
    assert len(lines()) == 4
    assert page.told[-1] == ("changed", {"version": 3, "said": again["said"]})


def test_clusters_of_one_name_are_merged_and_a_category_renamed_into_another(page: Page):
    one, other, third = (each["key"] for each in page.get("api/groups")["groups"][:3])
    page.decide(do="name", groups=[one, other], category="x")
    assert len(page.get("api/group?key=n:x")["clusters"]) == 2
    page.decide(do="name", groups=[third], category="y")
    page.decide(do="rename", category="y", to="x")
    assert len(page.get("api/group?key=n:x")["clusters"]) == 3
    said = page.decide(do="name", groups=["n:x", one], category="z")["said"]
    assert said == f"x called z; cluster {one[2:]} called z"
    page.decide(do="undo")
    assert page.get("api/progress")["categories"] == ["x"]
    page.decide(do="redo")
    assert page.get("api/progress")["categories"] == ["z"]
    page.decide(do="name", groups=["n:z"], category=None)
    assert page.get("api/progress")["categories"] == []


def test_pictures_are_placed_by_the_digest_of_their_bytes(page: Page):
    page.decide(do="place", rows=[3, 5], status="decided", category="Käfer <b>")
    page.decide(do="place", rows=[6], status="junk")
    page.decide(do="place", rows=[7], status="unknown")
    progress = page.get("api/progress")
    assert [progress[name] for name in ("decided", "junk", "unknown")] == [2, 1, 1]
    assert page.get("api/group?key=n:Käfer <b>")["rows"] in ([3, 5], [5, 3])
    assert page.get("api/group?key=s:junk")["rows"] == [6]
    digest = page.served.state.collection.clustering.digest
    assert json.loads(lines()[1])["images"] == [digest[3], digest[5]]
    assert page.get("api/rows?rows=3,6,7,8")["status"] == "djun"
    page.decide(do="place", rows=[3], status="undecided")
    assert page.get("api/progress")["decided"] == 1


def test_two_halves_of_a_split_are_two_categories(page: Page):
    key = page.get("api/groups")["groups"][0]["key"]
    whole = page.get(f"api/group?key={key}")["rows"]
    parts = page.post("api/split", {"key": key, "parts": 2})["parts"]
    assert sorted(row for part in parts for row in part) == sorted(whole)
    of = [
        {"do": "place", "rows": part, "status": "cluster", "category": name}
        for name, part in zip("ab", parts, strict=True)
    ]
    assert page.decide(do="together", of=of)["version"] == 1
    assert page.get("api/group?key=n:a")["size"] == len(parts[0])
    assert page.get("api/progress")["cluster"] == len(whole)
    page.decide(do="undo")
    assert page.get(f"api/group?key={key}")["rows"] == whole


def test_of_what_is_decided_together_all_or_nothing_is_kept(page: Page):
    right = {"do": "place", "rows": [1], "status": "decided", "category": "a"}
    for wrong in ({"do": "undo"}, {**right, "rows": [N]}, {**right, "category": " "}):
        page.decide(400, do="together", of=[right, wrong])
    page.decide(400, do="together", of=[])
    assert lines() == []


def test_the_map_can_have_the_colours_of_the_labels_that_a_dataset_came_with(page: Page):
    assert not page.get("api/about")["has"]["labels"]
    assert "no labels" in page.get("api/colors?by=label", 404)["error"]
    label, said = np.arange(N, dtype=np.int32) % 3 - 1, {"dataset": "birds", "classes": ["a", "b"]}
    store.save(page.served.state.collection.cell.labels, "labels", {"label": label}, said)
    assert page.get("api/about")["has"]["labels"]
    found = page.get("api/colors?by=label")
    assert (found["title"], found["names"]) == ("true label", ["a", "b"])
    assert found["value"] == label.tolist()
    said = {"dataset": "birds", "classes": []}
    store.save(page.served.state.collection.cell.labels, "labels", {"label": label}, said)
    assert not page.get("api/about")["has"]["labels"]


def test_suggestions_and_what_to_look_at_next_are_groups_and_rows_that_there_are(page: Page):
    keys = {each["key"] for each in page.get("api/groups")["groups"]}
    found = page.get("api/suggestions")
    assert {key for each in found["merges"] for key in each["groups"]} <= keys
    assert {each["group"] for each in found["splits"]} <= keys
    items = page.get("api/next?n=5")["items"]
    assert len({item["row"] for item in items}) == 5
    page.decide(do="place", rows=[items[0]["row"]], status="decided", category="a")
    assert items[0]["row"] not in [item["row"] for item in page.get("api/next?n=60")["items"]]


def test_the_rest_is_sorted_by_what_was_decided(page: Page):
    assert page.post("api/sort_rest", {})["moves"] == []
    for shade in range(3):
        rows = list(range(shade, 30, 3))
        page.decide(do="place", rows=rows, status="decided", category=f"shade {shade}")
    moves = page.post("api/sort_rest", {})["moves"]
    assert sum(len(move["rows"]) for move in moves) == 30
    for move in moves:
        assert {f"shade {row % 3}" for row in move["rows"]} == {move["to"]}
        page.decide(do="place", rows=move["rows"], status="cluster", category=move["to"])
    batch = page.get("api/next?kind=batch&n=4")
    assert [len(sheet["rows"]) for sheet in batch["items"]] == [4] * len(batch["items"])
    assert len(batch["items"]) == 3
    assert len(batch["rows"]) == 4
    assert {f"shade {row % 3}" for row in batch["rows"]} == {batch["category"]}


def test_an_audit_counts_right_labels(page: Page):
    page.decide(do="place", rows=list(range(N)), status="cluster", category="a")
    first = page.get("api/audit")
    assert len(first["sample"]) == first["size"] == N
    assert first["interval"] == [0, 1]
    for at, row in enumerate(first["sample"][:10]):
        name = "b" if at < 2 else "a"
        found = page.post("api/audit", {"row": row, "status": "decided", "category": name})
    assert (found["answered"], found["right"]) == (10, 8)
    assert found["interval"][0] < 0.8 < found["interval"][1]
    assert not set(first["sample"][:10]) & set(found["sample"])


def test_pictures_are_small_squares_and_whole_ones(page: Page):
    rows = page.get("api/about")["rows"]
    small = page.get(f"thumb/4.webp?v={rows}")
    assert Image.open(io.BytesIO(small.content)).size == (12, 12)
    assert "immutable" in small.headers["cache-control"]
    assert "no-store" in page.get("thumb/4.webp?v=other").headers["cache-control"]
    whole = page.get("full/4")
    assert Image.open(io.BytesIO(whole.content)).size == (16, 12)


@pytest.mark.parametrize("how", ["gone", "other", "broken"])
def test_a_picture_that_is_gone_is_a_grey_square_and_a_line(page: Page, how: str):
    page.served.thumbnails.stop()
    path = Path("pictures/04.png")
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(png(np.zeros((9, 9, 3), np.uint8)) if how == "other" else b"\x89PNG")
    found = page.get("full/4")
    assert "no-store" in found.headers["cache-control"]
    assert found.headers["x-note"]
    assert page.get("api/image?row=4")["note"]


def test_the_map_is_coloured_by_a_number_of_each_picture(page: Page):
    page.decide(do="place", rows=[4], status="decided", category="a")
    page.decide(do="place", rows=[5], status="junk")
    for by in ("cluster", "name", "split", "doubt"):
        found = page.get(f"api/colors?by={by}")
        assert len(found["value"]) == N
        assert max(found["value"]) < len(found.get("names", range(256)))
    by_name = page.get("api/colors?by=name")
    assert by_name["names"] == ["a", "unknown", "junk"]
    assert by_name["value"][3:7] == [-1, 0, 2, -1]
    page.get("api/colors?by=colour", 400)


def test_the_map_has_a_place_for_each_row_and_duplicates_are_rows(page: Page):
    basis = {"mean": np.zeros(192), "components": np.eye(192)[:2], "variance": np.ones(2)}
    said = {"dataset": "birds", "backbone": "pixels", "normalize": False, "whiten": False}
    cell = page.served.state.collection.cell
    store.save(cell.pca, "pca", basis, {**said, "images": N})
    found = page.get("api/map")
    assert "runs: map" in found.headers["x-note"]
    assert np.frombuffer(found.content[:4], "<u4") == N
    assert np.frombuffer(found.content[-4 * N :], "<u4").tolist() == list(range(N))
    found = page.get("api/duplicates?threshold=0.9&n=1")
    (group,) = found["groups"]
    assert {row % 3 for row in group["rows"]} == {group["rows"][0] % 3}
    assert group["sizes"][0][:2] == [16, 12]
    page.get("api/duplicates?threshold=x", 400)


def test_another_clustering_keeps_what_was_decided(page: Page):
    key = page.get("api/groups")["groups"][0]["key"]
    page.decide(do="name", groups=[key], category="named")
    page.decide(do="place", rows=[1, 2], status="decided", category="a")
    about = page.post("api/open", {"backbone": "pixels", "run": "clusters/overcluster"})
    assert (about["run"], about["k"], about["categories"][0]) == ("overcluster", 6, "a")
    assert page.told[-1] == ("opened", {})
    assert page.get("api/rows?rows=1,2")["label"] == ["a", "a"]
    moved = page.get("api/moved")
    assert moved["since"]["run"] == "pixels clusters/kmeans"
    assert all(move["from"] != move["to"] for move in moved["moves"])
    page.post("api/open", {"backbone": "pixels", "run": "clusters/kmeans", "setting": 1})
    assert page.get("api/about")["k"] == 3


def test_what_moved_since_the_last_look_is_told_by_category(page: Page):
    page.decide(do="place", rows=[1, 2, 3], status="cluster", category="a")
    page.served.state.close()
    same = Page()
    assert same.get("api/moved") == {"since": None, "moves": []}
    same.served.thumbnails.stop()
    other = Page("overcluster")
    other.decide(do="place", rows=[2, 3, 4], status="cluster", category="b")
    other.decide(do="place", rows=[9], status="junk")
    other.decide(do="rename", category="a", to="c")
    found = other.get("api/moved")
    for row, name in ((2, "b"), (3, "c")):  # right, and back
        other.decide(do="place", rows=[row], status="decided", category=name)
    left = other.get("api/moved")["moves"]
    other.served.thumbnails.stop()
    assert found["since"]["run"] == "pixels clusters/kmeans"
    moves = {(move["from"], move["to"]): move["rows"] for move in found["moves"]}
    # What was renamed did not move, and what a person said himself is no news
    assert moves == {("c", "b"): [2, 3], (None, "b"): [4]}
    assert left == [{"from": None, "to": "b", "rows": [4]}]


def test_a_name_that_was_taken_back_since_has_moved_nothing(page: Page):
    page.decide(do="place", rows=[1, 2, 3], status="cluster", category="a")
    page.decide(do="rename", category="a", to="b")
    page.served.state.close()
    other = Page("overcluster")
    assert other.get("api/moved")["moves"] == []
    other.decide(do="undo")
    found = other.get("api/moved")["moves"]
    other.served.thumbnails.stop()
    assert found == []


def test_what_another_process_decides_is_seen(page: Page):
    digest = page.served.state.collection.clustering.digest
    other = Journal(journal_of("birds"), "birds")
    other.append(Place(images=(digest[0],), status="junk"))
    assert page.served.state.refresh()
    assert page.get("api/progress")["junk"] == 1
    assert page.told[-1][1]["said"] == "1 picture marked as junk"


WRONG = {
    "no json": ("api/decisions", "{", 400),
    "no decision": ("api/decisions", {"do": "erase"}, 400),
    "a row too many": (
        "api/decisions", {"do": "place", "rows": [0, N], "status": "junk"}, 400
    ),
    "a row below 0": ("api/decisions", {"do": "place", "rows": [-1], "status": "junk"}, 400),
    "no rows": ("api/decisions", {"do": "place", "rows": [], "status": "junk"}, 400),
    "rows as text": ("api/decisions", {"do": "place", "rows": ["1"], "status": "junk"}, 400),
    "no category": ("api/decisions", {"do": "place", "rows": [1], "status": "decided"}, 400),
    "junk of a category": (
        "api/decisions", {"do": "place", "rows": [1], "status": "junk", "category": "a"}, 400
    ),
    "an empty name": ("api/decisions", {"do": "rename", "category": "a", "to": " "}, 400),
    "a long name": (
        "api/decisions",
        {"do": "place", "rows": [1], "status": "decided", "category": "y" * 201}, 400,
    ),
    "a name that cannot be shown": (
        "api/decisions",
        {"do": "place", "rows": [1], "status": "decided", "category": "a\u0000"}, 400,
    ),
    "a group that is not there": (
        "api/decisions", {"do": "name", "groups": ["c:99"], "category": "a"}, 404
    ),
    "a category that is not there": (
        "api/decisions", {"do": "rename", "category": "a", "to": "b"}, 404
    ),
    "nothing to undo": ("api/decisions", {"do": "undo"}, 409),
    "nothing to redo": ("api/decisions", {"do": "redo"}, 409),
    "a split of nothing": ("api/split", {"key": "n:none"}, 404),
    "a split in one": ("api/split", {"key": "c:0", "parts": 1}, 400),
    "no run": ("api/open", {"backbone": "pixels", "run": "clusters/kmean"}, 409),
    "a run elsewhere": ("api/open", {"backbone": "pixels", "run": "../../x"}, 409),
    "a backbone elsewhere": ("api/open", {"backbone": "../..", "run": "clusters/kmeans"}, 409),
    "no setting": ("api/open", {"backbone": "pixels", "run": "clusters/kmeans", "setting": 9}, 409),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_one_line_and_decides_nothing(page: Page, what: str):
    path, body, status = WRONG[what]
    headers = {"content-type": "application/json"}
    text = body if isinstance(body, str) else json.dumps(body)
    answer = page.client.post(f"/{TOKEN}/{path}", content=text, headers=headers)
    assert answer.status_code == status, answer.text
    assert "\n" not in answer.json()["error"]
    assert lines() == []
    assert page.get("api/progress")["version"] == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("api/group", 400), ("api/group?key=c:99", 404), ("api/group?key=c:0&order=x", 400),
        ("api/group?key=c:0&order=like:999", 404), ("api/group?key=c:0&offset=-1", 400),
        ("api/group?key=c:0&limit=9999", 400), ("api/groups?sort=x", 400),
        ("api/image?row=60", 400), ("api/image", 400), ("api/rows?rows=1,x", 400),
        ("api/rows?rows=60", 400), ("api/search", 400), ("api/search?text=%20", 400),
        ("api/next?kind=x", 400), ("api/nothing", 404), ("thumb/60.webp", 404),
        ("thumb/x.webp", 404), ("full/..%2f..%2fparams.yaml", 404), ("static/%2e%2e/app.py", 404),
        ("static/../server/app.py", 404),
    ],
)  # fmt: skip
def test_wrong_questions_are_one_line(page: Page, path: str, status: int):
    assert "\n" not in page.get(path, status)["error"]


def test_a_full_disk_is_said_and_nothing_changes(page: Page, monkeypatch: pytest.MonkeyPatch):
    page.decide(do="place", rows=[1], status="junk")

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        said = page.decide(507, do="place", rows=[2], status="junk")
    assert "the disk is full; all that was decided before is kept" in said["error"]
    assert page.get("api/progress")["junk"] == 1
    assert page.decide(do="place", rows=[2], status="junk")["progress"]["junk"] == 2


def test_a_review_file_that_is_damaged_meanwhile_is_named_and_left_alone(page: Page):
    page.decide(do="place", rows=[1], status="junk")
    path = journal_of("birds")
    sound = path.read_bytes()
    with path.open("a") as file:
        file.write("nonsense\n")
    before = path.read_bytes()
    assert "line 3 is no decision" in page.decide(500, do="undo")["error"]
    assert page.get("api/progress")["junk"] == 1
    assert any("line 3" in note for note in page.get("api/about")["notes"])
    assert path.read_bytes() == before
    path.unlink()
    path.write_bytes(sound)
    assert page.decide(do="undo")["progress"]["junk"] == 0
