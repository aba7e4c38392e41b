"""The rows of zoo.yaml, and the digest that says which features are whose."""

import re
from dataclasses import asdict, replace

import pytest
import yaml

from backbones import BackboneError, Input, names, row
from backbones.row import _NoDuplicates, read_row


@pytest.mark.parametrize("name", names())
def test_every_row_is_filled_in_right(name: str) -> None:
    found = row(name)
    assert re.fullmatch("[a-z0-9_]+", name)
    assert found.confirmed or found.note, "what is not confirmed says why"
    assert found.input.fit == "squash" or found.input.resize >= found.input.size


def test_no_two_addresses_share_a_file_name() -> None:
    places: dict[str, str] = {}
    for found in map(row, names()):
        if found.weights.startswith("https:") and found.loader != "tfhub":
            file = found.weights.partition("?")[0].rpartition("/")[2]
            assert places.setdefault(file, found.weights) == found.weights


def test_an_unknown_name_suggests_the_closest_ones() -> None:
    with pytest.raises(
        BackboneError, match=r"no backbone called 'efficientnet_lit0'; did you mean"
    ):
        row("efficientnet_lit0")


def test_a_name_like_no_other_says_how_to_list_them() -> None:
    with pytest.raises(BackboneError, match="python -m backbones lists them"):
        row("zzzzzzzzzzzz")


def test_a_row_written_twice_is_refused() -> None:
    with pytest.raises(BackboneError, match="b written twice"):
        yaml.load("a: 1\nb: {c: 1}\nb: {c: 2}\n", Loader=_NoDuplicates)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": "many"}, "dim: Input should be a valid integer"),
        ({"colour": "red"}, "colour: Unexpected keyword argument"),
        ({"sha256": "xyz"}, "sha256: String should match"),
    ],
)
def test_a_row_filled_in_wrong_is_refused_by_its_name(change: dict[str, str], message: str) -> None:
    facts = asdict(row("pixels")) | change
    with pytest.raises(BackboneError, match=f"zoo.yaml: mine: {message}.*; mend the row"):
        read_row("mine", facts)


def test_a_name_that_dvc_could_not_take_is_refused() -> None:
    with pytest.raises(BackboneError, match="'my-backbone' should be written in a-z, 0-9 and _"):
        read_row("my-backbone", asdict(row("pixels")))


DECIDES = {
    "loader": "timm",
    "model": "other",
    "options": {"img_size": 64},
    "weights": "https://example.org/other.pth",
    "sha256": "0" * 64,
    "dim": 7,
    "input": Input(64, 64, "squash", "bilinear", (0, 0, 0), (1, 1, 1)),
    "output": "cls",
    "revision": 3,
    "sizes": (96, 224),
}
TELLS = {
    "name": "other",
    "method": "other",
    "data": "other",
    "paper": "other",
    "licence": "other",
    "source": "other",
    "confirmed": False,
    "note": "other",
}


def test_the_digest_depends_on_what_decides_the_features_and_on_nothing_else() -> None:
    found = row("efficientnet_lite0")
    assert set(DECIDES) | set(TELLS) == set(found.__dataclass_fields__)
    for field, value in DECIDES.items():
        assert replace(found, **{field: value}).digest != found.digest, field
    for field, value in TELLS.items():
        assert replace(found, **{field: value}).digest == found.digest, field


def test_the_digest_is_the_same_on_every_machine_and_day() -> None:
    assert row("pixels").digest == "0155341502f18683877e9fe6fc6e20bb"
