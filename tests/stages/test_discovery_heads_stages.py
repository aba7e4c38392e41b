"""simgcd and pim as stages: what they write, going on after a kill, what they refuse."""

import contextlib
import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustered import N, digits, split_of, write_dataset
from conftest import Project, one_thread
from learning import (
    CELL,
    KNOWN,
    RUNTIME,
    STEPS,
    outs,
    run_stage,
    run_with_stops,
    write_all,
    write_pca,
    write_views,
    written,
)
from pydantic import ValidationError

import stages.assign
import store
from cluster.heads.training import History
from pipeline.fitting.heads import training
from pipeline.io.cell import Pair
from pipeline.params import StageError

PLAIN: dict[str, dict[str, Any]] = {
    "simgcd": {
        "k": (10,), "dims": (8, 0), "center": True, "supervised": 0.35, "entropy_weight": 2.0,
        "temperature": 0.1, "teacher_first": 0.07, "teacher_last": 0.04, "teacher_warmup": 6,
        "geometry": "euclidean", "curvature": 0.1, "clip": 1.2, "prior": "uniform",
        "prior_momentum": 0.99, "reject": 0.0, "seeds": (0, 4),
        **STEPS,
    },
    "pim": {
        "k": (10,), "dims": (8, 0), "conditional_entropy_weight": 0.5, "logit_scale": 25.0,
        "steps": 60,
        "lr": 1e-3, "weight_decay": 1e-2, "n_init": 2, "max_iter": 20, "tol": 1e-4,
        "init_images": 1000, "seeds": (0, 4),
    },
}  # fmt: skip
AUTO = {"simgcd": "entropy_weight", "pim": "conditional_entropy_weight"}
STAGES = list(PLAIN)
_quick = pytest.fixture(autouse=True)(one_thread)


def write_known(folder: Path, old: int = 5) -> np.ndarray:
    """Every other image of train of the digits 0 to old - 1 is labelled; who is what."""
    _, _, _, label = digits()
    train = split_of(N) == 0
    seen = np.where(train & (label < old) & (np.arange(N) % 2 == 0), label, -1).astype(np.int32)
    arrays = {"label": seen, "class": np.arange(old, dtype=np.int32)}
    attrs = {"dataset": "digits", "old": [str(c) for c in range(old)]}
    store.save(folder / KNOWN, "known", arrays, attrs)
    return seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_all(tmp_path)
    write_known(tmp_path)
    return tmp_path


def learn(folder: Path, name: str, **changes: Any) -> Path:
    """Run the stage here; where its clusters lie."""
    return run_stage(folder, name, {**PLAIN[name], **changes})


@pytest.mark.parametrize("name", STAGES)
def test_every_setting_and_seed_is_kept_and_labelled_images_keep_their_class(
    name: str, folder: Path
):
    seen = write_known(folder)
    labelled = seen >= 0
    with store.read(learn(folder, name), "clusters") as file:
        assert (file["k"].tolist(), file["dims"].tolist()) == ([10, 10], [8, 0])
        assert (file.attrs["how"], file.attrs["seeds"]) == ("linear", [0, 4])
        for setting, dim in enumerate((8, 64)):
            own, sure = (file[f"{setting}/{n}"] for n in ("assignment", "probability"))
            assert file[f"{setting}/weight"].shape == (2, 10, dim)
            assert (own[0] != own[1]).any()
            assert (own[:, labelled] == seen[labelled]).all()
            assert (sure[:, labelled] == 1).all()
            assert ((sure[:, ~labelled] < 1).any(1)).all()
            assert np.isfinite(file[f"{setting}/loss"]).all()
            assert f"{setting}/watched" not in file


