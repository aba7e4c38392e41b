"""CAIRN_BENCH_STAGES: the rows of named stages are measured anew, the others kept."""

import json
from pathlib import Path

import pytest

from bench import _some_rows


def test_rows_that_are_not_measured_are_kept_and_all_have_the_same_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept = [{"stage": "a", "10k_s": 1.0, "time": 1.0}, {"stage": "b", "10k_s": 2.0, "time": 1.1}]
    (tmp_path / "growth.json").write_text(json.dumps({"rows": kept}))
    monkeypatch.setattr(_some_rows, "FOLDER", tmp_path)
    measured = {
        name: {"stage": name, "10k_s": 3.0, "3000k_s": 9.0, "time": 1.2} for name in ("first", "b")
    }
    assert _some_rows.merged("growth", measured, {"b"}) == [
        {"stage": "a", "10k_s": 1.0, "3000k_s": "", "time": 1.0},
        {"stage": "b", "10k_s": 3.0, "3000k_s": 9.0, "time": 1.2},
    ]
    assert _some_rows.merged("growth", measured, set()) == list(measured.values())


def test_stages_are_named_with_semicolons(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CAIRN_BENCH_STAGES", "neighbors, compressed; kmeans ;")
    assert _some_rows.named() == {"neighbors, compressed", "kmeans"}
    monkeypatch.delenv("CAIRN_BENCH_STAGES")
    assert _some_rows.named() == set()
