"""A source's options, as a study file's [data] gives them, to the source's own configuration."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TypeVar

from core.errors import UserError

Config = TypeVar("Config")


def read_options(kind: type[Config], options: Mapping[str, object], *, source: str) -> Config:
    """The dataclass `kind` with these fields. Raises UserError for one that it does not have, and what it raises."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in options:
        if name not in known:
            raise UserError(
                f"data.{name} must be an option of the {source} source, but those are {', '.join(known)}. Remove it."
            )
    return kind(**options)
