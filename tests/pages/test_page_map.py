"""The map of the best clustering on the page: dots, pictures at dense places, labels."""

import re
from pathlib import Path

import numpy as np
import pytest
from clustered import N, write_clusters, write_dataset
from reported import Tags, evaluate, report, text_of

import stages.map_examples
import store
from pages.report.charts.svg import COLOURS
from pages.report.chosen.dense import dense
from pages.report.pictures.map import _labels, path, tones
from pipeline.fitting.map import save_map
from pipeline.io.cell import Cell

CELL = Cell("d", "pixels")
ASKING = {"datasets": {"d": {"from": "digits"}}, "runs": {"map": ["map"], "names": []}}


def lay(points: int = 1000) -> None:
    """A map of two heaps, chosen for the page."""
    rng = np.random.default_rng(0)
    place = (rng.normal(size=(N, 2)) + 9 * (np.arange(N)[:, None] % 2)).astype(np.float32)
    facts = {"metric": "cosine", "neighbors": 5, "min_dist": 0.1, "seed": 0}
    save_map(CELL.map, store.Features(CELL.features), {2: place}, **facts)
    params = stages.map_examples.Params(points=points, pictures=9, across=20, seed=0)
    stages.map_examples.main(CELL._replace(run="map_examples"), params)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d")
    evaluate("d")
    lay()
    return tmp_path


def drawn(page: str) -> str:
    (figure,) = re.findall(r'<figure class="map".*?</figure>', page, re.S)
    return figure


def test_the_map_stands_before_the_cards_and_is_whole_in_itself():
    page = report(asking=ASKING)
    figure = drawn(page)
    assert page.index("Best clustering") < page.index(figure) < page.index('<div class="cards"')
    tags = Tags(page)
    assert not tags.open
    images = [a for tag, a in tags.found if tag == "image"]
    assert len(images) == 9
    assert all(str(a["href"]).startswith("data:image/webp;base64,") for a in images)
    assert set(re.findall(r'stroke="([^"]+)"', figure)) <= {f"var(--s{i})" for i in range(COLOURS)}
    assert [int(c) for c in re.findall(r"<text[^>]*>(\d+)</text>", figure)]
    assert "All 120 images of train, a dot each" in text_of(figure)
    assert "drawn at random" not in figure


def test_of_a_sample_the_caption_says_so():
    lay(points=30)
    assert re.search(r"\d\d of 120 images of train, drawn at random", drawn(report(asking=ASKING)))


def test_a_map_that_was_taken_out_is_not_shown():
    assert 'class="map"' not in report(asking={**ASKING, "runs": {"map": []}})
    assert 'class="map"' not in report(asking={**ASKING, "runs": {}})


def test_without_pictures_the_dots_are_there_alone():
    page = report(asking={**ASKING, "datasets": {"d": {"from": "folder", "root": "gone"}}})
    assert "<image" not in drawn(page)
    assert "Pictures:" not in text_of(drawn(page))
    assert "m" in drawn(page)


def test_twenty_thousand_images_fit_in_the_budget_of_a_page():
    place = np.random.default_rng(0).random((20_000, 2)) * 1000
    assert sum(len(path(place[i::8])) for i in range(8)) < 200_000


def test_a_path_is_each_place_once():
    place = np.array([[3.2, 4.4], [3, 4], [10, 2], [500, 700], [2, 9]])
    at, out = np.zeros(2, int), []
    for x, y in re.findall(r"m(-?\d+) ?(-?\d+)h0", path(place)):
        at += (int(x), int(y))
        out.append(tuple(at.tolist()))
    assert sorted(out) == [(2, 9), (3, 4), (10, 2), (500, 700)]
    assert len(out) == path(place).count("h0")
    assert path(np.zeros((0, 2))) == ""


def test_pictures_stand_where_the_map_is_densest_and_do_not_overlap():
    rng = np.random.default_rng(1)
    place = np.concatenate([rng.random((300, 2)), 0.52 + rng.random((200, 2)) / 20])
    found = dense(place, 10, 100)
    assert place[found[0]].min() > 0.5
    assert place[found[0]].max() < 0.6
    apart = np.abs(place[found][:, None] - place[found]).max(axis=2)
    np.fill_diagonal(apart, 1)
    assert apart.min() > 1 / 10
    assert dense(place, 10, 3).tolist() == found[:3].tolist()
    assert dense(place[:0], 10, 3).tolist() == []


def test_the_picture_of_a_field_is_the_one_nearest_to_its_middle():
    place = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.9, 0.9]])
    assert dense(place, 2, 1).tolist() == [1]  # the other fields are beside or diagonal
    assert dense(place, 3, 9).tolist() == [1, 3]


def test_near_clusters_have_different_colours():
    line = np.stack([np.arange(12.0), np.zeros(12)], axis=1)
    size = np.arange(12)[::-1] + 1
    found = tones(line, size)
    assert sorted(found[:8]) == list(range(8))  # each colour before one comes again
    assert (found[1:] != found[:-1]).all()
    line[3], size[3] = np.nan, 0
    assert len(np.unique(tones(line, size)[size > 0])) == 8


def test_labels_cover_no_picture_where_there_is_room_and_never_a_label():
    none, high = np.zeros((0, 4)), np.array([1000.0, 600])
    center, size = np.array([[100.0, 100], [102, 100], [500, 500]]), np.array([5, 9, 7])
    found = _labels(center, size, {0: "shirt"}, none, high)
    assert [(one.text) for one in found] == ["1", "2", "shirt"]
    assert (found[0].x, found[0].y) == (102, 100)
    picture = np.array([[90.0, 90, 120, 120]])
    beside = _labels(center[1:2], size[1:2], {}, picture, high)[0]
    assert (beside.x, beside.y) != (102, 100)
    long = dict.fromkeys(range(40), "x" * 60)
    full = _labels(np.full((40, 2), 300.0), np.ones(40, int), long, none, high)
    assert 1 <= len(full) < 40  # the others have no room
    assert full[0].text == "x" * 23 + "…"
    (edge,) = _labels(np.array([[999.0, 1]]), size[:1], {0: "shirt"}, none, high)
    assert (edge.x, edge.y) == (960, 15)  # inside of the map
