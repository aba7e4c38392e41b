"""Heads learn from no more neighbours than a cluster has images."""

import numpy as np
import pytest
from conftest import PARAMS

from pipeline.fitting.few_images import near_enough


@pytest.mark.parametrize(
    ("images", "k", "left"),
    [(60, 10, 6), (199, 10, 19), (200, 10, 20), (1437, 10, 20), (5994, 200, 20), (7, 7, 1)],
)
def test_settings_stay_what_they_are_from_k_times_neighbors_images_on(
    images: int, k: int, left: int, capsys: pytest.CaptureFixture[str]
):
    wanted = PARAMS["temi"]["neighbors"]
    assert wanted == PARAMS["scan"]["neighbors"] == PARAMS["selflabel"]["neighbors"] == 20
    table = np.arange(images * wanted).reshape(images, wanted)
    found = near_enough("temi", table, [(k, 0), (k, 8)])
    np.testing.assert_array_equal(found[k], table[:, :left])
    assert len(capsys.readouterr().out.splitlines()) == (left < wanted)
