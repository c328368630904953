"""The figure of one clip: spectrogram above, score below, and the events shaded over both.

T = samples, F = frames, B = frequency bins, K = columns of the spectrogram.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.detection.spectrogram_figure import spectrogram_heatmap
from hpo.pages.formatting import number_text
from hpo.pages.plot_style import BLUE, GREEN, INK, ORANGE, styled

SPECTRUM_MS = 64.0
"""Approximate length of one spectrum, which is a power of two of samples."""
MAX_SPECTRUM_SAMPLES = 1024
MAX_COLUMNS = 800
"""A screen shows no more columns. Neighbouring columns are averaged."""
FLOOR_DB = -120.0
"""Level that silence is drawn with."""
MAX_EVENTS_IN_TEXT = 12
FLAGGED = {"fillcolor": "rgba(230,159,0,0.22)", "line": {"color": ORANGE, "width": 1.2}}
LABELLED = {"line": {"color": GREEN, "width": 2.5}}
"""A frame without a fill, so that flagged events inside it stay visible."""


@dataclass(frozen=True, kw_only=True)
class ClipView:
    """One clip, with its scores and events."""

    title: str
    machine: str
    label: str
    condition: str
    """The fault, "normal", or "" where it is unknown."""
    waveform: npt.NDArray[np.float32]
    """(T,), full scale 1.0."""
    sample_rate_hz: int
    frame_ms: float
    scores: npt.NDArray[np.float64]
    """(F,) in sigmas. Frames that are not finite leave a gap, and the page counts them."""
    threshold_sigmas: float
    events: tuple[tuple[float, float, int | None], ...]
    """Start and end in seconds from the start of the clip, and the channel (from 1) with the alarm, None if unknown."""
    first_frame_s: float
    """Start of the first frame, which follows the receptive field."""
    labelled: tuple[tuple[float, float], ...] | None = None
    """Labelled spans of the fault, in seconds from the start of the clip; None where there are no such labels."""

    def __post_init__(self) -> None:
        assert self.waveform.ndim == 1, self.waveform.shape
        assert len(self.waveform) > 0, "an empty waveform"
        assert self.scores.ndim == 1, self.scores.shape
        assert self.frame_ms > 0, self.frame_ms
        assert self.sample_rate_hz > 0, self.sample_rate_hz

    @property
    def seconds(self) -> float:
        return len(self.waveform) / self.sample_rate_hz

    @property
    def frame_centres_s(self) -> npt.NDArray[np.float64]:
        """(F,)"""
        return self.first_frame_s + (np.arange(len(self.scores)) + 0.5) * self.frame_ms / 1000


@dataclass(frozen=True, kw_only=True)
class Spectrogram:
    """Level by time and frequency. A sine at full scale has 0 dB."""

    levels_db: npt.NDArray[np.float64]
    """(B, K), not below FLOOR_DB."""
    times_s: npt.NDArray[np.float64]
    """(K,) centres of the columns."""
    frequencies_hz: npt.NDArray[np.float64]
    """(B,)"""


def spectrogram(waveform: npt.NDArray[np.float32], sample_rate_hz: int) -> Spectrogram:
    """Short-time spectra with a Hann window. A waveform shorter than the window is padded with silence."""
    length = 2 ** round(np.log2(SPECTRUM_MS / 1000 * sample_rate_hz))
    length = int(min(max(length, 32), MAX_SPECTRUM_SAMPLES))
    hop = max(length // 4, len(waveform) // (4 * MAX_COLUMNS))
    padded = np.pad(waveform, (0, max(0, length - len(waveform))))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]  # (K, length)
    window = np.hanning(length + 1)[:-1]
    power = np.abs(np.fft.rfft(pieces * window) * 2 / window.sum()).T ** 2  # (B, K)
    times_s = (np.arange(power.shape[1]) * hop + length / 2) / sample_rate_hz
    power, times_s = _averaged(power), _averaged(times_s[None])[0]
    return Spectrogram(
        levels_db=10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10))),
        times_s=times_s,
        frequencies_hz=np.arange(length // 2 + 1) * sample_rate_hz / length,
    )


def _averaged(columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Means of neighbouring columns of (B, K), at most MAX_COLUMNS means. An incomplete last group is left out."""
    group = -(-columns.shape[1] // MAX_COLUMNS)
    whole = columns.shape[1] // group * group
    means: npt.NDArray[np.float64] = columns[:, :whole].reshape(len(columns), -1, group).mean(axis=2)
    return means


def clip_figures(clips: Sequence[ClipView]) -> list[Any]:
    """One figure a clip. The same colour means the same level in all of them, so that clips can be compared."""
    spectrograms = [spectrogram(clip.waveform, clip.sample_rate_hz) for clip in clips]
    loudest_db = max((float(s.levels_db.max()) for s in spectrograms), default=0.0)
    return [_clip_figure(clip, s, loudest_db) for clip, s in zip(clips, spectrograms, strict=True)]


def _clip_figure(clip: ClipView, image: Spectrogram, loudest_db: float) -> Any:
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.58, 0.42], vertical_spacing=0.04)
    heatmap = spectrogram_heatmap(image.levels_db, image.times_s, image.frequencies_hz, loudest_db=loudest_db)
    figure.add_trace(heatmap, row=1, col=1)
    for trace in _score_traces(clip):
        figure.add_trace(trace, row=2, col=1)
    # One update for all shapes, because plotly's add_shape copies the existing shapes on every call.
    flagged = [_span(start_s, end_s, FLAGGED) for start_s, end_s, _ in clip.events]
    labelled = [_span(start_s, end_s, LABELLED) for start_s, end_s in clip.labelled or ()]
    figure.update_layout(shapes=flagged + labelled)
    figure.update_xaxes(range=[0, clip.seconds])
    figure.update_xaxes(title_text="seconds", row=2, col=1)
    figure.update_yaxes(title_text="Hz", row=1, col=1)
    figure.update_yaxes(title_text="score, sigmas", row=2, col=1)
    return styled(figure, title=clip.title, height=460)


