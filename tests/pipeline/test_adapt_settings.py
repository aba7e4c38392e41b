"""What adapt refuses, each in one clear line and before anything is stored or trained."""

import shutil
from pathlib import Path
from typing import Any

import adapting
import numpy as np
import pytest
from adapting import BASE, FROZEN, VIT, digits, train

import backbones
import store
from backbones import BackboneError
from cluster.errors import ClusterError
from pipeline.adapting import run as adapting_run
from pipeline.io.absent import mark
from pipeline.io.cell import BACKBONES
from pipeline.io.origin import Imported, write_imported, write_zoo_row
from pipeline.params import StageError
from tests import tiny_clip

_quiet = pytest.fixture(autouse=True)(adapting.quiet)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapting.write_collection(tmp_path_factory.mktemp("made"))


@pytest.fixture(autouse=True)
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def reached(*_: Any) -> None:
        pytest.fail("the training has begun")

    monkeypatch.setattr(adapting_run, "train", reached)
    return adapting.go_to_copy(made, tmp_path, monkeypatch)


def refusal(*arguments: Any, **changes: Any) -> str:
    """The one line in which a run is refused."""
    with pytest.raises((StageError, BackboneError, ClusterError)) as refused:
        train(*arguments, **changes)
    line = str(refused.value)
    assert "\n" not in line
    assert not FROZEN.exists()
    assert not list(BACKBONES.glob("*.part"))
    return line


def pretend_features(name: str) -> None:
    """A store of a backbone's features, at random."""
    row = backbones.row(name)
    with store.read(digits(name).images, "index") as file:
        ids, split, splits = file["digest"], file["split"], file.attrs["splits"]
    plan = store.Plan("digits", name, row.digest, row.dim, splits, ids, np.arange(len(ids)), split)
    write_zoo_row(row)
    with store.FeatureWriter(digits(name).features, plan) as writer:
        writer.put(writer.todo, np.random.default_rng(0).normal(size=(len(ids), row.dim)))
        writer.finish()


