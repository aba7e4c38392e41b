"""cut and turtle as stages: what they write, going on after a kill, what they refuse, odd input."""

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from clustered import N, digits, split_of, write_features
from conftest import one_thread, runtime
from learning import (
    CELL,
    FEATURES,
    HEADS,
    call,
    outs,
    run_stage,
    run_with_stops,
    write_all,
    write_neighbors,
    written,
)

import store
from cluster import ClusterError
from cluster.heads.cut.cut import Cut
from pipeline.fitting.spaces import spaces_of
from pipeline.params import StageError
from store import files

PLAIN = {name: HEADS[name] for name in ("cut", "turtle")}
STAGES = list(PLAIN)
_quick = pytest.fixture(autouse=True)(one_thread)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_all(tmp_path)


def learn(folder: Path, name: str, **changes: Any) -> Path:
    """Run the stage here; where its clusters lie."""
    return run_stage(folder, name, {**PLAIN[name], **changes})


@pytest.mark.parametrize("name", STAGES)
def test_every_setting_and_seed_is_kept_with_its_head(name: str, folder: Path):
    with store.read(learn(folder, name), "clusters") as file:
        assert (file["k"].tolist(), file["dims"].tolist()) == ([10, 10], [8, 0])
        assert (file.attrs["how"], file.attrs["seeds"]) == ("linear", [0, 4])
        for setting, dim in enumerate((8, 64)):
            assert file[f"{setting}/assignment"].shape == (2, N)
            assert file[f"{setting}/weight"].shape == (2, 10, dim)
            assert np.isfinite(file[f"{setting}/loss"]).all()
            watched, of = (file[f"{setting}/watched{rest}"] for rest in ("", "_assignment"))
            assert (split_of(N)[watched] == 0).all()
            # What is watched is what is predicted in the end
            np.testing.assert_array_equal(of[:, -1], file[f"{setting}/assignment"][:, watched])


