"""The plots of one trial over its clips' scores: learning curves, score histograms, ROC. N = clips."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.decision.metrics import auc
from hpo.pages.formatting import number_text
from hpo.pages.plot_style import INK, LABEL_COLOURS, SPLIT_COLOURS, message_figure, styled

FloatArray = npt.NDArray[np.float64]

NOT_FOR_CHOOSING = "never used for choosing"
LOSSES: dict[str, tuple[str, dict[str, Any]]] = {
    "train_loss": ("training", {"color": SPLIT_COLOURS["train"], "width": 2}),
    "val_loss": ("validation", {"color": SPLIT_COLOURS["validation"], "width": 2.5}),
    "test_loss": (f"test ({NOT_FOR_CHOOSING})", {"color": SPLIT_COLOURS["test"], "width": 2.5}),
    "test_loss_normal": ("test, normal clips", {"color": SPLIT_COLOURS["test"], "width": 1, "dash": "dot"}),
    "test_loss_anomalous": ("test, anomalous clips", {"color": SPLIT_COLOURS["test"], "width": 1, "dash": "dash"}),
}
"""The name in the legend and the line of each metric of an epoch."""
NUM_BINS = 40


@dataclass(frozen=True, kw_only=True)
class SplitScores:
    """The trial's scores of the clips of one split, and their labels."""

    clip_scores: FloatArray
    """(N,) in sigmas; -inf where no threshold gives an event, never NaN."""
    is_anomalous: npt.NDArray[np.bool_]
    """(N,)"""

    def __post_init__(self) -> None:
        assert self.clip_scores.shape == self.is_anomalous.shape == (len(self.clip_scores),), self.clip_scores.shape
        assert not np.isnan(self.clip_scores).any(), "a clip's score is NaN"


def losses_figure(epochs: Sequence[Mapping[str, float]], *, best_epoch: int | None) -> Any:
    """Bits per sample against epochs. A value that is missing or not finite leaves a gap."""
    title = "Loss against epochs"
    if not epochs:
        return message_figure("No epoch has ended.", title=title)
    figure = go.Figure()
    for metric, (name, line) in LOSSES.items():
        values = [epoch.get(metric, math.nan) for epoch in epochs]
        if not np.isfinite(values).any():
            continue
        figure.add_trace(_curve([epoch["epoch"] for epoch in epochs], values, name, line))
    if best_epoch is not None:
        line = {"color": INK, "width": 1, "dash": "dot"}
        figure.add_vline(x=best_epoch, line=line, annotation={"text": "chosen epoch", "font": {"size": 12}})
    figure.update_xaxes(title_text="epoch", tickformat="d", dtick=1 if len(epochs) <= 20 else None)
    figure.update_yaxes(title_text="bits per sample")
    return styled(figure, title=title, height=520).update_layout(hovermode="x unified")


def _curve(epochs: Sequence[float], values: Sequence[float], name: str, line: Mapping[str, Any]) -> Any:
    return go.Scatter(
        x=epochs,
        y=[value if math.isfinite(value) else None for value in values],
        mode="lines+markers",
        line=line,
        marker={"size": 2 * line["width"] + 1},
        name=name,
        hovertemplate="%{y:.4f}",
    )


def loss_gaps(epochs: Sequence[Mapping[str, float]]) -> str | None:
    """A sentence with the epochs whose loss is NaN or infinite; None without any."""
    bad = [
        number_text(epoch["epoch"])
        for epoch in epochs
        if any(not math.isfinite(epoch[metric]) for metric in LOSSES if metric in epoch)
    ]
    return f"The plot leaves out losses that are not finite: epoch {', '.join(bad)}." if bad else None


def histograms_figure(validation: SplitScores, test: SplitScores, threshold_sigmas: float) -> Any:
    """Clip scores by label, one panel a split, with the same bins in both. Infinite scores have separate bars."""
    line = {"color": INK, "width": 1.5, "dash": "dash"}
    edges = _bin_edges(np.concatenate([validation.clip_scores, test.clip_scores]), threshold_sigmas)
    titles = ("validation", f"test ({NOT_FOR_CHOOSING})")
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    for column, (split, name) in enumerate(zip((validation, test), titles, strict=True), start=1):
        for label, colour in LABEL_COLOURS.items():
            scores = split.clip_scores[split.is_anomalous == (label == "anomalous")]
            bars = _bars(scores, edges, name=label, colour=colour, has_legend=column == 1)
            figure.add_trace(bars, row=1, col=column)
        figure.add_vline(x=threshold_sigmas, line=line, row=1, col=column)
        _name_infinite_bars(figure, split.clip_scores, edges, column)
        figure.update_xaxes(title_text=f"{name}: clip score, sigmas", row=1, col=column)
    figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=line, name=_threshold_name(threshold_sigmas)))
    figure.update_xaxes(matches="x", col=2).update_yaxes(rangemode="tozero").update_yaxes(title_text="clips", col=1)
    return styled(figure, title="Clip scores by label", height=360).update_layout(barmode="overlay", bargap=0)


def _threshold_name(threshold_sigmas: float) -> str:
    return f"threshold ({number_text(threshold_sigmas)})"


