"""Figures as people and the tables' sorting read them."""

import math

import pytest

from hpo.pages.web_page import DASH, duration_text, number_cell, number_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, DASH), (math.nan, DASH), (math.inf, "∞"), (-math.inf, "−∞"), (34560, "34,560"), (0.0012345, "0.001234"),
     (2977.3, "2,977"), (True, "True"), ("gelu", "gelu")],
)  # fmt: skip
def test_number_text(value: object, text: str) -> None:
    assert number_text(value) == text


def test_infinity_sorts_as_a_number_and_nan_as_missing() -> None:
    assert [number_cell(x).sort for x in (-math.inf, 2.5, math.nan, None)] == ["-Infinity", "2.5", "", ""]


@pytest.mark.parametrize(("seconds", "text"), [(None, DASH), (3.14, "3.1 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")])
def test_duration_text(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text
