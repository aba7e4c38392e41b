"""Charts of the page: legible at any width, one legend, words for what is no curve."""

import re

import numpy as np
import pytest
from conftest import ROOT

from pages.report.charts.bins import binned
from pages.report.charts.chart import Curve, Panel, histogram, lines, sizes
from pages.report.charts.svg import COLOURS, DASHES, MARKERS, WIDTH, Scale, axes, number

CSS = (ROOT / "pages/report/page.css").read_text()
NAN = np.full(3, np.nan)


def curve(label: str = "pixels", y: tuple[float, ...] = (1, 2, 3), **more) -> Curve:
    x = np.arange(1, len(y) + 1)
    return Curve(label, 0, 0, x, np.array(y, float), np.full(len(y), np.nan), **more)


def test_letters_have_at_least_11_pixels_as_no_panel_is_narrower_than_its_drawing():
    (narrowest,) = re.findall(r"\.panels \{.*minmax\(min\(100%, (\d+)px\), 1fr\)", CSS)
    (letters,) = re.findall(r"\.panel svg \{.*font-size: ([\d.]+)px", CSS)
    assert int(narrowest) == WIDTH
    phone, padding = 400, 2 * 16 + 17  # of the page, and a scroll bar
    assert float(letters) * min(1, (phone - padding) / WIDTH) >= 11


def test_a_scale_leads_from_values_to_pixels():
    assert Scale(0, 10, 100, 200)(np.array([0, 5, 10])).tolist() == [100, 150, 200]
    np.testing.assert_allclose(Scale(1, 100, 0, 20, log=True)(np.array([1, 10, 100])), [0, 10, 20])


def test_ticks_leave_room_for_their_texts_and_lie_in_the_limits():
    on = axes((1, 1000), (0, 1), range(1, 2000), log=True)
    at = [float(on.x(tick)) for tick in on.x_ticks]
    assert on.x_ticks[0] == 1
    assert max(on.x_ticks) <= 1000
    assert np.diff(at).min() > 12


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1 + 0.2, "0.3"), (-0.05, "−0.05"), (50.0, "50"), (1234567.0, "1.23457e+06")],
)
def test_numbers_are_as_short_as_they_can_be(value, text):
    assert number(value) == text


def test_a_legend_names_each_line_once_whatever_the_panels():
    edges = curve("edges")._replace(colour=1)
    drawn = lines([Panel("a", [curve(), edges]), Panel("b", [edges])], "epoch", log=False)
    assert [key.label for key in drawn.keys] == ["pixels", "edges"]
    assert ["var(--s0)" in key.svg for key in drawn.keys] == [True, False]
    assert [plot.title for plot in drawn.plots] == ["a", "b"]
    assert drawn.words == ""


def test_lines_of_one_colour_differ_in_their_marks():
    looks = {(tone % COLOURS, (tone + tone // COLOURS) % len(MARKERS)) for tone in range(40)}
    assert len(looks) == 40
    assert len(set(DASHES)) == 3


def test_a_line_of_one_point_is_words_and_one_without_a_value_nothing():
    lone, gone = curve("edges", (2.5, np.nan, np.nan)), curve("gone")._replace(y=NAN)
    drawn = lines([Panel("ACC", [curve(), lone, gone])], "number of clusters k", log=True)
    assert [key.label for key in drawn.keys] == ["pixels"]
    assert drawn.words == "One point is no curve. ACC at number of clusters k 1: edges 2.5."
    only = lines([Panel("ACC", [lone])], "k", log=True)
    assert (only.plots, only.keys) == ([], [])
    assert lines([Panel("ACC", [gone])], "k", log=True) == ([], [], "")


def test_equal_values_are_a_level_line_inside_the_panel():
    ((_, svg),) = lines([Panel("", [curve(y=(0, 0, 0))])], "k", log=False).plots
    assert "nan" not in svg
    assert "inf" not in svg


def test_a_named_point_says_its_x_and_what_is_chosen_lies_in_the_panel():
    panel = Panel("", [curve(pick=2)], chosen=9)
    ((_, svg),) = lines([panel], "k", log=True).plots
    assert 'class="ink">2</text>' in svg
    (upright,) = re.findall(r'd="M([\d.]+) [\d.]+V', svg)
    assert float(upright) <= WIDTH


@pytest.mark.parametrize("k", [2, 100, 101, 5000])
def test_sizes_of_any_number_of_clusters_are_one_small_panel(k):
    ((_, svg),) = sizes(np.arange(1, k + 1), 0).plots
    assert f"equal clusters: {(k + 1) / 2:.{0 if k > 18 else 1}f}" in svg
    assert len(svg) < 12_000


def test_one_cluster_is_words():
    assert sizes(np.array([1234]), 0) == ([], [], "All 1,234 images lie in one cluster.")


def test_a_histogram_has_a_key_a_series():
    values = np.linspace(0, 1, 50)
    drawn = histogram(binned({"nearest": values, "all 5": values / 2}), "cosine", 7)
    assert [key.label for key in drawn.keys] == ["nearest", "all 5"]
    assert ["var(--s7)" in drawn.keys[0].svg, "var(--s0)" in drawn.keys[1].svg] == [True, True]
    assert len(drawn.plots) == 1
