"""`python -m bench review`, on a small dataset, and how its person counts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustered import write_dataset

import bench.review
import store
from bench._reviewer import Person, Plan, plan_for, review, selections
from cluster.suggest.space import make_space
from cluster.vectors.rows import ArrayRows
from pipeline.io.cell import Cell


def heaps(seed: int = 0) -> tuple[Person, tuple[np.ndarray, np.ndarray]]:
    """Five heaps of images that overlap a little, and their neighbours."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(5), 40)
    x = (np.eye(5, 12)[truth] + 0.35 * generator.normal(size=(200, 12))).astype(np.float32)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -9)
    near = np.argsort(-cosine, axis=1)[:, :10].astype(np.int32)
    table = near, np.take_along_axis(cosine, near, axis=1)
    return Person(make_space(ArrayRows(x), near, neighbors=10), truth), table


def write_neighbors(folder: Path, dataset: str) -> None:
    """The 20 nearest of every image, by all pairs."""
    cell = Cell(dataset, "pixels")
    found = store.Features(folder / cell.features)
    x = found.block(0, len(found))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cosine = x @ x.T
    np.fill_diagonal(cosine, -9)
    near = np.argsort(-cosine, axis=1, kind="stable")[:, :20]
    arrays = {"row": found.row, "split": found.split, "neighbor": found.row[near].astype(np.int32)}
    arrays["similarity"] = np.take_along_axis(cosine, near, axis=1).astype(np.float32)
    said: dict[str, Any] = {
        "dataset": dataset,
        "backbone": "pixels",
        "metric": "cosine",
        "splits": found.splits,
    }
    said |= {"dim": found.dim, "recall": 1.0}
    store.save(folder / cell.neighbors, "neighbors", arrays, said)


def test_a_drag_selects_one_run():
    run = np.array([True, True, False, True, False, False, True])
    assert selections(run, True) == 3
    assert selections(run, False) == 0
    assert selections(run[:0], True) == 0


def test_a_sheet_costs_its_drags_a_move_for_each_label_and_the_acceptance():
    person, _ = heaps()
    person.probability = np.full((200, 2), [0.6, 0.4])
    person.label = np.zeros(200, np.int64)
    person.decided[10:] = person.truth[10:]
    person.truth = np.where(np.arange(200) == 3, 1, person.truth)
    person.verify(10, 1.1)
    assert person.actions == 1 + 1 + 1
    assert (person.decided >= 0).all()
    assert (person.decided == person.truth).all()


def test_the_person_is_done_long_before_one_by_one():
    person, near = heaps()
    person.name_clusters(8, 0, near)
    assert person.actions == person.names == 8
    review(person, Plan(8, 12, 10), 0.95)
    assert person.right() >= 0.95
    assert person.actions < 0.3 * 0.95 * 200
    said = person.decided >= 0
    assert (person.decided[said] == person.truth[said]).all()


def test_plans_grow_with_the_collection():
    assert plan_for(10_000) == Plan(20, 75, 100)
    assert plan_for(4) == Plan(10, 30, 10)


def test_the_bench_writes_a_row_a_dataset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    kept: dict[str, list] = {}
    monkeypatch.setattr(bench.review, "keep", lambda name, _, rows: kept.update({name: rows}))
    monkeypatch.setattr(bench.review, "CASES", {"one": "pixels"})
    write_dataset(tmp_path, "one")
    write_neighbors(tmp_path, "one")
    bench.review.main([str(tmp_path), "--seeds", "2"])
    (row,) = kept["review"]
    assert row["dataset"] == "one"
    assert row["actions"].count("±") == 1
    assert "| one |" in capsys.readouterr().out
    assert bench.review.lacking().startswith("it needs a project")
