"""The server as a process: two tabs, a kill in the middle of writing, and its end."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from conftest import environment
from reviewed import write_project

from pipeline.review.journal import Journal, journal_of


class Server:
    """`python -m pages.review`, in the current folder."""

    def __init__(self, before: str = "") -> None:
        run = "import runpy, sys; sys.argv[1:] = ['birds', '--no-open']; "
        run += "runpy.run_module('pages.review', run_name='__main__', alter_sys=True)"
        command = [sys.executable, "-c", before + run]
        self.process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"http://127.0.0.1:\d+/[\w-]{22}/", line):
                self.address = found[0]
                return
        raise AssertionError(self.process.communicate()[1])

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if data else {}
        asked = urllib.request.Request(self.address + path, data, headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)

    def listen(self) -> "Queue[tuple[str, dict[str, Any]]]":
        """The events of a tab, as they come."""
        told: Queue[tuple[str, dict[str, Any]]] = Queue()
        stream = urllib.request.urlopen(self.address + "api/events", timeout=60)

        def read() -> None:
            try:
                event = ""
                for raw in stream:
                    line = raw.decode().strip()
                    if line.startswith("event: "):
                        event = line[7:]
                    elif line.startswith("data: "):
                        told.put((event, json.loads(line[6:])))
            except OSError:
                pass

        threading.Thread(target=read, daemon=True).start()
        return told

    def end(self, how: signal.Signals = signal.SIGINT) -> str:
        self.process.send_signal(how)
        return "".join(self.process.communicate(timeout=60))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path)


def test_two_tabs_stay_in_step_and_the_end_keeps_what_was_seen():
    server = Server()
    first, second = server.listen(), server.listen()
    assert (
        first.get(timeout=60) == second.get(timeout=60) == ("changed", {"version": 0, "said": ""})
    )
    done = server.ask("api/decisions", {"do": "place", "rows": [1], "status": "junk"})
    said = ("changed", {"version": 1, "said": done["said"]})
    assert first.get(timeout=60) == second.get(timeout=60) == said
    # Another process, such as another server, decides too
    digest = json.loads(journal_of("birds").read_text().splitlines()[1])["images"][0]
    other = Journal(journal_of("birds"), "birds")
    other.append(other.decisions[0].model_copy(update={"status": "unknown", "images": (digest,)}))
    assert first.get(timeout=60)[1]["version"] == second.get(timeout=60)[1]["version"] == 2
    server.ask("api/open", {"backbone": "pixels", "run": "clusters/overcluster"})
    assert first.get(timeout=60) == ("opened", {})
    said_at_the_end = server.end()
    assert "stopped; all decisions are kept" in said_at_the_end
    assert "Traceback" not in said_at_the_end
    assert Path("data/birds/seen.npz").exists()
    assert list(Path("data/birds/thumbnails").glob("*.zip"))


@pytest.mark.parametrize("call", [0, 2, 4, 7])
def test_a_server_killed_in_the_middle_of_writing_loses_no_acknowledged_decision(call: int):
    before = (
        "import os, signal\n"
        "real, made = os.pwrite, [0]\n"
        "def write(descriptor, text, at):\n"
        "    if made[0] == CALL:\n"
        "        real(descriptor, text[: len(text) // 2], at)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    made[0] += b'\"do\"' in bytes(text)\n"
        "    return real(descriptor, text, at)\n"
        "os.pwrite = write\n"
    ).replace("CALL", str(call))
    server = Server(before)
    acknowledged = 0
    for row in range(10):
        wish = {"do": "place", "rows": [row], "status": "decided", "category": f"c{row}"}
        try:
            server.ask("api/decisions", wish)
        except (OSError, urllib.error.URLError):
            break
        acknowledged += 1
    assert server.process.wait(60) == -signal.SIGKILL
    server.process.communicate()
    assert acknowledged == call
    again = Server()
    assert again.ask("api/progress")["decided"] == acknowledged
    done = again.ask("api/decisions", {"do": "place", "rows": [30], "status": "junk"})
    assert done["version"] == acknowledged + 1
    again.end(signal.SIGTERM)
    assert len(Journal(journal_of("birds"), "birds").decisions) == acknowledged + 1


def test_a_kill_at_any_time_leaves_what_was_acknowledged():
    server = Server()
    acknowledged: list[int] = []

    def decide() -> None:
        try:
            for number in range(10_000):
                wish = {"do": "place", "rows": [number % 60], "status": "junk"}
                acknowledged.append(server.ask("api/decisions", wish)["version"])
        except (OSError, urllib.error.URLError, ValueError):
            pass

    deciding = threading.Thread(target=decide)
    deciding.start()
    until = time.monotonic() + 60
    while len(acknowledged) < 5 and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(server.process.pid, signal.SIGKILL)
    deciding.join()
    server.process.communicate()
    kept = Journal(journal_of("birds"), "birds").decisions
    assert acknowledged[-1] <= len(kept) <= acknowledged[-1] + 1
