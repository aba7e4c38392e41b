"""Networks of a repository with a hubconf.py, at one commit: small ones, written here in the forms
of Franca, RADIO and CAPI. No test here needs a network, nor their code."""

import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch

import backbones.cpu_torchvision  # noqa: F401  before timm
from backbones import Backbone, BackboneError, from_torch_hub, load, names, row, weights
from backbones.from_torch_hub import code_of, fetch_code, place_of_code

ROWS = [row(name) for name in names() if row(name).loader == "torch_hub"]
FRANCA = """
from franca.hub import franca_vitb14
"""
FRANCA_HUB = """
import torch
from torch import nn

class Vit(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.proj, self.size = nn.Linear(3, 8), size
    def forward(self, x):
        return self.proj(x.mean((2, 3)))

def franca_vitb14(*, pretrained=True, weights="IN21K", local_state_dict=None, **kwargs):
    assert weights == "IN21K_224" and pretrained and not kwargs
    model = Vit(224)
    state = torch.load(local_state_dict, weights_only=True)["teacher"]
    model.load_state_dict({k.replace("backbone.", ""): v for k, v in state.items()})
    return model
"""
RADIO = """
dependencies = ["torch", "timm"]
import os
from typing import NamedTuple
import torch
from model import Conditioner

class Output(NamedTuple):
    summary: torch.Tensor
    features: torch.Tensor

class Radio(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.input_conditioner, self.model = Conditioner(), torch.nn.Linear(3, 8)
    def forward(self, x):
        y = self.input_conditioner(x)
        return Output(self.model(y.mean((2, 3))), y)

def radio_model(version="", **kwargs):
    assert os.path.isfile(version)
    found = torch.load(version, weights_only=False)
    radio = Radio()
    radio.model.load_state_dict(found["state_dict"])
    radio.model.to(found["args"].dtype)
    radio.input_conditioner.dtype = found["args"].dtype
    return radio
"""
CONDITIONER = """
import torch

class Conditioner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.dtype = torch.float32
    def forward(self, x):
        return ((x - 0.5) / 0.25).to(self.dtype)
"""
CAPI = """
from model import __model_loader__

def capi_vitl14_lvd():
    raise AssertionError("it would fetch the file")
"""
CAPI_MODEL = """
import torch
from utils import double

class Encoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = torch.nn.Linear(3, 8)
    def forward(self, x):
        found = double(self.proj(x.mean((2, 3))))
        return found, found[:, None], found[:, None, None]

def __model_loader__(config_path=None, pretrained_weights=None, config_override={}, device="cuda"):
    model = Encoder().to(device)
    model.load_state_dict(torch.load(pretrained_weights, weights_only=True))
    return model
"""


@pytest.fixture(autouse=True)
def _own_lock_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "LOCK", tmp_path / "zoo.lock")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.manual_seed(0)


def small(name: str, path: Path, **changes: Any) -> Backbone:
    """A row of the zoo with a file of 8 dims for pictures of 4 x 4."""
    found = row(name)
    given = replace(found.input, size=4, resize=4)
    return replace(found, weights=str(path), sha256=None, dim=8, input=given, **changes)


def code(found: Backbone, **files: str) -> Path:
    """The code of a row where torch.hub would keep it; `a__b`: the file a/b.py."""
    folder = place_of_code(code_of(found))
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def expected(linear: torch.nn.Linear, pictures: np.ndarray, found: Backbone) -> np.ndarray:
    mean, std = (np.array(values) for values in (found.input.mean, found.input.std))
    pixels = ((pictures / 255 - mean) / std).mean(axis=(1, 2))
    return pixels @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()


PICTURES = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)


def test_a_repository_in_the_form_of_franca(tmp_path: Path) -> None:
    linear = torch.nn.Linear(3, 8)
    state = {f"backbone.proj.{n}": t for n, t in linear.state_dict().items()}
    torch.save({"teacher": state}, tmp_path / "franca.pth")
    found = small("franca_vitb14", tmp_path / "franca.pth")
    code(found, hubconf=FRANCA, franca____init__="", franca__hub=FRANCA_HUB)
    features = from_torch_hub.load(found, "cpu")(PICTURES)
    np.testing.assert_allclose(features, expected(linear, PICTURES, found), rtol=1e-4, atol=1e-5)


def test_a_repository_in_the_form_of_radio_in_half_precision(tmp_path: Path) -> None:
    """It casts its input to the type of its weights, which are single here."""
    import argparse

    linear = torch.nn.Linear(3, 8).half()
    file = {"state_dict": linear.state_dict(), "args": argparse.Namespace(dtype=torch.float16)}
    torch.save(file, tmp_path / "radio.pth.tar")
    found = small("c_radio_v4_h", tmp_path / "radio.pth.tar")
    code(found, hubconf=RADIO, model=CONDITIONER)
    features = from_torch_hub.load(found, "cpu")(PICTURES)
    pixels = (PICTURES / 255 - 0.5) / 0.25
    wanted = pixels.mean(axis=(1, 2)) @ linear.float().weight.detach().numpy().T
    wanted += linear.bias.detach().numpy()
    np.testing.assert_allclose(features, wanted, rtol=1e-4, atol=1e-5)