@pytest.mark.parametrize("name", STAGES)
def test_the_epochs_have_a_row_for_each_seed_and_epoch(name: str, folder: Path):
    learn(folder, name)
    with outs(folder, name)[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    ends = [(1, 60)] if name == "pim" else [(1, 4), (2, 8), (3, 12)]
    keys = [tuple(int(row[key]) for key in ("dims", "seed", "epoch", "step")) for row in rows]
    assert keys == [(d, s, *end) for d in (8, 0) for s in (0, 4) for end in ends]
    assert np.isfinite([[float(value) for value in row.values()] for row in rows]).all()
    assert len({row["loss"] for row in rows}) > 2
    assert list(rows[0])[-1] == "loss_head_0"


@pytest.mark.parametrize("name", STAGES)
def test_a_seed_ends_the_same_alone_and_beside_others(name: str, folder: Path):
    found = {}
    for seeds in ((0, 4), (4,)):
        with store.read(learn(folder, name, seeds=seeds, dims=(0,)), "clusters") as file:
            found[seeds] = file["0/weight"][-1], file["0/assignment"][-1]
    np.testing.assert_allclose(found[0, 4][0], found[(4,)][0], atol=1e-3)
    np.testing.assert_array_equal(found[0, 4][1], found[(4,)][1])


@pytest.mark.parametrize("weight", [0.5, "auto"])
@pytest.mark.parametrize("name", STAGES)
def test_a_run_stopped_in_the_middle_goes_on_to_the_same_bytes(
    name: str, weight: float | str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    short = {"steps": 8, "dims": (0,), AUTO[name]: weight}
    learn(folder, name, **short)
    undisturbed = written(folder, name)
    assert not list((folder / CELL.file("discovered")).glob("*.part"))
    stops, saved = run_with_stops(lambda: learn(folder, name, **short), 4, monkeypatch)
    assert stops >= (3 if weight == "auto" else 2)
    assert 3 in saved
    assert written(folder, name) == undisturbed


@pytest.mark.parametrize("name", STAGES)
def test_the_weight_is_chosen_from_labelled_images_and_said(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    learn(folder, name, dims=(0,), **{AUTO[name]: "auto"})
    said = [x for x in capsys.readouterr().out.splitlines() if AUTO[name] in x]
    assert len(said) == 1
    weight = float(said[0].split(AUTO[name])[1].split()[0])
    auto = written(folder, name)
    learn(folder, name, dims=(0,), **{AUTO[name]: weight})
    assert written(folder, name) == auto


@pytest.mark.parametrize("name", STAGES)
def test_vectors_of_any_length_give_a_linear_head(name: str, folder: Path):
    """pca.normalize false: the digits are 3 to 5 long."""
    changes = {"dims": (0,), "steps": 40} | ({"lr": 0.1} if name == "simgcd" else {})
    for normalize in (True, False):
        write_pca(folder, normalize=normalize)
        with store.read(learn(folder, name, **changes), "clusters") as file:
            live = len(np.unique(file["0/assignment"][0]))
        assert live > 5


def test_views_are_learned_from(folder: Path):
    plain = learn(folder, "simgcd", dims=(0,)).read_bytes()
    for number in (1, 3):
        write_views(folder, number)
        seen = learn(folder, "simgcd", dims=(0,)).read_bytes()
        assert seen != plain
        assert learn(folder, "simgcd", dims=(0,)).read_bytes() == seen


@pytest.mark.parametrize("name", STAGES)
def test_the_same_images_of_another_store_get_the_clusters_of_the_heads(name: str, folder: Path):
    clusters = learn(folder, name)
    pair = Pair(CELL, CELL._replace(dataset="again"))
    write_dataset(folder, "again")
    (folder / pair.first.file("clusters")).mkdir()
    shutil.copy(clusters, folder / CELL._replace(run=name).clusters)
    with contextlib.chdir(folder):
        stages.assign.main(pair, name, RUNTIME)
    free = write_known(folder) < 0
    with (
        store.read(clusters, "clusters") as ours,
        store.read(folder / pair.assigned(name), "clusters") as theirs,
    ):
        for setting in ("0", "1"):
            same = ours[f"{setting}/assignment"] == theirs[f"{setting}/assignment"]
            assert same[:, free].all()


@pytest.mark.parametrize("name", STAGES)
def test_fewer_clusters_than_known_classes_are_refused(name: str, folder: Path):
    with pytest.raises(StageError, match=r"^k is 4, but 5 classes are known: choose k from 5 on$"):
        learn(folder, name, k=(4,))


@pytest.mark.parametrize("name", STAGES)
def test_other_known_classes_never_take_up_an_unfinished_run(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    kept = "pipeline.fitting.heads.fit_heads.remove_checkpoint"
    monkeypatch.setattr(kept, lambda path: None)
    learn(folder, name, dims=(0,))
    write_known(folder, 4)
    learn(folder, name, dims=(0,))
    learn(folder, name, dims=(0,), seeds=(0, 5))
    assert capsys.readouterr().out.count("starting from scratch") == 2


def test_known_classes_of_other_images_are_refused(folder: Path):
    with store.read(folder / KNOWN, "known") as file:
        arrays = {"label": file["label"], "class": file["class"]}
    store.save(folder / KNOWN, "known", arrays, {"dataset": "birds", "old": list("abcde")})
    for name in STAGES:
        with pytest.raises(StageError, match="is of other images than"):
            learn(folder, name)


def test_a_head_that_gives_up_clusters_is_told_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    train_with_checkpoint = training.train_with_checkpoint

    def collapsed(*arguments: Any) -> History:
        history = train_with_checkpoint(*arguments)
        history.live[:] = 9
        history.live[-1, 1] = 4
        return history

    monkeypatch.setattr(training, "train_with_checkpoint", collapsed)
    learn(folder, "simgcd", dims=(0,))
    _, *said = capsys.readouterr().out.splitlines()  # the space comes first
    assert said == [
        "simgcd k=10 seed=4: 4 of 10 clusters are in use, 9 were: the head is collapsing; set a "
        "higher entropy_weight"
    ]


def test_as_a_process_a_mistake_is_one_line(project: Project):
    write_all(project.folder)
    write_known(project.folder)
    project.params["simgcd"] = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in {**PLAIN["simgcd"], "k": (3,)}.items()
    }
    line = project.refusal("simgcd", "digits", "pixels")
    assert line == "simgcd: k is 3, but 5 classes are known: choose k from 5 on"


@pytest.mark.parametrize("name", STAGES)
def test_with_a_single_known_class_auto_takes_a_number_and_says_so(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    write_known(folder, old=1)
    learn(folder, name, dims=(0,), **{AUTO[name]: "auto"})
    assert f"one class is known, none can be hidden: {AUTO[name]} is" in capsys.readouterr().out


def test_pims_weight_is_chosen_though_some_known_class_has_no_image_among_those_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("stages.pim.SEARCHED", 12)
    seen = write_known(folder)
    rare = np.flatnonzero(seen == 2)[1:]
    seen[rare] = -1
    arrays = {"label": seen, "class": np.arange(5, dtype=np.int32)}
    attrs = {"dataset": "digits", "old": [str(c) for c in range(5)]}
    store.save(folder / KNOWN, "known", arrays, attrs)
    looked = np.flatnonzero(seen >= 0)
    looked = looked[np.linspace(0, len(looked) - 1, 12).astype(int)]
    assert 2 not in seen[looked]
    learn(folder, "pim", dims=(0,), conditional_entropy_weight="auto")
    assert "finds hidden classes best" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [{"geometry": "hyperbolic"}, {"prior": "estimated", "prior_momentum": 0.5}]
)
def test_the_options_of_simgcd_resume_and_change_what_they_should(
    options: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
):
    short = {"dims": (0,), "steps": 8}
    plain = learn(folder, "simgcd", **short).read_bytes()
    learn(folder, "simgcd", **short, **options)
    undisturbed = written(folder, "simgcd")
    assert undisturbed[0] != plain
    stops, _ = run_with_stops(lambda: learn(folder, "simgcd", **short, **options), 4, monkeypatch)
    assert stops
    assert written(folder, "simgcd") == undisturbed


def test_a_prior_that_never_changes_is_refused(folder: Path):
    with pytest.raises(ValidationError, match="prior_momentum"):
        learn(folder, "simgcd", prior_momentum=1.0)


def test_rejected_images_are_marked_and_all_else_is_as_without(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    free = write_known(folder) < 0
    with store.read(learn(folder, "simgcd", dims=(0,)), "clusters") as file:
        before = {name: file[f"0/{name}"] for name in ("assignment", "probability", "weight")}
        assert "0/rejected" not in file
    capsys.readouterr()
    with store.read(learn(folder, "simgcd", dims=(0,), reject=0.1), "clusters") as file:
        for name, array in before.items():
            assert file[f"0/{name}"].tobytes() == array.tobytes()
        rejected, away = file["0/rejected"], file["0/distance"]
        beyond, centroids = file["0/reject_beyond"], file["0/centroids"]
    assert (centroids.shape, beyond.shape, away.shape) == ((2, 10, 64), (2,), (2, N))
    assert not rejected[:, ~free].any()
    np.testing.assert_array_equal(rejected[:, free] > 0, (away > beyond[:, None])[:, free])
    number = ", ".join(map(str, rejected.sum(1)))
    said = f"simgcd k=10: {number} of {N} images belong to none of the classes (by seed)"
    assert capsys.readouterr().out.splitlines()[-1] == said


def test_the_same_images_of_another_store_are_rejected_by_the_same_border(folder: Path):
    clusters = learn(folder, "simgcd", dims=(0,), reject=0.1)
    pair = Pair(CELL, CELL._replace(dataset="again"))
    write_dataset(folder, "again")
    (folder / pair.first.file("clusters")).mkdir()
    shutil.copy(clusters, folder / CELL._replace(run="simgcd").clusters)
    with contextlib.chdir(folder):
        stages.assign.main(pair, "simgcd", RUNTIME)
    free = write_known(folder) < 0
    with (
        store.read(clusters, "clusters") as ours,
        store.read(folder / pair.assigned("simgcd"), "clusters") as theirs,
    ):
        for name in ("rejected", "distance"):
            np.testing.assert_array_equal(ours[f"0/{name}"][:, free], theirs[f"0/{name}"][:, free])
        assert ours["0/rejected"].any()
