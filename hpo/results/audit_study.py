"""Opens both stores of a study for its audit, and prints what was found."""

from pathlib import Path

import optuna

from core.errors import UserError
from hpo.results.audit import KINDS, Audit, Auditor
from hpo.search.storage import StudyStorage
from hpo.search.storage_setting import SQLITE, resolve_storage
from hpo.search.study import EXPERIMENT, FINALISTS_SUFFIX
from hpo.tracking.mlflow import open_client
from hpo.tracking.safe_url import safe_url
from hpo.tracking.target import resolve_tracking_uri

MOST_LINES = 50


def audit_study(name: str, *, storage: str | None, tracking_uri: str | None, root: Path) -> Audit:
    """Audits a study by its name. UserError where either store does not hold it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    place = resolve_storage(storage, project_root=root)
    _check_exists("storage", place.value, option="--storage")
    backend = StudyStorage(place.value).backend
    names = sorted(summary.study_name for summary in optuna.get_all_study_summaries(backend))
    if name not in names:
        known = f"be one of {', '.join(names)}" if names else "have been run, and the storage holds none"
        raise UserError(f"The study must {known}, but got {name!r}.")
    study = optuna.load_study(study_name=name, storage=backend)
    has_companion = name + FINALISTS_SUFFIX in names
    companion = optuna.load_study(study_name=name + FINALISTS_SUFFIX, storage=backend) if has_companion else None
    uri = resolve_tracking_uri(tracking_uri, project_root=root).value
    _check_exists("tracking database", uri, option="--tracking-uri")
    client = open_client(uri)
    experiment = client.get_experiment_by_name(study.user_attrs[EXPERIMENT])
    if experiment is None:
        raise UserError(
            f"MLflow must hold the study's experiment {study.user_attrs[EXPERIMENT]!r}, but {safe_url(uri)} does not. "
            "Name its server with --tracking-uri."
        )
    return Auditor(client, experiment.experiment_id, study, companion).audit()


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
    lines += [f"  {finding.kind:9}  {finding.where}: {finding.detail}" for finding in audit.findings[:MOST_LINES]]
    left = len(audit.findings) - MOST_LINES
    return [*lines, f"  and {left} more"] if left > 0 else lines
