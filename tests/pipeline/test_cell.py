"""Where the files of a cell lie, and names that no dataset may have."""

from pathlib import Path

from conftest import Project

from pipeline.cost import cost
from pipeline.io.cell import Cell, Pair, known_of


def test_a_cell_is_a_folder():
    cell = Cell("birds", "dino", "kmeans")
    assert cell.clusters == Path("data/birds/dino/clusters/kmeans.h5")
    assert cell.discovered == Path("data/birds/dino/discovered/kmeans.h5")
    assert cell.table == Path("metrics/birds/dino/kmeans.csv")
    assert cell.images == Path("data/birds/images.h5")
    assert known_of("birds") == Path("data/birds/known.h5")
    pair = Pair(cell, cell._replace(dataset="zoo"))
    assert pair.assigned("temi") == Path("data/zoo/dino/clusters/temi_from_birds.h5")


def test_costs_are_seconds_and_megabytes():
    found = cost()
    assert 0 < found["seconds"] < 1e6
    assert 10 < found["peak_memory_mb"] < 1e6


def test_a_backbone_that_nobody_knows_is_refused_with_a_close_name(project: Project):
    project.index("digits")
    project.params["all"] = {"pixels": {}}
    assert "no pixel under backbones:" in (said := project.refusal("embed", "digits", "pixel"))
    assert "did you mean 'pixels'?" in said
    assert "run `dvc repro embed`" in project.refusal("embed", "digits", "pixels")
