"""What a kind of file is: its version, where it lies, its arrays and attributes."""

from typing import NamedTuple


class Array(NamedTuple):
    """One array of a kind: its dtype ("str" is UTF-8 of fixed length; one of several is "a or b"),
    named axes and meaning."""

    dtype: str
    axes: str
    meaning: str

    @property
    def ndim(self) -> int:
        return len(self.axes.split())


class Kind(NamedTuple):
    """One kind of file. A name with `*` stands for one array a setting (`0/assignment`, ...)."""

    version: int
    place: str
    arrays: dict[str, Array]
    attributes: tuple[str, ...]
