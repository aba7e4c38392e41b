"""Join a Ray cluster, or start one on this machine: in seconds, or with one line that says why not.

But: a wrong address is found by a look at its port and by Ray's own health check, since `ray.init`
tries for a minute and more, and ends in pages.
"""

import logging
import os
import re
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.params import PARAMS, Runtime, StageError

ANSWER, HEALTH = 3.0, 20.0  # seconds to accept a connection, and to say that all is well
KEY = "runtime.ray_address"


def connect(runtime: Runtime) -> None:
    """Join the cluster of `runtime.ray_address`: HOST:PORT, `auto` (what RAY_ADDRESS says, or the
    cluster that this machine is part of) or `local` (started now, gone with this process). Once
    joined it stays so. Raises StageError when there is no Ray, or none that answers."""
    address = runtime.ray_address
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    _authenticate(address)
    try:
        import ray
    except ModuleNotFoundError:
        raise StageError(
            f"{PARAMS}: runtime.engine is ray, but Ray is not installed: "
            "pip install ray==2.60.0, or set local"
        ) from None
    if ray.is_initialized():
        return
    if address != "local":
        _require_ray(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # one of several is enough
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].partition(". ")[0].rstrip(".")
        raise StageError(
            f"{PARAMS}: {KEY} is {runtime.ray_address}: {reason}: start a cluster (ray start "
            "--head), or set local"
        ) from None
    # Of each lost machine Ray prints twenty lines and more, on stdout, log_to_driver or not: what
    # is of use of them pipeline.ray.lost says, and `answer` what no machine could do
    ray._private.worker._worker_logs_enabled = False


def _authenticate(address: str) -> None:
    """A cluster of this process has a token of its own, where Ray would write one into the home
    folder, and so change what `ray start` does there. Others get the token that is there: Ray shows
    it only to a cluster that it found itself. Read when Ray is imported."""
    if address == "local":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        return
    if _has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    elif os.environ.get("RAY_AUTH_MODE", "").lower() == "token":  # at which Ray aborts
        raise StageError(_refused(address, "RAY_AUTH_MODE is token, and this machine has none"))


def _has_token() -> bool:
    """Where Ray looks for one, in its order."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray/auth_token")
    return path.is_file() and bool(path.read_bytes().strip())


def _refused(address: str, why: str) -> str:
    return (
        f"{PARAMS}: {KEY} is {address}: {why}: copy ~/.ray/auth_token of the cluster's head here, "
        "or set RAY_AUTH_TOKEN (docs/scale.md)"
    )


def _require_ray(address: str) -> None:
    wrong = f"{PARAMS}: {KEY} is {address}: no Ray cluster answers there"
    if address != "auto":
        _require_open(address, wrong)
    check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        done = subprocess.run(check, capture_output=True, timeout=HEALTH)
        healthy, said = done.returncode == 0, done.stderr
    except subprocess.TimeoutExpired as late:
        healthy, said = False, late.stderr or b""
    if b"AuthenticationError" in said or b"InvalidAuthToken" in said:
        here = "refuses that of this machine" if _has_token() else "this machine has none"
        raise StageError(_refused(address, f"the Ray cluster there wants a token, and {here}"))
    if other := re.search(rb"cluster has Ray version .+", said):
        line = other[0].decode()
        raise StageError(f"{PARAMS}: {KEY} is {address}: {line}: install the same on all machines")
    if not healthy and address != "auto":  # of which ray.init says what it has found
        raise StageError(f"{wrong}, something else does: ray start --head prints the right one")


def _require_open(address: str, wrong: str) -> None:
    host, _, port = address.rpartition(":")
    if not re.fullmatch(r"[\w.-]+|\[[\w:]+\]", host) or not port.isdecimal() or int(port) > 65535:
        raise StageError(f"{PARAMS}: {KEY} is {address!r}: expected auto, local or HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
    except OSError as error:
        reason = getattr(error, "strerror", None) or error
        raise StageError(f"{wrong} ({reason}): ray start --head prints the right one") from None
