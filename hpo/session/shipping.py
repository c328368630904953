"""The end of shipping: sends the last records to MLflow, prints what could not be sent, and compares both stores."""

import time
from pathlib import Path

from core.errors import UserError
from hpo.results.reconciliation import Reconciliation, counts_line
from hpo.results.tracked_trials import load_companion, tracked_trials
from hpo.results.unsent_records import archived_studies
from hpo.session.session import Session
from hpo.terminal.console import Console
from hpo.tracking.errors import ExperimentDeleted, TryLater
from hpo.tracking.mlflow import MlflowExperiment
from hpo.tracking.mlflow_client import open_client
from hpo.tracking.shipper import Shipper, ShippingReport
from hpo.tracking.stored_runs import StoredRuns


def ship(shipper: Shipper, session: Session, console: Console, seconds: float, *, compares: bool = True) -> None:
    """Sends what is left, for at most `seconds`, and closes the shipper. Then sends the records of archived studies.

    With `compares` it repairs MLflow from Optuna where they differ, for at most `seconds` more.
    """
    search = session.search
    with console.step(f"Sending records to {session.target.safe_uri}"), console.stopping_after("this record"):
        report = shipper.close(seconds)
    _say_left(report, session, search.directory, console)
    if report.num_events_left:  # the server is away, for the rest, too
        return
    for folder, target in archived_studies(search.directory.parent, session.target.uri, search.storage):
        archived = Shipper(folder, target, warn=console.say)
        if archived.count_due():
            with console.step(f"Sending records of {folder.name}"), console.stopping_after("this record"):
                archived.start()
                report = archived.close(seconds)
            _say_left(report, session, folder, console)
    if compares:
        with console.stopping_after("this record"):
            _compare(session, console, seconds)


def _compare(session: Session, console: Console, seconds: float) -> None:
    """Says nothing where both stores agree, or where one of them went away just now: the next command compares them."""
    search, deadline = session.search, time.monotonic() + seconds
    try:
        trials = tracked_trials(search.study, load_companion(search.study))
        if not any(trial.trial.state.is_finished() for trial in trials):
            return
        experiment = MlflowExperiment(session.target)
        stored = StoredRuns(open_client(session.target.uri), experiment.experiment_id)
        reconciliation = Reconciliation(trials, stored, experiment)
        repairs = reconciliation.repair(
            reconciliation.differing(),
            search.directory,
            only_known_times=True,
            keep_going=lambda: time.monotonic() < deadline,
        )
    except (TryLater, ExperimentDeleted, UserError):
        return
    if repairs.trials:
        console.say(f"MLflow lacked records of {', '.join(repairs.trials)} ({counts_line(repairs)}), now sent again.")
    if repairs.left:
        name = search.study.study_name
        console.say(
            f"warning: MLflow differs from Optuna: {'; '.join(repairs.left[:3])}{' ...' if repairs.left[3:] else ''}. "
            f"`machine-listening sync {name}` tries again, and says what is left."
        )


def _say_left(report: ShippingReport, session: Session, folder: Path, console: Console) -> None:
    if report.num_events_left:
        console.say(
            f"warning: {report.num_events_left} records have not reached {session.target.safe_uri} ({report.reason}). "
            f"They are kept in {folder} and are sent the next time the study's command runs."
        )
