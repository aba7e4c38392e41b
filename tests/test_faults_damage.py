"""Flipped and cut bytes in each file that a stage reads again: refused by name in one line, or what
was written, never other data. Index, labels, pca, clusters and stores: test_store_damage.py."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import flipped, read_all, save_each_kind

import store
from cluster.heads.model import Linear
from pages.report.charts import curves, training
from pages.report.tables import costs, how_many, probes, rows
from pages.report.tables.settings import read_settings
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.indexing.seen import Seen
from pipeline.io import arrays, estimate, learned, scores, whole
from pipeline.io.cell import Cell
from pipeline.params import StageError

COMMON = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PLACES = st.floats(0, 1, exclude_max=True)
FLIPS = st.tuples(PLACES, st.integers(1, 255))
STATE = {"at": np.array(7), "w": np.arange(600.0).reshape(3, 200), "names": np.array(["a", "bc"])}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def refused_or_same(path: Path, look: Callable[[], object], seen: object) -> bool:
    """Whether `look` refuses what lies at `path`, by name in one line; or else it sees `seen`."""
    try:
        found = look()
    except (StageError, store.StoreError) as error:
        said = str(error)
    else:
        assert found == seen
        return False
    assert path.name in said
    assert len(said.splitlines()) == 1
    return True


KINDS = (
    "seen", "known", "neighbors", "duplicates", "similar", "learned", "absent", "examples",
    "similar_examples", "candidates", "map", "map_examples", "reviewed", "curated",
    "curated_examples",
)  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("saved")
    paths = save_each_kind(folder)
    heads = {"a": Linear(np.full((1, 3, 4), 0.5, np.float32), np.zeros((1, 3), np.float32))}
    some = np.arange(5)
    said = learned.Learned("birds", "0" * 32, heads, True, some, some % 3, ["a", "b", "c"], 0)
    paths["learned"] = folder / "learned.h5"
    learned.save_learned(paths["learned"], said, "pixels")
    return paths


def read_kind(path: Path, kind: str) -> object:
    if kind != "learned":
        return read_all(path, kind)
    found = learned.read_learned(path)
    heads = {name: [array.tolist() for array in head] for name, head in found.heads.items()}
    return found._replace(heads=heads, row=found.row.tolist(), label=found.label.tolist())


@pytest.mark.parametrize("kind", KINDS)
@settings(COMMON, max_examples=60)
@given(flip=FLIPS, cut=st.booleans())
def test_a_damaged_file_of_each_kind_is_refused_or_unchanged(saved, kind, flip, cut):
    path, data = saved[kind], saved[kind].read_bytes()
    seen = read_kind(path, kind)
    path.write_bytes(data[: int(flip[0] * len(data))] if cut else flipped(data, flip))
    try:
        assert refused_or_same(path, lambda: read_kind(path, kind), seen) or not cut
    finally:
        path.write_bytes(data)


def test_no_kind_is_without_a_test_of_damage():
    elsewhere = {"index", "labels", "pca", "clusters", "features", "store"}  # test_store_damage.py
    assert set(store.KINDS) == elsewhere | set(KINDS)


def plain(state: dict[str, np.ndarray] | None) -> object:
    return state and {name: (str(a.dtype), a.tolist()) for name, a in state.items()}


@settings(COMMON, max_examples=300)
@given(flip=FLIPS, cut=st.booleans())
def test_a_damaged_checkpoint_is_refused_never_resumed(scratch, flip, cut):
    folder = scratch / "checkpoint"
    folder.mkdir(exist_ok=True)
    place = lambda: Checkpoint(folder / "temi.h5", "k10", {"seed": 0})  # noqa: E731
    first = place()
    first.save(STATE)
    seen, data = plain(place().resume), first.path.read_bytes()
    first.path.write_bytes(data[: int(flip[0] * len(data))] if cut else flipped(data, flip))
    damaged = refused_or_same(first.path, lambda: plain(place().resume), seen)
    assert damaged or not cut
    first.remove()


def test_every_byte_of_kept_arrays_counts(tmp_path):
    """Of a small file each byte: refused, or what was saved."""
    path = tmp_path / "state.npz"
    arrays.save_arrays(path, {"a": np.arange(3), "b": np.array(["x"])})
    data, seen, count = path.read_bytes(), plain(arrays.read_arrays(path)), 0
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x11]) + data[at + 1 :])
        try:
            assert plain(arrays.read_arrays(path)) == seen
        except ValueError:
            count += 1
    assert count > 0.6 * len(data)


@pytest.mark.parametrize("left", [False, True])
@settings(COMMON, max_examples=60)
@given(flip=FLIPS, cut=st.booleans())
def test_a_damaged_memory_of_the_index_costs_time_never_digests(scratch, left, flip, cut):
    """left: by a run that was stopped."""
    folder = scratch / "seen"
    folder.mkdir(exist_ok=True)
    path, spec = folder / "d.seen.h5", {"from": "folder"}
    for file in folder.iterdir():
        file.unlink()
    hashes = np.arange(36, dtype=np.uint64).reshape(18, 2) + 1
    digests = np.arange(288, dtype=np.uint8).reshape(18, 16)
    for some in (slice(0, 9), slice(9, 18)):
        seen = Seen(path, spec)
        (seen.keep if left else seen.save)(hashes[some], digests[some])
    (path,) = folder.iterdir()
    data = path.read_bytes()
    whole = Seen(folder / "d.seen.h5", spec).find(hashes)[0]
    assert whole.tolist() == [left] * 9 + [True] * 9
    path.write_bytes(data[: int(flip[0] * len(data))] if cut else flipped(data, flip))
    found, digest = Seen(folder / "d.seen.h5", spec).find(hashes)
    assert not (found & ~whole).any()
    assert (digest[found] == digests[found]).all()
    assert not Seen(folder / "d.seen.h5", {"from": "digits"}).find(hashes)[0].any()


@pytest.mark.parametrize("k", [1, 12, 1000])
def test_any_damage_to_an_estimate_is_refused(tmp_path, k):
    path = tmp_path / "k.json"
    estimate.write_estimate(path, k)
    data, refused = path.read_bytes(), 0
    assert estimate.read_estimate(path) == k
    for at in range(len(data)):
        for bit in range(8):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            refused += refused_or_same(path, lambda: estimate.read_estimate(path), k)
        path.write_bytes(data[:at])
        refused += refused_or_same(path, lambda: estimate.read_estimate(path), k)
    assert refused > 7 * len(data)
    path.write_text('{"k": 12}')
    assert estimate.read_estimate(path) == 12


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Callable]]:
    """What the report reads, by name: the file, and the look at it.

    Scores, facts and curves carry no checksum: people read them, and so do DVC and other programs.
    DVC notices by its own that one has changed, and runs anew the stage that wrote it.
    """
    folder = tmp_path_factory.mktemp("tables")
    at = {"k": 3, "dims": 0, "seed": 0}
    with contextlib.chdir(folder):
        line = {"dataset": "d", "backbone": "b", "run": "kmeans", "fitted_on": "d", **at}
        line |= {"setting": 0, "dim": 4, "images": 9, "labelled": 9, "split": "train", "acc": 0.5}
        scores.write_scores(OF.metric("evaluate.csv"), tuple(line), [line, {**line, "seed": 1}])
        probe = {"probe": "knn_10", "split": "train", "acc": 0.5}
        scores.write_scores(OF.metric("probes.csv"), tuple(probe), [probe])
        whole.write_json(OF.metric("probes.json"), {"train": {"label_purity_1": 0.5}})
        graph = {"eigenvalues": [0.0, 0.1, 0.5], "components": 1, "isolated": 0, "eigengap_k": 2}
        whole.write_json(OF.metric("spectral.json"), graph)
        epoch = {**at, "loss": 0.5, "entropy": 0.7, "live": 3}
        scores.write_scores(OF.metric("kmeans.csv"), tuple(epoch), [epoch])
        whole.write_json(OF.metric("estimate_k_by_labels.json"), LABELS)
        tried = [{"k": k, "seed": 0, "acc": 0.1 * k} for k in (2, 3)]
        scores.write_scores(OF.metric("estimate_k_by_labels.csv"), ("k", "seed", "acc"), tried)
        whole.write_json(OF.metric("embed.json"), {"cost": {"seconds": 1.5, "peak_memory_mb": 9}})
        setting = read_settings([OF.metric("evaluate.csv")])[0]
    looks: dict[str, Callable[[], object]] = {
        "evaluate.csv": lambda: read_settings([OF.metric("evaluate.csv")]),
        "probes.csv": lambda: probes.read_probes([OF]),
        "probes.json": lambda: probes.read_probes([OF]),
        "spectral.json": lambda: how_many.how_many([OF], known=False),
        "kmeans.csv": lambda: training.read_trainings([setting]),
        "estimate_k_by_labels.csv": lambda: curves._by_labels(OF),
        "estimate_k_by_labels.json": lambda: curves._by_labels(OF),
        "embed.json": lambda: costs.read_costs([OF], []),
    }
    assert set(looks) == set(TABLES)
    return {name: (folder / OF.metric(name), look) for name, look in looks.items()}


LABELS = {"k": 3, "acc": 0.5, "known_classes": 2, "max_classes": 9, "tried": 2}
OF = Cell("d", "b")
TABLES = (
    "evaluate.csv", "probes.csv", "probes.json", "spectral.json", "kmeans.csv",
    "estimate_k_by_labels.csv", "estimate_k_by_labels.json", "embed.json",
)  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
@settings(COMMON, max_examples=80)
@given(flip=FLIPS, cut=st.booleans())
def test_a_damaged_table_for_the_report_never_ends_in_a_traceback(tables, name, flip, cut):
    path, look = tables[name]
    data, said = path.read_bytes(), ""
    with contextlib.chdir(path.parents[3]):
        look()
        path.write_bytes(data[: int(flip[0] * len(data))] if cut else flipped(data, flip))
        try:
            look()
        except StageError as error:
            said = str(error)
        finally:
            path.write_bytes(data)
    assert not said or path.name in said
    assert len(said.splitlines()) <= 1


def test_a_row_that_was_cut_short_is_refused_by_its_number(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3")
    with pytest.raises(StageError, match=r"t\.csv: .*row 2 has not as many columns"):
        rows.read_rows(path, ("a", "b"))
