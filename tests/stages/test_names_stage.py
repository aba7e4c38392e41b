"""Stages vocabulary and names: words for the clusters of a run, into the report and the export."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from clustered import N, digits, split_of, write_clusters, write_features, write_index
from conftest import PARAMS, Project, runtime

import stages.export
import stages.names
import stages.vocabulary
import store
from backbones import BackboneError, classifier, row, text
from pages.report.chosen.clusters import nothing
from pages.report.chosen.names import proposed
from pages.report.chosen.pick import Examples
from pipeline.export import wanted
from pipeline.export.wanted import Wanted
from pipeline.io.absent import Absent, mark
from pipeline.io.cell import Cell
from pipeline.io.duplicates import read_leaders
from pipeline.io.origin import Imported
from pipeline.naming import encoded as encoding
from pipeline.naming import proposals
from pipeline.params import StageError
from tests import tiny_clip

CELL = Cell("d", "clip", "names")
PARAMETERS = stages.names.Params(**PARAMS["names"])
WORDS = ["zero", "one", "two", "three", "grey", "black"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory):
    return replace(tiny_clip.row_in(tmp_path_factory.mktemp("clip")), name="clip")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip) -> Path:
    """Digits with features 24 wide, which the tiny CLIP is said to have made, and ten clusters."""
    monkeypatch.chdir(tmp_path)
    names, digests, features, _ = digits()
    write_index(tmp_path, "d", names, digests)
    write_features(tmp_path, "d", "clip", features[:, 20:44] - 0.3, digests)
    write_clusters(tmp_path, "d", "clip")
    monkeypatch.setattr("stages.names.read_origin", lambda name: clip)
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    params = {**PARAMS, "names": {**PARAMS["names"], "vocabulary": "words.txt"}}
    params["runs"] = {**PARAMS["runs"], "names": ["kmeans"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    stages.vocabulary.main("kmeans")
    return tmp_path


def name(**changes: object) -> proposals.Proposals:
    found = stages.names.main(CELL, "kmeans", PARAMETERS.model_copy(update=changes), runtime())
    written = proposals.read_proposals(proposals.place(CELL, "kmeans"))
    assert written == proposals.Proposals(**found)
    return written


def clusters() -> tuple[np.ndarray, int]:
    """Those of the seed of lowest loss, of the images of train; and that seed."""
    with store.read(CELL._replace(run="kmeans").clusters, "clusters") as file:
        seed = int(file["0/loss"].argmin())
        return file["0/assignment"][seed][split_of(N) == 0], file.attrs["seeds"][seed]


def change(path: Path, what: str, to: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write a file of clusters with another array."""
    own = ("assignment", "distance", "centroids", "loss", "iterations")
    with store.read(path, "clusters") as file:
        names = ["row", "split", "k", "dims", "mean", "components", "variance"]
        arrays = {n: file[n] for n in [*names, *(f"0/{n}" for n in own)]}
        attrs = dict(file.attrs)
    store.save(path, "clusters", {**arrays, what: to(arrays[what])}, attrs)


