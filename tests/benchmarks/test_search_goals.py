"""Whether what was asked of the search is reached."""

import numpy as np
import pytest

from benchmarks.compared_rules import CF29BB1, DEFAULT, NOW, OLD_RULE
from benchmarks.replayed_cars import FIGURES
from benchmarks.search_goals import goals_of

NUM_CARS = 8
SPREAD = np.linspace(-0.01, 0.01, NUM_CARS)


def rows(f1: float, flattery: float = 0.0) -> np.ndarray:
    """Of cars that differ by little."""
    figures = np.zeros((NUM_CARS, len(FIGURES)))
    figures[:, FIGURES.index("F1")] = f1 + SPREAD
    figures[:, FIGURES.index("validation F1 minus F1")] = flattery
    return figures


def verdicts(
    *, now: float = 0.9, default: float = 0.85, before: float = 0.8, flattery: float = 0.01,
    possible: float = 0.06, alarms: float = 0.05, bounds: float = 0.95,
) -> list[bool | None]:  # fmt: skip
    by_rule = {NOW: rows(now, flattery), DEFAULT: rows(default), CF29BB1: rows(before), OLD_RULE: rows(default)}
    kept = {
        "bound of F1 holds": np.full(NUM_CARS, bounds),
        "bound of AUC holds": np.ones(NUM_CARS),
        "false alarms promised by the study's own takes": np.full(NUM_CARS, alarms),
    }
    gains = np.full(NUM_CARS, possible) + SPREAD
    return [goal.is_reached for goal in goals_of(by_rule, gains, kept)]


def test_everything_is_reached_where_all_figures_are_good() -> None:
    assert verdicts() == [True] * 6


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"before": 0.87}, [False, True, True, True, True, True]),
        ({"default": 0.88, "possible": 0.1}, [True, False, False, True, True, True]),
        ({"default": 0.88, "possible": 0.025}, [True, True, True, True, True, True]),
        ({"default": 0.88, "possible": 0.001}, [True, False, None, True, True, True]),
        ({"flattery": -0.03}, [True, True, True, False, True, True]),
        ({"alarms": 0.02}, [True, True, True, True, False, True]),
        ({"alarms": 0.08}, [True, True, True, True, False, True]),
        ({"bounds": 0.9}, [True, True, True, True, True, False]),
    ],
)
def test_a_figure_that_is_not_good_enough_misses_its_own_goal(
    figures: dict[str, float], expected: list[bool | None]
) -> None:
    assert verdicts(**figures) == expected
