"""Stage report: one page for people, tables for `dvc plots` and the terminal."""

import contextlib
import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from clustered import N, digits, write_clusters, write_dataset, write_features, write_index
from conftest import ROOT, Project

import stages.evaluate
import stages.report
import store
from stages import StageError
from stages.page.best import best
from stages.page.settings import read_settings
from stages.page.sheet import pick

ARGUMENTS = (
    "data/scores",
    "data/clusters",
    "data/images",
    "data/unreadable",
    "data/similar",
    "report",
)
ABLATIONS = ((10, 0), (10, 4), (10, 16))


def evaluate(dataset: str, backbone: str = "pixels", silhouette_images: int = 80) -> None:
    cell = f"{dataset}/{backbone}"
    stages.evaluate.main(
        Path("data/clusters", cell), Path("data/features", cell), Path(f"data/labels/{dataset}.h5"),
        Path(f"metrics/{cell}.json"), Path(f"data/scores/{cell}.csv"),
        stages.evaluate.Params(silhouette_images=silhouette_images, seed=0),
    )  # fmt: skip


def report(clusters_shown: int = 4, asked: set[str] | None = None, similar: str = "d d2 x") -> str:
    """The page, of all that was scored or of the backbones that are `asked` for."""
    scored = [path.relative_to("data/scores") for path in Path("data/scores").glob("*/*.csv")]
    path = Path("params.yaml")
    known = yaml.safe_load(path.read_text()) if path.exists() else {}
    datasets = {str(cell.parent): None for cell in scored} | known.get("datasets", {})
    backbones = sorted(asked or {cell.stem for cell in scored})
    wanted = {"target": similar.split(), "among": similar.split()}
    known = {"datasets": datasets, "backbones": backbones, "import": {}, "similar": wanted}
    path.write_text(yaml.safe_dump(known))
    stages.report.main(
        *map(Path, ARGUMENTS),
        stages.report.Params(images_per_cluster=3, clusters_shown=clusters_shown, thumbnail=32),
    )
    return Path("report/index.html").read_text(encoding="utf-8")


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", page, flags=re.S))


def specs(**datasets: object) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"datasets": datasets}))


class Tags(HTMLParser):
    """All tags with their attributes; every tag has to be closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


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
            evaluate("d", backbone)
        specs(d={"from": "digits"})
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_runs_from_the_command_line(project: Project, folder: Path) -> None:
    project.params |= {"datasets": {"d": {"from": "digits"}}, "backbones": ["pixels", "edges"]}
    project.stage("report", *ARGUMENTS)
    written = {path.name for path in (folder / "report").iterdir()}
    assert written == {"index.html", "table.md", "by_k.csv", "by_dims.csv"}


def test_what_was_taken_out_of_the_params_is_not_shown(folder: Path) -> None:
    """Its files still lie there."""
    assert "edges" in text_of(report())
    assert "edges" not in text_of(report(asked={"pixels"}))
    with pytest.raises(StageError, match="no scores of the datasets and backbones of params"):
        report(asked={"other"})


def test_the_page_is_whole_in_itself(folder: Path) -> None:
    page = report()
    tags = Tags(page)
    assert not tags.open
    assert "http" not in re.sub(r"base64,[\w+/=]*", "", page)
    addresses = [a[key] for _, a in tags.found for key in ("src", "href", "xlink:href") if key in a]
    assert addresses
    assert all(str(address).startswith(("data:", "#")) for address in addresses)


def test_ids_are_of_one_element_each_and_references_lead_somewhere(folder: Path) -> None:
    page = report()
    ids = [a["id"] for _, a in Tags(page).found if "id" in a]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page))
    assert {one or other for one, other in used} <= set(ids)


def test_equal_input_gives_equal_bytes(folder: Path) -> None:
    report()
    before = {path: path.read_bytes() for path in Path("report").iterdir()}
    report()
    assert {path: path.read_bytes() for path in Path("report").iterdir()} == before


def test_the_table_says_what_the_scores_say(folder: Path) -> None:
    page = text_of(report())
    s = next(s for s in read_settings(Path("data/scores")) if s.backbone == "pixels")
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


def test_a_head_of_a_column_is_a_button(folder: Path) -> None:
    page = report()
    heads = re.findall(r"<th [^>]*>(.*?)</th>", page)
    assert heads
    assert all(head.startswith('<button type="button"') for head in heads)
    assert "aria-sort" in page


def test_curves_are_written_for_dvc_plots(folder: Path) -> None:
    report()
    with Path("report/by_k.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["backbone"] == "pixels"]
    # k = 10 is in both runs, and once in the curve.
    assert [row["k"] for row in rows] == ["10", "15", "30"]
    assert [row["run"] for row in rows] == ["kmeans", "overcluster", "overcluster"]
    assert {row["method"] for row in rows} == {"kmeans"}
    assert all(float(row["acc_sd"]) >= 0 for row in rows)
    with Path("report/by_dims.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["backbone"] == "edges"]
    assert [(row["run"], row["dims"]) for row in rows] == [
        ("kmeans", "4"), ("kmeans", "16"), ("kmeans", "63"),
    ]  # fmt: skip


@pytest.mark.parametrize("x", ["k", "dims"])
def test_the_templates_of_dvc_plots_name_columns_that_are_there(folder: Path, x: str) -> None:
    report()
    template = (ROOT / f".dvc/plots/by_{x}.json").read_text()
    fields = set(re.findall(r'"field": "([^"]+)"', json.dumps(json.loads(template))))
    made = {"rev", "score", "sd", "low", "high", "<DVC_METRIC_X>"}
    with Path(f"report/by_{x}.csv").open() as file:
        assert fields - made <= set(next(csv.reader(file)))
    assert "<DVC_METRIC_DATA>" in template


def test_what_is_shown_is_chosen_by_silhouette_and_never_by_labels(folder: Path) -> None:
    settings = [s for s in read_settings(Path("data/scores")) if s.backbone == "edges"]
    chosen = best(settings)
    assert chosen is not None
    first = [s for s in settings if s.setting == 0 and s.split == "train"]
    assert chosen.mean["silhouette"] == max(s.mean["silhouette"] for s in first)
    for s in settings:
        s.mean.update(dict.fromkeys(("acc", "ari", "nmi", "ami"), 0.0))
    assert best(settings) is chosen
    with store.read(Path(f"data/clusters/d/edges/{chosen.run}.h5"), "clusters") as file:
        seed = file["0/loss"].argmin()
    page = report()
    sheet = page[page.index(f"edges · {chosen.run}, k = 10, all dimensions") :]
    assert f"the one of lowest loss, {seed}." in sheet[: sheet.index("</details>")]


def test_each_backbone_has_a_sheet_and_the_first_is_open(folder: Path) -> None:
    page = report()
    sheets = re.findall(r'<details class="sheet"( open)?><summary>(\w+) ·', page)
    assert sheets == [(" open", "edges"), ("", "pixels")]
    assert page.count('<div class="card">') == 2 * 4


def test_names_are_escaped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names, digests, _, _ = digits()
    bad = """<b onload="x">'&"""
    monkeypatch.setattr("stages.page.album.open_images", lambda spec: read)
    raw = dict(zip(names, _raw(names), strict=True))
    odd = [f"{bad} {i}" for i in range(N)]

    def read(name: str) -> np.ndarray:
        return raw[names[int(name.rpartition(" ")[2])]]

    write_index(folder, "d", odd, digests)
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
    assert "the first run, as no silhouette is known" in page
    assert "±" not in Path("report/table.md").read_text()


