"""Decisions of a person about the images of a dataset, a line of JSON each.

Images are told by the digest of their bytes and clusters by their most typical images, so that a
decision survives new pictures, other clusterings and other backbones. `review/DATASET.jsonl` holds
the lines: the first one says of which dataset they are, and none is ever changed; what was decided
wrongly is taken back by a line of its own (`undo`).
"""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

VERSION: Final = 1
Digest = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]  # BLAKE2b-128 of the bytes
LONGEST = 200  # characters of a category
Category = Annotated[str, Field(min_length=1, max_length=LONGEST)]
# decided: a person said so of this image; cluster: it has the name of a group it was put into,
# which nobody looked at one by one; undecided: it is again what its cluster is
Status = Literal["decided", "cluster", "unknown", "junk", "undecided"]
WITH_CATEGORY = ("decided", "cluster")


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Header(BaseModel):
    """The first line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    review: Literal[1] = VERSION
    dataset: str


class Place(_Line):
    """Put images into a category, or mark them as unknown or junk."""

    do: Literal["place"] = "place"
    images: tuple[Digest, ...]
    status: Status
    category: str = ""  # of status decided and cluster


class Cluster(BaseModel):
    """A cluster of one clustering, and images by which another clustering can tell it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: str  # fingerprint of the clustering
    number: int
    typical: tuple[Digest, ...]


class Name(_Line):
    """Give clusters a name; several of one name are merged. No category: take it away."""

    do: Literal["name"] = "name"
    clusters: tuple[Cluster, ...]
    category: str


class Rename(_Line):
    """Call a category by another name, or merge it into another one."""

    do: Literal["rename"] = "rename"
    category: Category
    to: Category


class Audit(_Line):
    """One image of a random audit: what it was called, and what it is."""

    do: Literal["audit"] = "audit"
    image: Digest
    called: str  # its category before; "": none
    status: Literal["decided", "unknown", "junk"]
    category: str = ""


Part = Annotated[Place | Name | Rename, Field(discriminator="do")]


class Together(_Line):
    """Several at once, in this order: they are taken back as one."""

    do: Literal["together"] = "together"
    of: Annotated[tuple[Part, ...], Field(min_length=1)]


class Undo(_Line):
    """Take back the last decision that stands."""

    do: Literal["undo"] = "undo"


class Redo(_Line):
    """Make the last one that was taken back stand again."""

    do: Literal["redo"] = "redo"


Decision = Place | Name | Rename | Audit | Together | Undo | Redo
_ADAPTER: TypeAdapter[Decision] = TypeAdapter(Annotated[Decision, Field(discriminator="do")])


def read_decision(line: str | bytes) -> Decision:
    """ValueError (pydantic's ValidationError) where the line is no decision."""
    decision = _ADAPTER.validate_json(line)
    for one in decision.of if isinstance(decision, Together) else (decision,):
        if isinstance(one, Place | Audit):
            has = bool(one.category.strip())
            if has != (one.status in WITH_CATEGORY):
                raise ValueError(f"status {one.status} with category {one.category!r}")
    return decision


def write_line(of: Decision | Header) -> str:
    """One line, without its end."""
    return of.model_dump_json()
