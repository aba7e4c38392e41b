"""Which clustering the page begins with, and what is said where one is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import environment
from reviewed import write_project

import pages.report.tables.ranking as ranking
from pages.report.tables.ranking import COLUMNS
from pages.review.asked import asked, choose, choose_dataset
from pages.review.collection import open_collection
from pipeline.io.cell import Cell
from pipeline.params import StageError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path)
    return tmp_path


def write_rank(*rows: tuple[int, str, int, int]) -> None:
    """rank, run, setting, seed."""
    path = ranking.table_of("birds")
    path.parent.mkdir(parents=True, exist_ok=True)
    scores = [column.score for column in COLUMNS]
    head = ["rank", "dataset", "backbone", "run", "setting", "k", "dims", "seed", "place", *scores]
    text = [",".join(head)]
    for rank, run, setting, seed in rows:
        text.append(f"{rank},birds,pixels,{run},{setting},4,0,{seed},1" + ",0.5" * len(scores))
    path.write_text("\n".join(text) + "\n")


def test_without_a_ranking_it_is_the_first_run():
    found = choose("birds", None, None)
    assert (found.key, found.setting, found.seed) == ("clusters/kmeans", 0, None)


def test_the_best_of_the_ranking_that_is_there_comes_first():
    write_rank((1, "gone", 0, 0), (2, "overcluster", 0, 0), (3, "kmeans", 1, 1))
    assert choose("birds", None, None).key == "clusters/overcluster"
    best = choose("birds", None, "kmeans")
    assert (best.setting, best.seed) == (1, 1)
    assert open_collection(best).clustering.k == 3


def test_names_that_are_mistyped_are_answered_with_a_close_one():
    with pytest.raises(StageError, match=r"no dataset bird in .*; did you mean 'birds'"):
        choose_dataset("bird")
    with pytest.raises(StageError, match="did you mean 'pixels'"):
        choose("birds", "pixel", None)
    with pytest.raises(StageError, match="did you mean 'kmeans'"):
        choose("birds", None, "kmean")
    with pytest.raises(StageError, match="from 0 on; there is no 7"):
        asked("birds", "pixels", "clusters/kmeans", 7)


def test_the_only_dataset_needs_no_name_and_of_several_the_list_is_told():
    assert choose_dataset(None) == "birds"
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["datasets"]["fish"] = {"from": "digits"}
    Path("params.yaml").write_text(yaml.dump(params))
    with pytest.raises(StageError, match="say which: birds, fish"):
        choose_dataset(None)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("data/birds/images.h5", "dvc repro index"),
        ("data/birds/pixels/clusters", "dvc repro kmeans"),
        ("data/birds/pixels/features/features.h5", "dvc repro embed"),
    ],
)
def test_what_is_missing_is_said_with_the_command_that_makes_it(gone: str, said: str):
    shutil.rmtree(gone) if Path(gone).is_dir() else Path(gone).unlink()
    with pytest.raises(StageError, match=said) as error:
        open_collection(choose("birds", None, None))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("gone", ["neighbors.h5"])
def test_what_can_be_done_without_is_a_note(gone: str):
    (Cell("birds", "pixels").file(gone)).unlink()
    found = open_collection(choose("birds", None, None))
    assert found.near is None
    assert any("dvc repro neighbors" in note for note in found.notes)


def test_a_mistake_at_the_command_line_is_one_line(project: Path):
    ran = subprocess.run(
        [sys.executable, "-m", "pages.review", "bird", "--no-open"],
        cwd=project, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr == "review: no dataset bird in params.yaml; did you mean 'birds'?\n"
