"""Groups of images that are the same, or nearly, on the review page."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import draw
from stored import digests

import store
from pages.review.duplicates import cosines, duplicates, first_of_same, read_alike, sizes_of
from pipeline.io.cell import Cell
from pipeline.params import StageError

CELL = Cell("d", "pixels")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(
    x: np.ndarray, numbers: list[int] | None = None, metric: str = "cosine", k: int = 3
) -> np.ndarray:
    """A store of vectors, float [image, dim], of images whose bytes are equal where their `numbers`
    are, and the table of neighbours; the rows in the index, which are even."""
    x, row = x.astype(np.float32), 2 * np.arange(len(x))
    ids, split = digests(numbers or range(len(x))), np.zeros(len(x), np.uint8)
    plan = store.Plan("d", "pixels", "0" * 32, x.shape[1], ["train"], ids, row, split)
    with store.FeatureWriter(CELL.features, plan) as writer:
        writer.put(writer.todo, x[writer.todo])
        writer.finish()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    like = {
        "cosine": unit @ unit.T,
        "euclidean": -np.linalg.norm(x[:, None] - x, axis=2),
    }[metric]
    np.fill_diagonal(like, -np.inf)
    near = np.argsort(-like, axis=1, kind="stable")[:, : min(k, len(x) - 1)]
    arrays = {
        "row": row,
        "split": split,
        "neighbor": row[near].astype(np.int32),
        "similarity": np.take_along_axis(like, near, axis=1).astype(np.float32),
    }
    attrs = {"dataset": "d", "backbone": "pixels", "metric": metric, "splits": ["train"]}
    store.save(CELL.neighbors, "neighbors", arrays, {**attrs, "dim": x.shape[1], "recall": 1.0})
    return row


def at(*degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def same_size(row: int) -> tuple[int, int, int]:
    return 10, 10, 100


def rows_of(found: dict[str, Any], kind: str) -> list[list[int]]:
    return [group["rows"] for group in found["groups"] if group["kind"] == kind]


def test_equal_bytes_are_exact_and_close_vectors_are_near() -> None:
    #      rows 0  2   4   6   8   10
    write(at(0, 0, 40, 42, 90, 42), [0, 0, 1, 2, 3, 2])
    found = duplicates(read_alike(CELL), 0.99, same_size)
    assert rows_of(found, "exact") == [[0, 2], [6, 10]]
    assert rows_of(found, "near") == [[4, 6]]  # of the exact ones the first stands for both
    assert (found["total"], found["exact"], found["near"], found["spare"]) == (3, 2, 1, 3)
    assert found["groups"][2]["similarity"] == [1, round(float(np.cos(np.deg2rad(2))), 4)]
    assert found["groups"][0]["similarity"] == [1, 1]


def test_a_lower_threshold_joins_more_and_a_chain_says_how_alike_its_ends_are() -> None:
    write(at(0, 10, 20, 80))
    alike = read_alike(CELL)
    assert duplicates(alike, 0.99, same_size)["groups"] == []
    (group,) = duplicates(alike, 0.98, same_size)["groups"]
    assert group["rows"] == [0, 2, 4]
    assert group["similarity"] == [1, 0.9848, 0.9397]  # the last, below .98, came by the second


def test_the_largest_picture_is_the_first_and_cosines_are_to_it() -> None:
    write(at(0, 10, 20))
    sizes = {0: (10, 10, 500), 2: (20, 10, 300), 4: (20, 10, 400)}
    (group,) = duplicates(read_alike(CELL), 0.98, sizes.__getitem__)["groups"]
    assert group["rows"] == [4, 2, 0]
    assert group["sizes"] == [[20, 10, 400], [20, 10, 300], [10, 10, 500]]
    assert group["similarity"] == [1, 0.9848, 0.9397]


def test_near_groups_are_the_components_of_a_plain_search() -> None:
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(12, 8)), 3, axis=0) + 0.15 * rng.normal(size=(36, 8))
    row = write(x, k=35)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    linked = unit @ unit.T >= 0.95
    reach = np.linalg.matrix_power(linked.astype(np.int64), 36) > 0
    wanted = {tuple(row[each].tolist()) for each in reach if each.sum() > 1}
    found = duplicates(read_alike(CELL), 0.95, same_size)
    assert {tuple(sorted(group)) for group in rows_of(found, "near")} == wanted
    assert len(wanted) > 3


def test_the_metric_of_the_neighbours_does_not_count() -> None:
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(6, 5)), 2, axis=0) + 0.1 * rng.normal(size=(12, 5))
    write(x, k=11)
    by_cosine = duplicates(read_alike(CELL), 0.95, same_size)
    write(x, k=11, metric="euclidean")
    assert duplicates(read_alike(CELL), 0.95, same_size) == by_cosine
    assert by_cosine["near"]


def test_stage_duplicates_knows_of_pairs_that_no_table_of_neighbours_holds() -> None:
    """Each of 8 alike has one neighbour in the table: pairs, until the leaders join them all."""
    row = write(at(*[0.0, 0.1] * 4), k=1)
    alone = duplicates(read_alike(CELL), 0.98, same_size)
    arrays = {"row": row, "leader": np.zeros(len(row), np.int64)}
    attrs = {"dataset": "d", "backbone": "pixels", "threshold": 0.98}
    store.save(CELL.duplicates, "duplicates", arrays, attrs)
    (group,) = duplicates(read_alike(CELL), 0.98, same_size)["groups"]
    assert group["rows"] == row.tolist()
    assert alone["near"] > 1


def test_sizes_are_those_of_the_files_and_none_of_one_that_is_gone(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", seed=0, side=24)
    Path("b.png").write_bytes(b"no picture")
    looked = list[str]()

    def read(name: str) -> bytes:
        looked.append(name)
        return (tmp_path / name).read_bytes()

    sizes = sizes_of(read, ["a.png", "gone.png", "b.png"])
    assert [tuple(sizes(row)) for row in (0, 1, 2)] == [
        (24, 24, (tmp_path / "a.png").stat().st_size), (0, 0, 0), (0, 0, 0),
    ]  # fmt: skip
    sizes(0)
    assert looked == ["a.png", "gone.png", "b.png"]
    assert tuple(sizes_of(lambda _: np.zeros((4, 6), np.uint8), ["x"])(0)) == (6, 4, 24)


def test_groups_come_in_pages() -> None:
    write(at(0, 1, 40, 42, 80, 83))
    alike = read_alike(CELL)
    every = duplicates(alike, 0.99, same_size)
    assert rows_of(every, "near") == [[0, 2], [4, 6], [8, 10]]  # the most alike first
    parts = [duplicates(alike, 0.99, same_size, start, 2) for start in (0, 2)]
    assert parts[0]["groups"] + parts[1]["groups"] == every["groups"]
    assert parts[1]["total"] == 3


def test_vectors_of_zeros_are_like_nothing() -> None:
    write(np.array([[1.0, 0], [2, 0], [0, 1]]))
    found = read_alike(CELL).found
    x = found.take(np.array([0, 1]))
    assert cosines(found, np.array([[0, 1]])).tolist() == [1]
    assert x.shape == (2, 2)
    assert cosines(found, np.zeros((0, 2), np.int64)).tolist() == []


def test_the_first_of_equal_digests_stands_for_them() -> None:
    assert first_of_same(digests([3, 1, 3, 0, 1])).tolist() == [0, 1, 0, 3, 1]
    assert first_of_same(digests([])).tolist() == []


@pytest.mark.parametrize("threshold", [0.5, 1.01, float("nan")])
def test_a_threshold_that_is_no_cosine_is_refused(threshold: float) -> None:
    write(at(0, 1))
    with pytest.raises(StageError, match=r"expected 0.9 to 1"):
        duplicates(read_alike(CELL), threshold, same_size)


def test_missing_neighbours_are_one_line() -> None:
    write(at(0, 1))
    CELL.neighbors.unlink()
    with pytest.raises(store.StoreError, match=r"neighbors.h5: no such file"):
        read_alike(CELL)
