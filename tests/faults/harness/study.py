"""A study under faults: its place, its stores, its total; starts processes on it and says what both stores hold."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from hpo.results.audit import Finding
from hpo.results.audit_study import audit_study
from hpo.results.finalists import ENTRY
from hpo.search.storage import StudyStorage
from hpo.search.study import EXPERIMENT, FINALISTS_SUFFIX
from hpo.search.study_folder import TRIALS_DIRECTORY
from hpo.search.trial_record import FAILURE
from hpo.tracking.mlflow_client import open_client
from hpo.tracking.run_log import EVENTS_FILE_NAME, metrics_by_step
from tests.faults.harness.machines import Machine
from tests.faults.harness.plan import Plan
from tests.faults.harness.processes import StudyProcess, study_command

NUM_EPOCHS = 3
NUM_FINALISTS = 2
UNTOUCHED = Plan()


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study of tests/data/tiny.toml with finalists."""

    project: Path
    name: str
    trials: int
    storage: str
    tracking: str
    options: tuple[str, ...] = field(default=())

    @property
    def folder(self) -> Path:
        return self.project / "runs" / self.name

    def start(self, *options: str, plan: Plan = UNTOUCHED, machine: Machine | None = None) -> StudyProcess:
        command = study_command(
            *("--name", self.name, "--trials", str(self.trials)),
            *("--storage", self.storage, "--tracking-uri", self.tracking),
            *(*self.options, *options),
        )
        return StudyProcess(
            [*(machine.prefix(self.project) if machine else ()), *command], folder=self.project, plan=plan
        )

    def run_to_end(self, *options: str, plan: Plan = UNTOUCHED, machine: Machine | None = None) -> StudyProcess:
        """The same command, until it ends by itself with exit code 0."""
        process = self.start(*options, plan=plan, machine=machine)
        process.expect(0)
        return process

    def has_epoch(self, number: int, folder: Path | None = None) -> bool:
        """Whether a trial has logged an epoch in this folder of the study."""
        return bool(metrics_by_step((folder or self.folder) / TRIALS_DIRECTORY / f"{number:04d}" / EVENTS_FILE_NAME))

    def load(self, suffix: str = "") -> list[FrozenTrial]:
        storage = StudyStorage(self.storage)
        return optuna.load_study(study_name=self.name + suffix, storage=storage.backend).get_trials(deepcopy=False)

    def outline(self) -> list[object]:
        """What an uninterrupted study of one process has to the bit, too."""
        trials = [*self.load(), *self.load(FINALISTS_SUFFIX)]
        return [(t.number, t.state, t.params, t.values, t.intermediate_values) for t in trials]

    def findings(self) -> list[Finding]:
        """What is lost, doubled or wrong, read from both stores with their own clients."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        audit = audit_study(self.name, storage=self.storage, tracking_uri=self.tracking, root=self.project)
        unfinished = [Finding(kind="lost", where=where, detail="has not ended") for where in audit.unfinished]
        return [*audit.findings, *unfinished, *self._wrong_total(), *self._wrong_trials(), *self._wrong_runs()]

    def _wrong_total(self) -> Iterator[Finding]:
        numbers = [trial.number for trial in self.load()]
        for number in sorted(set(range(self.trials)) - set(numbers)):
            yield Finding(kind="lost", where=f"trial {number:02d}", detail="is not in the storage")
        for number in sorted(set(numbers) - set(range(self.trials))):
            yield Finding(kind="doubled", where=f"trial {number:02d}", detail=f"is beyond the {self.trials} asked for")
        num_trained = len(self.load(FINALISTS_SUFFIX))
        num_wanted = min(NUM_FINALISTS, sum(trial.state is TrialState.COMPLETE for trial in self.load()))
        if num_trained < num_wanted:
            yield Finding(kind="lost", where="finalists", detail=f"{num_trained} of {num_wanted}")

    def _wrong_trials(self) -> Iterator[Finding]:
        queued = [trial for trial in self.load(FINALISTS_SUFFIX) if ENTRY in trial.user_attrs]
        for trial in [*self.load(), *queued]:
            epochs = sorted(trial.intermediate_values)
            is_whole = len(epochs) == NUM_EPOCHS or trial.state is not TrialState.COMPLETE
            if epochs != list(range(1, len(epochs) + 1)) or not is_whole:
                yield Finding(kind="lost", where=f"trial {trial.number:02d}", detail=f"has epochs {epochs}")
            failure = trial.user_attrs.get(FAILURE, "")
            if trial.state is TrialState.FAIL and not failure.startswith("it killed its process"):
                yield Finding(kind="wrong", where=f"trial {trial.number:02d}", detail=f"failed: {failure}")

    def _wrong_runs(self) -> Iterator[Finding]:
        client = open_client(self.tracking)
        storage = StudyStorage(self.storage)
        study = optuna.load_study(study_name=self.name, storage=storage.backend)
        experiment = client.get_experiment_by_name(study.user_attrs[EXPERIMENT])
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        for name, count in Counter(run.info.run_name for run in runs).items():
            if count > 1:
                yield Finding(kind="doubled", where=f"run {name!r}", detail=f"{count} runs have the name")
        for run in runs:
            if run.info.status == "RUNNING":
                yield Finding(kind="wrong", where=f"run {run.info.run_name!r}", detail="is RUNNING at rest")
        of_study = [run for run in runs if run.info.run_name == "study"]
        if not of_study:
            yield Finding(kind="lost", where="run 'study'", detail="is not in MLflow")
        for run in of_study:
            for metric in run.data.metrics:
                steps = Counter(point.step for point in client.get_metric_history(run.info.run_id, metric))
                if max(steps.values()) > 1:
                    yield Finding(kind="doubled", where="run 'study'", detail=f"{metric} has a step twice")
