"""Backbones that were adapted: on the page, in the terminal, beside the frozen one."""

import re
from pathlib import Path

import pytest
from clustered import write_clusters, write_dataset
from reported import Tags, evaluate, report, score, specs, text_of

from cluster.metrics.mean_sd import mean_sd
from pages.report.chosen.pick import Examples
from pages.report.tables.adapted import adapted_figure
from pages.report.tables.lineage import said, steps, taught

BASE = {"dataset": "d", "backbone": "pixels", "epochs": 4}
KNOWN = {**BASE, "learns_from": "../known.h5"}
GCD = {**KNOWN, "objective": "gcd", "lr": 0.1}
SIMGCD = {**KNOWN, "objective": "simgcd"}  # its entropy_weight of 1: recipes/objectives.yaml
CHAIN = {
    "clr": {**BASE, "objective": "simclr", "seed": 0},
    "clr_1": {**BASE, "objective": "simclr", "seed": 1},
    "sl": {**BASE, "backbone": "scan", "objective": "selflabel", "seed": 0},
    "scan": {**BASE, "backbone": "clr", "objective": "scan", "seed": 0},
    "scan_1": {**BASE, "backbone": "clr_1", "objective": "scan", "seed": 1},
}
RUNS = {
    **{f"gcd_{seed}": {**GCD, "seed": seed} for seed in range(3)},
    **{f"sim_{seed}": {**SIMGCD, "seed": seed} for seed in range(3)},
    **{f"even_{seed}": {**SIMGCD, "entropy_weight": 2.0, "seed": seed} for seed in range(3)},
}


def write_epochs(name: str, last: float = 1.0) -> None:
    path = Path(f"metrics/backbones/{name}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"epoch,step,loss,info_nce\n1,6,5.0,1\n2,12,3.0,1\n3,18,{last},1\n")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Page and terminal's table of nine runs with known classes, of a chain without, and of one
    without on a dataset whose classes are known to the frozen backbone's methods alone."""
    folder = tmp_path_factory.mktemp("adapted")
    out = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_dataset(folder, "d")
        write_clusters(folder, "d")
        specs(d={"from": "digits"})
        evaluate("d", examples=Examples(clusters=0, images=3))
        score("pixels", True, kmeans=0.5, simgcd=0.55)
        for number, name in enumerate(RUNS):
            score(name, True, kmeans=0.6 + number / 100, simgcd=0.7, learned=0.8)
            write_epochs(name, 1 + number / 10)
        out["known"] = shown(RUNS)
        for path in Path("metrics/d").glob("*/evaluate_discovery.csv"):
            path.unlink()
        score("pixels", False, kmeans=0.5)
        for name in CHAIN:
            score(name, False, kmeans=0.6, scan=0.7)
        out["chain"] = shown(CHAIN)
        score("pixels", True, kmeans=0.5, simgcd=0.55)
        out["frozen alone known"] = shown(CHAIN)
    return out


def shown(runs: dict[str, dict]) -> tuple[str, str]:
    page = report(asked={"pixels"}, asking={"adapted": runs})
    return page, Path("report/table.md").read_text()


def rows(table: str, title: str) -> list[list[str]]:
    """The cells of the terminal's table below a title."""
    body = table.split(f"d, adapted backbones, {title}:\n\n")[1].split("\n\n")[0].splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in body if "--" not in line
    ]


def test_runs_that_differ_by_seed_alone_are_one_row_below_the_frozen_backbone(pages):
    found = rows(pages["known"][1], "All")
    assert found[0] == ["backbone", "adapted by", "runs", "simgcd", "kmeans", "learned"]
    assert [row[:3] for row in found[1:]] == [
        ["pixels", "frozen", ""],
        ["pixels", "gcd", "3"],
        ["pixels", "simgcd, entropy_weight 1", "3"],
        ["pixels", "simgcd, entropy_weight 2", "3"],
    ]


def test_a_cell_is_the_mean_and_deviation_of_all_runs_and_seeds_together(pages):
    mean, sd = mean_sd([0.6 + n / 100 + off for n in range(3) for off in (-0.01, 0, 0.01)])
    cell = f"{100 * mean:.1f} ± {100 * sd:.1f}"
    assert rows(pages["known"][1], "All")[2][4] == cell
    assert rows(pages["known"][1], "Old")[2][4] == f"{100 * mean + 10:.1f} ± {100 * sd:.1f}"
    assert rows(pages["known"][1], "New")[2][4] == f"{100 * mean - 10:.1f} ± {100 * sd:.1f}"
    assert cell.replace("± ", "±") in text_of(pages["known"][0])
    assert "3 values a cell where frozen, 9 where adapted" in text_of(pages["known"][0])


def test_a_method_that_a_frozen_backbone_cannot_have_is_empty_there(pages):
    assert rows(pages["known"][1], "All")[1][5] == ""


