"""assign as a stage: finished clusters for the images of another dataset, by one backbone."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from clustered import SPLITS, N, digits, split_of, write_clusters, write_dataset
from conftest import Project
from learning import RUNTIME

import store
from cluster.kmeans.assign import assign
from cluster.vectors.rows import ArrayRows
from pipeline.io.cell import Cell, Pair
from pipeline.params import StageError
from stages.assign import main

PAIR = Pair(Cell("digits", "pixels", "assign"), Cell("more", "pixels", "assign"))
GIVEN = Cell("more", "pixels", "kmeans_from_digits").clusters


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clusters of digits, in two settings; `more` has the same images."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "digits")
    write_dataset(tmp_path, "more")
    write_clusters(tmp_path, "digits", settings=((10, 0), (7, 8)))
    return tmp_path


def test_finished_clusters_are_given_to_the_same_images_of_another_dataset(folder: Path):
    """Through the PCA that they were fitted in: past it, transfer is meaningless."""
    main(PAIR, "kmeans", RUNTIME)
    with (
        store.read(PAIR.first._replace(run="kmeans").clusters, "clusters") as before,
        store.read(GIVEN, "clusters") as after,
    ):
        for setting in (0, 1):
            x = digits()[2].astype(np.float16).astype(np.float32)[:, : 8 if setting else 64]
            nearest = assign(ArrayRows(x), before[f"{setting}/centroids"])
            np.testing.assert_array_equal(after[f"{setting}/assignment"], nearest.assignment)
            np.testing.assert_allclose(
                after[f"{setting}/distance"], nearest.distance, rtol=1e-4, atol=1e-4
            )
        assert after.attrs["dataset"] == "more"
        assert after.attrs["fitted_on"] == "digits"
        assert after.attrs["run"] == "kmeans_from_digits"


def test_it_runs_from_the_command_line(project: Project, folder: Path):
    main(PAIR, "kmeans", RUNTIME)
    here = GIVEN.read_bytes()
    GIVEN.unlink()
    said = project.stage("assign", "digits", "more", "pixels", "kmeans")
    assert f"assign: {N} images of more to clusters of digits" in said
    assert GIVEN.read_bytes() == here
    space = "as they are, no projection or 8 principal components"
    assert project.metrics("assign_more_kmeans") == {"space": space}
    line = project.refusal("assign", "digits", "more", "pixels", "kmean")
    assert line.startswith("assign: data/digits/pixels/clusters/kmean.h5: no such file")


def test_clusters_of_another_backbone_are_refused(folder: Path):
    _, ids, x, _ = digits()
    shutil.rmtree(PAIR.second.features)
    plan = store.Plan("more", "other", "e" * 32, 64, SPLITS, ids, np.arange(N), split_of(N))
    with store.FeatureWriter(PAIR.second.features, plan) as writer:
        writer.put(writer.todo, x[writer.todo])
        writer.finish()
    said = "clusters features of pixels, data/more/pixels/features holds those of other: assign wi"
    with pytest.raises(StageError, match=said):
        main(PAIR, "kmeans", RUNTIME)
    assert not GIVEN.exists()
