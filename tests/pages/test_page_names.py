"""Words that are proposed for clusters, on the page."""

import json
from pathlib import Path

import pytest
from clustered import write_clusters, write_dataset
from reported import evaluate, report

from pages.report.chosen.clusters import read_chosen
from pipeline.io.cell import Cell
from pipeline.naming.proposals import Proposals, facts_place

CELL = Cell("d", "pixels")


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """A clustering that is shown, its pictures, and words for it."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d")
    evaluate("d")
    shown = read_chosen(CELL.examples)
    assert shown is not None
    words = [[(f"word <{c}>", 0.625), ("thing", 0.25)] for c in range(10)]
    found = Proposals(shown.seed, 10, "classifier of pixels", words)
    facts_place(CELL, "kmeans").write_text(json.dumps({"cost": [], **found._asdict()}))
    return {"datasets": {"d": {"from": "digits"}}, "runs": {"names": ["kmeans"]}}


def test_each_cluster_has_its_words_marked_as_proposals(asking: dict):
    page = report(asking=asking)
    shown = read_chosen(CELL.examples)
    assert shown is not None
    for cluster in set(shown.cluster.tolist()):
        assert f"<span>proposed</span> word &lt;{cluster}&gt; 62 %, thing 25 %" in page
    assert page.count('class="names"') == len(set(shown.cluster.tolist()))
    assert "The words are proposals of stage names" in page


def test_words_of_a_run_that_was_taken_out_are_not_shown(asking: dict):
    page = report(asking={**asking, "runs": {"names": []}})
    assert "proposed" not in page
    assert "most typical of each" in page
