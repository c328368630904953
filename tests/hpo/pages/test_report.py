"""The study's page and its plots, made from real Optuna studies in memory."""

import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import Trial

from core.decision.post_search import F1Surface, Point
from core.web_page.rendering import packed_plotly
from hpo.pages.formatting import DASH
from hpo.pages.report import plots_page, study_page
from hpo.pages.study_figures import study_figures
from hpo.results.importance import importance_shares
from hpo.results.winner import choose_winner
from hpo.results.winner_file import WinnerFile
from hpo.search.trial_record import EPOCHS, FACTS, FAILURE, trial_records

PRUNED, FAILED, INFINITE_LOSS = 3, 4, 5
"""Numbers of the toy study's odd trials."""


class ParsedPage(HTMLParser):
    """What a browser shows: the text and the rows of the last table; and the addresses and scripts of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.rows, self.addresses, self.num_scripts = "", [], [], 0
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if name in ("src", "href", "data", "action")]
        self._hidden = tag in ("script", "style")
        self.num_scripts += tag == "script"
        if tag == "table":
            self.rows = []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = self._hidden and tag not in ("script", "style")

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self.text += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.replace("\xa0", " ")


def toy_study(
    num_trials: int = 8,
    *,
    name: str = "toy",
    failure: str = "the loss is NaN",
    f1: float | None = None,
    has_events: bool = False,
) -> Any:
    """Trials of three epochs; numbers PRUNED, FAILED and INFINITE_LOSS are what they are called."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(study_name=name, direction="maximize", sampler=sampler)

    def objective(trial: Trial) -> float:
        depth = trial.suggest_int("dilation_depth", 5, 8)
        rate = trial.suggest_float("learning_rate", 1e-3, 2e-2, log=True)
        trial.suggest_float("threshold_sigmas", 0.5, 6.0)
        loss = math.inf if trial.number == INFINITE_LOSS else 3 + rate
        epochs = [_epoch(epoch, test_loss=loss / epoch, number=trial.number) for epoch in (1, 2, 3)]
        if has_events:
            epochs = [row | _event_figures(row["epoch"], trial.number) for row in epochs]
        trial.set_user_attr(EPOCHS, epochs[:1] if trial.number == PRUNED else epochs)
        trial.set_user_attr(
            FACTS,
            {"val_auc": math.nan if trial.number == 0 else 0.75, "test_f1": 0.5, "num_weights": 10}
            | ({"best_epoch": 1 if trial.number == PRUNED else 2} if trial.number != FAILED else {}),
        )
        if trial.number == PRUNED:
            raise optuna.TrialPruned
        if trial.number == FAILED:
            trial.set_user_attr(FAILURE, failure)
            return math.nan
        return 0.5 + depth / 100 + rate if f1 is None else f1

    study.optimize(objective, n_trials=num_trials)
    return study


def _epoch(epoch: int, *, test_loss: float, number: int) -> dict[str, float]:
    shared = {"train_loss": 2.0 + number, "val_loss": 2.5, "val_auc": 0.7, "val_f1": 0.6, "test_f1": 0.6}
    return {"epoch": epoch, "test_loss": test_loss} | shared


def _event_figures(epoch: float, number: int) -> dict[str, float]:
    kinds = ("val_event_f1", "val_segment_f1", "test_event_f1", "test_segment_f1")
    return {kind: 0.1 * i + 0.01 * number + 0.001 * epoch for i, kind in enumerate(kinds, start=1)}


