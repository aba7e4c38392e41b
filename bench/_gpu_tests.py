"""The tests of the suite that need a GPU: how many passed, and the first line of each failure."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench._alone import Row, row

TESTS = Path(__file__).parents[1] / "tests"
# Tests on a GPU have the device "cuda" among their parameters, or say in their name what it does
CHOSEN = "cuda or a_gpu"
MARKS = ("DEVICES", "not torch.cuda.is_available()")  # of files that hold any


def tests(device: str) -> Iterator[Row]:
    """Run them, in this process; rows are said as soon as they are known, and at the end again."""
    import pytest

    told = Told()
    # Another version of a library may warn of what is no fault here
    options = ["-q", "-W", "default", "--continue-on-collection-errors", "--tb=no", "-k", CHOSEN]
    pytest.main([*options, *map(str, chosen(TESTS))], plugins=[told])
    yield from told.rows()


def chosen(folder: Path) -> list[Path]:
    """Files with tests that need a GPU."""
    files = sorted(folder.rglob("test_*.py"))
    return [file for file in files if any(mark in file.read_text() for mark in MARKS)]


class Told:
    """A plug-in of pytest."""

    def __init__(self) -> None:
        self.count = Counter[str]({"passed": 0, "failed": 0, "skipped": 0, "not collected": 0})
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
