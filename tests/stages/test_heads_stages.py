"""temi, scan and selflabel as stages: what they write, going on after a kill, what they refuse."""

import contextlib
import csv
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import killed
import numpy as np
import pytest
from clustered import N, digits, split_of, write_dataset, write_features
from conftest import Project, one_thread
from learning import (
    CELL,
    FEATURES,
    HEADS,
    RUNTIME,
    TABLE,
    call,
    outs,
    run_stage,
    run_with_stops,
    write_all,
    write_neighbors,
    write_pca,
    write_views,
    written,
)  # fmt: skip

import stages.assign
import store
from cluster import ClusterError
from cluster.block_model.information import edge_information
from cluster.heads.temi import Temi
from cluster.spectral.snn_graph import jaccard_graph
from pipeline.fitting import checkpoint
from pipeline.io.cell import Cell, Pair
from pipeline.params import StageError
from stages.scan import _judged

PLAIN = {name: HEADS[name] for name in ("temi", "scan", "selflabel")}
STAGES = list(PLAIN)
_quick = pytest.fixture(autouse=True)(one_thread)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_all(tmp_path)


def learn(folder: Path, name: str, **changes: Any) -> Path:
    """Run the stage here; where its clusters lie."""
    if name == "selflabel" and not outs(folder, "scan")[0].exists():
        learn(folder, "scan")
    return run_stage(folder, name, {**PLAIN[name], **changes})


def left(folder: Path) -> list[Path]:
    """Checkpoints."""
    return list((folder / CELL.file("clusters")).glob("*.part"))


@pytest.mark.parametrize("name", STAGES)
def test_every_setting_and_seed_is_kept_with_its_head(name: str, folder: Path):
    with store.read(learn(folder, name), "clusters") as file:
        assert (file["k"].tolist(), file["dims"].tolist()) == ([10, 10], [8, 0])
        assert file.attrs["how"] == ("mlp" if name == "temi" else "linear")
        assert (file.attrs["seeds"], file.attrs["run"]) == ([0, 4], name)
        assert file["components"].shape == (8, 64)
        first = "hidden_weight" if name == "temi" else "weight"
        for setting, dim in enumerate((8, 64)):
            assert file[f"{setting}/assignment"].shape == (2, N)
            assert file[f"{setting}/{first}"].shape[::2] == (2, dim)
            assert np.isfinite(file[f"{setting}/loss"]).all()
            assert (file[f"{setting}/probability"] <= 1).all()
            watched, of = (file[f"{setting}/watched{rest}"] for rest in ("", "_assignment"))
            assert of.shape == (2, 3, len(watched))  # 12 steps of 32 of 120 images: 3 passes
            assert (split_of(N)[watched] == 0).all()
            if name == "temi":  # what is watched is what is predicted in the end
                np.testing.assert_array_equal(of[:, -1], file[f"{setting}/assignment"][:, watched])


@pytest.mark.parametrize(("choose", "lag"), [("information", 1), ("information_4", 4)])
@pytest.mark.parametrize("name", ["scan", "temi"])
def test_the_head_of_the_most_information_can_be_kept(
    name: str, choose: str, lag: int, folder: Path
):
    def losses(**changes: Any) -> tuple[np.ndarray, list[float]]:
        """What the file says, and the information of what it holds, of each seed."""
        path = learn(folder, name, dims=(0,), **changes)
        with store.read(path, "clusters") as file, store.read(folder / TABLE, "neighbors") as table:
            train = file["split"] == 0
            graph = jaccard_graph(table["neighbor"][train, :6])
            own, loss = file["0/assignment"][:, train], file["0/loss"]
            last = file["0/watched_assignment"][:, -1]
            rows = np.searchsorted(file["row"], file["0/watched"])
            np.testing.assert_array_equal(last, file["0/assignment"][:, rows])
        return loss, [edge_information(graph, of_seed, 10, lag=lag) for of_seed in own]

    loss, most = losses(choose=choose)
    np.testing.assert_allclose(-loss, most)
    assert (np.array(most) >= np.array(losses()[1]) - 1e-12).all()


