"""`survey --listen`: how strange each healthy recording is to the other healthy ones of its machine.

A fault among the healthy recordings spoils everything that is learned from them. Each recording in turn is left out
and compared with the others, by the statistics of the sound itself (core/model/frame_statistics.py) and the rule of
core/decision/normal_sound.py, without any network. Nothing is removed: a strange recording may be the only one of a
cold engine, which a detector has to know.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from core.data.audio import Waveform
from core.data.clips import read_clips
from core.data.decoding import read_all
from core.data.recordings import Corpus
from core.data.store import Store
from core.decision.normal_sound import Array, LeftOut, NormalSound, compare_healthy
from core.decision.reasons import strongest_reasons
from core.errors import UserError
from core.model.frame_statistics import NUM_OF_SOUND, FrameVectors, num_statistics, sound_statistics
from core.model.frontend import FrontEndConfig

GROUPS = ("spectrum", "spectrum changes")
"""Of the statistics that need no network. The level is left out, because it says where the microphone stood. Modulation
is left out, because with it the odd take of the cars (docs/data.md) is third and not second. Changes by band were not
tried."""
FRAME_MS = 25
MAX_CLIPS = 8
"""Of a recording, spread evenly over it."""
MIN_OTHERS = 2
"""Recordings of the machine that one is compared with. Of two that differ, nobody can tell which one is strange."""


@dataclass(frozen=True, kw_only=True)
class HealthyRecording:
    """How strange a healthy recording is to the others."""

    recording_id: str
    machine: str
    sigmas: float
    """The mean over its clips."""
    reason: str
    """What differs most, in words."""


def strangest_first(
    corpus: Corpus, *, sample_rate_hz: int, clip_seconds: float, skip_bad_files: bool, store: Store | None
) -> list[HealthyRecording]:
    """Every healthy recording of the machines that have enough of them. UserError if there is none."""
    if clip_seconds < FRAME_MS / 1000:
        raise UserError(
            f"clips.clip_seconds must be at least {FRAME_MS / 1000} for --listen, but got {clip_seconds}. "
            "Take longer clips."
        )
    normal = _comparable(corpus)
    read = read_all(
        normal, sample_rate_hz=sample_rate_hz, min_seconds=clip_seconds, skip_bad_files=skip_bad_files, store=store
    )
    clips = read_clips(read.takes, round(clip_seconds * sample_rate_hz), sample_rate_hz, most=MAX_CLIPS)
    frames = np.stack([_sound_statistics(each, sample_rate_hz) for each in clips.waveforms])
    left_out = compare_healthy(frames, clips.machines, clips.recording_ids, groups=GROUPS, frame_ms=FRAME_MS)
    machines = dict(zip(clips.recording_ids, clips.machines, strict=True))
    found = _by_recording(left_out, np.array(clips.recording_ids), machines, sample_rate_hz)
    return sorted(found, key=lambda each: -each.sigmas)


def _comparable(corpus: Corpus) -> Corpus:
    """The healthy recordings of machines with enough of them."""
    normal = [each for each in corpus.recordings if each.label == "normal"]
    counts = {machine: sum(each.machine == machine for each in normal) for machine in {each.machine for each in normal}}
    recordings = tuple(each for each in normal if counts[each.machine] > MIN_OTHERS)
    if not recordings:
        most = max(counts.values(), default=0)
        raise UserError(
            f"--listen must have {MIN_OTHERS + 1} healthy recordings of a machine to compare with each other, but got "
            f"at most {most}. Record more, or leave it out."
        )
    return Corpus(name=corpus.name, description=corpus.description, recordings=recordings)


def _sound_statistics(waveform: Waveform, sample_rate_hz: int) -> FrameVectors:
    """(C, T) to (C, F, K), in which the statistics of a network are 0."""
    frame_samples = round(FRAME_MS * sample_rate_hz / 1000)
    heard = sound_statistics(waveform, frame_samples=frame_samples, sample_rate_hz=sample_rate_hz)
    num_predicted = num_statistics(len(waveform)) - NUM_OF_SOUND
    return np.pad(heard, [(0, 0), (0, 0), (num_predicted, 0)])


def _by_recording(
    left_out: LeftOut, recording_ids: np.ndarray, machines: dict[str, str], sample_rate_hz: int
) -> Iterator[HealthyRecording]:
    for recording_id, machine in machines.items():
        own = recording_ids == recording_id
        deviations = {name: each[own].mean(axis=0, keepdims=True) for name, each in left_out.deviations.items()}
        of_channel = _strangest_channel(deviations, left_out.normal)
        front_end = FrontEndConfig(sample_rate_hz=sample_rate_hz)
        reasons = strongest_reasons(of_channel, left_out.normal, front_end)
        yield HealthyRecording(
            recording_id=recording_id,
            machine=machine,
            sigmas=float(left_out.scores[own].mean()),
            reason=", and ".join(reason.words for reason in reasons),
        )


def _strangest_channel(deviations: Mapping[str, Array], normal: NormalSound) -> dict[str, Array]:
    """(1, C, statistics) by group to the (statistics,) of the channel with the highest score of its own."""
    by_channel = {name: np.moveaxis(each, 1, 0) for name, each in deviations.items()}
    strangest = normal.scores(by_channel).argmax()
    return {name: each[strangest, 0] for name, each in by_channel.items()}
