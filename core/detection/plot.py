"""The page of `detect --plot`: for each file its spectrogram, the score below it, and the events shaded over both.

The page is one HTML file that loads nothing else. C channels, T samples, F frames, B frequency bins, K columns: K and
the number of points of the score are bounded, however long a file is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.decision.postprocess import Frames
from core.detection.decision import RecordingDecision
from core.detection.files import AudioStream
from core.detection.spectrogram_figure import spectrogram_heatmap
from core.web_page.rendering import PageFigure, page_figure, template_environment

MAX_FILES = 30
"""More would make the page slow, because a browser draws all of them."""
SPECTRUM_MS = 64.0
"""Approximate length of one spectrum, which is a power of two of samples."""
MAX_SPECTRUM_SAMPLES = 512
MAX_COLUMNS = 600
MAX_POINTS = 2000
"""Points of the line of scores. Events that are less than one point apart are drawn as one event."""
MAX_EVENTS_IN_WORDS = 12
FLOOR_DB = -120.0
"""Level that silence is drawn with."""
BLUE, ORANGE, INK, GRID = "#0072B2", "#E69F00", "#22272b", "#e8ebee"

ENVIRONMENT = template_environment(Path(__file__).with_name("templates"))


@dataclass(frozen=True, kw_only=True, eq=False)
class FileView:
    """What is drawn of one file."""

    judgement: RecordingDecision
    levels_db: npt.NDArray[np.int8]
    """(B, K) of the mean power of the microphones; a sine at full scale has 0 dB."""
    times_s: Frames
    """(K,) centres of the columns."""
    frequencies_hz: Frames
    """(B,)"""


def view_of(audio: AudioStream, judgement: RecordingDecision) -> FileView:
    """Reads the file a second time, in pieces."""
    rate = audio.sample_rate_hz
    length = 2 ** round(np.log2(SPECTRUM_MS / 1000 * rate))
    length = min(length, MAX_SPECTRUM_SAMPLES, 2 ** int(np.log2(audio.num_samples)))
    hop = max(1, length // 4, audio.num_samples // (4 * MAX_COLUMNS))
    num_spectra = (audio.num_samples - length) // hop + 1
    num_columns = min(MAX_COLUMNS, num_spectra)
    power = np.zeros((num_columns, length // 2 + 1))
    centres = np.zeros((num_columns, 1))
    counts = np.zeros((num_columns, 1))
    for index, spectrum in enumerate(_spectra(audio, length, hop)):
        column = index * num_columns // num_spectra
        power[column] += spectrum
        centres[column] += (index * hop + length / 2) / rate
        counts[column] += 1
    levels = 10 * np.log10(np.maximum(power / counts, 10 ** (FLOOR_DB / 10)))
    return FileView(
        judgement=judgement,
        levels_db=np.round(levels.T).astype(np.int8),  # an eighth of the size; tenths of a dB are not visible
        times_s=np.round((centres / counts)[:, 0], 4),
        frequencies_hz=np.arange(length // 2 + 1) * rate / length,
    )


def _spectra(audio: AudioStream, length: int, hop: int) -> Iterator[Frames]:
    """(B,) power spectra with a Hann window of `length` samples; starts are `hop` samples apart."""
    window = np.hanning(length + 1)[:-1]
    window *= 2 / window.sum()
    held, first = np.zeros((audio.header.num_channels, 0), np.float32), 0
    for piece in audio.pieces():
        held = np.hstack([held, piece])
        while first + length <= held.shape[1]:
            yield (np.abs(np.fft.rfft(held[:, first : first + length] * window)) ** 2).mean(axis=0)
            first += hop
        passed = min(first, held.shape[1])
        held, first = held[:, passed:], first - passed


def most_striking(views: Sequence[FileView]) -> list[FileView]:
    """The MAX_FILES with the highest scores, in the order of the input."""
    ranked = sorted(views, key=lambda view: -view.judgement.score_sigmas)
    return [view for view in views if any(view is kept for kept in ranked[:MAX_FILES])]


@dataclass(frozen=True, kw_only=True)
class FileSection:
    """One file as the template shows it."""

    name: str
    decision: str
    summary: str
    figure: PageFigure


def page(views: Sequence[FileView], *, num_judged: int, num_refused: int, notes: Sequence[str] = ()) -> str:
    """The page's HTML. It says how many files are not shown, and why. `notes` are about the detector."""
    loudest_db = max((int(view.levels_db.max()) for view in views), default=0)
    shown = f"{num_judged} judged"
    if len(views) < num_judged:
        shown += f", the {len(views)} with the highest scores shown"
    if num_refused:
        shown += f", {num_refused} could not be judged"
    sections = [_section(index, view, loudest_db) for index, view in enumerate(views)]
    return ENVIRONMENT.get_template("detection.html.jinja").render(shown=shown, sections=sections, notes=notes)


