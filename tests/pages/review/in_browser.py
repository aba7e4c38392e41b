"""A browser that shows the modules of the review page, alone: no server of ours has to run."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

CHECKS = Path(__file__).with_name("checks")
STATIC = Path(__file__).parents[3] / "pages/review/static"
CHROMIUM = shutil.which("chromium")
SLOW = 60_000  # milliseconds, of a machine that does much else
STYLE = "html, body, #at { margin: 0; width: 100%; height: 100% }"


class _Handler(SimpleHTTPRequestHandler):
    """The static files, a picture for every row, and an empty page."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            page = f"<!doctype html><title>t</title><style>{STYLE}</style><div id=at></div>"
            self._send("text/html", page.encode())
        elif path.startswith("/thumb/"):
            file = BytesIO()
            Image.new("RGB", (16, 16), (255, 255, 0)).save(file, "PNG")
            self._send("image/png", file.getvalue())
        elif path.startswith("/checks/"):
            self._send("text/javascript", (CHECKS / path.rpartition("/")[2]).read_bytes())
        elif path == "/favicon.ico":
            self._send("image/png", b"")
        else:
            super().do_GET()

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def browser() -> Iterator[tuple[Any, str]]:
    """Chromium and the address of the page. Skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(STATIC)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with playwright.sync_playwright() as play:
            arguments = ["--no-sandbox", "--disable-gpu"]
            with play.chromium.launch(executable_path=CHROMIUM, args=arguments) as chromium:
                yield chromium, f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def page_of(chromium: Any, address: str, **options: Any) -> Iterator[Any]:
    """An empty page; what its scripts get wrong fails the test."""
    options = {"viewport": {"width": 900, "height": 600}, **options}
    page, wrong = chromium.new_page(**options), list[str]()
    page.set_default_timeout(SLOW)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    try:
        page.goto(address)
        yield page
        assert wrong == []
    finally:
        page.close()


def check(page: Any, file: str, name: str, argument: Any = None) -> Any:
    """What a function of checks/FILE.js returns."""
    load = "async ([file, name, given]) => (await import(`/checks/${file}.js`))[name](given)"
    return page.evaluate(load, [file, name, argument])
