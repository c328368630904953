"""What MLflow must hold of an ended trial: made from Optuna, and from the trial's event file where it is here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpo.results.audit import ARTIFACTS, STATUS_OF
from hpo.results.tracked_trials import TrackedTrial
from hpo.search.lease import LEASE_FILE
from hpo.search.logged_run import LoggedRun
from hpo.search.server_storage import LEASE
from hpo.search.study import STATE_TAG
from hpo.search.trial_record import EPOCHS, FACTS, FAILURE
from hpo.tracking.run_log import EVENTS_FILE_NAME, Attached, Ended, Event, Measured, Started, last_run_key, read_events

REBUILT_TAG = "hpo.rebuilt"
"""On a run whose times are not known, because neither Optuna nor a file of this machine has them."""
_FIGURES = (
    "best_epoch", "val_f1", "val_expected_f1", "val_balanced_f1", "val_auc", "test_f1", "test_auc",
    "val_f1_best_postprocessing",
)  # fmt: skip
"""Of FACTS: they are no parameters."""
Point = tuple[int, str]
"""Step and metric."""


@dataclass(frozen=True, kw_only=True)
class ExpectedRun:
    """The records of an ended trial. The storage is right where a file says something else."""

    started: Started
    points: Mapping[Point, tuple[float, int]]
    """The value, and the time in milliseconds."""
    artifacts: Mapping[str, Attached]
    """By the path among the run's artifacts. Those that are not here are included."""
    ended: Ended
    folder: Path
    """The trial's, which the artifacts' paths are relative to."""
    is_whole_here: bool
    """Whether the files in `folder` are the trial's final ones, and not those of a machine that has lost the trial."""
    has_times: bool
    """Whether the times are the original ones."""

    def measured(self, points: Iterator[Point] | list[Point]) -> list[Measured]:
        """The events of some of the points, one for each step and time."""
        timed = sorted((step, self.points[step, name][1], name) for step, name in points)
        return [
            Measured(time_ms=time_ms, step=step, values={name: self.points[step, name][0] for _, _, name in group})
            for (step, time_ms), group in groupby(timed, key=lambda each: each[:2])
        ]


def expected_run(tracked: TrackedTrial, study_folder: Path | None) -> ExpectedRun:
    """`study_folder` is None where the study's folder is not on this machine."""
    trial = tracked.trial
    folder = (study_folder or Path("nowhere")) / tracked.folder
    log = folder / EVENTS_FILE_NAME
    local = read_events(log) if last_run_key(log) == tracked.run_key else []
    kept = LoggedRun.of_trial(trial) or LoggedRun.of_events(local, end_ms=_milliseconds(trial.datetime_complete))
    logged = kept or _guessed(trial)
    measured = [event for event in local if isinstance(event, Measured)]
    rebuilt = {} if kept else {REBUILT_TAG: "from Optuna; times are guessed, and tags of the machine are missing"}
    return ExpectedRun(
        started=Started(
            time_ms=logged.start_ms,
            run_key=tracked.run_key,
            name=tracked.name,
            tags={**logged.tags, **tracked.tags, STATE_TAG: "RUNNING", **rebuilt},
            params=logged.params,
        ),
        points=_points(trial, logged) | {(e.step, n): (v, e.time_ms) for e in measured for n, v in e.values.items()},
        artifacts=_artifacts(trial, local),
        ended=_ended(tracked, logged),
        folder=folder,
        is_whole_here=_has_trained(trial, measured) or _is_last_owner(trial, folder),
        has_times=kept is not None,
    )


def _has_trained(trial: FrozenTrial, measured: list[Measured]) -> bool:
    """Whether the events go up to the best epoch. The files do not change after it."""
    reached = max((event.step for event in measured if "val_auc" in event.values), default=0)
    return bool(reached >= trial.user_attrs.get(FACTS, {}).get("best_epoch", 1))


def _is_last_owner(trial: FrozenTrial, folder: Path) -> bool:
    """Whether the folder's lease is the one under which the trial ended, where a power cut took the last events."""
    path = folder / LEASE_FILE
    return path.is_file() and path.read_text(encoding="utf-8", errors="replace") == trial.user_attrs.get(LEASE)


def _guessed(trial: FrozenTrial) -> LoggedRun:
    """For a trial that no machine has kept the times of: even spaces from its last start to its end."""
    start_ms, end_ms = (_milliseconds(time) for time in (trial.datetime_start, trial.datetime_complete))
    epochs = sorted(_rows(trial))
    facts: Mapping[str, Any] = trial.user_attrs.get(FACTS, {})
    return LoggedRun(
        start_ms=start_ms,
        end_ms=end_ms,
        epochs_ms={
            str(epoch): start_ms + (end_ms - start_ms) * index // len(epochs)
            for index, epoch in enumerate(epochs, start=1)
        },
        last_ms=end_ms,
        params={**trial.params, **{name: value for name, value in facts.items() if name not in _FIGURES}},
    )


def _milliseconds(time: Any) -> int:
    return round(1000 * time.timestamp()) if time else 0


def _rows(trial: FrozenTrial) -> dict[int, dict[str, float]]:
    """The metrics of every epoch. A trial that killed its processes has only the values that it reported."""
    rows = {epoch: {"val_auc": value} for epoch, value in trial.intermediate_values.items()}
    for row in trial.user_attrs.get(EPOCHS, ()):
        rows[int(row["epoch"])] = {name: float(value) for name, value in row.items() if name != "epoch"}
    return rows


def _points(trial: FrozenTrial, logged: LoggedRun) -> dict[Point, tuple[float, int]]:
    rows = _rows(trial)
    points = {
        (epoch, name): (value, logged.epochs_ms.get(str(epoch), logged.last_ms))
        for epoch, row in rows.items()
        for name, value in row.items()
    }
    facts: Mapping[str, Any] = trial.user_attrs.get(FACTS, {})
    last = {"val_f1_best_postprocessing": facts.get("val_f1_best_postprocessing")}
    last |= {"objective": trial.value} if trial.state is TrialState.COMPLETE else {}
    return points | {
        (max(rows, default=0), name): (value, logged.last_ms) for name, value in last.items() if value is not None
    }


def _artifacts(trial: FrozenTrial, local: list[Event]) -> dict[str, Attached]:
    names = () if trial.state is TrialState.FAIL else ARTIFACTS
    found = {name: Attached(time_ms=0, path=name, folder="") for name in names}
    attached = [event for event in local if isinstance(event, Attached)]
    return found | {str(Path(event.folder) / Path(event.path).name): event for event in attached}


def _ended(tracked: TrackedTrial, logged: LoggedRun) -> Ended:
    """As hpo/search/objective.py logs it."""
    trial, attrs = tracked.trial, tracked.trial.user_attrs
    tags = {STATE_TAG: trial.state.name}
    if "best_epoch" in attrs.get(FACTS, {}):
        tags["best_epoch"] = str(attrs[FACTS]["best_epoch"])
    if FAILURE in attrs:
        tags["failure"] = attrs[FAILURE]
    suffix = {TrialState.PRUNED: " pruned", TrialState.FAIL: " failed"}.get(trial.state, "")
    return Ended(time_ms=logged.end_ms, status=STATUS_OF[trial.state], name=f"{tracked.name}{suffix}", tags=tags)
