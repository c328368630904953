"""The page of one trial: its curves, score histograms, ROC, and two clips with the events that were found in them."""

from collections.abc import Mapping

from hpo.pages.rendering import render
from hpo.pages.table import Cell, Column, Row, Table, number_cell, text_cell
from hpo.pages.trial_sections import TrialView, trial_sections


def trial_page(trial: TrialView, *, facts: Mapping[str, object], report: str = "") -> str:
    """The page's HTML.

    facts: shown in their order; a fact that is a mapping becomes a group.
    report: path of the study's report from the page's folder, "" for no link.
    """
    first, *others = trial_sections(trial)
    return render(
        "trial",
        title=trial.title,
        report=report,
        first=first,
        others=others,
        facts=facts_table(facts),
        stand_ins=trial.stand_ins,
    )


def facts_table(facts: Mapping[str, object]) -> Table:
    """One fact a line; the facts of a mapping follow its name. Names that begin with test are marked."""
    columns = [Column(title="", is_number=False), Column(title="")]
    return Table(columns=columns, rows=[row for name, value in facts.items() for row in _fact_rows(name, value)])


def _fact_rows(name: str, value: object, *, is_test: bool = False) -> list[Row]:
    is_test = is_test or name.startswith("test")
    label = Cell(text=name, is_test=is_test)
    if not isinstance(value, Mapping):
        return [Row(cells=[label, number_cell(value)], css="test" if is_test else "")]
    group = Row(cells=[label, text_cell("")], css="group")
    return [group, *(row for key, inner in value.items() for row in _fact_rows(key, inner, is_test=is_test))]
