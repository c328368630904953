"""The heatmap of F1 over window and threshold, with its marks and its sentence."""

from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from core.decision.post_search import F1Surface, Point
from core.decision.postprocess import PostprocessingConfig
from hpo.pages.surface_figure import surface_figure, surface_words
from hpo.pages.winner_surface import surface_grid

WINDOWS_MS = np.array([100.0, 150.0, 400.0, 1000.0])
THRESHOLDS = np.array([1.0, 2.0, 3.0])


def surface(*, own_f1: float = 0.6, own_window_ms: float = 150.0) -> F1Surface:
    f1 = np.full((4, 3), 0.5)
    f1[1, 0], f1[3, 2] = 0.6, 0.8
    return F1Surface(
        windows_ms=WINDOWS_MS,
        thresholds_sigmas=THRESHOLDS,
        f1=f1,
        own=Point(window_ms=own_window_ms, threshold_sigmas=1.0, f1=own_f1),
    )


def marks(figure: Any) -> dict[str, tuple[float, float]]:
    return {trace.name: (trace.x[0], trace.y[0]) for trace in figure.data if trace.type == "scatter"}


def test_every_point_of_the_grid_is_where_its_window_and_threshold_are() -> None:
    figure = surface_figure(surface(), 7)
    heatmap = figure.data[0]
    assert heatmap.type == "heatmap"
    assert figure.layout.xaxis.type == "log"
    drawn = {(x, y): heatmap.z[j][i] for i, x in enumerate(heatmap.x) for j, y in enumerate(heatmap.y)}
    assert drawn[1000.0, 3.0] == 0.8
    assert drawn[150.0, 1.0] == 0.6
    assert sorted(drawn.values())[:-2] == [0.5] * 10


def test_the_trial_s_own_point_and_the_best_are_marked_and_named() -> None:
    found = marks(surface_figure(surface(), 7))
    assert found == {"trial 7 (0.600)": (150.0, 1.0), "best of the grid (0.800)": (1000.0, 3.0)}


def test_a_trial_with_the_best_point_has_the_only_mark_and_a_legend() -> None:
    figure = surface_figure(surface(own_f1=0.8), 7)
    assert list(marks(figure)) == ["trial 7 (0.800)"]
    assert [trace.showlegend for trace in figure.data] == [False, True]  # plotly hides a single entry by itself


def test_the_sentence_says_that_the_labels_chose_the_best_point() -> None:
    words = surface_words(surface(), 7)
    assert "Trial 7 has a window of 150 ms and a threshold of 1 sigmas, and an F1 of 0.600." in words
    assert "a window of 1,000 ms and a threshold of 3 sigmas, has 0.800. It was chosen with" in words
    assert "Of the 12 points of the grid, 1 is within 0.02 of the best." in words
    assert "no point of the grid has more" in surface_words(surface(own_f1=0.8), 7)


def test_ticks_are_the_edges_and_round_numbers_that_do_not_overlap_them() -> None:
    wide = surface_figure(surface(), 7).layout.xaxis
    assert list(wide.tickvals) == [100.0, 200.0, 500.0, 1000.0]
    assert list(wide.ticktext) == ["100", "200", "500", "1,000"]


def test_a_grid_of_one_window_is_drawn() -> None:
    one = surface()
    narrow = F1Surface(windows_ms=WINDOWS_MS[:1], thresholds_sigmas=THRESHOLDS, f1=one.f1[1:2], own=one.own)
    figure = surface_figure(narrow, 7)
    assert list(figure.layout.xaxis.tickvals) == [100.0]
    assert narrow.best.f1 == 0.6


SEARCHED = {
    "window_ms": FloatDistribution(100.0, 2000.0, log=True),
    "threshold_sigmas": FloatDistribution(0.5, 4.0),
}


@pytest.mark.parametrize(
    ("space", "windows_ms", "thresholds"),
    [
        (SEARCHED, (100.0, 2000.0), (0.5, 4.0)),
        ({}, (25.0, 8000.0), (0.0, 7.0)),  # of one frame to the whole clip; to twice the trial's own
        ({"window_ms": FloatDistribution(1.0, 500.0)}, (25.0, 500.0), (0.0, 7.0)),
    ],
)
def test_the_grid_covers_the_searched_ranges_or_usual_ones(
    space: dict[str, Any], windows_ms: tuple[float, float], thresholds: tuple[float, float]
) -> None:
    own = PostprocessingConfig(window_ms=333.0, threshold_sigmas=3.5)
    windows, found = surface_grid(space, own, frame_ms=25.0, clip_ms=8000.0)
    assert (windows[0], windows[-1], found[0], found[-1]) == (*windows_ms, *thresholds)
    assert own.threshold_sigmas in found
    assert all(window % 25 == 0 for window in windows)
    for values in (windows, found):
        assert values == sorted(set(values))
        assert len(values) > 10


def test_the_grid_of_a_clip_without_a_frame_is_one_window() -> None:
    windows, _ = surface_grid({}, PostprocessingConfig(window_ms=10.0), frame_ms=25.0, clip_ms=0.0)
    assert windows == [25.0]
