"""JSON that is written as it is made, a list a part at a time: it need not fit in memory."""

import json
from collections.abc import Iterable
from typing import IO, Any


def write_object(file: IO[str], facts: dict[str, Any], **lists: Iterable[list[Any]]) -> None:
    """Write an object of `facts`, and of lists that come in parts. A record a line; ValueError for
    a number that is not finite."""
    before = "{"
    for name, value in facts.items():
        file.write(f"{before}\n{_text(name)}: {_text(value)}")
        before = ","
    for name, parts in lists.items():
        file.write(f"{before}\n{_text(name)}: [")
        between = "\n"
        for part in parts:
            for record in part:
                file.write(between + _text(record))
                between = ",\n"
        file.write("]")
        before = ","
    file.write("}\n")


# Once: json.dumps makes one for each record
_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
