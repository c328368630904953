"""The figure of parameter importances by two evaluators."""

from typing import Any

import optuna
import plotly.graph_objects as go

from hpo.pages.plot_style import BLUE, ORANGE, message_figure, plot_text, styled
from hpo.results.importance import importance_obstacle, importance_shares, importance_title, importance_warning

COLOURS = {"PED-ANOVA": BLUE, "fANOVA": ORANGE}


def importance_figure(study: optuna.Study) -> Any:
    """A pair of bars for each parameter; where importances cannot be computed, a figure that says why."""
    title = importance_title(study)
    if obstacle := importance_obstacle(study):
        return message_figure(obstacle, title=title)
    shares = importance_shares(study)
    totals = {name: sum(of.get(name, 0.0) for of in shares.values()) for of in shares.values() for name in of}
    names = sorted(totals, key=lambda name: totals[name])
    # plotly draws the first trace lowest, and people read the legend from the top.
    bars = [_bars(evaluator, shares[evaluator], names) for evaluator in reversed(shares)]
    figure = go.Figure(bars)
    figure.update_xaxes(title_text="share of the importance", rangemode="tozero")
    figure.update_yaxes(ticks="", showgrid=False)
    styled(figure, title=title, height=150 + 46 * len(names))
    figure.update_layout(legend_traceorder="reversed", barmode="group", bargap=0.3)
    return figure.update_layout(title_subtitle_text=importance_warning(study))


def _bars(evaluator: str, shares: dict[str, float], names: list[str]) -> Any:
    values = [shares.get(name) for name in names]
    return go.Bar(
        x=values,
        y=[plot_text(name) for name in names],
        orientation="h",
        name=evaluator,
        marker_color=COLOURS[evaluator],
        text=["" if value is None else f"{value:.2f}" for value in values],
        textposition="outside",
        cliponaxis=False,
        hovertemplate=f"%{{y}}, {evaluator}: %{{x:.3f}}<extra></extra>",
    )
