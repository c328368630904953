"""The public Python interface: the guide runs as it is written, and a waveform is judged as a file of it."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import machine_listening
from core.decision.checkpoint import load_detector
from core.detection.clips import judge_recording, requirements_of
from core.detection.files import open_audio
from core.thread_pool import ThreadPool
from machine_listening import Detector, UserError

ROOT = Path(__file__).resolve().parent.parent
TINY = str(ROOT / "tests/data/tiny.toml")
RATE_HZ = 8000
"""Of recordings; the detector's is 4000 Hz."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small experiment, with two microphones and clips of a second."""
    folder = tmp_path_factory.mktemp("small")
    machine_listening.run_experiment(TINY, directory=folder / "experiment", parameters={"window_ms": 800.0})
    return folder


@pytest.fixture(scope="module")
def detector(folder: Path) -> Detector:
    return machine_listening.load_detector(folder / "experiment/checkpoint.safetensors")


def waveform(seconds: float = 3.5, num_channels: int = 2) -> np.ndarray:
    shape = (num_channels, round(seconds * RATE_HZ))
    return np.random.default_rng(1).normal(0, 0.1, shape).astype(np.float32)


@pytest.mark.slow
def test_every_block_of_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec("\n".join(blocks), {})
    assert (tmp_path / "experiment/checkpoint.safetensors").is_file()
    assert "must have 4 channels, as the detector's recordings had" in capsys.readouterr().out


def test_the_threshold_and_the_number_of_clips_can_be_others(detector: Detector) -> None:
    usual = detector.score(waveform(), RATE_HZ)
    lowest, highest = min(usual.clip_scores), max(usual.clip_scores)
    assert detector.score(waveform(), RATE_HZ, threshold_sigmas=lowest).is_anomalous
    assert detector.score(waveform(), RATE_HZ, threshold_sigmas=highest, at_least=1).is_anomalous
    assert not detector.score(waveform(), RATE_HZ, threshold_sigmas=highest, at_least=2).is_anomalous
    for wrong in ({"threshold_sigmas": float("nan")}, {"at_least": 0}):
        with pytest.raises(UserError, match=rf"^{next(iter(wrong))} must be .*, but got"):
            detector.score(waveform(), RATE_HZ, **wrong)  # type: ignore[arg-type]


def test_a_waveform_is_judged_as_a_file_of_it(folder: Path, detector: Detector) -> None:
    path = folder / "clip.wav"
    soundfile.write(path, waveform().T, RATE_HZ, subtype="FLOAT")
    loaded = load_detector(folder / "experiment/checkpoint.safetensors")
    with ThreadPool(1) as pool:
        of_file = judge_recording(
            open_audio(str(path), requirements_of(loaded)), loaded, detector.machines[0], pool=pool
        )
    result = detector.score(waveform(), RATE_HZ)
    assert result.clip_scores == of_file.clip_scores
    assert result.events == of_file.events
    assert len(result.clip_scores) > 1


def test_lists_and_other_kinds_of_floats_are_taken(detector: Detector) -> None:
    expected = detector.score(waveform(), RATE_HZ).clip_scores
    assert detector.score(waveform().astype(np.float64), RATE_HZ).clip_scores == expected
    assert detector.score(waveform().tolist(), RATE_HZ).clip_scores == expected


def test_the_number_of_pytorchs_threads_stays_as_it_is(detector: Detector) -> None:
    torch.set_num_threads(2)
    try:
        detector.score(waveform(), RATE_HZ, threads=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("samples", "rate_hz", "words"),
    [
        (waveform(num_channels=1), RATE_HZ, r"must have 2 channels"),
        (waveform()[0], RATE_HZ, r"must have 2 channels"),
        (waveform()[None], RATE_HZ, r"must be an array \(C, T\) or \(T,\)"),
        (waveform().astype(int), RATE_HZ, r"must be an array \(C, T\) or \(T,\)"),
        (waveform(), 2000, r"must have a rate of at least 4000 Hz"),
        (waveform(0.5), RATE_HZ, r"must last|at least 1 s"),
        (waveform()[:, :0], RATE_HZ, r"at least 1 s"),
        (np.full((2, 28000), np.nan), RATE_HZ, r"must be finite"),
        (np.zeros((2, 28000)), RATE_HZ, r"got silence in channel 1, 2\.$"),
    ],
)
def test_a_waveform_that_cannot_be_judged_is_one_line(
    detector: Detector, samples: np.ndarray, rate_hz: int, words: str
) -> None:
    with pytest.raises(UserError, match=words) as error:
        detector.score(samples, rate_hz)
    assert "\n" not in str(error.value)
    assert "--" not in str(error.value), "names no option of a command"


def test_an_unknown_machine_is_one_line(detector: Detector) -> None:
    with pytest.raises(UserError, match="machine must be one of car1, but got 'pump'"):
        detector.score(waveform(), RATE_HZ, machine="pump")


@pytest.mark.parametrize("place", ["study", "study/winner", "study/winner/checkpoint.safetensors"])
def test_a_winner_is_loaded_from_the_study_its_folder_or_the_file(folder: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "study/winner").mkdir(parents=True)
    shutil.copy(folder / "experiment/checkpoint.safetensors", tmp_path / "study/winner")
    assert machine_listening.load_detector(tmp_path / place).num_channels == 2


def test_a_folder_without_a_winner_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must be a study's folder, a winner's folder or a detector's file"):
        machine_listening.load_detector(tmp_path)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"window": 800.0}, "must be one that is searched"),
        ({"window_ms": 5.0}, "window_ms must lie in 100 to 1000"),
        ({"window_ms": -5.0}, "window_ms must be above 0"),
    ],
)
def test_a_wrong_parameter_is_one_line(tmp_path: Path, parameters: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        machine_listening.run_experiment(TINY, directory=tmp_path / "experiment", parameters=parameters)
    assert not (tmp_path / "experiment").exists()


def test_an_experiment_repeats_to_the_bit(folder: Path, tmp_path: Path) -> None:
    once = machine_listening.run_experiment(TINY, directory=tmp_path, parameters={"window_ms": 800.0})
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == (
        folder / "experiment/checkpoint.safetensors"
    ).read_bytes()
    assert once.detector_file == tmp_path / "checkpoint.safetensors"
