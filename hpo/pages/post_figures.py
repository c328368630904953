"""Plots of the search of post-processing: which choices mattered, and where the objective is high."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hpo.pages.importance_figure import importance_figure
from hpo.pages.parameter_axis import ParameterAxis
from hpo.pages.parameter_figures import SLICE_COLUMNS, set_slice_axis
from hpo.pages.plot_style import BLUE, GREY, SKY, WINNER_COLOUR, plot_text, styled
from hpo.results.post_study import PostPoint, PostSearch

SLICES_TITLE = "The objective over each choice of post-processing"
IMPORTANCE, SLICES = "post_importance", "post_slices"
NUM_BINS = 10
"""Bins of a numeric range."""
LEVELS = {"best": (1.0, BLUE), "best tenth reaches": (0.9, SKY), "median": (0.5, GREY)}
"""Lines of a slice: each with the quantile of its points, and its colour."""


def post_figures(found: PostSearch, study: optuna.Study) -> dict[str, Any]:
    """Both plots by name; the study holds all points."""
    title = f"Importance of post-processing ({len(found.points):,} points)"
    importance = importance_figure(study).update_layout(title_text=plot_text(title))
    return {IMPORTANCE: importance, SLICES: post_slices_figure(found)}


def post_slices_figure(found: PostSearch) -> Any:
    """The objective of the points by each parameter: the best point, the best tenth, and the median."""
    axes = [ParameterAxis.of(name, distribution) for name, distribution in found.space.items()]
    num_rows = math.ceil(len(axes) / SLICE_COLUMNS)
    figure = make_subplots(
        rows=num_rows, cols=min(SLICE_COLUMNS, len(axes)), shared_yaxes="all", horizontal_spacing=0.03,
        vertical_spacing=0.32 / num_rows,
    )  # fmt: skip
    for index, axis in enumerate(axes):
        place = {"row": index // SLICE_COLUMNS + 1, "col": index % SLICE_COLUMNS + 1}
        groups = grouped(found.points, axis)
        for level, (quantile, colour) in LEVELS.items():
            trace = _level(groups, axis, level, quantile, colour)
            figure.add_trace(trace.update(showlegend=index == 0), **place)
        figure.add_trace(_star(found.best, axis).update(showlegend=index == 0), **place)
        set_slice_axis(figure, axis, place)
        if axis.choices:  # plotly would rotate long names into the plot below
            names = [plot_text(choice).replace("_", "_<br>") for choice in axis.choices]
            figure.update_xaxes(tickangle=0, tickvals=list(axis.choices), ticktext=names, **place)
    figure.update_yaxes(title_text="objective", col=1)
    return styled(figure, title=SLICES_TITLE, height=110 + 250 * num_rows)


def grouped(points: Sequence[PostPoint], axis: ParameterAxis) -> dict[Any, list[float]]:
    """Values of the points by choice, or by bin of the range, in order. A bin is named by the median in it."""
    bins: dict[int, list[tuple[Any, float]]] = {}
    for point in points:
        value = point.parameters[axis.name]
        place = axis.position(value)
        index = axis.choices.index(str(value)) if axis.choices else min(max(int(place * NUM_BINS), 0), NUM_BINS - 1)
        bins.setdefault(index, []).append((value, point.value))
    return {_name(axis, [value for value, _ in bins[index]]): [f1 for _, f1 in bins[index]] for index in sorted(bins)}


def _name(axis: ParameterAxis, values: Sequence[Any]) -> Any:
    return str(values[0]) if axis.choices else float(np.median(values))


def _level(groups: Mapping[Any, Sequence[float]], axis: ParameterAxis, level: str, quantile: float, colour: str) -> Any:
    return go.Scatter(
        x=list(groups),
        y=[float(np.quantile(values, quantile)) for values in groups.values()],
        mode="markers" if axis.choices else "lines+markers",
        line={"color": colour, "width": 2},
        marker={"color": colour, "size": 11 if axis.choices else 5, "symbol": "circle"},
        name=level,
        legendgroup=level,
        hovertemplate=plot_text(axis.name) + f" %{{x}}: {level} <b>%{{y:.3f}}</b><extra></extra>",
    )


def _star(best: PostPoint, axis: ParameterAxis) -> Any:
    value = best.parameters[axis.name]
    return go.Scatter(
        x=[str(value) if axis.choices else value],
        y=[best.value],
        mode="markers",
        marker={"symbol": "star", "color": WINNER_COLOUR, "size": 14, "line": {"color": "white", "width": 1}},
        name="best point",
        legendgroup="best point",
        hovertemplate=plot_text(axis.name) + " %{x}: best point <b>%{y:.3f}</b><extra></extra>",
    )
