"""The end of shipping: the last records are sent to MLflow, and what could not be sent is said."""

from hpo.session.session import Session
from hpo.terminal.console import Console
from hpo.tracking.shipper import Shipper


def ship(shipper: Shipper, session: Session, console: Console, seconds: float) -> None:
    """Sends what is left, for at most `seconds`, and closes the shipper."""
    with console.step(f"Sending records to {session.target.safe_uri}"), console.stopping_after("this record"):
        report = shipper.close(seconds)
    if report.num_events_left:
        console.say(
            f"warning: {report.num_events_left} records have not reached {session.target.safe_uri} ({report.reason}). "
            f"They are kept in {session.search.directory} and are sent the next time the study's command runs."
        )