def test_a_text_tower_names_clusters_by_the_words_of_a_file(folder: Path, clip, capsys):
    found = name(keep=1, words=2)
    assigned, seed = clusters()
    assert (found.seed, found.k, len(found.words)) == (seed, 10, 10)
    assert found.by == "text tower of clip"
    vectors = text.load(clip, "cpu").encode(text.prompts(WORDS))
    x = store.Features(CELL.features).block(0, N)[split_of(N) == 0]
    x, t = (a / np.linalg.norm(a, axis=1, keepdims=True).astype(float) for a in (x, vectors))
    means = np.stack([x[assigned == c].mean(0) for c in range(10)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    cosine = t @ means.T  # [word, cluster]
    share = np.exp(cosine) / np.exp(cosine).sum(1, keepdims=True)
    kept = sorted({max((w for w in range(6) if share[w].argmax() == c), key=lambda w: share[w, c])
                   for c in set(share.argmax(1).tolist())})  # fmt: skip
    each = np.exp(x @ t[kept].T / 0.005)
    each /= each.sum(1, keepdims=True)
    for c, words in enumerate(found.words):
        mean = each[assigned == c].mean(0)
        best = np.argsort(-mean)[:2]
        assert [word for word, _ in words] == [WORDS[kept[w]] for w in best]
        np.testing.assert_allclose([s for _, s in words], mean[best], atol=2e-3)
    assert "clusters of kmeans by the text tower of clip, as proposals" in capsys.readouterr().out


def test_texts_are_encoded_once_and_a_killed_run_goes_on(folder: Path, monkeypatch):
    monkeypatch.setattr(encoding, "AT_ONCE", 2)
    monkeypatch.setattr(encoding, "SECONDS_BETWEEN", -1)
    whole, load, calls = name(), text.load, []
    (kept,) = Path("data/frozen/words").glob("clip-*.npz")
    kept.unlink()

    class Killed(text.TextTower):
        def encode(self, texts):
            calls.append(len(texts))
            if len(calls) == 3:
                raise KeyboardInterrupt
            return super().encode(texts)

    def breaking(row, device):
        tower = load(row, device)
        tower.__class__ = Killed
        return tower

    monkeypatch.setattr(text, "load", breaking)
    with pytest.raises(KeyboardInterrupt):
        name()
    assert name() == whole
    assert calls == [2, 2, 2, 2], "two were kept, the third was lost"
    monkeypatch.setattr(text, "load", lambda row, device: pytest.fail("encoded again"))
    assert name() == whole
    kept.write_bytes(b"PK")
    with pytest.raises(StageError, match=r"clip-.*npz is damaged .*: remove it to encode anew"):
        name()


def test_a_classifier_names_clusters_by_its_own_classes(folder: Path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    head = classifier.Classifier(
        rng.normal(size=(1000, 24)).astype(np.float32), rng.normal(size=1000).astype(np.float32)
    )
    monkeypatch.setattr("stages.names.read_origin", lambda name: row("mobilenet_v2"))
    monkeypatch.setattr(classifier, "load", lambda row: head)
    found = name(words=1)
    assigned, _ = clusters()
    x = store.Features(CELL.features).block(0, N)[split_of(N) == 0].astype(float)
    each = np.exp(x @ head.weight.T + head.bias)
    each /= each.sum(1, keepdims=True)
    expected = [
        stages.names.imagenet_classes()[each[assigned == c].mean(0).argmax()] for c in range(10)
    ]
    assert [words[0][0] for words in found.words] == expected
    assert found.by == "classifier of clip"
    assert "clip has no text tower: ImageNet's classes" not in capsys.readouterr().out
    name(vocabulary="words.txt")
    assert "clip has no text tower: ImageNet's classes, by its" in capsys.readouterr().out


def test_a_cluster_without_images_has_no_words(folder: Path):
    path = write_clusters(folder, "d", "clip", settings=((30, 0),))
    change(path, "0/assignment", lambda assignment: np.minimum(assignment, 3))
    found = name()
    assert [bool(words) for words in found.words] == [True] * 4 + [False] * 26


@pytest.mark.parametrize(
    "origin", [row("pixels"), row("dinov2_vits14"), row("clip_vit_b_16_class"), Imported("x", {})]
)
def test_a_backbone_that_can_name_nothing_has_no_names(folder: Path, monkeypatch, origin):
    monkeypatch.setattr("stages.names.read_origin", lambda name: origin)
    with pytest.raises(Absent, match=r"clip has neither a text tower nor a classifier"):
        name()


def test_other_images_and_a_run_without_words_are_refused(folder: Path):
    with pytest.raises(StageError, match=r"vocabulary/scan.txt is not there: run `dvc repro voca"):
        stages.names.main(CELL, "scan", PARAMETERS, runtime())
    change(CELL._replace(run="kmeans").clusters, "row", lambda row: row + 1)
    with pytest.raises(StageError, match=r"is not of the images in .*features: run `dvc repro`"):
        name()


def test_a_weight_that_cannot_be_had_is_no_absent_cell(folder: Path, monkeypatch):
    monkeypatch.setattr("stages.names.read_origin", lambda name: row("clip_vit_b_32"))
    monkeypatch.setattr(text, "load", lambda *_: (_ for _ in ()).throw(BackboneError("go online")))
    with pytest.raises(BackboneError, match=r"go online"):
        name()


def test_the_report_shows_the_words_of_the_clustering_that_it_shows(folder: Path):
    found = name()
    shown = nothing(Examples(clusters=4, images=3))._replace(
        run="kmeans", k=10, seed=found.seed, setting=0
    )
    place = proposals.facts_place(CELL, "kmeans")
    assert proposed(CELL, shown) == []
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"cost": [{}], **found._asdict()}))
    words = proposed(CELL, shown)
    assert len(words) == 10
    word, share = found.words[3][0]
    assert words[3][0] == f"{word} {100 * share:.0f} %"
    assert proposed(CELL, shown._replace(seed=found.seed + 1)) == []
    assert proposed(CELL, shown._replace(setting=1)) == []
    mark([place], "nobody can")
    assert proposed(CELL, shown) == []