@pytest.mark.parametrize(
    ("objective", "changes", "line"),
    [
        ("simgcd", {"objective": "simgdc"},
         "adapted.simgcd has objective 'simgdc'; did you mean 'simgcd'?"),
        ("gcd", {"objective": None}, "adapted.gcd has no objective; known: "
         "simclr, gcd, simgcd, selex, hyp_simgcd, hyp_selex, scan, selflabel, tes, get"),
        ("gcd", {"learns_from": "features"},
         "adapted.gcd: write learns_from: ../known.h5, which gcd needs"),
        ("simclr", {"learns_from": None},
         "adapted.simclr: write learns_from: features, which simclr needs"),
        ("tes", {"learns_from": "neighbors.h5"},
         "adapted.tes: write learns_from: features or ../known.h5, which tes needs"),
        ("gcd", {"temprature": 1.0},
         "params.yaml: adapted.gcd.temprature is not a setting; did you mean "
         "'temperature'?"),
        ("gcd", {"epochs": 0},
         "params.yaml: adapted.gcd.epochs is 0: Input should be greater than or equal to 1"),
        ("gcd", {"train_blocks": "all"},
         "adapted.gcd: with train_blocks: all nothing is frozen that could be cached: set "
         "frozen_features: recompute"),
        ("gcd", {"views": 1},
         "adapted.gcd: frozen_features: cached stores as many views as are set, 1: "
         "set views to 2 or more"),
        ("gcd", {"views": 0},
         "adapted.gcd: frozen_features: cached stores as many views as are set, 0: "
         "set views to 2 or more"),
        ("gcd", {"views": 1, "frozen_features": "recompute"},
         "adapted.gcd: one view is no pair: set views to 0 (new ones) or 2 or more"),
        ("gcd", {"accumulate": 3},
         "adapted.gcd: a batch of 16 has no 3 equal parts: change batch or accumulate"),
        ("gcd", {"batch": 16, "accumulate": 16},
         "a batch of 16 images is too small for 16 parts on 1 GPUs: each part needs two images or "
         "more, and each GPU one or more"),
        ("scan", {"lr": 1e-5},
         "adapted.scan: lr is 1e-05 and would rise to min_lr, 0.0001: set min_lr "
         "to no more than lr"),
        ("selflabel", {"center": True},
         "adapted.selflabel: selflabel takes features as they are: set center: false"),
        ("gcd", {"train_blocks": 0},
         "adapted.gcd: with train_blocks: 0 nothing of tiny_vit is trained, and gcd "
         "saves no head: set 1 or more"),
        ("gcd", {"train_blocks": 4},
         'tiny_vit: train_blocks is 4, but it has 3 blocks; take fewer, or "all"'),
        ("simgcd", {"k": 3}, "k is 3, but 5 classes are known: choose k from 5 on"),
        ("scan", {"k": 5000},
         "k is 5000, but there are 72 images to fit on: choose k from 1 to 72"),
        ("selex", {"k": "0.1x"}, "k is 1, but 5 classes are known: choose k from 5 on"),
        ("selflabel", {},
         "adapted.selflabel: tiny_vit has 0 heads that assign images to clusters, self-labelling "
         "starts from one: set a run of scan as backbone"),
        ("get", {},
         "tiny_vit is not a run of tes: train one, and set it as the backbone of get"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_one_line(objective: str, changes: dict[str, Any], line: str):
    assert refusal(objective, **changes) == line


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Birds-GCD", "write the name in a-z, 0-9 and _ only"),
        (BASE, "the zoo has a backbone tiny_vit already: choose another name"),
    ],
)
def test_a_run_has_the_name_of_a_backbone_and_none_that_is_taken(name: str, line: str):
    assert refusal("gcd", name) == f"adapted.{name}: {line}"


def test_a_checkpoint_is_of_one_number_of_clusters(monkeypatch: pytest.MonkeyPatch):
    plain, seen = adapting.adapt.read_inputs, list[int]()

    def noted(out: Path, what: str, follows: dict[str, Any]) -> None:
        seen.append(follows["k"])
        raise KeyboardInterrupt

    monkeypatch.setattr(adapting.adapt, "Checkpoint", noted)
    for k in (7, 8):  # 1x, before and after a class was added
        monkeypatch.setattr(
            adapting.adapt, "read_inputs", lambda *of, k=k: plain(*of)._replace(k=k)
        )
        with pytest.raises(KeyboardInterrupt):
            train("simgcd")
    assert seen == [7, 8]


def test_a_run_that_is_not_there_is_named():
    adapting.write_run("gcd", "birds_gcd")
    with pytest.raises(StageError) as refused:
        adapting.adapt.main("birds_gdc", adapting.RUNTIME)
    line = "params.yaml: adapted has no 'birds_gdc'; did you mean 'birds_gcd'?"
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("objective", "path", "how"),
    [
        ("gcd", Path("data/digits/tiny_vit/../known.h5"),
         "say under known: of which images of digits the class is known"),
        ("scan", digits(BASE).neighbors, "run `dvc repro neighbors`"),
    ],
)  # fmt: skip
def test_a_teacher_that_is_not_there_is_named_and_where_it_comes_from(
    objective: str, path: Path, how: str
):
    path.unlink()
    line = refusal(objective)
    assert line == (
        f"adapted.{objective}: {objective} learns from {path}, which is not there: {how}"
    )


def test_vectors_that_were_imported_have_no_network_to_train():
    pretend_features("pixels")
    write_imported(Imported("pixels", {}))
    line = "adapted.gcd: pixels was imported, and has no network to train"
    assert refusal("gcd", backbone="pixels") == line


def test_a_base_that_has_nothing_of_the_dataset_says_why():
    mark([digits("pixels").features], "left out by embed.skip")
    line = "adapted.gcd: digits by pixels is absent: left out by embed.skip"
    assert refusal("gcd", backbone="pixels") == line


@pytest.mark.parametrize("base", ["pixels", "simclr_resnet50"])
def test_a_backbone_that_torch_cannot_train_is_refused(base: str):
    pretend_features(base)
    loader = backbones.row(base).loader
    line = refusal("gcd", backbone=base)
    assert line.startswith(f"{base}: a backbone of loader {loader} cannot be trained; take one of ")


