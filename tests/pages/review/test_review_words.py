"""Search by words: the text tower's vector against those of the pictures, by a small CLIP."""

from pathlib import Path
from typing import Any

import adapting
import numpy as np
import pytest
from conftest import runtime
from reviewed import N, write_project
from starlette.testclient import TestClient

from backbones import row, text
from pages.review.asked import choose
from pages.review.server.app import make_app
from pages.review.server.events import Events
from pages.review.server.served import Served
from pages.review.state import State
from tests import tiny_clip

pytest.importorskip("open_clip")
BASE = "http://127.0.0.1:4321"


def test_words_find_the_pictures_whose_vectors_are_nearest_to_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    adapting.own_zoo(monkeypatch, tiny_clip=tiny_clip.facts(tmp_path))
    write_project(tmp_path, "tiny_clip")
    served = Served(State(choose("birds", None, None)), runtime(workers=1))
    client = TestClient(make_app(served, Events(), "t", "127.0.0.1", 4321), base_url=BASE)

    def get(path: str, status: int = 200) -> Any:
        answer = client.get(f"/t/{path}")
        assert answer.status_code == status, answer.text
        return answer.json()

    assert get("api/about")["has"]["text"]
    found = get(f"api/search?text=a  red bird&n={N}")
    words = text.load(row("tiny_clip"), "cpu").encode(text.prompts(["a red bird"]))[0]
    x = np.array(served.state.collection.found.take(np.arange(N)), np.float64)
    cosine = x @ words / np.linalg.norm(x, axis=1) / np.linalg.norm(words)
    assert sorted(found["rows"]) == list(range(N))
    assert found["similarity"] == pytest.approx(cosine[found["rows"]], abs=1e-3)
    assert found["similarity"] == sorted(found["similarity"], reverse=True)
    assert len(get("api/search?text=bird&n=5")["rows"]) == 5
    assert "write what to look for" in get("api/search?text=%20", 400)["error"]
    assert "at most 500" in get(f"api/search?text={'x' * 501}", 400)["error"]
    served.thumbnails.stop()
