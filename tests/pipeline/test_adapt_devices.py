"""The training loop of a backbone on every device: losses are those of a CPU, and it resumes."""

import shutil
from pathlib import Path

import adapting
import numpy as np
import pytest
from adapting import FROZEN, told, train, weights, written
from blobs import DEVICES
from learning import RUNTIME, run_with_stops

_quiet = pytest.fixture(autouse=True)(adapting.quiet)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapting.write_collection(tmp_path_factory.mktemp("made"))


@pytest.fixture(autouse=True)
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return adapting.go_to_copy(made, tmp_path, monkeypatch)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("objective", "how"), [("simgcd", "recompute"), ("simclr", "cached"), ("gcd", "recompute")]
)
def test_losses_are_those_of_a_cpu(objective: str, how: str, device: str):
    there = RUNTIME.model_copy(update={"device": device})
    changes = {"frozen_features": how, "lr": 1e-3}
    out = train(objective, "there", runtime=there, **changes)
    shutil.rmtree(FROZEN, ignore_errors=True)
    train(objective, "here", **changes)
    for ours, theirs in zip(told("there"), told("here"), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-12 if device == "cpu" else 0.05)
    assert all(np.isfinite(each.numpy()).all() for each in weights(out).values())
    assert {str(each.dtype) for each in weights(out).values()} <= {"torch.float32", "torch.int64"}


@pytest.mark.parametrize("device", DEVICES)
def test_a_stopped_run_ends_as_one_that_was_not(device: str, monkeypatch: pytest.MonkeyPatch):
    there = RUNTIME.model_copy(update={"device": device})
    whole = written(train("simgcd", "run", runtime=there))
    shutil.rmtree("data/backbones/run")
    stops, _ = run_with_stops(lambda: train("simgcd", "run", runtime=there), 4, monkeypatch)
    assert stops > 1
    assert written(Path("data/backbones/run")) == whole
