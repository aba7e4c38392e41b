"""What the page posts besides decisions, as checked models."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class _Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OpenRun(_Wanted):
    """Another clustering of the dataset."""

    backbone: str
    run: str
    setting: int = 0
    seed: int | None = None


class SplitGroup(_Wanted):
    """The parts of a group."""

    key: str
    parts: Annotated[int, Field(ge=2, le=12)] = 2


class SortRest(_Wanted):
    """Nothing is to be said of it."""
