"""The size that the report advises: of one network, by edge information."""

import json
from pathlib import Path

import pytest
import yaml

from pages.report.tables.sizes import advice
from pipeline.io.cell import Cell

NET = "efficientnet_lite0"
PARAMS = {
    "runs": {"dcsbm": ["dcsbm"]},
    "backbones": {NET: {}, f"{NET}_96": {}, f"{NET}_stage4": {}, "pixels": {}},
    "resized": {
        "small": {"row": NET, "size": 160},
        "mean": {"row": NET, "sizes": [96, 160]},
        "wrong": {"row": "pixels", "size": 160},
    },
}
CELLS = [Cell("d", name) for name in (*PARAMS["backbones"], *PARAMS["resized"], "mine")]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS))


def measured(**information: list) -> None:
    for name, value in information.items():
        path = Cell("d", name).metric("dcsbm.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"information": value}))


def test_the_size_of_the_most_information_is_advised():
    measured(**{NET: [[1.0, 1.2], [3.0]], f"{NET}_96": [[1.0]], "small": [[1.2, 1.3]]})
    measured(**{f"{NET}_stage4": [[9.0]], "pixels": [[9.0]], "mean": [[9.0]], "mine": [[9.0]]})
    assert advice(CELLS, PARAMS) == [
        "Size: 160 pixels are advised, where the clusters of dcsbm have the most edge information: "
        f"1.000 at 96 ({NET}_96), 1.250 at 160 (small), 1.100 at 224 ({NET}). No label has a part "
        "in it."
    ]


def test_one_size_or_no_run_is_nothing_to_compare():
    assert advice(CELLS, PARAMS) == []
    measured(small=[[1.0]])
    assert advice(CELLS, PARAMS) == []
    measured(**{NET: [[]]})
    path = Cell("d", f"{NET}_96").metric("dcsbm.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"absent": "too few images"}))
    assert advice(CELLS, PARAMS) == []
    measured(**{NET: [[2.0]]})
    assert len(advice(CELLS, PARAMS)) == 1
    assert advice(CELLS, {**PARAMS, "runs": {"dcsbm": []}}) == []
    assert advice(CELLS, {}) == []
