"""Repairs MLflow from Optuna: after a power cut, a lost server, or a machine that never came back.

The storage is right. For an ended trial MLflow gets what it lacks, through the same door as all records
(hpo/tracking/mlflow.py): a missing run, its end, points, and artifacts that are on this machine. Nothing is sent twice.
Runs of machines that have lost the trial are deleted. A run that a person has deleted stays deleted, and a trial that
has not ended is left alone.
"""

import math
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.results.audit import STATUS_OF
from hpo.results.expected_run import REBUILT_TAG, ExpectedRun, Point, expected_run
from hpo.results.tracked_trials import RunsOfTrial, TrackedTrial, runs_by_owner, runs_of
from hpo.search.lease import HOST
from hpo.search.study import STATE_TAG
from hpo.tracking.errors import RunDeleted, RunReplaced, TryLater
from hpo.tracking.mlflow import MlflowExperiment
from hpo.tracking.run_log import EVENTS_FILE_NAME, Event, Tagged
from hpo.tracking.stored_runs import StoredRuns

SECONDS_FOR_ITS_MACHINE = 120
"""A trial that ended on another machine within this time is not repaired: that machine may be sending its records."""
_EVENTS_A_CALL = 50
REPAIRS = ("run", "end", "parameter or tag", "point", "artifact", "superseded run")
"""What can be repaired, for `Repairs.counts`."""


@dataclass
class Repairs:
    """What was sent, and what could not be."""

    num_compared: int = 0
    trials: list[str] = field(default_factory=list)
    """Names of those that were repaired."""
    counts: Counter[str] = field(default_factory=Counter)
    """By the names of REPAIRS."""
    left: list[str] = field(default_factory=list)
    """A line for each record that cannot be repaired from this machine."""


class Reconciliation:
    """Compares the ended trials of a study with their runs, and repairs the runs."""

    def __init__(self, trials: Sequence[TrackedTrial], stored: StoredRuns, experiment: MlflowExperiment) -> None:
        """Reads all runs, in one call where they fit a page. Raises TryLater where the server does not answer."""
        self._trials = [trial for trial in trials if trial.trial.state.is_finished()]
        self._stored, self._experiment = stored, experiment
        self._by_owner = runs_by_owner(stored.read()) if self._trials else {}

    def differing(self) -> list[TrackedTrial]:
        """Trials whose runs visibly differ: by their number, status, state, or last validation AUC."""
        return [trial for trial in self._trials if _differs(trial, runs_of(trial, self._by_owner))]

    def all_ended(self) -> list[TrackedTrial]:
        return self._trials

    def repair(
        self,
        trials: Iterable[TrackedTrial],
        study_folder: Path | None,
        *,
        only_known_times: bool = False,
        keep_going: Callable[[], bool] = lambda: True,
    ) -> Repairs:
        """Compares trials in full, and sends what their runs lack. Raises TryLater and ExperimentDeleted.

        `study_folder` is None where the study's folder is not here. With `only_known_times` a trial whose times are not
        known is left: its machine may still have unsent records, which would then be there twice.
        """
        repairs = Repairs()
        for tracked in trials:
            if not keep_going():
                repairs.left.append(f"{tracked.name}: there was no time for it")
            elif _may_be_coming(tracked, study_folder):
                repairs.left.append(f"{tracked.name}: ended a moment ago on another machine, which may be sending it")
            else:
                repair = _Repair(
                    tracked, runs_of(tracked, self._by_owner), study_folder, self._stored, self._experiment
                )
                if only_known_times and not repair.expected.has_times:
                    repairs.left.append(f"{tracked.name}: its records are on another machine ({_host(tracked)})")
                    continue
                repair.into(repairs)
        return repairs


def _host(tracked: TrackedTrial) -> str:
    return str(tracked.trial.user_attrs.get(HOST, "unknown"))


def _may_be_coming(tracked: TrackedTrial, study_folder: Path | None) -> bool:
    ended = tracked.trial.datetime_complete
    if study_folder and (study_folder / tracked.folder / EVENTS_FILE_NAME).is_file():
        return False  # its records are here, and have been sent before
    is_of_here = _host(tracked) == socket.gethostname()
    return not is_of_here and ended is not None and time.time() - ended.timestamp() < SECONDS_FOR_ITS_MACHINE


def _differs(tracked: TrackedTrial, runs: RunsOfTrial) -> bool:
    if runs.older or len(runs.current) > 1:
        return True
    if not runs.current:
        return not runs.is_deleted
    run, reported = runs.current[0], tracked.trial.intermediate_values
    if not _has_ended(tracked, run):
        return True
    last = run.data.metrics.get("val_auc")
    return bool(reported) and (last is None or not _is_same(last, reported[max(reported)]))


