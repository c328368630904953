"""What the command is given and what it says: the detector's place, folders, thresholds, counts of clips, levels."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from core.decision.checkpoint import DETECTOR_FILE, find_detector, save_detector
from core.decision.false_alarms import ThresholdConfig, promised_threshold
from core.decision.healthy_scores import HealthyScores
from core.detect import main
from core.detection.clips import judge_recording, requirements_of
from core.detection.files import open_audio, open_waveform
from core.errors import UserError
from core.thread_pool import ThreadPool
from tests.folder_files import write
from tests.small_detector import make_detector

RATE_HZ, CLIP = 4000, 1500
SCORED = 1440
"""Samples of a clip that lie in its frames."""
LAST_BIT = 1 / 32768


def sound(num_clips: int, *, amplitude: float = 0.1, seed: int = 0) -> np.ndarray:
    """(T, 2) of noise that is so many clips long; clips share their contexts."""
    num_samples = CLIP + (num_clips - 1) * SCORED
    return np.random.default_rng(seed).normal(0, amplitude, (num_samples, 2))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study's folder with a winner."""
    folder = tmp_path / "runs/study/winner"
    folder.mkdir(parents=True)
    save_detector(folder / DETECTOR_FILE, replace(make_detector(), stand_ins=(), channels=None))
    return folder.parent


@dataclass(frozen=True, kw_only=True)
class Ran:
    code: int
    out: list[str]
    errors: list[str]
    rows: list[dict[str, str]]


@pytest.fixture
def detect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def run(*arguments: object) -> Ran:
        path = tmp_path / "found.csv"
        path.unlink(missing_ok=True)
        code = main([*map(str, arguments), "--machine", "car1", "--csv", str(path)])
        said = capsys.readouterr()
        rows = list(csv.DictReader(io.StringIO(path.read_text() if path.exists() else "")))
        return Ran(code=code, out=said.out.splitlines(), errors=said.err.splitlines(), rows=rows)

    return run


def test_the_detector_is_a_study_its_winner_or_the_file(study, detect, tmp_path):
    path = write(tmp_path / "x.wav", sound(2), RATE_HZ)
    found = [detect(place, path) for place in (study, study / "winner", study / "winner" / DETECTOR_FILE)]
    assert found[0] == found[1] == found[2]
    assert found[0].code in (0, 1)


def test_a_folder_without_a_detector_says_what_was_looked_for(tmp_path, detect):
    (line,) = detect(tmp_path, "x.wav").errors
    for place in (tmp_path / DETECTOR_FILE, tmp_path / "winner" / DETECTOR_FILE):
        assert f"there is no {place}" in line or f"and no {place}" in line
    with pytest.raises(UserError):
        find_detector(tmp_path)


def test_a_detector_that_comes_after_the_recordings_is_one_line(study, detect, tmp_path):
    path = write(tmp_path / "takes/x.wav", sound(2), RATE_HZ)
    for arguments in ((path, study), (path.parent, study), (path, study / "winner" / DETECTOR_FILE)):
        assert detect(*arguments).errors == [
            f"error: The detector must come first, before the recordings, but {arguments[0]} comes before "
            f"{arguments[1]}. Exchange them."
        ]
    assert detect(study, study).errors == [
        f"error: A folder of recordings must hold audio, but '{study}' has none in 1 files."
    ]


def test_a_page_or_a_recording_in_the_detector_s_place_is_said_to_be_none(study, detect, tmp_path):
    path = write(tmp_path / "x.wav", sound(2), RATE_HZ)
    page = study / "report.html"
    page.write_text("<!DOCTYPE html>\n<html></html>\n")
    for other in (page, path):
        assert detect(other, path).errors == [
            f"error: {other} must be a detector's file, but it is a file of another kind."
        ]


def test_folders_and_patterns_are_judged_and_what_is_no_audio_is_counted(study, detect, tmp_path):
    paths = [write(tmp_path / f"takes/{name}.wav", sound(1), RATE_HZ) for name in ("a", "x/b")]
    (tmp_path / "takes/notes.txt").touch()
    found = detect(study, tmp_path / "takes", "--threshold", 1e6)
    assert [row["file"] for row in found.rows] == [str(path) for path in paths]
    assert found.out[-1] == "2 recordings: 2 normal; 1 file without audio passed over"
    assert detect(study, f"{tmp_path}/takes/**/b.*", "--threshold", 1e6).rows == found.rows[1:]


