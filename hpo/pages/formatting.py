"""Numbers, durations and sizes as people read them on a page."""

import math
from collections.abc import Sequence
from typing import Any

DASH = "–"
"""Stands for a number that does not exist: missing, or NaN."""


def is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def number_text(value: Any, decimals: int | None = None) -> str:
    """Four significant digits, or fixed decimals; a dash for None and NaN, ∞ for infinity; text as it is."""
    if is_missing(value):
        return DASH
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if decimals is not None:
        return f"{value:.{decimals}f}"
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.4g}"


def signed_text(value: float | None) -> str:
    """Three decimals with the sign, or a dash."""
    return DASH if is_missing(value) else f"{value:+.3f}"


def duration_text(seconds: float | None) -> str:
    if is_missing(seconds):
        return DASH
    assert seconds is not None
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def interval_text(interval: Sequence[float | None]) -> str:
    low, high = (number_text(bound, decimals=3) for bound in interval)
    return f"{low} to {high}"


def size_text(num_bytes: float) -> str:
    """In kB, MB or GB, three significant digits."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.3g} {unit}"
    return f"{num_bytes / 1000:.3g} kB"