def test_several_datasets_stand_on_one_page(folder: Path) -> None:
    write_dataset(folder, "birds & <bees>", labelled=False)
    write_clusters(folder, "birds & <bees>")
    evaluate("birds & <bees>")
    page = report()
    assert "<h2>birds &amp; &lt;bees&gt;</h2>" in page
    assert '<a href="#d0">birds &amp; &lt;bees&gt;</a><a href="#d1">d</a>' in page
    # The second is imported, as params.yaml does not say where its images are.
    assert "these features were imported without any" in page


def test_pictures_that_are_not_here_leave_a_page_without_a_sheet(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs(d={"from": "folder", "root": "gone", "tree": "class"})
    page = report()
    assert "the pictures are not on the machine that wrote this page" in page
    assert "<img" not in page
    assert capsys.readouterr().out.startswith("report: no images of d: ")


def test_a_picture_that_changed_is_not_shown(folder: Path) -> None:
    names, digests, _, _ = digits()
    digests = digests.copy()
    digests[: N // 2] += 1
    write_index(folder, "d", names, digests)
    page = report()
    assert "changed since it was indexed" in page
    assert "<img" in page


def test_unreadable_images_are_counted(folder: Path) -> None:
    path = Path("data/unreadable/d/pixels.csv")
    path.parent.mkdir(parents=True)
    path.write_text('name,reason\na.jpg,"cut\nshort"\nb.jpg,empty\n')
    assert "pixels: 2 images could not be read and took no part." in report()


def test_no_sheet_is_drawn_when_none_is_wanted(folder: Path) -> None:
    page = report(clusters_shown=0)
    assert "<img" not in page
    assert "not on the machine" not in page


def test_the_sheet_shows_the_nearest_and_the_furthest_once() -> None:
    assignment = np.array([0] * 5 + [2] * 2 + [1] * 3)
    distance = np.array([5, 1, 2, 4, 3, 1, 0, 2, 1, 3], float)
    large, middle, small = pick(assignment, distance, 10, 2)
    assert (large.cluster, large.size) == (0, 5)
    assert large.nearest.tolist() == [1, 2]
    assert large.furthest.tolist() == [0, 3]
    assert (middle.cluster, middle.nearest.tolist(), middle.furthest.tolist()) == (1, [8, 7], [9])
    assert (small.cluster, small.nearest.tolist(), small.furthest.tolist()) == (2, [6, 5], [])


def test_of_many_clusters_large_and_small_ones_are_shown() -> None:
    assignment = np.repeat(np.arange(100), np.arange(100, 0, -1))
    found = pick(assignment, np.zeros(len(assignment)), 3, 1)
    assert [p.size for p in found] == [100, 50, 1]


def test_without_scores_the_report_says_what_is_missing(project: Project) -> None:
    assert "no scores (*/*.csv)" in project.refusal("report", *ARGUMENTS)


def test_a_table_of_another_program_is_refused(folder: Path) -> None:
    Path("data/scores/d/pixels.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StageError, match=r"pixels.csv: has no column dataset"):
        report()


def write_similar(
    target: str = "d", among: str = "d", backbone: str = "pixels", minimum: float = -1.0
) -> np.ndarray:
    """Each third image of the target asked; what it found is drawn at random. The similarities."""
    rng = np.random.default_rng(0)
    similarity = -np.sort(-rng.random((N // 3, 5)).astype(np.float32), axis=1)
    arrays = {
        "target": np.arange(0, N - 1, 3),
        "found": rng.integers(0, N, similarity.shape),
        "similarity": similarity,
    }
    attrs = {"target": target, "among": among, "backbone": backbone, "k": [2, 5]}
    path = Path("data/similar", target, among, backbone, "found.h5")
    store.save(path, "similar", arrays, {**attrs, "minimum": minimum})
    return similarity


def similar_part(page: str) -> str:
    start = page.index('<section class="dataset" id="s0">')
    return page[start : page.index("How this was measured")]


def test_what_looks_like_a_target_is_shown_from_the_best_matched_to_the_worst(
    folder: Path,
) -> None:
    similarity = write_similar()
    page = report(asked={"pixels"})
    assert not Tags(page).open
    part = similar_part(page)
    order = np.argsort(-similarity[:, 0], kind="stable")
    at = order[[0, 17, 35, 52]]  # 4 of 53, evenly
    cards = re.findall(r'<h4 class="line" title="([^"]+)">([\d.]+) to ([\d.]+) ', part)
    names = digits()[0]
    assert cards == [
        (names[3 * t], f"{similarity[t, 0]:.3f}", f"{similarity[t, -1]:.3f}") for t in at.tolist()
    ]
    shown = [a["title"] for tag, a in Tags(part).found if tag == "img"]
    assert len(shown) == 4 * (1 + 5)
    assert str(shown[1]).endswith(f" · {similarity[at[0], 0]:.3f}")
    medians = f"{np.median(similarity[:, 0]):.3f}, of all 5 {np.median(similarity):.3f}."
    assert f"Median of the nearest {medians}" in text_of(part)
    assert "53 images of d asked" in part
    assert "<svg" in part


def test_pairs_below_the_minimum_are_not_in_the_sheet(folder: Path) -> None:
    similarity = write_similar(minimum=0.5)
    part = similar_part(report(asked={"pixels"}))
    titles = [
        str(a["title"]) for tag, a in Tags(part).found if tag == "img" and " · " in a["title"]
    ]
    assert titles
    assert min(float(title.rpartition(" ")[2]) for title in titles) >= 0.5
    share = (similarity < 0.5).mean()
    assert f"{share:.1%} of the pairs are below the minimum of 0.5." in part


def test_only_pairs_that_are_asked_for_are_shown(folder: Path) -> None:
    write_similar()
    write_similar(backbone="edges")
    write_similar(backbone="other")
    page = report()
    assert re.findall(r"<summary>(\w+) · k = 2, 5<", page) == ["edges", "pixels"]
    assert '<a href="#s0">What looks like d in d</a>' in page
    ids = [a["id"] for _, a in Tags(page).found if "id" in a]
    assert len(ids) == len(set(ids))
    assert "What looks like" not in report(0, {"pixels"}, similar="x")
    shutil.rmtree("data/similar")
    assert "What looks like" not in report(0, {"pixels"})


def test_similar_images_of_which_no_picture_is_here_have_their_histogram(folder: Path) -> None:
    write_similar()
    specs(d={"from": "folder", "root": "gone", "tree": "class"})
    part = similar_part(report(asked={"pixels"}))
    assert "the pictures are not on the machine that wrote this page" in part
    assert "<svg" in part
    assert "<img" not in part


def test_a_target_that_found_nothing_is_shown_so(folder: Path) -> None:
    write_similar(minimum=1.0)
    part = similar_part(report(2, {"pixels"}))
    assert part.count(">nothing found <") == 2
    assert "0 for k = 2, 0 for k = 5." in part


def test_a_single_similarity_makes_a_histogram(folder: Path) -> None:
    arrays = {"target": np.zeros(1, int), "found": np.zeros((1, 1), int)}
    arrays["similarity"] = np.ones((1, 1), np.float32)
    attrs = {"target": "d", "among": "d", "backbone": "pixels", "k": [1], "minimum": 0.0}
    store.save(Path("data/similar/d/d/pixels/found.h5"), "similar", arrays, attrs)
    part = similar_part(report(asked={"pixels"}))
    assert "Median of the nearest 1.000." in part
    assert "All targets from the best" in part
