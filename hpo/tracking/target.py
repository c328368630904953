"""The tracking server and the experiment on it. Checks the address; neither imports MLflow nor connects."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from core.errors import UserError
from hpo.tracking.safe_url import safe_url
from hpo.tracking.settings import Setting, resolve_setting

_SERVER_SCHEMES = ("http", "https")
NUMBER = "{number}"
_DATABASE_SCHEMES = ("postgresql", "mysql", "mssql")


@dataclass(frozen=True, kw_only=True)
class TrackingTarget:
    """One experiment on one tracking server."""

    uri: str
    experiment: str
    artifact_location: str | None = None
    """The folder of a new experiment's files; with None the server decides."""
    description: str = ""
    """Markdown, shown above the runs."""
    tags: Mapping[str, str] = field(default_factory=dict)
    run_note: str = ""
    """Markdown on the page of a trial's run, with NUMBER for the trial's number."""

    @property
    def safe_uri(self) -> str:
        """For people and for files: without the password."""
        return safe_url(self.uri)


def tracking_target(
    uri: str,
    *,
    experiment: str,
    runs_directory: Path,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    run_note: str = "",
) -> TrackingTarget:
    """A server stores artifacts itself. For a database they go below `runs_directory`, because MLflow would put them
    into ./mlruns of the current folder."""
    assert Path(experiment).name == experiment, f"experiment must be fit for a folder's name, but is {experiment!r}"
    is_server = urlsplit(uri).scheme in _SERVER_SCHEMES
    folder = runs_directory.resolve() / "mlartifacts" / experiment
    return TrackingTarget(
        uri=uri,
        experiment=experiment,
        artifact_location=None if is_server else folder.as_uri(),
        description=description,
        tags=tags or {},
        run_note=run_note,
    )


def resolve_tracking_uri(option: str | None, *, project_root: Path) -> Setting:
    """The address of MLflow, and the setting that it comes from. A relative SQLite path is relative to the project's
    root. Raises UserError for an address that MLflow can never open; does not connect."""
    setting = resolve_setting(
        option, variable="MLFLOW_TRACKING_URI", project_root=project_root, default="sqlite:///runs/mlflow.db"
    )
    try:
        return Setting(_checked_uri(setting.value, project_root), setting.source)
    except ValueError as error:
        raise UserError(
            f"The tracking URI must {error}, but got {safe_url(setting.value)!r} from {setting.source}. "
            "Write for example http://localhost:5000 or sqlite:///runs/mlflow.db."
        ) from error


def _checked_uri(uri: str, project_root: Path) -> str:
    """Raises ValueError with the rule that is broken."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise ValueError("have a host and a port number that can be read") from None
    if parts.scheme == "sqlite":
        return _checked_sqlite_uri(uri, project_root)
    if parts.scheme.split("+")[0] not in (*_SERVER_SCHEMES, *_DATABASE_SCHEMES) or "://" not in uri:
        raise ValueError("begin with http://, https://, sqlite:///, postgresql://, mysql:// or mssql://")
    if not _has_host(parts):
        raise ValueError("name a host")
    return uri


def _has_host(parts: SplitResult) -> bool:
    """A database's host may also be a socket's folder, in the query."""
    if re.search(r"\s", parts.netloc):
        return False
    return bool(parts.hostname) or (parts.scheme not in _SERVER_SCHEMES and "host=" in parts.query)


def _checked_sqlite_uri(uri: str, project_root: Path) -> str:
    prefix = "sqlite:///"
    path = uri.removeprefix(prefix)
    if path in (uri, "", ":memory:") or path.endswith("/"):
        raise ValueError("name a file after sqlite:///")
    return f"{prefix}{project_root.resolve() / path}"
