"""How all plots look: one template, one set of colours (Okabe and Ito's, told apart by colour-blind readers)."""

import html
from typing import Any

import plotly.graph_objects as go

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
_UNUSED_BUTTONS = ["lasso2d", "select2d", "zoomIn2d", "zoomOut2d", "autoScale2d"]
CONFIG = {
    "displaylogo": False, "displayModeBar": "hover", "modeBarButtonsToRemove": _UNUSED_BUTTONS, "responsive": True,
    "plotlyServerURL": "",
}  # fmt: skip


def plot_text(text: object) -> str:
    """Text as it is, where plotly would read tags in it. Quotes stay: it does not know their entities."""
    return html.escape(str(text), quote=False)


def styled(figure: Any, *, title: str, height: int) -> Any:
    """Gives a figure the house style and its title (escaped). Returns it."""
    return figure.update_layout(template=TEMPLATE, title_text=plot_text(title), height=height)


def message_figure(message: str, *, title: str) -> Any:
    """Stands where a plot cannot be drawn, and says why."""
    figure = go.Figure()
    figure.add_annotation(
        text=plot_text(message), x=0, y=0.5, xref="paper", yref="paper", xanchor="left", showarrow=False, align="left"
    )
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return styled(figure, title=title, height=130)


def figure_html(figure: Any, name: str, *, min_width_px: int = 0) -> str:
    """A figure inside a page that has plotly.js already. Its title is left to the page's heading.

    Where the page is narrower than the figure may be, the figure scrolls sideways.
    """
    figure = go.Figure(figure)
    has_top_matter = any(trace.showlegend is not False for trace in figure.data) or bool(figure.layout.updatemenus)
    figure.update_layout(title={"text": None, "subtitle_text": None}, margin_t=56 if has_top_matter else 28)
    div_id, height = f"figure-{name}", figure.layout.height
    div = figure.to_html(full_html=False, include_plotlyjs=False, div_id=div_id, default_height=height, config=CONFIG)
    style = f' style="min-width: {min_width_px}px"' if min_width_px else ""
    return f'<div class="figure"><div{style}>{div}</div></div>'
