"""The plots of a whole study: its history, and the curves of every trial. Other files here plot the parameters."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import optuna
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.decision.healthy_prediction import HEALTHY_BITS_SAVED, HEALTHY_CORRELATION
from core.decision.post_search import F1Surface
from hpo.pages.event_metrics import EVENT_METRICS, event_metrics_in
from hpo.pages.evidence_figure import learning_curves_figure
from hpo.pages.formatting import is_missing, number_text
from hpo.pages.importance_figure import importance_figure
from hpo.pages.parameter_axis import parameter_axes
from hpo.pages.parameter_figures import parallel_coordinates_figure, slices_figure
from hpo.pages.plot_style import BLUE, GREY, INK, WINNER_COLOUR, message_figure, plot_text, styled
from hpo.pages.surface_figure import surface_figure
from hpo.results.winner import choose_winner, has_score
from hpo.search.study import objective_name
from hpo.search.trial_record import TrialRecord, trial_records

CURVES = {
    "test_loss": "test loss, bits per sample (never used for choosing)",
    "val_loss": "validation loss, bits per sample",
    "train_loss": "training loss, bits per sample",
    "val_bits_saved": "validation, bits per sample saved against prediction without memory",
    "test_bits_saved": "test, bits per sample saved against prediction without memory (never used for choosing)",
    "val_auc": "validation AUC of clips",
    "val_expected_f1": "expected F1 of validation clips",
    "val_balanced_f1": "balanced F1 of validation clips",
    "val_f1": "validation F1 of clips",
    "test_f1": "test F1 of clips (never used for choosing)",
}
"""Metrics of an epoch that the curves can show, with the title of the axis. The first is shown first; metrics of events
are added where trials have them."""

HEALTHY_CURVES = {
    HEALTHY_BITS_SAVED: "calibration, bits per sample saved on healthy sound that no gradient used",
    HEALTHY_CORRELATION: "calibration, correlation left in the innovations of healthy sound (0 is white)",
}
"""Metrics that epochs have where faults are injected."""

STATE_MARKS = {
    "pruned": {"symbol": "line-ns-open", "color": GREY, "size": 11, "line": {"width": 2}},
    "failed": {"symbol": "x-thin-open", "color": INK, "size": 8, "line": {"width": 2}},
    "running": {"symbol": "circle-open", "color": GREY, "size": 7},
    "waiting": {"symbol": "circle-open-dot", "color": GREY, "size": 7},
}
CURVE_STYLES = {
    "winner": {"color": WINNER_COLOUR, "width": 3.5},
    "default (trial 0)": {"color": INK, "width": 2.2, "dash": "dash"},
    "complete": {"color": "rgba(0,114,178,0.45)", "width": 1.3},
    "pruned": {"color": "rgba(138,148,158,0.55)", "width": 1},
    "failed": {"color": "rgba(34,39,43,0.6)", "width": 1, "dash": "dot"},
    "running": {"color": GREY, "width": 1},
}
"""In the order of the legend. Curves are drawn in the opposite order, so that the winner is on top."""


def study_figures(
    study: optuna.Study, *, result: Mapping[str, Any] | None = None, surface: F1Surface | None = None
) -> dict[str, Any]:
    """Every plot of the study by name, in the order of the report. A plot that cannot be drawn says why.

    The winner is that of the result, or of `choose_winner` without a result. The surface is that of the winner.
    """
    records = trial_records(study)
    winner = _winner_number(records, result)
    axes, objective = parameter_axes(study), f"validation {objective_name(study)}"
    figures = {
        "optimisation_history": history_figure(
            records, winner, objective=objective, f1_flag_everything=result["flagging_everything"] if result else None
        ),
        "loss_by_epoch": curves_figure(records, winner),
        "parameter_importance": importance_figure(study),
        "parallel_coordinates": parallel_coordinates_figure(records, axes, winner, objective=objective),
        "parameter_slices": slices_figure(records, axes, winner, objective=objective),
    }
    if surface is not None and winner is not None:
        figures["f1_surface"] = surface_figure(surface, winner)
    evidence = result and result["evidence"]
    if evidence and (curves := learning_curves_figure(evidence)):
        figures["learning_curves"] = curves
    return figures


def _winner_number(records: Sequence[TrialRecord], result: Mapping[str, Any] | None) -> int | None:
    if result is not None:
        return result["winner"]["trial"] if result["winner"] else None
    winner = choose_winner(records)
    return winner.number if winner else None


def describe_trial(record: TrialRecord) -> str:
    """The text under the pointer: the trial's number, state, value and parameters, with plotly's tags."""
    facts = [f"<b>trial {record.number}</b>, {record.state}"]
    if record.objective is not None:
        facts.append(f"objective {number_text(record.objective, decimals=3)}")
    facts += [plot_text(f"{name} = {number_text(value)}") for name, value in record.parameters.items()]
    return "<br>".join(facts)


def history_figure(
    records: Sequence[TrialRecord], winner: int | None, *, objective: str, f1_flag_everything: float | None
) -> Any:
    """The objective by trial with the best so far. A strip below shows the trials without a finite value."""
    title = "Optimisation history"
    if not records:
        return message_figure("The study has no trials yet.", title=title)
    complete = [r for r in records if has_score(r)]
    strip = _state_strip(records, complete)
    figure = make_subplots(
        rows=2 if strip else 1, cols=1, shared_xaxes=True, row_heights=[0.84, 0.16] if strip else [1],
        vertical_spacing=0.04,
    )  # fmt: skip
    for trace in _f1_traces(complete, winner, last_trial=records[-1].number, f1_flag_everything=f1_flag_everything):
        figure.add_trace(trace, row=1, col=1)
    for trace in strip:
        figure.add_trace(trace, row=2, col=1)
    if strip:
        figure.update_yaxes(type="category", showgrid=False, row=2, col=1)
    figure.update_yaxes(title_text=objective, row=1, col=1)
    figure.update_xaxes(
        title_text="trial", row=2 if strip else 1, col=1, tickformat="d", dtick=1 if len(records) <= 20 else None
    )
    return styled(figure, title=title, height=440)


def _f1_traces(
    complete: Sequence[TrialRecord], winner: int | None, *, last_trial: int, f1_flag_everything: float | None
) -> list[Any]:
    star = {"symbol": "star", "color": WINNER_COLOUR, "size": 17, "line": {"color": "white", "width": 1}}
    traces = [
        _best_so_far(complete, last_trial=last_trial),
        _scores(complete, name=f"complete ({len(complete)})", marker={"color": BLUE, "size": 7}),
        _scores([r for r in complete if r.number == winner], name=f"winner (trial {winner})", marker=star),
    ]
    if not is_missing(f1_flag_everything):
        name = f"flagging everything ({number_text(f1_flag_everything, decimals=3)})"
        line = {"dash": "dot", "color": INK, "width": 1}
        level = [f1_flag_everything] * 2
        traces.append(go.Scatter(x=[0, last_trial], y=level, mode="lines", line=line, name=name, hoverinfo="skip"))
    return traces


def _best_so_far(complete: Sequence[TrialRecord], *, last_trial: int) -> Any:
    numbers = [r.number for r in complete]
    best = list(accumulate((r.objective for r in complete if r.objective is not None), max))
    if best:  # The line ends at the last trial, in whatever state that trial is.
        numbers, best = [*numbers, last_trial], [*best, best[-1]]
    line = {"shape": "hv", "color": WINNER_COLOUR, "width": 1.5}
    return go.Scatter(x=numbers, y=best, mode="lines", line=line, name="best so far", hoverinfo="skip")


def _scores(records: Sequence[TrialRecord], *, name: str, marker: Mapping[str, Any]) -> Any:
    return go.Scatter(
        x=[r.number for r in records],
        y=[r.objective for r in records],
        mode="markers",
        marker=marker,
        name=name,
        text=[describe_trial(r) for r in records],
        hovertemplate="%{text}<extra></extra>",
        showlegend=bool(records),
    )


def _state_strip(records: Sequence[TrialRecord], complete: Sequence[TrialRecord]) -> list[Any]:
    """Marks of the trials without a finite value, one row for each state."""
    shown = {r.number for r in complete}
    traces = []
    for state in ("complete", *STATE_MARKS):
        group = [r for r in records if r.state == state and r.number not in shown]
        if not group:
            continue
        name = state if state != "complete" else "not finite"
        traces.append(
            go.Scatter(
                x=[r.number for r in group],
                y=[name] * len(group),
                mode="markers",
                marker=STATE_MARKS.get(state, STATE_MARKS["failed"]),
                name=f"{name} ({len(group)})",
                text=[describe_trial(r) + (f"<br>{plot_text(r.failure)}" if r.failure else "") for r in group],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    return traces


def curves_figure(records: Sequence[TrialRecord], winner: int | None) -> Any:
    """One line a trial over its epochs. It shows test loss first, and buttons choose another metric."""
    title = "Every trial's curves against epochs"
    shown = [r for r in records if r.epochs]
    if not shown:
        return message_figure("No trial has ended an epoch yet.", title=title)
    groups = {style: [r for r in shown if _style_of(r, winner) == style] for style in CURVE_STYLES}
    ordered = [(style, r) for style in reversed(CURVE_STYLES) for r in groups[style]]
    figure = go.Figure()
    for style, record in ordered:
        is_first = record is groups[style][0]
        figure.add_trace(_curve(record, style, num_in_group=len(groups[style]), is_first=is_first))
    figure.update_layout(updatemenus=[_metric_buttons([record for _, record in ordered])])
    longest = max(len(r.epochs) for r in shown)
    figure.update_xaxes(title_text="epoch", tickformat="d", dtick=1 if longest <= 20 else None)
    figure.update_yaxes(title_text=CURVES["test_loss"])
    styled(figure, title=title, height=560)
    figure.update_layout(legend_traceorder="reversed", legend_groupclick="togglegroup", margin_t=140)
    return figure.update_layout(modebar_orientation="v", margin_r=40)  # a horizontal one would cover the buttons


def _style_of(record: TrialRecord, winner: int | None) -> str:
    if record.number == winner:
        return "winner"
    if record.number == 0 and record.state == "complete":
        return "default (trial 0)"
    return record.state if record.state in CURVE_STYLES else "running"


def _curve(record: TrialRecord, style: str, *, num_in_group: int, is_first: bool) -> Any:
    name = f"winner (trial {record.number})" if style == "winner" else style
    return go.Scatter(
        x=[epoch["epoch"] for epoch in record.epochs],
        y=_values(record, "test_loss"),
        mode="lines+markers",
        line=CURVE_STYLES[style],
        marker={"size": 3 if style != "winner" else 6},
        name=f"{name} ({num_in_group})" if num_in_group > 1 else name,
        legendgroup=style,
        showlegend=is_first,
        meta=describe_trial(record),  # plotly.js shows a `text` that all points share as "-"
        hovertemplate="%{meta}<br>epoch %{x}: <b>%{y:.4f}</b><extra></extra>",
    )


def _values(record: TrialRecord, metric: str) -> list[float | None]:
    """The metric of each epoch; None, which plotly draws as a gap, where it is missing or not finite."""
    values = (epoch.get(metric) for epoch in record.epochs)
    return [value if value is not None and math.isfinite(value) else None for value in values]


def _metric_buttons(records: Sequence[TrialRecord]) -> dict[str, Any]:
    present = {name for record in records for epoch in record.epochs for name in epoch}
    healthy = {name: words for name, words in HEALTHY_CURVES.items() if name in present}
    shown = CURVES | healthy | {metric: EVENT_METRICS[metric] for metric in event_metrics_in(records)}
    buttons = [
        {
            "label": metric,
            "method": "update",
            "args": [{"y": [_values(r, metric) for r in records]}, {"yaxis.title.text": axis_title}],
        }
        for metric, axis_title in shown.items()
    ]
    return {
        "type": "buttons", "direction": "right", "buttons": buttons, "showactive": True, "active": 0,
        "x": 0, "xanchor": "left", "y": 1.12, "yanchor": "bottom", "pad": {"b": 4}, "bgcolor": "white",
        "bordercolor": "#c3cad0", "font": {"size": 12},
    }  # fmt: skip