def _section(index: int, view: FileView, loudest_db: int) -> FileSection:
    judgement = view.judgement
    return FileSection(
        name=judgement.name.encode(errors="replace").decode(),
        decision="anomalous" if judgement.is_anomalous else "normal",
        summary=(
            f"{judgement.score_sigmas:.2f} sigmas against a threshold of {judgement.threshold_sigmas:.2f}, "
            f"{judgement.num_anomalous_clips} of {len(judgement.clip_scores)} clips: "
            f"{f'{judgement.healthy_words}; ' if judgement.healthy_words else ''}{_events_text(judgement)}."
        ),
        figure=page_figure(_figure(view, loudest_db), name=f"file-{index}"),
    )


def _events_text(judgement: RecordingDecision) -> str:
    note = f"; {judgement.level_words}" if judgement.level_words else ""
    if not judgement.events:
        return f"no event{note}"
    spans = [
        f"{event.start_s:.2f} to {event.end_s:.2f} s"
        + (f" (microphone {event.microphone})" if judgement.num_channels > 1 else "")
        + (f": {event.reason}" if event.reason else "")
        for event in judgement.events[:MAX_EVENTS_IN_WORDS]
    ]
    others = len(judgement.events) - len(spans)
    return "; ".join(spans) + (f" and {others} more" if others else "") + note


def _figure(view: FileView, loudest_db: int) -> Any:
    judgement = view.judgement
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.58, 0.42], vertical_spacing=0.04)
    heatmap = spectrogram_heatmap(view.levels_db, view.times_s, view.frequencies_hz, loudest_db=loudest_db)
    figure.add_trace(heatmap, row=1, col=1)
    for trace in _score_traces(judgement):
        figure.add_trace(trace, row=2, col=1)
    # One update for all shapes, because plotly's add_shape copies the existing shapes on every call.
    figure.update_layout(
        shapes=[_event_shape(*span) for span in _drawn_spans(judgement)],
        height=430,
        plot_bgcolor="white",
        margin={"l": 64, "r": 24, "t": 40, "b": 48},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        font={"size": 13, "color": INK},
    )
    figure.update_xaxes(range=[0, judgement.seconds], gridcolor=GRID, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    figure.update_xaxes(title_text="seconds", row=2, col=1)
    figure.update_yaxes(title_text="Hz", row=1, col=1)
    figure.update_yaxes(title_text="score, sigmas", row=2, col=1)
    return figure


def _score_traces(judgement: RecordingDecision) -> Iterator[Any]:
    frames_a_point = -(-len(judgement.sigmas) // MAX_POINTS)
    firsts = np.arange(0, len(judgement.sigmas), frames_a_point)
    ends = np.minimum(firsts + frames_a_point, len(judgement.sigmas))
    yield go.Scatter(
        x=np.round(judgement.first_frame_s + (firsts + ends) / 2 * judgement.frame_s, 4),
        y=np.round(np.maximum.reduceat(judgement.sigmas, firsts), 4),
        mode="lines",
        line={"color": BLUE, "width": 1.5},
        name="score" if frames_a_point == 1 else f"score, highest of each {frames_a_point * judgement.frame_s:.3g} s",
        hovertemplate="%{x:.2f} s: %{y:.2f} sigmas<extra></extra>",
    )
    yield go.Scatter(
        x=[0, judgement.seconds],
        y=[judgement.threshold_sigmas] * 2,
        mode="lines",
        line={"color": INK, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
        name=f"threshold ({judgement.threshold_sigmas:.4g})",
    )
    if judgement.events:
        block = {"color": ORANGE, "size": 12, "symbol": "square", "opacity": 0.5}
        yield go.Scatter(x=[None], y=[None], mode="markers", marker=block, name="event")


def _drawn_spans(judgement: RecordingDecision) -> list[tuple[float, float]]:
    """Starts and ends of events. Events that a screen cannot separate are joined."""
    spans: list[tuple[float, float]] = []
    for event in judgement.events:
        if spans and event.start_s - spans[-1][1] < judgement.seconds / MAX_POINTS:
            spans[-1] = (spans[-1][0], event.end_s)
        else:
            spans.append((event.start_s, event.end_s))
    return spans


def _event_shape(start_s: float, end_s: float) -> dict[str, Any]:
    """A shaded interval over the whole height of both panels."""
    return {
        "type": "rect", "xref": "x", "x0": start_s, "x1": end_s, "yref": "paper", "y0": 0, "y1": 1,
        "fillcolor": "rgba(230,159,0,0.22)", "line": {"color": ORANGE, "width": 1.2},
    }  # fmt: skip
