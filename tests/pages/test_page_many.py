"""A page of many runs in many cells: what is open, what is folded in, and how to get there."""

import re
from pathlib import Path

import pytest
from many import write_many
from reported import Tags, draw, text_of

RUNS = 16


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("many"))
        write_many(datasets=2, backbones=2, runs=RUNS, clusters=2)
        draw(thumbnail=32)
        return Path("report/index.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_every_link_leads_somewhere(page: str):
    tags = Tags(page)
    ids = [a["id"] for _, a in tags.found if "id" in a]
    assert not tags.open
    assert len(ids) == len(set(ids))
    links = [str(a["href"]) for tag, a in tags.found if tag == "a"]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert {"#d1", "#d1-pictures", "#d1-scores", "#d1-ceiling", "#d1-k", "#d1-curves"} < set(links)


def test_many_panels_are_folded_in(page: str):
    for figure in re.findall(r"<figure>.*?</figure>", page, re.S):
        assert figure.partition("<details>")[0].count('class="panel"') <= 12
    trained = 3 * RUNS // 2
    assert page.count(f"<summary>{trained - 12} more panels</summary>") == 2  # datasets


def test_of_many_lines_each_run_has_panels_of_its_own(page: str):
    assert '<div class="title">run_00 · ACC (%)</div>' in page
    legends = re.findall(r'<ul class="legend".*?</ul>', page, re.S)
    assert legends
    assert max(legend.count("<li>") for legend in legends) == 2  # backbones


def test_long_tables_scroll_below_their_head(page: str):
    tables = re.findall(r'<div class="scroll( long)?"[^>]*>\s*<table.*?</table>', page, re.S)
    assert " long" in tables
    for scroll in re.finditer(
        r'<div class="scroll( long)?"[^>]*>\s*(<table.*?</table>)', page, re.S
    ):
        assert (scroll[2].count("<tr") > 31) == bool(scroll[1])


def test_many_runs_that_cluster_in_one_space_are_not_named_there(page: str):
    assert f"Clustered in unit length, no projection: all {RUNS} runs." in text_of(page)


def test_runs_with_one_setting_have_no_line_and_are_in_the_tables(page: str):
    scores = text_of(page).split("Scores on train")[1].split("All ")[0]
    assert "run_01" in scores
    assert page.count("Runs with one setting are in the tables alone.") == 4  # k, dims; datasets
    assert "run_01 · ACC (%)</div>" in page  # of its training
    assert "run_01 · ARI" not in page