def test_blocks_that_cannot_be_told_are_refused(monkeypatch: pytest.MonkeyPatch):
    row = {**VIT, "model": "test_byobnet", "output": "avg", "options": {}, "dim": 256}
    adapting.own_zoo(monkeypatch, byobnet=row)
    pretend_features("byobnet")
    line = refusal("gcd", backbone="byobnet")
    assert line.startswith("byobnet: the blocks of a timm.models.byobnet.ByobNet cannot be told; ")


def test_features_of_another_version_of_the_base_are_refused(monkeypatch: pytest.MonkeyPatch):
    adapting.own_zoo(monkeypatch, **{BASE: {**VIT, "revision": 2}})
    assert refusal("gcd") == ("the zoo's row of tiny_vit has changed: run `dvc repro backbone`")
    write_zoo_row(backbones.row(BASE))
    assert refusal("gcd") == (
        "data/digits/tiny_vit/features was made by another version of tiny_vit than there is now: "
        "run `dvc repro`"
    )


def test_features_of_another_backbone_or_dataset_are_refused():
    pretend_features("pixels")
    shutil.rmtree(digits(BASE).features)
    digits("pixels").features.rename(digits(BASE).features)
    assert refusal("gcd") == (
        "adapted.gcd is of digits and tiny_vit, data/digits/tiny_vit/features of digits and pixels"
    )


NAMES = [f"{digit},word {digit}" for digit in range(10)]


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (None, "names.csv does not exist: write a CSV file with the columns class and name"),
        (["label,name", *NAMES],
         "names.csv has the columns label, name, expected class and name"),
        (["class,name", *NAMES, "3,third"],
         "names.csv names the class '3' twice: keep one row"),
        (["class,name", *NAMES[:2], *NAMES[3:]],
         "names.csv has no name for the known class '2'"),
        (["class,name", *NAMES[:2], "2,", *NAMES[3:]],
         "names.csv has no name for the known class '2'"),
        (["class,name", *NAMES[:2], "2,word 1", *NAMES[3:]],
         "names.csv calls '1' and another class 'word 1'"),
    ],
)  # fmt: skip
def test_names_of_classes_that_are_missing_or_doubled_are_one_line(
    rows: list[str] | None, line: str, monkeypatch: pytest.MonkeyPatch
):
    adapting.own_zoo(monkeypatch, tiny_clip=tiny_clip.facts(Path.cwd()))
    pretend_features("tiny_clip")
    if rows:
        Path("names.csv").write_text("\n".join(rows))
    found = refusal("tes", backbone="tiny_clip", train_blocks=0, names="names.csv")
    assert found.startswith(line)


@pytest.mark.parametrize(
    ("coding", "line"),
    [
        ("utf-8-sig", "names.csv has no name for the known class '2'"),
        (
            "latin-1",
            "names.csv is no CSV file in UTF-8 (invalid continuation byte): save it as one",
        ),
    ],
)
def test_a_table_of_names_may_be_a_spreadsheets_in_utf_8_alone(
    coding: str, line: str, monkeypatch: pytest.MonkeyPatch
):
    adapting.own_zoo(monkeypatch, tiny_clip=tiny_clip.facts(Path.cwd()))
    pretend_features("tiny_clip")
    Path("names.csv").write_text("\n".join(["class,name", "0,zéro", *NAMES[1:2]]), encoding=coding)
    found = refusal("tes", backbone="tiny_clip", train_blocks=0, names="names.csv")
    assert found.startswith(line)


def test_tes_trains_no_block_of_clip(monkeypatch: pytest.MonkeyPatch):
    adapting.own_zoo(monkeypatch, tiny_clip=tiny_clip.facts(Path.cwd()))
    pretend_features("tiny_clip")
    line = "train_blocks is 1, but TES keeps all of CLIP frozen; write 0"
    assert refusal("tes", backbone="tiny_clip") == line
