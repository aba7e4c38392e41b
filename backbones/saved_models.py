"""The folder of a TensorFlow SavedModel: found on this machine or downloaded, its bytes checked.

The cache is tensorflow_hub's (TFHUB_CACHE_DIR, a folder per sha1 of the handle), so nothing is
fetched twice. But: tensorflow_hub itself is not needed; its library waits without end for a silent
host, keeps modules in /tmp by default and imports pkg_resources, which setuptools has given up. Nor
is TensorFlow, whose own gs:// reader first spends minutes looking for credentials.
"""

import base64
import contextlib
import hashlib
import os
import re
import tarfile
import tempfile
from pathlib import Path
from urllib.parse import quote

import requests

from backbones.download import download
from backbones.row import Backbone, BackboneError
from backbones.weights import check

GOOGLE_CLOUD = "https://storage.googleapis.com"


def place(row: Backbone) -> Path:
    """Where the module of this row is looked for, there or not. `weights` is https://… (tfhub.dev
    or another host of modules), gs://bucket/folder, or a local folder."""
    if not re.match("[a-z]+:", row.weights):
        return Path(row.weights).expanduser()
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    cache = os.environ.get("TFHUB_CACHE_DIR", os.path.join(home, "tfhub_modules"))
    return Path(cache).expanduser() / hashlib.sha1(row.weights.encode()).hexdigest()


def fetch(row: Backbone) -> Path:
    """The folder of the module, downloaded first when it is not here (progress on stderr).

    Raises BackboneError when it cannot be had (within seconds where there is no network), or when
    it is not the one zoo.yaml or zoo.lock knows: the sha256 there is that of `manifest`.
    """
    folder = place(row)
    if not folder.is_dir():
        _download(row, folder)
    if not (folder / "saved_model.pb").is_file():
        raise BackboneError(
            f"{row.name}: {folder} holds no saved_model.pb, so it is no SavedModel; delete it to "
            "fetch it again, or name the folder that has the file"
        )
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch) / "manifest"
        listing.write_text(manifest(folder), encoding="utf-8")
        try:
            check(row, listing)
        except BackboneError as error:
            found = hashlib.sha256(listing.read_bytes()).hexdigest()
            raise BackboneError(
                f"{row.name}: the files in {folder} are not those of zoo.yaml or zoo.lock (their "
                f"manifest has sha256 {found}); delete the folder to fetch it again"
            ) from error
    return folder


def manifest(folder: Path) -> str:
    """One line a file, as sha256sum writes it, sorted by name."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    return "".join(lines)


def _download(row: Backbone, folder: Path) -> None:
    kind, _, rest = row.weights.partition("://")
    if kind not in ("http", "https", "gs"):
        raise BackboneError(
            f"{row.name}: no folder {folder}; expected a SavedModel there, or https://… or gs://… "
            "as weights"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as scratch:
            whole = Path(scratch) / "module"  # renamed when complete: a half one is never found
            whole.mkdir()
            if kind == "gs":
                _from_bucket(rest, whole)
            else:
                _from_host(row.weights, Path(scratch) / "module.tar.gz", whole)
            whole.chmod(0o755)  # some archives carry stranger rights
            with contextlib.suppress(FileExistsError):  # another process was faster
                whole.rename(folder)
    except (OSError, requests.RequestException, tarfile.TarError, ValueError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise BackboneError(
            f"{row.name}: the module is not at {folder} (TFHUB_CACHE_DIR) and did not come from "
            f"{row.weights} ({reason}); go online, or unpack it there yourself"
        ) from error


def _from_host(handle: str, archive: Path, folder: Path) -> None:
    """By the protocol of tensorflow.org/hub/hosting: one archive, whose root is the module."""
    download(f"{handle}?tf-hub-format=compressed", archive)
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder, filter="data")
            return
        for member in tar:  # Python before 3.11.4, such as Debian 12's, has no filters
            inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
            if not inside or not (member.isfile() or member.isdir()):
                raise tarfile.TarError(f"{member.name} is a link, or lies outside the archive")
            tar.extract(member, folder)


def _from_bucket(address: str, folder: Path) -> None:
    """A folder of a public Google Cloud Storage bucket: its list, then file by file."""
    bucket, _, prefix = address.strip("/").partition("/")
    answer = requests.get(
        f"{GOOGLE_CLOUD}/storage/v1/b/{bucket}/o",
        params={"prefix": f"{prefix}/", "fields": "items(name,size,md5Hash)", "maxResults": "1000"},
        timeout=10,
    )
    answer.raise_for_status()
    files = [item for item in answer.json().get("items", []) if not item["name"].endswith("/")]
    if not files:
        raise ValueError("that folder is empty or is not there")
    for item in files:
        path = folder / item["name"].removeprefix(f"{prefix}/")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{item['name']} would be written outside the module's folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        download(f"{GOOGLE_CLOUD}/{bucket}/{quote(item['name'])}", path)
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        found = base64.b64encode(md5).decode()
        # An object that was uploaded in parts has a size but no md5.
        if path.stat().st_size != int(item["size"]) or item.get("md5Hash", found) != found:
            raise ValueError(f"{item['name']} arrived damaged; try again")
