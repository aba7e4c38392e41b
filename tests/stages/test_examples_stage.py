"""Stage examples: which images the report shows, by the ranking and without labels."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from clustered import N, write_clusters, write_dataset
from conftest import Project
from test_evaluate import relabel

import store
from pages.report.chosen.clusters import read_chosen
from pages.report.chosen.pick import Examples
from pipeline.io.absent import mark
from pipeline.io.cell import Cell
from pipeline.ranking.candidates import Candidate
from pipeline.ranking.judge import CRITERIA
from pipeline.ranking.table import facts_of, write_ranking
from stages.examples import main

CELL = Cell("d", "pixels", "examples")
EXAMPLES = Examples(clusters=4, images=3)
FIRST = Candidate("pixels", "kmeans", 1, 10, 8, 2, 0.1, (0, 0))


def rank(*order: Candidate) -> None:
    scores = {name: np.zeros(len(order)) for name in CRITERIA}
    write_ranking("d", order, np.arange(len(order)), scores)
    facts_of("d").write_text("{}")


def choose(folder: Path, shown: Examples = EXAMPLES) -> None:
    with contextlib.chdir(folder):
        main(CELL, shown)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d", settings=((10, 0), (10, 8)))
    write_clusters(tmp_path, "d", run="overcluster", settings=((25, 0),))
    with contextlib.chdir(tmp_path):
        other = FIRST._replace(backbone="edges")
        rank(other, FIRST, FIRST._replace(run="overcluster", setting=0, k=25, dims=0, seed=0))
    return tmp_path


@pytest.mark.parametrize("shown", [EXAMPLES, Examples(clusters=30, images=20)])
def test_the_examples_are_those_nearest_to_and_farthest_from_their_centres(
    folder: Path, shown: Examples
) -> None:
    """Of the clustering that ranks highest, its run, setting and seed."""
    choose(folder, shown)
    found = read_chosen(folder / CELL.examples)
    assert found is not None
    assert (found.run, found.setting, found.seed, found.seeds) == ("kmeans", 1, 2, 3)
    assert (found.rank, found.among, found.k, found.dims) == (2, 3, 10, 8)
    assert found.images == shown.images
    with store.read(folder / CELL._replace(run="kmeans").clusters, "clusters") as file:
        own, away = file["1/assignment"][2], file["1/distance"][2]
    with store.read(folder / CELL.images, "index") as file:
        names, digests, train = file["name"], file["digest"], file["split"] == 0
    size = np.bincount(own[train], minlength=found.k)
    assert found.size.tolist() == size.tolist()
    live = [c for c in np.argsort(-size, kind="stable") if size[c]]
    at = np.linspace(0, len(live) - 1, min(shown.clusters, len(live))).round().astype(int)
    expected = []
    for c in np.array(live)[at].tolist():
        members = sorted(np.flatnonzero(train & (own == c)), key=lambda i: away[i])
        most, rest = members[: shown.images], members[shown.images :]
        expected += [(c, 1, i) for i in most]
        expected += [(c, 0, i) for i in rest[::-1][: shown.images]]
    which = [(c, typical, names[i]) for c, typical, i in expected]
    arrays = (found.cluster.tolist(), found.typical.tolist(), found.name.tolist())
    assert list(zip(*arrays, strict=True)) == which
    np.testing.assert_array_equal(found.digest, digests[[i for *_, i in expected]])


def test_the_examples_do_not_hinge_on_labels(folder: Path) -> None:
    choose(folder)
    before = (folder / CELL.examples).read_bytes()
    relabel(folder, np.full(N, -1))
    choose(folder)
    assert (folder / CELL.examples).read_bytes() == before


def test_where_nothing_of_the_cell_is_ranked_the_examples_are_none(folder: Path) -> None:
    with contextlib.chdir(folder):
        rank(FIRST._replace(backbone="edges"))
    choose(folder)
    assert read_chosen(folder / CELL.examples) is None
    with contextlib.chdir(folder):
        mark([Path("metrics/d/rank.csv"), facts_of("d")], "no run has clusters")
    choose(folder)
    assert read_chosen(folder / CELL.examples) is None


def test_without_clusters_shown_the_sizes_are_there_alone(folder: Path) -> None:
    choose(folder, Examples(clusters=0, images=3))
    found = read_chosen(folder / CELL.examples)
    assert found is not None
    assert found.size.sum() == 120
    assert (found.name.shape, found.digest.shape) == ((0,), (0, 16))


def test_of_an_absent_cell_the_outs_say_so(project: Project, folder: Path) -> None:
    shutil.rmtree(folder / CELL.features)
    mark([folder / CELL.features], "it has no pictures")
    project.stage("examples", "d", "pixels")
    with store.read(folder / CELL.examples, "absent") as file:
        assert file.attrs["reason"] == "d: it has no pictures"
