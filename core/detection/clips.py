"""Judges a long recording clip by clip, as the study judged its clips.

    clip 1   |context| frames . . . . . . |
    clip 2                      |context| frames . . . . . . |
    last                              |context| frames . . . . . . |     (the recording ends here)

Level, DC and smoothing are computed for each clip, because mu and sigma were measured on clips of this length. Clips
overlap by the context, which the network hears and does not score, so that their frames lie end to end. The last clip
is moved back by whole frames until it fits; a frame that two clips share keeps the higher of its thresholds.

The context at the beginning of the recording is not scored, nor is less than a frame at its end. Memory holds a batch
of clips, and 16 + 4 C bytes a frame: about 5 MB an hour for four channels.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from core.data.audio import Waveform
from core.data.recordings import BadRecording
from core.decision.checkpoint import Detector
from core.decision.levels import LevelsDbfs, LevelWarning, clip_levels, level_warnings
from core.decision.postprocess import Event, events
from core.decision.whole_recordings import clips_needed
from core.detection.clip_reasons import clip_reasons, reason_of
from core.detection.decision import RecordingDecision, RecordingEvent, healthy_scores_of
from core.detection.files import AudioStream, check_sound
from core.detection.frame_table import FrameTable
from core.detection.requirements import AudioRequirements
from core.errors import UserError
from core.model.clips_to_score import ClipsToScore
from core.model.scoring import INNOVATIONS, FrameScores, score_clips
from core.thread_pool import ThreadPool

BATCH_SAMPLES = 2**17
"""Per channel, of clips that are scored together: enough work for all threads, in bounded memory."""


def requirements_of(detector: Detector) -> AudioRequirements:
    """What recordings must be like for the detector to judge them."""
    return AudioRequirements(
        num_channels=detector.model.config.num_channels,
        channels=detector.channels,
        sample_rate_hz=detector.front_end.config.read_rate_hz,
        min_samples=detector.clip_samples,
    )


def judge_recording(
    audio: AudioStream, detector: Detector, machine: str, *, pool: ThreadPool, min_anomalous_clips: int | None = None
) -> RecordingDecision:
    """Judges a recording of any length by the calibration of `machine`, which the detector must know.

    Without `min_anomalous_clips` more than half of its clips make it anomalous, or one does where the detector's faults
    come and go (`Detector.faults_last`).

    Raises BadRecording where it cannot be judged. One reason is that a channel is silent for a whole clip, since its
    level cannot be matched. Another is a channel that is DEAD_DB quieter than every calibration clip in each of its
    clips: that microphone is dead, or the machine does not run. The network would hear amplified noise, so that
    "anomalous" would send somebody to the machine instead of the microphone, and "normal" would be worse.

    A recording that is only FAR_DB quieter, is quiet in some clips, or is too loud may come from another gain or from
    a fault. It is judged, and `level_warnings` says so.
    """
    rate_hz = detector.front_end.config.sample_rate_hz
    frame_samples = detector.scoring.frame_samples(rate_hz)
    frames = _judged_frames(audio, detector, machine, frame_samples, pool)
    num_clips = len(frames.clip_scores)
    num_needed = min_anomalous_clips or clips_needed(num_clips, faults_last=detector.faults_last)
    if num_clips < num_needed:
        raise BadRecording(
            f"Recording {audio.name!r} must hold at least {num_needed} clips of the detector's, since so many "
            f"must be anomalous, but holds {num_clips}. Record for longer, or ask for fewer."
        )
    first_s, frame_s = detector.context_samples / rate_hz, frame_samples / rate_hz
    threshold = detector.statistic.config.threshold_sigmas
    found = tuple(
        RecordingEvent(
            start_s=first_s + event.first_frame * frame_s,
            end_s=first_s + event.end_frame * frame_s,
            microphone=audio.microphones[frames.strangest_channel(event)],
            reason=reason_of(event, frames.reasons),
        )
        for event in _stitched(events(frames.thresholds, threshold), detector)
    )
    return RecordingDecision(
        name=audio.name,
        seconds=audio.seconds,
        num_channels=audio.num_channels,
        threshold_sigmas=threshold,
        clip_scores=tuple(frames.clip_scores),
        min_anomalous_clips=num_needed,
        healthy_scores=healthy_scores_of(detector, min_anomalous_clips),
        events=found,
        level_warnings=_checked_levels(audio.name, np.array(frames.clip_levels), detector, machine),
        sigmas=frames.sigmas,
        first_frame_s=first_s,
        frame_s=frame_s,
    )


def clip_first_frames(num_samples: int, *, clip_samples: int, context_samples: int, frame_samples: int) -> list[int]:
    """The frame, counted over the recording, with which each clip begins; there is room for one clip or more. All
    samples are those of the network."""
    last = (num_samples - clip_samples) // frame_samples
    frames_a_clip = (clip_samples - context_samples) // frame_samples
    return [*range(0, last, frames_a_clip), last]


def _judged_frames(
    audio: AudioStream, detector: Detector, machine: str, frame_samples: int, pool: ThreadPool
) -> FrameTable:
    decimation = detector.front_end.config.decimation
    spare_samples = detector.clip_samples % decimation  # at a clip's end: the network hears none of them
    firsts = clip_first_frames(
        (audio.num_samples - spare_samples) // decimation,
        clip_samples=detector.heard_clip_samples,
        context_samples=detector.context_samples,
        frame_samples=frame_samples,
    )
    num_frames = firsts[-1] + (detector.heard_clip_samples - detector.context_samples) // frame_samples
    frames = FrameTable.empty(audio.num_channels, num_frames)
    clips_a_batch = max(1, BATCH_SAMPLES // detector.clip_samples)
    clips = _clips(audio, [first * frame_samples * decimation for first in firsts], detector.clip_samples)
    for batch in (firsts[i : i + clips_a_batch] for i in range(0, len(firsts), clips_a_batch)):
        waveforms = np.stack([next(clips) for _ in batch])
        frames.clip_levels.extend(clip_levels(waveforms))
        scores = _scored(waveforms, [first * frame_samples for first in batch], detector, frame_samples, pool)
        judged = detector.statistic.judge(scores.of(detector.scoring.score), [machine] * len(batch))
        if not np.isfinite(judged.sigmas).all():
            raise UserError("The detector's scores must be finite, but are not: its file is damaged. Train it again.")
        for clip, first in enumerate(batch):
            frames.put(first, judged.thresholds[clip], judged.sigmas[clip], judged.channel_sigmas[clip])
        frames.reasons.extend(clip_reasons(detector, judged, scores, machine, batch))
    assert next(clips, None) is None, "no clip is left"  # and the audio is read to its end, where a change is seen
    return frames


def _scored(
    waveforms: Waveform, first_samples: list[int], detector: Detector, frame_samples: int, pool: ThreadPool
) -> FrameScores:
    """(N, C, T) clips that begin at these samples of the network's in the recording."""
    return score_clips(
        detector.model,
        ClipsToScore.encoded(detector.front_end, waveforms, first_samples),
        context_samples=detector.context_samples,
        frame_samples=frame_samples,
        sample_rate_hz=detector.front_end.config.sample_rate_hz,
        with_statistics=detector.scoring.score == INNOVATIONS,
        pool=pool,
    )


