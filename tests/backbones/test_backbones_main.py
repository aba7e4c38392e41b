"""`python -m backbones`: what there is, and what of it is on this machine."""

import subprocess
import sys

import pytest

from backbones import __main__ as command
from backbones import names, row


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backbones", *arguments], capture_output=True, text=True, timeout=600
    )


def test_the_list_has_a_line_for_each_backbone() -> None:
    first = [line.split()[0] for line in command.listing().splitlines()]
    assert first[2:] == names()


def test_the_list_says_whose_weights_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", "/nowhere")
    last = {line.split()[0]: line.split()[-1] for line in command.listing().splitlines()}
    assert last["efficientnet_lite0"] == "yes"
    assert last["mobilenet_v2"] != "yes"


def test_one_row_is_shown_whole() -> None:
    shown = command.sheet(row("efficientnet_lite0"))
    for word in (row("efficientnet_lite0").digest, "1905.11946", "size 224", "(here)"):
        assert word in shown


def test_a_wrong_name_costs_one_line_and_status_1() -> None:
    done = run("efficientnet_lit0")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("no backbone called 'efficientnet_lit0'; did you mean ")
    assert done.stderr.count("\n") == 1


def test_listing_loads_no_network_library() -> None:
    code = "import sys, backbones.__main__ as m; m.listing(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0
    assert not {"torch", "timm", "tensorflow", "torchvision"} & set(done.stdout.split())