def result_of(study: Any, **changes: Any) -> dict[str, Any]:
    winner = choose_winner(trial_records(study))
    figures = {"f1": 0.871, "auc": 0.9, "pauc": None, "prevalence": 0.5, "f1_flag_everything": 0.667}
    test = figures | {
        "f1": 0.832,
        "f1_interval": [0.7, 0.9],
        "auc_interval": [0.8, 1.0],
        "num_clips": 60,
        "num_recordings": 20,
    }
    per_machine = {"car-1": {"validation": figures, "test": figures | {"f1": 0.123, "auc": math.nan}}}
    default = {"trial": 0, "parameters": study.trials[0].params, "validation": figures, "test": figures}
    shape = {"seed": 1, "epoch": 3, "num_weights": 10, "num_layers": 5, "receptive_field_samples": 64}
    return {
        "study": study.study_name, "goal": "a goal", "data": "some data", "data_is_simulated": False,
        "data_fingerprint": "0123456789ab", "trials": {"complete": 6, "pruned": 1, "failed": 1}, "detector_found": True,
        "winner": winner and {"trial": winner.number, "parameters": dict(winner.parameters), "validation": figures,
                              "test": test, "per_machine": per_machine, **shape},
        "default": default, "finalists": [], "gaps": [], "faults": [],
        "git_commit": "abc", "device": "cpu", "threads": 1, "seconds": 75.0, "created": "today",
    } | changes  # fmt: skip


EMPTY_RESULT = {
    "study": "toy", "goal": "", "data": "", "data_is_simulated": False, "data_fingerprint": "", "winner": None,
    "trials": {"complete": 0, "pruned": 0, "failed": 0}, "detector_found": False, "default": None,
    "finalists": [], "gaps": [], "faults": [],
    "git_commit": None, "device": "cpu", "threads": 1, "seconds": None, "created": "",
}  # fmt: skip


def page_of(study: Any, *, description: str = "Why.", **changes: Any) -> str:
    return page_with(study, result_of(study, **changes), description=description)


def page_with(study: Any, result: Any, *, description: str = "", surface: F1Surface | None = None) -> str:
    figures = study_figures(study, result=result, surface=surface)
    return study_page(study, result=result, figures=figures, description=description, surface=surface)


def test_page_holds_plotly_once_and_every_plot() -> None:
    page = page_of(toy_study())
    assert page.count(packed_plotly()) == 1
    names = re.findall(r'data-figure="figure-(\w+)"', page)
    assert names == list(study_figures(toy_study()))
    assert all(page.count(f'id="figure-{name}"') == 1 for name in names)


def test_page_fetches_nothing_and_links_only_to_its_neighbours() -> None:
    study = toy_study()
    pages = {2: "trials/0002/page.html"}
    result, file = result_of(study), WinnerFile(path=Path("/x/winner/w.safetensors"), num_bytes=1, detect_command="")
    page = study_page(
        study, result=result, figures=study_figures(study, result=result), description="", pages=pages,
        handed_over=file, winner_page="finalists/trials/0001/page.html",
    )  # fmt: skip
    expected = ["winner/w.safetensors", "finalists/trials/0001/page.html", "trials/0002/page.html"]
    assert ParsedPage(page).addresses == expected
    assert "default-src 'none'" in page


def test_the_top_of_the_page_names_the_winner_s_file_its_size_and_the_command_for_it() -> None:
    study = toy_study()
    result = result_of(study)
    command = "machine-listening detect '/a <b>/winner' RECORDING.wav"
    file = WinnerFile(path=Path("/a <b>/winner/checkpoint.safetensors"), num_bytes=312_345, detect_command=command)
    figures = study_figures(study, result=result)
    page = study_page(study, result=result, figures=figures, description="Why.", handed_over=file)
    top = ParsedPage(page).text.split("Why.")[0]
    assert "The winner's file is winner/checkpoint.safetensors (312 kB)" in top
    assert command in top


def test_the_page_of_plots_holds_all_of_them_with_their_titles() -> None:
    figures = study_figures(toy_study())
    page = plots_page("toy <b>", figures)
    assert re.findall(r'data-figure="figure-(\w+)"', page) == list(figures)
    assert page.count(packed_plotly()) == 1
    assert "<b>" not in page
    assert all(f'"text":"{figure.layout.title.text}"' in page for figure in figures.values())


