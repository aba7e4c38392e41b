"""Numbers of papers on the page, in a column next to ours, and in `python -m recipes compare`."""

from pathlib import Path

import pytest
from clustered import write_clusters, write_dataset
from reported import evaluate, report, score, text_of

import stages.report
from pipeline.published import Number
from recipes import compare

BENCHMARK = {"known": {"d": {"old": "published", "labelled": 0.5, "seed": 0}}}
WHERE = {"dataset": "d", "backbone": "pixels", "k": 10, "split": "train", "source": "a paper"}
NUMBERS = [
    Number(name="SCAN", method="scan", acc=61.5, nmi=50.0, note="best of ten", **WHERE),
    Number(name="SCAN again", method="scan", acc=59.0, **WHERE),
    Number(name="SimGCD", method="simgcd", trained="simgcd", all=77.7, new=66.6, **WHERE),
    Number(name="TEMI", method="temi", acc=99.0, **{**WHERE, "split": "test"}),
]


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs without labels, one that knew some; and the numbers above."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d")
    evaluate("d")
    score("pixels", known=True, scan=0.6, temi=0.5, simgcd=0.7)
    for module in (stages.report, compare):
        monkeypatch.setattr(module, "read_published", lambda: NUMBERS)


def columns(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_column_stands_next_to_ours_and_the_paper_below(scored: None):
    text = text_of(report(asking=BENCHMARK))
    assert "ACC ACC, published" in text
    assert "scan on pixels, published: SCAN, pixels: ACC 61.5, NMI 50; scored on train; " in text
    assert "best of ten (a paper)." in text
    assert "published: SCAN again, pixels: ACC 59" in text
    assert "TEMI" not in text
    assert "Not compared" not in text
    table = Path("report/table.md").read_text().splitlines()
    rows = [columns(line) for line in table if line.startswith("|")]
    at = rows[0].index("ACC, published")
    assert rows[0][at - 1] == "ACC"
    assert {row[1]: row[at] for row in rows[2:4]} == {"scan": "61.5", "temi": ""}


def test_discovery_has_columns_of_what_was_published(scored: None):
    text = text_of(report(asking=BENCHMARK))
    assert "All All, published Old New New, published" in text
    assert "its backbone was trained, too (simgcd), ours is frozen" in text


def test_other_known_classes_than_the_published_are_not_compared(scored: None):
    known = {"known": {"d": {"old": 5, "labelled": 0.5, "seed": 0}}}
    text = text_of(report(asking=known))
    assert "Category discovery" in text
    assert "77.7" not in text


def test_without_numbers_the_page_has_no_such_column(scored: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stages.report, "read_published", lambda: NUMBERS[3:])
    assert "ublished" not in text_of(report())


def test_compare_prints_ours_and_theirs(scored: None, capsys: pytest.CaptureFixture[str]):
    report(asking=BENCHMARK)
    capsys.readouterr()
    compare.main([])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    head = "d pixels scan 10 train acc 60.0 ± 1.0"
    assert [*head.split(), "61.5", "(SCAN)", "-1.5"] in lines
    assert [*head.split(), "59", "(SCAN", "again)", "+1.0"] in lines
    new = "d pixels simgcd 10 train new 60.0 ± 1.0 66.6 (SimGCD) -6.6"
    assert new.split() in lines


def test_compare_says_when_nothing_matches(
    scored: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    report()
    capsys.readouterr()
    monkeypatch.setattr(compare, "read_published", lambda: NUMBERS[3:])
    compare.main([])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("None of the 1 numbers of recipes/published.yaml is of a cell of")


def test_compare_says_which_names_can_match_nothing(
    scored: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    report()
    capsys.readouterr()
    slips = {"dataset": "cifar-10", "backbone": "dino_vitb_16"}
    wrong = Number(name="SCAN", method="scan", acc=1.0, **{**WHERE, **slips})
    monkeypatch.setattr(compare, "read_published", lambda: [*NUMBERS, wrong])
    compare.main([])
    said = capsys.readouterr().out
    assert "cifar-10 is no reader and none of yours; did you mean 'cifar10'?" in said
    assert "dino_vitb_16 is no row of the zoo and none of yours; did you mean 'dino_vitb" in said


def test_compare_prints_every_number_without_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    compare.main(["--all"])
    out = capsys.readouterr().out.splitlines()
    assert out[0].split()[:3] == ["name", "dataset", "backbone"]
    assert len(out) > 100
    with pytest.raises(SystemExit, match=r"^recipes: no params.yaml here"):
        compare.main([])
