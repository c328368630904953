"""A study that was begun at commit cf29bb1, and killed in its third trial: its trainings are of an older format.

`tests/data/study_of_cf29bb1.tar.xz` holds its `runs/`: `studies/tiny.toml` with four trials, one thread and one worker,
SIGKILL after the first epoch of trial 2. The store, MLflow's artifacts and the ended trials' trainings are left out.
"""

import json
import re
import sqlite3
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from optuna.trial import TrialState

from core.decision.checkpoint import load_detector
from core.detect import main
from core.model.scored_training import FORMAT
from tests.hpo.studies import SECONDS, STUDY, Command, load, start

ARCHIVE = Path(__file__).resolve().parents[1] / "data/study_of_cf29bb1.tar.xz"
WRITTEN_AT = "/tmp/base"
"""The project's root in the archive; a study knows its storage and its artifacts by their whole paths."""


@pytest.fixture
def begun(project: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(project, filter="data")
    file = project / f"runs/{STUDY}/study.json"
    file.write_text(file.read_text().replace(WRITTEN_AT, str(project)))
    database = sqlite3.connect(project / "runs/mlflow.db")
    for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
        database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (WRITTEN_AT, str(project)))
    database.commit()
    database.close()
    return project


def content(root: Path) -> dict[Path, tuple[int, bytes]]:
    """Of all files under the root: the time of the last change, and the bytes."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_it_is_refused_in_one_line_and_nothing_is_changed(begun: Path) -> None:
    before = content(begun / "runs")
    refused = start(begun, "--trials", "4")
    _, errors = refused.communicate(timeout=SECONDS)
    assert refused.returncode == 2
    assert re.fullmatch(
        rf"[^\n]*Study '{STUDY}' must have trials of format {FORMAT}, but another version of this program made it "
        r"with an older one, [^\n]* Archive it and start again with --fresh, or give the new search another --name\.\n",
        errors,
    )
    after = content(begun / "runs")
    assert {path: after[path][1] for path in before} == {path: text for path, (_, text) in before.items()}
    added = {path.relative_to(begun / "runs") for path in after.keys() - before.keys()}
    assert {path.parts[0] for path in added} <= {"store", "optuna.journal.lock"}, "decoded sound is not the study's"


@pytest.mark.parametrize("way_out", [("--fresh",), ("--name", "another")])
def test_the_ways_out_of_the_message_work(way_out: tuple[str, ...], begun: Path, run: Command) -> None:
    run("--trials", "1", *way_out)
    study = load(begun, "another" if "--name" in way_out else STUDY)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE]
    old = begun / "runs" if "--name" in way_out else begun / "runs/archive"
    assert len(list(old.rglob(f"{STUDY}*/trials/0001/checkpoint.safetensors"))) == 1, "nothing of the old study is lost"


def test_its_best_detector_still_runs(begun: Path, tmp_path: Path) -> None:
    detector = begun / f"runs/{STUDY}/trials/0001/checkpoint.safetensors"
    loaded = load_detector(detector)
    rate = loaded.front_end.config.sample_rate_hz
    shape = (3 * loaded.clip_samples, loaded.model.config.num_channels)
    sound = np.random.default_rng(0).normal(scale=0.1, size=shape).astype(np.float32)
    soundfile.write(tmp_path / "take.wav", sound, rate)
    assert main([str(detector), str(tmp_path / "take.wav")]) in (0, 1)


def test_the_same_seed_proposes_the_same_trials(begun: Path, project: Path, run: Command) -> None:
    expected = json.loads((ARCHIVE.parent / "trials_of_cf29bb1.json").read_text())
    run("--trials", "4", "--name", "again")
    trials = load(project, "again").trials
    assert begun == project
    assert [trial.params for trial in trials] == [each["params"] for each in expected]
