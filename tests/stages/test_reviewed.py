"""Stage reviewed: the label of every image, as a person decided or by the name of its cluster."""

import csv
from pathlib import Path

import numpy as np
import pytest
from clustered import SPLITS, N, digits, split_of, write_clusters, write_dataset

import stages.reviewed
import store
from pipeline.export.wanted import Wanted
from pipeline.io.cell import Cell
from pipeline.params import StageError
from pipeline.review.clustering import read_clustering
from pipeline.review.decisions import Cluster, Decision, Name, Place
from pipeline.review.digests import hex_digests
from pipeline.review.journal import Journal, journal_of

CELL = Cell("d", "pixels", "kmeans")
OF = {"dataset": "d", "backbone": "pixels"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """160 digits, k-means of three seeds; of each image the two that follow it as neighbours."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d", settings=((4, 0),))
    train = N * 3 // 4
    neighbor = (np.arange(N)[:, None] + [1, 2]) % train
    arrays = {
        "row": np.arange(N),
        "split": split_of(N),
        "neighbor": neighbor.astype(np.int32),
        "similarity": np.ones((N, 2), np.float32),
    }
    attrs = {**OF, "metric": "cosine", "splits": SPLITS, "dim": 64, "recall": 1.0}
    store.save(CELL.neighbors, "neighbors", arrays, attrs)


def decide(*decisions: Decision) -> None:
    journal = Journal(journal_of("d"), "d")
    for decision in decisions:
        journal.append(decision)


def review() -> tuple[dict[str, object], dict[str, np.ndarray], list[dict[str, str]]]:
    """Run the stage: its facts, the arrays, the rows of the table."""
    wanted = Wanted(format="csv", reads="neighbors")
    facts = stages.reviewed.main(CELL._replace(run="reviewed"), "clusters/kmeans", wanted)
    with store.read(CELL.reviewed, "reviewed") as file:
        arrays = {name: file[name] for name in ("label", "status", "confidence", "cluster")}
        arrays["categories"] = np.array(file.attrs["categories"], object)
    with CELL.file("tables/kmeans_reviewed.csv").open(newline="") as text:
        return facts, arrays, list(csv.DictReader(text))


def test_decided_images_named_clusters_and_all_others():
    clustering = read_clustering(CELL)
    own = clustering.assignment
    named = int(own[20])
    digest = hex_digests(digits()[1])
    decide(
        Name(
            clusters=(Cluster(of=clustering.fingerprint, number=named, typical=()),), category="a"
        ),
        Place(images=tuple(digest[:3]), status="decided", category="b"),
        Place(images=(digest[3],), status="junk"),
        Place(images=(digest[4],), status="unknown"),
    )
    facts, arrays, table = review()
    called = [row["label"] for row in table]
    assert called[:5] == ["b", "b", "b", "", ""]
    assert called[5:] == ["a" if c == named else "" for c in own[5:]]
    status = [row["status"] for row in table]
    assert status[:5] == ["decided"] * 3 + ["junk", "unknown"]
    assert status[5:] == ["cluster" if c == named else "none" for c in own[5:]]
    assert facts["decided"] == 3
    assert facts["cluster"] == int((own[5:] == named).sum())
    assert facts["names"] == {str(named): "a"}
    assert (facts["k"], facts["seed"]) == (4, clustering.seed)  # seeds are 0, 1, 2
    # A person's word is 1; of 10 the neighbours are 11 and 12, which count alike
    assert (arrays["confidence"][:5] == 1).all()
    assert (arrays["confidence"][arrays["status"] == 4] == 0).all()
    for i in np.flatnonzero(arrays["status"] == 1):
        near = [(i + step) % (N * 3 // 4) for step in (1, 2)]
        assert arrays["confidence"][i] == np.mean([called[j] == "a" for j in near])
    assert [row["cluster"] for row in table] == [str(c) for c in own]


def test_without_decisions_no_image_has_a_label(capsys: pytest.CaptureFixture[str]):
    facts, arrays, table = review()
    assert (arrays["label"] == -1).all()
    assert {row["status"] for row in table} == {"none"}
    assert facts["none"] == facts["images"] == N
    assert "review/d.jsonl has no decisions yet: make review DATASET=d" in capsys.readouterr().out


def test_decisions_about_another_dataset_are_refused():
    Journal(journal_of("d"), "other").append(Place(images=(), status="junk"))
    with pytest.raises(StageError, match="has decisions about the dataset other, expected d"):
        review()
