"""The end of shipping: sends the last records to MLflow, and prints what could not be sent."""

import json
from pathlib import Path

from core.damaged_file import put_aside
from hpo.search.study import ARCHIVED_FILE, EXPERIMENT, note_experiment
from hpo.session.session import Session
from hpo.terminal.console import Console
from hpo.tracking.shipper import Shipper, ShippingReport
from hpo.tracking.target import tracking_target

ARCHIVE = "archive"


def ship(shipper: Shipper, session: Session, console: Console, seconds: float) -> None:
    """Sends what is left, for at most `seconds`, and closes the shipper. Then sends the records of archived studies."""
    with console.step(f"Sending records to {session.target.safe_uri}"), console.stopping_after("this record"):
        report = shipper.close(seconds)
    _say_left(report, session, session.search.directory, console)
    if not report.num_events_left:  # else the server is away for them, too
        for folder in sorted((session.search.directory.parent / ARCHIVE).glob(f"*/{ARCHIVED_FILE}")):
            _ship_archived(folder.parent, session, console, seconds)


def _ship_archived(folder: Path, session: Session, console: Console, seconds: float) -> None:
    """Sends what a study had not sent when it was archived, to its own experiment."""
    experiment = _experiment_of(folder, session)
    runs = session.search.directory.parent
    target = tracking_target(session.target.uri, experiment=experiment, runs_directory=runs)
    shipper = Shipper(folder, target, warn=console.say)
    if not shipper.count_due():
        return
    with console.step(f"Sending records of {folder.name}"), console.stopping_after("this record"):
        shipper.start()
        report = shipper.close(seconds)
    _say_left(report, session, folder, console)


def _experiment_of(folder: Path, session: Session) -> str:
    """The experiment of an archived study, whose name is that of its folder."""
    path = folder / ARCHIVED_FILE
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))[EXPERIMENT])
    except (ValueError, TypeError, KeyError):
        put_aside(path)
        return note_experiment(folder, folder.name, session.search.storage)


def _say_left(report: ShippingReport, session: Session, folder: Path, console: Console) -> None:
    if report.num_events_left:
        console.say(
            f"warning: {report.num_events_left} records have not reached {session.target.safe_uri} ({report.reason}). "
            f"They are kept in {folder} and are sent the next time the study's command runs."
        )
