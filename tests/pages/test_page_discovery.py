"""The tables of category discovery on the page and in the terminal."""

import json
from pathlib import Path

import numpy as np
import pytest
from clustered import N, write_clusters, write_dataset
from discovered import write_known
from reported import evaluate, evaluate_discovery, report, specs, text_of

import store
from cluster.metrics.mean_sd import mean_sd
from pages.report.chosen.clusters import read_chosen
from pages.report.chosen.pick import Examples
from pages.report.tables.rows import read_rows
from pipeline.io.cell import Cell

CELL = Cell("digits", "pixels", "sskmeans")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """k-means as itself and as a method that knew labels."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "digits")
    write_known(tmp_path)
    CELL.discovered.parent.mkdir(parents=True)
    write_clusters(tmp_path, "digits", run="sskmeans", settings=((10, 0), (12, 0))).rename(
        CELL.discovered
    )
    write_clusters(tmp_path, "digits")
    evaluate("digits")
    evaluate_discovery("digits")
    return report()


def test_the_page_has_all_old_and_new_of_each_method(page: str):
    text = text_of(page)
    assert "Category discovery Mean ± sd over 3 seeds; in %, by v2" in text
    assert "sskmeans knew the class of" in text
    assert "kmeans knew none, and stand for comparison." in text
    assert "All 3 settings by v2, v2b and v1" in text
    rows = read_rows(CELL.metric("evaluate_discovery.csv"), ("run", "new_v1"))
    first = [r for r in rows if (r["run"], r["setting"], r["split"]) == ("sskmeans", "0", "train")]
    own = [float(r["new_v1"]) for r in first]
    mean, sd = mean_sd(own)
    assert f"{100 * mean:.1f} ±{100 * sd:.1f}" in text


def test_the_page_shows_what_was_found_by_the_names_of_the_known_classes(page: str):
    text = text_of(page)
    assert "pixels · sskmeans" not in text  # it knew no class, the file says
    path = CELL.discovered
    with store.read(path, "clusters") as file:
        names = ["row", "split", "k", "dims", "mean", "components", "variance"]
        names += [f"{s}/{name}" for s in (0, 1) for name in ("assignment", "distance", "loss")]
        arrays, attrs = {name: file[name] for name in names}, dict(file.attrs)
    store.save(path, "clusters", arrays, {**attrs, "old": ["naught", "<b>one</b>"]})
    specs(digits={"from": "digits"})
    evaluate_discovery("digits", examples=Examples(clusters=10, images=3))
    page = report()
    text = text_of(page)
    assert "pixels · sskmeans: 2 known classes, 8 new" in text
    assert "naught ·" in text
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    assert "New: cluster 9 ·" in text
    shown = read_chosen(CELL.found_examples)
    assert shown is not None
    count = {"images": N, "decided": 3, "cluster": 9, "unknown": 0, "junk": 1, "none": N - 13}
    said = {**count, "k": 10, "seed": shown.seed, "names": {"0": "zero", "9": "nine"}}
    CELL.metric("reviewed_sskmeans.json").write_text(json.dumps(said))
    text = text_of(report(asking={"runs": {"reviewed_discovered": ["sskmeans"]}}))
    assert "zero · cluster 0 ·" in text
    assert "nine · cluster 9 ·" in text
    assert "New: cluster 8 ·" in text
    assert f"4 of {N} images decided by a person (1 junk), 9 more" in text


def test_the_terminal_has_them_too(page: str):
    table = Path("report/table.md").read_text()
    assert "digits, category discovery, unlabelled images of train" in table
    lines = [line for line in table.splitlines() if "sskmeans" in line]
    assert len(lines) == 1
    assert lines[0].count("±") == 3


def test_without_known_classes_the_page_says_nothing_of_it(page: str):
    CELL.metric("evaluate_discovery.csv").unlink()
    assert "Category discovery" not in text_of(report())
    assert "category discovery" not in Path("report/table.md").read_text()


def test_without_labels_the_page_shows_what_was_found_and_no_scores(page: str):
    label = {"label": np.full(N, -1, np.int32)}
    of = {"dataset": "digits", "classes": []}
    store.save(CELL.labels, "labels", label, of)
    evaluate("digits")
    evaluate_discovery("digits")
    assert "Category discovery" not in text_of(report())
    assert "category discovery" not in Path("report/table.md").read_text()
