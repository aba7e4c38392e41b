"""What comes first on the page, what is marked in its tables, and what is said in words."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from clustered import write_clusters, write_dataset
from reported import evaluate, report, specs, text_of

from pages.report.charts.training import Training, training_figure
from pages.report.tables.settings import read_settings
from pages.report.tables.table import COLUMNS, rows, shaded
from pipeline.io.cell import Cell

CELL = Cell("d", "pixels", "kmeans")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d", settings=((10, 0), (15, 0)))
    evaluate("d")
    specs(d={"from": "digits"})
    CELL.metric("kmeans.json").write_text(json.dumps({"space": "unit length, no projection"}))
    return report()


def test_the_ranking_follows_the_pictures_without_labels_and_with_them_it_is_folded_in(
    page: str, tmp_path: Path
):
    order = [page.index(head) for head in (">Scores on train", "<summary>Ranking without labels")]
    assert order == sorted(order)
    write_dataset(tmp_path, "d", labelled=False)
    evaluate("d")
    bare = report()
    order = [
        re.search(rf"<h3[^>]*>{head}", bare).start()
        for head in ("Best clustering: ", "Which clustering is best", "Scores on")
    ]
    assert order == sorted(order)
    assert "<summary>Ranking without labels" not in bare
    text = text_of(bare)
    assert "Of 6 clusterings, judged on 120 images, the best seed of each setting." in text
    assert "Kendall's W is 1.00" in text.replace("&#39;", "'")
    assert "Nearest to each other are edge information and modularity" in text
    assert "Every clustering: metrics/d/rank.csv" in text


def test_pictures_come_first_then_tables_then_curves(page: str):
    order = [
        re.search(rf"<h3[^>]*>{head}", page).start()
        for head in ("Best clustering: ", "Scores on", "ACC and ARI")
    ]
    assert order == sorted(order)
    assert page.index('<div class="cards"') < page.index("<svg") < order[1]


def test_the_space_of_a_run_stands_at_its_scores_and_at_its_pictures(page: str):
    text = text_of(page)
    assert "Clustered in unit length, no projection: kmeans." in text
    assert "Clustered in all dimensions (unit length, no projection)." in text
    assert text.count("Clustered in unit length, no projection") == 2  # on train and test


def test_the_table_has_the_numbers_of_the_metrics(page: str):
    text = text_of(page)
    for s in read_settings([CELL.metric("evaluate.csv")]):
        for column in (c for c in COLUMNS if c.score in ("acc", "nmi", "ari")):
            assert f"{s.mean[column.score] * 100:.1f}" in text


def test_every_column_is_marked_or_says_why_not(page: str):
    assert "Majority and NMI: among equal k only." in shaded(COLUMNS)
    assert "Silhouette: within each backbone only." in shaded(COLUMNS)
    assert "higher is not better: Balance and Used." in shaded(COLUMNS)
    here = [s for s in read_settings([CELL.metric("evaluate.csv")]) if s.split == "train"]
    marks = {c.score: [row.cells[0].best for row in rows(here, [c])] for c in COLUMNS}
    assert sum(marks["silhouette"]) == 1
    assert marks["nmi"] == [False, False]  # each has another k


def test_one_epoch_is_said_in_words_and_not_drawn():
    one = np.full((2, 1), 0.5)
    trained = Training("pixels", "scan", 10, one, one * 100, one, 10, 90)
    (figure,) = training_figure([trained], ["pixels"])
    assert figure.chart.plots == []
    assert figure.chart.words == (
        "One point is no curve. scan · loss at epoch 1: pixels 0.5; "
        "scan · ACC (%) at epoch 1: pixels 50; scan · balance at epoch 1: pixels 0.5."
    )
