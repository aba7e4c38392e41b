"""Augmented views of a picture: the same ones for ever, different from one another, and in size."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import numpy as np
import pytest
from PIL import Image

import images.augment
from images import digest
from images.augment import NAMES, OPERATIONS, augment
from images.augment.jitter import JITTER, distorted
from images.augment.operations import GREY

operations = {operation.__name__: operation for operation in OPERATIONS}
changes = {change.__name__: change for change in JITTER}


def photo(width: int = 60, height: int = 40, seed: int = 0) -> Image.Image:
    """Smooth shapes with some noise: no two places are alike."""
    x, y = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 4, height))
    waves = np.stack([np.sin(x + seed), np.cos(y), np.sin(x * y)], axis=2) * 90 + 128
    noise = np.random.default_rng(seed).integers(-20, 20, waves.shape)
    return Image.fromarray(np.clip(waves + noise, 0, 255).astype(np.uint8))


def key(number: int) -> bytes:
    return digest(number.to_bytes(4, "big"))


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(np.float64)


class Draws:
    """Stands for a generator that draws what it is told to."""

    def __init__(self, *draws: float) -> None:
        self._draws = list(draws)

    def random(self) -> float:
        return self._draws.pop(0)

    def integers(self, *_: int) -> int:
        return int(self._draws.pop(0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(60, 40), (40, 60), (1, 1), (1, 50), (8, 8), (3, 2), (500, 375)])
def test_a_view_keeps_size_and_mode_and_leaves_the_picture_alone(name: str, size: tuple[int, int]):
    picture = photo(*size)
    before = picture.tobytes()
    for view in range(20):
        found = augment(picture, name, key(view), view)
        assert (found.size, found.mode) == (size, "RGB")
    assert picture.tobytes() == before


@pytest.mark.parametrize("name", NAMES)
def test_digest_and_number_alone_decide_whatever_the_order_and_the_thread(name: str):
    wanted = [(number, view) for number in range(20) for view in range(3)]

    def view_of(at: tuple[int, int]) -> bytes:
        number, view = at
        return augment(photo(seed=number), name, key(number), view).tobytes()

    one_by_one = {at: view_of(at) for at in wanted}
    np.random.seed(1)  # noqa: NPY002  (a global state that must not matter)
    with ThreadPoolExecutor(8) as pool:
        backwards = dict(zip(wanted[::-1], pool.map(view_of, wanted[::-1]), strict=True))
    assert one_by_one == backwards
    assert len(set(one_by_one.values())) == len(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_another_view_and_another_digest_of_the_same_pixels_are_drawn_anew(name: str):
    picture = photo()
    views = {augment(picture, name, key(0), view).tobytes() for view in range(10)}
    others = {augment(picture, name, key(number), 0).tobytes() for number in range(10)}
    assert len(views) == len(others) == 10


def test_strong_views_change_the_colours_and_weak_ones_do_not():
    picture = photo()

    def mean_change(name: str) -> float:
        views = [pixels(augment(picture, name, key(number), 0)) for number in range(100)]
        spread = np.array([view.std() for view in views])
        return float(np.abs(spread - pixels(picture).std()).mean())

    assert mean_change("strong") > 3 * mean_change("weak") > 0


def windows(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Width, height (negative: flipped) and left border of 400 views, as parts of the picture's.

    Of a picture whose colours are its coordinates, the corners say which part it is.
    """
    side = 200
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    map_ = Image.fromarray(np.stack([x, y, 0 * x], axis=2).astype(np.uint8))
    found = np.stack([pixels(augment(map_, name, key(number), 0)) for number in range(400)])
    wide = found[:, 100, -3, 0] - found[:, 100, 2, 0]
    high = found[:, -3, 100, 1] - found[:, 2, 100, 1]
    left = np.minimum(found[:, 100, 2, 0], found[:, 100, -3, 0])
    return wide / (side - 5), high / (side - 5), left / side


def test_a_weak_view_is_a_part_of_the_picture_of_35_to_100_percent():
    wide, high, _ = windows("weak")
    areas, ratios = np.abs(wide) * high, np.abs(wide) / high
    assert 0.33 < min(areas) < 0.4 < 0.95 < max(areas) < 1.03
    assert 0.73 < min(ratios) < 0.8 < 1.25 < max(ratios) < 1.37
    assert 0.4 < np.mean(wide < 0) < 0.6


def test_a_simclr_view_is_a_part_of_20_to_100_percent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images.augment, "distorted", lambda picture, rng: picture)
    wide, high, _ = windows("simclr")
    areas, ratios = np.abs(wide) * high, np.abs(wide) / high
    assert 0.19 < min(areas) < 0.23 < 0.95 < max(areas) < 1.03
    assert 0.72 < min(ratios) < 0.8 < 1.25 < max(ratios) < 1.38
    assert 0.4 < np.mean(wide < 0) < 0.6


