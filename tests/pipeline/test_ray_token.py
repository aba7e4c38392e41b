"""Ray's token: of a local run nothing is left at home, and a cluster that wants one is named so."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import ROOT, runtime

from pipeline.params import StageError
from pipeline.ray import connect

pytest.importorskip("ray", reason="Ray is not installed: pip install ray==2.60.0")

LOCAL = """
from conftest import runtime
from pipeline.ray.connect import connect
connect(runtime(engine="ray", ray_address="local"))
"""


def test_a_local_run_leaves_nothing_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
    subprocess.run([sys.executable, "-c", LOCAL], check=True, timeout=300)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of somebody who has no token, nor has joined a cluster."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("ray.init, which tries for 20 seconds"))
    return tmp_path


@pytest.fixture
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a head that was started as docs/scale.md says, and wants a token."""
    home = tmp_path_factory.mktemp("head")
    (home / ".ray").mkdir()
    (home / ".ray/auth_token").write_text("5" * 64)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = ["start", "--head", "--block", f"--port={port}", "--num-cpus=1"]
    quiet = ["--disable-usage-stats", "--include-dashboard=false", "--object-store-memory=80000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", *start, *quiet],
        env={**os.environ, "HOME": str(home), "RAY_AUTH_MODE": "token"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(1200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.1)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=120)


def test_a_cluster_that_wants_a_token_says_so_in_seconds(
    head: str, stranger: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pipeline.ray.connect.HEALTH", 300.0)  # the machine may be busy
    run = runtime(engine="ray", ray_address=head)
    with pytest.raises(StageError, match=r"this machine has none: copy ~/\.ray/auth_token"):
        connect.connect(run)
    (stranger / ".ray").mkdir()
    (stranger / ".ray/auth_token").write_text("6" * 64)
    with pytest.raises(StageError, match="wants a token, and refuses that of this machine"):
        connect.connect(run)


def test_the_cluster_of_this_machine_is_asked_before_it_is_joined(
    stranger: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = list[list[str]]()

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        said = b"ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken: missing"
        return subprocess.CompletedProcess(command, 1, b"", said)

    monkeypatch.setattr("pipeline.ray.connect.subprocess.run", run)
    with pytest.raises(StageError, match="is auto: the Ray cluster there wants a token"):
        connect.connect(runtime(engine="ray", ray_address="auto"))
    assert asked[0][-2:] == ["--address", "auto"]


def test_a_token_that_is_not_there_is_told_before_ray_aborts(
    stranger: Path, monkeypatch: pytest.MonkeyPatch
):
    (stranger / "empty").touch()
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    for path in ("", "nowhere", "empty"):
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", path and str(stranger / path))
        with pytest.raises(StageError, match="RAY_AUTH_MODE is token, and this machine has none"):
            connect.connect(runtime(engine="ray", ray_address="127.0.0.1:6379"))


def test_another_version_of_ray_is_named(stranger: Path, monkeypatch: pytest.MonkeyPatch):
    said = b"RuntimeError: Ray version mismatch: cluster has Ray version 2.9.0 but local 2.60.0\n"
    done = subprocess.CompletedProcess([], 1, b"", said)
    monkeypatch.setattr("pipeline.ray.connect.subprocess.run", lambda *_, **__: done)
    monkeypatch.setattr("pipeline.ray.connect.socket.create_connection", lambda *_: socket.socket())
    with pytest.raises(StageError, match=r"version 2\.9\.0 but local 2\.60\.0: install the same"):
        connect.connect(runtime(engine="ray", ray_address="127.0.0.1:6379"))
