"""Waveforms in memory, judged as files are: resampled and quantised as a study does it. C channels, T samples."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.data.audio import HeldAudio, Waveform, quantise
from core.data.recordings import check_waveform, resample
from core.detection.files import LongAudio, Needs
from core.errors import UserError
from core.sources.audio_files import Header

NAME = "waveform"
"""For messages, where a file has its path."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WaveformInMemory(LongAudio):
    """What `judge_file` reads, without a file."""

    audio: HeldAudio

    def pieces(self) -> Iterator[Waveform]:
        yield self.audio.read()


def open_waveform(waveform: npt.ArrayLike, sample_rate_hz: int, needs: Needs) -> LongAudio:
    """(C, T), or (T,) for one channel, full scale 1.0. Raises BadRecording for silence, NaN and infinity, and UserError
    for another number of channels, a rate below the detector's, and less than one clip."""
    samples = np.atleast_2d(np.asarray(waveform, np.float32))
    if samples.ndim != 2 or len(samples) != needs.num_channels:
        raise UserError(
            f"The waveform must have the shape ({needs.num_channels}, T), as the detector has {needs.num_channels} "
            f"channels, but got {np.shape(waveform)}."
        )
    if sample_rate_hz < needs.sample_rate_hz:
        raise UserError(
            f"The rate must be at least {needs.sample_rate_hz} Hz, the detector's, but got {sample_rate_hz:g}. "
            "Record at a higher rate, or train a detector for this one."
        )
    check_waveform(samples, NAME)
    resampled = resample(samples, sample_rate_hz, needs.sample_rate_hz)
    if resampled.shape[1] < needs.min_samples:
        raise UserError(
            f"The waveform must be at least {needs.min_samples / needs.sample_rate_hz:.4g} s long, one clip of the "
            f"detector's, but got {samples.shape[1] / sample_rate_hz:.4g} s."
        )
    return WaveformInMemory(
        name=NAME,
        header=Header(num_channels=len(samples), sample_rate_hz=sample_rate_hz, num_samples=samples.shape[1]),
        sample_rate_hz=needs.sample_rate_hz,
        num_samples=resampled.shape[1],
        peaks=np.abs(resampled).max(axis=1, keepdims=True),
        audio=quantise(resampled),
    )
