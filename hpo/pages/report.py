"""The report of a study: one HTML file that says in words what was found, and shows the data behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from core.baselines.comparison_table import Line
from core.command_line import counted
from core.decision.post_search import F1Surface
from core.web_page.rendering import page_figure
from hpo.pages.comparison_section import comparison_view
from hpo.pages.evidence_tables import evidence_view
from hpo.pages.formatting import duration_text, size_text
from hpo.pages.generalization_tables import flagged_view, gaps_view, seeds_view
from hpo.pages.parameter_axis import boundary_sentences, parameter_axes
from hpo.pages.plot_style import untitled
from hpo.pages.post_figures import SLICES
from hpo.pages.post_section import post_view
from hpo.pages.rendering import render
from hpo.pages.surface_figure import surface_words
from hpo.pages.table import Column, Row, Table, number_cell, text_cell
from hpo.pages.trials_table import failures_table, trials_table
from hpo.pages.winner_tables import winner_tables
from hpo.results.importance import importance_obstacle, importance_title, importance_warning, importance_words
from hpo.results.promise import has_other_threshold
from hpo.results.winner_file import WinnerFile
from hpo.search.study import objective_name
from hpo.search.trial_record import trial_records

MIN_WIDTHS_PX = {
    "loss_by_epoch": 640,
    "learning_curves": 560,
    "parallel_coordinates": 760,
    "parameter_slices": 760,
    SLICES: 760,
}
"""Of plots whose labels would overlap on a telephone."""
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
    pages: Mapping[int, str] | None = None,
    winner_file: WinnerFile | None = None,
    winner_page: str = "",
) -> str:
    """The page's HTML. `result` is what `runs/<study>/result.json` holds, and the winner's figures come from it.

    The plots are those of `study_figures`, made with the same result and surface. `pages` has the path of a trial's
    page from the report's folder, by the trial's number, and `winner_page` that of the winning training. Values that
    are None or NaN show as a dash. Without a complete trial (result["winner"] is None) the page says so.
    """
    winner = result["winner"]
    records, axes = trial_records(study), parameter_axes(study)
    return render(
        "report",
        result=result,
        description=description,
        facts=_facts(result),
        winner_file=winner_file,
        size=size_text(winner_file.num_bytes) if winner_file else "",
        winner_page=winner_page,
        objective=objective_name(study),
        finalist=next((row for row in result["finalists"] if row["is_winner"]), None),
        winner_tables=winner_tables(winner, result["default"]) if winner else None,
        comparison=comparison_view(comparison),
        evidence_view=evidence_view(result.get("evidence"), winner["test"] if winner else {}),
        seeds=seeds_view(result["finalists"], objective=objective_name(study)),
        gaps=gaps_view(result["gaps"], has_other_threshold=has_other_threshold(result)),
        flagged=flagged_view(result["faults"]),
        figures={
            name: untitled(figure, name=name, min_width_px=_min_width_px(name, figure))
            for name, figure in figures.items()
        },
        importance=_importance(study),
        surface_words=surface_words(surface, winner["trial"]) if surface and winner else None,
        post=post_view(result.get("post"), winner),
        boundaries=boundary_sentences(axes, winner["parameters"]) if winner else [],
        failures=failures_table(records),
        trials=trials_table(records, list(axes), winner=winner["trial"] if winner else None, pages=pages or {}),
    )


def plots_page(name: str, figures: Mapping[str, Any], *, evidence: Mapping[str, Any] | None) -> str:
    """All plots of a study with their titles, and without the report's text but for what makes the winner unproven."""
    shown = [page_figure(figure, name=key, min_width_px=_min_width_px(key, figure)) for key, figure in figures.items()]
    return render("plots", name=name, figures=shown, banner=evidence and evidence["banner"])


def _min_width_px(name: str, figure: Any) -> int:
    num_buttons = max((len(menu.buttons) for menu in figure.layout.updatemenus), default=0)
    return max(MIN_WIDTHS_PX.get(name, 0), BUTTON_PX * num_buttons)


def _facts(result: Mapping[str, Any]) -> Table:
    trials = result["trials"]
    facts = {
        "goal": result["goal"],
        "data": result["data"],
        "data fingerprint": result["data_fingerprint"],
        "trials": ", ".join(f"{trials[state]} {state}" for state in ("complete", "pruned", "failed")),
        "ran on": f"{result['device']}, {counted(result['threads'], 'thread')}",
        "trials took together": duration_text(result["seconds"]),
        "git commit": result["git_commit"],
        "written": result["created"],
    }
    columns = [Column(title="", is_number=False), Column(title="", is_number=False)]
    return Table(columns=columns, rows=[Row(cells=[text_cell(n), number_cell(v)]) for n, v in facts.items()])


def _importance(study: optuna.Study) -> dict[str, str | None]:
    """Words around the plot of importances; the plot itself says why there are none."""
    has_shares = importance_obstacle(study) is None
    return {
        "title": importance_title(study),
        "warning": importance_warning(study) if has_shares else None,
        "words": importance_words(study) if has_shares else None,
    }
