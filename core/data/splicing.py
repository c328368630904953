"""Splices stretches of faulty takes into clips of normal takes, for faults that last only a moment.

    normal   ------------------------\\          /----------------
                                      X  fades X
    faulty                           / --------- \
             |<- margin ->|          |<- event ->|   |<- margin ->|

For every machine, a share of the clips gets one stretch each, from a faulty take of that machine in the same part of
the split. The other clips stay normal. In each channel the stretch is as loud as what it replaces, so that it cannot be
detected by its loudness. The fades are inside the labelled event. They keep power and not amplitude, because the takes
are not in phase: the powers of both add, and a linear fade would leave a dip of 3 dB at each seam.

The choice of clips and stretches depends only on the seed, the takes' ids and the clip's number in its take. It is made
in seconds, so at another rate the same clips have the same stretches.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.data.audio import Waveform
from core.data.clips import ClipSet, clips_of_all, read_clips
from core.data.recordings import Recording, Take
from core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SpliceConfig:
    """Short faults in clips of validation and test. Training and calibration are not changed."""

    share: float = 0.5
    """The fraction of each machine's clips that get a stretch, rounded. Of two clips or more, some of each kind."""
    min_seconds: float = 0.5
    """The shortest stretch, fades included. Lengths are uniformly distributed up to the longest."""
    max_seconds: float = 3.0
    """The longest stretch."""
    crossfade_ms: float = 20.0
    """At each end of a stretch: a few periods of an idling engine, and much less than the tolerance of onsets."""
    margin_seconds: float = 0.5
    """The least normal sound before and after a stretch, because the beginning of a clip has no scores."""
    seed: int = 0
    """Selects the clips, the stretches and their places."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise UserError(f"splice.share must be above 0 and below 1, but got {self.share}.")
        if not self.crossfade_ms >= 0:
            raise UserError(f"splice.crossfade_ms must be 0 or more, but got {self.crossfade_ms}.")
        if not 2 * self.crossfade_ms / 1000 <= self.min_seconds or not self.min_seconds > 0:
            raise UserError(
                f"splice.min_seconds must be above 0 and hold two fades ({2 * self.crossfade_ms / 1000:g} s), "
                f"but got {self.min_seconds}."
            )
        if not self.min_seconds <= self.max_seconds < float("inf"):
            raise UserError(
                f"splice.max_seconds must be at least splice.min_seconds ({self.min_seconds}), "
                f"but got {self.max_seconds}."
            )
        if not self.margin_seconds >= 0:
            raise UserError(f"splice.margin_seconds must be 0 or more, but got {self.margin_seconds}.")
        if self.seed < 0:
            raise UserError(f"splice.seed must be 0 or more, but got {self.seed}.")

    def check_room(self, clip_seconds: float) -> None:
        """Raises UserError if the longest stretch does not fit into a clip."""
        needed = self.max_seconds + 2 * self.margin_seconds
        if clip_seconds < needed:
            raise UserError(
                f"clips.clip_seconds must hold splice.max_seconds and twice splice.margin_seconds ({needed:g} s), "
                f"but got {clip_seconds:g}. Make clips longer or stretches shorter."
            )

    def check_margin(self, context_seconds: float) -> None:
        """UserError where a stretch could begin in the first receptive field of a clip, which is not scored."""
        if self.margin_seconds < context_seconds:
            raise UserError(
                f"splice.margin_seconds must hold the largest receptive field ({context_seconds:g} s), "
                f"but got {self.margin_seconds:g}."
            )

    def describe(self) -> str:
        """One line to print."""
        return (
            f"in validation and test {self.share:.0%} of the clips, all of normal takes, have "
            f"{self.min_seconds:g} to {self.max_seconds:g} s of a faulty take spliced in"
        )


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """The stretch of one clip, in seconds."""

    source: Take
    source_start_s: float
    start_s: float
    """Counted from the start of the clip."""
    seconds: float


def check_sources(recordings: Iterable[Recording]) -> None:
    """UserError if no recording of a part is faulty, or if one has labelled events: it is faulty nowhere else."""
    faulty = [recording for recording in recordings if recording.label == "anomalous"]
    if not faulty:
        raise UserError("Takes to splice from must be faulty, but a part of the split has no faulty take. Add some.")
    labelled = min((each.recording_id for each in faulty if each.events is not None), default=None)
    if labelled is not None:
        raise UserError(
            f"Takes to splice from must be faulty from end to end, but {labelled!r} has labelled events. "
            "Leave [splice] out with --set splice=none: events are judged without it."
        )


def spliced_kinds(takes: Sequence[Take], config: SpliceConfig, clip_samples: int, *, max_clips: int) -> list[bool]:
    """For each clip of `spliced_clips`, in any order, whether it gets a stretch. Reads no samples, raises likewise."""
    normal, faulty = _normal(takes), _faulty_by_machine(takes)
    clips = clips_of_all(normal, clip_samples, most=max_clips // len(normal))
    counts = Counter(clip.take.recording.machine for clip in clips)
    num_spliced = sum(_num_spliced(counts[machine], config) for machine in faulty)
    return [index < num_spliced for index in range(len(clips))]


def spliced_clips(
    takes: Sequence[Take], config: SpliceConfig, clip_samples: int, sample_rate_hz: int, *, max_clips: int
) -> ClipSet:
    """Clips of the normal takes of a part, some of them with a stretch of one of its faulty takes.

    A clip with a stretch is anomalous, has the fault's condition, and its event is the stretch. A machine without a
    faulty take has only normal clips. `recording_ids` are those of the normal takes: a clip's score depends mostly on
    its own take, so that is what confidence intervals resample. Raises UserError as `check_sources` does.
    """
    normal, faulty = _normal(takes), _faulty_by_machine(takes)
    clips = read_clips(normal, clip_samples, sample_rate_hz, most=max_clips // len(normal))
    stretches = _draw(clips, faulty, config, clip_samples / sample_rate_hz)
    waveforms = clips.waveforms.copy()
    for index, stretch in stretches.items():
        waveforms[index] = splice(waveforms[index], stretch, sample_rate_hz, crossfade_ms=config.crossfade_ms)
    spliced = range(len(clips))
    return replace(
        clips,
        waveforms=waveforms,
        conditions=tuple(stretches[i].source.recording.condition if i in stretches else "normal" for i in spliced),
        is_anomalous=np.array([i in stretches for i in spliced]),
        events=tuple(_events(stretches.get(i), sample_rate_hz) for i in spliced),
    )


def splice(clip: Waveform, stretch: Stretch, sample_rate_hz: int, *, crossfade_ms: float) -> Waveform:
    """(C, T): the clip with the stretch in place of its own samples."""
    first, end = _span(stretch, sample_rate_hz)
    source_first = round(stretch.source_start_s * sample_rate_hz)
    fault = stretch.source.audio.read(source_first, source_first + end - first)
    mean = _mean(clip[:, first:end])
    replaced = clip[:, first:end] - mean  # otherwise the fades would amplify a constant offset
    fade_in = _fade(end - first, round(crossfade_ms / 1000 * sample_rate_hz))
    spliced = clip.copy()
    spliced[:, first:end] = mean + fade_in * _matched(fault, replaced) + np.sqrt(1 - fade_in**2) * replaced
    return spliced


def _matched(fault: Waveform, replaced: Waveform) -> Waveform:
    """The fault without its mean and at the RMS of the replaced sound, channel by channel; both (C, T)."""
    levels = [sound.std(axis=1, keepdims=True, dtype=np.float64) for sound in (fault, replaced)]
    gain = levels[1] / np.where(levels[0] > 0, levels[0], 1)
    matched: Waveform = ((fault - _mean(fault)) * gain).astype(np.float32)
    return matched


def _mean(waveform: Waveform) -> Waveform:
    """(C, 1)."""
    mean: Waveform = waveform.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    return mean


def _fade(num_samples: int, fade_samples: int) -> Waveform:
    """(num_samples,): the amplitude of the fault, which rises by a quarter sine, stays at 1 and falls again."""
    rise = np.sin(np.pi / 2 * (np.arange(fade_samples) + 0.5) / max(1, fade_samples))
    fade: Waveform = np.concatenate([rise, np.ones(num_samples - 2 * fade_samples), rise[::-1]]).astype(np.float32)
    return fade


def _draw(
    clips: ClipSet, faulty: Mapping[str, Sequence[Take]], config: SpliceConfig, clip_seconds: float
) -> dict[int, Stretch]:
    """The stretch of every clip that gets one, by the clip's index."""
    keys = _keys(clips, config.seed)
    stretches: dict[int, Stretch] = {}
    for machine, sources in faulty.items():
        of_machine = [index for index, name in enumerate(clips.machines) if name == machine]
        for index in sorted(of_machine, key=lambda index: keys[index])[: _num_spliced(len(of_machine), config)]:
            stretches[index] = _stretch(keys[index], sources, config, clip_seconds)
    return stretches