@pytest.mark.parametrize("name", STAGES)
def test_the_epochs_are_a_table_of_finite_numbers(name: str, folder: Path):
    learn(folder, name)
    with outs(folder, name)[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    ends = [(1, 4), (2, 8), (3, 12)]  # 12 steps: 180 of 720 edges each, or 32 of 120 images
    keys = [tuple(int(row[key]) for key in ("dims", "seed", "epoch", "step")) for row in rows]
    assert keys == [(d, s, *end) for d in (8, 0) for s in (0, 4) for end in ends]
    assert np.isfinite([[float(value) for value in row.values()] for row in rows]).all()
    if name == "cut":
        assert all(0 <= float(row["criterion"]) <= 10 for row in rows)


@pytest.mark.parametrize("change", [{}, {"cut": "prcut"}, {"warm_start": False}], ids=str)
@pytest.mark.parametrize("name", STAGES)
def test_a_run_stopped_in_the_middle_goes_on_to_the_same_bytes(
    name: str, change: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
):
    if change.keys() - PLAIN[name].keys():
        pytest.skip("a setting of the other stage")
    learn(folder, name, **change)
    undisturbed = written(folder, name)
    stops, saved = run_with_stops(lambda: learn(folder, name, **change), 6, monkeypatch)
    assert stops > 5
    assert 5 in saved
    assert written(folder, name) == undisturbed
    assert not list((folder / CELL.file("clusters")).glob("*.part"))


@pytest.mark.parametrize("name", STAGES)
def test_memory_for_vectors_changes_nothing(name: str, folder: Path):
    """Read from the disk in every step, or kept."""
    learn(folder, name, dims=(0,))
    kept = written(folder, name)
    call(folder, name, {**PLAIN[name], "dims": (0,)}, runtime=runtime(memory_gb=1e-6))
    assert written(folder, name) == kept


@pytest.mark.parametrize("name", STAGES)
def test_one_cluster_one_feature_and_copies_are_no_crash(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    with store.read(learn(folder, name, k=(1,), dims=(0,)), "clusters") as file:
        assert not file["0/assignment"].any()
    learn(folder, name, k=(2,), dims=(1,))
    _, ids, x, _ = digits()
    x[:40] = x[0]  # 40 copies
    write_features(folder, "digits", "pixels", x, ids ^ 1)  # else the stored ones are taken
    write_neighbors(folder)
    capsys.readouterr()
    learn(folder, name, dims=(0,), standardize=False)
    with pytest.raises(StageError, match=r"k is 120, but .* distinct vectors: choose k from 1 to"):
        learn(folder, name, k=(120,))


def test_of_few_images_fewer_neighbours_are_cut_from(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    with store.read(learn(folder, "cut", k=(30,), dims=(0,)), "clusters") as file:
        capped = file["0/weight"]
    assert (
        "cut k=30: 120 images are few: heads learn from 4 neighbours of each instead of 6"
        in capsys.readouterr().out
    )
    with store.read(learn(folder, "cut", k=(30,), dims=(0,), neighbors=4), "clusters") as file:
        np.testing.assert_array_equal(file["0/weight"], capped)


def test_a_table_that_does_not_fit_is_refused(folder: Path):
    write_neighbors(folder, k=5)
    with pytest.raises(StageError, match=r"6 neighbours are asked for, .* has 5"):
        learn(folder, "cut")
    write_neighbors(folder, own=True)
    with pytest.raises(ClusterError, match="120 images are their own neighbour"):
        learn(folder, "cut")


def test_clusters_that_are_given_up_are_told_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    step, made = Cut.step, []

    def collapsing(self: Cut, batch, lr):
        made.append(lr)
        found = step(self, batch, lr)
        sizes = found.sizes * 0 + (1 if len(made) < 9 else 0)
        sizes[:, 0] = 5
        return found._replace(sizes=sizes)

    monkeypatch.setattr(Cut, "step", collapsing)
    learn(folder, "cut", dims=(0,), seeds=(0,))
    said = [line for line in capsys.readouterr().out.splitlines() if "collapsing" in line]
    assert said == [
        "cut k=10 seed=0: 1 of 10 clusters are in use, 10 were: the head is collapsing; train for "
        "fewer steps, or with a lower lr"
    ]


def test_the_generalisation_score_is_a_fact_of_every_seed(folder: Path):
    facts = call(folder, "turtle", PLAIN["turtle"])
    assert facts["spaces"] == 1
    assert facts["generalization"].keys() == {"k10_dims8", "k10"}
    for of_seeds in facts["generalization"].values():
        assert of_seeds.keys() == {"seed_0", "seed_4"}
        assert all(0 <= value <= 1 for value in of_seeds.values())
    json.dumps(facts)
    one = call(folder, "turtle", {**PLAIN["turtle"], "k": (1,), "dims": (0,)})
    assert one["generalization"]["k1"] == {"seed_0": 1.0, "seed_4": 1.0}


def write_parts(folder: Path, widths: list[int]) -> None:
    """The widths of the parts into features.h5, as of a fused backbone."""
    path = folder / FEATURES / "features.h5"
    with store.read(path, "store") as file:
        attrs = {**file.attrs, "widths": widths}
    with h5py.File(path, "r+") as raw:
        raw.attrs["widths"] = files._encode(widths)
        raw.attrs["crc32"] = np.uint32(files._attributes_crc(attrs))


def test_the_parts_of_a_fused_backbone_are_spaces(folder: Path, capsys: pytest.CaptureFixture[str]):
    one = learn(folder, "turtle", dims=(0,)).read_bytes()
    write_parts(folder, [24, 40])
    found = store.Features(folder / FEATURES)
    assert spaces_of(found, 0) == [slice(0, 24), slice(24, 64)]
    two = learn(folder, "turtle", dims=(0,)).read_bytes()
    assert two != one
    capsys.readouterr()
    assert spaces_of(found, 8) == [slice(0, 8)]
    learn(folder, "turtle", dims=(8,))
    said = "turtle dims=8: components mix the 2 spaces, which are one here"
    assert said in capsys.readouterr().out.splitlines()
    facts = call(folder, "turtle", {**PLAIN["turtle"], "dims": (0,)})
    assert facts["spaces"] == 2
    assert facts["space"].endswith(", standardized by one deviation")
    assert call(folder, "turtle", {**PLAIN["turtle"], "standardize": False})["space"] == (
        "as they are, no projection or 8 principal components"
    )
