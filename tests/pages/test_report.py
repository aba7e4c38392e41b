"""Stage report: one page for people, tables for `dvc plots` and the terminal."""

import contextlib
import csv
import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from clustered import N, digits, write_clusters, write_dataset, write_features, write_index
from conftest import ROOT, Project
from reported import Tags, ask, evaluate, probe, report, specs, text_of, train
from scipy.optimize import linear_sum_assignment
from trained import EPOCHS

import store
from pages.report.charts.training import read_trainings
from pages.report.chosen.away import away
from pages.report.chosen.pick import Examples, pick
from pages.report.tables.ranking import read_ranked
from pages.report.tables.settings import read_settings
from pipeline.io.absent import mark
from pipeline.io.cell import Cell
from pipeline.params import StageError

ABLATIONS = ((10, 0), (10, 4), (10, 16))
NONE = Examples(clusters=0, images=3)  # a page without pictures is soon drawn
PIXELS, EDGES = Cell("d", "pixels"), Cell("d", "edges")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two backbones with both ablations."""
    folder = tmp_path_factory.mktemp("built")
    _, digests, features, _ = digits()
    with contextlib.chdir(folder):
        write_dataset(folder, "d")
        write_features(folder, "d", "edges", np.abs(np.diff(features, axis=1)), digests)
        for backbone in ("pixels", "edges"):
            write_clusters(folder, "d", backbone, settings=ABLATIONS)
            write_clusters(
                folder, "d", backbone, "overcluster", settings=((10, 0), (15, 0), (30, 0))
            )
            train("d", backbone)
            evaluate("d", backbone)
            probe(backbone, 0.7 if backbone == "edges" else 0.9)
        specs(d={"from": "digits"})
        report()
    return folder


@pytest.fixture(scope="session")
def built_small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One backbone, one setting: a page without curves, which is soon drawn."""
    folder = tmp_path_factory.mktemp("small")
    with contextlib.chdir(folder):
        write_dataset(folder, "d")
        write_clusters(folder, "d")
        evaluate("d")
        specs(d={"from": "digits"})
    return folder


