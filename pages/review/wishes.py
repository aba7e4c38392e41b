"""What the page posts to be decided, and the decisions that it comes to.

The page speaks of rows and groups, the file of digests and clusters, so that it holds elsewhere.
"""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pages.review.refused import Refused
from pages.review.view import View
from pipeline.review.decisions import (
    LONGEST,
    WITH_CATEGORY,
    Audit,
    Cluster,
    Decision,
    Name,
    Place,
    Redo,
    Rename,
    Status,
    Together,
    Undo,
)

TELL_BY = 20  # images by which another clustering tells a cluster


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PlaceRows(_Wish):
    do: Literal["place"]
    rows: list[int] = Field(min_length=1)
    status: Status
    category: str | None = None


class NameGroups(_Wish):
    do: Literal["name"]
    groups: list[str] = Field(min_length=1)
    category: str | None


class RenameCategory(_Wish):
    do: Literal["rename"]
    category: str
    to: str


class Several(_Wish):
    do: Literal["together"]
    of: list[Annotated[PlaceRows | NameGroups | RenameCategory, Field(discriminator="do")]] = Field(
        min_length=1
    )


class Step(_Wish):
    do: Literal["undo", "redo"]


class AuditRow(_Wish):
    row: int
    status: Literal["decided", "unknown", "junk"]
    category: str | None = None


Part = Place | Name | Rename
Wish = PlaceRows | NameGroups | RenameCategory | Several | Step
_ADAPTER: TypeAdapter[Wish] = TypeAdapter(Annotated[Wish, Field(discriminator="do")])
Make = Callable[[View], Decision]


def read_wish(body: bytes) -> Make:
    """What the body of a POST asks for, to be made of the view of that moment. Raises Refused."""
    try:
        wish = _ADAPTER.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"][:3])
        raise Refused(400, f"{where + ': ' if where else ''}{first['msg']}") from None
    if isinstance(wish, Step):
        return lambda view: _step(view, wish.do)
    wishes = wish.of if isinstance(wish, Several) else [wish]

    def make(view: View) -> Decision:
        parts = [part for one in wishes for part in _parts(view, one)]
        return parts[0] if len(parts) == 1 else Together(of=tuple(parts))

    return make


def _parts(view: View, wish: PlaceRows | NameGroups | RenameCategory) -> Sequence[Part]:
    if isinstance(wish, PlaceRows):
        return [_place(view, wish)]
    if isinstance(wish, NameGroups):
        return _name(view, wish)
    return [_rename(view, wish.category, checked(wish.to))]


def audited(wish: AuditRow) -> Make:
    """The answer of an audit."""

    def make(view: View) -> Decision:
        (image,) = _digests(view, [wish.row])
        category = _category_of(wish.status, wish.category)
        called = view.category(wish.row) or ""
        return Audit(image=image, called=called, status=wish.status, category=category)

    return make


def checked(name: str) -> str:
    """A category's name as it is kept: text of one line. Refused for one that cannot be."""
    found = " ".join(unicodedata.normalize("NFC", name).split())
    if not found:
        raise Refused(400, "the name is empty: write one")
    if len(found) > LONGEST:
        raise Refused(400, f"the name has {len(found)} characters, at most {LONGEST} can be")
    if not found.isprintable():
        raise Refused(400, "the name holds signs that cannot be shown: write it without them")
    return found


def _place(view: View, wish: PlaceRows) -> Place:
    category = _category_of(wish.status, wish.category)
    return Place(images=_digests(view, wish.rows), status=wish.status, category=category)


def _category_of(status: str, category: str | None) -> str:
    if status in WITH_CATEGORY:
        return checked(category or "")
    if category:
        raise Refused(400, f"{status} has no category, and {category[:40]!r} was given")
    return ""


def _digests(view: View, rows: Sequence[int]) -> tuple[str, ...]:
    many, digest = len(view.collection), view.collection.clustering.digest
    if not 0 <= min(rows) <= max(rows) < many:
        raise Refused(400, f"rows are 0 to {many - 1}: there are no others")
    return tuple(dict.fromkeys(digest[row] for row in rows))


def _name(view: View, wish: NameGroups) -> list[Part]:
    name = checked(wish.category) if wish.category else ""
    clusters, others = list[int](), list[str]()
    for key in dict.fromkeys(wish.groups):
        kind, _, rest = key.partition(":")
        known = view.collection.clustering.k
        if kind == "c" and rest.isascii() and rest.isdecimal() and int(rest) < known:
            clusters.append(int(rest))
        elif kind == "n" and rest in view.labels.categories:
            others.append(rest)
        else:
            raise Refused(404, f"there is no group {key[:60]!r}: it was renamed or emptied")
    if others and not name:
        named = {c for c, category in view.labels.of_cluster.items() if category in others}
        clusters += sorted(named - set(clusters))
        others = []
        if not clusters:
            raise Refused(400, "pictures were put there one by one: it is no cluster's name")
    made: list[Part] = [_rename(view, each, name) for each in others if each != name]
    if clusters:
        made.append(Name(clusters=tuple(_cluster(view, c) for c in clusters), category=name))
    if not made:
        raise Refused(409, f"it is called {name} already")
    return made


def _cluster(view: View, number: int) -> Cluster:
    clustering = view.collection.clustering
    rows = np.flatnonzero(clustering.assignment == number)
    order = np.argsort(view.collection.untypical[rows], kind="stable")[:TELL_BY]
    typical = tuple(clustering.digest[row] for row in rows[order].tolist())
    return Cluster(of=clustering.fingerprint, number=number, typical=typical)


def _rename(view: View, old: str, new: str) -> Rename:
    if old not in view.labels.categories:
        raise Refused(404, f"there is no category {old[:60]!r}")
    if old == new:
        raise Refused(409, f"it is called {new} already")
    return Rename(category=old, to=new)


def _step(view: View, do: str) -> Decision:
    if do == "undo":
        if not view.said.can_undo:
            raise Refused(409, "there is nothing to take back")
        return Undo()
    if not view.said.can_redo:
        raise Refused(409, "there is nothing to do again")
    return Redo()
