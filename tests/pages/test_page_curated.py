"""What was curated: on the page."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from clustered import N, digits, write_clusters, write_dataset
from reported import Tags, evaluate, report, specs, text_of

from cluster.vectors.rows import ArrayRows
from pages.report.chosen.curated import STRANGEST, save_curated
from pages.report.chosen.pick import Examples
from pages.report.tables.balance import COLUMNS
from pipeline.io.absent import mark
from pipeline.io.cell import Cell
from pipeline.io.scores import write_scores
from pipeline.io.whole import write_json

CELL = Cell("d", "pixels", "curate")
ASKING = {"runs": {"curate": ["curate"]}}
FACTS = {
    "images": N, "k": [30, 6], "kept": 40, "duplicate": 7, "outlier": 3, "not drawn": 110,
    "radius": 0.25, "metric": "cosine", "coverage": {"chosen": 0.9, "random": 0.8},
    "balance": {"chosen": 0.95, "random": 0.7},
}  # fmt: skip
AFTER = {
    "classes": 2,
    "before": {"balance": 0.5, "entropy": 0.35, "live": 2},
    "after": {"balance": 0.9, "entropy": 0.62, "live": 2},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cell, of whose clusters nothing is shown."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_dataset(folder, "d")
        write_clusters(folder, "d")
        evaluate("d", examples=Examples(clusters=0, images=3))
        specs(d={"from": "digits"})
    return folder


@pytest.fixture(autouse=True)
def _here(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def write_curated(clusters: int = 3) -> np.ndarray:
    """Images 0 to 7 stand for one another, 10 to 12 too, 20 and 21."""
    names, digest, x, _ = digits()
    kept = np.arange(N)
    kept[1:8], kept[11:13], kept[21] = 0, 10, 20
    score = np.linspace(-1, 4, N).astype(np.float32)
    name = np.array(names, object)
    wanted = Examples(clusters=clusters, images=2)
    save_curated(CELL, ArrayRows(x), name, digest, kept, score, wanted)
    write_json(CELL.metric("curate.json"), FACTS)
    return x


def part_of(page: str) -> str:
    start = page.index('<h3 id="d0-curated"')
    return page[start : page.index("</section>", start)]


def test_what_was_dropped_is_beside_what_was_kept_for_it():
    x, names = write_curated(), digits()[0]
    page = report(asking=ASKING)
    assert not Tags(page).open
    part = part_of(page)
    cards = re.findall(r"<h4>([^<]+) <span>· ([^<]+)</span>", part)
    assert [name for _, name in cards] == [names[0], names[10], names[20]]
    assert cards[0][0].startswith("4 of 7 dropped, ")
    assert cards[2][0].startswith("1 dropped, ")
    shown = [str(a["title"]) for tag, a in Tags(part).found if tag == "img"]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    like = unit[1:8] @ unit[0]
    assert shown[1:5] == [f"{names[1 + i]} · {like[i]:.3f}" for i in np.argsort(like)[:4]]
    assert shown[-STRANGEST:][0] == f"{names[N - 1]} · 4.0"
    said = text_of(part)
    assert "40 of 160 images are chosen" in said
    assert "90.0% of the collection" in said
    assert "The 100 strangest images" in said
    assert 'href="#d0-curated"' in page
    assert "robust deviations" in text_of(page)


def test_the_balance_is_there_where_labels_are():
    write_curated()
    assert "With labels: the balance" not in text_of(part_of(report(asking=ASKING)))
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in (("a<b", 9, 3, 4.5), ("b", 90, 5, 3.5))]
    write_scores(CELL.metric("evaluate_curated_curate.csv"), COLUMNS, rows)
    write_json(CELL.metric("evaluate_curated_curate.json"), AFTER)
    part = part_of(report(asking=ASKING))
    assert "the balance of 2 classes is 0.50 (entropy 0.35 nats) in the collection" in text_of(part)
    assert re.findall(r'<td class="text">(.*?)</td><td>(.*?)</td>', part) == [
        ("b", "90"), ("a&lt;b", "9"),
    ]  # fmt: skip


def test_what_is_not_asked_for_absent_or_without_pictures_is_not_shown():
    write_curated()
    assert "d0-curated" not in report()
    specs(d={"from": "vectors"})
    part = part_of(report(asking=ASKING))
    assert "<img" not in part
    assert "imported without any" in text_of(part)
    mark([CELL.curated_examples], "no pictures")
    assert "d0-curated" not in report(asking=ASKING)


def test_nothing_is_shown_where_no_examples_are_wanted():
    write_curated(clusters=0)
    part = part_of(report(asking=ASKING))
    assert "<img" not in part
    assert "40 of 160 images" in text_of(part)
