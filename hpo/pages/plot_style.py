"""The style of all plots: one template, and the colours of Okabe and Ito, which colour-blind readers can tell apart."""

import html
from typing import Any

import plotly.graph_objects as go

from core.web_page.rendering import PageFigure, page_figure

BLUE = "#0072B2"
SKY = "#56B4E9"
ORANGE = "#E69F00"
VERMILLION = "#D55E00"
PURPLE = "#A14D7F"
GREEN = "#009E73"
GREY = "#8A949E"
INK = "#22272b"
GRID = "#e8ebee"

WINNER_COLOUR = VERMILLION
SPLIT_COLOURS = {"train": GREY, "validation": BLUE, "test": PURPLE}
F1_COLOURS = [[0.0, "#d5e3ee"], [0.5, "#5a9bc9"], [1.0, "#063970"]]
LABEL_COLOURS = {"normal": BLUE, "anomalous": VERMILLION}

_AXIS = {
    "gridcolor": GRID, "linecolor": "#c3cad0", "zeroline": False, "automargin": True, "ticks": "outside",
    "tickcolor": "#c3cad0", "ticklen": 4, "title": {"font": {"size": 13}, "standoff": 10},
}  # fmt: skip
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, -apple-system, Segoe UI, Roboto, Arial, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "title": {
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 12},
            "font": {"size": 16},
        },
        "margin": {"l": 64, "r": 24, "t": 84, "b": 52},
        "hoverlabel": {"align": "left", "bgcolor": "white", "font": {"size": 12}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
    }
)


def plot_text(text: object) -> str:
    """Escapes text that plotly would read as tags. Quotes stay, because plotly does not know their entities."""
    return html.escape(str(text), quote=False)


def wait_for_pandas() -> None:
    """Imports pandas, or waits for the thread that does.

    MLflow imports it in the thread that sends records. Plotly looks for it among the loaded modules, without that
    module's lock, and fails where it finds one that is loaded in part.
    """
    import pandas  # noqa: F401


def styled(figure: Any, *, title: str, height: int) -> Any:
    """Gives a figure the common style and its title (escaped). Returns it."""
    return figure.update_layout(template=TEMPLATE, title_text=plot_text(title), height=height)


def message_figure(message: str, *, title: str) -> Any:
    """Takes the place of a plot that cannot be drawn, and says why."""
    figure = go.Figure()
    figure.add_annotation(
        text=plot_text(message), x=0, y=0.5, xref="paper", yref="paper", xanchor="left", showarrow=False, align="left"
    )
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return styled(figure, title=title, height=130)


def untitled(figure: Any, *, name: str, min_width_px: int = 0) -> PageFigure:
    """A figure for a page whose heading is the figure's title."""
    figure = go.Figure(figure)
    has_top_matter = any(trace.showlegend is not False for trace in figure.data) or bool(figure.layout.updatemenus)
    figure.update_layout(title={"text": None, "subtitle_text": None}, margin_t=56 if has_top_matter else 28)
    return page_figure(figure, name=name, min_width_px=min_width_px)
