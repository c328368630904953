"""Where recordings come from: one file a kind of source, all opened here."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from core.errors import UserError
from core.recordings import Corpus
from core.sources.folder import open_folder
from core.sources.simulated import open_simulated

KINDS = ("simulated", "folder:PATH")
NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


def open_source(spec: str, *, options: Mapping[str, object] = NO_OPTIONS, skip_bad_files: bool = False) -> Corpus:
    """Lists the recordings of `simulated` or `folder:PATH`; `options` is the study file's [data] without `source`.

    Raises UserError for a kind or an option that does not exist; what else it raises, the source says.
    """
    kind, _, path = spec.partition(":")
    if spec == "simulated":
        return open_simulated(options)
    if kind == "folder" and path:
        _check_no_options(spec, options)
        return open_folder(Path(path).expanduser(), skip_bad_files=skip_bad_files)
    raise UserError(f"Data source must be one of {', '.join(KINDS)}, but got {spec!r}. Correct it, or name a folder.")


def _check_no_options(spec: str, options: Mapping[str, object]) -> None:
    if options:
        raise UserError(
            f"Data source {spec!r} must have no options, but got {', '.join(options)}. Remove them from [data]."
        )