def _num_spliced(num_clips: int, config: SpliceConfig) -> int:
    """How many of a machine's clips get a stretch, where it has a faulty take."""
    return max(0, min(max(1, round(config.share * num_clips)), num_clips - 1))


def _stretch(key: int, sources: Sequence[Take], config: SpliceConfig, clip_seconds: float) -> Stretch:
    random = np.random.default_rng(key)
    source = sources[int(random.integers(len(sources)))]
    seconds = random.uniform(config.min_seconds, config.max_seconds)
    room = max(0.0, clip_seconds - 2 * config.margin_seconds - seconds)  # rounding may make it slightly negative
    return Stretch(
        source=source,
        source_start_s=random.uniform(0, source.recording.seconds - seconds),
        start_s=config.margin_seconds + random.uniform(0, room),
        seconds=seconds,
    )


def _keys(clips: ClipSet, seed: int) -> list[int]:
    """A pseudo-random number for each clip, from the seed, the take's id and the clip's number in the take."""
    seen: dict[str, int] = defaultdict(int)
    keys = []
    for name in clips.recording_ids:
        keys.append(int(hashlib.sha256(f"{seed}\t{name}\t{seen[name]}".encode()).hexdigest()[:32], 16))
        seen[name] += 1
    return keys


def _normal(takes: Sequence[Take]) -> list[Take]:
    return [take for take in takes if take.recording.label == "normal"]


def _faulty_by_machine(takes: Sequence[Take]) -> dict[str, list[Take]]:
    """The faulty takes of each machine, in the order of their ids. Raises UserError as `check_sources` does."""
    check_sources(take.recording for take in takes)
    faulty: dict[str, list[Take]] = defaultdict(list)
    for take in sorted(takes, key=lambda take: take.recording.recording_id):
        if take.recording.label == "anomalous":
            faulty[take.recording.machine].append(take)
    return faulty


def _span(stretch: Stretch, sample_rate_hz: int) -> tuple[int, int]:
    """The first sample and the end, which is excluded."""
    first = round(stretch.start_s * sample_rate_hz)
    return first, first + round(stretch.seconds * sample_rate_hz)


def _events(stretch: Stretch | None, sample_rate_hz: int) -> tuple[tuple[float, float], ...]:
    if stretch is None:
        return ()
    first, end = _span(stretch, sample_rate_hz)
    return ((first / sample_rate_hz, end / sample_rate_hz),)
