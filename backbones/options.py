"""The options of a row of the zoo, checked as its loader declares them."""

from dataclasses import fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from backbones.row import ZOO, Backbone, BackboneError

Options = TypeVar("Options")


def checked_options(row: Backbone, kind: type[Options]) -> Options:
    """The options as a pydantic dataclass. Raises BackboneError: one is misspelt or mistyped."""
    try:
        return TypeAdapter(kind).validate_python(row.options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        declared: Any = kind
        known = ", ".join(field.name for field in fields(declared))
        raise BackboneError(
            f"{ZOO.name}: {row.name}: options.{where}: {first['msg']}; known: {known}"
        ) from None