def test_table_holds_every_trial_with_its_state() -> None:
    study = toy_study()
    rows = ParsedPage(page_of(study)).rows[1:]
    assert [int(row[0]) for row in rows] == list(range(len(study.trials)))
    winner = choose_winner(trial_records(study)).number
    expected = ["complete"] * len(study.trials)
    expected[PRUNED], expected[FAILED] = "pruned", "failed"
    expected[winner] += " winner"
    expected[0] += " default"
    assert [row[1] for row in rows] == expected


def test_text_from_outside_cannot_become_markup() -> None:
    evil = '<script>alert("x")</script>'
    plain, study = toy_study(), toy_study(name=evil, failure=evil)
    changes = {"goal": evil, "data": evil, "device": evil}
    changed = result_of(study, **changes)
    changed["winner"]["per_machine"] = {evil: changed["winner"]["per_machine"]["car-1"]}
    parsed = ParsedPage(page_with(study, changed, description=evil))
    assert parsed.num_scripts == ParsedPage(page_of(plain)).num_scripts
    # Title, heading, goal, data, device, description, machine, reason.
    assert parsed.text.count(evil) == 8


@pytest.mark.parametrize(("num_complete", "is_warned"), [(2, True), (29, True), (30, False)])
def test_importance_of_few_trials_is_warned_of(num_complete: int, is_warned: bool) -> None:
    num_odd = 2 if num_complete > PRUNED else 0
    text = ParsedPage(page_of(toy_study(num_complete + num_odd))).text
    assert f"Parameter importance ({num_complete} complete trials)" in text
    assert (f"Only {num_complete} complete trials" in text) == is_warned


@pytest.mark.parametrize(
    ("num_trials", "f1", "message"),
    [(0, None, "there are none"), (1, None, "there is 1"), (8, 0.7, "have the same validation F1")],
)
def test_importance_says_why_there_is_none(num_trials: int, f1: float | None, message: str) -> None:
    study = toy_study(num_trials, f1=f1)
    result = result_of(study) if num_trials else EMPTY_RESULT
    page = page_with(study, result)
    figure = study_figures(study)["parameter_importance"]
    assert not figure.data
    assert message in figure.layout.annotations[0].text
    assert message in page


def test_importance_has_two_evaluators_and_says_what_they_rest_on() -> None:
    study = toy_study(12)  # ten of them complete
    bars = traces_by_name(study_figures(study)["parameter_importance"])
    shares = importance_shares(study)
    assert set(bars) == set(shares) == {"PED-ANOVA", "fANOVA"}
    for name, bar in bars.items():
        assert dict(zip(bar.y, bar.x, strict=True)) == shares[name]
        assert sum(bar.x) == pytest.approx(1)
    assert "the best tenth (1 trial) apart from all 10;" in ParsedPage(page_of(study)).text


def test_importance_that_ties_widen_the_best_tenth_is_said() -> None:
    study = toy_study(12)
    for _ in range(2):
        study.add_trial(study.best_trial)
    assert "the best tenth (3 trials, for some have the same F1) apart from all 12;" in ParsedPage(page_of(study)).text


def test_headline_names_the_winner_beside_what_no_detector_is_worth() -> None:
    study = toy_study()
    number = choose_winner(trial_records(study)).number
    text = ParsedPage(page_of(study)).text
    assert f"Trial {number} won with a validation F1 of 0.871; flagging every clip would have 0.667." in text
    assert (
        "F1 0.832 (95 % interval 0.700 to 0.900) on 60 clips of 20 recordings that were not used for choosing" in text
    )
    assert "No detector found" not in text
    assert "Simulated data" not in text


def test_page_of_a_study_without_a_complete_trial_says_so() -> None:
    text = ParsedPage(page_with(toy_study(0), EMPTY_RESULT)).text
    assert "No winner: no trial completed." in text
    assert "All 0 trials" in text


def test_page_says_when_nothing_was_found_and_when_data_is_simulated() -> None:
    text = ParsedPage(page_of(toy_study(), detector_found=False, data_is_simulated=True)).text
    assert "No detector found." in text
    assert "won with" not in text
    assert "Simulated data" in text