def test_a_repository_in_the_form_of_capi_beside_another_of_the_same_names(tmp_path: Path) -> None:
    """Both call a module `model`; and what we call `utils` is still ours afterwards."""
    import types

    sys.modules["utils"] = ours = types.ModuleType("utils")
    try:
        test_a_repository_in_the_form_of_radio_in_half_precision(tmp_path)
        linear = torch.nn.Linear(3, 8)
        state = {f"proj.{n}": t for n, t in linear.state_dict().items()}
        torch.save(state, tmp_path / "capi.pth")
        found = small("capi_vitl14_lvd", tmp_path / "capi.pth")
        double = "def double(x):\n    return 2 * x\n"
        folder = code(found, hubconf=CAPI, model=CAPI_MODEL, utils=double)
        features = from_torch_hub.load(found, "cpu")(PICTURES)
        wanted = 2 * expected(linear, PICTURES, found)
        np.testing.assert_allclose(features, wanted, rtol=1e-4, atol=1e-5)
        assert sys.modules["utils"] is ours
        assert "model" not in sys.modules
        assert not list(folder.rglob("__pycache__"))
    finally:
        del sys.modules["utils"]


@pytest.mark.parametrize("found", ROWS, ids=lambda it: it.name)
def test_every_row_is_held_to_a_commit(found: Backbone) -> None:
    said = code_of(found)
    assert place_of_code(said).name == f"{said.repository.replace('/', '_')}_{said.commit}"
    assert found.output in ("whole", "first")
    assert found.sha256 or "no sha256 is stated" in found.note.lower()


def test_code_that_changed_since_it_was_first_used_is_refused(tmp_path: Path) -> None:
    found = row("capi_vitl14_lvd")
    folder = code(found, hubconf=CAPI, model=CAPI_MODEL)
    assert fetch_code(found, code_of(found)) == folder
    assert list(weights.read_lock()) == ["facebookresearch/capi@3493b571be54"]
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/model.pyc").write_bytes(b"compiled")
    assert fetch_code(found, code_of(found)) == folder, "what Python compiles is no change"
    (folder / "model.py").write_text(CAPI_MODEL + "# more\n")
    with pytest.raises(BackboneError, match=r"the code in .* is not that of .*delete the folder"):
        fetch_code(found, code_of(found))


def test_code_is_held_to_the_digest_of_the_row() -> None:
    found = row("capi_vitl14_lvd")
    code(found, hubconf=CAPI)
    wrong = replace(found, options={**found.options, "code_sha256": "0" * 64})
    with pytest.raises(BackboneError, match=r"is not that of zoo.yaml or zoo.lock"):
        fetch_code(wrong, code_of(wrong))
    assert weights.read_lock() == {}


def archive(path: Path, **files: str) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("capi-3493b571/", "")
        for name, text in files.items():
            file.writestr(f"capi-3493b571/{name.replace('__', '/')}.py", text)


def test_code_that_is_not_here_is_fetched_at_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, found = [], row("capi_vitl14_lvd")

    def download(address: str, path: Path) -> None:
        asked.append(address)
        archive(path, hubconf=CAPI, inside__model=CAPI_MODEL)

    monkeypatch.setattr(from_torch_hub, "download", download)
    folder = fetch_code(found, code_of(found))
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.py")) == [
        "hubconf.py", "inside/model.py",
    ]  # fmt: skip
    commit = code_of(found).commit
    assert asked == [f"https://github.com/facebookresearch/capi/archive/{commit}.zip"]
    assert [p.name for p in folder.parent.iterdir()] == [folder.name], "no scraps"
    fetch_code(found, code_of(found))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "no network"),
        ({"model": ""}, "it has no hubconf.py"),
        ({"../../evil": ""}, "would be written outside the folder"),
    ],
)
def test_code_that_cannot_be_had_is_one_line(
    files: dict[str, str] | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(address: str, path: Path) -> None:
        if files is None:
            raise requests.ConnectionError("no network")
        archive(path, **files)

    monkeypatch.setattr(from_torch_hub, "download", download)
    found = row("capi_vitl14_lvd")
    with pytest.raises(BackboneError, match=rf"did not come from .*{message}.*go onl") as error:
        fetch_code(found, code_of(found))
    assert "\n" not in str(error.value)
    assert not place_of_code(code_of(found)).exists()


@pytest.mark.parametrize(
    "text", ["import a_package_nobody_has\n", 'dependencies = ["a_package_nobody_has"]\n']
)
def test_a_package_that_the_code_needs_is_named(text: str, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "file.pth")
    found = small("c_radio_v4_h", tmp_path / "file.pth")
    code(found, hubconf=text + RADIO.partition("\n")[2].partition("\n")[2], model=CONDITIONER)
    with pytest.raises(
        BackboneError, match=r"code of NVlabs/RADIO needs: pip install a_package_nobody_has$"
    ):
        from_torch_hub.load(found, "cpu")


def test_a_file_of_another_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"teacher": {"other": torch.zeros(2)}}, tmp_path / "franca.pth")
    found = small("franca_vitb14", tmp_path / "franca.pth")
    code(found, hubconf=FRANCA, franca____init__="", franca__hub=FRANCA_HUB)
    monkeypatch.setattr("backbones.row", lambda _: found)
    with pytest.raises(BackboneError, match=r"does not load \(RuntimeError: Error.* loading state"):
        load("franca_vitb14")


def test_an_option_or_output_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    found = row("franca_vitb14")
    for wrong in ({"commit": "main"}, {"branch": "main"}):
        with pytest.raises(BackboneError, match=r"franca_vitb14: options\.\w+: .*; known: repos"):
            code_of(replace(found, options={**found.options, **wrong}))
    with pytest.raises(BackboneError, match="no output 'cls'; expected whole or first"):
        from_torch_hub.build(replace(found, output="cls"), tmp_path / "x")