@pytest.mark.parametrize("name", STAGES)
def test_the_epochs_are_a_table_of_finite_numbers(name: str, folder: Path):
    learn(folder, name)
    with outs(folder, name)[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    heads = 1 if name == "selflabel" else 3
    columns = ["k", "dims", "seed", "epoch", "step", "head", "loss", "criterion", "entropy", "live"]
    assert list(rows[0]) == columns + [f"loss_head_{head}" for head in range(heads)]
    keys = [tuple(int(row[key]) for key in columns[:5]) for row in rows]
    ends = [(1, 4), (2, 8), (3, 12)]
    assert keys == [(10, d, s, *end) for d in (8, 0) for s in (0, 4) for end in ends]
    values = np.array([[float(value) for value in row.values()] for row in rows])
    assert np.isfinite(values).all()
    assert (values[:, 8] <= np.log(10) + 1e-6).all()
    assert ((values[:, 9] >= 1) & (values[:, 9] <= 10)).all()
    for row in rows:
        assert row["loss"] == row[f"loss_head_{row['head']}"]


@pytest.mark.parametrize("name", STAGES)
def test_equal_input_gives_equal_bytes_and_leaves_no_checkpoint(name: str, folder: Path):
    learn(folder, name)
    first = written(folder, name)
    learn(folder, name)
    assert written(folder, name) == first
    assert not left(folder)


@pytest.mark.parametrize("name", STAGES)
def test_a_run_stopped_in_the_middle_goes_on_to_the_same_bytes(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    learn(folder, name)
    undisturbed = written(folder, name)
    capsys.readouterr()
    stops, saved = run_with_stops(lambda: learn(folder, name), 6, monkeypatch)
    assert stops > 5
    assert 5 in saved
    assert written(folder, name) == undisturbed
    assert "starting from scratch" not in capsys.readouterr().out


@pytest.mark.parametrize("name", STAGES)
def test_another_setting_beside_an_unfinished_run_starts_from_scratch_and_the_old_stays(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    learn(folder, name, lr=2e-3)
    expected = written(folder, name)
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", -1.0)
    save = checkpoint.Checkpoint.save

    def save_and_stop(self: checkpoint.Checkpoint, state: dict[str, np.ndarray]) -> None:
        save(self, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoint, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        learn(folder, name)
    monkeypatch.undo()
    begun = left(folder)
    assert begun
    capsys.readouterr()
    learn(folder, name, lr=2e-3)
    lines = [x for x in capsys.readouterr().out.splitlines() if "from scratch" in x]
    assert len(lines) == 1
    assert re.search(
        rf"found a checkpoint of other settings or inputs \({name}\.k10-d8-s0\..*\.part\)", lines[0]
    )
    assert written(folder, name) == expected
    assert left(folder) == begun


@pytest.mark.parametrize("what", ["projections", "neighbors", "features"])
def test_other_inputs_never_take_up_an_unfinished_run(
    what: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    # As if each had been killed at its end
    kept = "pipeline.fitting.heads.fit_heads.remove_checkpoint"
    monkeypatch.setattr(kept, lambda path: None)
    learn(folder, "temi")
    if what == "projections":
        write_pca(folder, normalize=True)
    elif what == "neighbors":
        write_neighbors(folder, k=5)
    else:
        _, ids, x, _ = digits()
        write_features(folder, "digits", "pixels", x, ids[::-1].copy())
    learn(folder, "temi", neighbors=5 if what == "neighbors" else 6)
    assert capsys.readouterr().out.count("starting from scratch") == 4


def test_killed_and_run_again_the_stage_ends_as_if_it_had_not_been(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_all(project.folder)
    settings = {**PLAIN["temi"], "steps": 300, "dims": (0,)}
    learn(project.folder, "temi", **settings)
    undisturbed = written(project.folder, "temi")
    clusters, table = outs(project.folder, "temi")
    clusters.unlink(), table.unlink()
    project.params["temi"] = {
        k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()
    }
    arguments = ("temi", "digits", "pixels")
    before = killed.first("""
from pipeline.fitting.checkpoint import Checkpoint
die_after(Checkpoint, "save")  # the first seed is done, the second is not
""")
    process = project.start(*arguments, before=before)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (begun,) = left(project.folder)
    assert begun.name.startswith("temi.k10-d0-s0.")
    assert not clusters.exists()
    project.stage(*arguments)
    assert written(project.folder, "temi") == undisturbed
    project.params["temi"]["neighbors"] = 13
    line = project.refusal(*arguments)
    assert re.search(r"^temi: 13 neighbours are asked for, .* has 12: set neighbors.k to 13$", line)


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: write_neighbors(f, dataset="birds"), "is of dataset birds, .* of digits"),
        (lambda f: write_neighbors(f, backbone="vit"), "is of backbone vit, .* of pixels"),
        (lambda f: write_neighbors(f, rows=150), r"is of 150 images, .* hold others"),
        (lambda f: write_neighbors(f, own=True), "120 images are their own neighbour"),
        (lambda f: write_neighbors(f, k=5), "6 neighbours are asked for, .* has 5"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    change: Callable[[Path], None], message: str, name: str, folder: Path
):
    if name == "selflabel":
        learn(folder, "scan")
    change(folder)
    with pytest.raises((StageError, ClusterError), match=message) as error:
        learn(folder, name)
    assert "\n" not in str(error.value)


def test_features_that_are_not_finite_never_reach_a_store(folder: Path):
    """So that no method has to look for them."""
    _, ids, x, _ = digits()
    x[7, 3] = np.nan
    with pytest.raises(store.StoreError, match="row 7: features are not finite"):
        write_features(folder, "digits", "other", x, ids)


@pytest.mark.parametrize("name", ["temi", "scan"])
def test_the_same_images_of_another_store_get_the_same_clusters(name: str, folder: Path):
    clusters = learn(folder, name)
    write_dataset(folder, "again")
    again = give_to_again(folder, name)
    with (
        store.read(clusters, "clusters") as ours,
        store.read(again, "clusters") as theirs,
    ):
        assert (theirs.attrs["dataset"], theirs.attrs["fitted_on"]) == ("again", "digits")
        for what in ("assignment", "probability", "loss"):
            for setting in (0, 1):
                np.testing.assert_array_equal(
                    ours[f"{setting}/{what}"], theirs[f"{setting}/{what}"]
                )


def give_to_again(folder: Path, run: str) -> Path:
    """The clusters of a run for the images of the dataset `again`; where they lie."""
    pair = Pair(CELL, Cell("again", "pixels"))
    with contextlib.chdir(folder):
        stages.assign.main(pair, run, RUNTIME)
    return folder / pair.assigned(run)


def test_spectral_clusters_are_given_to_other_images_by_their_neighbours(folder: Path):
    settings = {"k": (10,), "neighbors": 6, "eigenvalues": 12, "voters": 4, "n_init": 2}
    call(folder, "spectral", {**settings, "max_iter": 50, "tol": 1e-4, "seeds": (0, 1)})
    write_dataset(folder, "again")
    again = give_to_again(folder, "spectral")
    with (
        store.read(outs(folder, "spectral")[0], "clusters") as ours,
        store.read(again, "clusters") as theirs,
    ):
        train = ours["split"] == 0
        same = ours["0/assignment"] == theirs["0/assignment"]
    assert same[:, ~train].all()  # voted in by the same neighbours
    assert same[:, train].mean() > 0.9  # of train, an image is now one of its own voters


@pytest.mark.parametrize("name", STAGES)
def test_of_few_images_fewer_neighbours_are_learned_from(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    """120 images of train in 30 clusters: 4 a cluster. In 20 clusters the wanted 6."""
    if name == "selflabel":
        learn(folder, "scan", k=(30,), dims=(0,))
    k = {} if name == "selflabel" else {"k": (30,), "dims": (0,)}
    capsys.readouterr()
    capped = learn(folder, name, **k).read_bytes()
    lines = [line for line in capsys.readouterr().out.splitlines() if "are few" in line]
    assert lines == [
        f"{name} k=30: 120 images are few: heads learn from 4 neighbours of each instead of 6"
    ]
    assert learn(folder, name, neighbors=4, **k).read_bytes() == capped
    assert "are few" not in capsys.readouterr().out
    if name != "selflabel":
        learn(folder, name, k=(20,), dims=(0,))
        assert "are few" not in capsys.readouterr().out


def test_short_trainings_and_large_batches_work(folder: Path):
    for name in STAGES:
        learn(folder, name, steps=1, warmup=50, batch=10_000)


def test_the_images_that_judge_heads_are_from_all_over_the_index():
    held = np.arange(100_000) % 10 == 3
    image, partner = _judged(np.zeros((100_000, 20), np.int32), held)
    few = np.unique(image)
    assert (len(few), len(image)) == (2000, 10_000)
    assert held[few].all()
    assert (few.min(), few.max()) == (3, 99_993)
    assert not partner.any()


def test_nothing_held_out_is_judged_by_training(folder: Path):
    learn(folder, "scan", held_out=0.0)
    with outs(folder, "scan")[1].open(newline="") as file:
        assert all(row["criterion"] == row["loss"] for row in csv.DictReader(file))


def test_views_are_learned_from(folder: Path):
    write_views(folder, 2)
    for name, settings in (("scan", {"views": True}), ("selflabel", {"other": "views"})):
        plain = learn(folder, name).read_bytes()
        mixed = learn(folder, name, **settings).read_bytes()
        assert mixed != plain
        assert learn(folder, name, **settings).read_bytes() == mixed


def test_selflabel_without_views_says_what_to_do(folder: Path):
    with pytest.raises(StageError, match=r"selflabel\.other is views, and there are none: set emb"):
        learn(folder, "selflabel", other="views")


def test_selflabel_that_is_sure_of_nothing_says_so_and_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    learn(folder, "selflabel", threshold=0.999999)
    said = [x for x in capsys.readouterr().out.splitlines() if "image was confident" in x]
    assert len(said) == 4
    assert said[0].startswith("selflabel k=")
    assert "seed=0: in 12 of 12 steps no image was confident and nothing was learned" in said[0]
    with (
        store.read(outs(folder, "scan")[0], "clusters") as before,
        store.read(outs(folder, "selflabel")[0], "clusters") as after,
    ):
        np.testing.assert_array_equal(before["1/assignment"], after["1/assignment"])
        np.testing.assert_allclose(before["1/weight"], after["1/weight"], atol=1e-5)


def test_selflabel_refuses_clusters_without_linear_heads_or_of_others(folder: Path):
    learn(folder, "temi").rename(outs(folder, "scan")[0])
    with pytest.raises(StageError, match="holds no linear heads: give the clusters of stage scan"):
        learn(folder, "selflabel")
    learn(folder, "scan")
    _, ids, x, _ = digits()
    write_features(folder, "digits", "vit", x, ids)
    features = folder / FEATURES
    features.rename(features.with_name("old"))
    (folder / Cell("digits", "vit").features).rename(features)
    with pytest.raises(StageError, match="is of other images than"):
        learn(folder, "selflabel")


def test_clusters_that_are_given_up_are_told_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    step, made = Temi.step, []

    def collapsing(self: Temi, x, lr):
        made.append(lr)
        found = step(self, x, lr)
        sizes = found.sizes * 0 + (1 if len(made) < 9 else 0)
        sizes[:, 0] = 5
        return found._replace(sizes=sizes)

    monkeypatch.setattr(Temi, "step", collapsing)
    learn(folder, "temi", dims=(0,), seeds=(0,))
    _, *said = capsys.readouterr().out.splitlines()  # the space comes first
    assert said == [
        "temi k=10 seed=0: 1 of 10 clusters are in use, 10 were: the head is collapsing; train "
        "for fewer steps, or with a lower lr",
        "temi k=10: clusters without an image: 2 (seed 0)",  # of the result
    ]


def test_a_loss_that_is_no_number_is_one_line_not_a_result(folder: Path):
    with pytest.raises(ClusterError, match="the loss is not finite") as error:
        learn(folder, "temi", lr=1e38, standardize=False)
    assert "\n" not in str(error.value)
    assert not outs(folder, "temi")[0].exists()
