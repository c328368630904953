"""Compares the trials of a study in Optuna with its runs in MLflow.

Both stores are read with their own clients; nothing that the search left in files is believed. What is compared:

    Optuna's trial              MLflow's run
    ended                       exactly one run with its key (uid/number, and the run's number where it is above 1)
    COMPLETE, PRUNED, FAIL      FINISHED, KILLED, FAILED, and the tag optuna.state
    a value an epoch            one point an epoch in val_auc, the same value; no step twice in any metric
    COMPLETE, PRUNED            the checkpoint and the frame scores among the artifacts
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import optuna
from optuna.trial import FrozenTrial, TrialState

from core.decision.checkpoint import DETECTOR_FILE
from core.experiment import SCORES_FILE
from hpo.results.tracked_trials import RunsOfTrial, TrackedTrial, runs_by_owner, runs_of, tracked_trials
from hpo.search.study import STATE_TAG
from hpo.tracking.mlflow import TRIAL_TAG
from hpo.tracking.run_log import RunStatus
from hpo.tracking.stored_runs import StoredRuns

STATUS_OF: dict[TrialState, RunStatus] = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAIL: "FAILED",
}
Kind = Literal["lost", "doubled", "wrong"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ARTIFACTS = (DETECTOR_FILE, SCORES_FILE)
"""Files of a trial that did not fail."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One record that is missing, there twice, or not as it should be."""

    kind: Kind
    where: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was compared and what was found."""

    num_trials: int
    num_runs: int
    num_points: int
    unfinished: Sequence[str]
    """Trials that have not ended. Not a fault: they are resumed."""
    deleted: Sequence[str]
    """Trials whose run a person has deleted in MLflow. Not a fault: that is final."""
    findings: Sequence[Finding]

    def count(self, kind: Kind) -> int:
        return sum(finding.kind == kind for finding in self.findings)


class Auditor:
    """Compares a study, and the companion that holds its finalists, with the runs of its experiment."""

    def __init__(self, stored: StoredRuns, study: optuna.Study, companion: optuna.Study | None) -> None:
        self._stored = stored
        self._trials = tracked_trials(study, companion)
        self._runs = stored.read()
        self._by_owner = runs_by_owner(self._runs)
        self._num_points = 0

    def audit(self) -> Audit:
        active = [run for run in self._runs if run.info.lifecycle_stage == "active" and TRIAL_TAG in run.data.tags]
        owned = {run.info.run_id for trial in self._trials for _, run in self._by_owner.get(trial.owner, ())}
        findings = [finding for trial in self._trials for finding in self._compare(trial)]
        findings += [
            Finding(kind="wrong", where=run.info.run_name, detail="a run in MLflow without a trial in Optuna")
            for run in active
            if run.info.run_id not in owned
        ]
        ended = [trial for trial in self._trials if trial.trial.state.is_finished()]
        return Audit(
            num_trials=len(self._trials),
            num_runs=len(active),
            num_points=self._num_points,
            unfinished=[trial.name for trial in self._trials if not trial.trial.state.is_finished()],
            deleted=[trial.name for trial in ended if runs_of(trial, self._by_owner).is_deleted],
            findings=findings,
        )

    def _compare(self, tracked: TrackedTrial) -> Iterator[Finding]:
        trial, name = tracked.trial, tracked.name
        if not trial.state.is_finished():
            return
        runs = runs_of(tracked, self._by_owner)
        yield from _compare_runs(name, runs)
        for run in runs.current[:1]:
            yield from _compare_states(name, trial, run)
            yield from self._compare_points(name, trial, run)
            if trial.state is not TrialState.FAIL:
                there = self._stored.artifacts(run.info.run_id)
                for file in ARTIFACTS:
                    if file not in there:
                        yield Finding(kind="lost", where=name, detail=f"artifact {file}")

    def _compare_points(self, name: str, trial: FrozenTrial, run: Any) -> Iterator[Finding]:
        points = {metric: self._stored.points(run.info.run_id, metric) for metric in run.data.metrics}
        self._num_points += sum(map(len, points.values()))
        for metric, history in points.items():
            twice = [step for step, count in Counter(point.step for point in history).items() if count > 1]
            if twice:
                yield Finding(kind="doubled", where=name, detail=f"{metric} at step {_listed(twice)}")
        logged = {point.step: point.value for point in points.get("val_auc", [])}
        for step in sorted(trial.intermediate_values.keys() - logged.keys()):
            yield Finding(kind="lost", where=name, detail=f"val_auc of epoch {step}")
        wrong = [step for step, value in trial.intermediate_values.items() if logged.get(step, value) != value]
        if wrong:
            yield Finding(kind="wrong", where=name, detail=f"another val_auc at epoch {_listed(wrong)}")


def _compare_runs(name: str, runs: RunsOfTrial) -> Iterator[Finding]:
    if not runs.current and not runs.is_deleted:
        yield Finding(kind="lost", where=name, detail="no run in MLflow")
    if len(runs.current) > 1:
        yield Finding(kind="doubled", where=name, detail=f"{len(runs.current)} runs in MLflow")
    for _ in runs.older:
        yield Finding(kind="doubled", where=name, detail="a run of a machine that has lost the trial")
    for _ in runs.newer:
        yield Finding(kind="wrong", where=name, detail="a run of a number that Optuna does not know")


def _compare_states(name: str, trial: FrozenTrial, run: Any) -> Iterator[Finding]:
    expected = STATUS_OF[trial.state]
    if run.info.status != expected:
        yield Finding(kind="wrong", where=name, detail=f"status {run.info.status} instead of {expected}")
    state = run.data.tags.get(STATE_TAG)
    if state != trial.state.name:
        yield Finding(kind="wrong", where=name, detail=f"tag {STATE_TAG} {state} instead of {trial.state.name}")


def _listed(steps: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(steps)))
