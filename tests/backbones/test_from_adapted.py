"""The folder of an adapted backbone: written whole, read like a row of the zoo, or refused."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import backbones.cpu_torchvision  # noqa: F401  before timm
from backbones import Backbone, BackboneError, adapted, from_adapted, load, row, weights
from backbones.__main__ import sheet
from backbones.blocks import build, cut

BASE = row("resnet18_small_narrow")


@pytest.fixture(autouse=True)
def _own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "LOCK", tmp_path / "zoo.lock")


def learned(seed: int = 1) -> torch.nn.Module:
    """The base network with other weights than it is built with."""
    network, generator = build(BASE), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for it in network.parameters():
            it.add_(0.1 * torch.randn(it.shape, generator=generator))
    return network


def save(
    folder: Path, network: torch.nn.Module, base: Backbone = BASE, **options: object
) -> Backbone:
    return adapted.save(
        folder,
        base,
        network,
        form="plain",
        output="avg",
        dim=128,
        method="SimCLR",
        data="fashion, no labels",
        extra=options,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "run", learned())
    return tmp_path / "run"


def rewrite(folder: Path, change: Callable[[dict], object]) -> None:
    facts = yaml.safe_load((folder / "row.yaml").read_text())
    change(facts)
    (folder / "row.yaml").write_text(yaml.safe_dump(facts))


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(BackboneError) as caught:
        ask()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_loaded_like_a_row_of_the_zoo(folder: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 3), np.uint8)
    found = load(str(folder))(images)
    network = learned().eval()
    with torch.inference_mode():
        normalised = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
        expected = network(normalised).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert np.abs(load(BASE.name)(images) - expected).max() > 0.1, "not the untrained network"


def test_its_row_has_the_facts_of_the_base_but_for_what_is_new(folder: Path) -> None:
    found = row(folder)
    assert found == row(f"{folder}/")
    assert (found.name, found.loader, found.method) == ("run", "adapted", "SimCLR")
    assert found.data == "fashion, no labels"
    assert (found.input, found.licence, found.paper) == (BASE.input, BASE.licence, BASE.paper)
    assert found.sha256 == weights.sha256_of(folder / "model.safetensors")
    assert found.options["base"]["name"] == BASE.name
    assert str(folder) not in (folder / "row.yaml").read_text()


def test_a_path_without_a_slash_is_taken_where_it_has_a_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert row("run").digest == row(folder).digest
    monkeypatch.chdir(folder)
    assert row("./").name == "run"
    with pytest.raises(BackboneError, match="no backbone called 'run'; python -m backbones"):
        row("run")


def test_a_moved_and_renamed_folder_keeps_its_digest(folder: Path, tmp_path: Path) -> None:
    before = row(folder).digest
    shutil.move(folder, tmp_path / "elsewhere")
    found = row(tmp_path / "elsewhere")
    assert (found.name, found.digest) == ("elsewhere", before)
    load(str(tmp_path / "elsewhere"))


def test_the_digest_follows_from_the_weights_and_the_options(tmp_path: Path) -> None:
    found = save(tmp_path / "a", learned())
    assert save(tmp_path / "b", learned()).digest == found.digest
    assert save(tmp_path / "c", learned(2)).digest != found.digest
    assert save(tmp_path / "d", learned(), words=7).digest != found.digest
    assert save(tmp_path / "p", learned(), replace(BASE, paper="another")).digest == found.digest
    other = replace(BASE, input=replace(BASE.input, resize=32))
    assert save(tmp_path / "e", learned(), other).digest != found.digest


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    save(tmp_path / "a", learned())
    save(tmp_path / "b", learned())
    for name in ("row.yaml", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert len(list((tmp_path / "a").iterdir())) == 2


def test_a_kill_before_the_end_leaves_no_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dump(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(yaml, "safe_dump", dump)
    with pytest.raises(KeyboardInterrupt):
        save(folder, learned(2))
    assert [it.name for it in folder.iterdir()] == ["model.safetensors"]
    assert "has no row.yaml; stage adapt makes it" in refusal(lambda: row(folder))


def test_an_adapted_backbone_may_be_adapted_again(folder: Path, tmp_path: Path) -> None:
    network = build(row(folder))
    _, tail = cut(row(folder), network, 1)
    with torch.no_grad():
        for it in tail.parameters():
            it.add_(0.1)
    here = save(tmp_path / "again", network, row(folder)).digest
    shutil.move(folder, tmp_path / "elsewhere")
    assert save(tmp_path / "again", network, row(tmp_path / "elsewhere")).digest == here
    shutil.rmtree(tmp_path / "elsewhere")
    state = build(row(tmp_path / "again")).state_dict()
    assert all(torch.equal(it, state[name]) for name, it in network.state_dict().items())


def test_a_form_makes_of_the_base_what_it_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    from types import SimpleNamespace

    def made(found: Backbone, base: torch.nn.Module) -> torch.nn.Module:
        assert found.options["form"] == "tes"
        return torch.nn.Sequential(base, torch.nn.Linear(128, 3))

    monkeypatch.setitem(sys.modules, "backbones.tes", SimpleNamespace(build=made))
    network = torch.nn.Sequential(learned(), torch.nn.Linear(128, 3))
    found = adapted.save(
        folder,
        BASE,
        network,
        form="tes",
        output="text",
        dim=3,
        method="TES",
        data="fashion",
        extra={"n_words": 7},
    )
    assert (found.output, found.dim, found.options["n_words"]) == ("text", 3, 7)
    assert torch.equal(build(found)[1].weight, network[1].weight)


def test_another_file_is_refused_and_zoo_lock_never_asked(folder: Path) -> None:
    weights.LOCK.write_text(f"run: {'0' * 64}\n")
    before = weights.LOCK.read_bytes()
    load(str(folder))
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    said = refusal(lambda: load(str(folder)))
    assert "run: " in said
    assert f"its row.yaml says {row(folder).sha256}; it is cut off" in said
    file.unlink()
    assert f"run: no file {file}; run adapt again" in refusal(lambda: load(str(folder)))
    assert weights.LOCK.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.update(colour="red"), "run: colour: Unexpected keyword argument"),
        (lambda facts: facts.update(name="me"), "name: the folder's name is the backbone's"),
        (lambda facts: facts.pop("dim"), "run: dim: Field required"),
        (lambda facts: facts.update(loader="timm"), "loader is 'timm', expected adapted"),
        (lambda facts: facts.update(sha256="0" * 8), "sha256 should have 64 digits"),
        (lambda facts: facts.update(weights="../a"), "weights is '../a', expected the name"),
        (lambda facts: facts["options"].pop("base"), "options.base is no row; adapt it anew"),
        (lambda facts: facts["options"].pop("form"), "options.form is missing; adapt it anew"),
        (lambda facts: facts["options"]["base"].pop("loader"), "loader: Field required"),
    ],
)
def test_a_row_filled_in_wrong_is_refused(
    folder: Path, change: Callable[[dict], object], message: str
) -> None:
    rewrite(folder, change)
    said = refusal(lambda: row(folder))
    assert said.startswith(f"{folder}/row.yaml: ")
    assert message in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"dim: 3\ndim: 4\n", "dim written twice; keep one"),
        (b"dim: [3\n", "cannot be read (while parsing a flow sequence"),
        (b"\xff\xfe\xff", "cannot be read ("),
        (b"", "run: "),
        (b"- dim\n", "holds a list, expected names and values"),
    ],
)
def test_a_damaged_row_is_refused(folder: Path, text: bytes, message: str) -> None:
    (folder / "row.yaml").write_bytes(text)
    said = refusal(lambda: row(folder))
    assert said.startswith(f"{folder}/row.yaml: ")
    assert message in said


def test_a_folder_that_is_not_there_or_has_a_strange_name_is_refused(folder: Path) -> None:
    gone = folder.parent / "gone"
    assert f"folder {gone} is not there; stage adapt makes it" in refusal(lambda: row(gone))
    strange = folder.rename(folder.parent / "My run")
    assert "'My run' should be written in a-z, 0-9 and _ only" in refusal(lambda: row(strange))
    network = torch.nn.Linear(1, 1)
    assert "its name should be written in" in refusal(lambda: save(strange, network))


def test_a_form_nobody_knows_is_refused(folder: Path) -> None:
    rewrite(folder, lambda facts: facts["options"].update(form="plane"))
    said = refusal(lambda: load(str(folder)))
    assert said == "run: no form 'plane'; expected plain, tes, get"


def test_weights_of_another_network_are_refused_by_their_names(folder: Path) -> None:
    file = folder / "model.safetensors"
    state = load_file(file)
    state["head.weight"] = state.pop("conv1.weight")
    state["bn1.bias"] = torch.zeros(3)
    save_file(state, file)
    rewrite(folder, lambda facts: facts.update(sha256=weights.sha256_of(file)))
    said = refusal(lambda: load(str(folder)))
    assert "run: the file is without conv1.weight, with unknown head.weight" in said
    assert "with wrong bn1.bias [3] not [16]; its row.yaml is of another network" in said
    file.write_bytes(b"<html>")
    rewrite(folder, lambda facts: facts.update(sha256=weights.sha256_of(file)))
    assert "is no safetensors file (SafetensorError" in refusal(
        lambda: from_adapted.build(row(folder), file)
    )


def test_tensors_that_share_memory_are_written_too(tmp_path: Path) -> None:
    network = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    network[1].weight = network[0].weight
    save(tmp_path / "tied", network)
    assert set(load_file(tmp_path / "tied" / "model.safetensors")) == set(network.state_dict())


def test_its_sheet_names_the_base_and_the_file(folder: Path) -> None:
    shown = sheet(row(folder))
    assert f"{folder}/model.safetensors (here)" in shown
    assert f"'base': '{BASE.name}'" in shown
