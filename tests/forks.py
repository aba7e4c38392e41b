"""Processes that begin with their libraries imported: forks of one that has imported them.

`python -m stages.NAME` spends two seconds on imports; its fork is there after some hundredths, and
is a process like it: of its own memory, folder, environment, output and exit code, and it can be
killed. But: the seed of the hashes of texts is that of the process it was forked from, as are
settings that a library reads while it is imported; and it does not wait for the disk. What hinges
on these starts a new Python.

    python forks.py serve DESCRIPTOR MODULE...   import the modules; fork for whoever connects
    python forks.py run SOCKET -m MODULE ...     what `python -m MODULE ...` would do

The process that serves starts no thread and calls nothing of the libraries, or a fork of it would
not be sound.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import select
import shutil
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

# One thread: other tests use the other cores
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


class Forks:
    """A process that serves, until `close`."""

    def __init__(self, modules: Iterable[str], root: Path) -> None:
        import subprocess
        import tempfile

        self._folder = Path(tempfile.mkdtemp())
        self.socket = str(self._folder / "s")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.socket)
            listening.listen(64)
            number = listening.fileno()
            self._server = subprocess.Popen(
                [sys.executable, "-P", __file__, "serve", str(number), *modules],
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(root)},
                stdin=subprocess.PIPE,
                pass_fds=[number],
            )

    def command(self) -> str:
        """A script that can stand for `python` where it is called with `-m MODULE ARGUMENTS`."""
        return f'#!/bin/sh\nexec {sys.executable} -I -S {__file__} run {self.socket} "$@"\n'

    def close(self) -> None:
        self._server.communicate()  # it ends with its input
        shutil.rmtree(self._folder)


class Fork:
    """Of subprocess.Popen what the tests use; `pid` and the rest are of the forked process."""

    def __init__(
        self,
        at: str,
        module: str,
        arguments: Sequence[str],
        environment: dict[str, str],
        folder: Path,
        files: tuple[int, int, int],
        before: str = "",
    ) -> None:
        """before: Python that runs in the process before the module does."""
        self.returncode: int | None = None
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(at)
        asked = {
            "module": module,
            "arguments": list(arguments),
            "environment": environment,
            "folder": str(folder),
            "before": before,
        }
        self._answers = self._server.makefile("r")
        text = json.dumps(asked).encode() + b"\n"
        sent = socket.send_fds(self._server, [text], files)
        self._server.sendall(text[sent:])
        self.pid = int(self._answer())

    def _answer(self) -> str:
        line = self._answers.readline()
        if not line:
            raise RuntimeError("the process that forks has ended")
        return line

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._server], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = int(self._answer())
            self._answers.close()
            self._server.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Captured(Fork):
    """One whose output is kept."""

    def __init__(self, *what: Any, **more: Any) -> None:
        import tempfile

        self._kept: list[IO[str]] = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        with open(os.devnull) as nothing:
            out, error = (kept.fileno() for kept in self._kept)
            super().__init__(*what, files=(nothing.fileno(), out, error), **more)

    def communicate(self) -> tuple[str, str]:
        """What it wrote to its output and to its error output, when it has ended."""
        self.wait()
        said = []
        for kept in self._kept:
            kept.seek(0)
            said.append(kept.read())
            kept.close()
        return said[0], said[1]


def serve(listening: socket.socket, modules: Iterable[str]) -> dict[str, Any] | None:
    """Fork for all who ask. Returns in each fork, with what it is to do, and in the end."""
    for module in modules:
        importlib.import_module(module)
    if (tasks := Path("/proc/self/task")).is_dir() and len(found := list(tasks.iterdir())) > 1:
        raise SystemExit(f"{len(found)} threads after the imports: a fork would not be sound")
    gc.freeze()  # or each fork would touch, and so copy, all that there is
    hear, say = os.pipe()
    os.set_blocking(say, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(say, warn_on_full_buffer=False)
    clients: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([listening, hear, 0], [], [])
        if hear in ready:
            os.read(hear, 1000)
            _tell_ends(clients)
        if listening in ready:
            client, _ = listening.accept()
            asked, files = _read(client)
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for number in (0, 1, 2):
                    os.dup2(files[number], number)
                for each in (listening, client, *clients.values()):
                    each.close()
                for number in (hear, say, *files):
                    os.close(number)
                return asked
            for number in files:
                os.close(number)
            clients[pid] = client
            client.sendall(b"%d\n" % pid)
        elif 0 in ready:
            return None


def _read(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    text, files, _, _ = socket.recv_fds(client, 65536, 3)
    while not text.endswith(b"\n"):
        text += client.recv(65536)
    return json.loads(text), files


def _tell_ends(clients: dict[int, socket.socket]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            client = clients.pop(ended[0])
            with contextlib.suppress(OSError), client:  # who asked may be gone
                client.sendall(b"%d\n" % os.waitstatus_to_exitcode(ended[1]))


def become(asked: dict[str, Any]) -> None:
    """Be what `python -m` would be in that folder and environment, and do it."""
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.fsync = os.fstat  # as conftest.no_power_cut
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    sys.path.insert(0, asked["folder"])
    sys.argv = [asked["module"], *asked["arguments"]]
    try:
        exec(asked["before"], {})
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
        ENDS_WITH.append(0)
    except SystemExit as error:
        ENDS_WITH.append(error.code if isinstance(error.code, int) else int(error.code is not None))
        raise


# Of a fork: its exit code
ENDS_WITH: list[int] = []


def end() -> None:
    """To be called after all else at the exit of a fork: freeing one by one what was imported, as
    Python would do now, takes longer than most stages do."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(ENDS_WITH[0] if ENDS_WITH else 1)


def main(what: str, at: str, *arguments: str) -> None:
    if what == "serve":
        atexit.register(end)  # the first of all is called last
        with socket.socket(fileno=int(at)) as listening:
            asked = serve(listening, arguments)
        become(asked) if asked else ENDS_WITH.append(0)
    else:
        _, module, *rest = arguments
        fork = Fork(at, module, rest, dict(os.environ), Path.cwd(), (0, 1, 2))
        code = fork.wait()
        if code < 0:
            os.kill(os.getpid(), -code)
        raise SystemExit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
