"""Names that a person gave to clusters, on the page."""

import json
from pathlib import Path
from typing import Any

import pytest
from clustered import write_clusters, write_dataset
from reported import evaluate, report, text_of
from test_page_map import ASKING as MAPPED
from test_page_map import drawn, lay

from pages.report.chosen.clusters import read_chosen
from pages.report.chosen.given import given
from pipeline.io.absent import mark
from pipeline.io.cell import Cell
from pipeline.naming.proposals import Proposals, facts_place
from pipeline.params import StageError

CELL = Cell("d", "pixels")
RUNS = {"map": ["map"], "reviewed": ["kmeans"]}
ASKING = {**MAPPED, "runs": RUNS}
PLACE = CELL.metric("reviewed_kmeans.json")
FACTS = {"decided": 700, "images": 1797, "unknown": 12, "junk": 0, "cluster": 33, "none": 1052}


def review(names: dict[str, str], **more: Any) -> None:
    shown = read_chosen(CELL.examples)
    assert shown is not None
    of = {"k": 10, "seed": shown.seed}
    PLACE.write_text(json.dumps({"cost": [], "names": names, **FACTS, **of, **more}))


@pytest.fixture(autouse=True)
def largest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A clustering that is shown; its largest cluster."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d")
    evaluate("d")
    shown = read_chosen(CELL.examples)
    assert shown is not None
    return int(shown.size.argmax())


def test_a_given_name_stands_for_the_number_and_other_clusters_keep_theirs(largest: int):
    review({str(largest): "<shirt>"})
    page = report(asking=ASKING)
    assert f"<h4>&lt;shirt&gt; <span>· cluster {largest} · " in page
    assert page.count("<h4>Cluster ") == 3
    text = text_of(page)
    said = "decided by a person (12 unknown), 33 more by the name of their cluster."
    assert f"712 of 1,797 images {said}" in text
    assert "Names in place of numbers were given by a person." in text


def test_the_map_has_the_given_names(largest: int):
    lay()
    review({str(largest): "a & b"})
    assert ">a &amp; b</text>" in drawn(report(asking=ASKING))


def test_a_given_name_needs_no_proposal(largest: int):
    shown = read_chosen(CELL.examples)
    assert shown is not None
    words = [[("thing", 0.5)]] * 10
    said = Proposals(shown.seed, 10, "classifier of pixels", words)._asdict()
    facts_place(CELL, "kmeans").write_text(json.dumps(said))
    asking = {**ASKING, "runs": {**RUNS, "names": ["kmeans"]}}
    assert report(asking=asking).count("<span>proposed</span>") == 4
    review({str(largest): "shirt"})
    assert report(asking=asking).count("<span>proposed</span>") == 3


def test_without_decisions_the_page_says_nothing_of_them():
    before = report(asking=ASKING)
    assert "by a person" not in before
    mark([PLACE], "d: it has no pictures")
    assert report(asking=ASKING) == before


def test_names_of_another_clustering_are_not_given_to_this_one(largest: int):
    shown = read_chosen(CELL.examples)
    assert shown is not None
    review({str(largest): "shirt"})
    assert given(CELL, shown).names == {largest: "shirt"}
    assert given(CELL, shown._replace(setting=1)).names == {}
    assert given(CELL, shown._replace(k=9)).names == {}
    review({str(largest): "shirt"}, seed=shown.seed + 1)
    text = text_of(report(asking=ASKING))
    assert f"The names are those of clusters by seed {shown.seed + 1}, which are not shown." in text
    assert "shirt" not in text
    assert "712 of 1,797 images decided" in text


def test_names_of_a_run_that_was_taken_out_are_not_shown(largest: int):
    review({str(largest): "shirt"})
    assert "shirt" in report(asking=ASKING)
    page = report(asking={**ASKING, "runs": {"map": ["map"], "reviewed": []}})
    assert "shirt" not in page
    assert "by a person" not in page


def test_empty_names_and_clusters_that_are_not_there_are_none(largest: int):
    shown = read_chosen(CELL.examples)
    assert shown is not None
    review({str(largest): "  ", "10": "shirt", "-1": "x"})
    assert given(CELL, shown).names == {}


@pytest.mark.parametrize("facts", ["[]", "{}", '{"names": {"a": "b"}}', "{", '{"names": {}}'])
def test_a_damaged_file_is_named_in_one_line(facts: str):
    PLACE.write_text(facts)
    with pytest.raises(StageError, match=r"reviewed_kmeans.json: not as a stage wrote it") as error:
        report(asking=ASKING)
    assert len(str(error.value).splitlines()) == 1
