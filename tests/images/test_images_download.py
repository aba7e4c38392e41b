"""Sets that torchvision knows are downloaded on first use, or refused within seconds."""

import os
import socket
import subprocess
import sys
import types
import urllib.error
from pathlib import Path

import pytest

from images import ImagesError, list_images

SETS = {"cifar10": "CIFAR10", "cifar20": "CIFAR100", "cifar100": "CIFAR100", "stl10": "STL10"}
SETS |= {"fashion_mnist": "FashionMNIST", "oxford_pets": "OxfordIIITPet"}


@pytest.fixture
def torchvision(monkeypatch):
    """A torchvision that notes what it is asked for, and finds no network."""
    asked = []

    def refuse(name):
        def download(root, **options):
            asked.append((name, root, options, socket.getdefaulttimeout()))
            raise urllib.error.URLError("Name or service\nnot known")

        return download

    fake = types.ModuleType("torchvision")
    fake.datasets = types.SimpleNamespace(**{name: refuse(name) for name in SETS.values()})
    torch = types.ModuleType("torch")
    torch.version = types.SimpleNamespace(cuda="13.0")
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr("images.fashion_mnist.DEBIAN", Path("/nowhere"))
    return asked


@pytest.mark.parametrize("name", SETS)
def test_without_a_network_it_says_where_the_files_were_looked_for(tmp_path, torchvision, name):
    with pytest.raises(ImagesError) as caught:
        list_images({"from": name, "root": str(tmp_path)})
    said = str(caught.value)
    assert str(tmp_path) in said
    assert "cannot be downloaded (<urlopen error Name or service not known>)" in said
    assert "get the files from http" in said
    assert "\n" not in said
    ((asked, root, options, timeout),) = torchvision
    assert (asked, root, options["download"]) == (SETS[name], str(tmp_path), True)
    assert timeout is not None
    assert socket.getdefaulttimeout() is None


def test_files_that_are_there_are_not_downloaded(tmp_path, torchvision):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(ImagesError, match="lacks data_batch_1"):
        list_images({"from": "cifar10", "root": str(tmp_path)})
    assert not torchvision


def test_without_torchvision_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImagesError, match=r"CIFAR10 is not in .*; pip install torchvision"):
        list_images({"from": "cifar10", "root": str(tmp_path)})


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, for torch is large and slow to import."""
    repository = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


DOWNLOAD = """
import functools, hashlib, http.server, pickle, tarfile, threading
from pathlib import Path
import numpy as np
import images
from images import _download

root = Path({root!r})
source = root / "source"
folder = source / "cifar-10-batches-py"
folder.mkdir(parents=True)
batch = dict(labels=[0], data=np.zeros((1, 3072), np.uint8))
_download._let_torchvision_in()
from torchvision.datasets import CIFAR10
md5 = {{}}
for name in [n for n, _ in CIFAR10.train_list + CIFAR10.test_list] + ["batches.meta"]:
    value = dict(label_names=["a"]) if name == "batches.meta" else batch
    raw = pickle.dumps(value, protocol=2)
    (folder / name).write_bytes(raw)
    md5[name] = hashlib.md5(raw).hexdigest()
with tarfile.open(source / "set.tar.gz", "w:gz") as archive:
    archive.add(folder, folder.name)
serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=source)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
threading.Thread(target=server.serve_forever, daemon=True).start()
CIFAR10.url = f"http://127.0.0.1:{{server.server_port}}/set.tar.gz"
CIFAR10.tgz_md5 = hashlib.md5((source / "set.tar.gz").read_bytes()).hexdigest()
CIFAR10.train_list = [[n, md5[n]] for n, _ in CIFAR10.train_list]
CIFAR10.test_list = [[n, md5[n]] for n, _ in CIFAR10.test_list]
CIFAR10.meta = dict(CIFAR10.meta, md5=md5["batches.meta"])
spec = {{"from": "cifar10", "root": str(root / "raw")}}
listing = images.list_images(spec)
print([listing.splits[s] for s in listing.split])
archive = _download.Archive(CIFAR10.url, CIFAR10.tgz_md5)
where = ("A set", root / "packed", folder.name, ["batches.meta"], "https://a.site")
print(_download.folder(*where, archive=archive).relative_to(root))
CIFAR10.tgz_md5 = "0" * 32
try:
    images.list_images({{"from": "cifar10", "root": str(root / "other")}})
except images.ImagesError as error:
    print(error)
try:
    where = ("A set", root / "third", *where[2:])
    _download.folder(*where, archive=archive._replace(md5="0" * 32))
except images.ImagesError as error:
    print(error)
"""


def test_torchvision_downloads_and_checks_the_sums(tmp_path):
    done = run(DOWNLOAD.format(root=str(tmp_path)), no_proxy="*", NO_PROXY="*")
    assert done.returncode == 0, done.stderr
    splits, packed, *refused = done.stdout.splitlines()
    assert splits == str(["train"] * 5 + ["test"])
    assert packed == "packed/cifar-10-batches-py"
    assert ["cannot be downloaded (File not found or corrupted" in r for r in refused] == [True] * 2
    assert not (tmp_path / "third/cifar-10-batches-py").exists()
    assert "100%" in done.stderr


NOBODY_ANSWERS = """
import errno, socket, time
import images

def refuse(address, timeout=None, *_, **__):
    by_default = timeout is socket._GLOBAL_DEFAULT_TIMEOUT
    print(float(socket.getdefaulttimeout() if by_default else timeout))  # None is for ever
    raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody answers")

socket.create_connection, time.sleep = refuse, print
images.list_images({{"from": "stl10", "root": {root!r}}})
"""


def test_the_real_torchvision_gives_up_within_seconds(tmp_path):
    done = run(NOBODY_ANSWERS.format(root=str(tmp_path)), no_proxy="*", NO_PROXY="*")
    assert "ImagesError: STL10 is not in" in done.stderr
    seconds = [float(line) for line in done.stdout.splitlines()]
    assert 1 <= len(seconds) <= 3
    assert sum(seconds) <= 30
