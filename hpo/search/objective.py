"""One trial: trains epoch by epoch, logs and reports each, prunes, and records the end.

The objective is the expected, balanced or plain F1 of validation clips, as the study file says, at the trial's own
window and threshold, at the epoch with the best validation AUC. Pruning watches validation AUC, which does not depend
on the threshold. Test figures are recorded and choose nothing.
"""

import socket
import time
import traceback
from collections.abc import Generator, Mapping
from contextlib import closing, suppress

import optuna
from optuna.trial import TrialState

from core.decision.checkpoint import DETECTOR_FILE
from core.experiment import SCORES_FILE, EpochResult, run_experiment
from core.full_disk import is_disk_full
from core.model.training import ConfigurationFailed
from core.model.training_record import TrainingRecord
from core.model.wavenet_config import describe
from hpo.search.known_trials import should_prune
from hpo.search.lease import TrialLease
from hpo.search.logged_run import LOGGED, LoggedRun
from hpo.search.server_storage import LeaseLost
from hpo.search.stopping import StudyTimeout, TrialTimeout
from hpo.search.study import STATE_TAG, OpenStudy
from hpo.search.trial_context import TrialContext, TrialEnd
from hpo.search.trial_facts import facts_of, run_params, take_counts
from hpo.search.trial_record import EPOCHS, FACTS, FAILURE, RUN, STOPPED, TAKE_COUNTS, run_key
from hpo.search.unexpected import is_of_trial, reason_of
from hpo.tracking.run_key import FIRST_RUN
from hpo.tracking.run_log import EVENTS_FILE_NAME, RunLog, RunStatus, last_run_key, metrics_by_step, read_events


def run_trial(trial: optuna.Trial, search: OpenStudy, context: TrialContext, lease: TrialLease) -> TrialEnd:
    """Runs or resumes a trial to its end and records the end in Optuna and in the run's log.

    KeyboardInterrupt, StudyTimeout and unexpected errors are raised again after the trial has been given back: it keeps
    its number, and the next process that asks for a trial resumes it. With `keep_going` an unexpected error is printed,
    and the trial fails. Raises LeaseLost where another process has taken the trial over.
    """
    run = TrialRun(trial, search, context, lease)
    run.start()
    context.stops.begin_trial(lease.check)
    try:
        return run.follow_in_time()
    except ConfigurationFailed as error:
        return run.fail(str(error))
    except LeaseLost:
        raise
    except (KeyboardInterrupt, StudyTimeout):
        run.leave("KILLED", "INTERRUPTED")
        raise
    except BaseException as error:
        if context.keep_going and is_of_trial(error):
            traceback.print_exception(error)
            return run.fail(reason_of(error))
        run.leave("FAILED", "ERROR")
        raise


