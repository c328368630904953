"""Renders HTML pages from Jinja2 templates. Every value is escaped, and a page is one file that loads nothing.

plotly.js is 4.8 MB of text. A page with figures holds it compressed (gzip in base64, 2.0 MB), and the browser unpacks
it. One plotly.js beside the pages would be smaller still, but MLflow shows a page in a sandbox that loads no other
file, and a page that is mailed has no other file.
"""

import base64
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

BASE_TEMPLATES = Path(__file__).with_name("templates")
UNUSED_BUTTONS = ("lasso2d", "select2d", "zoomIn2d", "zoomOut2d", "autoScale2d")
PLOTLY_CONFIG = {
    "displaylogo": False, "displayModeBar": "hover", "modeBarButtonsToRemove": UNUSED_BUTTONS, "responsive": True,
    "plotlyServerURL": "",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PageFigure:
    """A plotly figure as a template draws it."""

    name: str
    """Unique in its page."""
    figure_json: str
    """`data` and `layout`, written by plotly, which writes no "<" as such."""
    height_px: int
    min_width_px: int = 0
    """A narrower page scrolls the figure sideways."""


def page_figure(figure: Any, *, name: str, min_width_px: int = 0) -> PageFigure:
    """The plotly figure, which must have a height."""
    height_px = int(figure.layout.height)
    return PageFigure(name=name, figure_json=figure.to_json(), height_px=height_px, min_width_px=min_width_px)


def template_environment(templates: Path, **filters: Callable[..., str]) -> Environment:
    """Templates of that folder, which may extend and import those of the base page."""
    environment = Environment(
        loader=FileSystemLoader([templates, BASE_TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plotly_json": plotly_json, **filters}
    environment.globals |= {"packed_plotly": packed_plotly, "plotly_config": PLOTLY_CONFIG}
    return environment


def plotly_json(text: str) -> Markup:
    """The only text that reaches a page without being escaped."""
    if "<" in text:
        raise ValueError("A figure's JSON must not hold '<', which could end its script element.")
    return Markup(text)


@cache
def packed_plotly() -> str:
    """plotly.js as gzip in base64. The same bytes every time, so that equal pages are equal files."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()
