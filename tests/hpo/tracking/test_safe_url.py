"""No password reaches a message, a file or a server, however the address is written."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from hpo.search.storage import StudyStorage
from hpo.stack.health import main as check_health
from hpo.stack.init_databases import main as init_databases
from hpo.tracking.errors import TryLater, translated
from hpo.tracking.safe_url import safe_text, safe_url
from hpo.tracking.target import TrackingTarget, resolve_tracking_uri

CORE = "s3cr3t"
SECRETS = st.text("@:/?#%&=;+ab1.", max_size=4).flatmap(
    lambda before: st.text("@:/?#%&=;+ab1.", max_size=4).map(lambda after: f"{before}{CORE}{after}")
)
SHAPES = st.sampled_from(
    [
        "postgresql://user:{}@host/db",
        "postgresql://user:{}@host:port/db",
        "postgresql+psycopg2://user:{}@host:5432/db?sslmode=require",
        "postgresql://:{}@/db?host=/run/postgresql",
        "http://me:{}@host:5000",
        "https://me:{}@host:99999999/path",
        "http://me:{}@",
    ]
)
IN_THE_QUERY = [
    "postgresql://host/db?password={}",
    "postgresql://host/db?user=me&password={}&sslmode=require",
    "postgresql://user@host:bad/db?sslpassword={}",
    "http://host:5000/?access_token={}",
    "http://host:5000/?api_key={}#x",
]


@given(shape=SHAPES, secret=SECRETS)
def test_what_stands_before_the_last_at_sign_is_hidden(shape: str, secret: str) -> None:
    url = shape.format(secret)
    assert CORE not in safe_url(url)
    assert CORE not in TrackingTarget(uri=url, experiment="x").safe_uri
    assert CORE not in safe_text(f"cannot connect to '{url}': refused")
    assert CORE not in safe_text(f"invalid port: {secret!r}", url=url)


@pytest.mark.parametrize("shape", IN_THE_QUERY)
@pytest.mark.parametrize("secret", [CORE, f"{CORE}@x", f"a%40{CORE}", f"{CORE}:/y"])
def test_parameters_that_hold_a_password_are_hidden(shape: str, secret: str) -> None:
    url = shape.format(secret)
    assert CORE not in safe_url(url)
    assert CORE not in safe_text(f"no: {url} failed")


@pytest.mark.parametrize(
    "url",
    ["http://host:5000/path", "sqlite:////data/runs/mlflow.db", "postgresql://user@host/db", "/data/optuna.journal"],
)
def test_an_address_without_a_password_stays_as_it_is(url: str) -> None:
    assert safe_url(url) == url
    assert safe_text(f"at {url}: no answer", url=url) == f"at {url}: no answer"


def test_a_usual_address_keeps_all_but_its_password() -> None:
    url = "postgresql+psycopg2://wavenet:secret@localhost:5432/optuna?sslmode=require"
    assert safe_url(url) == "postgresql+psycopg2://wavenet:***@localhost:5432/optuna?sslmode=require"


@given(shape=SHAPES, secret=SECRETS)
def test_no_refusal_of_an_address_quotes_its_password(
    tmp_path_factory: pytest.TempPathFactory, shape: str, secret: str
) -> None:
    url, folder = shape.format(secret), tmp_path_factory.getbasetemp()
    said = []
    try:
        resolve_tracking_uri(url, project_root=folder)
    except UserError as error:
        said.append(str(error))
    if ":port/" in url or not url.startswith("postgresql"):  # others would be connected to
        with pytest.raises(UserError) as caught:
            StudyStorage(url)
        said.append(str(caught.value))
    with pytest.raises(TryLater) as late, translated():
        raise OSError(f"Failed to parse: {url}")
    assert CORE not in json.dumps([*said, str(late.value)])


@pytest.mark.parametrize("password", [CORE, f"x@{CORE}", f"x%40{CORE}"])
@pytest.mark.parametrize("place", ["127.0.0.1:1", "127.0.0.1:bad"])
def test_neither_do_the_servers_commands(
    password: str, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    url = f"postgresql://wavenet:{password}@{place}"
    monkeypatch.setenv("DATABASE_SERVER", url)
    assert init_databases([]) == 2
    assert check_health([f"{url}/optuna"]) == 1
    with pytest.raises(UserError) as caught:
        StudyStorage(f"{url}/optuna")
    said = capsys.readouterr()
    assert CORE not in said.out + said.err + str(caught.value)
    assert not list(tmp_path.iterdir())
