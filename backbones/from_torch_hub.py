"""Networks whose code is no library's: a repository of GitHub with a hubconf.py (torch.hub).

The row says the repository, a commit of it and the entry (`model`), and which argument of the entry
takes the file of weights, which is fetched and checked as every other's. But: torch.hub takes the
newest code of a branch and runs it. Here it is that of the one commit, its digest is held to the
row's `code_sha256` or to what zoo.lock has recorded at first use, and the entry fetches nothing.
That code runs on this machine, and what it makes of the file is its own affair.

`output` of a row: `whole`, what the network gives, or `first`, the first of several (the summary of
RADIO, the global vector of CAPI).
"""

import contextlib
import hashlib
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import requests
import torch
from pydantic import ConfigDict, Field

import backbones.cpu_torchvision  # noqa: F401  before timm, which such code imports
from backbones import Encoder
from backbones.download import download
from backbones.engine import encoder
from backbones.options import checked_options
from backbones.row import Backbone, BackboneError
from backbones.weights import check, checkpoints, fetch


@dataclass(frozen=True)
class Code:
    """The `options` of a row."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]  # OWNER/NAME on GitHub
    commit: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    weights: str  # the argument of the entry that takes the path of the file
    arguments: dict[str, Any] = field(default_factory=dict)  # the others
    # sha256 of the lines `sha256  path`, sorted by path, of its files
    code_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None


def load(row: Backbone, device: str) -> Encoder:
    """See backbones.load."""
    return encoder(build(row, fetch(row)), row, device)


def build(row: Backbone, weights: Path) -> torch.nn.Module:
    """Normalised float32 [image, 3, size, size] → [image, dim]."""
    code = code_of(row)
    if row.output not in ("whole", "first"):
        raise BackboneError(f"{row.name}: no output {row.output!r}; expected whole or first")
    folder = fetch_code(row, code)
    try:
        with _by_itself(folder):
            network = torch.hub.load(
                str(folder), row.model, source="local", **code.arguments,
                **{code.weights: str(weights)},
            )  # fmt: skip
    except (ImportError, RuntimeError) as error:
        lacks = re.search(r"No module named '([\w.]+)'|Missing dependencies: (.+)", str(error))
        if not lacks:
            raise
        packages = (lacks[1] or lacks[2]).replace(",", "")
        raise BackboneError(
            f"{row.name}: the code of {code.repository} needs: pip install {packages}"
        ) from error
    for part in network.modules():
        if isinstance(part.__dict__.get("dtype"), torch.dtype):  # it casts what it is given
            part.dtype = torch.float32
    return _Answer(network.float().eval(), row.output == "first")


class _Answer(torch.nn.Module):
    def __init__(self, network: torch.nn.Module, first: bool) -> None:
        super().__init__()
        self.network, self._first = network, first

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found = self.network(pixels)
        return found[0] if self._first else found


def code_of(row: Backbone) -> Code:
    """The checked options of the row. Raises BackboneError: an option misspelt or mistyped."""
    return checked_options(row, Code)


def place_of_code(code: Code) -> Path:
    """Where torch.hub keeps the code of this commit, there or not."""
    return checkpoints().parent / f"{code.repository.replace('/', '_')}_{code.commit}"


def fetch_code(row: Backbone, code: Code) -> Path:
    """The folder of the code, downloaded first when it is not here (progress on stderr).

    Raises BackboneError when it cannot be had, or is not what the row or zoo.lock knows.
    """
    folder = place_of_code(code)
    if not (folder / "hubconf.py").is_file():
        _download(row, code, folder)
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch) / "listing"
        listing.write_text(_listing(folder), encoding="utf-8")
        known = replace(row, name=f"{code.repository}@{code.commit[:12]}", sha256=code.code_sha256)
        try:
            check(known, listing)
        except BackboneError as error:
            raise BackboneError(
                f"{row.name}: the code in {folder} is not that of zoo.yaml or zoo.lock (now "
                f"{hashlib.sha256(listing.read_bytes()).hexdigest()}): delete the folder to fetch "
                "it again"
            ) from error
    return folder


def _listing(folder: Path) -> str:
    """A line a file, as sha256sum writes it, sorted by name; without what Python compiles there."""
    files = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    lines = []
    for path in sorted(files, key=lambda path: path.relative_to(folder).as_posix()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    return "".join(lines)


def _download(row: Backbone, code: Code, folder: Path) -> None:
    address = f"https://github.com/{code.repository}/archive/{code.commit}.zip"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as scratch:
            archive, whole = Path(scratch) / f"{folder.name}.zip", Path(scratch) / "code"
            download(address, archive)
            _unpack(archive, whole)
            shutil.rmtree(folder, ignore_errors=True)  # one without a hubconf.py
            whole.rename(folder)
    except (OSError, requests.RequestException, zipfile.BadZipFile, ValueError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise BackboneError(
            f"{row.name}: the code is not at {folder} and did not come from {address} ({reason}); "
            "go online, or unpack it there yourself"
        ) from error


def _unpack(archive: Path, folder: Path) -> None:
    """What lies in the one folder of GitHub's archive; nothing that was compiled."""
    with zipfile.ZipFile(archive) as file:
        for entry in file.infolist():
            parts = Path(entry.filename).parts[1:]
            to = folder.joinpath(*parts)
            if ".." in parts or not to.resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"{entry.filename} would be written outside the folder")
            if parts and not entry.is_dir() and "__pycache__" not in parts:
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(file.read(entry))
    if not (folder / "hubconf.py").is_file():
        raise ValueError("it has no hubconf.py")


@contextlib.contextmanager
def _by_itself(folder: Path) -> Iterator[None]:
    """Such repositories call their modules `model` or `utils`: while one is loaded, what others
    called so steps aside."""
    tops = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"}

    def here() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] in tops]

    aside = {name: sys.modules.pop(name) for name in here()}
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = bytecode
        for name in here():
            del sys.modules[name]
        sys.modules.update(aside)
