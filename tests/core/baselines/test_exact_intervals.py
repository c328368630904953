"""Intervals of the comparison hold for few takes, too."""

import numpy as np
import pytest

from core.baselines.comparison_table import lines_of
from core.baselines.exact_intervals import with_exact_interval
from core.baselines.paired_bootstrap import METRICS, Figure, draw_takes
from core.decision.exact_figures import exact_figures
from tests.core.baselines.test_paired_bootstrap import decisions, row


def figure_of(name: str, splits: list, **changes: object) -> Figure:  # type: ignore[type-arg]
    value = float(METRICS[name](splits, draw_takes(splits, num_draws=0))[0])
    return with_exact_interval(Figure(value=value, low=value, high=value), name, splits, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["auc", "f1"])
def test_three_perfect_takes_of_a_class_prove_little(name: str) -> None:
    (line,) = lines_of([[row(decisions(0, gap=100.0, num_faulty=1))]])
    figure = line.figures[name]
    assert figure.value == figure.high == 1
    assert figure.low < 0.4
    assert line.by_machine["a"][name].low < 0.1


def test_of_one_split_and_machine_they_are_those_of_the_report() -> None:
    split = decisions(1)
    exact = exact_figures(split.scores, split.is_anomalous, split.recording_ids, split.threshold, faults_last=False)
    figure = figure_of("f1", [split])
    assert (figure.low, figure.high) == pytest.approx(exact.f1_interval)


def test_takes_that_are_left_out_prove_nothing() -> None:
    splits = [decisions(seed, fold=seed, gap=100.0) for seed in range(3)]
    left_out = {"a/n0", "b/n0", "c/n0", "a/n1"}
    assert figure_of("auc", splits, without=left_out).low < figure_of("auc", splits).low


def test_a_take_that_two_folds_test_counts_once() -> None:
    one, other = decisions(1), decisions(2)
    both, alone = figure_of("auc", [one, other]), figure_of("auc", [one])
    assert both.high - both.low > 0.9 * (alone.high - alone.low)


def test_the_area_over_machines_is_covered_as_often_as_its_interval_says() -> None:
    missed, truth = 0, float(np.mean(np.random.default_rng(0).standard_normal(10**6) < np.sqrt(0.5)))
    for seed in range(100):
        figure = figure_of("auc", [decisions(seed, clips_a_take=1, fold=fold) for fold in range(3)])
        missed += not figure.low <= truth <= figure.high
    assert missed <= 8


def test_other_figures_keep_the_intervals_of_resampling() -> None:
    figure = Figure(value=0.5, low=0.4, high=0.6)
    assert with_exact_interval(figure, "pauc", [decisions(0)]) == figure