def _clips(audio: AudioStream, starts: list[int], clip_samples: int) -> Iterator[Waveform]:
    """(C, clip_samples) from each of the starts, which ascend by a clip's length at most."""
    pieces = audio.pieces()
    held, held_from = np.zeros((audio.num_channels, 0), np.float32), 0
    for start in starts:
        parts = [held[:, start - held_from :]]
        while sum(part.shape[1] for part in parts) < clip_samples:
            parts.append(next(pieces))
        held, held_from = np.hstack(parts), start
        clip = held[:, :clip_samples]
        where = f" from {start / audio.sample_rate_hz:.4g} to {(start + clip_samples) / audio.sample_rate_hz:.4g} s"
        check_sound(audio.name, clip.max(axis=1) == clip.min(axis=1), where, audio.microphones)
        yield clip
    for _ in pieces:
        pass


def _checked_levels(name: str, levels: LevelsDbfs, detector: Detector, machine: str) -> tuple[LevelWarning, ...]:
    """The warnings of levels (K, C) of K clips. Raises BadRecording where a channel is too quiet in all of them."""
    if detector.levels is None:
        return ()
    warnings = level_warnings(levels, detector.levels[machine], detector.microphones)
    for warning in warnings:
        if warning.dead_microphones:
            words = warning.describe(num_clips=len(levels), num_channels=levels.shape[1])
            raise BadRecording(
                f"Recording {name!r} must be about as loud as those that the detector was trained on, but got {words} "
                "Check the microphone, its gain, and whether the machine runs."
            )
    return warnings


def _stitched(found: Sequence[Event], detector: Detector) -> list[Event]:
    """Joins events over the borders of clips where the gap would have been filled inside a clip."""
    config = detector.statistic.config
    gap_frames = max(1, round(config.gap_ms / detector.statistic.frame_ms))
    stitched: list[Event] = []
    for event in found:
        if stitched and event.first_frame - stitched[-1].end_frame < gap_frames:
            event = Event(first_frame=stitched.pop().first_frame, end_frame=event.end_frame)
        stitched.append(event)
    return stitched
