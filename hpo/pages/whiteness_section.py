"""The innovations of healthy test clips on a trial's page: histogram of u, autocorrelation of z, and their figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.model.whiteness import MOST_UNLEARNED_BITS, NUM_BINS, NUM_LAGS, Whiteness
from hpo.pages.plot_style import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION, styled
from hpo.pages.table import Column, Row, Table, number_cell, text_cell

SHOWN_LAGS = (1, 2, 4, 8, 16, 32, 64)
"""Of the table, in samples."""
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
TEXT = (
    "Where the network is right, innovations z are white noise: mean 0, variance 1, no autocorrelation, and a flat "
    "histogram of the predicted probability u of a lower sample. A histogram that is high in the middle (variance "
    "below 1) is of predictions that are not sure enough, one that is high at its ends (variance above 1) of "
    "predictions that are too sure. "
    f"Unlearned is what z still tells beyond white noise, at most {MOST_UNLEARNED_BITS:g} bits a sample in the mean "
    "over microphones where the network has learned the machine. The table has the autocorrelation at some lags, in "
    "samples. All of it is of healthy test clips and was never used for choosing."
)


def whiteness_figure(whiteness: Whiteness, microphones: Sequence[int]) -> Any:
    """Two panels, a line for each of these microphones. The dashed lines are those of white noise."""
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.09)
    edges = np.arange(NUM_BINS + 1) / NUM_BINS
    lags = np.arange(1, NUM_LAGS + 1)
    densities = NUM_BINS * whiteness.shares
    of_channels = zip(microphones, densities, whiteness.autocorrelations, strict=True)
    for channel, (number, density, correlations) in enumerate(of_channels):
        of_microphone = {
            "name": f"microphone {number}",
            "legendgroup": channel,
            "line": {"color": COLOURS[channel % len(COLOURS)], "width": 1.5},
        }
        steps = np.append(density, density[-1])
        hover = "%{y:.3f} times the uniform share"
        figure.add_trace(
            go.Scatter(x=edges, y=steps, mode="lines", line_shape="hv", hovertemplate=hover, **of_microphone),
            row=1,
            col=1,
        )
        figure.add_trace(
            go.Scatter(
                x=lags, y=correlations[1:], mode="lines", showlegend=False, hovertemplate="%{y:.3f}", **of_microphone
            ),
            row=1,
            col=2,
        )
    for column, level in ((1, 1), (2, 0)):
        figure.add_hline(y=level, line={"color": INK, "width": 1.5, "dash": "dash"}, row=1, col=column)
    figure.update_xaxes(title_text="u", range=[0, 1], row=1, col=1)
    figure.update_yaxes(title_text="density of u (uniform: 1)", range=[0, max(2.0, _highest(densities))], row=1, col=1)
    figure.update_xaxes(title_text="lag, samples", row=1, col=2)
    figure.update_yaxes(title_text="autocorrelation of z", row=1, col=2)
    return styled(figure, title="Innovations of healthy test clips", height=360)


def _highest(densities: np.ndarray) -> float:
    finite = densities[np.isfinite(densities)]
    return float(1.05 * finite.max()) if finite.size else 0.0


def whiteness_table(whiteness: Whiteness, microphones: Sequence[int]) -> Table:
    """A line for each microphone."""
    titles = ["unlearned, bits", "mean of z", "variance", *(f"lag {lag}" for lag in SHOWN_LAGS)]
    columns = [Column(title="microphone", is_number=False), *(Column(title=title) for title in titles)]
    correlations = whiteness.autocorrelations[:, SHOWN_LAGS]
    figures = np.column_stack([whiteness.unlearned_bits, whiteness.means, whiteness.variances, correlations])
    rows = [
        Row(cells=[text_cell(number), *(number_cell(float(value), decimals=3) for value in of_channel)], css="test")
        for number, of_channel in zip(microphones, figures, strict=True)
    ]
    return Table(columns=columns, rows=rows)