def test_what_does_not_exist_is_a_dash() -> None:
    page = page_of(toy_study())
    machine_row = re.search(r'<tr class="test"><td class="" data-sort=""></td>.*?</tr>', page)
    assert machine_row
    cells = [re.sub("<.*?>", "", cell) for cell in re.findall("<td.*?</td>", machine_row.group())]
    assert cells == ["", "test", "0.123", DASH, DASH, "0.500", "0.667"]


def traces_by_name(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_history_shows_the_best_so_far_and_every_trial_somewhere() -> None:
    study = toy_study()
    traces = traces_by_name(study_figures(study)["optimisation_history"])
    best = list(traces["best so far"].y)
    assert best == sorted(best)
    assert best[-1] == max(t.value for t in study.trials if t.value is not None)
    assert list(traces["pruned (1)"].x) == [PRUNED]
    assert list(traces["failed (1)"].x) == [FAILED]
    assert sorted([*traces["complete (6)"].x, PRUNED, FAILED]) == list(range(8))


def test_reasons_are_shown_in_plots_as_they_are() -> None:
    figure = study_figures(toy_study(failure="loss <b>NaN</b>"))["optimisation_history"]
    assert "loss &lt;b&gt;NaN&lt;/b&gt;" in traces_by_name(figure)["failed (1)"].text[0]


def test_every_trial_has_its_curve_and_the_winner_the_strongest() -> None:
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


def test_hovering_over_a_curve_tells_its_trial_whatever_the_point() -> None:
    """A text of its own for all points is shown as a dash by plotly.js; `meta` is not."""
    figures = study_figures(toy_study())
    lines = [trace for trace in figures["parallel_coordinates"].data if trace.mode == "lines"]
    for trace in [*figures["loss_by_epoch"].data, *lines]:
        assert trace.hovertemplate.startswith("%{meta}")
        assert re.search(r"trial \d+", trace.meta)
        assert "learning_rate = " in trace.meta


def test_curves_and_columns_of_labelled_events_are_there_where_events_are_labelled() -> None:
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
    assert [rows[FAILED][column] for column in columns] == [DASH] * 4  # it has chosen no epoch


def test_without_labelled_events_no_curve_and_no_column_speaks_of_them() -> None:
    page = page_of(toy_study())
    assert "event_f1" not in page
    assert "event F1" not in page
    assert "segment" not in page


def test_page_shows_the_surface_of_the_winner_where_there_is_one() -> None:
    study = toy_study()
    number = choose_winner(trial_records(study)).number
    surface = F1Surface(
        windows_ms=np.array([100.0, 1000.0]),
        thresholds_sigmas=np.array([1.0, 2.0]),
        f1=np.array([[0.5, 0.7], [0.6, 0.8]]),
        own=Point(window_ms=100.0, threshold_sigmas=2.0, f1=0.7),
    )
    page = page_with(study, result_of(study), surface=surface)
    assert page.count("data-figure=") == 6
    assert f"Trial {number} has a window of 100 ms" in page
    assert "has seen the validation labels" in page
    assert "F1 over window and threshold" not in page_with(toy_study(0), EMPTY_RESULT, surface=surface)


def test_every_heading_of_the_table_of_trials_is_a_button_and_the_order_is_told() -> None:
    page = page_of(toy_study())
    head = re.search(r'<table class="sortable"><thead>(.*?)</thead>', page).group(1)
    headings = re.findall("<th.*?</th>", head)
    assert len(headings) == 11
    assert all('<button type="button">' in heading for heading in headings)
    assert ["aria-sort" in heading for heading in headings] == [True] + [False] * 10


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


def test_parallel_coordinates_have_a_line_for_each_complete_trial() -> None:
    figure = study_figures(toy_study())["parallel_coordinates"]
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert len(lines) == 6
    assert all(0 <= height <= 1 for line in lines for height in line.y)
    assert lines[-1].showlegend  # the winner, on top
    assert lines[-1].y[0] == 1
