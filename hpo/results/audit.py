"""Compares the trials of a study in Optuna with its runs in MLflow.

Both stores are read with their own clients; nothing that the search left in files is believed. What is compared:

    Optuna's trial              MLflow's run
    ended                       exactly one run with its number (and seed, for a finalist)
    COMPLETE, PRUNED, FAIL      FINISHED, KILLED, FAILED, and the tag optuna.state
    a value an epoch            one point an epoch in val_auc, the same value; no step twice in any metric
    COMPLETE, PRUNED            the checkpoint and the frame scores among the artifacts
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import optuna
from optuna.trial import FrozenTrial, TrialState

from core.decision.checkpoint import DETECTOR_FILE
from core.experiment import SCORES_FILE
from hpo.results.finalists import ENTRY
from hpo.search.study import STATE_TAG
from hpo.tracking.mlflow import TRIAL_TAG

SEED_TAG = "seed"
STATUS_OF = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}
Kind = Literal["lost", "doubled", "wrong"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Key = tuple[int, int]
"""Number of a trial of the search, and the seed of a finalist's training: 0 for the trial itself."""


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
    findings: Sequence[Finding]

    def count(self, kind: Kind) -> int:
        return sum(finding.kind == kind for finding in self.findings)


class Auditor:
    """Compares a study, and the companion that holds its finalists, with the runs of its experiment."""

    def __init__(self, client: Any, experiment_id: str, study: optuna.Study, companion: optuna.Study | None) -> None:
        self._client = client
        self._trials = dict(_trials_by_key(study, companion))
        self._runs = _runs_by_key(client.search_runs([experiment_id], max_results=50_000))
        self._num_points = 0

    def audit(self) -> Audit:
        findings = [finding for key, trial in self._trials.items() for finding in self._compare(key, trial)]
        findings += [
            Finding(kind="wrong", where=_name(key), detail="a run in MLflow without a trial in Optuna")
            for key in self._runs.keys() - self._trials.keys()
        ]
        return Audit(
            num_trials=len(self._trials),
            num_runs=sum(map(len, self._runs.values())),
            num_points=self._num_points,
            unfinished=[_name(key) for key, trial in self._trials.items() if not trial.state.is_finished()],
            findings=findings,
        )

    def _compare(self, key: Key, trial: FrozenTrial) -> Iterator[Finding]:
        if not trial.state.is_finished():
            return
        runs = self._runs.get(key, [])
        if not runs:
            yield Finding(kind="lost", where=_name(key), detail="no run in MLflow")
        if len(runs) > 1:
            yield Finding(kind="doubled", where=_name(key), detail=f"{len(runs)} runs in MLflow")
        for run in runs[:1]:
            yield from _compare_states(key, trial, run)
            yield from self._compare_points(key, trial, run)
            if trial.state is not TrialState.FAIL:
                there = {file.path for file in self._client.list_artifacts(run.info.run_id)}
                for name in (DETECTOR_FILE, SCORES_FILE):
                    if name not in there:
                        yield Finding(kind="lost", where=_name(key), detail=f"artifact {name}")

    def _compare_points(self, key: Key, trial: FrozenTrial, run: Any) -> Iterator[Finding]:
        points: Mapping[str, list[Any]] = {
            name: self._client.get_metric_history(run.info.run_id, name) for name in run.data.metrics
        }
        self._num_points += sum(map(len, points.values()))
        for name, history in points.items():
            twice = [step for step, count in Counter(point.step for point in history).items() if count > 1]
            if twice:
                yield Finding(kind="doubled", where=_name(key), detail=f"{name} at step {_listed(twice)}")
        logged = {point.step: point.value for point in points.get("val_auc", [])}
        for step in sorted(trial.intermediate_values.keys() - logged.keys()):
            yield Finding(kind="lost", where=_name(key), detail=f"val_auc of epoch {step}")
        wrong = [step for step, value in trial.intermediate_values.items() if logged.get(step, value) != value]
        if wrong:
            yield Finding(kind="wrong", where=_name(key), detail=f"another val_auc at epoch {_listed(wrong)}")


def _compare_states(key: Key, trial: FrozenTrial, run: Any) -> Iterator[Finding]:
    expected = STATUS_OF[trial.state]
    if run.info.status != expected:
        yield Finding(kind="wrong", where=_name(key), detail=f"status {run.info.status} instead of {expected}")
    state = run.data.tags.get(STATE_TAG)
    if state != trial.state.name:
        yield Finding(kind="wrong", where=_name(key), detail=f"tag {STATE_TAG} {state} instead of {trial.state.name}")


def _trials_by_key(study: optuna.Study, companion: optuna.Study | None) -> Iterator[tuple[Key, FrozenTrial]]:
    for trial in study.get_trials(deepcopy=False):
        yield (trial.number, 0), trial
    for trial in companion.get_trials(deepcopy=False) if companion else ():
        if ENTRY in trial.user_attrs:
            entry = trial.user_attrs[ENTRY]
            yield (entry["trial"], entry["seed"]), trial


def _runs_by_key(runs: Sequence[Any]) -> dict[Key, list[Any]]:
    found: dict[Key, list[Any]] = {}
    for run in runs:
        if TRIAL_TAG in run.data.tags:
            key = int(run.data.tags[TRIAL_TAG]), int(run.data.tags.get(SEED_TAG, 0))
            found.setdefault(key, []).append(run)
    return found


def _name(key: Key) -> str:
    number, seed = key
    return f"trial {number:02d}" if seed == 0 else f"trial {number:02d} seed {seed}"


def _listed(steps: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(steps)))
