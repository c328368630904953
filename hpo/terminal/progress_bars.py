"""Bars over a study in a terminal: its trials, the trainings of its finalists, and each trial that is being trained.

Everything shown is read from the study's storage, so that all processes on the study are seen, wherever they run, and
what ended before this process began.

    trials      ━━━━━━━━━━━━━━╺━━━━━━━━━━━━━━━ 4/8  best F1 0.812 (trial 2)  0:01:10  0:02:30 left
    finalists   ╺━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 0/6
    trial 04    ━━━━━━━━━━━━━━━━━━╺━━━━━━━━━━━ 3/5  val AUC 0.871
    trial 05    ━━━━━━╺━━━━━━━━━━━━━━━━━━━━━━━ 1/5  val AUC 0.640
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from sqlalchemy.exc import SQLAlchemyError

from core.experiment import EpochResult
from hpo.results.finalists import FinalistsStudy
from hpo.results.winner import highest
from hpo.search.study import OpenStudy, objective_name
from hpo.search.trial_record import TrialRecord
from hpo.terminal.console import Console
from hpo.terminal.time_left import Countdown, Pace, clock

SECONDS_BETWEEN_READINGS = 1.0
NARROW_COLUMNS = 100
"""In a terminal with fewer columns bars are short, so that a row stays one line."""


@dataclass(frozen=True, kw_only=True)
class TrainedNow:
    """A trial that some process trains."""

    name: str
    epoch: int
    """The last that has ended; 0 before the first."""
    num_epochs: int
    val_auc: float | None
    """After that epoch."""


@dataclass(frozen=True, kw_only=True)
class StudyProgress:
    """Where a study stands, over all processes."""

    ended: tuple[TrialRecord, ...]
    """Trials of the search."""
    best: TrialRecord | None
    num_finalists_ended: int
    """Trainings of finalists."""
    trained_now: tuple[TrainedNow, ...]


def study_progress(search: OpenStudy, companion: FinalistsStudy | None = None) -> StudyProgress:
    """Reads the progress from the storage; `companion` holds the finalists, once there are any."""
    trials = search.study.get_trials(deepcopy=False)
    ended = tuple(TrialRecord.of(trial) for trial in trials if trial.state.is_finished())
    epochs = search.spec.training.epochs
    now = [_trained_now(search, trial, epochs) for trial in trials if trial.state is TrialState.RUNNING]
    if companion is not None:
        running = companion.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        now += [_trained_now(companion, trial, search.spec.finalists.epochs(epochs)) for trial in running]
    return StudyProgress(
        ended=ended,
        best=highest(ended),
        num_finalists_ended=len(companion.plan) - companion.num_missing() if companion else 0,
        trained_now=tuple(now),
    )


def _trained_now(search: OpenStudy, trial: FrozenTrial, num_epochs: int) -> TrainedNow:
    epoch = max(trial.intermediate_values, default=0)
    return TrainedNow(
        name=search.run_name_of(trial),
        epoch=epoch,
        num_epochs=num_epochs,
        val_auc=trial.intermediate_values.get(epoch),
    )


class ProgressBars:
    """Draws the progress of a study while it is entered; draws nothing without a terminal."""

    def __init__(self, console: Console, search: OpenStudy, *, total: int, num_finalists: int, pace: Pace) -> None:
        """`total` trials, then `num_finalists` trainings of finalists."""
        self._search, self._total, self._num_finalists, self._pace = search, total, num_finalists, pace
        self._companion: FinalistsStudy | None = None
        self._is_shown = console.is_terminal
        bar = BarColumn(bar_width=14 if console.rich.width < NARROW_COLUMNS else 30)
        texts = [TextColumn(f"{{task.{field}}}", markup=False) for field in ("description", "fields[note]")]
        time_text = TextColumn("{task.fields[time]}", markup=False)
        self._bars = Progress(
            texts[0], bar, MofNCompleteColumn(), texts[1], time_text, console=console.rich, disable=not self._is_shown
        )
        self._trials = self._add("trials", total)
        self._finalists = self._add("finalists", num_finalists) if num_finalists else None
        self._rows: dict[str, TaskID] = {}
        self._free_rows: list[TaskID] = []
        self._countdown = Countdown()
        self._started = time.monotonic()
        self._is_ended, self._news = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if self._is_shown:
            self._draw(study_progress(self._search))
            self._bars.start()
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_shown:
            return
        self._is_ended.set()
        self._news.set()
        self._thread.join()
        self._bars.stop()

    def epoch(self, number: int, result: EpochResult) -> None:  # noqa: ARG002 (both are in the storage)
        """Called when this process has reported an epoch: it is shown at once."""
        self._news.set()

    def show_finalists(self, companion: FinalistsStudy) -> None:
        """From now on the trainings of `companion` are shown, too."""
        self._companion = companion

    def _add(self, description: str, total: int, *, completed: int = 0) -> TaskID:
        return self._bars.add_task(description, total=total, completed=completed, note="", time="")

    def _follow(self) -> None:
        while not self._is_ended.is_set():
            self._news.wait(SECONDS_BETWEEN_READINGS)
            self._news.clear()
            try:
                self._draw(study_progress(self._search, self._companion))
            except (SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError):
                continue  # the training thread meets the same error and raises it

    def _draw(self, progress: StudyProgress) -> None:
        best, name = progress.best, objective_name(self._search.study)
        self._bars.update(
            self._trials,
            completed=len(progress.ended),
            note=f"best {name} {best.objective:.3f} (trial {best.number})" if best else "",
            time=f"{clock(time.monotonic() - self._started)}  {clock(self._seconds_left(progress))} left",
        )
        if self._finalists is not None:
            total = len(self._companion.plan) if self._companion else self._num_finalists
            self._bars.update(self._finalists, completed=progress.num_finalists_ended, total=total)
        trained_now = () if self._is_ended.is_set() else progress.trained_now
        self._draw_rows({each.name: each for each in trained_now})

    def _draw_rows(self, trained_now: Mapping[str, TrainedNow]) -> None:
        """One row a trial; a row whose trial has ended is given to the next one."""
        for name in [name for name in self._rows if name not in trained_now]:
            self._free_rows.append(self._rows.pop(name))
        for name, trial in trained_now.items():
            note = "" if trial.val_auc is None else f"val AUC {trial.val_auc:.3f}"
            if name not in self._rows:
                self._rows[name] = self._free_rows.pop() if self._free_rows else self._add(name, trial.num_epochs)
            fields: dict[str, Any] = {"description": name, "total": trial.num_epochs, "completed": trial.epoch}
            self._bars.update(self._rows[name], visible=True, note=note, **fields)
        for row in self._free_rows:
            self._bars.update(row, visible=False)

    def _seconds_left(self, progress: StudyProgress) -> float | None:
        search = self._search
        epochs = search.spec.finalists.epochs(search.spec.training.epochs)
        num_missing = self._total - len(progress.ended)
        num_finalists = len(self._companion.plan) if self._companion else self._num_finalists
        return self._countdown.at(
            self._pace.seconds_left(
                progress.ended,
                num_missing=num_missing,
                num_finalist_epochs=(num_finalists - progress.num_finalists_ended) * epochs,
                num_epochs_done=sum(each.epoch for each in progress.trained_now),
            )
        )
