"""The report of a study, made from a study in memory."""

import re
from pathlib import Path

import numpy as np
import optuna
import pytest

from core.decision.post_search import F1Surface, Point
from core.web_page.rendering import packed_plotly
from hpo.pages.formatting import DASH
from hpo.pages.importance_figure import importance_figure
from hpo.pages.report import plots_page, study_page
from hpo.pages.study_figures import study_figures
from hpo.results.importance import importance_shares
from hpo.results.winner import choose_winner
from hpo.results.winner_file import WinnerFile
from hpo.search.trial_record import trial_records
from tests.hpo.pages.toy_study import (
    EMPTY_RESULT,
    FAILED,
    PRUNED,
    ParsedPage,
    page_of,
    page_with,
    result_of,
    toy_study,
    traces_by_name,
)


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
        winner_file=file, winner_page="finalists/trials/0001/page.html",
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
    page = study_page(study, result=result, figures=figures, description="Why.", winner_file=file)
    top = ParsedPage(page).text.split("Why.")[0]
    assert "The winner's file is winner/checkpoint.safetensors (312 kB)" in top
    assert command in top


def test_the_page_of_plots_holds_all_of_them_with_their_titles() -> None:
    figures = study_figures(toy_study())
    page = plots_page("toy <b>", figures, evidence=None)
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
def test_importance_of_few_trials_has_a_warning(num_complete: int, is_warned: bool) -> None:
    num_odd = 2 if num_complete > PRUNED else 0
    text = ParsedPage(page_of(toy_study(num_complete + num_odd))).text
    assert f"Parameter importance ({num_complete} complete trials)" in text
    assert (f"Only {num_complete} complete trials" in text) == is_warned


@pytest.mark.parametrize(
    ("num_trials", "f1", "message"),
    [(0, None, "there are none"), (1, None, "there is 1"), (8, 0.7, "have the same objective")],
)
def test_importance_says_why_there_is_none(num_trials: int, f1: float | None, message: str) -> None:
    study = toy_study(num_trials, f1=f1)
    result = result_of(study) if num_trials else EMPTY_RESULT
    page = page_with(study, result)
    figure = study_figures(study)["parameter_importance"]
    assert not figure.data
    assert message in figure.layout.annotations[0].text
    assert message in page


def test_objectives_that_differ_by_rounding_alone_say_nothing_about_parameters() -> None:
    study = optuna.create_study(direction="maximize")
    distributions = {"x": optuna.distributions.FloatDistribution(0, 1)}
    for x, value in ((0.2, 1 - 3.5e-9), (0.7, 1 - 2.5e-10)):
        study.add_trial(optuna.create_trial(params={"x": x}, distributions=distributions, value=value))
    figure = importance_figure(study)
    assert not figure.data
    assert "have the same objective" in figure.layout.annotations[0].text


def test_importance_has_two_evaluators_and_the_number_of_their_trials() -> None:
    study = toy_study(12)  # ten of them complete
    bars = traces_by_name(study_figures(study)["parameter_importance"])
    shares = importance_shares(study)
    assert set(bars) == set(shares) == {"PED-ANOVA", "fANOVA"}
    for name, bar in bars.items():
        assert dict(zip(bar.y, bar.x, strict=True)) == shares[name]
        assert sum(bar.x) == pytest.approx(1)
    assert "the best tenth (1 trial) apart from all 10;" in ParsedPage(page_of(study)).text


def test_importance_says_that_ties_widen_the_best_tenth() -> None:
    study = toy_study(12)
    for _ in range(2):
        study.add_trial(study.best_trial)
    assert (
        "the best tenth (3 trials, because some have the same value) apart from all 12;"
        in ParsedPage(page_of(study)).text
    )


def test_headline_compares_the_winner_with_flagging_every_clip() -> None:
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


def test_a_missing_value_is_a_dash() -> None:
    page = page_of(toy_study())
    machine_row = re.search(r'<tr class="test"><td class="" data-sort=""></td>.*?</tr>', page)
    assert machine_row
    cells = [re.sub("<.*?>", "", cell) for cell in re.findall("<td.*?</td>", machine_row.group())]
    assert cells == ["", "test", "0.123", DASH, DASH, DASH, DASH, "0.500", "0.667"]


def test_without_labelled_events_there_is_no_curve_and_no_column_of_them() -> None:
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
    assert "was chosen with the validation labels" in page
    assert "F1 over window and threshold" not in page_with(toy_study(0), EMPTY_RESULT, surface=surface)


def test_every_heading_of_the_table_of_trials_is_a_button_and_the_order_is_marked() -> None:
    page = page_of(toy_study())
    head = re.search(r'<table class="sortable"><thead>(.*?)</thead>', page).group(1)
    headings = re.findall("<th.*?</th>", head)
    assert len(headings) == 12
    assert all('<button type="button">' in heading for heading in headings)
    assert ["aria-sort" in heading for heading in headings] == [True] + [False] * 11


def test_the_top_of_the_report_says_that_the_network_has_not_learned_the_machine() -> None:
    study, words = toy_study(), "The network has not learned this machine: <b>"
    top = ParsedPage(page_of(study, whiteness={"warning": words})).text.split("Why.")[0]
    assert words in top
    assert "learned this machine" not in page_of(study, whiteness={"warning": None})


def test_a_result_of_a_version_before_whiteness_has_a_report() -> None:
    study = toy_study()
    result = result_of(study)
    assert "whiteness" not in result
    assert "learned this machine" not in page_with(study, result)