@pytest.mark.parametrize("argument", ["*.flac", ""])
def test_a_folder_or_a_pattern_without_audio_is_one_line(argument, study, detect, tmp_path):
    (tmp_path / "takes").mkdir()
    found = detect(study, f"{tmp_path}/takes/{argument}")
    assert (found.code, found.out, found.rows) == (2, [], [])
    assert re.fullmatch(r"error: A (folder|pattern) of recordings must hold audio, but .*", found.errors[0])
    assert len(found.errors) == 1


def test_the_threshold_is_the_one_that_is_given(study, detect, tmp_path):
    path = write(tmp_path / "x.wav", sound(3), RATE_HZ)
    own = detect(study, path)
    score = float(own.rows[0]["score_sigmas"])
    for threshold, code in ((score, 1), (float(np.nextafter(score, np.inf)), 0)):
        found = detect(study, path, f"--threshold={threshold!r}")
        assert found.code == code
        assert {float(row["threshold_sigmas"]) for row in found.rows} == {threshold}
        assert found.out[0] == f"Threshold: {threshold:.2f} sigmas, in place of the detector's 1.70."
    assert not any(line.startswith("Threshold") for line in own.out)


def test_the_threshold_follows_from_the_false_alarms_per_hour(study, detect, tmp_path):
    path = write(tmp_path / "x.wav", sound(3), RATE_HZ)
    said = {}
    for per_hour in (1.0, 1000.0):
        found = detect(study, path, f"--false-alarms-per-hour={per_hour}")
        (threshold,) = {float(row["threshold_sigmas"]) for row in found.rows}
        expected = promised_threshold(make_detector().healthy, ThresholdConfig(false_alarms_per_hour=per_hour))
        assert threshold == expected.threshold_sigmas
        said[threshold] = found.out[0]
    lower, higher = sorted(said)
    assert said[lower].startswith(
        f"Threshold: {lower:.2f} sigmas, in place of the detector's 1.70. A promise: at most "
    )
    assert "1.70. An estimate and not a promise: 1 false alarms per hour" in said[higher]


def test_false_alarms_per_hour_of_a_file_without_healthy_scores_are_refused(study, detect, tmp_path):
    save_detector(study / "winner" / DETECTOR_FILE, replace(make_detector(), healthy=None))
    found = detect(study, write(tmp_path / "x.wav", sound(3), RATE_HZ), "--false-alarms-per-hour=1")
    assert found.code == 2
    assert "--false-alarms-per-hour must come with a winner's file that holds scores of healthy" in found.errors[0]


def test_a_recording_is_anomalous_where_at_least_so_many_clips_are(study, detect, tmp_path):
    path = write(tmp_path / "x.wav", sound(4), RATE_HZ)
    detector = make_detector()
    with ThreadPool(1) as pool:
        judged = judge_recording(open_audio(str(path), requirements_of(detector)), detector, "car1", pool=pool)
    assert len(set(judged.clip_scores)) == 4
    threshold = sorted(judged.clip_scores)[-2]  # of two clips
    for at_least, decision in ((1, "anomalous"), (2, "anomalous"), (3, "normal"), (4, "normal")):
        found = detect(study, path, f"--threshold={threshold!r}", "--at-least", at_least)
        row = found.rows[0]
        assert row["decision"] == decision
        assert (row["clips"], row["anomalous_clips"], row["at_least"]) == ("4", "2", str(at_least))
        assert float(row["score_sigmas"]) == sorted(judged.clip_scores)[-at_least]
        assert found.out[1] == "A recording is anomalous when " + (
            f"at least {at_least} of its clips are." if at_least > 1 else "one of its clips is."
        )
        assert any("2 of 4 clips" in line for line in found.out)


