"""What a person sees while a study runs: two progress bars in a terminal, one plain line a trial without."""

import sys
import threading
from types import TracebackType
from typing import Self

from optuna.trial import TrialState
from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from core.experiment import EpochResult
from hpo.search.objective import TrialEnd
from hpo.search.trial_record import TrialRecord


class Console:
    """Progress over trials and epochs. `say` may be called from any thread."""

    def __init__(self, *, total: int, ended: int, epochs: int) -> None:
        self._rich = RichConsole(highlight=False, soft_wrap=True)
        self._lock = threading.Lock()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._rich,
            disable=not sys.stdout.isatty(),
        )
        self._trials = self._bars.add_task("trials", total=total, completed=ended, note="")
        self._epochs = self._bars.add_task("epochs", total=epochs, note="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        with self._lock:
            self._rich.print(line, markup=False)
            self._rich.file.flush()

    def begin(self, what: str, *, total: int, ended: int, epochs: int) -> None:
        """Both bars anew, for trials of another kind."""
        self._bars.reset(self._trials, total=total, completed=ended, description=what, note="")
        self._bars.reset(self._epochs, total=epochs)

    def epoch(self, number: int, result: EpochResult) -> None:
        self.epoch_of(f"trial {number:02d}", result)

    def epoch_of(self, name: str, result: EpochResult) -> None:
        note = f"val AUC {result.metrics['val_auc']:.3f}"
        self._bars.update(self._epochs, description=name, completed=result.epoch, note=note)

    def show(self, ended: int, best: TrialRecord | None) -> None:
        """How many trials have ended, whoever ran them, and which is the best so far."""
        note = f"best F1 {best.val_f1:.3f} (trial {best.number})" if best else ""
        self._bars.update(self._trials, completed=ended, note=note)

    def trial_ended(self, end: TrialEnd, best: TrialRecord | None) -> None:
        self._bars.reset(self._epochs)
        if self._bars.disable:
            self.say(_line(end) + (f"  best {best.val_f1:.3f} (trial {best.number})" if best else ""))


def _line(end: TrialEnd) -> str:
    head = f"{end.name}  {end.state.name.lower():8}"
    if end.state is TrialState.FAIL:
        return f"{head}  {end.failure}"
    facts = end.facts
    return (
        f"{head}  val F1 {facts['val_f1']:.3f}  val AUC {facts['val_auc']:.3f}  test F1 {facts['test_f1']:.3f}"
        f"  {facts['num_layers']:2d} layers  {facts['num_weights']:6d} weights"
    )
