"""Why the winner won, in one sentence for the terminal, the report and result.json."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hpo.results.winner import Finalist, Lead, is_default, lead_of_finalists, lead_of_trials
from hpo.search.trial_record import TrialRecord


def choice_of(
    records: Iterable[TrialRecord], finalists: Sequence[Finalist], winner: Finalist | None, *, objective: str
) -> Mapping[str, Any] | None:
    """`choice` of result.json; None without a winner. `objective` is its name.

    The lead is that of means over seeds where the default configuration is a finalist, else that of the trials.
    """
    if winner is None:
        return None
    lead, name = lead_of_finalists(finalists) if winner in finalists else None, f"mean {objective}"
    if lead is None:
        lead, name = lead_of_trials(records), objective
    sentence = lead_sentence(lead, objective=name)
    if lead and winner.number != lead.best and not is_default(winner.number):
        sentence += f" Of the finalists trial {winner.number} has the highest mean {objective} over its seeds."
    return {"lead": asdict(lead) if lead else None, "sentence": sentence}


def lead_sentence(lead: Lead | None, *, objective: str) -> str:
    """What one standard error decides, or why the highest objective does."""
    highest = f"The highest {objective} on validation wins"
    if lead is None:
        return f"{highest}, because the default configuration (trial 0) is not complete."
    if lead.standard_error is None:
        return f"{highest}, because an earlier version ran trial 0 or {lead.best} and kept no standard error."
    if not lead.default_is_a_detector:
        useless = "is no better than flagging everything"
        if is_default(lead.best):
            return f"The default configuration (trial 0) has the highest {objective} on validation, and {useless}."
        return f"{highest}: the default configuration (trial 0) {useless}, so it is not kept."
    if lead.is_none:
        return f"The default configuration (trial 0) wins: none has a higher {objective} on validation, to .001."
    ahead = f"trial {lead.best} is ahead by {lead.difference:.3f} of {objective} on validation"
    error = f"one standard error over takes ({lead.standard_error:.3f})"
    if lead.is_within_an_error:
        return f"The default configuration (trial 0) wins: {ahead}, which is within {error}."
    return f"The default configuration (trial 0) does not win: {ahead}, which is more than {error}."
