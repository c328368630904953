"""Pages from templates: what is escaped, and where the only HTML is."""

import ast
import base64
import gzip
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest
from jinja2 import UndefinedError
from plotly.offline import get_plotlyjs

from core.web_page.rendering import packed_plotly, page_figure, plotly_json, template_environment

ROOT = Path(__file__).resolve().parents[2]
PYTHON_FILES = [*(ROOT / "core").rglob("*.py"), *(ROOT / "hpo").rglob("*.py")]
TAGS = (
    "html|head|body|main|section|div|span|p|h[1-6]|table|thead|tbody|tr|td|th|ul|ol|li|a|script|style|title|meta|"
    "details|summary|button|code|pre|i|em|strong|wbr|img|hr|iframe|svg|canvas|link|form|input"
)
"""Not `br`, `b` and `extra`, which plotly reads in the text of a plot."""
EVIL = "</script><script>alert(1)</script>"


def test_no_python_file_holds_html() -> None:
    found = []
    for path in PYTHON_FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                tags = re.findall(rf"(?<!\?P)</?(?:{TAGS})(?: [^<>]*)?>", node.value)
                found += [f"{path.name}:{node.lineno} {tag}" for tag in tags]
    assert found == []


def test_only_the_json_of_figures_reaches_a_page_without_being_escaped() -> None:
    for path in [*(ROOT / "core").rglob("*.py"), *(ROOT / "hpo").rglob("*.py")]:
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Name)
        }
        assert "Markup" not in names or path == ROOT / "core/web_page/rendering.py"
    for path in [*(ROOT / "core").rglob("*.jinja"), *(ROOT / "hpo").rglob("*.jinja")]:
        assert not re.search(r"\|\s*safe\b|autoescape", path.read_text()), path


def test_a_figure_cannot_end_its_script_element() -> None:
    figure = page_figure(go.Figure(go.Scatter(x=[EVIL], y=[1], name=EVIL), {"height": 100}), name="x")
    assert "<" not in plotly_json(figure.figure_json)
    with pytest.raises(ValueError, match="must not hold '<'"):
        plotly_json(EVIL)


def test_what_a_template_lacks_is_an_error_and_what_it_shows_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "x.html.jinja").write_text("{{ name }} {{ other.key }}")
    template = template_environment(tmp_path).get_template("x.html.jinja")
    assert template.render(name=EVIL, other={"key": '"'}).count("&lt;") == 3
    with pytest.raises(UndefinedError):
        template.render(name="", other={})


def test_the_packed_plotly_is_plotly() -> None:
    assert gzip.decompress(base64.b64decode(packed_plotly())).decode() == get_plotlyjs()
