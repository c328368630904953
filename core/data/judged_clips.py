"""Which takes train and which are judged, and the clips that are cut from those that are judged."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from core.data.audio import AudioPart
from core.data.clips import ClipSet, read_clips, spread_over_strata
from core.data.data_config import DataConfig
from core.data.faults.injection import clips_with_faults
from core.data.recordings import Recording, Take
from core.data.splicing import check_sources, spliced_clips
from core.data.splits import Split, split_recordings
from core.errors import UserError

JUDGED = ("calibration", "validation", "test")
MIN_CALIBRATION_CLIPS = 2


def checked_split(recordings: Sequence[Recording], config: DataConfig) -> Split:
    """The split. UserError where there is none, or where validation or test have nothing to splice from."""
    parts = split_recordings(recordings, config.split, needs_anomalous=config.faults is None)
    for judged in (parts.validation, parts.test) if config.splice else ():
        check_sources(judged)
    return parts


def takes_by_part(takes: Iterable[Take], config: DataConfig) -> dict[str, list[Take]]:
    """The takes of train and of JUDGED, in the order of their ids. Raises UserError as `split_recordings` does."""
    by_id = {take.recording.recording_id: take for take in takes}
    parts = split_recordings(
        [take.recording for take in by_id.values()], config.split, needs_anomalous=config.faults is None
    )
    names = ("train", *JUDGED)
    by_part = {name: [by_id[recording.recording_id] for recording in getattr(parts, name)] for name in names}
    if config.split.calibration == "parts":
        by_part |= _cut_in_two(by_part["train"], config)
    return by_part


def _cut_in_two(takes: Sequence[Take], config: DataConfig) -> dict[str, list[Take]]:
    """The first part of each take for training and the last for calibration: whole clips, at least one in each."""
    parted: dict[str, list[Take]] = {"train": [], "calibration": []}
    for take in takes:
        num_clips = take.audio.num_samples // config.clip_samples
        if num_clips < 2:
            raise UserError(
                f"Recording {take.recording.recording_id!r} must hold two clips, one to train and one to calibrate "
                f"on, but lasts {take.recording.seconds:.1f} s. Shorten clips.clip_seconds."
            )
        num_calibration = min(max(1, round(num_clips * config.split.calibration_fraction)), num_clips - 1)
        border = (num_clips - num_calibration) * config.clip_samples
        parted["train"].append(_part(take, 0, border))
        parted["calibration"].append(_part(take, border, num_clips * config.clip_samples))
    return parted


def _part(take: Take, first: int, end: int) -> Take:
    return replace(take, audio=AudioPart(whole=take.audio, first=first, num_samples=end - first))


def choose_judged(by_part: Mapping[str, Sequence[Take]], config: DataConfig) -> dict[str, list[Take]]:
    """The takes that the budget has room for. Raises UserError if it is too small for all machines and labels."""
    return {name: spread_over_strata(by_part[name], config.max_takes(name), name) for name in JUDGED}


def judged_clips(takes: Sequence[Take], split_name: str, config: DataConfig) -> ClipSet:
    """Clips of the chosen takes of a judged split, as many of each as the budget allows.

    Raises UserError as `check_both_kinds` does.
    """
    max_clips = config.clips.max_clips(split_name)
    if config.splice and split_name != "calibration":
        clips = spliced_clips(takes, config.splice, config.clip_samples, config.sample_rate_hz, max_clips=max_clips)
    elif config.faults and split_name != "calibration":
        clips = clips_with_faults(takes, config.faults, config.clip_samples, config.sample_rate_hz, max_clips=max_clips)
    else:
        clips = read_clips(takes, config.clip_samples, config.sample_rate_hz, most=max_clips // len(takes))
    check_both_kinds([bool(is_anomalous) for is_anomalous in clips.is_anomalous], split_name)
    return clips


def check_both_kinds(are_anomalous: Sequence[bool], split_name: str) -> None:
    """Raises UserError if the clips of validation or test all contain a fault, or none does."""
    if split_name != "calibration" and len(set(are_anomalous)) == 1:
        kind = "a fault in each" if are_anomalous[0] else "none with a fault"
        raise UserError(
            f"The clips of {split_name} must be some with a fault and some without, but got {len(are_anomalous)} with "
            f"{kind}. Raise clips.evaluation_seconds, shorten clips.clip_seconds, or correct the events."
        )


def check_calibration(machines: Iterable[str]) -> None:
    """Raises UserError if a machine has one clip. `machines` has an item a clip of calibration.

    No spread can be measured on one clip if the window is as long as the clip.
    """
    machine, count = min(Counter(machines).items(), key=lambda item: item[1])
    if count < MIN_CALIBRATION_CLIPS:
        raise UserError(
            f"Calibration must have {MIN_CALIBRATION_CLIPS} clips or more of each machine, but {machine} has {count}. "
            "Raise clips.calibration_seconds or split.calibration_fraction, or shorten clips.clip_seconds."
        )
