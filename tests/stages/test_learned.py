"""learned: clusters by the heads that a backbone was trained with, and what others make of them."""

import csv
import shutil
from pathlib import Path
from typing import Any

import adapting
import numpy as np
import pytest
from adapting import BASE, digits, features, folder_of, sort, train
from learning import RUNTIME

import store
from cluster.heads.model import Linear
from pipeline.io.cell import Pair
from pipeline.io.learned import Learned, read_learned, save_learned
from pipeline.params import StageError
from stages import assign, evaluate, evaluate_discovery

_quiet = pytest.fixture(autouse=True)(adapting.quiet)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a run that knew classes and one that knew none."""
    folder = tmp_path_factory.mktemp("made")
    collection = adapting.write_collection(tmp_path_factory.mktemp("collection"))
    with pytest.MonkeyPatch.context() as patch:
        adapting.go_to_copy(collection, folder, patch)
        for run, changes in {"simgcd": {"center": False}, "scan": {}}.items():
            train(run, epochs=1, **changes)
            adapting.embed_digits(run)
    return folder


@pytest.fixture(autouse=True)
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return adapting.go_to_copy(made, tmp_path, monkeypatch)


def vectors(run: str) -> np.ndarray:
    found = store.Features(features(run))
    return found.block(0, len(found)).astype(np.float64)


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def write_heads(run: str, **changes: Any) -> Learned:
    """Two heads at random in the place of what a run has learned."""
    rng, found = np.random.default_rng(0), read_learned(folder_of(run) / "learned.h5")
    dim = store.Features(features(run)).dim
    heads = {
        name: Linear(
            rng.normal(size=(1, 7, dim)).astype(np.float32),
            rng.normal(size=(1, 7)).astype(np.float32),
        )
        for name in ("image", "text")
    }
    found = found._replace(heads=heads, **changes)
    save_learned(folder_of(run) / "learned.h5", found, run)
    return found


@pytest.mark.parametrize("center", [False, True])
def test_clusters_are_those_of_the_largest_cosine_and_labelled_images_keep_their_class(
    center: bool,
):
    if center:  # heads that see features about their mean are written for features as they are
        train("simgcd", epochs=1, center=True)
        adapting.embed_digits("simgcd")
    none, discovered = sort("simgcd")
    found, x = read_learned(folder_of("simgcd") / "learned.h5"), vectors("simgcd")
    assert (list(found.heads), found.unit) == (["learned"], not center)
    if found.unit:
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    head = found.heads["learned"]
    if center:  # features at the mean of the base's say nothing
        base = store.Features(features(BASE))
        mean = base.block(0, 90)[base.split == 0].mean(0)
        assert np.abs(head.bias).max() > 0.1
        np.testing.assert_allclose(head.weight[0] @ mean, -head.bias[0], atol=1e-2)
    logits = x @ head.weight[0].T.astype(np.float64) + head.bias[0]
    expected, sure = logits.argmax(1), softmax(logits).max(1)
    with store.read(digits(BASE).known, "known") as file:
        label = file["label"]
    labelled = label >= 0
    assert (expected[labelled] != label[labelled]).any()
    with store.read(discovered / "learned.h5", "clusters") as file:
        own, probability = file["0/assignment"][0], file["0/probability"][0]
        assert file.attrs["run"] == "learned"
        assert file.attrs["old"] == found.old
    np.testing.assert_array_equal(own[~labelled], expected[~labelled])
    np.testing.assert_allclose(probability[~labelled], sure[~labelled], rtol=1e-3)
    np.testing.assert_array_equal(own[labelled], label[labelled])
    assert (probability[labelled] == 1).all()
    assert (discovered / "heads.txt").read_text() == "learned\n"
    assert [path.name for path in none.iterdir()] == ["heads.txt"]


def test_where_no_class_was_known_clusters_lie_in_the_other_folder():
    clusters, discovered = sort("scan")
    assert sorted(path.name for path in clusters.iterdir()) == ["heads.txt", "learned.h5"]
    assert [path.name for path in discovered.iterdir()] == ["heads.txt"]
    assert (discovered / "heads.txt").read_text() == ""


def test_a_run_without_heads_leaves_two_folders_that_say_so(capsys: pytest.CaptureFixture[str]):
    train("gcd", epochs=1)
    adapting.embed_digits("gcd")
    for folder in sort("gcd"):
        assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("heads.txt", "")]
    assert capsys.readouterr().out.endswith("learned: no head was learned with this backbone\n")


def test_the_mean_of_two_heads_is_that_of_their_probabilities():
    found, x = write_heads("scan", unit=False), vectors("scan")
    clusters, _ = sort("scan")
    each = [softmax(x @ h.weight[0].T.astype(np.float64) + h.bias[0]) for h in found.heads.values()]
    expected = {"learned_image": each[0], "learned_text": each[1], "learned_mean": sum(each) / 2}
    assert {path.stem for path in clusters.glob("*.h5")} == expected.keys()
    for name, probability in expected.items():
        with store.read(clusters / f"{name}.h5", "clusters") as file:
            np.testing.assert_array_equal(file["0/assignment"][0], probability.argmax(1))
            np.testing.assert_allclose(file["0/probability"][0], probability.max(1), rtol=1e-4)
            assert ("0/weight" in file) == (name != "learned_mean")


def test_in_another_dataset_no_image_is_pinned():
    write_heads("simgcd", dataset="others")
    _, discovered = sort("simgcd")
    with store.read(discovered / "learned_image.h5", "clusters") as file:
        assert (file["0/probability"] < 1).all()
        assert (file.attrs["dataset"], file.attrs["fitted_on"]) == ("digits", "others")


def test_heads_come_from_the_run_whose_features_these_are():
    shutil.rmtree(features("simgcd"))
    shutil.copytree(features("scan"), features("simgcd"))
    line = r"simgcd/features was not made by the backbone of .*simgcd.learned\.h5: run `dvc repro`$"
    with pytest.raises(StageError, match=line):
        sort("simgcd")


def test_self_labelling_goes_on_with_heads_of_this_very_backbone():
    write_heads("scan", encoder="0" * 32)
    line = r"scan.learned\.h5 was not learned with the backbone beside it: run `dvc repro`$"
    with pytest.raises(StageError, match=line):
        train("selflabel", backbone="scan")


def test_other_images_are_assigned_by_a_head_but_not_by_the_mean_of_several():
    sort("simgcd")
    write_heads("scan")
    sort("scan")
    cell = digits("simgcd")
    pair, run = Pair(cell, cell), "../discovered/learned/learned"
    assign.main(pair, run, RUNTIME)
    head = cell._replace(run=run).clusters
    with store.read(pair.assigned(run), "clusters") as file, store.read(head, "clusters") as of:
        same = file["0/assignment"][0] == of["0/assignment"][0]
        assert same[of["0/probability"][0] < 1].all()
    both = Pair(digits("scan"), digits("scan"))
    with pytest.raises(StageError, match=r"learned_mean\.h5 is the mean of several heads: assign"):
        assign.main(both, "learned/learned_mean", RUNTIME)


def scored(path: Path) -> set[str]:
    with path.open(newline="") as file:
        return {row["run"] for row in csv.DictReader(file)}


def test_learned_heads_are_scored_like_any_other_run():
    scan, simgcd = digits("scan"), digits("simgcd")
    for cell in (scan, simgcd):
        sort(cell.backbone)
    examples = evaluate_discovery.Examples(clusters=2, images=2)
    scored_as = scan._replace(run="evaluate")
    said = evaluate.main(scored_as, evaluate.Params(silhouette_images=50, seed=0))
    assert scored(scored_as.table) == {"learned"}
    assert any("learned" in key for key in said)
    scored_as = simgcd._replace(run="evaluate_discovery")
    evaluate_discovery.main(scored_as, examples)
    assert scored(scored_as.table) == {"learned"}
