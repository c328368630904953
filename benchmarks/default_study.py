"""The default study from a cold start, beside that of commit cf29bb1, and where the seconds outside training go.

    python benchmarks/default_study.py [--commits cf29bb1 HEAD] [--trials 50]

Each commit is taken from git into a folder of its own and runs `python hpo/run_study.py --trials 50` there, one after
the other, with this interpreter and its libraries. Time and processor time include imports, data, records, finalists,
pages and report. A study says when its trials began and ended, and each epoch how fast it trained; all else of a trial
is nearly all scoring, which is done after every epoch.
"""

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `hpo` is found without being installed

from benchmarks.machine import describe_machine
from hpo.search.trial_record import EPOCHS

ROOT = Path(__file__).resolve().parent.parent
STUDY = "quickstart"
COLUMNS = (
    "commit",
    "time, s",
    "ratio",
    "processor time, s",
    "ratio",
    "before the first trial, s",
    "after the last, s",
    "both, of the time",
    "training, of the trials' time",
    "trials",
    "pruned",
)


@dataclass(frozen=True, kw_only=True)
class StudyTimes:
    """Seconds of one run. The shares are of its wall time, and of the time of its trials."""

    wall: float
    processor: float
    before: float
    """From the command to the first trial."""
    after: float
    """From the end of the last training, finalists included."""
    training: float
    """Share of training in the trials' time."""
    num_trials: int
    num_pruned: int

    def row(self, name: str, reference: "StudyTimes") -> str:
        outside = (self.before + self.after) / self.wall
        return (
            f"| {name} | {self.wall:.0f} | {self.wall / reference.wall:.2f} | {self.processor:.0f} | "
            f"{self.processor / reference.processor:.2f} | {self.before:.0f} | {self.after:.0f} | {outside:.1%} | "
            f"{self.training:.0%} | {self.num_trials} | {self.num_pruned} |"
        )


def export(commit: str, folder: Path) -> None:
    """The files of a commit."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "xf", "-"], cwd=folder, check=True, input=archive)


def time_study(folder: Path, trials: int) -> StudyTimes:
    command = [sys.executable, "hpo/run_study.py", "--trials", str(trials)]
    began, clock, used = datetime.now(), time.perf_counter(), processor_seconds()
    subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
    wall, processor, ended = time.perf_counter() - clock, processor_seconds() - used, datetime.now()
    storage = JournalStorage(JournalFileBackend(str(folder / "runs" / "optuna.journal")))
    name = min(optuna.get_all_study_names(storage), key=len)  # its companions' names begin with it
    study, finalists = (
        optuna.load_study(study_name=f"{name}{companion}", storage=storage).trials for companion in ("", "-finalists")
    )
    return StudyTimes(
        wall=wall,
        processor=processor,
        before=min((started_at(trial) - began).total_seconds() for trial in study),
        after=min((ended - ended_at(trial)).total_seconds() for trial in (*study, *finalists)),
        training=training_share(folder, study),
        num_trials=len(study),
        num_pruned=sum(trial.state is TrialState.PRUNED for trial in study),
    )


def processor_seconds() -> float:
    """Of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def started_at(trial: FrozenTrial) -> datetime:
    assert trial.datetime_start is not None
    return trial.datetime_start


def ended_at(trial: FrozenTrial) -> datetime:
    assert trial.datetime_complete is not None
    return trial.datetime_complete


def training_share(folder: Path, trials: Sequence[FrozenTrial]) -> float:
    """Of the time of the trials, by what each epoch says of its speed."""
    tables = tomllib.loads((folder / "studies" / f"{STUDY}.toml").read_text(encoding="utf-8"))
    audio: float = tables["training"]["seconds_per_epoch"]
    rates: list[float] = [epoch["audio_seconds_per_second"] for trial in trials for epoch in trial.user_attrs[EPOCHS]]
    training = math.fsum(audio / rate for rate in rates)
    return training / math.fsum((ended_at(trial) - started_at(trial)).total_seconds() for trial in trials)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--commits", nargs="+", default=["cf29bb1", "HEAD"], help="ratios are to the first")
    parser.add_argument("--trials", type=int, default=50)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"{describe_machine()}\n\n| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}", flush=True)
    reference: StudyTimes | None = None
    for commit in arguments.commits:
        with tempfile.TemporaryDirectory() as scratch:
            export(commit, Path(scratch))
            times = time_study(Path(scratch), arguments.trials)
        reference = reference or times
        print(times.row(commit, reference), flush=True)


if __name__ == "__main__":
    main()
