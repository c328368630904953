"""Opens both stores of a study for its audit, and prints what was found."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna

from core.errors import UserError
from hpo.results.audit import KINDS, Audit, Auditor
from hpo.results.tracked_trials import load_companion
from hpo.search.storage import StudyStorage
from hpo.search.storage_setting import SQLITE, resolve_storage
from hpo.search.study import COMPANION_SUFFIXES, EXPERIMENT, names_of_searches
from hpo.tracking.errors import TryLater, translated
from hpo.tracking.mlflow_client import open_client
from hpo.tracking.safe_url import safe_url
from hpo.tracking.stored_runs import StoredRuns
from hpo.tracking.target import resolve_tracking_uri

MOST_LINES = 50


@dataclass(frozen=True, kw_only=True)
class Stores:
    """A study in its storage, and the tracking server of its records."""

    storage: StudyStorage
    study: optuna.Study
    companion: optuna.Study | None
    """Holds the trainings of the finalists."""
    tracking_uri: str

    @property
    def experiment(self) -> str:
        return str(self.study.user_attrs[EXPERIMENT])


def open_stores(name: str, *, storage: str | None, tracking_uri: str | None, root: Path) -> Stores:
    """Opens a study by its name. UserError where the storage or the tracking database does not exist."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    place = resolve_storage(storage, project_root=root)
    _check_exists("storage", place.value, option="--storage")
    uri = resolve_tracking_uri(tracking_uri, project_root=root).value
    _check_exists("tracking database", uri, option="--tracking-uri")
    opened = StudyStorage(place.value)
    names = names_of_searches(opened)
    if name not in names:
        known = f"be one of {', '.join(names)}" if names else "have been run, and the storage holds none"
        owner = next((each for each in names for suffix in COMPANION_SUFFIXES if name == each + suffix), None)
        hint = f" It belongs to {owner}." if owner else ""
        raise UserError(f"The study must {known}, but got {name!r}.{hint}")
    study = optuna.load_study(study_name=name, storage=opened.backend)
    return Stores(storage=opened, study=study, companion=load_companion(study), tracking_uri=uri)


def audit_study(name: str, *, storage: str | None, tracking_uri: str | None, root: Path) -> Audit:
    """Audits a study by its name. UserError where either store does not hold it."""
    stores = open_stores(name, storage=storage, tracking_uri=tracking_uri, root=root)
    with server_answers(stores.tracking_uri):
        with translated():
            client = open_client(stores.tracking_uri)
            experiment = client.get_experiment_by_name(stores.experiment)
        if experiment is None:
            raise UserError(
                f"MLflow must hold the study's experiment {stores.experiment!r}, but {safe_url(stores.tracking_uri)} "
                "does not. Name its server with --tracking-uri, or make it from Optuna with machine-listening sync."
            )
        stored = StoredRuns(client, experiment.experiment_id)
        return Auditor(stored, stores.study, stores.companion).audit()


@contextmanager
def server_answers(uri: str) -> Iterator[None]:
    """UserError where the tracking server does not answer inside, or its file is damaged."""
    try:
        yield
    except TryLater as trouble:
        repair = "Restore the file" if uri.startswith(SQLITE) else "Start it"
        end = "" if str(trouble).endswith("?") else "."
        raise UserError(
            f"MLflow at {safe_url(uri)} must answer, but {trouble}{end} {repair}, or name another with --tracking-uri."
        ) from trouble


def _check_exists(what: str, place: str, *, option: str) -> None:
    """UserError for a file that is missing: opening it would make it. Nothing is checked of a server."""
    path = place.removeprefix(SQLITE)
    if "://" not in path and not Path(path).is_file():
        raise UserError(f"The {what} must exist, but there is no file {path}. Name another with {option}.")


def audit_lines(name: str, audit: Audit) -> list[str]:
    """The counts in one line, then a line for each finding."""
    counts = ", ".join(f"{audit.count(kind)} {kind}" for kind in KINDS)
    lines = [f"{name}: {audit.num_trials} trials, {audit.num_runs} runs, {audit.num_points} points: {counts}"]
    lines += [f"  not ended  {where}" for where in audit.unfinished]
    lines += [f"  deleted    {where}: by a person, in MLflow" for where in audit.deleted]
    return lines + finding_lines(audit)


def finding_lines(audit: Audit) -> list[str]:
    """A line for each finding, up to MOST_LINES."""
    lines = [f"  {finding.kind:9}  {finding.where}: {finding.detail}" for finding in audit.findings[:MOST_LINES]]
    left = len(audit.findings) - MOST_LINES
    return [*lines, f"  and {left} more"] if left > 0 else lines
