"""Makes MLflow agree with Optuna, for a whole study: sends what was not sent, repairs what differs, and audits both."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from hpo.results.audit import Audit, Auditor
from hpo.results.audit_study import Stores, finding_lines, open_stores, server_answers
from hpo.results.reconciliation import Reconciliation, Repairs, counts_line
from hpo.results.tracked_trials import tracked_trials
from hpo.results.unsent_records import ARCHIVE, archived_studies
from hpo.search.study import UID
from hpo.search.study_folder import STUDY_FILE
from hpo.tracking.errors import ExperimentDeleted
from hpo.tracking.mlflow import MlflowExperiment
from hpo.tracking.mlflow_client import open_client
from hpo.tracking.shipper import Shipper
from hpo.tracking.stored_runs import StoredRuns
from hpo.tracking.target import TrackingTarget, tracking_target

SECONDS_TO_SHIP = 3600.0
_ARCHIVED = "{name}-[0-9]*-[0-9]*"
"""Names of the folders that --fresh has made of a study's."""


@dataclass(frozen=True, kw_only=True)
class Synced:
    """What was done, and what is left."""

    num_sent: int
    """Records that waited in files of this machine."""
    repairs: Repairs
    audit: Audit
    """Of both stores afterwards."""

    @property
    def has_left(self) -> bool:
        return bool(self.repairs.left or self.audit.findings)


def sync_study(
    name: str, *, storage: str | None, tracking_uri: str | None, root: Path, warn: Callable[[str], None]
) -> Synced:
    """Syncs a study by its name. UserError where a store does not exist or does not answer. `warn` gets lines about
    records that cannot be sent."""
    stores = open_stores(name, storage=storage, tracking_uri=tracking_uri, root=root)
    target = tracking_target(stores.tracking_uri, experiment=stores.experiment, runs_directory=root / "runs")
    folder = _folder_of(stores, root / "runs")
    with server_answers(stores.tracking_uri):
        try:
            experiment = MlflowExperiment(target)
            num_sent = _ship(folder, target, warn) if folder else 0
            archives = archived_studies(root / "runs", target.uri, stores.storage, _ARCHIVED.format(name=name))
            for archived, its_target in archives:
                num_sent += _ship(archived, its_target, warn)
            stored = StoredRuns(open_client(target.uri), experiment.experiment_id)
            reconciliation = Reconciliation(tracked_trials(stores.study, stores.companion), stored, experiment)
            repairs = reconciliation.repair(reconciliation.all_ended(), folder)
            audit = Auditor(stored, stores.study, stores.companion).audit()
        except ExperimentDeleted:
            raise UserError(
                f"The experiment {target.experiment!r} must be active in MLflow at {target.safe_uri}, but it was "
                "deleted there. Restore it: mlflow experiments restore."
            ) from None
    return Synced(num_sent=num_sent, repairs=repairs, audit=audit)


def _folder_of(stores: Stores, runs: Path) -> Path | None:
    """The study's folder, or that of an archived study; None where this machine has neither."""
    for folder in (runs / stores.study.study_name, runs / ARCHIVE / stores.study.study_name):
        try:
            remembered = json.loads((folder / STUDY_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # a damaged file is made again by the study's command
            continue
        if remembered.get("uid") == stores.study.user_attrs[UID]:
            return folder
    return None


def _ship(folder: Path, target: TrackingTarget, warn: Callable[[str], None]) -> int:
    """Returns how many records were sent. A server that has lost its database gets all again."""
    shipper = Shipper(folder, target, warn=warn)
    num_waiting = shipper.count_left()
    shipper.start()
    report = shipper.close(SECONDS_TO_SHIP)
    if report.num_events_left:
        warn(f"{report.num_events_left} records of {folder} are not sent: {report.reason}")
    return max(num_waiting - report.num_events_left, 0)


def sync_lines(name: str, synced: Synced) -> list[str]:
    """What was done in one line, then a line for each record that is left."""
    done = [f"{synced.num_sent} waiting records sent"] if synced.num_sent else []
    if repaired := counts_line(synced.repairs):
        done.append(f"repaired from Optuna: {repaired}")
    words = "; ".join(done) or "nothing differs"
    lines = [f"{name}: {synced.repairs.num_compared} ended trials compared: {words}"]
    lines += [f"  left       {line}" for line in synced.repairs.left]
    return lines + finding_lines(synced.audit)