@pytest.mark.parametrize(
    ("faults_last", "at_least", "rule"),
    [(True, "3", "more than half of its clips are"), (False, "1", "one of its clips is")],
)
def test_without_an_option_the_study_says_how_many_clips_make_a_recording_anomalous(
    study, detect, tmp_path, faults_last, at_least, rule
):
    save_detector(study / "winner" / DETECTOR_FILE, replace(make_detector(), faults_last=faults_last))
    path = write(tmp_path / "x.wav", sound(4), RATE_HZ)
    found = detect(study, tmp_path / "missing.wav", path, path)
    assert {row["at_least"] for row in found.rows if row["at_least"]} == {at_least}
    assert [line for line in found.out if line.startswith("A recording")] == [f"A recording is anomalous when {rule}."]


@pytest.mark.parametrize(
    ("takes", "words"),
    [
        (((0.0,), (0.1, 0.2)), "stranger than all 2 healthy recordings"),
        (
            ((0.0,), (99.0, 98.0), (99.0, 0.0)),
            "stranger than 2 of 3 healthy recordings",
        ),  # of two clips both
        (((0.0,),), "stranger than the 1 healthy recording"),
        ((), ""),
    ],
)
def test_an_anomalous_recording_is_compared_with_the_healthy_ones_that_the_winner_s_file_holds(
    study, detect, tmp_path, takes, words
):
    healthy = HealthyScores(takes=takes, seconds_a_clip=1.0)
    save_detector(study / "winner" / DETECTOR_FILE, replace(make_detector(), faults_last=True, healthy=healthy))
    path, page = write(tmp_path / "x.wav", sound(1), RATE_HZ), tmp_path / "page.html"
    found = detect(study, path, "--threshold=-1e6", "--plot", page)
    assert found.rows[0]["healthy"] == words
    assert words in page.read_text()
    assert [line.strip() for line in found.out if "stranger" in line] == ([words] if words else [])
    normal = detect(study, path, "--threshold=1e6", "--plot", page)
    assert normal.rows[0]["healthy"] == ""
    assert "stranger" not in page.read_text()


def test_the_rule_is_not_said_where_nothing_is_judged(study, detect, tmp_path):
    found = detect(study, tmp_path / "missing.wav", "--at-least", 3)
    assert (found.code, found.out) == (2, [])
    assert "missing.wav" in found.errors[0]


def test_a_recording_with_fewer_clips_than_must_be_anomalous_is_refused(study, detect, tmp_path):
    path = write(tmp_path / "x.wav", sound(2), RATE_HZ)
    found = detect(study, path, "--at-least", 3)
    assert found.code == 2
    assert "must hold at least 3 clips" in found.errors[0]
    assert "but holds 2" in found.errors[0]


@pytest.mark.parametrize(
    "options",
    [
        ["--threshold", "nan"],
        ["--threshold", "inf"],
        ["--threshold", "high"],
        ["--false-alarms-per-hour", "0"],
        ["--false-alarms-per-hour", "1", "--threshold", "2"],
        ["--at-least", "0"],
        ["--at-least", "2.5"],
    ],
)
def test_numbers_that_cannot_be_are_one_line(options, capsys):
    assert main(["study", "x.wav", *options]) == 2
    assert re.fullmatch(r"error: The command line must be right, but [^\n]* See --help\.\n", capsys.readouterr().err)


def test_a_dead_microphone_cannot_be_judged(study, detect, tmp_path):
    samples = sound(3)
    samples[:, 1] = np.random.default_rng(1).integers(0, 2, len(samples)) * LAST_BIT
    path = write(tmp_path / "dead.wav", samples, RATE_HZ)
    found = detect(study, path)
    assert found.code == 2
    (line,) = found.errors
    assert re.search(r"but got microphone 2: level 7\d dB below the quietest training clip: a dead microphone\?", line)
    assert [(row["decision"], row["note"]) for row in found.rows] == [("refused", line.removeprefix("error: "))]


def test_a_recording_that_is_quiet_or_loud_is_judged_and_that_is_said(study, detect, tmp_path):
    paused = sound(4)
    paused[: 2 * CLIP] /= 300
    for samples, words in (
        (paused, r"level \d\d dB below the quietest training clip in 2 of 4 clips: a dead microphone\?"),
        (sound(2) / 20, r"level 2\d dB below the quietest training clip: a dead microphone\?"),
        (sound(2) * 30, r"level \d\d dB above the loudest training clip: another gain\?"),
    ):
        path = write(tmp_path / "x.wav", samples, RATE_HZ, subtype="FLOAT")
        found = detect(study, path)
        assert found.code in (0, 1)
        assert re.fullmatch(f"microphones 1, 2: {words}", found.rows[0]["note"])
        assert f"({found.rows[0]['note']})" in found.out[1]