def _score_traces(clip: ClipView) -> list[Any]:
    threshold = {"color": INK, "width": 1.5, "dash": "dash"}
    traces = [
        go.Scatter(
            x=clip.frame_centres_s,
            y=[score if np.isfinite(score) else None for score in clip.scores],
            mode="lines",
            line={"color": BLUE, "width": 1.5},
            name="score",
            hovertemplate="%{x:.2f} s: %{y:.2f} sigmas<extra></extra>",
        ),
        go.Scatter(
            x=[0, clip.seconds], y=[clip.threshold_sigmas] * 2, mode="lines", line=threshold, hoverinfo="skip",
            name=f"threshold ({number_text(clip.threshold_sigmas)})",
        ),
    ]  # fmt: skip
    if clip.events:
        block = {"color": ORANGE, "size": 12, "symbol": "square", "opacity": 0.5}
        traces.append(go.Scatter(x=[None], y=[None], mode="markers", marker=block, name="flagged event"))
    if clip.labelled:
        frame = {"color": GREEN, "size": 11, "symbol": "square-open", "line": {"width": 2.5}}
        traces.append(go.Scatter(x=[None], y=[None], mode="markers", marker=frame, name="labelled event"))
    return traces


def _span(start_s: float, end_s: float, look: dict[str, Any]) -> dict[str, Any]:
    """An interval of the time axis over the whole height of both panels."""
    place = {"xref": "x", "x0": start_s, "x1": end_s, "yref": "paper", "y0": 0, "y1": 1}
    return {"type": "rect", **place, **look}


def clip_sentence(clip: ClipView) -> str:
    """The figure in words: the machine, the label, the events, and the frames without a finite score."""
    truth = f"{clip.label} ({clip.condition})" if clip.condition not in ("", clip.label) else clip.label
    sentence = f"Machine {clip.machine}, labelled {truth}: {_events_text(clip)}.{_labels_text(clip)}"
    num_gaps = int((~np.isfinite(clip.scores)).sum())
    if not len(clip.scores):
        return f"{sentence} The clip is too short for a score."
    return f"{sentence} {num_gaps} of {len(clip.scores)} frames have no finite score." if num_gaps else sentence


def _events_text(clip: ClipView) -> str:
    if not clip.events:
        return "no event"
    spans = [
        f"{start_s:.2f} to {end_s:.2f} s" + (f" (channel {channel})" if channel is not None else "")
        for start_s, end_s, channel in clip.events[:MAX_EVENTS_IN_TEXT]
    ]
    more = len(clip.events) - len(spans)
    count = f"{len(clip.events)} event{'s' if len(clip.events) > 1 else ''}"
    return f"{count}, " + ", ".join(spans) + (f" and {more} more" if more else "")


def _labels_text(clip: ClipView) -> str:
    if not clip.labelled:
        return ""
    spans = [f"{start_s:.2f} to {end_s:.2f} s" for start_s, end_s in clip.labelled[:MAX_EVENTS_IN_TEXT]]
    more = len(clip.labelled) - len(spans)
    return f" The labels place the fault at {', '.join(spans)}" + (f" and {more} more times." if more else ".")
