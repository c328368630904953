"""Studies of three trials on every kind of data, through the command line."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import hpo.run_study
from hpo.pages.winner_tables import winner_tables
from hpo.tracking.run_log import EVENTS_FILE_NAME, metrics_by_step
from tests.hub_layout import HubLayout, write_hub_copy
from tests.toyadmos_layout import write_tree

ROOT = Path(__file__).resolve().parents[3]
SPLITS = {"val": "validation", "test": "test"}
"""By the prefix of a metric."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "studies").mkdir()
    tiny = (ROOT / "tests/data/tiny.toml").read_text()
    table = tiny[tiny.index("[data]") : tiny.index("[clips]")]
    (tmp_path / "studies/tiny.toml").write_text(tiny.replace(table, '[data]\nsource = "toyadmos:tree"\ncases = [1]\n'))
    monkeypatch.setattr(hpo.run_study, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write_folder(root: Path) -> None:
    """Takes of two seconds. Anomalous ones have a tone from 1.2 to 1.7 s, which a table lists as an event."""
    root.mkdir()
    rows, events = [], []
    for index in range(14):
        is_anomalous = index >= 8
        waveform = np.random.default_rng(index).normal(0, 0.05, 16_000)
        if is_anomalous:
            waveform[9600:13_600] += 0.3 * np.sin(np.arange(4000))
            events.append((f"{index}.wav", 1.2, 1.7))
        soundfile.write(root / f"{index}.wav", waveform, 8000)
        rows.append((f"{index}.wav", "pump", "faulty" if is_anomalous else "normal", "events.csv"))
    for name, header, lines in (
        ("manifest.csv", ("path", "machine", "label", "events"), rows),
        ("events.csv", ("path", "start_s", "end_s"), events),
    ):
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *lines])


def study(project: Path, data: str, *options: str) -> dict[str, object]:
    """The result of three trials on the data."""
    code = hpo.run_study.main(
        ["--study", "studies/tiny.toml", "--data", data, "--name", "it", "--threads", "1", "--trials", "3", *options]
    )
    assert code == 0
    result: dict[str, object] = json.loads((project / "runs/it/result.json").read_text())
    assert sum(dict(result["trials"]).values()) == 3  # type: ignore[call-overload]
    return result


def test_the_toyadmos_tree(project: Path) -> None:
    write_tree(project / "tree", num_normal=10, num_anomalous=6, seconds=1.0, num_noises=1, noise_seconds=2.0)
    result = study(project, "toyadmos:tree")
    assert "microphones 1, 2, 3, 4" in str(result["data"])
    assert not list((project / "tree").rglob("*.safetensors")), "nothing is written beside the data"


@pytest.mark.parametrize("options", [(), ("--no-store",)])
def test_the_hub_s_archives(project: Path, options: tuple[str, ...]) -> None:
    layout = HubLayout(num_train=24, microphones=(1, 2), seconds=1.0, rate_hz=8000)
    result = study(project, f"hub:{write_hub_copy(project / 'copy', layout)}", *options)
    assert "copy on disk of a Hugging Face data set" in str(result["data"])
    assert (project / "runs/store").exists() == (not options)


def test_a_folder_with_labelled_events(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(project / "pumps")
    winner = study(project, "folder:pumps")["winner"]
    logs = sorted((project / "runs/it").rglob(EVENTS_FILE_NAME))
    rows = [row for log in logs for row in metrics_by_step(log) if "val_auc" in row]
    assert len(rows) >= 3
    for row in rows:
        assert all(0 <= row[f"{split}_{kind}_f1"] <= 1 for split in ("val", "test") for kind in ("event", "segment"))

    assert isinstance(winner, dict)
    own = metrics_by_step((project / "runs/it" / winner["checkpoint"]).with_name(EVENTS_FILE_NAME))
    (best,) = (row for row in own if row.get("epoch") == winner["epoch"] and "val_auc" in row)
    found = {split: [winner[name][f"{kind}_f1"] for kind in ("event", "segment")] for split, name in SPLITS.items()}
    assert found == {split: [best[f"{split}_{kind}_f1"] for kind in ("event", "segment")] for split in SPLITS}
    words = "; ".join(f"{SPLITS[split]} {event:.3f}, {segment:.3f}" for split, (event, segment) in found.items())
    assert f"events      event F1 and segment F1: {words}\n" in capsys.readouterr().out
    table = winner_tables(winner, None).metrics.rows
    for kind in ("event", "segment"):
        shown = [row.cells[1].text for row in table if row.cells[0].text.endswith(f"{kind} F1")]
        assert shown == [f"{winner[split][f'{kind}_f1']:.3f}" for split in SPLITS.values()]
