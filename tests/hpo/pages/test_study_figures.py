"""The plots of a study, made from a study in memory."""

import re

import optuna
import pytest

from hpo.pages.formatting import DASH
from hpo.pages.study_figures import study_figures
from hpo.results.winner import choose_winner
from hpo.search.trial_record import EPOCHS, trial_records
from tests.hpo.pages.toy_study import (
    FAILED,
    INFINITE_LOSS,
    PRUNED,
    ParsedPage,
    page_of,
    toy_study,
    traces_by_name,
)


def test_history_shows_the_best_so_far_and_every_trial_somewhere() -> None:
    study = toy_study()
    traces = traces_by_name(study_figures(study)["optimisation_history"])
    best = list(traces["best so far"].y)
    assert best == sorted(best)
    assert best[-1] == max(t.value for t in study.trials if t.value is not None)
    assert list(traces["pruned (1)"].x) == [PRUNED]
    assert list(traces["failed (1)"].x) == [FAILED]
    assert sorted([*traces["complete (6)"].x, PRUNED, FAILED]) == list(range(8))


def test_plots_escape_the_reasons_of_failed_trials() -> None:
    figure = study_figures(toy_study(failure="loss <b>NaN</b>"))["optimisation_history"]
    assert "loss &lt;b&gt;NaN&lt;/b&gt;" in traces_by_name(figure)["failed (1)"].text[0]


def test_every_trial_has_a_curve_and_the_winner_has_the_widest() -> None:
    study = toy_study()
    winner = choose_winner(trial_records(study)).number
    figure = study_figures(study)["loss_by_epoch"]
    by_trial = {int(re.search(r"trial (\d+)", trace.meta).group(1)): trace for trace in figure.data}
    assert sorted(by_trial) == list(range(8))
    assert max(by_trial, key=lambda number: by_trial[number].line.width) == winner
    assert figure.data[-1] is by_trial[winner]
    assert by_trial[0].line.dash == "dash"
    assert len(by_trial[PRUNED].x) == 1
    for number, trace in by_trial.items():
        if number != INFINITE_LOSS:
            assert list(trace.y) == [epoch["test_loss"] for epoch in study.trials[number].user_attrs[EPOCHS]]
    assert list(by_trial[INFINITE_LOSS].y) == [None, None, None]


def test_buttons_switch_each_curve_to_its_own_values() -> None:
    study = toy_study()
    figure = study_figures(study)["loss_by_epoch"]
    buttons = {button.label: button.args[0]["y"] for button in figure.layout.updatemenus[0].buttons}
    for trace, values in zip(figure.data, buttons["train_loss"], strict=True):
        number = int(re.search(r"trial (\d+)", trace.meta).group(1))
        assert values == [2.0 + number] * len(trace.x)


def test_the_pointer_over_any_point_of_a_curve_shows_the_trial() -> None:
    """plotly.js shows a `text` that all points share as a dash, but not `meta`."""
    figures = study_figures(toy_study())
    lines = [trace for trace in figures["parallel_coordinates"].data if trace.mode == "lines"]
    for trace in [*figures["loss_by_epoch"].data, *lines]:
        assert trace.hovertemplate.startswith("%{meta}")
        assert re.search(r"trial \d+", trace.meta)
        assert "learning_rate = " in trace.meta


def test_labelled_events_have_curves_and_columns() -> None:
    study = toy_study(has_events=True)
    figure = study_figures(study)["loss_by_epoch"]
    buttons = {button.label: button.args[0]["y"] for button in figure.layout.updatemenus[0].buttons}
    for trace, values in zip(figure.data, buttons["test_segment_f1"], strict=True):
        number = int(re.search(r"trial (\d+)", trace.meta).group(1))
        assert values == pytest.approx([0.4 + 0.01 * number + 0.001 * epoch for epoch in trace.x])
    header, *rows = ParsedPage(page_of(study)).rows
    columns = [header.index(title) for title in ("val event F1", "val segment F1", "event F1 test", "segment F1 test")]
    best = choose_winner(trial_records(study)).number
    assert [rows[best][column] for column in columns] == [f"{0.1 * i + 0.01 * best + 0.002:.3f}" for i in (1, 2, 3, 4)]
    assert [rows[FAILED][column] for column in columns] == [DASH] * 4  # it has no best epoch


def test_slices_have_a_log_axis_where_the_search_had_one_and_mark_the_winner() -> None:
    study = toy_study()
    figure = study_figures(study)["parameter_slices"]
    axes = {axis.title.text: axis for axis in figure.select_xaxes()}
    kinds = {name: axis.type for name, axis in axes.items()}
    assert kinds == {"dilation_depth": "linear", "learning_rate": "log", "threshold_sigmas": "linear"}
    low, high = axes["learning_rate"].range
    assert 10**low < 1e-3 < 2e-2 < 10**high
    winner = choose_winner(trial_records(study))
    marked = [trace for trace in figure.data if trace.name == f"winner (trial {winner.number})"]
    assert [trace.x[0] for trace in marked] == list(winner.parameters.values())


def test_slices_show_every_choice_in_its_order_also_where_all_trials_have_one() -> None:
    searched = {
        "statistics": optuna.distributions.CategoricalDistribution(["all", "relative", "network", "spectrum"]),
        "two_sided": optuna.distributions.CategoricalDistribution([False, True]),
    }
    study = optuna.create_study(direction="maximize")
    for value in (0.8, 0.9):
        parameters = {"statistics": "all", "two_sided": True}
        study.add_trial(optuna.trial.create_trial(params=parameters, distributions=searched, value=value))
    figure = study_figures(study)["parameter_slices"]
    axes = {axis.title.text: axis for axis in figure.select_xaxes()}
    assert [axes[name].categoryarray for name in searched] == [
        ("all", "relative", "network", "spectrum"),
        ("False", "True"),
    ]
    assert [axes[name].range for name in searched] == [(-0.5, 3.5), (-0.5, 1.5)]
    assert {x for trace in figure.data for x in trace.x} == {"all", "True"}, "points lie at names of the axis"


def test_parallel_coordinates_have_a_line_for_each_complete_trial() -> None:
    figure = study_figures(toy_study())["parallel_coordinates"]
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert len(lines) == 6
    assert all(0 <= height <= 1 for line in lines for height in line.y)
    assert lines[-1].showlegend  # the winner, on top
    assert lines[-1].y[0] == 1
