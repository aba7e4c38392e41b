"""`python -m bench rank`, on two small datasets and their mixture."""

from pathlib import Path

import numpy as np
import pytest
from clustered import write_dataset

import bench.rank


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    out: dict[str, list] = {}
    monkeypatch.setattr(bench.rank, "keep", lambda name, packages, rows: out.update({name: rows}))
    monkeypatch.setattr(bench.rank, "KS", ["0.5x", "1x"])
    monkeypatch.setitem(bench.rank.METHODS, "kmeans", {"dims": [0], "n_init": 1, "seeds": [0, 1]})
    return out


def test_every_criterion_has_a_row_over_datasets_and_mixtures(
    kept: dict[str, list], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name in ("one", "two"):
        write_dataset(tmp_path, name)
    words = ["--datasets", "one", "two", "--backbones", "pixels", "--methods", "kmeans"]
    bench.rank.main([str(tmp_path), *words, "--images", "90"])
    names = [row["criterion"] for row in kept["rank"]]
    assert names == [*bench.rank.CRITERIA, "silhouette", "rank"]
    said = capsys.readouterr().out
    assert all(f"{name} rank " in said for name in ("one", "two", "one_two"))


def test_correlation_and_regret_by_hand():
    acc, right = np.array([0.9, 0.5, 0.7]), np.array([False, True, True])
    found = bench.rank._of(np.array([1.0, np.nan, 2.0]), acc, acc[::-1], right)
    assert found["regret"] == pytest.approx(20)
    assert found["regret at 1x"] == pytest.approx(0)
    assert found["acc at 1x"] == pytest.approx(1)
    assert bench.rank.lacking().startswith("it needs a project")
