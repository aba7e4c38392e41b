"""Where the files of a cell lie, and names that no dataset may have."""

from pathlib import Path

import pytest
from conftest import Project

from pipeline.cost import cost
from pipeline.io.cell import RESERVED, Cell, Pair, known_of


def test_a_cell_is_a_folder():
    cell = Cell("birds", "dino", "kmeans")
    assert cell.clusters == Path("data/birds/dino/clusters/kmeans.h5")
    assert cell.discovered == Path("data/birds/dino/discovered/kmeans.h5")
    assert cell.table == Path("metrics/birds/dino/kmeans.csv")
    assert cell.images == Path("data/birds/images.h5")
    assert known_of("birds") == Path("data/birds/known.h5")
    pair = Pair(cell, cell._replace(dataset="zoo"))
    assert pair.assigned("temi") == Path("data/zoo/dino/clusters/temi_from_birds.h5")


@pytest.mark.parametrize("name", RESERVED)
def test_a_dataset_is_not_called_as_a_folder_of_another_use(project: Project, name: str):
    project.params["datasets"] = {name: {"from": "digits"}}
    assert "the name of another folder below data/" in project.refusal("index", name)
    assert not (project.folder / "data" / name).exists()


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
