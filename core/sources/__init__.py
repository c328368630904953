"""Where recordings come from: one file a kind of source, all opened here."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.data.digests import Digest, RememberedDigests, digest_of
from core.data.recordings import Corpus, StreamedCorpus
from core.data.store import Store
from core.errors import UserError
from core.sources.folders.source import open_folder
from core.sources.hub.source import HubConfig, open_hub
from core.sources.simulated.source import SimulatedConfig, open_simulated
from core.sources.toyadmos.source import ToyAdmosConfig, open_toyadmos

KINDS = ("simulated", "folder:PATH", "toyadmos:PATH", "hub:OWNER/NAME", "hub:./PATH")
NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


def open_source(
    spec: str,
    *,
    options: Mapping[str, object] = NO_OPTIONS,
    skip_bad_files: bool = False,
    store: Store | None = None,
) -> Corpus | StreamedCorpus:
    """Lists the recordings of one of KINDS, or opens its stream; `options` is the study file's [data] without `source`.

    With a store, the digests of files are remembered in it. Raises UserError for a kind or an option that does not
    exist; what else it raises, the source says.
    """
    if spec == "simulated":
        return open_simulated(options)
    kind, _, place = spec.partition(":")
    if kind not in ("folder", "toyadmos", "hub") or not place:
        kinds = ", ".join(KINDS)
        raise UserError(f"Data source must be one of {kinds}, but got {spec!r}. Correct it, or name a folder.")
    if store is None:
        return _open(kind, place, options, skip_bad_files=skip_bad_files)
    digests = RememberedDigests(store.digests_file)
    scratch = None if store.is_read_only else store.streams_directory
    try:
        return _open(kind, place, options, skip_bad_files=skip_bad_files, digest_of=digests, scratch=scratch)
    finally:
        if not store.is_read_only:
            _save(digests, store)


def _save(digests: RememberedDigests, store: Store) -> None:
    try:
        digests.save()
    except OSError as error:
        raise store.unwritable(error) from error


def known_options(spec: str) -> frozenset[str]:
    """The options that a source of this kind has."""
    configs: Mapping[str, Any] = {"simulated": SimulatedConfig, "toyadmos": ToyAdmosConfig, "hub": HubConfig}
    kind = spec.partition(":")[0]
    return frozenset(field.name for field in fields(configs[kind])) if kind in configs else frozenset()


def choose_source(data: Mapping[str, Any], source: str | None, root: Path) -> dict[str, Any]:
    """A study file's [data] with the source that is used: its own, or `source` where the command line names one.

    Of the file's options those are kept that a source of its kind has. A path in a study file is relative to `root`,
    the project's, one on the command line to where the command is called.
    """
    given = str(data.get("source", "simulated"))
    if source is None:
        kind, colon, path = given.partition(":")
        is_path = colon and path and (kind != "hub" or path.startswith((".", "~")))
        return {**data, "source": f"{kind}:{root / Path(path).expanduser()}" if is_path else given}
    is_same_kind = source.partition(":")[0] == given.partition(":")[0]
    kept = {key: value for key, value in data.items() if is_same_kind or key in known_options(source)}
    return {**kept, "source": source}


def _open(
    kind: str,
    place: str,
    options: Mapping[str, object],
    *,
    skip_bad_files: bool,
    digest_of: Digest = digest_of,
    scratch: Path | None = None,
) -> Corpus | StreamedCorpus:
    if kind == "hub":
        return open_hub(place, options, digest_of=digest_of, scratch=scratch)
    path = Path(place).expanduser()
    if kind == "toyadmos":
        return open_toyadmos(path, options, skip_bad_files=skip_bad_files, digest_of=digest_of)
    if options:
        raise UserError(
            f"Data source 'folder:{place}' must have no options, but got {', '.join(options)}. Remove them from [data]."
        )
    return open_folder(path, skip_bad_files=skip_bad_files, digest_of=digest_of)
