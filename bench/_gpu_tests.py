"""The tests of the suite that need a GPU: how many passed, and the first line of each failure."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bench._alone import Row, row, rows_of
from bench._gpu_timing import Clock

TESTS = Path(__file__).parents[1] / "tests"
MARKS = ("DEVICES", "not torch.cuda.is_available()")  # of files that hold any
LACKS = "lack a package"
COUNTED = ("passed", "failed", "skipped", "not collected", LACKS)


class Sizes(NamedTuple):
    """folder: of tests; chosen: which of them, by their name. Those on a GPU have the device "cuda"
    among their parameters, or say in their name what a GPU does."""

    folder: Path
    chosen: str
    processes: int


FULL = Sizes(TESTS, "cuda or a_gpu", min(4, os.cpu_count() or 1))
TINY = Sizes(TESTS / "cluster/vectors", "cpu", 2)


def rows(device: str, sizes: Sizes, clock: Clock) -> Iterator[Row]:
    """Run them in several processes, which share the GPU; the largest files are dealt first."""
    files = sorted(chosen(sizes.folder), key=lambda file: -file.stat().st_size)
    hands = [files[at :: sizes.processes] for at in range(min(sizes.processes, len(files)))]

    def play(hand: Sequence[Path]) -> list[Row]:
        names = [str(file) for file in hand]
        alone = [sys.executable, "-m", "bench._alone", "bench._gpu_tests", "some", sizes.chosen]
        return rows_of([*alone, *names], clock.left())

    with ThreadPoolExecutor(max(1, len(hands))) as pool:
        found = list(pool.map(play, hands))
    for what in COUNTED:
        number = sum(each["value"] for hand in found for each in hand if each["what"] == what)
        yield row(what, number, "tests")
    for number, hand in enumerate(found, 1):
        for each in hand:
            if each["what"] == "error":
                yield {**each, "what": f"error of process {number} of {len(found)}"}
            elif each["what"] not in COUNTED:
                yield each


def some(which: str, *files: str) -> Iterator[Row]:
    """Run tests in this process; rows are said as soon as they are known, and at the end again."""
    import pytest

    told = Told()
    # Another version of a library may warn of what is no fault here
    options = ["-q", "-W", "default", "--continue-on-collection-errors", "--tb=no", "-k", which]
    pytest.main([*options, *files], plugins=[told])
    yield from told.rows()


def chosen(folder: Path) -> list[Path]:
    """Files with tests that need a GPU."""
    files = sorted(folder.rglob("test_*.py"))
    return [file for file in files if any(mark in file.read_text() for mark in MARKS)]


class Told:
    """A plug-in of pytest."""

    def __init__(self) -> None:
        self.count = Counter[str](dict.fromkeys(COUNTED, 0))
        self.failures: dict[str, str] = {}

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self._note("not collected", report)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:  # in the test, or before or after it
            self._note("failed", report)
        elif report.when == "call" or report.skipped:
            self._note("skipped" if report.skipped else "passed", report)

    def rows(self) -> list[Row]:
        counts = [row(what, number, "tests") for what, number in self.count.items()]
        return counts + [row(name, "", held=why) for name, why in self.failures.items()]

    def _note(self, what: str, report: Any) -> None:
        if report.failed and "ModuleNotFoundError: No module named" in first_line(report):
            what = LACKS
        self.count[what] += 1
        found = [row(what, self.count[what], "tests")]
        if report.failed:
            self.failures[report.nodeid] = first_line(report)
            found.append(row(report.nodeid, "", held=self.failures[report.nodeid]))
        for each in found:
            print("\n" + json.dumps(each), flush=True)


def first_line(report: Any) -> str:
    """What an error says in its first line; of a file that cannot be collected the last one."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash else str(report.longrepr)).strip().splitlines() or [""]
    return (lines[0] if crash else lines[-1]).removeprefix("E").strip()[:200]
