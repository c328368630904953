"""The spectrogram that the page of `core.detect` and the pages of a study draw."""

from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

RANGE_DB = 70.0
"""Range of the colours below the loudest point of the page; quieter sound is white."""
LOUDNESS_COLOURS = [[0.0, "#ffffff"], [0.35, "#d3dfe9"], [0.7, "#5b87ad"], [1.0, "#0b2a4a"]]


def spectrogram_heatmap(
    levels_db: npt.NDArray[Any],
    times_s: npt.NDArray[np.floating],
    frequencies_hz: npt.NDArray[np.floating],
    *,
    loudest_db: float,
) -> Any:
    """(B, K) levels over K times and B frequencies, on a scale that ends at `loudest_db`."""
    return go.Heatmap(
        z=np.round(levels_db).astype(np.int8),  # an eighth of the bytes; tenths of a dB are not visible
        x=np.round(times_s, 4),
        y=frequencies_hz,
        zmin=loudest_db - RANGE_DB,
        zmax=loudest_db,
        colorscale=LOUDNESS_COLOURS,
        colorbar={"title": {"text": "dB", "side": "right"}, "thickness": 12, "len": 0.55, "y": 1, "yanchor": "top"},
        hovertemplate="%{x:.2f} s, %{y:.0f} Hz: %{z} dB<extra></extra>",
    )