def _has_ended(tracked: TrackedTrial, run: Any) -> bool:
    state = tracked.trial.state
    return bool(run.info.status == STATUS_OF[state] and run.data.tags.get(STATE_TAG) == state.name)


def _is_same(one: float, other: float) -> bool:
    """MLflow has NaN for what is not finite."""
    return one == other or not (math.isfinite(one) or math.isfinite(other))


class _Repair:
    """The comparison of one trial in full."""

    def __init__(
        self,
        tracked: TrackedTrial,
        runs: RunsOfTrial,
        study_folder: Path | None,
        stored: StoredRuns,
        experiment: MlflowExperiment,
    ) -> None:
        self._tracked, self._runs = tracked, runs
        self._stored, self._experiment = stored, experiment
        self.expected: ExpectedRun = expected_run(tracked, study_folder)
        self._run_id = ""
        self._counts: Counter[str] = Counter()
        self._left: list[str] = []

    def into(self, repairs: Repairs) -> None:
        """Sends what the run lacks, and adds that to `repairs`."""
        repairs.num_compared += 1
        try:
            self._repair()
        except (RunDeleted, RunReplaced):
            pass  # a moment ago, by a person or by the trial's own machine, which has come back
        except TryLater as trouble:
            if not self._experiment.takes_writes():
                raise
            self._left.append(str(trouble))
        repairs.left += [f"{self._tracked.name}: {line}" for line in self._left]
        repairs.counts += self._counts
        if self._counts.total():
            repairs.trials.append(self._tracked.name)

    def _repair(self) -> None:
        superseded = (*self._runs.older, *self._runs.current[1:])
        self._experiment.delete_replaced(superseded)
        self._counts["superseded run"] += len(superseded)
        if self._runs.is_deleted:
            return
        if self._runs.current:
            self._complete(self._runs.current[0])
        else:
            self._create()

    def _create(self) -> None:
        self._run_id = self._experiment.find_or_create_run(self.expected.started)
        self._counts["run"] += 1
        self._send([self.expected.started])
        self._send_points(())
        self._send_artifacts()
        self._send([self.expected.ended])

    def _complete(self, run: Any) -> None:
        self._run_id = run.info.run_id
        started, ended = self.expected.started, self.expected.ended
        facts = {*started.params, *started.tags} if self.expected.has_times else set()
        lacking = facts - {*run.data.params, *run.data.tags}
        if lacking:
            self._send([started])
            self._counts["parameter or tag"] += len(lacking)
        self._send_points(run.data.metrics)
        self._send_artifacts()
        has_ended = _has_ended(self._tracked, run)
        if lacking or not has_ended or ended.tags.keys() - run.data.tags.keys():
            self._send([ended])
            self._counts["end"] += not has_ended

    def _send_points(self, metrics: Iterable[str]) -> None:
        there = {(each.step, name) for name in metrics for each in self._stored.points(self._run_id, name)}
        missing: list[Point] = [point for point in self.expected.points if point not in there]
        events = self.expected.measured(missing)
        for begin in range(0, len(events), _EVENTS_A_CALL):
            self._send(events[begin : begin + _EVENTS_A_CALL])
        if missing and not self.expected.has_times:
            self._send([Tagged(time_ms=0, values={REBUILT_TAG: self.expected.started.tags[REBUILT_TAG]})])
        self._counts["point"] += len(missing)

    def _send_artifacts(self) -> None:
        for path, event in self._missing_artifacts():
            if self.expected.is_whole_here and (self.expected.folder / event.path).is_file():
                self._send([event])
                self._counts["artifact"] += 1
            else:
                self._left.append(f"artifact {path} is not on this machine (the trial ran on {_host(self._tracked)})")

    def _missing_artifacts(self) -> Iterator[tuple[str, Any]]:
        folders = {event.folder for event in self.expected.artifacts.values()}
        there = {path for folder in folders for path in self._stored.artifacts(self._run_id, folder)}
        yield from ((path, event) for path, event in self.expected.artifacts.items() if path not in there)

    def _send(self, events: Sequence[Event]) -> None:
        self._left += self._experiment.send(self._run_id, events, self.expected.folder)


def counts_line(repairs: Repairs) -> str:
    """For example: 1 run, 2 ends, 14 points."""
    counted = [(repairs.counts[name], name) for name in REPAIRS if repairs.counts[name]]
    plural = {"parameter or tag": "parameters and tags"}
    return ", ".join(f"{n} {name if n == 1 else plural.get(name, f'{name}s')}" for n, name in counted)
