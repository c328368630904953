"""A long recording judged clip by clip, as the study judged its clips.

    clip 1   |context| frames . . . . . . |
    clip 2                      |context| frames . . . . . . |
    last                              |context| frames . . . . . . |     (the file ends here)

Level, DC and smoothing are a clip's own, since mu and sigma were measured on clips of this length. Clips overlap by the
context, which is heard but not scored, so that their frames lie end to end over the file. The last clip is moved back
by whole frames until it fits; a frame of two clips keeps the higher of its thresholds. So a file's score is the highest
of its clips, and a file of one clip has the score that a study gives this clip.

Not scored: the context at the beginning of the file, and less than a frame at its end. What is held: a batch of clips,
and 16 + 4 C bytes a frame, some 5 MB an hour for four channels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.data.audio import Waveform
from core.decision.checkpoint import Detector
from core.decision.postprocess import Event, Frames, events
from core.detection.files import LongAudio, Needs, check_sound
from core.model.scoring import Scores, score_clips
from core.thread_pool import ThreadPool

BATCH_SAMPLES = 2**17
"""Per channel, of clips that are scored together: work for all threads, and bounded memory."""


@dataclass(frozen=True, kw_only=True)
class HeardEvent:
    """A stretch of a file that is flagged."""

    start_s: float
    end_s: float
    microphone: int
    """From 1: the one whose own score is highest over the event."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FileJudgement:
    """What the detector says of one file. F frames over the whole file."""

    name: str
    seconds: float
    num_channels: int
    threshold_sigmas: float
    clip_scores: tuple[float, ...]
    """In sigmas, in order."""
    events: tuple[HeardEvent, ...]
    sigmas: Frames
    """(F,): the standardised score of each frame, microphones fused."""
    first_frame_s: float
    """When the first frame begins."""
    frame_s: float

    @property
    def score_sigmas(self) -> float:
        """The highest threshold at which an event survives in one of the clips; -inf where none has room for one."""
        return max(self.clip_scores)

    @property
    def num_anomalous_clips(self) -> int:
        return sum(score >= self.threshold_sigmas for score in self.clip_scores)

    @property
    def is_anomalous(self) -> bool:
        """Whether there is an event."""
        return self.score_sigmas >= self.threshold_sigmas


@dataclass(frozen=True, kw_only=True, eq=False)
class _FrameTable:
    """Everything that is known of the F frames of a file."""

    thresholds: Frames
    """(F,): the highest threshold at which the frame lies in a surviving event."""
    sigmas: Frames
    """(F,)"""
    channel_sigmas: Scores
    """(C, F) float32."""
    clip_scores: list[float]

    def put(self, first_frame: int, thresholds: Frames, sigmas: Frames, channel_sigmas: Frames) -> None:
        """A clip's frames; those that are there already stay where their threshold is higher."""
        self.clip_scores.append(float(thresholds.max()))
        place = slice(first_frame, first_frame + len(thresholds))
        wins = thresholds >= self.thresholds[place]
        self.thresholds[place][wins] = thresholds[wins]
        self.sigmas[place][wins] = sigmas[wins]
        self.channel_sigmas[:, place][:, wins] = channel_sigmas[:, wins]


def needs_of(detector: Detector) -> Needs:
    """What files must be like."""
    return Needs(
        num_channels=detector.model.config.num_channels,
        sample_rate_hz=detector.front_end.config.sample_rate_hz,
        min_samples=detector.clip_samples,
    )


