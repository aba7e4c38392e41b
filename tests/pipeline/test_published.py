"""Published numbers: which of them stand beside a result of ours, and mistakes in the file."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

import images
from backbones import names
from pipeline.params import StageError
from pipeline.published import (
    CLUSTERING,
    DISCOVERY,
    Number,
    Ours,
    beside,
    is_benchmark,
    read_published,
    said,
)

NUMBERS = read_published()
OBJECTIVES = yaml.safe_load((ROOT / "recipes/objectives.yaml").read_text())
HYPERBOLIC = {"hyp_selex", "hyp_simgcd"}
CIFAR = {"from": "cifar10"}
OURS = Ours("photos", CIFAR, ("dino_vitb16",), "", "temi", "temi", 10, 0, "test")
ROW = {
    "name": "TEMI", "source": "a paper", "dataset": "cifar10", "backbone": "dino_vitb16",
    "method": "temi", "k": 10, "split": "test", "acc": 94.5,
}  # fmt: skip


def written(tmp_path: Path, *groups: Any) -> Path:
    path = tmp_path / "published.yaml"
    path.write_text(yaml.safe_dump(list(groups)))
    return path


def group(**changed: Any) -> dict[str, Any]:
    return {**{k: v for k, v in ROW.items() if k != "acc"}, "numbers": [{"acc": 94.5, **changed}]}


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: f"{n.name}-{n.of}-{n.on}-{n.k}")
def test_every_name_is_one_of_ours(number: Number):
    spec = {"from": number.dataset} if isinstance(number.dataset, str) else number.dataset
    assert images.identity(spec)
    of = [number.backbone] if isinstance(number.backbone, str) else number.backbone
    assert set(of) <= set(names())
    assert number.trained in {None, *OBJECTIVES, *HYPERBOLIC}
    assert number.split in {"train", "test", "val", None}
    if number.scores(DISCOVERY):
        assert not number.scores(CLUSTERING)
        assert number.split == "train"
        assert images.old_classes(spec) is not None
    assert number.source
    assert number.k in {10, 20, 50, 100, 196, 200, 683, 1000, 1500}


def test_no_number_is_there_twice():
    counts = Counter((n.name, n.of, n.on, n.k, n.split, n.method) for n in NUMBERS)
    assert [what for what, count in counts.items() if count > 1] == []


def test_all_lies_between_old_and_new():
    for n in NUMBERS:
        if n.all is not None and n.old is not None and n.new is not None:
            assert min(n.old, n.new) <= n.all <= max(n.old, n.new), n


def test_a_dataset_is_known_by_its_reader_and_not_by_its_name():
    (found,) = beside(OURS, NUMBERS, CLUSTERING)
    assert (found.name, found.acc, found.nmi, found.ari) == ("TEMI", 94.5, 88.6, 88.5)
    elsewhere = {**CIFAR, "root": "/somewhere", "splits": ["train", "test"], "classes": 10}
    assert beside(OURS._replace(spec=elsewhere), NUMBERS, CLUSTERING) == [found]
    for other in ({"from": "cifar100"}, {**CIFAR, "part": 0.1}, {**CIFAR, "train": ["test"]}, {}):
        assert beside(OURS._replace(spec=other), NUMBERS, CLUSTERING) == []


@pytest.mark.parametrize(
    "change",
    [
        {"k": 15}, {"dims": 32}, {"split": "train"}, {"backbones": ("dino_vits16",)},
        {"backbones": ("dino_vitb16", "clip_vit_l_14")}, {"trained": "scan"},
        {"run": "kmeans", "method": "kmeans"},
    ],
    ids=str,
)  # fmt: skip
def test_what_differs_does_not_match(change: dict[str, Any]):
    assert beside(OURS._replace(**change), NUMBERS, CLUSTERING) == []


def test_a_run_counts_as_its_stage_unless_its_own_name_is_there():
    assert len(beside(OURS._replace(run="temi_cifar10"), NUMBERS, CLUSTERING)) == 1
    cub = OURS._replace(spec={"from": "cub"}, k=200, split="train", method="sskmeans")
    for run, name in (("sskmeans", "GCD"), ("sskmeans_balanced", "SelEx"), ("mine", "GCD")):
        (found,) = beside(cub._replace(run=run), NUMBERS, DISCOVERY)
        assert found.name == name


def test_an_adapted_backbone_matches_what_was_trained_alike():
    cifar = OURS._replace(trained="simgcd", split="train", run="learned", method="learned")
    (found,) = beside(cifar, NUMBERS, DISCOVERY)
    assert (found.name, found.new) == ("SimGCD", 98.1)
    assert beside(cifar._replace(trained="gcd"), NUMBERS, DISCOVERY) == []
    gcd = cifar._replace(trained="gcd", run="pim", method="pim")
    assert [n.name for n in beside(gcd, NUMBERS, DISCOVERY)] == ["PIM"]


def test_several_backbones_match_in_any_order():
    fused = OURS._replace(backbones=("dinov2_vitg14", "clip_vit_l_14"), run="turtle")
    assert [n.acc for n in beside(fused, NUMBERS, CLUSTERING)] == [99.5]


def test_options_left_out_are_their_defaults():
    scan = OURS._replace(backbones=("mocov2_resnet50",), k=100, split="val", run="scan")
    for spec in ({"from": "imagenet100"}, {"from": "imagenet100", "of": "scan"}):
        assert [n.acc for n in beside(scan._replace(spec=spec), NUMBERS, CLUSTERING)] == [66.2]
    gcd = {"from": "imagenet100", "of": "gcd"}
    assert beside(scan._replace(spec=gcd), NUMBERS, CLUSTERING) == []


def test_images_of_ones_own_are_known_by_their_name(tmp_path: Path):
    mine = read_published(written(tmp_path, group(dataset="photos")))
    own = OURS._replace(spec={"from": "folder", "root": "x"})
    assert beside(own, mine, CLUSTERING) == mine
    assert beside(own._replace(key="others"), mine, CLUSTERING) == []
    assert beside(own._replace(key="cifar10"), NUMBERS, CLUSTERING) == []


def test_a_line_says_what_tells_a_number_from_ours():
    simgcd = next(n for n in NUMBERS if n.name == "SimGCD" and n.of == "cifar10")
    line = said(simgcd, DISCOVERY, frozen=True)
    assert line.startswith("SimGCD, dino_vitb16: All 97.1, Old 95.1, New 98.1; scored on train; ")
    assert "its backbone was trained, too (simgcd), ours is frozen" in line
    assert "frozen" not in said(simgcd, DISCOVERY, frozen=False)
    umap = next(n for n in NUMBERS if n.method == "umap_kmeans")
    assert "on which split is not said" in said(umap, CLUSTERING, frozen=True)


def test_only_the_published_draw_of_known_classes_is_compared():
    assert is_benchmark({"old": "published", "labelled": 0.5, "seed": 3})
    for other in (None, {"table": "x.csv"}, {"old": 5, "labelled": 0.5},
                  {"old": "published", "labelled": 0.1}):  # fmt: skip
        assert not is_benchmark(other)


MISTAKES = {
    "acc is 945: Input should be less than or equal to 100": group(acc=945),
    "acc is '94.5': Input should be a valid number": group(acc="94.5"),
    "metod is no key of a number; did you mean 'method'?": group(metod="temi"),
    "method is missing": {k: v for k, v in group().items() if k != "method"},
    "k is 0: Input should be greater than or equal to 1": group(k=0),
    "has no score: say one of acc, nmi, ari, ami, all, old, new": group(acc=None),
    "has no list `numbers`": {**ROW},
    "it is 7: ": {**ROW, "numbers": [7]},
    "from: cifar-10 is no reader of images; did you mean cifar10?": group(
        dataset={"from": "cifar-10"}
    ),
    "from: imagenet100: of must be one of scan, gcd; found 'gdc'": group(
        dataset={"from": "imagenet100", "of": "gdc"}
    ),
}


@pytest.mark.parametrize(("words", "wrong"), MISTAKES.items(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_says_where(words: str, wrong: Any, tmp_path: Path):
    with pytest.raises(StageError) as error:
        read_published(written(tmp_path, group(), wrong))
    (line,) = str(error.value).split("\n")
    assert line.startswith("recipes/published.yaml: group 2")
    assert words in line


def test_each_mistake_has_a_line(tmp_path: Path):
    with pytest.raises(StageError) as error:
        read_published(written(tmp_path, group(k=0), group(), group(acc=-1)))
    assert [line[:31] for line in str(error.value).split("\n")] == [
        "recipes/published.yaml: group 1",
        "recipes/published.yaml: group 3",
    ]


@pytest.mark.parametrize("text", ["a: [", "{a: 1}", "7", "2020-99-99"])
def test_a_file_that_is_no_list_is_refused_in_one_line(text: str, tmp_path: Path):
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(StageError, match=r"^recipes/published.yaml: .*") as error:
        read_published(path)
    assert "\n" not in str(error.value)


def test_no_file_is_no_number(tmp_path: Path):
    assert read_published(tmp_path / "none.yaml") == []
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert read_published(tmp_path / "empty.yaml") == []
