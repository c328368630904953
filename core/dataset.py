"""Takes to clips by split: what every trial of a study trains on and is judged on. Made once, shared by all trials.

A clip is a stretch of fixed length, (C, T) float32 at the study's rate, and the unit of decision; a take is the unit
of splitting. Training clips cover their takes end to end; evaluation takes a bounded number, spread evenly, because
evaluation costs as much as training if nobody watches it.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.recordings import Corpus, Skipped, Take, Waveform, read_all
from core.splits import SplitConfig, split_recordings

MIN_CALIBRATION_CLIPS = 2


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """How much audio is cut from the takes."""

    clip_seconds: float = 3.0
    """Length of a clip. Takes must be at least as long."""
    evaluation_seconds: float = 120.0
    """Audio judged in validation, and as much again in test, after every epoch."""
    calibration_seconds: float = 60.0
    """Normal audio on which mu and sigma are measured after every epoch."""

    def __post_init__(self) -> None:
        if not self.clip_seconds > 0:
            raise UserError(f"clips.clip_seconds must be above 0, but got {self.clip_seconds}.")
        for name in ("evaluation_seconds", "calibration_seconds"):
            if not getattr(self, name) >= 2 * self.clip_seconds:
                raise UserError(
                    f"clips.{name} must be at least two clips ({2 * self.clip_seconds:g} s), "
                    f"but got {getattr(self, name)}."
                )


@dataclass(frozen=True, kw_only=True)
class ClipSet:
    """N clips of one length with what is known of each."""

    waveforms: Waveform
    """(N, C, T)."""
    recording_ids: tuple[str, ...]
    machines: tuple[str, ...]
    conditions: tuple[str, ...]
    starts_s: tuple[float, ...]
    """Where each clip begins in its take."""
    is_anomalous: npt.NDArray[np.bool_]
    """(N,)."""

    def __len__(self) -> int:
        return len(self.recording_ids)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Everything a trial needs of the data."""

    sample_rate_hz: int
    clip_seconds: float
    training: ClipSet
    calibration: ClipSet
    validation: ClipSet
    test: ClipSet
    takes_by_split: dict[str, int]
    """Number of takes of each split, before evaluation is bounded."""
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    """What a person should be told once: resampling, takes left out by the budget."""

    @property
    def num_channels(self) -> int:
        return int(self.training.waveforms.shape[1])

    @property
    def machines(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.training.machines)))


def prepare_dataset(
    corpus: Corpus, *, sample_rate_hz: int, clips: ClipConfig, split: SplitConfig, skip_bad_files: bool = False
) -> Dataset:
    """Reads every take once, splits by take, and cuts clips. UserError where the data cannot carry a study."""
    read = read_all(
        corpus, sample_rate_hz=sample_rate_hz, min_seconds=clips.clip_seconds, skip_bad_files=skip_bad_files
    )
    takes = {take.recording.recording_id: take for take in read.takes}
    parts = split_recordings([take.recording for take in read.takes], split)
    by_split = {
        name: [takes[recording.recording_id] for recording in getattr(parts, name)]
        for name in ("train", "calibration", "validation", "test")
    }
    clip_samples = round(clips.clip_seconds * sample_rate_hz)
    notes = list(read.notes)
    sets = {"training": cut_clips(by_split["train"], clip_samples, sample_rate_hz)}
    for name, seconds in (
        ("calibration", clips.calibration_seconds),
        ("validation", clips.evaluation_seconds),
        ("test", clips.evaluation_seconds),
    ):
        max_clips = int(seconds / clips.clip_seconds + 1e-9)
        chosen = _spread_over_strata(by_split[name], max_clips, name)
        if len(chosen) < len(by_split[name]):
            notes.append(f"{name}: {len(chosen)} of {len(by_split[name])} takes are judged, as the budget allows")
        sets[name] = cut_clips(chosen, clip_samples, sample_rate_hz, clips_per_take=max_clips // len(chosen))
    _check_calibration(sets["calibration"])
    return Dataset(
        sample_rate_hz=sample_rate_hz,
        clip_seconds=clips.clip_seconds,
        takes_by_split={name: len(members) for name, members in by_split.items()},
        skipped=corpus.skipped + read.skipped,
        notes=tuple(notes),
        **sets,
    )


def _check_calibration(clips: ClipSet) -> None:
    """A spread cannot be measured on one clip where the window is as long as the clip."""
    machine, count = min(Counter(clips.machines).items(), key=lambda item: item[1])
    if count < MIN_CALIBRATION_CLIPS:
        raise UserError(
            f"Calibration must have {MIN_CALIBRATION_CLIPS} clips or more of each machine, but {machine} has {count}. "
            "Raise clips.calibration_seconds or split.calibration_fraction, or shorten clips.clip_seconds."
        )


def cut_clips(
    takes: Sequence[Take], clip_samples: int, sample_rate_hz: int, *, clips_per_take: int | None = None
) -> ClipSet:
    """Clips that do not overlap: end to end, or at most clips_per_take spread evenly over the take."""
    pairs = [(take, start) for take in takes for start in _clip_starts(take, clip_samples, clips_per_take)]
    return ClipSet(
        waveforms=np.stack([take.waveform[:, start : start + clip_samples] for take, start in pairs]),
        recording_ids=tuple(take.recording.recording_id for take, _ in pairs),
        machines=tuple(take.recording.machine for take, _ in pairs),
        conditions=tuple(take.recording.condition for take, _ in pairs),
        starts_s=tuple(start / sample_rate_hz for _, start in pairs),
        is_anomalous=np.array([take.recording.label == "anomalous" for take, _ in pairs]),
    )


def _clip_starts(take: Take, clip_samples: int, clips_per_take: int | None) -> list[int]:
    num_samples = take.waveform.shape[-1]
    num_clips = num_samples // clip_samples
    if clips_per_take is None or clips_per_take >= num_clips:
        return [i * clip_samples for i in range(num_clips)]
    if clips_per_take == 1:
        return [(num_samples - clip_samples) // 2]
    return [int(start) for start in np.linspace(0, num_samples - clip_samples, clips_per_take)]


def _spread_over_strata(takes: Sequence[Take], max_clips: int, split_name: str) -> list[Take]:
    """All takes where the budget has a clip for each, else as many as it has, dealt in turn over (machine, label)."""
    if len(takes) <= max_clips:
        return list(takes)
    strata: dict[tuple[str, str], list[Take]] = defaultdict(list)
    for take in takes:
        strata[take.recording.machine, take.recording.label].append(take)
    if max_clips < len(strata):
        raise UserError(
            f"the budget for {split_name} must hold a clip of each of {len(strata)} groups of machine and label, "
            f"but holds {max_clips}. Raise clips.evaluation_seconds and clips.calibration_seconds."
        )
    dealt = chain.from_iterable(zip_longest(*strata.values()))
    return [take for take in dealt if take is not None][:max_clips]
