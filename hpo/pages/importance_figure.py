"""Both evaluators' importances as bars beside each other."""

from typing import Any

import optuna
import plotly.graph_objects as go

from hpo.pages.plot_style import BLUE, ORANGE, message_figure, plot_text, styled
from hpo.results.importance import importance_obstacle, importance_shares, importance_title, importance_warning

COLOURS = {"PED-ANOVA": BLUE, "fANOVA": ORANGE}


def importance_figure(study: optuna.Study) -> Any:
    """Both evaluators' shares as bars beside each other; a figure that says why where there are none."""
    title = importance_title(study)
    if obstacle := importance_obstacle(study):
        return message_figure(obstacle, title=title)
    shares = importance_shares(study)
    totals = {name: sum(of.get(name, 0.0) for of in shares.values()) for of in shares.values() for name in of}
    names = sorted(totals, key=lambda name: totals[name])
    # Bars grow upwards from the first trace, and the legend is read downwards.
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
