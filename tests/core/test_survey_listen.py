"""`survey --listen`: a recording that is unlike the other healthy ones comes first, and nothing is removed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.decision.normal_sound import LeftOut, NormalSound
from core.decision.standard import Standard
from core.model.frame_statistics import NUM_BANDS
from core.survey import main
from core.surveying.listening import _by_recording

RATE_HZ = 8000


def write(path: Path, sound: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six takes of noise at different levels, and one with a tone of 1600 Hz."""
    random = np.random.default_rng(0)
    for index in range(7):
        sound = random.normal(0, 0.1, 4 * RATE_HZ)
        if index == 3:
            sound += 0.05 * np.sin(2 * np.pi * 1600 * np.arange(len(sound)) / RATE_HZ)
        write(tmp_path / f"data/normal/{index}.wav", sound * (0.5 + index / 10))
    write(tmp_path / "data/anomalous/a.wav", random.normal(0, 0.1, 4 * RATE_HZ))
    return tmp_path / "data"


def listening(folder: Path, *options: str) -> list[dict[str, object]]:
    file = folder.parent / "survey.json"
    assert main([str(folder), "--listen", "--no-store", "--json", str(file), *options], root=folder.parent) == 0
    found: list[dict[str, object]] = json.loads(file.read_text())["listening"]
    return found


def test_the_strange_one_is_first_with_its_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = listening(folder)
    assert first["recording_id"] == "normal/3.wav"
    assert first["sigmas"] > max(each["sigmas"] for each in others) + 1  # type: ignore[operator]
    said = re.fullmatch(r"stronger than usual between (\d+) and (\d+) Hz", str(first["reason"]))
    assert said is not None
    assert int(said[1]) <= 1600 <= int(said[2])
    out = capsys.readouterr().out
    assert out.index("normal/3.wav") < out.index("normal/0.wav")


def test_every_healthy_recording_is_ranked_and_no_other(folder: Path) -> None:
    assert {each["recording_id"] for each in listening(folder)} == {f"normal/{index}.wav" for index in range(7)}


def test_two_recordings_cannot_tell_which_one_is_strange(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(2, 7):
        (folder / f"normal/{index}.wav").unlink()
    assert main([str(folder), "--listen", "--no-store"], root=folder.parent) == 2
    assert "must have 3 healthy recordings of a machine" in capsys.readouterr().err


def test_the_reason_is_that_of_the_strangest_microphone() -> None:
    """A microphone that is much steadier than usual is not strange."""
    recordings = np.array(["a", "b", "c"])
    names = ("spectrum", "spectrum changes")
    spreads = {name: np.ones((2, size)) for name, size in zip(names, (NUM_BANDS, 1), strict=True)}
    alone = {name: np.eye(each.shape[-1]) for name, each in spreads.items()}
    standards = dict.fromkeys((*names, "score"), Standard(mean=0.0, deviation=1.0))
    normal = NormalSound(
        takes={}, spreads={"fan": spreads}, decorrelations=alone, standards=standards, interpolators={}
    )
    deviations = {"spectrum": np.full((3, 2, NUM_BANDS), -0.1), "spectrum changes": np.zeros((3, 2, 1))}
    deviations["spectrum changes"][:, 0] = -20
    deviations["spectrum"][:, 1] = 8
    left_out = LeftOut(normal=normal, deviations=deviations, scores=np.zeros(3))
    found = list(_by_recording(left_out, recordings, dict.fromkeys(recordings, "fan"), 8000))
    assert {each.reason.split(" between")[0] for each in found} == {"stronger than usual"}
