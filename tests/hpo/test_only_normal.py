"""A study of healthy recordings alone: it runs, and everything that it leaves says that no real fault was heard."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

import core.detect
from core.data.stand_ins import SENTENCES
from core.decision.checkpoint import load_detector
from tests.hpo.studies import STUDY, Command, load, start, tracked_runs

UNPROVEN = "Unproven: no real fault was heard."
ONLY_NORMAL = ("--trials", "2", "--workers", "1", "--set", "data.num_anomalous=0")


def read_result(project: Path, study: str = STUDY) -> dict:
    return json.loads((project / f"runs/{study}/result.json").read_text())


@pytest.mark.slow
def test_everything_says_that_no_real_fault_was_heard(
    project: Path, run: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run(*ONLY_NORMAL, "--compare")
    folder = project / f"runs/{STUDY}"
    assert said.count("no anomalous recording: trials are judged by faults that are injected into healthy takes") == 1
    assert UNPROVEN in said
    assert "with injected faults" in said
    assert "predicts healthy sound best" in said
    result = read_result(project)
    assert result["evidence"]["stand_ins"] == ["faults"]
    assert not result["evidence"]["is_proven"]
    assert result["winner"]["stand_ins"] == ["faults"]
    assert result["prediction"]["best_bits_saved"] in healthy_bits_saved(project)
    for page in (folder / "report.html", folder / "plots.html", *folder.glob("trials/*/page.html")):
        assert UNPROVEN in page.read_text(), page
    assert UNPROVEN in re.split("Compared with the alternatives", (folder / "report.html").read_text())[1]
    study = tracked_runs(project)["study"]
    assert study.data.tags["stand_ins"] == "faults"
    assert study.data.tags["winner_proven"] == "False"
    sound, page = project / "new.wav", project / "new.html"
    soundfile.write(sound, np.random.default_rng(0).normal(0, 0.1, (8000, 2)), 4000)
    core.detect.main([str(folder), str(sound), "--plot", str(page)])
    assert UNPROVEN in capsys.readouterr().out
    assert UNPROVEN in page.read_text()


def healthy_bits_saved(project: Path) -> list[float]:
    """Of every epoch of every trial, from Optuna."""
    return [epoch["healthy_bits_saved"] for trial in load(project).trials for epoch in trial.user_attrs["epochs"]]


@pytest.mark.slow
def test_injected_faults_do_not_choose_the_statistics(project: Path, run: Command) -> None:
    searched = """
statistics = { choices = ["all", "relative", "network"] }
[scoring]
score = "innovations"
"""
    study = project / "studies/tiny.toml"
    study.write_text(study.read_text() + searched)
    said = run("--trials", "4", "--workers", "1", "--set", "data.num_anomalous=0", "--set", "training.epochs=1")
    assert said.count("statistics keeps its default, because injected faults cannot tell which is best") == 1
    for name in (STUDY, f"{STUDY}-post"):
        assert {trial.params["statistics"] for trial in load(project, name).trials} == {"all"}, name


def test_one_recording_is_enough_to_begin(project: Path, run: Command) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (24 * 4000, 1))
    (project / "one_normal").mkdir()
    soundfile.write(project / "one_normal/hour.wav", noise, 4000)
    said = run("--trials", "1", "--data", "folder:one_normal", "--set", "training.epochs=1")
    assert "12 parts of 1 normal take stand in for takes" in said
    assert "Parts of the same recordings stand in for takes" in said
    result = read_result(project, "tiny-one_normal")
    assert result["evidence"]["stand_ins"] == ["faults", "parts"]
    assert load_detector(project / "runs/tiny-one_normal/winner/checkpoint.safetensors").stand_ins == (
        "faults",
        "parts",
    )
    assert all(sentence in said for sentence in SENTENCES.values())


@pytest.mark.slow
def test_when_real_faults_come_one_command_begins_a_study_with_what_this_one_found(project: Path, run: Command) -> None:
    def record(label: str, count: int, seed: int) -> None:
        for index in range(count):
            noise = np.random.default_rng(seed + index).normal(0, 0.1, (8000, 1))
            (project / f"fan/{label}").mkdir(parents=True, exist_ok=True)
            soundfile.write(project / f"fan/{label}/{index}.wav", noise, 4000)

    few = ("--trials", "1", "--data", "folder:fan", "--set", "training.epochs=1")
    record("normal", 8, 0)
    assert UNPROVEN in run(*few)
    record("faulty", 4, 100)
    said = run(*few, "--name", "with-faults", "--warm-start", "tiny-fan")
    assert UNPROVEN not in said
    assert read_result(project, "with-faults")["evidence"]["stand_ins"] == []


def test_a_take_whose_part_chose_there_is_not_tested_here(project: Path, run: Command) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (8 * 4000, 1))
    (project / "fan/normal").mkdir(parents=True)
    for index in range(3):
        soundfile.write(project / f"fan/normal/{index}.wav", noise * (1 + index), 4000)
    few = ("--trials", "1", "--data", "folder:fan", "--set", "training.epochs=1")
    run(*few)
    for index in range(3, 6):
        soundfile.write(project / f"fan/normal/{index}.wav", noise[::-1] * (1 + index), 4000)
    options = ("--data", "folder:fan", "--name", "more", "--warm-start", "tiny-fan", "--set", "split.test_fraction=0.7")
    command = start(project, "--trials", "1", *options)
    _, error = command.communicate()
    assert command.returncode == 2
    assert "fan/normal" in error or "normal/" in error
