"""Numbers as text, and as keys for sorting."""

import math

import pytest

from hpo.pages.formatting import DASH, duration_text, number_text, size_text
from hpo.pages.table import number_cell


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


@pytest.mark.parametrize(("size", "text"), [(312_345, "312 kB"), (4_815_814, "4.82 MB"), (2_000_000_000, "2 GB")])
def test_size_text(size: int, text: str) -> None:
    assert size_text(size) == text
