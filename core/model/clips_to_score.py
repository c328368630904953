"""Clips of one length, encoded for a network, with the waveforms that their own statistics are measured on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.data.audio import Waveform
from core.model.frame_statistics import NUM_OF_SOUND, FrameVectors, sound_statistics
from core.model.frontend import Codes, FrontEnd
from core.thread_pool import ThreadPool


@dataclass(frozen=True, kw_only=True)
class ClipsToScore:
    """N clips of one length, ready for the network."""

    codes: Codes
    """(N, C, T)."""
    waveforms: Waveform
    """(N, C, T * decimation) or a few samples more, before the front end."""
    first_samples: Sequence[int]
    """Where each clip begins in its recording, in samples of the network."""
    decimation: int = 1
    """Of the front end."""
    sound: FrameVectors | None = None
    """(N, C, F, NUM_OF_SOUND) statistics of the sound itself in the scored frames, where they have been measured: no
    network changes them."""

    def part(self, first: int, num_clips: int) -> "ClipsToScore":
        """Some of the clips, from `first` on."""
        some = slice(first, first + num_clips)
        return replace(
            self,
            codes=self.codes[some],
            waveforms=self.waveforms[some],
            first_samples=self.first_samples[some],
            sound=None if self.sound is None else self.sound[some],
        )

    def after(self, context_samples: int, num_samples: int) -> "ClipsToScore":
        """So many samples of every clip, after its context."""
        end = context_samples + num_samples
        return replace(
            self,
            codes=self.codes[..., context_samples:end],
            waveforms=self.waveforms[..., context_samples * self.decimation : end * self.decimation],
            first_samples=[first + context_samples for first in self.first_samples],
        )

    def with_sound(
        self, *, context_samples: int, frame_samples: int, sample_rate_hz: int, pool: ThreadPool
    ) -> "ClipsToScore":
        """With the statistics of the sound, for those who score the clips by one network after another."""
        num_samples = self.num_scored(context_samples, frame_samples)
        scored = self.after(context_samples, num_samples)
        num_frames = num_samples // frame_samples
        sound = np.empty((*self.codes.shape[:2], num_frames, NUM_OF_SOUND), np.float16)

        def measure(clip: int) -> None:
            sound[clip] = scored.sound_of(clip, frame_samples, sample_rate_hz)

        pool.map(measure, range(len(sound)))
        return replace(self, sound=sound)

    def sound_of(self, clip: int, frame_samples: int, sample_rate_hz: int) -> FrameVectors:
        """(C, F, NUM_OF_SOUND): kept, or measured in all samples of the clip. Frames and rate are the network's."""
        if self.sound is not None:
            kept: FrameVectors = self.sound[clip]
            return kept
        finer = self.decimation
        return sound_statistics(
            self.waveforms[clip], frame_samples=frame_samples * finer, sample_rate_hz=sample_rate_hz * finer
        )

    def num_scored(self, context_samples: int, frame_samples: int) -> int:
        """Samples of a clip in whole frames after its context."""
        num_samples: int = self.codes.shape[-1]
        return max(0, (num_samples - context_samples) // frame_samples) * frame_samples

    @classmethod
    def encoded(cls, front_end: FrontEnd, waveforms: Waveform, first_samples: Sequence[int]) -> "ClipsToScore":
        codes, decimation = front_end.encode(waveforms), front_end.config.decimation
        return cls(codes=codes, waveforms=waveforms, first_samples=first_samples, decimation=decimation)