def judge_file(audio: LongAudio, detector: Detector, machine: str, *, pool: ThreadPool) -> FileJudgement:
    """Judges a file of any length by the calibration of `machine`, which must be one that the detector knows.

    Raises BadRecording where a channel is silent for a whole clip: a level cannot be matched to that.
    """
    frame_samples = detector.scoring.frame_samples(audio.sample_rate_hz)
    frames = _judged_frames(audio, detector, machine, frame_samples, pool)
    first_s, frame_s = detector.context_samples / audio.sample_rate_hz, frame_samples / audio.sample_rate_hz
    threshold = detector.statistic.config.threshold_sigmas
    heard = tuple(
        HeardEvent(
            start_s=first_s + event.first_frame * frame_s,
            end_s=first_s + event.end_frame * frame_s,
            microphone=1 + int(frames.channel_sigmas[:, event.first_frame : event.end_frame].mean(axis=-1).argmax()),
        )
        for event in _stitched(events(frames.thresholds, threshold), detector)
    )
    return FileJudgement(
        name=audio.name,
        seconds=audio.seconds,
        num_channels=audio.header.num_channels,
        threshold_sigmas=threshold,
        clip_scores=tuple(frames.clip_scores),
        events=heard,
        sigmas=frames.sigmas,
        first_frame_s=first_s,
        frame_s=frame_s,
    )


def clip_first_frames(num_samples: int, *, clip_samples: int, context_samples: int, frame_samples: int) -> list[int]:
    """The frame, counted over the file, with which each clip begins; the file has room for one clip or more."""
    last = (num_samples - clip_samples) // frame_samples
    frames_a_clip = (clip_samples - context_samples) // frame_samples
    return [*range(0, last, frames_a_clip), last]


def _judged_frames(
    audio: LongAudio, detector: Detector, machine: str, frame_samples: int, pool: ThreadPool
) -> _FrameTable:
    firsts = clip_first_frames(
        audio.num_samples,
        clip_samples=detector.clip_samples,
        context_samples=detector.context_samples,
        frame_samples=frame_samples,
    )
    num_frames = firsts[-1] + (detector.clip_samples - detector.context_samples) // frame_samples
    frames = _FrameTable(
        thresholds=np.full(num_frames, -np.inf),
        sigmas=np.full(num_frames, np.nan),
        channel_sigmas=np.full((audio.header.num_channels, num_frames), np.nan, np.float32),
        clip_scores=[],
    )
    clips_a_batch = max(1, BATCH_SAMPLES // detector.clip_samples)
    clips = _clips(audio, [first * frame_samples for first in firsts], detector.clip_samples)
    for batch in (firsts[i : i + clips_a_batch] for i in range(0, len(firsts), clips_a_batch)):
        codes = detector.front_end.encode(np.stack([next(clips) for _ in batch]))
        scores = score_clips(
            detector.model, codes, context_samples=detector.context_samples, frame_samples=frame_samples, pool=pool
        )
        judged = detector.statistic.judge(scores.of(detector.scoring.score), [machine] * len(batch))
        for first, thresholds, sigmas, channels in zip(
            batch, judged.thresholds, judged.sigmas, judged.channel_sigmas, strict=True
        ):
            frames.put(first, thresholds, sigmas, channels)
    assert next(clips, None) is None, "no clip is left"  # and the file is read to its end, where a change is seen
    return frames


def _clips(audio: LongAudio, starts: list[int], clip_samples: int) -> Iterator[Waveform]:
    """(C, clip_samples) from each of the starts, which ascend by a clip's length at most."""
    pieces = audio.pieces()
    held, held_from = np.zeros((audio.header.num_channels, 0), np.float32), 0
    for start in starts:
        parts = [held[:, start - held_from :]]
        while sum(part.shape[1] for part in parts) < clip_samples:
            parts.append(next(pieces))
        held, held_from = np.hstack(parts), start
        clip = held[:, :clip_samples]
        where = f" from {start / audio.sample_rate_hz:.4g} to {(start + clip_samples) / audio.sample_rate_hz:.4g} s"
        check_sound(audio.name, clip.max(axis=1) == clip.min(axis=1), where)
        yield clip
    for _ in pieces:
        pass


def _stitched(found: Sequence[Event], detector: Detector) -> list[Event]:
    """Events over the borders of clips: gaps that would have been filled inside a clip are filled there, too."""
    config = detector.statistic.config
    gap_frames = max(1, round(config.gap_ms / detector.statistic.frame_ms))
    stitched: list[Event] = []
    for event in found:
        if stitched and event.first_frame - stitched[-1].end_frame < gap_frames:
            event = Event(first_frame=stitched.pop().first_frame, end_frame=event.end_frame)
        stitched.append(event)
    return stitched