def test_of_a_detector_without_levels_nothing_is_said(study, detect, tmp_path):
    save_detector(study / "winner" / DETECTOR_FILE, replace(make_detector(), levels=None))
    found = detect(study, write(tmp_path / "x.wav", sound(2, amplitude=LAST_BIT), RATE_HZ))
    assert found.code in (0, 1)
    assert found.rows[0]["note"] == ""


def test_samples_in_memory_are_judged_as_their_file(tmp_path):
    samples, detector = sound(3), make_detector()
    path = write(tmp_path / "x.wav", samples, 6000, subtype="FLOAT")
    needed = requirements_of(detector)
    with ThreadPool(1) as pool:
        of_file, in_memory = (
            judge_recording(audio, detector, "car1", pool=pool)
            for audio in (open_audio(str(path), needed), open_waveform(samples.T, 6000, needed))
        )
    assert of_file.clip_scores == in_memory.clip_scores
    assert of_file.events == in_memory.events


@pytest.mark.parametrize("waveform", [np.zeros((2, 6000), np.int16), np.zeros((1, 2, 6000)), np.zeros(6000, bool)])
def test_an_array_that_is_no_waveform_is_one_line(waveform):
    with pytest.raises(UserError, match=r"^A waveform must be an array \(C, T\) or \(T,\)[^\n]*$"):
        open_waveform(waveform, RATE_HZ, requirements_of(make_detector()))


MICROPHONES = {
    "plain": ("a_ch1.wav", "a_ch2.wav"),
    "ToyADMOS": (
        "1100010001_ToyCar_case1_normal_IND_ch1_0001.wav",
        "1200010001_ToyCar_case1_normal_IND_ch2_0001.wav",
    ),
}


@pytest.mark.parametrize("names", MICROPHONES.values(), ids=MICROPHONES)
def test_files_of_one_microphone_each_are_one_recording(names, study, detect, tmp_path):
    both = sound(3)
    together = detect(study, write(tmp_path / "both.wav", both, RATE_HZ))
    first, second = (write(tmp_path / "takes" / name, both[:, [i]], RATE_HZ) for i, name in enumerate(names))
    other = write(tmp_path / "takes/z.wav", both, RATE_HZ)
    found = detect(study, tmp_path / "takes")
    assert {row["file"] for row in found.rows} == {str(first), str(other)}
    expected = [{**row, "file": str(first)} for row in together.rows]
    assert [row for row in found.rows if row["file"] == str(first)] == expected
    assert detect(study, second, first).rows == expected, "in the order of their numbers"
    assert found.out[-1].startswith("2 recordings: ")


def test_a_file_with_all_channels_is_a_recording_whatever_its_name_is(study, detect, tmp_path):
    paths = [write(tmp_path / f"a_ch{number}.wav", sound(2, seed=number), RATE_HZ) for number in (1, 2)]
    found = detect(study, *paths)
    assert found.errors == []
    assert {row["file"] for row in found.rows} == set(map(str, paths))


def test_a_microphone_that_is_missing_or_given_twice_is_one_line_for_its_recording(study, detect, tmp_path):
    both = sound(3)
    first, second = (write(tmp_path / f"a_ch{i + 1}.wav", both[:, [i]], RATE_HZ) for i in range(2))
    (line,) = detect(study, first).errors
    assert "must have 2 channels" in line
    assert "one mono file for each, named _ch1, _ch2" in line
    again = detect(study, first, second, first)
    assert (again.code, len(again.errors)) == (2, 1)
    assert [row["decision"] for row in again.rows].count("refused") == 1
    shorter = (
        write(tmp_path / "b_ch1.wav", both[:-1, [0]], RATE_HZ),
        write(tmp_path / "b_ch2.wav", both[:, [1]], RATE_HZ),
    )
    (line,) = detect(study, *shorter).errors
    assert "must have the rate and length of" in line
