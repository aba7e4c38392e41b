"""The names of many images, packed: a str takes a hundred bytes, its text a third of that."""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice, pairwise
from tempfile import TemporaryFile, gettempdir
from typing import IO, overload

import numpy as np

from images._listing import ImagesError

BLOCK = 65_536  # names that are text at once
IN_MEMORY = 1 << 26  # bytes, beyond which the text lies in a temporary file, mapped


class Names(Sequence[str]):
    """A sequence of str that is read from UTF-8, one name behind the other, where it is asked for.

    Four bytes an image stay in memory, of large collections no text.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Take them all, in their order, a block at a time."""
        self._first = [0]  # of the text of each block
        ends = [np.empty(0, np.uint32)]  # of each name, in the text of its block
        self._text = _packed(self._blocks(names, ends))
        self._ends = np.concatenate(ends)

    def _blocks(self, names: Iterable[str], ends: list[np.ndarray]) -> Iterator[bytes]:
        left = iter(names)
        while texts := [name.encode() for name in islice(left, BLOCK)]:
            ends.append(np.cumsum([len(text) for text in texts]).astype(np.uint32))
            self._first.append(self._first[-1] + int(ends[-1][-1]))
            yield b"".join(texts)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step != 1:
                return [self[i] for i in range(start, stop, step)]
            return list(self._between(start, stop))
        if not -len(self) <= at < len(self):
            raise IndexError(f"name {at} of {len(self)}")
        return next(self._between(at % len(self), at % len(self) + 1))

    def __iter__(self) -> Iterator[str]:
        return self._between(0, len(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        more = ", ..." if len(self) > 3 else ""
        return f"Names([{', '.join(map(repr, self[:3]))}{more}])"

    def _between(self, start: int, stop: int) -> Iterator[str]:
        while start < stop:
            number, low = divmod(start, BLOCK)
            high = min(BLOCK, low + stop - start)
            of_block = self._ends[number * BLOCK :]
            begin, first = int(of_block[low - 1]) if low else 0, self._first[number]
            ends = of_block[low:high].tolist()
            text = self._text[first + begin : first + ends[-1]].tobytes()
            for a, b in pairwise([begin, *ends]):
                yield text[a - begin : b - begin].decode()
            start += high - low


def _packed(blocks: Iterable[bytes]) -> np.ndarray:
    """uint8 [byte]: in memory, or mapped from a temporary file without a name."""
    kept, file = bytearray(), None
    with ExitStack() as files:
        for block in blocks:
            if file is None and len(kept) + len(block) > IN_MEMORY:
                file = files.enter_context(TemporaryFile(dir=_folder()))
                _write(file, kept)
            if file is None:
                kept += block
            else:
                _write(file, block)
        if file is None:
            return np.frombuffer(kept, np.uint8)
        return np.memmap(file, np.uint8, "r")


def _folder() -> str:
    """Where /tmp may be memory, which is what there is too little of, /var/tmp is not."""
    if "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK):
        return "/var/tmp"
    return gettempdir()


def _write(file: IO[bytes], data: bytes | bytearray) -> None:
    try:
        file.write(data)
        file.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise ImagesError(
            f"{_folder()}: no room for the names of the images: make room, or let TMPDIR name "
            "another folder"
        ) from error
