"""Where the images lie on the map of the review page."""

import json
from pathlib import Path

import numpy as np
import pytest
from learning import CELL, call, write_all

import store
from pages.review.map_points import MapPoints, headers, map_points, normalized, packed
from pipeline.io.absent import mark
from pipeline.io.space import open_space
from pipeline.params import StageError

MAP = {"dims": (2, 3), "neighbors": 8, "epochs": 5, "min_dist": 0.1, "seed": 0}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(tmp_path)
    monkeypatch.chdir(tmp_path)


def test_the_places_are_those_of_the_map_in_two_dims() -> None:
    call(Path(), "map", MAP)
    with store.read(CELL.map, "map") as file:
        place, row = file["0/place"].astype(np.float64), file["row"]
    found = map_points(CELL)
    assert found.note == ""
    assert np.array_equal(found.row, row)
    extent = np.ptp(place, axis=0).max()
    np.testing.assert_allclose(np.diff(found.place, axis=0), np.diff(place, axis=0) / extent,
                               atol=1e-6)  # fmt: skip
    assert found.place.min() >= 0
    assert found.place.max() <= 1


def test_without_a_map_they_are_two_principal_components_and_a_note_says_how_to_get_one() -> None:
    found = map_points(CELL)
    assert "runs: map: [map]" in found.note
    assert "dvc repro" in found.note
    rows = open_space(CELL.features, CELL.pca).rows(2)
    np.testing.assert_allclose(found.place, normalized(rows.block(0, len(rows))))


@pytest.mark.parametrize(
    ("changes", "said"), [({"dims": (3,)}, "add 2 to map.dims"), ({}, "is of other images")]
)
def test_a_map_that_does_not_fit_is_not_shown_and_the_note_says_why(
    changes: dict, said: str
) -> None:
    call(Path(), "map", {**MAP, **changes})
    if not changes:
        with store.read(CELL.map, "map") as file:
            arrays = {name: file[name] for name in ("row", "split", "dims", "0/place", "1/place")}
            attrs = {name: file.attrs[name] for name in store.KINDS["map"].attributes}
        store.save(CELL.map, "map", {**arrays, "row": arrays["row"] + 1}, attrs)
    assert said in map_points(CELL).note
    assert "\n" not in map_points(CELL).note


def test_a_cell_that_cannot_be_has_no_map_and_the_reason_is_said() -> None:
    mark([CELL.map, CELL.pca], "no weights")
    with pytest.raises(StageError, match="no map of digits by pixels: no weights"):
        map_points(CELL)


def test_neither_map_nor_projections_is_one_line() -> None:
    CELL.pca.unlink()
    with pytest.raises(store.StoreError, match=r"pca.h5: no such file"):
        map_points(CELL)


def test_what_is_sent_can_be_read_back() -> None:
    found = map_points(CELL)
    sent = packed(found)
    (count,) = np.frombuffer(sent, "<u4", 1)
    x, y = np.frombuffer(sent, "<f4", 2 * count, 4).reshape(2, -1)
    assert np.array_equal(np.stack([x, y], 1), found.place)
    assert np.array_equal(np.frombuffer(sent, "<u4", offset=4 + 8 * count), found.row)


def test_a_note_travels_in_a_header_of_ascii() -> None:
    points = MapPoints(np.zeros((0, 2), np.float32), np.zeros(0, np.uint32), "Vögel: none")
    (said,) = headers(points).values()
    assert said.isascii()
    assert json.loads(said) == {"note": "Vögel: none"}
    assert headers(points._replace(note="")) == {}


def test_places_keep_their_proportions_and_lie_in_the_middle() -> None:
    place = np.array([[10.0, 0.0], [30.0, 5.0], [20.0, 10.0]])
    assert normalized(place).tolist() == [[0, 0.25], [1, 0.5], [0.5, 0.75]]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_images_that_all_lie_in_one_place_lie_in_the_middle(count: int) -> None:
    assert (normalized(np.full((count, 2), 7.0)) == 0.5).all()
