"""--set NAME=VALUE: fixes a parameter of a search or changes a key of the study file, as if the file said so.

NAME is a parameter that can be searched, which is then fixed at VALUE, or a key of the study file with its table in
front (`training.epochs`). A table that a study may lack is left out by `splice=none`. What follows is checked as the
file is, and is part of the study's identity in the same way.
"""

import copy
import difflib
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from core.errors import UserError

Parameters = Mapping[str, Sequence[str]]
"""By the name of each parameter that can be searched: its table and its key there."""
NO_PARAMETERS: Parameters = MappingProxyType({})
NONE = "none"
"""The value that leaves out a table."""
NUM_NEAR_KEYS = 4
"""Known keys that are named for one that is not known."""


def with_assignments(
    table: Mapping[str, Any],
    assignments: Sequence[str],
    known: Iterable[str],
    *,
    tables: Collection[str] = (),
    parameters: Parameters = NO_PARAMETERS,
    what: str = "a parameter or a key of the study file",
) -> dict[str, Any]:
    """A study file's table with `assignments` made in their order; `known` are all dotted keys that a file may have,
    and `tables` the tables that it may lack. A parameter that is set is no longer searched. `what` is named in errors.

    UserError for an assignment without a name or a value and for a name that is not known.
    """
    changed, of_files = copy.deepcopy(dict(table)), {*known, *tables}
    for text in assignments:
        name, word = split_assignment(text)
        keys = of_files | _existing_keys(changed)
        if name not in parameters and name not in keys:
            raise _unknown(text, keys, parameters, what)
        key = assigned_key(text, parameters)
        _assign(changed, key, None if key in tables and word == NONE else value_of(word))
        for parameter in [each for each, place in parameters.items() if ".".join(place) == key]:
            changed.get("space", {}).pop(parameter, None)
    return changed


def split_assignment(text: str) -> tuple[str, str]:
    """Name and value of NAME=VALUE. UserError where one of them is missing."""
    name, separator, word = (part.strip() for part in text.partition("="))
    if not separator or not name or not word:
        raise UserError(f"--set must be NAME=VALUE, but got {text!r}. Write for example --set training.epochs=3.")
    return name, word


def assigned_key(text: str, parameters: Parameters) -> str:
    """The dotted key of the study file that an assignment sets."""
    name, _ = split_assignment(text)
    return ".".join(parameters[name]) if name in parameters else name


def value_of(word: str) -> Any:
    """A value as TOML reads it; a word that is no TOML is a string, so that quotes are not needed."""
    try:
        return tomllib.loads(f"value = {word}")["value"]
    except tomllib.TOMLDecodeError:
        return word


def _unknown(text: str, known: set[str], parameters: Parameters, what: str) -> UserError:
    name, _ = split_assignment(text)
    near = difflib.get_close_matches(name, sorted(known | set(parameters)), n=NUM_NEAR_KEYS, cutoff=0.5)
    named = [key for key in sorted(known) if key.rpartition(".")[2] == name]
    nearest = ", ".join(dict.fromkeys([*named, *near])) or ", ".join(parameters)
    return UserError(f"--set must name {what}, but got {text!r}. Near it: {nearest}.")


def _assign(table: dict[str, Any], key: str, value: Any) -> None:
    """Sets one key in place."""
    section, _, name = key.rpartition(".")
    inner = table
    if section:
        inner = table[section] = table.get(section) or {}  # a table that was left out before is made again
    inner[name] = value


def _existing_keys(table: Mapping[str, Any]) -> set[str]:
    """Dotted keys that the file has itself, a source's own options and searched ranges among them."""
    return {f"{section}.{name}" for section, inner in table.items() if isinstance(inner, Mapping) for name in inner} | {
        key for key, value in table.items() if not isinstance(value, Mapping)
    }
