"""The heatmap of validation F1 over window and threshold: how sensitive the winner is to the two."""

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.decision.post_search import F1Surface, Point
from hpo.pages.formatting import number_text
from hpo.pages.parameter_axis import log_ticks
from hpo.pages.plot_style import F1_COLOURS, INK, WINNER_COLOUR, styled

NEAR = 0.02
"""A point is near the best when its F1 is at most this much lower."""
TITLE = "F1 over window and threshold"
BAR_TITLE = {"text": "validation F1", "side": "right", "font": {"size": 13}}


def surface_figure(surface: F1Surface, trial: int) -> Any:
    """A heatmap with a log axis of windows. It marks the trial's own point and the best point."""
    figure = go.Figure(_heatmap(surface))
    star = {"symbol": "star", "color": WINNER_COLOUR, "size": 17, "line": {"color": "white", "width": 1}}
    diamond = {"symbol": "diamond", "color": "white", "size": 12, "line": {"color": INK, "width": 2}}
    if surface.best.f1 > surface.own.f1:
        figure.add_trace(_mark(surface.best, "best of the grid", diamond))
    figure.add_trace(_mark(surface.own, f"trial {trial}", star))
    windows = surface.windows_ms
    ticks = sorted({float(windows[0]), *log_ticks(windows[0], windows[-1]), float(windows[-1])})
    ticks = [tick for tick in ticks if tick in (windows[0], windows[-1]) or _is_free(tick, windows)]
    figure.update_xaxes(
        title_text="window, ms", type="log", showgrid=False, tickangle=0,
        tickvals=ticks, ticktext=[number_text(tick) for tick in ticks],
    )  # fmt: skip
    figure.update_yaxes(title_text="threshold, sigmas", showgrid=False)
    return styled(figure, title=f"{TITLE} (trial {trial}, validation)", height=460)


def _is_free(tick: float, windows: Any) -> bool:
    """Whether the text of a round tick overlaps that of no edge."""
    span = math.log(windows[-1] / windows[0]) or 1.0
    return 0.07 < math.log(tick / windows[0]) / span < 0.93


def _heatmap(surface: F1Surface) -> Any:
    return go.Heatmap(
        z=np.round(surface.f1.T, 4),
        x=surface.windows_ms,
        y=np.round(surface.thresholds_sigmas, 4),
        colorscale=F1_COLOURS,
        colorbar={"title": BAR_TITLE, "thickness": 12, "outlinewidth": 0},
        hovertemplate="window %{x:.0f} ms, threshold %{y:.2f} sigmas<br>F1 <b>%{z:.3f}</b><extra></extra>",
        showlegend=False,
    )


def _mark(point: Point, name: str, marker: dict[str, Any]) -> Any:
    return go.Scatter(
        x=[point.window_ms],
        y=[point.threshold_sigmas],
        mode="markers",
        showlegend=True,  # plotly hides a legend with one entry
        marker=marker,
        name=f"{name} ({number_text(point.f1, decimals=3)})",
        hovertemplate=f"{name}: window %{{x:.0f}} ms, threshold %{{y:.2f}} sigmas<br>"
        f"F1 <b>{number_text(point.f1, decimals=3)}</b><extra></extra>",
    )


def surface_words(surface: F1Surface, trial: int) -> str:
    """The trial's point compared with the best one, and a warning that the best one is biased."""
    best, own = surface.best, surface.own
    num_near = int((surface.f1 >= best.f1 - NEAR).sum())
    verb = "is" if num_near == 1 else "are"
    reached = f"Of the {surface.f1.size:,} points of the grid, {num_near:,} {verb} within {NEAR} of the best."
    if best.f1 <= own.f1:
        return (
            f"Trial {trial} has {_place(own)}, and an F1 of {number_text(own.f1, decimals=3)}; no point of the grid "
            f"has more. All of them were judged with the validation labels. {reached}"
        )
    return (
        f"Trial {trial} has {_place(own)}, and an F1 of {number_text(own.f1, decimals=3)}. The best point of the grid, "
        f"{_place(best)}, has {number_text(best.f1, decimals=3)}. It was chosen with the validation labels, so a lower "
        f"F1 is likely on other takes. {reached}"
    )


def _place(point: Point) -> str:
    return (
        f"a window of {number_text(point.window_ms)} ms and a threshold of {number_text(point.threshold_sigmas)} sigmas"
    )
