"""Ray's token: of a local run nothing is left at home, and a cluster that wants one is named so."""

import socket
import subprocess
import sys
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


def test_a_cluster_that_wants_a_token_is_no_stranger(monkeypatch: pytest.MonkeyPatch):
    said = b"ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken: missing"
    done = subprocess.CompletedProcess([], 1, b"", said)
    monkeypatch.setattr("pipeline.ray.connect.subprocess.run", lambda *_, **__: done)
    monkeypatch.setattr("pipeline.ray.connect.socket.create_connection", lambda *_: socket.socket())
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(StageError, match=r"refuses the token .* copy ~/\.ray/auth_token"):
        connect.connect(runtime(engine="ray", ray_address="127.0.0.1:6379"))