def _bin_edges(scores: FloatArray, threshold_sigmas: float) -> FloatArray:
    """(NUM_BINS + 1,) over all finite scores and the threshold."""
    finite = np.append(scores[np.isfinite(scores)], threshold_sigmas)
    return np.histogram_bin_edges(finite, bins=NUM_BINS)


def _infinite_places(edges: FloatArray) -> dict[float, float]:
    """Positions of the bars of -inf and inf, outside the range of the finite scores."""
    width = edges[1] - edges[0]
    return {-math.inf: edges[0] - 3.5 * width, math.inf: edges[-1] + 3.5 * width}


def _bars(scores: FloatArray, edges: FloatArray, *, name: str, colour: str, has_legend: bool) -> Any:
    counts, _ = np.histogram(scores[np.isfinite(scores)], bins=edges)
    centres = (edges[:-1] + edges[1:]) / 2
    places = {place: int((scores == value).sum()) for value, place in _infinite_places(edges).items()}
    shown = [(place, count) for place, count in places.items() if count]
    return go.Bar(
        x=[*centres, *(place for place, _ in shown)],
        y=[*counts, *(count for _, count in shown)],
        width=edges[1] - edges[0],
        name=name,
        legendgroup=name,
        showlegend=has_legend,
        marker_color=colour,
        opacity=0.6,
        hovertemplate="%{y} clips near %{x:.2f}",
    )


def _name_infinite_bars(figure: Any, scores: FloatArray, edges: FloatArray, column: int) -> None:
    for value, place in _infinite_places(edges).items():
        if (scores == value).any():
            text = f"<b>{number_text(value)}</b>"
            figure.add_annotation(
                x=place, y=0, text=text, showarrow=False, yanchor="top", yshift=-2, row=1, col=column,
                font={"size": 14}, bgcolor="white",
            )  # fmt: skip


def infinite_scores_sentences(validation: SplitScores, test: SplitScores) -> list[str]:
    """How many clips have an infinite score, and what it means; empty without any."""
    sentences = []
    meanings = {-math.inf: "no threshold gives an event", math.inf: "every threshold gives an event"}
    for name, split in (("Validation", validation), ("Test", test)):
        for value, meaning in meanings.items():
            there = split.clip_scores == value
            if not there.any():
                continue
            num_anomalous = int((there & split.is_anomalous).sum())
            counts = f"{int(there.sum()) - num_anomalous} normal and {num_anomalous} anomalous clips"
            sentences.append(f"{name}: {counts} have the score {number_text(value)}, because {meaning}.")
    return sentences


def roc_figure(validation: SplitScores, test: SplitScores, threshold_sigmas: float) -> Any:
    """ROC of both splits with AUC and a point at the trial's threshold. A split with one label has no curve."""
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[0, 1], y=[0, 1], mode="lines", line={"color": "#c3cad0", "dash": "dot"}, name="chance (AUC 0.5)",
            hoverinfo="skip",
        )
    )  # fmt: skip
    for name, split in (("validation", validation), ("test", test)):
        for trace in _roc_traces(name, split, threshold_sigmas):
            figure.add_trace(trace)
    figure.update_xaxes(title_text="false positive rate", range=[-0.02, 1.02])
    figure.update_yaxes(title_text="true positive rate", range=[-0.02, 1.02])
    styled(figure, title="ROC of clips", height=460)
    legend = {"x": 1, "xanchor": "right", "y": 0.03, "yanchor": "bottom", "orientation": "v"}
    return figure.update_layout(legend=legend, width=720)


def _roc_traces(name: str, split: SplitScores, threshold_sigmas: float) -> list[Any]:
    area = auc(split.clip_scores, split.is_anomalous)
    note = f", {NOT_FOR_CHOOSING}" if name == "test" else ""
    colour = SPLIT_COLOURS[name]
    if math.isnan(area):
        label = f"{name}: no curve, because all clips have one label"
        return [go.Scatter(x=[None], y=[None], mode="lines", line={"color": colour}, name=label)]
    from sklearn.metrics import roc_curve  # here, because a worker draws no figure

    # Ranks have the order of the scores and are finite; scores may be -inf.
    ranks = np.unique(split.clip_scores, return_inverse=True)[1]
    false_positive_rate, true_positive_rate, _ = roc_curve(split.is_anomalous, ranks)
    flagged = split.clip_scores >= threshold_sigmas
    point = [float(flagged[split.is_anomalous == label].mean()) for label in (False, True)]
    hover = "false positives %{x:.3f}<br>true positives %{y:.3f}"
    return [
        go.Scatter(
            x=false_positive_rate, y=true_positive_rate, mode="lines", line={"color": colour, "width": 2.5},
            name=f"{name} (AUC {area:.3f}{note})", hovertemplate=hover, legendgroup=name,
        ),
        go.Scatter(
            x=point[:1], y=point[1:], mode="markers", name=f"{name} at the threshold", hovertemplate=hover,
            marker={"color": colour, "size": 11, "line": {"color": "white", "width": 1.5}}, legendgroup=name,
        ),
    ]  # fmt: skip
