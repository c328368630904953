"""The trials of a study and the runs in MLflow that belong to them, matched by the keys of the runs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from hpo.results.finalists import ENTRY
from hpo.search.study import FINALISTS_DIRECTORY, FINALISTS_SUFFIX, UID
from hpo.search.study_folder import TRIALS_DIRECTORY
from hpo.search.trial_record import RUN, run_key
from hpo.tracking.mlflow import RUN_KEY_TAG, TRIAL_TAG

SEED_TAG = "seed"
_RUN_KEY = re.compile(r"(?P<uid>[^/]+)/(?P<trial>\d+)(?:/(?P<run>\d+))?")
Owner = tuple[str, int]
"""Unique key of the study or of its companion, and the trial's number in it."""


@dataclass(frozen=True, kw_only=True)
class TrackedTrial:
    """A trial of the search or of its finalists, and its names in MLflow."""

    trial: FrozenTrial
    uid: str
    """Of the trial's study, or of the companion."""
    study: str
    """Name of the search."""
    number: int
    """Of the search's trial."""
    seed: int
    """Of a finalist's training; 0 for the search's trial itself."""

    @property
    def name(self) -> str:
        """The run's name while it is not known how it ends."""
        return f"trial {self.number:02d}" if self.seed == 0 else f"trial {self.number:02d} seed {self.seed}"

    @property
    def run_key(self) -> str:
        return run_key(self.uid, self.trial)

    @property
    def run_number(self) -> int:
        return int(self.trial.user_attrs.get(RUN, 1))

    @property
    def owner(self) -> Owner:
        return self.uid, self.trial.number

    @property
    def tags(self) -> dict[str, str]:
        """Those that every start of the run has."""
        tags = {"optuna.study": self.study, TRIAL_TAG: str(self.number)}
        return tags if self.seed == 0 else {**tags, SEED_TAG: str(self.seed)}

    @property
    def folder(self) -> Path:
        """Relative to the study's folder."""
        parent = Path() if self.seed == 0 else Path(FINALISTS_DIRECTORY)
        return parent / TRIALS_DIRECTORY / f"{self.trial.number:04d}"


def load_companion(study: optuna.Study) -> optuna.Study | None:
    """The companion that holds the study's finalists; None where there is none yet."""
    try:
        companion = optuna.load_study(study_name=study.study_name + FINALISTS_SUFFIX, storage=study._storage)
    except KeyError:
        return None
    return companion if companion.user_attrs.get(UID) == _uid_of_companion(study) else None


def _uid_of_companion(study: optuna.Study) -> str:
    return f"{study.user_attrs[UID]}{FINALISTS_SUFFIX}"


def tracked_trials(study: optuna.Study, companion: optuna.Study | None) -> list[TrackedTrial]:
    """All trials of the search, then those of its finalists."""
    return [*_of_search(study), *(_of_finalists(study, companion) if companion else ())]


def _of_search(study: optuna.Study) -> Iterator[TrackedTrial]:
    uid = str(study.user_attrs[UID])
    for trial in study.get_trials(deepcopy=False):
        yield TrackedTrial(trial=trial, uid=uid, study=study.study_name, number=trial.number, seed=0)


def _of_finalists(study: optuna.Study, companion: optuna.Study) -> Iterator[TrackedTrial]:
    uid = _uid_of_companion(study)
    for trial in companion.get_trials(deepcopy=False):
        if ENTRY in trial.user_attrs:
            entry = trial.user_attrs[ENTRY]
            yield TrackedTrial(trial=trial, uid=uid, study=study.study_name, number=entry["trial"], seed=entry["seed"])


@dataclass(frozen=True, kw_only=True)
class RunsOfTrial:
    """A trial's runs in MLflow that are not deleted."""

    current: Sequence[Any]
    """The first is the run that records go to. A second one is a fault."""
    older: Sequence[Any]
    """Of machines that have lost the trial. They should have been deleted."""
    newer: Sequence[Any]
    """Of numbers that the storage does not know. There should be none."""
    is_deleted: bool
    """Whether a person has deleted the current run, which is final."""


def runs_by_owner(runs: Sequence[Any]) -> Mapping[Owner, Sequence[tuple[int, Any]]]:
    """The runs of trials with their numbers, the earliest first, by the trial that their keys name."""
    found: dict[Owner, list[tuple[int, Any]]] = {}
    for run in sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id)):
        if key := _RUN_KEY.fullmatch(run.data.tags.get(RUN_KEY_TAG, "")):
            found.setdefault((key["uid"], int(key["trial"])), []).append((int(key["run"] or 1), run))
    return found


def runs_of(tracked: TrackedTrial, by_owner: Mapping[Owner, Sequence[tuple[int, Any]]]) -> RunsOfTrial:
    numbered, now = by_owner.get(tracked.owner, ()), tracked.run_number
    active = [(number, run) for number, run in numbered if run.info.lifecycle_stage == "active"]
    current = [run for number, run in active if number == now]
    return RunsOfTrial(
        current=current,
        older=[run for number, run in active if number < now],
        newer=[run for number, run in active if number > now],
        is_deleted=not current and any(number == now for number, _ in numbered),
    )
