"""How many classes there may be, on the report: the lines and the figure of curves."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pages.report.charts.curves import LABELS, TITLES, curve_figures
from pages.report.charts.figures import Figure
from pages.report.tables.how_many import how_many
from pipeline.io.cell import Cell
from pipeline.params import StageError

CELLS = {backbone: Cell("d", backbone) for backbone in ("edges", "pixels")}
SAID: dict[str, Any] = {
    "k": 12, "low": 8, "high": 15, "sureness": 0.5,
    "agree": ["silhouette", "elbow", "halves"],
    "picks": {**dict.fromkeys(TITLES, 12), "stability": None, "coding_length": 8},
    "images": 1437, "tried": [2, 50],
}  # fmt: skip
LABELLED = {
    "k": 15, "acc": 0.7512, "acc_sd": 0.0204, "known_classes": 5, "max_classes": 50, "tried": 9,
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def say(stage: str, content: dict[str, Any], backbone: str = "pixels") -> None:
    path = CELLS[backbone].metric(f"{stage}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def table(stage: str, header: list[str], rows: list[list[Any]], backbone: str = "pixels") -> None:
    path = CELLS[backbone].metric(f"{stage}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_curves(backbone: str = "pixels", seeds: int = 2) -> None:
    say("estimate_k", SAID, backbone)
    rows = [[k, s, *([k * 7 % 5 + s] * 6)] for k in (2, 4, 8, 12) for s in range(seeds)]
    rows += [[50, s, *([""] * 4), 0, 0] for s in range(seeds)]
    table("estimate_k", ["k", "seed", *(f"{name}_score" for name in TITLES)], rows, backbone)


def write_tried(backbone: str = "pixels") -> None:
    say("estimate_k_by_labels", LABELLED, backbone)
    rows = [[k, s, 0.75 - abs(k - 15) / 100] for k in (5, 15, 16) for s in (0, 1)]
    table("estimate_k_by_labels", ["k", "seed", "acc"], rows, backbone)


def figures(*own: str) -> list[Figure]:
    cells = [CELLS[backbone] for backbone in own]
    return curve_figures(cells, ["edges", "pixels"], known=True)


def titles(figure: Figure) -> list[str]:
    return [plot.title for plot in figure.chart.plots]


def drawn(figure: Figure) -> str:
    return "".join(plot.svg for plot in figure.chart.plots)


def lines(*own: str, known: bool = True) -> list[str]:
    return how_many([CELLS[backbone] for backbone in own], known=known)


def test_a_line_says_how_many_classes_and_how_sure_that_is():
    say("estimate_k", SAID)
    assert lines("pixels", "edges") == [
        "pixels: about 12 classes (8 to 15; 3 of 5 criteria agree), by a sample of 1,437 images."
    ]


def test_votes_that_are_one_need_no_range_and_votes_for_the_most_are_told():
    say("estimate_k", {**SAID, "k": 50, "low": 50, "high": 50, "agree": list(TITLES)[:5]})
    (line,) = lines("pixels")
    assert "about 50 classes (5 of 5 criteria agree)" in line
    assert line.endswith("; no more than 50 were tried, so there may be more.")


def test_no_vote_at_all_is_said_so():
    say("estimate_k", {**SAID, "k": 1, "agree": [], "picks": dict.fromkeys(TITLES), "tried": []})
    assert "nothing says how many classes" in lines("pixels")[0]
    table("estimate_k", ["k", "seed", *(f"{name}_score" for name in TITLES)], [])
    assert figures("pixels") == []


def test_what_was_found_with_labels_says_so_and_stands_beside_the_graph():
    say("estimate_k", SAID)
    say("estimate_k_by_labels", LABELLED)
    graph = {"eigengap_k": 3, "components": 1, "isolated": 0, "eigenvalues": [0.0, 0.1, 0.2, 0.9]}
    say("spectral", graph)
    said = lines("pixels")
    assert said[1] == (
        "pixels: with labels, 15 clusters fit the 5 known classes best (ACC 75.1 ± 2.0 on the "
        "labelled images; 9 numbers were tried)."
    )
    assert "largest eigengap" in said[2]
    one_seed = {key: value for key, value in LABELLED.items() if key != "acc_sd"}
    say("estimate_k_by_labels", one_seed)
    assert "(ACC 75.1 on" in lines("pixels")[1]


def test_every_criterion_has_a_panel_with_its_pick():
    write_curves()
    (figure,) = figures("edges", "pixels")
    assert figure.title == "How many classes: pixels"
    assert titles(figure) == list(TITLES.values())
    picks = re.findall(r'class="ink">([^<>]+)</text>', drawn(figure))
    assert picks == ["12", "12", "12", "12", "8"], "five picks, one of which nobody made"
    assert "the recommended 12" in figure.caption
    assert "var(--s1)" in drawn(figure), "the second backbone of the page"
    assert drawn(figure).count("stroke-dasharray") == 6


def test_the_search_with_labels_is_named_so_with_or_without_the_others():
    write_tried()
    (figure,) = figures("pixels")
    assert titles(figure) == [LABELS]
    assert "recommended" not in figure.caption
    write_curves()
    (figure,) = figures("pixels")
    assert titles(figure) == [*TITLES.values(), LABELS]
    assert "With labels: the accuracy" in figure.caption


def test_one_number_of_clusters_is_said_in_words_and_not_drawn():
    say("estimate_k", {**SAID, "tried": [12, 12], "picks": dict.fromkeys(TITLES, 12)})
    columns = ["k", "seed", *(f"{name}_score" for name in TITLES)]
    table("estimate_k", columns, [[12, 0, *[0.25] * 5, ""]])
    (figure,) = figures("pixels")
    assert titles(figure) == []
    assert "Silhouette, all dims at number of clusters k 12: 0.25; " in figure.chart.words
    assert TITLES["coding_length"] not in figure.chart.words, "it has no value"
    assert "Large dot" not in figure.caption


def test_of_several_backbones_the_first_curves_are_open():
    for backbone in CELLS:
        write_curves(backbone)
    assert [figure.folded for figure in figures("edges", "pixels")] == [False, True]


def test_a_backbone_without_an_estimate_has_no_figure():
    assert figures("pixels") == []
    assert lines("pixels") == []
    say("estimate_k", SAID)
    say("estimate_k_by_labels", LABELLED)
    assert figures("pixels") == []


def test_one_seed_has_no_spread_and_equal_tables_give_equal_bytes():
    write_curves(seeds=1)
    first = figures("pixels")
    assert first[0].caption.startswith("One seed;")
    assert figures("pixels") == first


def test_a_table_of_an_older_form_is_one_clear_line():
    write_curves()
    table("estimate_k", ["k", "seed"], [[2, 0]])
    with pytest.raises(StageError, match="has no column silhouette_score"):
        figures("pixels")


def test_what_was_found_by_labels_is_not_shown_where_no_class_is_known_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    say("estimate_k_by_labels", {"k": 8, "acc": 0.75, "known_classes": 5, "tried": 9})
    assert len(lines("pixels")) == 1
    assert lines("pixels", known=False) == []