class TrialRun:
    """One trial with its configuration, its folder and its log."""

    def __init__(self, trial: optuna.Trial, search: OpenStudy, context: TrialContext, lease: TrialLease) -> None:
        self.trial, self.search, self.context, self.lease = trial, search, context, lease
        self.config = search.configuration_of(trial)
        self.reported = frozenset(search.storage.backend.get_trial(trial._trial_id).intermediate_values)
        """Epochs whose value Optuna had when this process got the trial."""
        self.directory = search.trial_directory(trial.number)
        self.log = RunLog(self.directory / EVENTS_FILE_NAME)
        self.name = search.run_name_of(trial)
        self.last: EpochResult | None = None
        """Of the last epoch that was judged in this process."""

    def start(self) -> None:
        tags = {**self.search.run_tags_of(self.trial), STATE_TAG: "RUNNING", **self.context.tags}
        previous_host = self.lease.previous_host
        if previous_host is not None and last_run_key(self.log.path) != run_key(self.search.uid, self.trial):
            # Another machine has the log of the trial's run, or it was lost: the trial gets another run.
            self.trial.set_user_attr(RUN, self.trial.user_attrs.get(RUN, FIRST_RUN) + 1)
        if previous_host not in (None, socket.gethostname()):
            self.context.say(f"{self.name.capitalize()} was begun on {previous_host}. {self._state_here()}")
        self.log.start(
            run_key=run_key(self.search.uid, self.trial),
            name=self.name,
            tags=tags,
            params=run_params(self.config, self.trial.params, self.context.datasets.num_channels),
        )

    def _state_here(self) -> str:
        """What the trial resumes from, in words."""
        rate = self.config.front_end.sample_rate_hz
        dataset = self.context.datasets.at(self.config.front_end.read_rate_hz)
        setup = self.config.training_setup(dataset.num_channels, self.search.space.context_samples(rate))
        key = setup.key(dataset.config, seed=self.search.training_seed_of(self.trial))
        num_epochs = TrainingRecord(self.search.trainings_directory / key).num_epochs
        state = f"resumes after epoch {num_epochs}" if num_epochs else "starts again at epoch 1"
        return f"With the files that are here it {state}."

    def follow_in_time(self) -> TrialEnd:
        """Follows the training to its end, or to the end of the trial's time."""
        try:
            return self.follow()
        except TrialTimeout as timeout:
            return self.stop(str(timeout))

    def follow(self) -> TrialEnd:
        """Logs, reports and may prune after each epoch.

        Skips epochs that were logged and reported before an interruption. The last of them is reported again, because
        the process may have died before it asked the pruner. An epoch that only one of the two has, after a torn
        journal or on another machine, is logged or reported now; the pruner, which let it pass, is not asked again.
        """
        num_logged = max((int(row["epoch"]) for row in metrics_by_step(self.log.path)), default=0)
        num_passed = max({num_logged, *self.reported})
        result: EpochResult | None = None
        with closing(self._epochs()) as epochs:
            for result in epochs:
                self.last = result
                if result.epoch < num_logged and result.epoch in self.reported:
                    continue
                self.lease.check()
                if result.epoch > num_logged:
                    self.log.metrics(result.epoch, _without_epoch(result.metrics))
                self._report(result)
                self.context.progress.epoch(self.trial.number, result)
                is_asked = num_passed <= result.epoch < self.config.training.epochs
                if is_asked and should_prune(self.trial, lag=self.search.lag):
                    return self.end(result, TrialState.PRUNED)
        assert result is not None, "an experiment has at least one epoch"
        return self.end(result, TrialState.COMPLETE)

    def _epochs(self) -> Generator[EpochResult, None, None]:
        rate = self.config.front_end.sample_rate_hz
        return run_experiment(
            self.config,
            self.context.datasets.at(self.config.front_end.read_rate_hz),
            self.directory,
            seed=self.search.training_seed_of(self.trial),
            context_samples=self.search.space.context_samples(rate),
            device=self.context.device,
            pool=self.context.pool,
            trainings=self.search.trainings_directory,
            around_batch=self.context.stops,
        )

    def _report(self, result: EpochResult) -> None:
        """An epoch that was reported before gets the value of now: another machine's may differ in its last bits.
        `Trial.report` would ignore it."""
        if result.epoch in self.reported:
            backend = self.search.storage.backend
            backend.set_trial_intermediate_value(self.trial._trial_id, result.epoch, result.metrics["val_auc"])
        else:
            self.trial.report(result.metrics["val_auc"], result.epoch)

    def stop(self, reason: str) -> TrialEnd:
        """Ends a trial that has taken its time. It counts as pruned, unless no epoch was judged, or the study needs
        whole trainings: then it has failed."""
        if self.last is None:
            return self.fail(f"{reason} before an epoch was judged")
        reason = f"{reason} after epoch {self.last.epoch}"
        if self.search.needs_whole_trainings:
            return self.fail(reason)
        return self.end(self.last, TrialState.PRUNED, stopped=reason)

    def end(self, result: EpochResult, state: TrialState, *, stopped: str | None = None) -> TrialEnd:
        """Records facts and artifacts, then the state in Optuna: a trial has ended once Optuna has its state."""
        facts = facts_of(
            result, self.directory, self.config, self.search, num_channels=self.context.datasets.num_channels
        )
        objective = facts[f"val_{self.search.spec.objective}"]
        last = {"objective": objective} if state is TrialState.COMPLETE else {}
        self.log.metrics(result.epoch, {**last, "val_f1_best_postprocessing": facts["val_f1_best_postprocessing"]})
        for file in (DETECTOR_FILE, SCORES_FILE):
            self.log.artifact(self.directory / file)
        pruned = state is TrialState.PRUNED
        self.log.end(
            "KILLED" if pruned else "FINISHED",
            name=f"{self.name} pruned" if pruned else self.name,
            tags={
                STATE_TAG: state.name,
                "best_epoch": str(result.best_epoch),
                **({STOPPED: stopped} if stopped else {}),
            },
        )
        if stopped:
            self.trial.set_user_attr(STOPPED, stopped)
        self.trial.set_user_attr(EPOCHS, [dict(row) for row in result.history])
        self.trial.set_user_attr(FACTS, facts)
        if not pruned:
            self.trial.set_user_attr(TAKE_COUNTS, take_counts(self.directory, self.config, self.search).as_lists())
        self._keep_logged()
        self.search.tell(self.trial, None if pruned else objective, state)
        return TrialEnd(
            number=self.trial.number, name=self.name, state=state, facts=facts, objective=objective, stopped=stopped
        )

    def fail(self, reason: str) -> TrialEnd:
        """Records that the trial failed. The trial counts, and its reason is kept in Optuna and in the log."""
        self.trial.set_user_attr(EPOCHS, [row for row in metrics_by_step(self.log.path) if "val_auc" in row])
        self.trial.set_user_attr(FACTS, describe(self.config.wavenet(self.context.datasets.num_channels)))
        self.trial.set_user_attr(FAILURE, reason)
        self.log.end("FAILED", name=f"{self.name} failed", tags={STATE_TAG: "FAIL", "failure": reason})
        self._keep_logged()
        self.search.tell(self.trial, None, TrialState.FAIL)
        return TrialEnd(number=self.trial.number, name=self.name, state=TrialState.FAIL, facts={}, failure=reason)

    def _keep_logged(self) -> None:
        """For a machine that makes the run in MLflow again (hpo/results/reconciliation.py)."""
        logged = LoggedRun.of_events(read_events(self.log.path), end_ms=time.time_ns() // 1_000_000)
        if logged is not None:
            self.trial.set_user_attr(LOGGED, logged.as_attribute())

    def leave(self, status: RunStatus, state: str) -> None:
        """Ends the run for now and gives the trial back. The next process that asks for a trial resumes it.

        A trial that has ended in the storage stays as it is: the signal came a moment after its end. On a full disk
        the log lacks the end of the run, which starts again with the trial.
        """
        if self.search.is_ended(self.trial):
            return
        try:
            self.log.end(status, name=f"{self.name} {state.lower()}", tags={STATE_TAG: state})
        except OSError as error:
            if not is_disk_full(error):
                raise
        with suppress(LeaseLost):  # then it is another process's already
            self.search.give_back(self.trial)


def _without_epoch(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name != "epoch"}
