"""In which space a run clusters: said, and what lengths say is not taken away without a word."""

import json

import numpy as np
import pytest
from conftest import Project

from cluster.vectors.rows import Basis
from pipeline.io.space import print_space

N = 400


@pytest.fixture
def line(project: Project) -> np.ndarray:
    """Two groups on a line through zero; vectors of one dim."""
    group = np.arange(N) % 2
    x = (1 + 2 * group + 0.1 * np.random.default_rng(0).normal(size=N))[:, None]
    np.save(project.folder / "x.npy", x)
    np.save(project.folder / "y.npy", group)
    project.params["datasets"] = {"line": {"from": "vectors", "labels": "y.npy"}}
    project.params["imported"] = {"mine": {"features": "x.npy"}}
    project.params["kmeans"] |= {"k": [2], "dims": [0], "n_init": 2}
    project.index("line")
    project.stage("import", "mine")
    project.stage("embed", "line", "mine")
    return group


def test_lengths_that_say_something_are_noticed(project: Project, line: np.ndarray):
    said = project.stage("pca", "line", "mine")
    assert "pca: the lengths of the vectors vary by 51% of their mean, 100% of the variance" in said
    assert "set it to false if lengths matter" in said
    facts = project.metrics("pca", "line", "mine")
    assert facts["length_share"] == 1
    said = project.stage("kmeans", "line", "mine")
    assert "kmeans: space: unit length, no projection" in said
    project.params["pca"]["normalize"] = False
    assert "lengths" not in project.stage("pca", "line", "mine")
    said = project.stage("kmeans", "line", "mine")
    assert "kmeans: space: as they are, no projection" in said
    facts = json.loads((project.folder / "metrics/line/mine/kmeans.json").read_text())
    assert facts["space"] == "as they are, no projection"
    project.stage("evaluate", "line", "mine")
    assert project.metrics("evaluate", "line", "mine")["kmeans"]["acc"] == 1


def test_lengths_that_hardly_vary_are_not_mentioned(project: Project):
    project.index("digits")
    project.embed("digits", "pixels")
    assert "lengths" not in project.stage("pca", "digits", "pixels")


@pytest.mark.parametrize(
    ("normalize", "whiten", "dims", "more", "text"),
    [
        (True, False, [0], "", "unit length, no projection"),
        (True, True, [32], "", "unit length, 32 principal components, whitened"),
        (False, False, [0, 8, 16], "", "as they are, no projection or 8, 16 principal components"),
        (False, True, [0], "compared by cosine", "as they are, no projection, compared by cosine"),
    ],
)
def test_the_space_is_one_line(
    normalize: bool, whiten: bool, dims: list[int], more: str, text: str, capsys
):
    basis = Basis(np.zeros(2), np.eye(2), np.ones(2), normalize, whiten)
    assert print_space("mine", basis, [(k, d) for d in dims for k in (2, 3)], more) == {
        "space": text
    }
    assert capsys.readouterr().out == f"mine: space: {text}\n"


def test_the_pca_of_equal_vectors_says_that_they_are(project: Project):
    for name, shape in (("few", (10, 16)), ("many", (40, 16))):
        np.save(project.folder / f"{name}.npy", np.full(shape, 0.3))
        project.params["datasets"][name] = {"from": "vectors", "rows": shape[0]}
        project.params["imported"]["mine"] = {"features": "{dataset}.npy"}
        project.index(name)
    project.stage("import", "mine")
    for name, count in (("few", 10), ("many", 40)):
        project.stage("embed", name, "mine")
        for normalize, at in ((True, " at length 1 (pca.normalize)"), (False, "")):
            project.params["pca"]["normalize"] = normalize
            said = project.stage("pca", name, "mine")
            wanted = f"all {count} vectors are equal{at}: they have no principal components"
            assert wanted in said