@pytest.fixture
def small(built_small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    shutil.copytree(built_small, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def written(built: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its page, for tests that only read."""
    monkeypatch.chdir(built)
    return Path("report/index.html").read_text(encoding="utf-8")


@pytest.fixture
def folder(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_runs_from_the_command_line(project: Project, folder: Path) -> None:
    backbones = {"pixels": {}, "edges": {}}
    project.params |= {"datasets": {"d": {"from": "digits"}}, "backbones": backbones}
    project.params["all"] = backbones
    project.stage("report")
    written = {path.name for path in (folder / "report").iterdir()}
    assert written == {"index.html", "table.md", "by_k.csv", "by_dims.csv"}


def test_what_was_taken_out_of_the_params_is_not_shown(folder: Path) -> None:
    """Its files still lie there."""
    assert "edges" in text_of(report())
    assert "edges" not in text_of(report(asked={"pixels"}))
    with pytest.raises(StageError, match="no scores of the datasets and backbones of params"):
        report(asked={"other"})


def test_the_page_is_whole_in_itself(written: str) -> None:
    page = written
    tags = Tags(page)
    assert not tags.open
    assert "http" not in re.sub(r"base64,[\w+/=]*", "", page)
    addresses = [a[key] for _, a in tags.found for key in ("src", "href", "xlink:href") if key in a]
    assert addresses
    assert all(str(address).startswith(("data:", "#")) for address in addresses)


def test_ids_are_of_one_element_each_and_references_lead_somewhere(written: str) -> None:
    page = written
    ids = [a["id"] for _, a in Tags(page).found if "id" in a]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page))
    assert {one or other for one, other in used} <= set(ids)


def test_equal_input_gives_equal_bytes(folder: Path) -> None:
    """On one day, by one program."""
    report()
    before = {path: path.read_bytes() for path in Path("report").iterdir()}
    assert len(before) == 4
    report()
    assert {path: path.read_bytes() for path in Path("report").iterdir()} == before


def test_the_table_says_what_the_scores_say(written: str) -> None:
    page = text_of(written)
    s = read_settings([PIXELS.metric("evaluate.csv")])[0]
    assert f"{s.mean['acc'] * 100:.1f} ±{s.sd['acc'] * 100:.1f}" in page
    assert "Mean ± sd over 3 seeds" in page
    table = Path("report/table.md").read_text()
    line = next(line for line in table.splitlines() if "pixels" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:4] == ["pixels", "kmeans", "10", "all"]
    assert cells[4] == f"{s.mean['acc'] * 100:.1f} ± {s.sd['acc'] * 100:.1f}"


def test_clusters_of_another_dataset_are_in_the_table_and_not_in_the_curves(folder: Path) -> None:
    write_clusters(folder, "d", run="kmeans_from_cats", settings=ABLATIONS, fitted_on="cats")
    evaluate("d")
    page = text_of(report())
    assert "fitted on these images (of runs from cats: on the images there)." in page
    assert "kmeans_from_cats" in Path("report/table.md").read_text()
    assert "kmeans_from_cats" not in Path("report/by_dims.csv").read_text()


def test_a_head_of_a_column_is_a_button(written: str) -> None:
    page = written
    heads = re.findall(r"<th [^>]*>(.*?)</th>", page)
    assert heads
    assert all(head.startswith('<button type="button"') for head in heads)
    assert "aria-sort" in page


def test_curves_are_written_for_dvc_plots(written: str) -> None:
    with Path("report/by_k.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["backbone"] == "pixels"]
    # k = 10 is in both runs, and once in the curve.
    assert [row["k"] for row in rows] == ["10", "15", "30", "10"]
    assert [row["run"] for row in rows] == ["kmeans", "overcluster", "overcluster", "scan"]
    assert [row["method"] for row in rows] == ["kmeans", "kmeans", "kmeans", "scan"]
    assert all(float(row["acc_sd"]) >= 0 for row in rows)
    with Path("report/by_dims.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["backbone"] == "edges"]
    assert [(row["run"], row["dims"]) for row in rows] == [
        ("kmeans", "4"), ("kmeans", "16"), ("kmeans", "63"), ("scan", "63"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("template", "table"),
    [
        ("by_k", "report/by_k.csv"),
        ("by_dims", "report/by_dims.csv"),
        ("epochs", "metrics/d/pixels/scan.csv"),
    ],
)
def test_the_templates_of_dvc_plots_name_columns_that_are_there(
    written: str, template: str, table: str
) -> None:
    text = (ROOT / f".dvc/plots/{template}.json").read_text()
    known = json.loads(text)
    made = {"rev", "<DVC_METRIC_X>", "<DVC_METRIC_Y>"}
    for step in known["transform"]:
        made |= {part["as"] for part in [step, *step.get("joinaggregate", ())] if "as" in part}
    fields = set(re.findall(r'"field": "([^"]+)"', json.dumps(known)))
    fields |= set(re.findall(r"datum\.(\w+)", text))
    with Path(table).open() as file:
        assert fields - made <= set(next(csv.reader(file)))
    assert "<DVC_METRIC_DATA>" in text


def test_what_is_shown_is_the_best_of_the_ranking_and_the_best_cell_comes_first(
    written: str,
) -> None:
    every = read_ranked("d")
    for backbone in ("edges", "pixels"):
        first = next(one for one in every if one.backbone == backbone)
        best = f"Best clustering: {first.run} on {backbone}, k = {first.k}</h3>"
        other = f"Best of {backbone}: {first.run}, k = {first.k}, ranked {first.rank} of "
        sheet = written[written.index(best if first is every[0] else other) :]
        said = sheet[: sheet.index('<div class="cards"')]
        assert f"Ranked {first.rank} of {len(every)} clusterings of d, without labels; " in said
        assert f"of its 3 seeds, seed {first.seed} ranks highest." in said


def test_each_backbone_has_a_sheet_and_only_the_first_is_open(written: str) -> None:
    page = written
    ranked = list(dict.fromkeys(one.backbone for one in read_ranked("d")))
    assert re.findall(r"<h3[^>]*>Best clustering: \w+ on (\w+),", page) == ranked[:1]
    assert re.findall(r'<details class="sheet"><summary>Best of (\w+):', page) == ranked[1:]
    assert page.count('<div class="card">') == 2 * 4


def test_names_are_escaped(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names, digests, _, _ = digits()
    bad = """<b onload="x">'&"""
    monkeypatch.setattr("pages.report.pictures.album.open_images", lambda spec: read)
    raw = dict(zip(names, _raw(names), strict=True))
    odd = [f"{bad} {i}" for i in range(N)]

    def read(name: str) -> np.ndarray:
        return raw[names[int(name.rpartition(" ")[2])]]

    write_index(small, "d", odd, digests)
    evaluate("d")
    page = report()
    tags = Tags(page)
    shown = [a["alt"] for tag, a in tags.found if tag == "img"]
    assert shown
    assert all(str(alt).startswith(bad) for alt in shown)
    assert not any("onload" in attributes for _, attributes in tags.found)
    assert "<b" not in re.sub(r"<b(ody|utton)\b", "", page)


def _raw(names: list[str]) -> list[np.ndarray]:
    import images

    read = images.open_images({"from": "digits"})
    return [np.asarray(read(name)) for name in names]


def test_a_dataset_without_labels_has_its_table_and_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "mine", labelled=False)
    write_clusters(tmp_path, "mine", settings=ABLATIONS)
    evaluate("mine")
    specs(mine={"from": "digits"})
    page = text_of(report())
    assert "no labels: label-free scores only" in page
    assert "Silhouette and stability against PCA dimensions" in page
    assert "ACC and ARI against" not in page
    head = Path("report/table.md").read_text().splitlines()[2]
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        "backbone", "run", "k", "dims", "Silhouette",
    ]  # fmt: skip


def test_one_seed_and_one_setting_make_a_page_without_deviations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d", seeds=(0,))
    evaluate("d", silhouette_images=0)
    specs(d={"from": "digits"})
    page = report()
    assert "One seed" in page
    assert "±" not in text_of(page[: page.index("How this was measured")])
    assert "Ranked 1 of 1 clusterings of d, without labels. Clustered in all dimensions." in page
    assert "±" not in Path("report/table.md").read_text()


def test_several_datasets_stand_on_one_page(small: Path) -> None:
    write_dataset(small, "birds & <bees>", labelled=False)
    write_clusters(small, "birds & <bees>")
    evaluate("birds & <bees>")
    page = report()
    assert "<h2>birds &amp; &lt;bees&gt;</h2>" in page
    assert '<a href="#d0">birds &amp; &lt;bees&gt;</a><a href="#d1">d</a>' in page
    # The first is vectors, as params.yaml here says of all that it is not told of.
    assert "these features were imported without any" in page


def test_pictures_that_are_not_here_leave_a_page_without_a_sheet(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs(d={"from": "folder", "root": "gone", "tree": "class"})
    page = report()
    assert "the pictures are not on the machine that wrote this page" in page
    assert "<img" not in page
    assert capsys.readouterr().out.startswith("report: no images of d: ")


def test_a_picture_that_changed_is_not_shown(small: Path) -> None:
    names, digests, _, _ = digits()
    digests = digests.copy()
    digests[: N // 2] += 1
    write_index(small, "d", names, digests)
    evaluate("d")
    page = report()
    assert re.search(r"Not shown: \d+, changed since it was indexed", text_of(page))
    assert "<img" in page


def test_unreadable_images_are_counted(small: Path) -> None:
    PIXELS.metric("unreadable.csv").write_text('name,reason\na.jpg,"cut\nshort"\nb.jpg,empty\n')
    assert "pixels: 2 images could not be read and took no part." in report()


def test_no_sheet_is_drawn_when_none_is_wanted(small: Path) -> None:
    evaluate("d", examples=NONE)
    page = report()
    assert "<img" not in page
    assert "not on the machine" not in page


def test_the_sheet_shows_the_most_and_the_least_typical_once() -> None:
    assignment = np.array([0] * 5 + [2] * 2 + [1] * 3)
    distance = np.array([5, 1, 2, 4, 3, 1, 0, 2, 1, 3], float)
    large, middle, small = pick(assignment, distance, 10, 2)
    assert (large.cluster, large.size) == (0, 5)
    assert large.typical.tolist() == [1, 2]
    assert large.untypical.tolist() == [0, 3]
    assert (middle.cluster, middle.typical.tolist(), middle.untypical.tolist()) == (1, [8, 7], [9])
    assert (small.cluster, small.typical.tolist(), small.untypical.tolist()) == (2, [6, 5], [])


def test_of_many_clusters_large_and_small_ones_are_shown() -> None:
    assignment = np.repeat(np.arange(100), np.arange(100, 0, -1))
    found = pick(assignment, np.zeros(len(assignment)), 3, 1)
    assert [p.size for p in found] == [100, 50, 1]


def test_without_scores_the_report_says_what_is_missing(folder: Path) -> None:
    shutil.rmtree("metrics")
    with pytest.raises(StageError, match=r"metrics has no scores .* stage evaluate has not run"):
        report(asked={"pixels"})


def test_a_table_of_another_program_is_refused(folder: Path) -> None:
    PIXELS.metric("evaluate.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StageError, match=r"pixels/evaluate.csv: has no column dataset"):
        report()


def test_a_probe_without_other_splits_says_what_it_was_held_out_from(small: Path) -> None:
    probe("pixels", 0.9)
    path = PIXELS.metric("probes.csv")
    path.write_text(path.read_text().replace(",test,", ",held out,"))
    page = text_of(report())
    assert "On a third of train, held out Backbone Linear probe 10-NN pixels 91.0 ±1.4" in page


def test_what_read_labels_stands_apart_from_the_clusterings(written: str) -> None:
    tables = re.findall(r"<table.*?</table>", written, re.S)
    scores = [table for table in tables if "<caption>" not in table]
    assert scores
    assert not any("probe" in table or "Purity" in table for table in scores)
    train, test = (text_of(table).split() for table in tables if "<caption>" in table)
    # The means over two seeds; a probe by neighbours has none, and no ±.
    assert " ".join(train) == "On train Backbone 10-NN Purity of 1 edges 60.0 50.0 pixels 80.0 70.0"
    assert " ".join(test) == (
        "Fitted on train, scored on test Backbone Linear probe 10-NN "
        "edges 71.0 ±1.4 60.0 pixels 91.0 ±1.4 80.0"
    )
    page = text_of(written)
    assert page.index("Scores on test") < page.index("With labels: the ceiling")


def test_every_column_is_explained_in_words_that_can_be_read(written: str) -> None:
    """A tooltip is nothing on a touch screen or on paper."""
    text = html.unescape(text_of(written))
    hints = [str(a["title"]) for tag, a in Tags(written).found if tag == "button" and "title" in a]
    assert len(hints) > 10
    assert [hint for hint in hints if hint not in text] == []


def test_the_pictures_say_where_the_list_of_all_images_lies(written: str) -> None:
    sheet = written[written.index("Best clustering: ") :]
    sheet = sheet[: sheet.index('<details class="sheet"')]
    ((run, backbone),) = re.findall(r"^Best clustering: (\w+) on (\w+),", sheet)
    assert f"<code>data/d/{backbone}/tables/{run}.csv</code>" in sheet
    assert f"<code>python -m stages.export d {backbone} clusters/{run}</code>" in sheet


def test_the_ceiling_is_a_table_of_its_own_in_markdown(written: str) -> None:
    clusterings, ceiling = Path("report/table.md").read_text().split("\n\nd, with labels: ")
    assert ceiling.startswith("the ceiling")
    assert "probe" not in clusterings
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in ceiling.splitlines()[2:]]
    assert lines[0] == ["backbone", "split", "Linear probe", "10-NN", "Purity of 1"]
    assert lines[2] == ["edges", "train", "", "60.0", "50.0"]
    assert lines[5] == ["pixels", "test", "91.0 ± 1.4", "80.0", ""]


def test_a_dataset_without_labels_has_no_ceiling(folder: Path) -> None:
    for cell in (PIXELS, EDGES):
        cell.metric("probes.csv").write_text("dataset,backbone,probe,split,seed,acc\n")
        cell.metric("probes.json").write_text("{}")
    assert "With labels" not in text_of(report())
    assert "with labels" not in Path("report/table.md").read_text()


def test_the_training_is_drawn_run_by_run(folder: Path) -> None:
    train(run="temi", live=7)
    evaluate("d", examples=NONE)
    page = text_of(report())
    for run in ("scan", "temi"):
        assert all(f"{run} · {what}" in page for what in ("loss", "ACC (%)", "balance"))
    assert "kmeans · loss" not in page
    assert "Mean over 3 seeds, shaded ± standard deviation; the first setting of each run" in page
    assert "ACC is one-to-one on 100 images of train" in page
    assert "pixels · temi: 7 of 10 clusters are left at the end." in page
    assert "scan: 10 of" not in page


def test_trainings_are_read_as_they_were_written(folder: Path) -> None:
    (found,) = read_trainings(read_settings([PIXELS.metric("evaluate.csv")]))
    assert (found.backbone, found.run, found.live, found.watched) == ("pixels", "scan", 10, 100)
    assert found.loss.tolist() == [[5 + s / 2 - e for e in range(EPOCHS)] for s in range(3)]
    np.testing.assert_allclose(found.balance, 1)
    with store.read(PIXELS._replace(run="scan").clusters, "clusters") as file:
        own = file["0/assignment"][:, :100]
    with store.read(PIXELS.labels, "labels") as file:
        label = file["label"][:100]
    counts = [np.bincount(o * 10 + label, minlength=100).reshape(10, 10) for o in own]
    most = [c[linear_sum_assignment(c, maximize=True)].sum() for c in counts]
    np.testing.assert_allclose(found.acc[:, -1], most, rtol=1e-5)


def test_without_labels_the_training_has_no_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "mine", labelled=False)
    train("mine")
    evaluate("mine", examples=NONE)
    page = text_of(report())
    assert "scan · loss" in page
    assert "scan · ACC" not in page
    assert "one-to-one on" not in page


def test_a_dataset_where_nothing_was_trained_has_no_training(folder: Path) -> None:
    for backbone in ("pixels", "edges"):
        Cell("d", backbone, "scan").clusters.unlink()
        evaluate("d", backbone, examples=NONE)  # the tables of epochs still lie in metrics
    page = text_of(report())
    assert "Training" not in page
    assert "scan" not in page


def test_the_number_of_clusters_that_a_graph_hints_at_is_a_line_a_backbone(folder: Path) -> None:
    found = {"components": 1, "isolated": 0, "eigenvalues": [0.0] * 41}
    PIXELS.metric("spectral.json").write_text(json.dumps({**found, "eigengap_k": 11}))
    more = {**found, "components": 3, "isolated": 1}
    EDGES.metric("spectral.json").write_text(json.dumps(more))
    gone = Cell("d", "gone").metric("spectral.json")
    gone.parent.mkdir()
    gone.write_text(json.dumps(found))
    page = text_of(report(asked={"pixels", "edges"}))
    assert "pixels: the largest eigengap of its neighbour graph up to k = 40 is at k = 11." in page
    assert (
        "edges: no eigengap of its neighbour graph is to be seen up to k = 40; the graph falls "
        "into 3 parts; 1 image has no neighbour in it." in page
    )
    assert "gone" not in page


def test_typical_is_what_is_probable_where_there_are_no_centres(folder: Path) -> None:
    with store.read(PIXELS._replace(run="scan").clusters, "clusters") as file:
        assert "0/distance" not in file
        np.testing.assert_array_equal(away(file, 0), 1 - file["0/probability"])
    with store.read(PIXELS._replace(run="kmeans").clusters, "clusters") as file:
        np.testing.assert_array_equal(away(file, 0), file["0/distance"])


def test_nothing_is_opened_below_data(folder: Path) -> None:
    """The report depends on metrics, and opens pictures where `datasets` says."""
    ask()
    report()
    before = {path: path.read_bytes() for path in Path("report").iterdir()}
    assert b"<img" in before[Path("report/index.html")]
    shutil.rmtree("data")
    report()
    assert {path: path.read_bytes() for path in Path("report").iterdir()} == before


def test_a_cell_that_cannot_be_is_listed_with_the_reason_and_takes_no_part(folder: Path) -> None:
    """Every file of it is a mark, as stages.run writes them."""
    files = [path.name for path in PIXELS.metric("").iterdir()]
    assert {"evaluate.csv", "examples.h5", "probes.json"} <= set(files)
    absent, why = Cell("d", "dino"), "it has no pictures that <dino> could embed"
    mark([absent.metric(name) for name in (*files, "embed.json", "unreadable.csv")], why)
    page = report()
    assert "Absent: dino: it has no pictures that &lt;dino&gt; could embed" in page
    assert text_of(page).count("dino") == 2
    assert "dino" not in Path("report/table.md").read_text()
    assert "dino" not in text_of(report(asked={"pixels", "edges"}))


def test_a_dataset_of_which_no_cell_can_be_says_so(small: Path) -> None:
    mark([Cell("words", "pixels").metric("embed.json")], "it has no pictures")
    page = report()
    assert "<h2>words</h2>" in page
    assert "Absent: pixels: it has no pictures" in page
    assert not Tags(page).open


def test_backbones_are_in_the_order_of_params_whatever_their_origin(folder: Path) -> None:
    """Rows of the zoo, imported, adapted; a union of mappings turns them round."""
    shutil.copytree(PIXELS.metric(""), Cell("d", "aa").metric(""))
    table = Cell("d", "aa").metric("evaluate.csv")
    table.write_text(table.read_text().replace("d,pixels,", "d,aa,"))
    mine = {"pixels": {}, "edges": {}}
    page = report(asking={"backbones": mine, "imported": {"aa": {"features": "x.npy"}}})
    assert page
    scores = Path("report/table.md").read_text().split("\n\n")[1].splitlines()[2:]
    assert list(dict.fromkeys(line.split()[1] for line in scores)) == ["pixels", "edges", "aa"]
