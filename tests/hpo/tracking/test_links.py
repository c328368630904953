"""Links between a trial and its run, in both directions, and the view that MLflow's page of a study opens with."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import optuna
import pytest

from core.project import MARKER
from hpo.search.notes import run_note, write_note, write_notes
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, open_study
from hpo.search.study_file import load_study_file
from hpo.tracking.links import Pages, charts_link, resolve_pages, run_link, trial_link
from hpo.tracking.saved_view import CHARTS, VIEW_KEY, VIEW_TAG, saved_view
from hpo.tracking.target import NUMBER

ROOT = Path(__file__).resolve().parents[3]
PAGES = Pages(mlflow="http://here:5000", dashboard="http://there:8080")
POSTGRESQL = "postgresql+psycopg2://wavenet:***@127.0.0.1:55432/optuna"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_BROWSER_URL", "DASHBOARD_BROWSER_URL", "DASHBOARD_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def search(tmp_path: Path) -> OpenStudy:
    """A study with two trials that have ended and one that is running."""
    spec = load_study_file(ROOT / "tests/data/tiny.toml")
    storage = StudyStorage(str(tmp_path / "optuna.journal"))
    search = open_study("tiny", spec, data_fingerprint="x", storage=storage, directory=tmp_path / "tiny")
    for value in (0.5, None):
        trial = search.study.ask()
        search.study.tell(trial, value, state=None if value else optuna.trial.TrialState.FAIL)
    search.study.ask()
    return search


def resolve(root: Path, tracking_uri: str = "sqlite:///x.db", storage_name: str | None = None) -> Pages:
    name = str((root / "runs/optuna.journal").resolve()) if storage_name is None else storage_name
    return resolve_pages(tracking_uri, storage_name=name, project_root=root)


def test_local_stores_are_where_make_ui_opens_them(tmp_path: Path) -> None:
    assert resolve(tmp_path) == Pages(mlflow="http://127.0.0.1:5000", dashboard="http://127.0.0.1:8080")


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        ("http://127.0.0.1:5001", "http://127.0.0.1:5001"),
        ("https://me:se@cret@host/mlflow/?a=b", "https://host/mlflow"),
        ("postgresql+psycopg2://me:secret@host/mlflow", "http://127.0.0.1:5000"),
    ],
)
def test_a_server_s_page_is_at_its_address_without_a_password(tmp_path: Path, uri: str, page: str) -> None:
    assert resolve(tmp_path, uri).mlflow == page


def test_a_dashboard_is_known_where_somebody_says_so_alone(tmp_path: Path) -> None:
    assert resolve(tmp_path, storage_name=POSTGRESQL).dashboard is None
    assert resolve(tmp_path, storage_name="sqlite:////elsewhere/optuna.db").dashboard is None
    (tmp_path / MARKER).touch()
    (tmp_path / ".env").write_text("DASHBOARD_PORT=8090\n")
    assert resolve(tmp_path, storage_name=POSTGRESQL).dashboard == "http://127.0.0.1:8090"
    assert resolve(tmp_path).dashboard == "http://127.0.0.1:8080", "the stack's port is not that of a local file"
    (tmp_path / MARKER).touch()
    (tmp_path / ".env").write_text("DASHBOARD_BROWSER_URL=https://d.example/\nMLFLOW_BROWSER_URL=https://m.example/\n")
    assert resolve(tmp_path, "http://mlflow:5000", POSTGRESQL) == Pages(
        mlflow="https://m.example", dashboard="https://d.example"
    )


def test_the_link_to_the_charts_opens_them_by_the_view_that_the_experiment_has() -> None:
    page, _, query = urlsplit(charts_link("http://x", "7")).fragment.partition("?")
    assert page == "/experiments/7/runs"
    parameters = parse_qs(query)
    assert parameters["compareRunsMode"] == ["CHART"]
    assert [f"mlflow.sharedViewState.{key}" for key in parameters["viewStateShareKey"]] == [VIEW_TAG]


def state_of(view: dict[str, str]) -> dict[str, Any]:
    kind, _, packed = json.loads(view[VIEW_TAG])["state"].partition(";")
    assert kind == "deflate"
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert isinstance(state, dict)
    return state


def test_the_view_shows_every_run_and_test_loss_by_epoch_first() -> None:
    state = state_of(saved_view(["window_ms"]))
    assert state["runsHiddenMode"] == "SHOW_ALL"
    charts = state["compareRunCharts"]
    assert [chart["metricKey"] for chart in charts] == list(CHARTS)
    assert (CHARTS[0], charts[0]["type"], charts[0]["xAxisKey"]) == ("test_loss", "LINE", "step")
    assert {chart["metricSectionId"] for chart in charts} == {state["compareRunSections"][0]["uuid"]}
    assert "params.`window_ms`" in state["selectedColumns"]


def test_a_version_that_reads_the_state_in_the_open_finds_all_of_it() -> None:
    """MLflow 2.22 shows an empty page for a view that lacks any of these."""
    view = json.loads(saved_view(["window_ms"])[VIEW_TAG])
    assert view["runsHiddenMode"] == "SHOW_ALL"
    facets = {"searchFilter", "orderByKey", "orderByAsc", "startTime", "lifecycleFilter", "datasetsFilter"}
    state = {"selectedColumns", "runsExpanded", "runsPinned", "runsHidden", "groupBy", "groupsExpanded"}
    assert facets | state <= view.keys()


def test_the_view_of_the_largest_space_fits_into_a_tag() -> None:
    """Only that it raises nothing: a longer tag would be refused by MLflow."""
    assert saved_view([f"a_parameter_of_a_long_name_{number}" for number in range(20)])


def test_a_run_s_note_leads_to_its_trial(search: OpenStudy) -> None:
    note = run_note(search, PAGES).replace(NUMBER, "07")
    assert f"({trial_link('http://there:8080', search.study._study_id, '07')})" in note
    unknown = run_note(search, Pages(mlflow="http://here", dashboard=None)).replace(NUMBER, "07")
    assert "Trial 07 of study `tiny`" in unknown
    assert f"optuna-dashboard {search.storage.name}" in unknown


def notes_of(search: OpenStudy) -> list[str]:
    """The study's, then each trial's, as the dashboard reads them."""
    from optuna_dashboard._note import get_note_from_system_attrs

    attrs = search.storage.backend.get_study_system_attrs(search.study._study_id)
    ids = [None, *(trial._trial_id for trial in search.study.get_trials())]
    return [get_note_from_system_attrs(attrs, each)["body"] for each in ids]


def test_trials_get_their_links_as_their_runs_become_known(search: OpenStudy) -> None:
    write_notes(search, PAGES, description="Why.", experiment_id=None, run_ids={0: "a"})
    assert notes_of(search) == ["", "", "", ""], "nothing is known while the server is away"
    write_notes(search, PAGES, description="Why.", experiment_id="4", run_ids={0: "a"})
    write_notes(search, PAGES, description="Why.", experiment_id="4", run_ids={0: "a", 2: "c", 99: "no trial"})
    study, first, second, running = notes_of(search)
    assert charts_link("http://here:5000", "4") in study
    assert "Why." in study
    assert f"({run_link('http://here:5000', '4', 'a')})" in first
    assert second == ""
    assert f"({run_link('http://here:5000', '4', 'c')})" in running
    assert search.study.metric_names == ["validation expected F1"]


def test_what_somebody_has_written_stays(search: OpenStudy) -> None:
    from optuna_dashboard import save_note

    save_note(search.study, "my study")
    study_id, trial_id = search.study._study_id, search.study.trials[0]._trial_id
    write_note(search.storage.backend, study_id, trial_id, "my trial")
    write_notes(search, PAGES, description="Why.", experiment_id="4", run_ids={0: "a"})
    assert notes_of(search)[:2] == ["my study", "my trial"]
    assert search.study.metric_names == ["validation expected F1"]


def test_a_long_note_is_read_as_it_was_written(search: OpenStudy) -> None:
    text = "".join(chr(ord("a") + index % 26) for index in range(5001))
    write_note(search.storage.backend, search.study._study_id, None, text)
    assert notes_of(search)[0] == text


def test_the_key_of_the_view_needs_no_escape() -> None:
    assert VIEW_KEY.isalnum()
