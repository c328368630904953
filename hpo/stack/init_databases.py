"""Creates the stack's databases and their tables before other services open them: python -m hpo.stack.init_databases

It runs at every start of the stack (docker-compose.yml), and leaves databases of the right schema as they are. Several
programs that create tables at once destroy a database, so only this one does. It changes a database of an older schema
only with --upgrade, because a backup must come first.

The server is named by DATABASE_SERVER (postgresql://user@host:port), its password by PGPASSWORD.
"""

import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from core.command_line import environment
from core.errors import UserError

with environment():
    import optuna
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import Engine, create_engine, inspect, make_url, text
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    from hpo.search.storage import CONNECT_SECONDS, StudyStorage, repair_of_connection
    from hpo.tracking.safe_url import safe_text, safe_url

DATABASES = ("mlflow", "optuna")
AGAIN = "docker compose run --rm init python -m hpo.stack.init_databases --upgrade"

State = Literal["empty", "unfinished", "current", "older", "newer"]


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The schema of a database, and the one that the installed library needs."""

    state: State
    """"unfinished" means tables without a version: a program ended while it created them."""
    found: str | None
    wanted: str


def prepare(server: URL, *, may_upgrade: bool) -> None:
    """Creates what is missing. UserError where a database cannot be opened, or has another schema."""
    _make_databases(server)
    for name in DATABASES:
        url = server.set(drivername="postgresql+psycopg2", database=name)
        before = look(url, migrations_of(name))
        if before.state == "newer" or (before.state == "older" and not may_upgrade):
            raise UserError(_refusal(name, before))
        if before.state != "current":
            make_tables(name, url, is_older=before.state == "older")
        after = look(url, migrations_of(name))
        assert after.state == "current", f"{name} is {after} after its tables were made"
        print(f"init: database {name} was {before.state}, and has schema {after.found}.", flush=True)


def migrations_of(database: str) -> Path:
    """The folder of the migrations of the library that owns the database. Does not import the library."""
    spec = find_spec(database)
    assert spec is not None, f"{database} is not installed"
    assert spec.origin is not None
    inside = {"mlflow": "store/db_migrations", "optuna": "storages/_rdb/alembic"}
    return Path(spec.origin).parent / inside[database]


def look(url: URL, migrations: Path) -> Schema:
    scripts = ScriptDirectory(str(migrations))
    wanted = scripts.get_current_head()
    assert wanted is not None
    engine = create_engine(url, connect_args={"connect_timeout": CONNECT_SECONDS} if url.host else {})
    try:
        found, has_tables = _revision(engine)
    finally:
        engine.dispose()
    if found is None:
        return Schema(state="unfinished" if has_tables else "empty", found=None, wanted=wanted)
    if found == wanted:
        return Schema(state="current", found=found, wanted=wanted)
    known = {script.revision for script in scripts.walk_revisions()}
    return Schema(state="older" if found in known else "newer", found=found, wanted=wanted)


def _revision(engine: Engine) -> tuple[str | None, bool]:
    """The schema's version, or None, and whether there are tables."""
    with engine.connect() as connection:
        tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
        return MigrationContext.configure(connection).get_current_revision(), bool(tables)


def make_tables(database: str, url: URL, *, is_older: bool) -> None:
    """Both libraries complete unfinished tables. MLflow does so in one transaction."""
    address = url.render_as_string(hide_password=False)
    if database == "optuna" and not is_older:
        StudyStorage(address)  # under the lock of studies, because one may start at this moment
        return
    command = ["mlflow", "db", "upgrade", address]
    if database == "optuna":
        command = ["optuna", "storage", "upgrade", "--storage", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise UserError(
            f"The tables of {database} must be made, but {command[0]} says: {safe_text(last, url=address)}."
        )


def _make_databases(server: URL) -> None:
    engine = create_engine(
        server.set(drivername="postgresql+psycopg2", database="postgres"),
        isolation_level="AUTOCOMMIT",  # a database cannot be created in a transaction
        connect_args={"connect_timeout": CONNECT_SECONDS},
    )
    try:
        with engine.connect() as connection:
            there = set(connection.execute(text("SELECT datname FROM pg_database")).scalars())
            for name in DATABASES:
                if name not in there:
                    connection.execute(text(f"CREATE DATABASE {name}"))
    except SQLAlchemyError as error:
        address = server.render_as_string(hide_password=False)
        reason = safe_text(str(error.__cause__ or error).splitlines()[0], url=address)
        raise UserError(
            f"The database server must let us in, but {safe_url(address)} says: {reason}. "
            f"{repair_of_connection(reason)}"
        ) from error
    finally:
        engine.dispose()


def _refusal(database: str, schema: Schema) -> str:
    rule = f"The database {database} must have schema {schema.wanted}, but has {schema.found}, which is {schema.state}."
    if schema.state == "newer":
        return f"{rule} A newer version of {database} made it: go back to the requirements.lock that has that version."
    backup = f"docker compose exec -T postgres pg_dump --username=wavenet {database} > {database}.sql"
    return f"{rule} Nothing was changed. Back it up ({backup}), then: {AGAIN}"


def _parsed(server: str) -> URL:
    try:
        return make_url(server)
    except (ArgumentError, ValueError) as error:
        raise UserError(
            f"DATABASE_SERVER must be postgresql://user@host:port, but got {safe_url(server)!r}, which cannot be read. "
            "Write special characters of a password as %40 (@), %2F (/), %3A (:)."
        ) from error


def main(arguments: list[str]) -> int:
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    try:
        server = os.environ.get("DATABASE_SERVER", "")
        if set(arguments) - {"--upgrade"} or not server.startswith("postgresql://"):
            raise UserError(
                f"DATABASE_SERVER must be postgresql://user@host:port and --upgrade the only option, but got "
                f"{safe_url(server)!r} and {' '.join(arguments) or 'no option'}."
            )
        prepare(_parsed(server), may_upgrade="--upgrade" in arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
