"""Renders the pages of a study from `templates/`."""

from pathlib import Path
from typing import Any

from core.data.stand_ins import SENTENCES
from core.web_page.rendering import template_environment
from hpo.pages.formatting import duration_text, interval_text, number_text

ENVIRONMENT = template_environment(
    Path(__file__).with_name("templates"),
    number=number_text,
    interval=interval_text,
    duration=duration_text,
    stand_in=SENTENCES.__getitem__,
)


def render(template: str, **data: Any) -> str:
    """The page's HTML. A name that the template uses and the data lacks raises jinja2.UndefinedError."""
    return ENVIRONMENT.get_template(f"{template}.html.jinja").render(**data)
