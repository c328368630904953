"""The study's page: one self-contained HTML file that says in words what was found, and shows from what.

Every text that comes from outside (names of studies and machines, reasons, descriptions) is escaped on its way in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from core.baselines.comparison_table import Line
from core.decision.post_search import F1Surface
from hpo.pages.comparison_section import comparison_section
from hpo.pages.generalization_tables import faults_section, gap_section, seeds_section
from hpo.pages.parameter_axis import boundary_sentences, parameter_axes
from hpo.pages.plot_style import figure_html
from hpo.pages.post_section import SLICES, post_sections
from hpo.pages.report_tables import comparison_tables, failures_table, interval_text, machines_table, trials_table
from hpo.pages.surface_figure import TITLE, surface_words
from hpo.pages.web_page import (
    TEST_MARK,
    TEST_NOTE,
    Column,
    Row,
    document,
    duration_text,
    escaped,
    notice,
    number_cell,
    number_text,
    paragraph,
    section,
    table,
    text_cell,
)
from hpo.results.importance import importance_obstacle, importance_title, importance_warning, importance_words
from hpo.search.trial_record import trial_records

SIMULATED = "Simulated data: no real machine was recorded. The figures say that the tool works, not how well it hears."
NO_DEFAULT = "The default configuration (trial 0) is not complete, so there is nothing to compare with."
MIN_WIDTHS_PX = {"loss_by_epoch": 640, "parallel_coordinates": 760, "parameter_slices": 760, SLICES: 760}
"""Of plots that would print over themselves on a telephone."""
BUTTON_PX = 100
"""About the width of a button that is named after a metric."""


def study_page(
    study: optuna.Study,
    *,
    result: Mapping[str, Any],
    figures: Mapping[str, Any],
    description: str,
    surface: F1Surface | None = None,
    comparison: Sequence[Line] = (),
) -> str:
    """The whole page as HTML. The winner and all its figures are the result's, which is `runs/<study>/result.json`.

    The plots are those of `study_figures`, made with the same result and surface; without a surface the page has none.
    Figures that are None or NaN show as a dash. Without a complete trial (result["winner"] is None) the page says so
    and shows what there is.
    """
    plots = {name: _plot(name, figure) for name, figure in figures.items()}
    body = [
        _opening(result, description),
        *_winner_sections(result),
        *([comparison_section(comparison)] if comparison else []),
        seeds_section(result["finalists"]),
        gap_section(result["gaps"]),
        faults_section(result["faults"]),
        section("Optimisation history", plots["optimisation_history"]),
        section(
            "Every trial's curves against epochs",
            "<p>The buttons choose the metric, a click on the legend hides a group, and hovering tells a trial's "
            f"parameters. {TEST_NOTE}</p>",
            plots["loss_by_epoch"],
        ),
        _importance_section(study, plots["parameter_importance"]),
        section(
            "Parallel coordinates",
            paragraph("One line a complete trial, each axis over the whole range searched; dark is a high F1."),
            plots["parallel_coordinates"],
        ),
        section("Slices: validation F1 against each parameter", plots["parameter_slices"]),
        *_surface_sections(surface, result, plots),
        *post_sections(result, plots),
        _boundary_section(study, result),
        *_trial_sections(study, result),
    ]
    return document(f"{result['study']}: report of a study", "\n".join(body))


def _plot(name: str, figure: Any) -> str:
    num_buttons = max((len(menu.buttons) for menu in figure.layout.updatemenus), default=0)
    return figure_html(figure, name, min_width_px=max(MIN_WIDTHS_PX.get(name, 0), BUTTON_PX * num_buttons))


def _surface_sections(surface: F1Surface | None, result: Mapping[str, Any], plots: Mapping[str, str]) -> list[str]:
    if surface is None or result["winner"] is None:
        return []
    words = surface_words(surface, result["winner"]["trial"])
    return [section(f"{TITLE} of the winner, on validation", paragraph(words), plots["f1_surface"])]


def _opening(result: Mapping[str, Any], description: str) -> str:
    parts = [
        '<p class="kicker">Report of a study</p>',
        f"<h1>{escaped(result['study'])}</h1>",
        _headline(result),
    ]
    if result["data_is_simulated"]:
        parts.append(notice(SIMULATED, is_warning=True))
    parts.append(f'<p class="prose">{escaped(description)}</p>')
    parts.append(_study_facts(result))
    return "<section>" + "\n".join(parts) + "</section>"


def _headline(result: Mapping[str, Any]) -> str:
    winner = result["winner"]
    if winner is None:
        return '<p class="headline"><b>No winner: no trial completed.</b></p>'
    validation, test = winner["validation"], winner["test"]
    f1 = number_text(validation.get("f1"), decimals=3)
    flag_everything = number_text(validation.get("f1_flag_everything"), decimals=3)
    if result["detector_found"]:
        verdict = f"<b>Trial {winner['trial']} won with a validation F1 of {f1}</b>{_over_seeds(result)}"
    else:
        verdict = (
            f"<b>No detector found.</b> The best, trial {winner['trial']}, has a validation F1 of {f1}"
            f"{_over_seeds(result)}"
        )
    return (
        f'<p class="headline">{verdict}; flagging every clip would have {flag_everything}.</p>'
        f'<p class="headline">{_test_sentence(test)}</p>'
    )


def _over_seeds(result: Mapping[str, Any]) -> str:
    row = next((row for row in result["finalists"] if row["is_winner"]), None)
    if row is None:
        return ""
    mean = number_text(row["validation"]["f1_mean"], decimals=3)
    return f" (seed {row['seed_of_file']}; mean over {len(row['seeds'])} seeds {mean})"


def _test_sentence(test: Mapping[str, Any]) -> str:
    interval = test.get("f1_interval")
    with_interval = f" (95 % interval {interval_text(interval)})" if interval else ""
    on_what = f" on {number_text(test.get('num_clips'))} clips of {number_text(test.get('num_recordings'))} recordings"
    return (
        f"{TEST_MARK} F1 <b>{number_text(test.get('f1'), decimals=3)}</b>{with_interval}{on_what} that chose nothing; "
        f"prevalence {number_text(test.get('prevalence'), decimals=3)}, "
        f"flagging every clip would have {number_text(test.get('f1_flag_everything'), decimals=3)}."
    )


def _study_facts(result: Mapping[str, Any]) -> str:
    trials = result["trials"]
    facts = {
        "goal": result["goal"],
        "data": result["data"],
        "data fingerprint": result["data_fingerprint"],
        "trials": ", ".join(f"{trials[state]} {state}" for state in ("complete", "pruned", "failed")),
        "ran on": f"{result['device']}, {result['threads']} threads",
        "trials took together": duration_text(result["seconds"]),
        "git commit": result["git_commit"],
        "written": result["created"],
    }
    columns = [Column(title="", is_number=False), Column(title="", is_number=False)]
    return table(columns, [Row(cells=[text_cell(name), number_cell(value)]) for name, value in facts.items()])


def _winner_sections(result: Mapping[str, Any]) -> list[str]:
    winner = result["winner"]
    if winner is None:
        return []
    shape = (
        f"Trial {winner['trial']}, seed {winner['seed']}, weights of epoch {winner['epoch']}: "
        f"{number_text(winner['num_layers'])} layers, {number_text(winner['num_weights'])} weights, "
        f"a receptive field of {number_text(winner['receptive_field_samples'])} samples."
    )
    default = result["default"]
    parts = [paragraph(shape)]
    if default is None:
        parts.append(paragraph(NO_DEFAULT))
    elif winner["trial"] == default["trial"]:
        parts.append(notice("The default configuration (trial 0) won: the search found nothing better."))
    parts += [f"<p>{TEST_NOTE}</p>", comparison_tables(winner, default)]
    machines = section("Machine by machine", f"<p>{TEST_NOTE}</p>", machines_table(winner["per_machine"]))
    return [section("Winner against default", *parts), machines]


def _importance_section(study: optuna.Study, figure: str) -> str:
    if importance_obstacle(study) is not None:
        return section(importance_title(study), figure)
    warning = importance_warning(study)
    parts = [notice(warning, is_warning=True)] if warning else []
    return section(importance_title(study), *parts, paragraph(importance_words(study)), figure)


def _boundary_section(study: optuna.Study, result: Mapping[str, Any]) -> str:
    heading = "Is the winner at the edge of the space?"
    if result["winner"] is None:
        return section(heading, paragraph("There is no winner."))
    sentences = boundary_sentences(parameter_axes(study), result["winner"]["parameters"])
    if not sentences:
        return section(heading, paragraph("No: every numeric parameter of the winner lies inside its range."))
    items = "".join(f"<li>{escaped(sentence)}</li>" for sentence in sentences)
    return section(heading, f"<ul>{items}</ul>")


def _trial_sections(study: optuna.Study, result: Mapping[str, Any]) -> list[str]:
    records = trial_records(study)
    winner = result["winner"]["trial"] if result["winner"] else None
    all_trials = trials_table(records, list(parameter_axes(study)), winner)
    how = f"<p>A click on a heading sorts, a second one turns it round. {TEST_NOTE}</p>"
    return [
        section("Failed trials", failures_table(records)),
        section(f"All {len(records)} trials", how, all_trials),
    ]
