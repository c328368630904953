"""SIGKILL at exact places in the code, in real processes. The same command then ends the study."""

from dataclasses import replace

import pytest

from hpo.results.audit import Finding
from tests.faults.conftest import STORAGES, Found, MakeStudy
from tests.faults.harness.plan import Place, Plan
from tests.faults.harness.study import Study

pytestmark = pytest.mark.slow
STUDY, TRIAL, LOG = "hpo.search.study:OpenStudy", "hpo.search.objective:TrialRun", "hpo.tracking.run_log:RunLog"
LEASE, MLFLOW = "hpo.search.lease:TrialLease", "hpo.tracking.mlflow:MlflowExperiment"
PLACES = {
    "a new study, before its identity": Place(at="hpo.search.study:_experiment_name"),
    "a claim, before the lease": Place(at=f"{LEASE}.__init__", call=2),
    "the lease, before the first event": Place(at=f"{LEASE}.__init__", when="after", call=2),
    "the first event, before training": Place(at=f"{TRIAL}.start", when="after"),
    "an epoch's file, half written": Place(at="os:replace", when="within", path="epoch_0002", call=1),
    "an epoch's file, before the state": Place(at="os:replace", when="after", path="epoch_0002", call=1),
    "state.safetensors, half written": Place(at="os:replace", when="within", path="state.safetensors", call=2),
    "metrics of an epoch, before the report": Place(at=f"{TRIAL}._report", call=2),
    "the report of an epoch": Place(at=f"{TRIAL}._report", when="after", call=2),
    "the best epoch's frame scores, half written": Place(at="os:replace", when="within", path="frame_scores"),
    "the checkpoint, half written": Place(at="os:replace", when="within", path="checkpoint.safetensors"),
    "the last metrics, before tell": Place(at=f"{STUDY}.tell", call=1),
    "tell, before the trial's line": Place(at=f"{STUDY}.tell", when="after"),
    "the last metrics, before the artifacts": Place(at=f"{LOG}.artifact"),
    "a line of events.jsonl, half written": Place(at="os:write", when="within", path="events.jsonl", call=6),
    "a run made in MLflow, before the bookmark": Place(at=f"{MLFLOW}.find_or_create_run", when="after", call=2),
    "records sent to MLflow, before the bookmark": Place(at=f"{MLFLOW}.send", when="after", call=3),
    "the bookmark of what was sent, half written": Place(at="os:replace", when="within", path=".shipped", call=2),
    "a dead trial, before it is given back": Place(at="hpo.search.lease:give_back", call=1),
    "the finalists' queue, after its first entry": Place(
        at="optuna.study.study:Study.enqueue_trial", when="after", call=1
    ),
    "a finalist's last metrics, before tell": Place(at="os:write", when="after", path="finalists/trials", call=6),
    "result.json, half written": Place(at="os:replace", when="within", path="result.json"),
    "the report, half written": Place(at="os:replace", when="within", path="report.html"),
}
JOURNAL_PLACES = {
    "a record of the journal, half written": Place(
        at="hpo.search.journal:RepairingJournal.append_logs", when="within", call=12
    ),
}
ARCHIVE_PLACES = {
    "--fresh, after the folder was moved": Place(at="hpo.search.archive:note_experiment"),
    "--fresh, between the copy and the deletion of the old name": Place(at="optuna.study.study:delete_study"),
    "--fresh, between a study and its finalists": Place(at="hpo.search.archive:_rename", when="after"),
}


def killed_at(study: Study, name: str, place: Place, *options: str) -> None:
    flag = study.project / f"died at {name}".replace("/", " ")
    process = study.start(*options, plan=Plan(place=replace(place, flag=str(flag))))
    assert process.wait() == -9, f"not reached: {name}\n{process.said}"
    assert flag.exists()


def killed_at_each(study: Study, places: dict[str, Place]) -> Study:
    """One place after the other; the total grows, so that there is always a trial to do. Then the end."""
    for name, place in places.items():
        if name.startswith("a dead trial"):
            killed_at(study, "the first event", PLACES["the first event, before training"])
        killed_at(study, name, place)
        study = replace(study, trials=study.trials + 2)
    study.run_to_end()
    return study


@pytest.mark.parametrize("part", range(6))
def test_kills_at_exact_places(part: int, make_study: MakeStudy, found: Found) -> None:
    """The parts take turns with the storages."""
    storage = STORAGES[part % 2]
    places = dict(list(PLACES.items())[part::6])
    if part == 0:
        places |= JOURNAL_PLACES
    study = killed_at_each(make_study(storage, trials=2), places)
    findings = study.findings()
    for name in places:
        found(f"SIGKILL at: {name}", 1, findings)


@pytest.mark.parametrize(("storage", "name"), zip([*STORAGES, *STORAGES], ARCHIVE_PLACES, strict=False))
def test_kills_while_a_study_is_archived(storage: str, name: str, make_study: MakeStudy, found: Found) -> None:
    """The old study keeps its runs, in its own experiment, and the new one is whole."""
    study = make_study(storage, trials=2)
    study.run_to_end()
    killed_at(study, name, ARCHIVE_PLACES[name], "--fresh")
    study.run_to_end("--fresh")
    findings: list[Finding] = study.findings()
    for folder in sorted((study.project / "runs/archive").glob(f"{study.name}-*")):
        findings += replace(study, name=folder.name).findings()
    found(f"SIGKILL at: {name}", 1, findings)
