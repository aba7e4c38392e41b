"""The file review/DATASET.jsonl: decisions are appended, and on the disk before anyone is told.

A process that is killed while it writes leaves a torn last line, which is passed over and cut off
by the next decision. Several processes may have the file open: a lock orders their decisions, and
each reads what the others wrote. Where another file has taken its place, as git puts one there, all
of that is read.
"""

import fcntl
import os
from pathlib import Path

from pydantic import ValidationError

from pipeline.params import StageError
from pipeline.review.decisions import Decision, Header, read_decision, write_line

FOLDER = Path("review")


def journal_of(dataset: str) -> Path:
    """Where the decisions of a dataset lie, whether there are some or not."""
    return FOLDER / f"{dataset}.jsonl"


class Journal:
    """The decisions of one dataset. `decisions`: all that were read or appended, in order."""

    def __init__(self, path: Path, dataset: str) -> None:
        """Raises StageError where the file is of another dataset or damaged."""
        self.path, self._dataset = path, dataset
        self.decisions: list[Decision] = []
        self._end = 0  # bytes that were read, up to the end of a line
        self._file: tuple[int, int] | None = None  # which file that was
        self.refresh()

    def refresh(self) -> bool:
        """Read what was appended since; whether there was something."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if self._end:
                raise StageError(self._gone()) from None
            return False
        try:
            return self._read(descriptor)
        finally:
            os.close(descriptor)

    def append(self, decision: Decision) -> None:
        """Write a decision and force it to the disk. OSError where that cannot be done: then the
        file is as it was. StageError where the file is gone, or damaged by somebody else."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._end and not self.path.exists():
            raise StageError(self._gone())
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._read(descriptor)
            self._end_line(descriptor)
            new = not self._end
            lines = [write_line(Header(dataset=self._dataset))] if new else []
            lines.append(write_line(decision))
            text = "".join(f"{line}\n" for line in lines).encode()
            os.ftruncate(descriptor, self._end)  # a torn line
            try:
                _write_at(descriptor, self._end, text)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, self._end)
                raise
            self._end += len(text)
            self.decisions.append(decision)
        finally:
            os.close(descriptor)
        if new:
            _sync_folder(self.path.parent)

    def _read(self, descriptor: int) -> bool:
        """What lies behind the end that is known; all of a file that is another or shorter."""
        found = os.fstat(descriptor)
        file = (found.st_dev, found.st_ino)
        anew = self._file not in (None, file) or found.st_size < self._end
        if anew:
            self._end, self.decisions = 0, []
        self._file = file
        return self._take(_read_from(descriptor, self._end)) or anew

    def _end_line(self, descriptor: int) -> None:
        """Keep a last line that lacks nothing but its end, as some editors leave it."""
        tail = _read_from(descriptor, self._end)
        try:
            read_decision(tail)
        except ValueError:
            return
        if self._end:
            _write_at(descriptor, self._end + len(tail), b"\n")
            self._take(tail + b"\n")

    def _gone(self) -> str:
        return f"{self.path} is gone: bring it back (git checkout), then go on"

    def _take(self, text: bytes) -> bool:
        whole = text.rpartition(b"\n")[0]
        lines = whole.split(b"\n") if whole else []
        for line in lines:
            number = len(self.decisions) + 1 + (self._end > 0)
            try:
                if not self._end:
                    self._require_own(line)
                else:
                    self.decisions.append(read_decision(line))
            except (ValidationError, ValueError) as error:
                said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
                raise StageError(
                    f"{self.path}: line {number} is no decision ({said}): bring a sound file back "
                    "(git checkout), or take that line out"
                ) from None
            self._end += len(line) + 1
        return bool(lines)

    def _require_own(self, line: bytes) -> None:
        of = Header.model_validate_json(line).dataset
        if of != self._dataset:
            raise StageError(
                f"{self.path} has decisions about the dataset {of}, expected {self._dataset}: "
                "move it away, or name it after its dataset"
            )


def _read_from(descriptor: int, start: int) -> bytes:
    size = os.fstat(descriptor).st_size
    out = bytearray()
    while start + len(out) < size:
        part = os.pread(descriptor, size - start - len(out), start + len(out))
        if not part:
            break
        out += part
    return bytes(out)


def _write_at(descriptor: int, at: int, text: bytes) -> None:
    done = 0
    while done < len(text):
        done += os.pwrite(descriptor, text[done:], at + done)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
