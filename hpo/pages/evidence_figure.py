"""The winner's learning curves: what more test recordings and more healthy calibration recordings would bring."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hpo.pages.formatting import is_missing
from hpo.pages.plot_style import GREY, SPLIT_COLOURS, styled

TITLE = "How much more to record"
Curve = Sequence[Mapping[str, Any]]


def learning_curves_figure(evidence: Mapping[str, Any]) -> Any | None:
    """`evidence` of result.json as a panel for each of its curves; None without one.

    Where something stood in for recordings, more of that would prove nothing, so test recordings have no panel.
    """
    test: Curve = [] if evidence["stand_ins"] else evidence["learning_curve"]
    calibration: Curve = evidence["calibration_curve"]
    panels = {
        "test recordings": _test_traces(test),
        "healthy calibration recordings": _calibration_traces(calibration),
    }
    shown = {name: traces for name, traces in panels.items() if traces}
    if not shown:
        return None
    figure = make_subplots(cols=len(shown), horizontal_spacing=0.14)
    for column, (name, traces) in enumerate(shown.items(), start=1):
        figure.add_traces(traces, rows=1, cols=column)
        numbers = sorted({number for trace in traces for number in trace.x})
        figure.update_xaxes(title_text=name, type="log", tickvals=numbers, ticktext=numbers, col=column)
    figure.update_yaxes(range=[0, 1.03])
    return styled(figure, title=TITLE, height=330)


def _test_traces(curve: Curve) -> list[Any]:
    """Test F1 with its interval as it is, and as it would be with more recordings at the same rates."""
    rows = [(row["num_recordings"], row["f1"], row["f1_interval"]) for row in curve]
    points = [(number, low, f1, high) for number, f1, (low, high) in rows if not is_missing(low)]
    parts = [
        ("test F1 and its interval", points[:1], SPLIT_COLOURS["test"]),
        ("with more recordings", points[1:], GREY),
    ]
    return [_intervals(name, part, colour, mode="markers") for name, part, colour in parts if part]


def _calibration_traces(curve: Curve) -> list[Any]:
    """Validation F1, with its range over draws of the calibration recordings, and AUC."""
    if len(curve) < 2:
        return []
    colour, numbers = SPLIT_COLOURS["validation"], [point["num_takes"] for point in curve]
    lows, highs = zip(*(point["f1_range"] for point in curve), strict=True)
    points = list(zip(numbers, lows, [point["f1"] for point in curve], highs, strict=True))
    area = go.Scatter(
        x=numbers,
        y=[point["auc"] for point in curve],
        mode="lines+markers",
        line={"color": colour, "dash": "dot"},
        name="validation AUC",
        hovertemplate="%{x} recordings: AUC <b>%{y:.3f}</b><extra></extra>",
    )
    return [_intervals("validation F1", points, colour, mode="lines+markers"), area]


def _intervals(name: str, points: Sequence[tuple[int, float, float, float]], colour: str, *, mode: str) -> Any:
    """Numbers of recordings, each with F1 between its low end and its high end."""
    numbers, lows, values, highs = zip(*points, strict=True)
    return go.Scatter(
        x=numbers,
        y=values,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [high - value for value, high in zip(values, highs, strict=True)],
            "arrayminus": [value - low for low, value in zip(lows, values, strict=True)],
        },
        mode=mode,
        line={"color": colour},
        name=name,
        customdata=list(zip(lows, highs, strict=True)),
        hovertemplate="%{x} recordings: F1 %{customdata[0]:.3f} to %{customdata[1]:.3f}<extra></extra>",
    )
