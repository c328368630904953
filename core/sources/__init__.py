"""Where recordings come from: one file or folder a kind of source. This file opens all of them.

simulated            simulated/          the built-in toy car
folder:PATH          folders/            any folder of audio files
toyadmos:PATH        toyadmos/           the ToyADMOS tree
hub:OWNER/NAME       hub/                a data set of the Hugging Face Hub, streamed
"""

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.data.digests import CachedDigests, Digest, digest_of
from core.data.recordings import Corpus, StreamedCorpus
from core.data.store import Store
from core.errors import UserError
from core.sources.copies import without_copies
from core.sources.equal_level import EQUAL_LEVEL, check_equal_level, with_equal_level
from core.sources.folders.source import FolderConfig, open_folder
from core.sources.hub.source import HubConfig, open_hub
from core.sources.simulated.source import SimulatedConfig, open_simulated
from core.sources.toyadmos.source import ToyAdmosConfig, open_toyadmos
from core.sources.toyadmos.tree import looks_like_tree

KINDS = ("simulated", "folder:PATH", "toyadmos:PATH", "hub:OWNER/NAME", "hub:./PATH")
CONFIGS: Mapping[str, Any] = {
    "simulated": SimulatedConfig,
    "folder": FolderConfig,
    "toyadmos": ToyAdmosConfig,
    "hub": HubConfig,
}
"""The options of each kind."""
NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


def open_source(
    spec: str,
    *,
    options: Mapping[str, object] = NO_OPTIONS,
    skip_bad_files: bool = False,
    store: Store | None = None,
) -> Corpus | StreamedCorpus:
    """Lists the recordings of a source, or opens its stream. `spec` is one of KINDS or an existing path.

    `options` is the study file's [data] without `source`. A store remembers the digests of files. Raises UserError for
    a kind or an option that does not exist, and what the source raises.
    """
    own_options = {name: value for name, value in options.items() if name != EQUAL_LEVEL}
    is_equal = check_equal_level(options.get(EQUAL_LEVEL, False))
    corpus = _open_as_recorded(spec, options=own_options, skip_bad_files=skip_bad_files, store=store)
    if isinstance(corpus, Corpus):
        corpus = without_copies(corpus, skip_bad_files=skip_bad_files)
    return with_equal_level(corpus) if is_equal else corpus


def _open_as_recorded(
    spec: str, *, options: Mapping[str, object], skip_bad_files: bool, store: Store | None
) -> Corpus | StreamedCorpus:
    kind, _, place = with_kind(spec).partition(":")
    if kind == "simulated":
        return open_simulated(options)
    if store is None:
        return _open(kind, place, options, skip_bad_files=skip_bad_files)
    digests = CachedDigests(store.digests_file)
    scratch = None if store.is_read_only else store.streams_directory
    try:
        return _open(kind, place, options, skip_bad_files=skip_bad_files, digest_of=digests, scratch=scratch)
    finally:
        if not store.is_read_only:
            _save(digests, store)


def _save(digests: CachedDigests, store: Store) -> None:
    try:
        digests.save()
    except OSError as error:
        raise store.unwritable(error) from error


def with_kind(spec: str, root: Path = Path()) -> str:
    """`spec` with its kind in front: a path to an existing folder or manifest becomes `folder:` or `toyadmos:`.

    The path is relative to `root`. Raises UserError for a kind that does not exist.
    """
    kind, colon, place = spec.partition(":")
    if spec == "simulated" or (kind in CONFIGS and kind != "simulated" and place):
        return spec
    path = root / Path(spec).expanduser()
    if spec and os.path.exists(path):
        return f"toyadmos:{path}" if looks_like_tree(path) else f"folder:{path}"
    raise UserError(
        f"Data source must be one of {', '.join(KINDS)}, or the path of a folder, but got {spec!r}. "
        f"{_repair(kind, bool(colon), spec)}"
    )


def _repair(kind: str, has_colon: bool, spec: str) -> str:
    """The source that was probably meant."""
    if kind in CONFIGS and kind != "simulated":
        return f"Add the path after {kind}:."
    near = get_close_matches(kind.lower(), CONFIGS, n=1)
    if near and (has_colon or near[0] == "simulated"):
        return f"Did you mean {near[0]}{'' if near[0] == 'simulated' else spec[len(kind) :]}?"
    if not has_colon and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", spec):
        return f"There is no such folder; for a data set of the Hub, write hub:{spec}."
    return "Correct it." if has_colon else "There is no such folder: correct the path."


def known_options(spec: str) -> frozenset[str]:
    """The options of a source of this kind."""
    kind = spec.partition(":")[0]
    return frozenset({EQUAL_LEVEL, *(each.name for each in fields(CONFIGS[kind]))}) if kind in CONFIGS else frozenset()


def choose_source(data: Mapping[str, Any], source: str | None, root: Path) -> dict[str, Any]:
    """A study file's [data] with the source that is used: `source` from the command line, else the file's own.

    With another kind of source, only the options that this kind has are kept. A path in a study file is relative to
    `root`, the project's folder, and a path on the command line to the current folder.
    """
    given = str(data.get("source", "simulated"))
    if source is None:
        found = with_kind(given, root)
        if found != given:
            return {**data, "source": found}
        kind, _, path = given.partition(":")
        is_path = path and (kind != "hub" or path.startswith((".", "~")))
        return {**data, "source": f"{kind}:{root / Path(path).expanduser()}" if is_path else given}
    source = with_kind(source)
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
    opener = open_toyadmos if kind == "toyadmos" else open_folder
    return opener(Path(place).expanduser(), options, skip_bad_files=skip_bad_files, digest_of=digest_of)
