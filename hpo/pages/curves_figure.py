"""The curves of every trial of a study against epochs."""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from core.decision.healthy_prediction import HEALTHY_BITS_SAVED, HEALTHY_CORRELATION
from hpo.pages.event_metrics import EVENT_METRICS, event_metrics_in
from hpo.pages.formatting import number_text
from hpo.pages.plot_style import GREY, INK, WINNER_COLOUR, message_figure, plot_text, styled
from hpo.search.trial_record import TrialRecord

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

CURVE_STYLES = {
    "winner": {"color": WINNER_COLOUR, "width": 3.5},
    "default (trial 0)": {"color": INK, "width": 2.2, "dash": "dash"},
    "complete": {"color": "rgba(0,114,178,0.45)", "width": 1.3},
    "pruned": {"color": "rgba(138,148,158,0.55)", "width": 1},
    "failed": {"color": "rgba(34,39,43,0.6)", "width": 1, "dash": "dot"},
    "running": {"color": GREY, "width": 1},
}
"""In the order of the legend. Curves are drawn in the opposite order, so that the winner is on top."""


def describe_trial(record: TrialRecord) -> str:
    """The text under the pointer: the trial's number, state, value and parameters, with plotly's tags."""
    facts = [f"<b>trial {record.number}</b>, {record.state}"]
    if record.objective is not None:
        facts.append(f"objective {number_text(record.objective, decimals=3)}")
    facts += [plot_text(f"{name} = {number_text(value)}") for name, value in record.parameters.items()]
    return "<br>".join(facts)


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
