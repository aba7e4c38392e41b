"""Folders of SavedModels: looked for, fetched, and held to their bytes. Neither TensorFlow nor a
network is needed: the hosts are played by a server on this machine."""

import base64
import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from backbones import Backbone, BackboneError, row, saved_models, weights

MODULE = {
    "saved_model.pb": b"a graph",
    "variables/variables.index": b"an index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 64,
}


def archive(files: dict[str, bytes]) -> bytes:
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return buffer.getvalue()


class Host(BaseHTTPRequestHandler):
    """A host of modules by the protocol of TensorFlow Hub, and a bucket of Google Cloud Storage."""

    asked: list[str]
    files: dict[str, bytes]
    md5: dict[str, str]  # of the list, where it is not the true one

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path == "/deepmind/net/1" and query == {"tf-hub-format": "compressed"}:
            self.answer(archive(type(self).files))
        elif parts.path == "/storage/v1/b/bucket/o":
            folder = query["prefix"]
            items = [{"name": folder, "size": "0"}]  # the folder itself, as an empty object
            for name, content in type(self).files.items():
                item = {"name": folder + name, "size": str(len(content))}
                if name != "saved_model.pb":  # as if that one had been uploaded in parts
                    md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
                    item["md5Hash"] = type(self).md5.get(name, md5)
                items.append(item)
            self.answer(json.dumps({"items": items} if folder == "nets/net/" else {}).encode())
        elif parts.path.startswith("/bucket/nets/net/"):
            self.answer(type(self).files[parts.path.removeprefix("/bucket/nets/net/")])
        else:
            self.send_error(404)

    def answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Host.asked, Host.files, Host.md5 = [], dict(MODULE), {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(saved_models, "GOOGLE_CLOUD", address)
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weights, "LOCK", tmp_path / "zoo.lock")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def mine(address: str) -> Backbone:
    return replace(row("bigbigan_resnet50"), name="mine", weights=address)


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("address", ["{}/deepmind/net/1", "gs://bucket/nets/net"])
def test_a_module_is_fetched_once_and_whole(address: str, host: str, cache: Path) -> None:
    backbone = mine(address.format(host))
    folder = saved_models.fetch(backbone)
    assert content(folder) == MODULE
    assert list(cache.iterdir()) == [folder]  # nothing half done is left behind
    asked = len(Host.asked)
    assert saved_models.fetch(backbone) == folder
    assert len(Host.asked) == asked


def test_a_module_lies_where_tensorflow_hub_looks_for_it(cache: Path) -> None:
    handle = "https://tfhub.dev/deepmind/bigbigan-resnet50/1"
    assert saved_models.place(mine(handle)) == cache / hashlib.sha1(handle.encode()).hexdigest()


def test_without_a_setting_the_cache_survives_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TFHUB_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert saved_models.place(mine("gs://a/b")).parent == Path("/somewhere/tfhub_modules")


def test_a_folder_of_ones_own_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/saved_model.pb").write_bytes(b"a graph")
    assert saved_models.fetch(mine(str(tmp_path / "net"))) == tmp_path / "net"


def test_a_folder_without_a_module_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    with pytest.raises(BackboneError, match=r"holds no saved_model\.pb"):
        saved_models.fetch(mine(str(tmp_path / "net")))
    with pytest.raises(BackboneError, match=r"no folder .*expected a SavedModel there"):
        saved_models.fetch(mine(str(tmp_path / "other")))


def test_a_module_that_changed_since_it_was_first_used_is_refused(host: str) -> None:
    backbone = mine(f"{host}/deepmind/net/1")
    folder = saved_models.fetch(backbone)
    for name in MODULE:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-1] + b"!")
        with pytest.raises(BackboneError, match=r"not those of zoo\.yaml or zoo\.lock.*delete the"):
            saved_models.fetch(backbone)
        (folder / name).write_bytes(whole)
    saved_models.fetch(backbone)


def test_the_sha256_of_a_module_is_that_of_its_list(host: str, tmp_path: Path) -> None:
    backbone = mine(f"{host}/deepmind/net/1")
    listing = saved_models.manifest(saved_models.fetch(backbone))
    first = hashlib.sha256(b"a graph").hexdigest()
    assert listing.splitlines()[0] == f"{first}  saved_model.pb"  # as sha256sum writes it
    sha256 = hashlib.sha256(listing.encode()).hexdigest()
    assert weights.read_lock() == {"mine": sha256}
    saved_models.fetch(replace(backbone, sha256=sha256))
    with pytest.raises(BackboneError, match=sha256):
        saved_models.fetch(replace(backbone, sha256="0" * 64))


def test_a_file_that_arrives_damaged_is_not_kept(host: str, cache: Path) -> None:
    Host.md5 = {"variables/variables.index": base64.b64encode(bytes(16)).decode()}
    with pytest.raises(BackboneError, match=r"variables\.index arrived damaged"):
        saved_models.fetch(mine("gs://bucket/nets/net"))
    assert not any(cache.iterdir())


@pytest.mark.parametrize("filters", [True, False])  # of tarfile: Python 3.11.4 has them
def test_a_list_cannot_write_outside_the_cache(
    filters: bool, host: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
        saved_models.fetch(mine(f"{host}/deepmind/net/1"))
        (folder,) = cache.iterdir()
        assert (folder / "saved_model.pb").read_bytes() == MODULE["saved_model.pb"]
        shutil.rmtree(folder)
    Host.files = {**MODULE, "../../escaped": b"!"}
    for address in (f"{host}/deepmind/net/1", "gs://bucket/nets/net"):
        with pytest.raises(BackboneError, match="outside"):
            saved_models.fetch(mine(address))
    assert not any(cache.iterdir())
    assert not list(cache.parent.glob("**/escaped"))


def test_a_folder_that_is_not_in_the_bucket_is_refused(host: str) -> None:
    with pytest.raises(BackboneError, match="that folder is empty or is not there"):
        saved_models.fetch(mine("gs://bucket/nets/other"))
    with pytest.raises(BackboneError, match="404"):
        saved_models.fetch(mine(f"{host}/deepmind/other/1"))


@pytest.mark.parametrize("address", ["https://tfhub.dev/deepmind/net/1", "gs://bucket/nets/net"])
def test_without_a_network_it_says_within_seconds_where_it_looked(
    address: str, cache: Path, offline: list[float]
) -> None:
    with pytest.raises(BackboneError) as refusal:
        saved_models.fetch(mine(address))
    assert offline
    assert sum(offline) <= 11
    assert f"mine: the module is not at {cache}" in str(refusal.value)
    assert f"(TFHUB_CACHE_DIR) and did not come from {address}" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_address_nobody_can_read_is_refused() -> None:
    with pytest.raises(BackboneError, match="expected a SavedModel there, or https://"):
        saved_models.fetch(mine("ftp://x/y"))
