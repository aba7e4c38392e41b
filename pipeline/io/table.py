"""Tables of text: columns written as csv that any reader gives back, whatever is in a name, and
those of people read, as spreadsheets write them."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import IO

import numpy as np

import store
from pipeline.params import StageError

PART = 4096  # rows that are text at once
SEPARATORS = (",", ";", "\t", "|")


def write_csv(
    file: IO[str], columns: Sequence[str], parts: Iterable[Sequence[np.ndarray]], digits: int = 0
) -> None:
    """Write a header and the rows of `parts`, each some rows of all columns, as arrays [row].

    Text is quoted where it has to be; lines end in a line feed. A float has `digits` places, or for
    0 the fewest that give it back.
    """
    # Python's csv before 3.13 leaves a lone carriage return unquoted, and readers end the line
    # there. So where one is, all text of that part is quoted.
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(columns)
    for part in parts:
        texts = [_text(column, digits) for column in part]
        names = [text for text in texts if text.dtype == object]
        odd = any("\r" in name for column in names for name in column)
        (quoted if odd else plain).writerows(zip(*texts, strict=True))


def in_parts(columns: Sequence[store.Strings]) -> Iterable[Sequence[np.ndarray]]:
    """Columns [row], a few rows at a time."""
    for start in range(0, len(columns[0]), PART):
        yield [column[start : start + PART] for column in columns]


def _text(values: np.ndarray, digits: int) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    return np.char.mod(f"%.{digits}f", values) if digits else values.astype(str)


def read_table(path: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """The `columns` of a table that a person made, a tuple a row, "" where a row ends before.

    Their names may be in capitals or have blanks around; fields are separated by commas,
    semicolons, tabs or bars, whichever gives all columns; UTF-8, or UTF-16 with its mark. Raises
    StageError for any other table.
    """
    text = _decoded(path)
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep="):  # a line of Excel's
        text = rest
    lines = text.lstrip("\r\n")
    heads = {sep: _fields(lines, sep) for sep in SEPARATORS}
    for sep, head in heads.items():
        named = [name.strip().casefold() for name in head]
        if not set(columns) <= set(named):
            continue
        twice = [name for name in columns if named.count(name) > 1]
        if twice:
            raise StageError(f"{path} has two columns {twice[0]}: leave one")
        spaced = any(name[:1] == " " for name in head[1:])
        return _rows(path, lines, sep, spaced, len(head), [named.index(name) for name in columns])
    most = max(heads.values(), key=len)
    found = ", ".join(name if name.isprintable() else ascii(name) for name in most) or "(none)"
    raise StageError(
        f"{path} has the columns {found}, expected {' and '.join(columns)}: name them so in its "
        "first line"
    )


def _decoded(path: Path) -> str:
    raw = path.read_bytes()
    try:
        utf16 = raw[:2] in (b"\xff\xfe", b"\xfe\xff") and not len(raw) % 2
        return raw.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise StageError(
            f"{path} is no CSV file in UTF-8 ({error.reason}): save it as one"
        ) from None


def _fields(text: str, sep: str) -> list[str]:
    try:
        return next(csv.reader(StringIO(text, newline=""), delimiter=sep), [])
    except csv.Error:
        return []


def _rows(
    path: Path, text: str, sep: str, spaced: bool, width: int, at: Sequence[int]
) -> list[tuple[str, ...]]:
    # strict: a quote that is never closed would swallow the rest of the table
    reader = csv.reader(
        StringIO(text, newline=""), delimiter=sep, skipinitialspace=spaced, strict=True
    )
    rows = []
    try:
        next(reader)
        for row in reader:
            if len(row) > width and any(row[width:]):
                raise StageError(
                    f"{path}, line {reader.line_num}: {len(row)} fields under {width} columns: put "
                    f"a text with {sep!r} in it in quotes"
                )
            if row:
                rows.append(tuple(row[i] if i < len(row) else "" for i in at))
    except csv.Error as error:
        raise StageError(
            f"{path}, line {reader.line_num}: no CSV ({error}): put a text with a quote in it in "
            "quotes, and write each of its own quotes twice"
        ) from None
    return rows
