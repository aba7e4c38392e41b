"""The stage neighbors: what it writes, and what it refuses."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from clustered import SPLITS, N, digits, split_of, write_dataset, write_features
from conftest import Project, runtime
from pydantic import ValidationError

import store
from cluster.neighbors.compressed import search
from cluster.neighbors.exact import nearest_neighbors
from cluster.vectors.rows import ArrayRows
from pipeline.io.cell import Cell
from pipeline.params import StageError
from pipeline.searching.kept import Kept
from stages.neighbors import Params, main

CELL = Cell("digits", "pixels", "neighbors")
PARAMS = {"k": 12, "metric": "cosine", "exact_up_to": 1000, "recall": 0.95}
PARAMS |= {"compress_from": 1000, "code_bytes": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_dataset(folder, "digits")
    return folder


def run(folder: Path, *, memory_gb: float = 1.0, **changes) -> tuple[dict, dict]:
    """The arrays and attributes of the table, and the facts for the metrics."""
    params = Params(**{**PARAMS, **changes})
    with contextlib.chdir(folder):
        facts = main(CELL, params, runtime(memory_gb=memory_gb))
    with store.read(folder / CELL.neighbors, "neighbors") as file:
        arrays = {name: file[name] for name in ("row", "split", "neighbor", "similarity")}
        return {**arrays, **file.attrs}, facts


def test_every_image_has_its_nearest_of_train_but_itself(folder: Path):
    table, _ = run(folder)
    x = digits()[2].astype(np.float16).astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    similarity = x @ x[split_of(N) == 0].T
    np.fill_diagonal(similarity, -1)  # train comes first here
    expected = np.sort(similarity, axis=1)[:, ::-1][:, :12]
    np.testing.assert_allclose(table["similarity"], expected, atol=1e-6)
    found = np.take_along_axis(similarity, table["neighbor"].astype(np.int64), 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not (table["neighbor"] == np.arange(N)[:, None]).any()
    np.testing.assert_array_equal(table["split"], split_of(N))
    facts = {"dataset": "digits", "backbone": "pixels", "metric": "cosine", "recall": 1.0}
    assert facts.items() <= table.items()


def test_neighbours_are_rows_of_the_index(tmp_path: Path):
    """Where images could not be read, and train does not come first, places differ from rows."""
    _, digests, features, _ = digits()
    row = np.arange(0, N, 2)
    split = (row % 3 == 0).astype(np.uint8)
    plan = store.Plan(
        "digits", "pixels", "0" * 32, features.shape[1], SPLITS, digests[row], row, split
    )
    with store.FeatureWriter(tmp_path / CELL.features, plan) as writer:
        writer.put(writer.todo, features[row][writer.todo])
        writer.finish()
    table, _ = run(tmp_path)
    train = row[split == 0]
    x = features.astype(np.float16).astype(np.float32)
    own = np.array([np.flatnonzero(train == r)[0] if r in train else -1 for r in row])
    expected = nearest_neighbors(
        ArrayRows(x[row]), ArrayRows(x[train]), 12, metric="cosine", own=own
    )
    np.testing.assert_array_equal(table["row"], row)
    np.testing.assert_array_equal(table["neighbor"], train[expected.neighbor])


def test_metrics_say_how_uneven_neighbourhoods_are(folder: Path):
    table, metrics = run(folder)
    train = split_of(N) == 0
    occurrences = np.bincount(table["neighbor"][train, :10].ravel(), minlength=train.sum())
    z = (occurrences - occurrences.mean()) / occurrences.std()
    assert metrics["hubness"] == pytest.approx((z**3).mean())
    assert metrics["largest_hub"] == occurrences.max()
    assert metrics["nobodys_neighbor"] == pytest.approx((occurrences == 0).mean())
    assert metrics["recall"] == 1
    assert metrics["first_similarity"] == pytest.approx(table["similarity"][train, 0].mean())


SEARCHES = {
    "exact": {},
    "approximate": {"exact_up_to": 0},
    "compressed": {"exact_up_to": 0, "compress_from": 0},
}


@pytest.mark.parametrize("searched", SEARCHES)
def test_equal_input_gives_equal_bytes_in_ram_and_from_disk(folder: Path, searched: str):
    written = []
    for memory in (1.0, 1e-6):
        _, facts = run(folder, memory_gb=memory, **SEARCHES[searched])
        written.append(((folder / CELL.neighbors).read_bytes(), facts))
    assert written[0] == written[1]


def test_beyond_exact_up_to_the_recall_is_measured(folder: Path):
    table, metrics = run(folder, exact_up_to=119, recall=0.8)
    assert 0.8 <= metrics["recall"] <= 1
    assert table["recall"] == metrics["recall"]


def test_from_compress_from_on_codes_are_searched_and_nothing_is_left_of_them(folder: Path):
    table, metrics = run(folder, exact_up_to=0, compress_from=120)
    assert 0.95 <= metrics["recall"] <= 1
    exact, _ = run(folder)
    agree = table["neighbor"] == exact["neighbor"]
    assert agree.mean() > 0.9
    np.testing.assert_array_equal(table["similarity"][agree], exact["similarity"][agree])
    assert not list((folder / CELL.neighbors).parent.glob("*.part"))
    _, whole = run(folder, exact_up_to=120, compress_from=0)
    assert whole["recall"] == 1  # exact_up_to comes first


def test_a_compressed_search_that_was_stopped_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cluster.neighbors.compressed.part.SHARD", 40)
    settings = SEARCHES["compressed"]
    run(folder, **settings)
    whole = (folder / CELL.neighbors).read_bytes()
    (folder / CELL.neighbors).unlink()
    done, keep = list[str](), Kept.keep

    def stopped(kept: Kept, name: str, compute) -> dict:
        def once() -> dict:
            if len(done) == 5:
                raise KeyboardInterrupt
            done.append(name)
            return compute()

        return keep(kept, name, once)

    with monkeypatch.context() as patch:
        patch.setattr(Kept, "keep", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(folder, **settings)
        (left,) = (folder / CELL.neighbors).parent.glob("neighbors.codes.*.part")
        assert {path.stem for path in left.glob("*.npz")} == set(done)
    (part,) = left.glob("trained.npz")
    sound = part.read_bytes()
    part.write_bytes(sound[:200] + bytes([sound[200] ^ 1]) + sound[201:])
    with pytest.raises(StageError, match=r"trained.npz: damaged .*: remove it"):
        run(folder, **settings)
    part.write_bytes(sound)
    run(folder, **settings)
    assert (folder / CELL.neighbors).read_bytes() == whole
    assert not left.exists()


def test_a_recall_that_is_not_reached_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(search, "recall_of", lambda found, true: 0.5)
    _, metrics = run(folder, recall=0.9, **SEARCHES["compressed"])
    assert metrics["recall"] == 0.5
    assert capsys.readouterr().out == (
        "neighbors: a recall of 0.500 is reached, 0.9 asked for: raise "
        "neighbors.code_bytes, or neighbors.compress_from where memory allows\n"
    )


def test_a_small_train_narrows_the_table_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    table, _ = run(folder, k=200)
    assert table["neighbor"].shape == (N, 119)
    assert capsys.readouterr().out == (
        "neighbors: digits has 120 images in train, so 119 neighbours\n"
    )


def test_one_image_has_no_neighbours(tmp_path: Path):
    _, digests, features, _ = digits()
    write_one = store.Plan(
        "digits", "pixels", "0" * 32, 64, SPLITS, digests[:1], np.arange(1), np.zeros(1, np.uint8)
    )
    with store.FeatureWriter(tmp_path / CELL.features, write_one) as writer:
        writer.put(writer.todo, features[:1])
        writer.finish()
    with pytest.raises(StageError, match="1 images in train: neighbours need two or more"):
        run(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"k": 0},
        {"k": 257},
        {"metric": "l1"},
        {"recall": 0.0},
        {"recall": 1.5},
        {"code_bytes": 3},
        {"code_bytes": 65},
    ],
)
def test_settings_outside_their_range_are_refused(change: dict):
    with pytest.raises(ValidationError, match="1 validation error"):
        Params(**{**PARAMS, **change})


def test_it_runs_from_the_command_line(project: Project, folder: Path):
    _, digests, features, _ = digits()
    write_features(project.folder, "digits", "pixels", features, digests)
    project.params["neighbors"] = PARAMS
    project.stage("neighbors", "digits", "pixels")
    _, facts = run(folder)
    assert (project.folder / CELL.neighbors).read_bytes() == (folder / CELL.neighbors).read_bytes()
    assert project.metrics("neighbors") == facts
    both = json.loads((project.folder / CELL.metric("neighbors.json")).read_text())
    (cost,) = both["cost"]  # in a list, which is no metric to DVC
    assert cost.keys() == {"seconds", "peak_memory_mb"}
    assert cost["seconds"] > 0
    assert cost["peak_memory_mb"] > 10