def test_a_crop_is_seven_eighths_of_each_side_anywhere_flipped_or_not():
    wide, high, left = windows("crop")
    np.testing.assert_allclose(np.abs(wide), 7 / 8, atol=0.01)
    np.testing.assert_allclose(high, 7 / 8, atol=0.01)
    assert 0.4 < np.mean(wide < 0) < 0.6
    assert min(left) < 0.02 < 0.12 < max(left) < 1 / 8 + 0.02


@pytest.mark.parametrize(
    ("name", "draw", "expected"),
    [
        ("brightness", 1.0, [[140, 28, 70], [255, 168, 0]]),  # 1.4 times, cut at 255
        ("brightness", 0.5, [[100, 20, 50], [200, 120, 0]]),
        ("brightness", 0.0, [[60, 12, 30], [120, 72, 0]]),
        # Greys are .299 r + .587 g + .114 b: 47.3 and 130.2, their mean 89
        ("contrast", 1.0, [[104, 0, 34], [244, 132, 0]]),
        ("contrast", 0.0, [[96, 48, 66], [156, 108, 36]]),
        ("saturation", 1.0, [[121, 9, 51], [228, 116, 0]]),
        ("saturation", 0.0, [[79, 31, 49], [172, 124, 52]]),
        # A twelfth of the circle, half a side of the hexagon: 5.625 to 6.125 and .6 to 1.1 sides
        ("hue", 0.5 + 0.5 / 1.2, [[100, 30, 20], [180, 200, 0]]),
        ("hue", 0.5, [[100, 20, 50], [200, 120, 0]]),
    ],
)
def test_a_change_of_colour_is_its_formula(name: str, draw: float, expected: list[list[int]]):
    """Of two stripes; blends are f x + (1 - f) y for f of .6 to 1.4."""
    picture = Image.fromarray(np.array([[[100, 20, 50], [200, 120, 0]]] * 2, np.uint8))
    found = pixels(changes[name](picture, Draws(draw)))
    np.testing.assert_allclose(found, [expected] * 2, atol=5 if name == "hue" else 1.5)