def test_the_table_has_a_column_of_them(folder: Path, monkeypatch):
    found, cell = name(), CELL._replace(run=stages.export.NAMED)
    monkeypatch.setattr(stages.export, "confidence", lambda *_: np.zeros(N, np.float32))
    monkeypatch.setattr(stages.export, "read_leaders", lambda *_: np.arange(N))
    assert read_leaders is not stages.export.read_leaders
    stages.export.main(cell, "clusters/kmeans", Wanted(format="csv", reads="neighbors"))
    with CELL.file("tables/kmeans_named.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == N
    for line in rows:
        assert line["names"] == "; ".join(word for word, _ in found.words[int(line["cluster"])])
    write_clusters(folder, "d", "clip", seeds=(5, 6))
    with pytest.raises(StageError, match=r"is not of the clusters of clusters/kmeans: run `dvc"):
        stages.export.main(cell, "clusters/kmeans", Wanted(format="csv", reads="neighbors"))
    mark([proposals.place(CELL, "kmeans")], "nobody can")
    with pytest.raises(Absent, match=r"nobody can"):
        stages.export.main(cell, "clusters/kmeans", Wanted(format="csv", reads="neighbors"))


def test_the_first_word_is_the_label_for_other_programs(folder: Path, monkeypatch):
    found, cell = name(), CELL._replace(run=stages.export.NAMED)
    monkeypatch.setattr(stages.export, "confidence", lambda *_: np.zeros(N, np.float32))
    monkeypatch.setattr(stages.export, "read_leaders", lambda *_: np.arange(N))
    monkeypatch.setattr(wanted, "pictures", lambda *_: folder)
    params = Wanted(format="fiftyone", reads="neighbors")
    stages.export.main(cell, "clusters/kmeans", params)
    written = json.loads(CELL.file("tables/kmeans_named.fiftyone/samples.json").read_text())
    with store.read(CELL._replace(run="kmeans").clusters, "clusters") as file:
        cluster = file["0/assignment"][int(file["0/loss"].argmin())]
    first = [words[0][0] if words else f"cluster {c}" for c, words in enumerate(found.words)]
    for number, sample in zip(cluster, written["samples"], strict=True):
        alone = first.count(first[number]) == 1
        label = first[number] if alone else f"{first[number]} (cluster {number})"
        assert sample["cluster"]["label"] == label


def test_the_stages_by_command(folder: Path, tmp_path: Path):
    """By the network in a package, whose features are made as `embed` makes them."""
    project = Project(tmp_path)
    project.params["backbones"] = {"efficientnet_lite0_stage4": {}, "pixels": {}}
    project.params["names"]["vocabulary"] = "imagenet"
    project.stage("backbone", "pixels")
    said = project.stage("vocabulary", "kmeans")
    assert "vocabulary: 1000 words of imagenet" in said
    _names, digests, features, _ = digits()
    write_features(tmp_path, "d", "pixels", features, digests)
    write_clusters(tmp_path, "d", "pixels")
    said = project.stage("names", "d", "pixels", "kmeans")
    assert said.startswith("names: there is nothing to do: pixels has neither a text tower nor a")
    for path in ("data/d/pixels/names/kmeans.json", "metrics/d/pixels/names_kmeans.json"):
        assert "neither" in json.loads((tmp_path / path).read_text())["absent"]


def test_a_vocabulary_that_left_stays_and_a_slip_of_the_pen_does_not(folder: Path, capsys):
    Path("words.txt").unlink()
    stages.vocabulary.main("kmeans")
    assert "words.txt is not here; data/vocabulary/kmeans.txt stays as it is" in (
        capsys.readouterr().err
    )
    noted = {
        "stages": {"vocabulary@kmeans": {"params": {"params.yaml": {"names.vocabulary": "x"}}}}
    }
    Path("dvc.lock").write_text(yaml.safe_dump(noted))
    with pytest.raises(StageError, match=r"names.vocabulary has changed since"):
        stages.vocabulary.main("kmeans")


@pytest.mark.parametrize("wrong", [None, 3, "", [], {"file": "x"}])
def test_a_vocabulary_that_is_no_text_is_refused(folder: Path, wrong: object):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["names"]["vocabulary"] = wrong
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(
        StageError, match=r"names.vocabulary is .*: expected imagenet, wordnet or a"
    ):
        stages.vocabulary.main("kmeans")
