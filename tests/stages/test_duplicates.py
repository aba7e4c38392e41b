"""Stage duplicates: of each group of near-duplicates one image stands for all."""

from pathlib import Path

import numpy as np
import pytest
from conftest import Project, runtime
from stored import digests

import stages.duplicates
import store
from pipeline.io.cell import Cell
from pipeline.params import StageError, section

CELL = Cell("d", "pixels")


def write(vectors: np.ndarray, row: np.ndarray | None = None) -> None:
    row = np.arange(len(vectors)) if row is None else row
    split = (np.arange(len(vectors)) % 2).astype(np.uint8)
    plan = store.Plan(
        "d", "pixels", "0" * 32, vectors.shape[1], ["train", "test"], digests(row), row, split
    )
    with store.FeatureWriter(CELL.features, plan) as writer:
        writer.put(writer.todo, vectors[writer.todo].astype(np.float32))
        writer.finish()


def thin(threshold: float = 0.98, memory_gb: float = 1) -> tuple[list[int], list[int]]:
    """Rows and leaders."""
    stages.duplicates.main(
        CELL, stages.duplicates.Params(threshold=threshold), runtime(memory_gb=memory_gb)
    )
    with store.read(CELL.duplicates, "duplicates") as file:
        assert file.attrs["threshold"] == threshold
        return file["row"].tolist(), file["leader"].tolist()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_of_a_pair_and_a_group_of_four_one_each_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """(a) Each group keeps exactly one; in the fork both of a pair went."""
    group = [0, 1, 2, 2, 3, 4, 5, 5, 5, 5]
    write(np.eye(6)[group])
    assert thin()[1] == [0, 1, 2, 2, 4, 5, 6, 6, 6, 6]
    assert "duplicates: 6 images lie in 2 groups; 6 of 10 images stand for all" in (
        capsys.readouterr().out
    )


def test_leaders_are_rows_of_the_index_where_images_could_not_be_read() -> None:
    """(d) A number means the same in every file."""
    write(np.eye(3)[[0, 1, 1, 2]], row=np.array([2, 5, 6, 9]))
    assert thin() == ([2, 5, 6, 9], [2, 5, 5, 9])


def test_all_pairs_count_in_a_group_larger_than_any_table_of_neighbours() -> None:
    """(e) The fork looked at the first neighbours only, so large groups were left over."""
    group = np.repeat([0, 1], [400, 1])
    write(np.eye(2)[group])
    leader = thin()[1]
    assert leader == [0] * 400 + [400]


def test_an_image_joins_only_what_stands_for_itself() -> None:
    """In a slow pan 0 is like 1 and 1 like 2, but 0 is not like 2: 2 stands for itself."""
    angle = np.deg2rad([0, 10, 20, 30])
    write(np.stack([np.cos(angle), np.sin(angle)], 1))
    assert thin(float(np.cos(np.deg2rad(15))))[1] == [0, 0, 2, 2]


def test_how_bright_a_vector_is_does_not_count() -> None:
    """(c) The threshold is a cosine, whatever the lengths of the vectors."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(20, 16)), 2, axis=0) + rng.normal(scale=0.05, size=(40, 16))
    write(x)
    before = thin()
    assert len(set(before[1])) == 20
    write(x * rng.uniform(0.25, 4, (40, 1)))
    assert thin() == before


def test_a_store_that_does_not_fit_in_memory_has_the_same_groups() -> None:
    rng = np.random.default_rng(0)
    write(rng.normal(size=(5, 8))[rng.integers(0, 5, 60)])
    assert thin() == thin(memory_gb=1e-9)


def test_equal_input_gives_equal_bytes() -> None:
    write(np.eye(3)[[0, 1, 1, 2]])
    thin()
    before = CELL.duplicates.read_bytes()
    thin()
    assert CELL.duplicates.read_bytes() == before


@pytest.mark.parametrize("threshold", [0, 1.01, -1, "0.98", True])
def test_a_threshold_that_is_no_cosine_is_refused(threshold: object) -> None:
    Path("params.yaml").write_text(f"duplicates: {{threshold: {threshold!r}}}")
    with pytest.raises(StageError, match=r"duplicates.threshold is "):
        section(stages.duplicates.Params, "duplicates")


def test_the_stage_runs_from_the_command_line(project: Project) -> None:
    write(np.eye(2)[[0, 1, 1]])
    project.params["duplicates"] = {"threshold": 0.98}
    said = project.stage("duplicates", "d", "pixels")
    assert "duplicates: 2 images lie in 1 group; 2 of 3 images stand for all" in said
