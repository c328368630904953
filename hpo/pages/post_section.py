"""Post-processing searched over kept scores: the best point beside the winner, what mattered, and where F1 is high."""

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
from hpo.pages.report_tables import FIGURES, interval_text
from hpo.pages.web_page import (
    TEST_MARK,
    TEST_NOTE,
    Cell,
    Column,
    Row,
    duration_text,
    escaped,
    number_cell,
    number_text,
    paragraph,
    section,
    table,
    text_cell,
)
from hpo.results.post_study import PostPoint, PostSearch

TITLE = "Post-processing, searched without training"
SLICES_TITLE = "F1 over each choice of post-processing"
IMPORTANCE, SLICES = "post_importance", "post_slices"
NUM_BINS = 10
"""Of a numeric range."""
LEVELS = {"best": (1.0, BLUE), "best tenth reaches": (0.9, SKY), "median": (0.5, GREY)}
"""Lines of a slice: the quantile of the points there, and the colour."""
SHOWN = ("f1", "auc", "pauc")


def post_figures(found: PostSearch, study: optuna.Study) -> dict[str, Any]:
    """Both plots by a name fit for a file; the study holds all points."""
    title = f"Importance of post-processing ({len(found.points):,} points)"
    importance = importance_figure(study).update_layout(title_text=plot_text(title))
    return {IMPORTANCE: importance, SLICES: post_slices_figure(found)}


def post_slices_figure(found: PostSearch) -> Any:
    """F1 of the points by each parameter in turn: the best, what the best tenth reaches, and the median."""
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
        if axis.choices:  # long names would lie aslant, over the plot below
            names = [plot_text(choice).replace("_", "_<br>") for choice in axis.choices]
            figure.update_xaxes(tickangle=0, tickvals=list(axis.choices), ticktext=names, **place)
    figure.update_yaxes(title_text="validation F1", col=1)
    return styled(figure, title=SLICES_TITLE, height=110 + 250 * num_rows)


def grouped(points: Sequence[PostPoint], axis: ParameterAxis) -> dict[Any, list[float]]:
    """F1 of the points by choice, or by bin of the range, which is named by the median of its values; in order."""
    bins: dict[int, list[tuple[Any, float]]] = {}
    for point in points:
        value = point.parameters[axis.name]
        place = axis.position(value)
        index = axis.choices.index(str(value)) if axis.choices else min(max(int(place * NUM_BINS), 0), NUM_BINS - 1)
        bins.setdefault(index, []).append((value, point.f1))
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
        y=[best.f1],
        mode="markers",
        marker={"symbol": "star", "color": WINNER_COLOUR, "size": 14, "line": {"color": "white", "width": 1}},
        name="best point",
        legendgroup="best point",
        hovertemplate=plot_text(axis.name) + " %{x}: best point <b>%{y:.3f}</b><extra></extra>",
    )


def post_sections(result: Mapping[str, Any], plots: Mapping[str, str]) -> list[str]:
    """The section of the study's page; none where post-processing was not searched."""
    post = result.get("post")
    if post is None:
        return []
    parts = [
        paragraph(what_was_tried(post)),
        paragraph(post["optimism"], css="notice warning"),
        f"<p>{TEST_NOTE}</p>",
        f'<div class="columns"><div>{_figures_table(post["best"], result["winner"])}</div>'
        f"<div>{_parameters_table(post['best'])}</div></div>",
        "<h3>What mattered</h3>",
        *([paragraph(post["importance"])] if post["importance"] else []),
        plots[IMPORTANCE],
        f"<h3>{escaped(SLICES_TITLE)}</h3>",
        paragraph("Of the points with that choice, or in that tenth of the range, whatever the rest of theirs is."),
        plots[SLICES],
    ]
    return [section(TITLE, *parts)]


def what_was_tried(post: Mapping[str, Any]) -> str:
    trials = [str(number) for number in post["trials"]]
    of = f"trial {trials[0]}" if len(trials) == 1 else f"trials {', '.join(trials[:-1])} and {trials[-1]}"
    stored = ""
    if post["num_stored"] and post["num_stored"] < post["num_points"]:
        stored = f" Study {post['study']} of the Optuna dashboard holds {post['num_stored']:,} of them."
    elif post["num_stored"]:
        stored = f" They are study {post['study']} of the Optuna dashboard."
    ranges = "; ".join(f"{name} {words}" for name, words in post["ranges"].items() if name != "trial")
    return (
        f"{post['num_points']:,} points in {duration_text(post['seconds'])}, over the kept frame scores of {of}: "
        f"{ranges}. Thresholds are in sigmas of each choice's own scores, over one range for all.{stored}"
    )


def _figures_table(best: Mapping[str, Any], winner: Mapping[str, Any]) -> str:
    titles = ["", f"best point (trial {best['trial']})", f"winner (trial {winner['trial']}) as it is"]
    columns = [Column(title=title, is_number=bool(title)) for title in titles]
    rows = [
        Row(cells=[_label(split, key), _figure(best[split], key), _figure(winner[split], key)], css=split)
        for split in ("validation", "test")
        for key in SHOWN
    ]
    return table(columns, rows)


def _label(split: str, key: str) -> Cell:
    mark = TEST_MARK if split == "test" else escaped(split)
    return Cell(html=f"{mark} {escaped(FIGURES[key])}")


def _figure(figures: Mapping[str, Any], key: str) -> Cell:
    shown = escaped(number_text(figures.get(key), decimals=3))
    if interval := figures.get(f"{key}_interval"):
        shown = f'<span class="quiet">({interval_text(interval)})</span> {shown}'
    return Cell(html=shown)


def _parameters_table(best: Mapping[str, Any]) -> str:
    columns = [Column(title="", is_number=False), Column(title="best point"), Column(title="its trial's own")]
    rows = [
        Row(cells=[text_cell(name), number_cell(value), number_cell(best["own_parameters"].get(name, best["trial"]))])
        for name, value in best["parameters"].items()
    ]
    return table(columns, rows)
