"""The source `toyadmos:PATH`: the toy car of ToyADMOS (Koizumi and others, WASPAA 2019), as its authors publish it.

A take has one file for each of its four microphones. The files become one recording with the channels in the order of
the microphones. A take's id comes from its name and not from its folder, so it is the same in the tree and on the Hub.
A take with missing or contradicting files is skipped with the reason; a file that cannot be read is an error.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.data.digests import Digest, digest_of
from core.data.recordings import Corpus, Recording, Skipped
from core.errors import UserError
from core.sources.options import read_options
from core.sources.toyadmos.noise import with_noise
from core.sources.toyadmos.takes import OpenedTake, SingleTake, complete, listing, open_takes, without_doubles
from core.sources.toyadmos.tree import EXPECTED, NOISE_FOLDER, ListedTake, Tree, find_tree, list_tree

STYLES = ("IND", "CNT")
INCOMPLETE = ("leave_out", "fewer_microphones")


@dataclass(frozen=True, kw_only=True)
class ToyAdmosConfig:
    """The takes and microphones that are used, and the noise that is mixed in."""

    cases: Sequence[int] | None = None
    """Numbers of combinations of motor and bearing; None for all."""
    microphones: Sequence[int] | None = None
    """Numbers of microphones; None for all that occur in the chosen takes."""
    takes: Sequence[str] = ("IND",)
    """IND: a take is one run of the car. CNT: normal takes that are cut from long runs."""
    incomplete: Literal["leave_out", "fewer_microphones"] = "leave_out"
    """If takes lack a microphone: skips these takes, or uses only the microphones that every take has."""
    noise_snr_db: float | None = None
    """The power of the car relative to that of the noise; None for no noise."""
    noise_seed: int = 0
    """Another seed selects other stretches of noise."""

    def __post_init__(self) -> None:
        self._check_numbers("cases", lowest=1)
        self._check_numbers("microphones", lowest=0)
        if not _is_list(self.takes) or not self.takes or any(style not in STYLES for style in self.takes):
            raise UserError(f"data.takes must be a list of {' or '.join(STYLES)}, but got {self.takes!r}.")
        if self.incomplete not in INCOMPLETE:
            raise UserError(f"data.incomplete must be {' or '.join(INCOMPLETE)}, but got {self.incomplete!r}.")
        snr, seed = self.noise_snr_db, self.noise_seed
        if snr is not None and (not _is_number(snr) or not -100 <= snr <= 100):
            raise UserError(f"data.noise_snr_db must be a number from -100 to 100, but got {snr!r}.")
        if not _is_whole(seed) or not 0 <= seed < 2**63:
            raise UserError(f"data.noise_seed must be a whole number from 0 to {2**63 - 1}, but got {seed!r}.")

    def _check_numbers(self, name: str, *, lowest: int) -> None:
        numbers = getattr(self, name)
        if numbers is None:
            return
        if not _is_list(numbers) or not numbers or not all(_is_whole(n) and n >= lowest for n in numbers):
            raise UserError(f"data.{name} must be a list of whole numbers from {lowest}, but got {numbers!r}.")


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or isinstance(value, float)


def open_toyadmos(
    path: Path, options: Mapping[str, object], *, skip_bad_files: bool = False, digest_of: Digest = digest_of
) -> Corpus:
    """Lists the takes of a `ToyCar` folder. `path` is that folder or its parent. Reads headers, decodes nothing.

    `options` are fields of ToyAdmosConfig. Raises UserError for a wrong option, a folder of another kind, a name that
    contradicts its folder, and if no take can be used. Raises BadRecording for a file whose header cannot be read,
    unless `skip_bad_files`.
    """
    config = read_options(ToyAdmosConfig, options, source="toyadmos")
    tree = list_tree(find_tree(path))
    takes, doubled = without_doubles(_chosen(tree, config, path), tree.root, skip_bad_files=skip_bad_files)
    microphones = _microphones(takes, config)
    opened, left_out = _open(takes, microphones, tree.root, skip_bad_files=skip_bad_files, digest_of=digest_of)
    skipped = (*tree.skipped, *doubled, *left_out)
    if not opened:
        raise _nothing_found(path, skipped)
    recordings = tuple(take.recording for take in opened)
    if config.noise_snr_db is not None:
        noises, passed_over = _open_noises(tree, microphones, skip_bad_files=skip_bad_files, digest_of=digest_of)
        skipped = (*skipped, *passed_over)
        recordings = tuple(
            with_noise(recording, noises, snr_db=config.noise_snr_db, seed=config.noise_seed)
            for recording in recordings
        )
    description = _describe(recordings, microphones, config)
    return Corpus(name="toyadmos", description=description, recordings=recordings, skipped=skipped)


def _chosen(tree: Tree, config: ToyAdmosConfig, path: Path) -> list[ListedTake]:
    """The takes that the options select. Raises UserError for a selection that does not exist."""
    if not tree.takes:
        raise _nothing_found(path, tree.skipped)
    of_style = [take for take in tree.takes if take.style in config.takes]
    if not of_style:
        there = " and ".join(sorted({take.style for take in tree.takes}))
        asked = ", ".join(config.takes)
        raise UserError(f"data.takes must be of those in the tree, {there}, but got {asked}. Correct the list.")
    _check_there("cases", config.cases, {take.case for take in of_style})
    return [take for take in of_style if config.cases is None or take.case in config.cases]


def _check_there(name: str, asked: Iterable[int] | None, there: set[int]) -> None:
    missing = set(asked or ()) - there
    if missing:
        raise UserError(
            f"data.{name} must be among those of the takes, {listing(there)}, but got {listing(missing)}. "
            "Remove it from the list."
        )


def _microphones(takes: Sequence[SingleTake], config: ToyAdmosConfig) -> tuple[int, ...]:
    """The microphones that are used, in the order of the channels; empty without takes."""
    if not takes:
        return ()
    there = {number for take in takes for number in take.files}
    _check_there("microphones", config.microphones, there)
    wanted = set(config.microphones or there)
    if config.incomplete == "leave_out":
        return tuple(sorted(wanted))
    common = wanted.intersection(*(take.files for take in takes))
    if not common:
        poorest = min(takes, key=lambda take: len(wanted.intersection(take.files)))
        raise UserError(
            f"data.incomplete = 'fewer_microphones' must leave a microphone of {listing(wanted)} that every take has, "
            f"but got none: take {poorest.listed.take_id!r} has only {listing(poorest.files)}. Use 'leave_out'."
        )
    return tuple(sorted(common))


def _open(
    takes: Sequence[SingleTake], microphones: Sequence[int], root: Path, *, skip_bad_files: bool, digest_of: Digest
) -> tuple[list[OpenedTake], list[Skipped]]:
    whole, incomplete = complete(takes, microphones)
    opened, bad = open_takes(whole, microphones, root, skip_bad_files=skip_bad_files, digest_of=digest_of)
    return opened, [*incomplete, *bad]


def _open_noises(
    tree: Tree, microphones: Sequence[int], *, skip_bad_files: bool, digest_of: Digest
) -> tuple[list[OpenedTake], list[Skipped]]:
    noises, doubled = without_doubles(tree.noises, tree.root, skip_bad_files=skip_bad_files)
    opened, left_out = _open(noises, microphones, tree.root, skip_bad_files=skip_bad_files, digest_of=digest_of)
    skipped = [*doubled, *left_out]
    if not opened:
        raise UserError(
            f"data.noise_snr_db must be set only if {NOISE_FOLDER} has noise of all microphones that are used, "
            f"{listing(microphones)}, but it has none{_first_of(skipped)}. Remove it, or choose other microphones."
        )
    return opened, skipped


def _nothing_found(path: Path, skipped: Sequence[Skipped]) -> UserError:
    return UserError(
        f"Data folder must hold takes of ToyADMOS that can be used, with files such as {EXPECTED}, "
        f"but got none in {str(path)!r}{_first_of(skipped)}. Give the folder that holds them."
    )


def _first_of(skipped: Sequence[Skipped]) -> str:
    return f" ({len(skipped)} files or takes were skipped, the first: {skipped[0].reason})" if skipped else ""


def _describe(recordings: Sequence[Recording], microphones: Sequence[int], config: ToyAdmosConfig) -> str:
    cars = sorted({recording.machine for recording in recordings})
    noise = "" if config.noise_snr_db is None else f", with noise at {config.noise_snr_db:g} dB"
    takes = "1 take" if len(recordings) == 1 else f"{len(recordings)} takes"
    return f"{takes} of ToyADMOS, {', '.join(cars)}, microphones {listing(microphones)}{noise}"
