"""For tests of pages: a study in memory with every kind of trial, its result, and what a browser reads of a page."""

import math
from html.parser import HTMLParser
from typing import Any

import optuna
from optuna.trial import Trial

from core.decision.post_search import F1Surface
from hpo.pages.report import study_page
from hpo.pages.study_figures import study_figures
from hpo.results.winner import choose_winner
from hpo.search.trial_record import EPOCHS, FACTS, FAILURE, trial_records

PRUNED, FAILED, INFINITE_LOSS = 3, 4, 5
"""Numbers of the trials that are pruned, that fail, and that have an infinite loss."""


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
    """Trials of three epochs. The trials PRUNED, FAILED and INFINITE_LOSS are as their names say."""
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
        "flagging_everything": 0.667,
        "winner": winner and {"trial": winner.number, "parameters": dict(winner.parameters), "validation": figures,
                              "test": test, "per_machine": per_machine, **shape},
        "default": default, "finalists": [], "gaps": [], "faults": [], "evidence": None, "promise": None,
        "git_commit": "abc", "device": "cpu", "threads": 1, "seconds": 75.0, "created": "today",
    } | changes  # fmt: skip


EMPTY_RESULT = {
    "study": "toy", "goal": "", "data": "", "data_is_simulated": False, "data_fingerprint": "", "winner": None,
    "trials": {"complete": 0, "pruned": 0, "failed": 0}, "detector_found": False, "default": None,
    "flagging_everything": None,
    "finalists": [], "gaps": [], "faults": [], "evidence": None, "promise": None,
    "git_commit": None, "device": "cpu", "threads": 1, "seconds": None, "created": "",
}  # fmt: skip


def page_of(study: Any, *, description: str = "Why.", **changes: Any) -> str:
    return page_with(study, result_of(study, **changes), description=description)


def page_with(study: Any, result: Any, *, description: str = "", surface: F1Surface | None = None) -> str:
    figures = study_figures(study, result=result, surface=surface)
    return study_page(study, result=result, figures=figures, description=description, surface=surface)


def traces_by_name(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}