def test_colours_are_jittered_in_80_percent_in_any_order_and_grey_in_20(
    monkeypatch: pytest.MonkeyPatch,
):
    orders, last = Counter[str](), list[str]()

    def noting(name: str):
        def change(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
            last.append(name)
            return picture

        return change

    monkeypatch.setattr(
        images.augment.jitter, "_ORDERS", tuple(permutations([noting(n) for n in "bcsh"]))
    )
    picture, trials, grey = photo(6, 6), 4000, 0
    for number in range(trials):
        last.clear()
        found = pixels(distorted(picture, np.random.default_rng(number)))
        orders["".join(last)] += 1
        grey += int((found == found[..., :1]).all())
    assert orders.pop("") / trials == pytest.approx(0.2, abs=0.03)
    assert grey / trials == pytest.approx(0.2, abs=0.03)
    assert len(orders) == 24
    assert max(orders.values()) < 1.5 * trials * 0.8 / 24


def test_leaving_the_colours_of_a_grey_picture_alone_changes_no_pixel():
    shades = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = Image.fromarray(shades).convert("RGB")
    for name in ("saturation", "hue"):
        for draw in (0.0, 0.3, 1.0):
            assert changes[name](picture, Draws(draw)).tobytes() == picture.tobytes()
    assert picture.convert("L").tobytes() == shades.tobytes()


def test_a_picture_with_one_coloured_pixel_is_not_grey():
    picture = Image.new("RGB", (9, 9), (90, 90, 90))
    picture.putpixel((0, 0), (200, 40, 40))
    found = [distorted(picture, np.random.default_rng(n)).getpixel((0, 0)) for n in range(30)]
    assert sum(g != b for _, g, b in found) > 15  # its hue was turned


def test_a_strong_view_draws_four_operations_each_about_equally_often(
    monkeypatch: pytest.MonkeyPatch,
):
    counts: Counter[int] = Counter()

    def counting(number: int):
        def operation(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
            counts[number] += 1
            return picture

        return operation

    monkeypatch.setattr(images.augment, "OPERATIONS", tuple(map(counting, range(14))))
    assert len(OPERATIONS) == len(set(OPERATIONS)) == 14
    picture, trials = photo(8, 8), 2000
    for number in range(trials):
        augment(picture, "strong", key(number), 0)
    assert counts.total() == 4 * trials
    share = np.array([counts[number] for number in range(14)]) / counts.total()
    assert np.abs(share * 14 - 1).max() < 0.15  # 3.7 standard deviations


def test_a_strong_view_has_one_grey_hole_of_a_third_of_the_side_at_most(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(images.augment, "OPERATIONS", (operations["identity"],))
    white = Image.new("RGB", (90, 60), "white")
    sides, touched = [], np.zeros((60, 90), bool)
    for number in range(600):
        hole = (pixels(augment(white, "strong", key(number), 0)) == GREY).all(axis=2)
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        assert hole.sum() == len(rows) * len(columns) > 0
        assert (pixels(augment(white, "strong", key(number), 0))[~hole] == 255).all()
        sides.append(max(len(rows), len(columns)))
        touched |= hole
    assert (min(sides), max(sides)) == (1, 20)
    assert touched.all()


@pytest.mark.parametrize(
    ("name", "draws", "expected"),
    [
        ("identity", (), [10, 100, 200, 250]),
        ("autocontrast", (), [0, 96, 202, 255]),  # 255 / 240 times the distance from 10
        ("solarize", (128,), [10, 100, 55, 5]),
        ("solarize", (256,), [10, 100, 200, 250]),
        ("posterize", (4,), [0, 96, 192, 240]),
        ("posterize", (8,), [10, 100, 200, 250]),
        ("brightness", (0.5,), [5, 50, 100, 125]),  # .05 and half of .9
        ("contrast", (0.5,), [75, 120, 170, 195]),  # half of 140, the mean
        ("color", (0.5,), [10, 100, 200, 250]),  # a grey picture has no colour to lose
        ("translate_x", (1.0,), [100, 200, 250, 128]),
        ("translate_x", (0.0,), [128, 10, 100, 200]),
        ("translate_y", (0.5,), [10, 100, 200, 250]),
        ("shear_x", (0.5,), [10, 100, 200, 250]),
        ("shear_y", (0.5,), [10, 100, 200, 250]),
        ("rotate", (0.5,), [10, 100, 200, 250]),
    ],
)
def test_an_operation_does_what_its_name_says(name: str, draws: tuple, expected: list[int]):
    """On four grey stripes, ten pixels wide, moved by ten where they are moved."""
    stripes = np.repeat(np.array([10, 100, 200, 250], np.uint8), 25)
    picture = Image.fromarray(np.repeat(np.tile(stripes, (40, 1))[..., None], 3, axis=2))
    found = pixels(operations[name](picture, Draws(*draws)))
    middles = [12, 37, 62, 87]
    if name.startswith("translate_x"):  # by a tenth of 100: only the ends of the stripes show it
        middles = [20, 45, 70, 95] if draws == (1.0,) else [5, 30, 55, 80]
    np.testing.assert_allclose(found[20, middles].mean(axis=1), expected, atol=1)


def test_each_operation_but_identity_changes_the_picture_and_no_two_do_the_same():
    made = {op.__name__: op(photo(), np.random.default_rng(3)).tobytes() for op in OPERATIONS}
    assert made["identity"] == photo().tobytes()
    made["posterize"] = operations["posterize"](photo(), Draws(4)).tobytes()
    assert len(set(made.values())) == 14


@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y"])
def test_turning_and_shearing_keep_the_middle_where_it_is(name: str):
    picture = Image.new("RGB", (61, 41), "black")
    picture.paste((255, 255, 255), (28, 18, 33, 23))
    for draw in (0.0, 0.3, 1.0):
        light = pixels(operations[name](picture, Draws(draw)))[..., 0]
        light[light == 128] = 0  # the corners
        y, x = np.mgrid[:41, :61]
        centre = [(light * x).sum() / light.sum(), (light * y).sum() / light.sum()]
        np.testing.assert_allclose(centre, [30, 20], atol=0.6)


@pytest.mark.parametrize(
    ("name", "view", "mean", "one"),
    [
        ("weak", 3, [124.3475, 107.9275, 134.215], [160, 160, 119]),
        ("strong", 3, [10.2675, 10.095, 10.245], [7, 8, 7]),
        ("simclr", 4, [126.8325, 110.885, 139.59], [66, 180, 41]),
        ("crop", 3, [130.555, 102.235, 140.44], [192, 159, 146]),
    ],
)
def test_views_are_those_of_this_revision(name: str, view: int, mean: list[float], one: list[int]):
    """When this fails, new views differ from stored ones: raise images.augment.REVISION."""
    found = pixels(augment(photo(20, 20), name, bytes(range(16)), view))
    assert images.augment.REVISION == 1
    np.testing.assert_allclose(found.mean(axis=(0, 1)), mean, atol=0.1)
    np.testing.assert_allclose(found[5, 7], one, atol=1)
