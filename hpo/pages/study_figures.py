"""The plots of a whole study, of which its history is made here."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import optuna
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.decision.post_search import F1Surface
from hpo.pages.curves_figure import curves_figure, describe_trial
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

STATE_MARKS = {
    "pruned": {"symbol": "line-ns-open", "color": GREY, "size": 11, "line": {"width": 2}},
    "failed": {"symbol": "x-thin-open", "color": INK, "size": 8, "line": {"width": 2}},
    "running": {"symbol": "circle-open", "color": GREY, "size": 7},
    "waiting": {"symbol": "circle-open-dot", "color": GREY, "size": 7},
}


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
