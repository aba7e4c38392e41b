"""What one collection found in another: on the page."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from clustered import N, digits, write_clusters, write_dataset
from reported import Tags, evaluate, report, specs, text_of

from pages.report.charts.bins import BINS
from pages.report.chosen.pick import Examples
from pages.report.chosen.similar import Side, read_similar, save_similar
from pipeline.io.absent import mark
from pipeline.io.cell import Cell, Pair

FOUR = Examples(clusters=4, images=3)


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


def pair_of(backbone: str = "pixels", run: str = "similar") -> Pair:
    return Pair(*(Cell("d", backbone, run) for _ in range(2)))


def write_similar(
    pair: Pair | None = None, minimum: float = -1.0, wanted: Examples = FOUR
) -> np.ndarray:
    """Each third image of the target asked; what it found is drawn at random. The similarities."""
    rng, (names, digest, _, _) = np.random.default_rng(0), digits()
    similarity = -np.sort(-rng.random((N // 3, 5)).astype(np.float32), axis=1)
    large = Side(np.array(names, object), digest)
    target = Side(*(column[np.arange(0, N - 1, 3)] for column in large))
    found = rng.integers(0, N, similarity.shape)
    save_similar(pair or pair_of(), target, large, found, similarity, [2, 5, 2], minimum, wanted)
    return similarity


def similar_part(page: str) -> str:
    start = page.index('<section class="dataset" id="s0">')
    return page[start : page.index('<section class="dataset" id="measured">')]


def test_what_looks_like_a_target_is_shown_from_the_best_matched_to_the_worst() -> None:
    similarity = write_similar()
    page = report()
    assert not Tags(page).open
    part = similar_part(page)
    order = np.argsort(-similarity[:, 0], kind="stable")
    at = order[[0, 17, 35, 52]]  # 4 of 53, evenly
    cards = re.findall(r"<h4>([\d.]+) to ([\d.]+) <span>· ([^<]+)</span>", part)
    names = digits()[0]
    assert cards == [
        (f"{similarity[t, 0]:.3f}", f"{similarity[t, -1]:.3f}", names[3 * t]) for t in at.tolist()
    ]
    shown = [a["title"] for tag, a in Tags(part).found if tag == "img"]
    assert len(shown) == 4 * (1 + 5)
    assert str(shown[1]).endswith(f" · {similarity[at[0], 0]:.3f}")
    medians = f"{np.median(similarity[:, 0]):.3f}, of all 5 {np.median(similarity):.3f}."
    assert f"Median of the nearest {medians}" in text_of(part)
    assert "53 images of d asked" in part
    assert "<svg" in part


def test_the_file_has_what_was_found_and_how_often() -> None:
    similarity = write_similar(minimum=0.5)
    found = read_similar(pair_of().examples)
    neighbor = np.random.default_rng(0)
    neighbor.random(similarity.shape)  # drawn before
    table = neighbor.integers(0, N, similarity.shape)
    kept = [len({*table[:, :k][similarity[:, :k] >= np.float32(0.5)]}) for k in (2, 5)]
    assert (found.facts["k"], found.facts["found"]) == ([2, 5], kept)
    edges = found.arrays["edge"]
    low, high = similarity.min(), similarity.max()
    np.testing.assert_array_equal(edges, np.linspace(np.float64(low), np.float64(high), BINS + 1))
    for name, values in (("nearest", similarity[:, 0]), ("every", similarity.ravel())):
        counts = np.histogram(values.astype(np.float64), edges)[0]
        np.testing.assert_array_equal(found.arrays[name], counts)
        assert counts.sum() == len(values)
    names, digest, _, _ = digits()
    number = {name: at for at, name in enumerate(names)}
    for what in ("", "found_"):
        rows = [number[name] for name in found.arrays[f"{what}name"]]
        np.testing.assert_array_equal(found.arrays[f"{what}digest"], digest[rows])
    asked = [number[name] // 3 for name in found.arrays["name"]]
    for place, target in enumerate(asked):
        own = found.arrays["found_target"] == place
        enough = (similarity[target] >= np.float32(0.5)).sum()
        assert own.sum() == enough
        np.testing.assert_array_equal(
            found.arrays["found_similarity"][own], similarity[target, :enough]
        )
        rows = [number[name] for name in found.arrays["found_name"][own]]
        assert rows == table[target, :enough].tolist()


def test_a_target_shows_two_rows_of_what_it_found() -> None:
    similarity = write_similar(wanted=Examples(clusters=60, images=2))
    found = read_similar(pair_of().examples).arrays
    assert len(found["name"]) == len(similarity)
    assert np.bincount(found["found_target"]).tolist() == [4] * len(similarity)
    np.testing.assert_array_equal(found["least"], np.sort(similarity[:, -1])[::-1][
        np.argsort(np.argsort(-found["least"], kind="stable"), kind="stable")])  # fmt: skip


def test_pairs_below_the_minimum_are_not_in_the_sheet() -> None:
    similarity = write_similar(minimum=0.5)
    part = similar_part(report())
    titles = [
        str(a["title"]) for tag, a in Tags(part).found if tag == "img" and " · " in a["title"]
    ]
    assert titles
    assert min(float(title.rpartition(" ")[2]) for title in titles) >= 0.5
    share = (similarity < 0.5).mean()
    assert f"{share:.1%} of the pairs are below the minimum of 0.5." in part


def test_only_pairs_that_are_asked_for_are_shown() -> None:
    shutil.copytree("metrics/d/pixels", "metrics/d/edges")
    for backbone in ("pixels", "edges", "other"):
        write_similar(pair_of(backbone))
    page = report(asked={"pixels", "edges"})
    table = Path("metrics/d/edges/evaluate.csv")
    assert re.findall(r"<summary>(\w+) · k = 2, 5<", page) == ["pixels"], "edges has no scores"
    table.write_text(table.read_text().replace("d,pixels,", "d,edges,"))
    page = report(asked={"pixels", "edges"})
    assert re.findall(r"<summary>(\w+) · k = 2, 5<", page) == ["edges", "pixels"]
    assert '<a href="#s0">What looks like d in d</a>' in page
    ids = [a["id"] for _, a in Tags(page).found if "id" in a]
    assert len(ids) == len(set(ids))


def test_a_sample_by_labels_is_a_pair_of_its_own() -> None:
    write_similar()
    write_similar(pair_of(run="similar_by_labels"))
    both = {"target": ["d"], "among": ["d"]}
    page = report(asking={"similar_by_labels": both})
    titles = ["What looks like d in d", "What looks like d in d (similar_by_labels)"]
    assert re.findall(r"<h2>(What looks like [^<]*)</h2>", page) == titles


def test_without_a_pair_nothing_is_said_of_similar_images() -> None:
    write_similar()
    assert "What looks like" not in report(similar="x")
    pair_of().examples.unlink()
    assert "What looks like" not in report()


def test_a_pair_of_an_absent_cell_is_not_shown() -> None:
    mark([pair_of().examples, Cell("d", "pixels").metric("embed.json")], "it has no pictures")
    page = report()
    assert "What looks like" not in page
    assert "Absent: pixels: it has no pictures" in page


def test_similar_images_of_which_no_picture_is_here_have_their_histogram() -> None:
    write_similar()
    specs(d={"from": "folder", "root": "gone", "tree": "class"})
    part = similar_part(report())
    assert "the pictures are not on the machine that wrote this page" in part
    assert "<svg" in part
    assert "<img" not in part


def test_a_target_that_found_nothing_is_shown_so() -> None:
    write_similar(minimum=1.0, wanted=Examples(clusters=2, images=3))
    part = similar_part(report())
    assert part.count(">nothing found <") == 2
    assert "0 for k = 2, 0 for k = 5." in part


def test_the_page_says_where_all_that_was_found_lies() -> None:
    write_similar()
    assert "<code>data/d/pixels/similar/d</code>" in similar_part(report())


def test_a_single_similarity_is_said_in_words() -> None:
    names, digest, _, _ = digits()
    one = Side(np.array(names[:1], object), digest[:1])
    found, like = np.zeros((1, 1), int), np.ones((1, 1), np.float32)
    save_similar(pair_of(), one, one, found, like, [1], 0.0, FOUR)
    part = similar_part(report())
    assert "Median of the nearest 1.000." in part
    assert "All lie in one bin." in part
    assert "<svg" not in part
    assert "All targets from the best" in part
