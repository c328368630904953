"""The plots of the objective over the parameters: parallel coordinates and slices."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.colors
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hpo.pages.formatting import number_text
from hpo.pages.parameter_axis import ParameterAxis
from hpo.pages.plot_style import BLUE, F1_COLOURS, INK, WINNER_COLOUR, message_figure, plot_text, styled
from hpo.results.winner import has_score
from hpo.search.trial_record import TrialRecord

SLICE_COLUMNS = 3


def parallel_coordinates_figure(
    records: Sequence[TrialRecord], axes: Mapping[str, ParameterAxis], winner: int | None, *, objective: str
) -> Any:
    """One line a complete trial, through its value and its parameters. Each axis has the whole range."""
    title = "Parallel coordinates"
    shown = sorted(_comparable(records, axes), key=lambda r: (r.number == winner, r.objective))
    if not shown:
        return message_figure("No trial is complete yet.", title=title)
    values = [r.objective for r in shown if r.objective is not None]
    value_axis = ParameterAxis(name=objective, low=min(values), high=max(values))
    figure = go.Figure()
    for record in shown:
        figure.add_trace(_trial_line(record, value_axis, axes, is_winner=record.number == winner))
    figure.add_trace(_colour_bar(value_axis))
    for index, axis in enumerate([value_axis, *axes.values()]):
        _draw_axis(figure, index, axis)
    names = [value_axis.name, *(plot_text(name) for name in axes)]
    figure.update_xaxes(
        tickvals=list(range(len(names))), ticktext=names, range=[-0.35, len(names) - 0.8], showgrid=False, ticks="",
        showline=False,
    )  # fmt: skip
    figure.update_yaxes(visible=False, range=[-0.04, 1.04])
    return styled(figure, title=title, height=400).update_layout(margin_b=36)


def _comparable(records: Sequence[TrialRecord], axes: Mapping[str, ParameterAxis]) -> list[TrialRecord]:
    """Complete trials with a finite objective and a value for every parameter."""
    return [r for r in records if has_score(r) and axes.keys() <= r.parameters.keys()]


def _trial_line(
    record: TrialRecord, value_axis: ParameterAxis, axes: Mapping[str, ParameterAxis], *, is_winner: bool
) -> Any:
    height = value_axis.position(record.objective)
    colour = WINNER_COLOUR if is_winner else plotly.colors.sample_colorscale(F1_COLOURS, [height])[0]
    facts = [f"trial {record.number}", f"{value_axis.name} {number_text(record.objective, decimals=3)}"]
    facts += [plot_text(f"{name} = {number_text(record.parameters[name])}") for name in axes]
    return go.Scatter(
        x=list(range(len(axes) + 1)),
        y=[height, *(axis.position(record.parameters[name]) for name, axis in axes.items())],
        mode="lines",
        line={"color": colour, "width": 3.5 if is_winner else 1.4},
        opacity=1 if is_winner else 0.75,
        name=f"winner (trial {record.number})",
        showlegend=is_winner,
        meta="<br>".join(facts),  # plotly.js shows a `text` that all points share as "-"
        hovertemplate="%{meta}<extra></extra>",
    )


def _colour_bar(axis: ParameterAxis) -> Any:
    """An invisible point that carries the colour scale."""
    marker = {"color": [axis.low], "cmin": axis.low, "cmax": axis.high, "colorscale": F1_COLOURS, "showscale": True}
    title = {"text": axis.name, "side": "right", "font": {"size": 13}}
    bar = {"title": title, "thickness": 12, "outlinewidth": 0}
    return go.Scatter(
        x=[None], y=[None], mode="markers", marker=marker | {"colorbar": bar}, showlegend=False, hoverinfo="skip"
    )


def _draw_axis(figure: Any, index: int, axis: ParameterAxis) -> None:
    figure.add_shape(type="line", x0=index, x1=index, y0=0, y1=1, line={"color": INK, "width": 1})
    for value, text in axis.ticks():
        figure.add_annotation(
            x=index, y=axis.position(value), text=plot_text(text), showarrow=False, xanchor="right", xshift=-4,
            font={"size": 11}, bgcolor="rgba(255,255,255,0.85)", borderpad=1,
        )  # fmt: skip


def slices_figure(
    records: Sequence[TrialRecord], axes: Mapping[str, ParameterAxis], winner: int | None, *, objective: str
) -> Any:
    """The objective of the complete trials against each parameter, with the winner and the default marked."""
    title = f"Slices: {objective} against each parameter"
    shown = [r for r in records if has_score(r)]
    if not shown or not axes:
        return message_figure("No trial is complete yet.", title=title)
    num_rows = math.ceil(len(axes) / SLICE_COLUMNS)
    figure = make_subplots(
        rows=num_rows, cols=min(SLICE_COLUMNS, len(axes)), shared_yaxes=True, horizontal_spacing=0.03,
        vertical_spacing=0.32 / num_rows,
    )  # fmt: skip
    for index, axis in enumerate(axes.values()):
        place = {"row": index // SLICE_COLUMNS + 1, "col": index % SLICE_COLUMNS + 1}
        for trace in _slice(shown, axis, winner, objective=objective, has_legend=index == 0):
            figure.add_trace(trace, **place)
        set_slice_axis(figure, axis, place)
    figure.update_yaxes(title_text=objective, col=1)
    return styled(figure, title=title, height=110 + 250 * num_rows)


def _slice(
    records: Sequence[TrialRecord], axis: ParameterAxis, winner: int | None, *, objective: str, has_legend: bool
) -> list[Any]:
    star = {"symbol": "star", "color": WINNER_COLOUR, "size": 15, "line": {"color": "white", "width": 1}}
    diamond = {"symbol": "diamond-open", "color": INK, "size": 11, "line": {"width": 2}}
    dot = {"color": BLUE, "size": 6, "opacity": 0.6}
    groups = {
        "complete trial": ([r for r in records if r.number not in (0, winner)], dot),
        "default (trial 0)": ([r for r in records if r.number == 0 != winner], diamond),
        f"winner (trial {winner})": ([r for r in records if r.number == winner], star),
    }
    return [
        go.Scatter(
            x=[_on_axis(r.parameters.get(axis.name), axis) for r in group],
            y=[r.objective for r in group],
            mode="markers",
            marker=marker,
            name=label,
            legendgroup=label,
            showlegend=has_legend,
            text=[f"trial {r.number}" for r in group],
            hovertemplate="%{text}<br>" + plot_text(axis.name) + f" = %{{x}}<br>{objective} %{{y:.3f}}<extra></extra>",
        )
        for label, (group, marker) in groups.items()
        if group
    ]


def _on_axis(value: Any, axis: ParameterAxis) -> Any:
    """A choice by its name: plotly does not find a number or a truth value among names."""
    return str(value) if axis.choices and value is not None else value


def set_slice_axis(figure: Any, axis: ParameterAxis, place: Mapping[str, int]) -> None:
    """Gives the x axis of one small plot the parameter's whole range, in its scale."""
    figure.update_xaxes(title_text=plot_text(axis.name), **place)
    if axis.choices:
        # With a range: plotly would show the choices that were tried and cut off the others.
        figure.update_xaxes(
            type="category", categoryorder="array", categoryarray=list(axis.choices),
            range=[-0.5, len(axis.choices) - 0.5], **place,
        )  # fmt: skip
        return
    # The whole searched range shows when trials crowd at an edge. A log axis counts in powers of ten.
    low, high = (math.log10(edge) if axis.is_log else edge for edge in (axis.low, axis.high))
    margin = 0.05 * (high - low) or 0.5
    ticks = axis.ticks()
    figure.update_xaxes(
        type="log" if axis.is_log else "linear", range=[low - margin, high + margin], tickangle=0,
        tickvals=[value for value, _ in ticks], ticktext=[text for _, text in ticks], **place,
    )  # fmt: skip