def test_every_adapted_backbone_is_a_backbone_in_the_ordinary_tables_too_folded_in(pages):
    text = text_of(pages["known"][0])
    assert "All 19 settings on train, of adapted backbones too" in text
    assert "All 29 settings by v2, v2b and v1, of adapted backbones too" in text
    assert "pixels kmeans 10 all" in text.split("Scores on train")[1].split("All 19 settings")[0]
    shown = text.split("Scores on train")[1].split("All 19 settings")[0]
    assert "gcd_0 kmeans" not in shown
    assert shown.count("gcd_0") == shown.count("gcd_0 and 8 more had learned") == 1
    scores, discovery = text.split("Scores on train")[1].split("Category discovery ")[:2]
    for name in RUNS:
        assert f" {name} kmeans " in scores
        assert f" {name} simgcd " in discovery


def test_the_page_says_which_backbones_have_seen_labels(pages):
    text = text_of(pages["known"][0])
    said = "gcd_0 and 8 more had learned from the known labels before any method was run."
    assert (
        text.count(said) == 3
    )  # at what adapting changed, the scores on train and category discovery
    assert "had learned from the known labels" not in text_of(pages["chain"][0])
    assert "Frozen and adapted backbones" in text


def test_of_runs_that_differ_by_seed_one_is_drawn(pages):
    best = re.findall(r"Best clustering: \w+ on (\w+),|Best of (\w+):", pages["known"][0])
    drawn = {one or other for one, other in best}
    assert [name for name in RUNS if name in drawn] == ["gcd_0", "sim_0", "even_0"]


def test_the_losses_are_drawn_a_panel_an_objective(pages):
    page = pages["known"][0]
    figure = page.split("<h3>Training of the adapted backbones")[1].split("<figcaption>")[0]
    assert [f"{name} · loss" in figure for name in ("gcd", "simgcd")] == [True, True]
    assert "pixels → simgcd, entropy_weight 2" in figure
    assert "Training of the adapted" not in pages["chain"][0]  # no table of epochs there


def test_one_epoch_of_adapting_is_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (path := Path("metrics/backbones/gcd_0.csv")).parent.mkdir(parents=True)
    path.write_text("epoch,step,loss\n1,6,5.25\n")
    (figure,) = adapted_figure(steps({"gcd_0": {**GCD, "seed": 0}}, "d"))
    assert figure.chart.plots == []
    assert figure.chart.words == "One point is no curve. gcd · loss at epoch 1: pixels → gcd 5.25."


def test_the_columns_are_explained_in_words_that_can_be_read(pages):
    for which, hints in (
        ("known", "All: accuracy on all unlabelled images; one matching. Old: on those of known"),
        ("chain", "ACC: one-to-one, matched on these images. NMI: normalised mutual information"),
    ):
        text = text_of(pages[which][0])
        assert f"The other columns are methods. {hints}" in text
        assert "Runs: how many differ by their seed alone." in text


@pytest.mark.parametrize("which", ["chain", "frozen alone known"])
def test_a_chain_is_in_order_and_its_scores_are_acc_and_nmi(pages, which):
    found = rows(pages[which][1], "ACC")
    assert [row[1:3] for row in found[1:]] == [
        ["frozen", ""],
        ["simclr", "2"],
        ["simclr → scan", "2"],
        ["simclr → scan → selflabel", "1"],
    ]
    assert rows(pages[which][1], "NMI")[2][3].startswith("40.0 ±")


def test_the_page_is_well_formed_and_ids_are_of_one_element_each(pages):
    for page, _ in pages.values():
        tags = Tags(page)
        ids = [a["id"] for _, a in tags.found if "id" in a]
        assert not tags.open
        assert len(ids) == len(set(ids))


def test_runs_of_another_dataset_are_no_rows():
    assert steps(RUNS, "other") == []
    mixed = {**CHAIN, "far": {**GCD, "dataset": "other", "backbone": "clr"}}
    assert [(step.base, step.how) for step in steps(mixed, "other")] == [
        ("clr", "frozen"), ("clr", "gcd"),
    ]  # fmt: skip


def test_runs_that_begin_with_each_other_do_not_hang_the_page():
    assert steps({"a": {**GCD, "backbone": "b"}, "b": {**GCD, "backbone": "a"}}, "d") == []


def test_what_begins_with_a_taught_backbone_is_taught():
    runs = {**CHAIN, "gcd": {**GCD, "backbone": "scan"}, "on": {**CHAIN["sl"], "backbone": "gcd"}}
    assert taught(runs, ["gcd"], "d") == ["gcd", "on"]
    assert taught(runs, ["gcd"], "other") == []
    assert said(["gcd", "on"], ["pixels", "on", "on"]).startswith(" on had learned")


def test_two_bases_are_two_groups():
    runs = {"a": {**GCD, "seed": 0}, "b": {**GCD, "backbone": "edges", "seed": 0}}
    assert [step[:2] for step in steps(runs, "d")] == [
        ("pixels", "frozen"), ("pixels", "gcd"), ("edges", "frozen"), ("edges", "gcd"),
    ]  # fmt: skip
