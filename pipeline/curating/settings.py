"""The settings of curate, and what a share of the images is as a number."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, field_validator

from pipeline.fitting.kmeans import Search
from pipeline.io.space import Count


def _amount(value: Any) -> int | float:
    """One line for what pydantic says of each part of a union."""
    if type(value) is int and value >= 1:
        return value
    if type(value) is float and 0 < value < 1:
        return value
    raise ValueError("expected a number of 1 or more, or a share between 0 and 1")


Amount = Annotated[int | float, PlainValidator(_amount)]  # a number, or a share
Least = Annotated[float, Field(ge=0, lt=1)]


class Params(Search):
    levels: Annotated[tuple[Amount, ...], Field(min_length=1)]  # clusters of each, finest first
    dims: Annotated[int, Field(ge=0)]  # leading principal components; 0: no projection
    resampling: Annotated[int, Field(ge=0)]
    nearest: Amount  # to each centroid, which are clustered anew; or of the mean cluster
    images: Amount  # to be chosen
    leaves: Literal["random", "nearest"]
    duplicates: Least | Literal["none"]  # cosines from 1 - this on
    outliers: Annotated[float, Field(gt=0)] | Literal["none"]  # deviations
    neighbors: Count  # of each image
    radius: Annotated[float, Field(ge=0)] | Literal["auto"]
    coverage_images: Count
    links: bool
    seed: int

    @field_validator("levels")
    @classmethod
    def _falls(cls, levels: tuple[int | float, ...]) -> tuple[int | float, ...]:
        """Of numbers and shares together the images decide."""
        for kind in (int, float):
            alike = [one for one in levels if isinstance(one, kind)]
            if any(low >= high for high, low in pairwise(alike)):
                raise ValueError("expected fewer clusters at each level than before: finest first")
        return levels


def number_of(amount: int | float, images: int) -> int:
    """An amount of so many images as a number, one at least."""
    return amount if isinstance(amount, int) else max(1, round(amount * images))


def numbers_of(amounts: Sequence[int | float], images: int) -> list[int]:
    """The same of several."""
    return [number_of(amount, images) for amount in amounts]
