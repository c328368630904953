"""`core.detect` judges a file as the study judged the clip, for files of any length, rate and name."""

import csv
import errno
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from core.data.audio import LARGEST, quantise
from core.data.data_config import DataConfig
from core.data.dataset import prepare_dataset
from core.data.decoding import decode
from core.data.recordings import BadRecording
from core.decision.checkpoint import DETECTOR_FILE, Detector, load_detector, save_detector
from core.decision.postprocess import events
from core.decision.score_file import load_scores
from core.decision.statistic import Judgement
from core.detect import main
from core.detection import clips as detect_clips
from core.detection import files as detect_files
from core.detection import plot as detect_plot
from core.detection.clips import clip_first_frames, judge_recording, requirements_of
from core.detection.decision import RecordingDecision
from core.detection.files import open_audio
from core.detection.requirements import AudioRequirements
from core.experiment import SCORES_FILE, run_experiment
from core.sources import open_source
from core.thread_pool import ThreadPool
from core.web_page.rendering import packed_plotly
from hpo.search.study_file import load_study_file
from tests.folder_files import listed, noise, write

ROOT = Path(__file__).resolve().parents[2]
SPEC = load_study_file(ROOT / "tests/data/tiny.toml")
RATE_HZ = 4000


@dataclass(frozen=True, kw_only=True)
class Study:
    """A small study: its files, its detector, and its judgement of the clips."""

    data: Path
    winner: Path
    recording_ids: tuple[str, ...]
    judgement: Judgement

    @property
    def detector(self) -> Detector:
        return load_detector(self.winner / DETECTOR_FILE)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Takes of one clip, two channels, three times the detector's rate. Half of the judged takes are anomalous."""
    data, winner = tmp_path_factory.mktemp("data") / "car1", tmp_path_factory.mktemp("winner")
    options = {"seconds": 1.0, "num_normal": 12, "num_anomalous": 8, "num_microphones": 2, "sample_rate_hz": 12000}
    for recording in open_source("simulated", options=options).recordings:
        name = recording.recording_id.replace("car1/", "") + ".wav"
        write(data / name, recording.read().T, recording.sample_rate_hz, subtype="FLOAT")
    config = DataConfig(sample_rate_hz=RATE_HZ, clips=SPEC.clips, split=SPEC.split)
    dataset = prepare_dataset(listed(data), config)
    context, cpu = SPEC.search_space.context_samples(4000), torch.device("cpu")
    experiment = SPEC.default_experiment
    with ThreadPool(1) as pool:
        list(run_experiment(experiment, dataset, winner, seed=5, context_samples=context, device=cpu, pool=pool))
    detector = load_detector(winner / DETECTOR_FILE)
    scored = load_scores(winner / SCORES_FILE)
    ids = scored["validation"].recording_ids + scored["test"].recording_ids
    scores = np.concatenate([scored[name].scores.of(detector.scoring.score) for name in ("validation", "test")])
    judgement = detector.statistic.judge(scores, list(detector.statistic.calibrations) * len(ids))
    save_detector(winner / DETECTOR_FILE, changed(detector, threshold_sigmas=float(np.median(judgement.clip_scores))))
    return Study(data=data, winner=winner, recording_ids=ids, judgement=judgement)


def changed(detector: Detector, **postprocessing: float) -> Detector:
    config = replace(detector.statistic.config, **postprocessing)  # type: ignore[arg-type]
    return replace(detector, statistic=replace(detector.statistic, config=config))


@pytest.fixture
def winner_with(study: Study, tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint of the same detector with other settings."""

    def make(threshold_sigmas: float = 0.0, machines: tuple[str, ...] = ("car1",)) -> Path:
        detector = changed(study.detector, threshold_sigmas=threshold_sigmas)
        (calibration,) = detector.statistic.calibrations.values()
        statistic = replace(detector.statistic, calibrations=dict.fromkeys(machines, calibration))
        assert detector.levels is not None
        levels = dict.fromkeys(machines, detector.levels["car1"])
        path = tmp_path / f"{threshold_sigmas}-{'-'.join(machines)}.safetensors"
        save_detector(path, replace(detector, statistic=statistic, levels=levels))
        return path

    return make


@dataclass(frozen=True, kw_only=True)
class Ran:
    """The result of one call of the command."""

    code: int
    out: str
    errors: list[str]
    rows: list[dict[str, str]]

    def of(self, name: object) -> list[dict[str, str]]:
        return [row for row in self.rows if row["file"] == str(name)]


@pytest.fixture
def detect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def run(*arguments: object) -> Ran:
        path = tmp_path / "found.csv"
        path.unlink(missing_ok=True)
        code = main([*map(str, arguments), "--csv", str(path)])
        captured = capsys.readouterr()
        text = path.read_text(errors="surrogateescape") if path.exists() else ""
        rows = list(csv.DictReader(io.StringIO(text)))
        return Ran(code=code, out=captured.out, errors=captured.err.splitlines(), rows=rows)

    return run


@pytest.fixture(params=[2**18, 997])
def _any_piece_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect_files, "PIECE_SAMPLES", request.param)


def clicks(num_samples: int, seed: int = 0) -> np.ndarray:
    """(T, 2) of noise with a changing level, and a click every half second, so that all clips have the same peak."""
    swell = 1.2 + np.sin(np.arange(num_samples) / 3e3)[:, None]
    samples = np.random.default_rng(seed).normal(0, 0.05, (num_samples, 2)) * swell
    samples[:: RATE_HZ // 2] = 0.9
    return samples.astype(np.float32)


@pytest.mark.usefixtures("_any_piece_size")
def test_a_file_of_one_clip_is_judged_as_the_study_judged_the_clip(study, detect):
    found = detect(study.winner, *(study.data / name for name in study.recording_ids))
    assert found.errors == []
    decisions = set()
    for index, name in enumerate(study.recording_ids):
        rows = found.of(study.data / name)
        score, threshold = float(rows[0]["score_sigmas"]), float(rows[0]["threshold_sigmas"])
        assert score == pytest.approx(study.judgement.clip_scores[index], abs=1e-6)
        expected = events(study.judgement.thresholds[index], threshold)
        first_s, frame_s = study.detector.context_samples / RATE_HZ, 0.025
        assert [row["event_start_s"] for row in rows] == [
            str(round(first_s + event.first_frame * frame_s, 4)) for event in expected
        ] or [""]
        assert [row["microphone"] for row in rows] == [
            str(1 + study.judgement.channel_of(index, event)) for event in expected
        ] or [""]
        assert {row["decision"] for row in rows} == {"anomalous" if expected else "normal"}
        decisions.add(rows[0]["decision"])
    assert decisions == {"normal", "anomalous"}


def judged(path: Path, detector: Detector) -> RecordingDecision:
    (machine,) = detector.statistic.calibrations
    with ThreadPool(1) as pool:
        return judge_recording(open_audio(str(path), requirements_of(detector)), detector, machine, pool=pool)


def covered(found: RecordingDecision, start_s: float, num_frames: int) -> np.ndarray:
    """Which frames of a longer file lie in events of its piece that begins at `start_s`."""
    centres_s = found.first_frame_s + (np.arange(num_frames) + 0.5) * found.frame_s - start_s
    is_covered = np.zeros(num_frames, bool)
    for event in found.events:
        is_covered |= (event.start_s < centres_s) & (centres_s < event.end_s)
    return is_covered


@pytest.mark.usefixtures("_any_piece_size")
@pytest.mark.parametrize(("window_ms", "share"), [(500, 0.5), (500, 0.8), (25, 0.5), (25, 0.9)])
@pytest.mark.parametrize("num_samples", [4000, 4099, 4100, 5000, 12_345, 28_001])
def test_a_long_file_is_its_clips(num_samples, window_ms, share, study, tmp_path):
    samples, detector = clicks(num_samples), changed(study.detector, window_ms=window_ms)
    path = write(tmp_path / "x.wav", samples, RATE_HZ)
    detector = changed(detector, threshold_sigmas=float(np.quantile(judged(path, detector).sigmas, share)))
    whole = judged(path, detector)
    frame, context = detector.scoring.frame_samples(RATE_HZ), detector.context_samples
    firsts = clip_first_frames(num_samples, clip_samples=4000, context_samples=context, frame_samples=frame)
    assert num_samples - frame < firsts[-1] * frame + 4000 <= num_samples
    expected = np.zeros(len(whole.sigmas), bool)
    scores = []
    for first in firsts:
        piece = samples[first * frame : first * frame + 4000]
        alone = judged(write(tmp_path / "piece.wav", piece, RATE_HZ), detector)
        scores.append(alone.score_sigmas)
        expected |= covered(alone, first * frame / RATE_HZ, len(expected))
    assert whole.clip_scores == pytest.approx(scores, abs=1e-6)
    assert whole.score_sigmas == sorted(whole.clip_scores)[-(len(whole.clip_scores) // 2 + 1)], "no event is labelled"
    found = covered(whole, 0, len(expected))
    assert found[expected].all()
    gap = round(detector.statistic.config.gap_ms / 25)
    lengths = np.diff(np.flatnonzero(np.diff([0, *(found & ~expected), 0])))[::2]  # what is more than the pieces'
    assert (lengths < gap).all()
    between = [b.start_s - a.end_s for a, b in zip(whole.events, whole.events[1:], strict=False)]
    assert all(gap_s > (gap - 0.5) * 0.025 for gap_s in between)


def test_an_anomaly_from_start_to_end_is_one_event(study, winner_with, detect, tmp_path):
    path = write(tmp_path / "x.wav", clicks(20_000), RATE_HZ)
    found = detect(winner_with(threshold_sigmas=-1000.0), path)
    (row,) = found.rows
    context_s = study.detector.context_samples / RATE_HZ
    assert float(row["event_start_s"]) == pytest.approx(context_s)
    assert 5 - 0.025 < float(row["event_end_s"]) <= 5


@pytest.mark.parametrize("rate_hz", [4000, 4001, 11_025, 16_000, 44_100])
@pytest.mark.parametrize(("suffix", "options"), [("wav", {"subtype": "FLOAT"}), ("flac", {}), ("ogg", {}), ("mp3", {})])
def test_the_pieces_equal_the_audio_that_a_study_reads(rate_hz, suffix, options, tmp_path, monkeypatch):
    if suffix == "mp3" and rate_hz in (4000, 4001):
        pytest.skip("the format has no such rate")
    monkeypatch.setattr(detect_files, "PIECE_SAMPLES", 3001)
    samples = noise(2, num_samples=int(1.7 * rate_hz)) * [1, 0.01]
    path = write(tmp_path / f"normal/x.{suffix}", samples, rate_hz, **options)
    (recording,) = listed(tmp_path).recordings
    expected = quantise(decode(recording, RATE_HZ)).read()
    audio = open_audio(str(path), AudioRequirements(num_channels=2, sample_rate_hz=RATE_HZ, min_samples=100))
    pieces = list(audio.pieces())
    assert len(pieces) > 1
    assert abs(audio.num_samples - expected.shape[1]) <= 1  # librosa rounds up what is whole but for rounding
    found, expected = np.hstack(pieces)[:, : expected.shape[1]], expected[:, : audio.num_samples]
    # An mp3 that is read from the middle differs in the last bit, which sometimes rounds to another step.
    steps = np.abs(expected).max(axis=1, keepdims=True) / LARGEST if suffix == "mp3" else np.zeros((2, 1))
    assert (np.abs(found - expected) <= 1.01 * steps).all()
    assert np.isclose(found, expected, rtol=1e-5, atol=0).mean() > 0.99


def spoiled(value: float) -> np.ndarray:
    samples = noise(2, num_samples=12_000).astype(np.float32)
    samples[3000, 1] = value
    return samples


def partly_silent(first: int, end: int, channels: slice = slice(None)) -> np.ndarray:
    samples = noise(2, num_samples=24_000)
    samples[first:end, channels] = 0.1
    return samples


@pytest.mark.parametrize(
    ("samples", "rate_hz", "words"),
    [
        (noise(1, 12_000), 8000, "have 2 channels, .*, but got 1"),
        (noise(3, 12_000), 8000, "have 2 channels, .*, but got 3"),
        (noise(2, 12_000), 3999, "a rate of at least 4000 Hz, .*, but got 3999"),
        (noise(2, 7900), 8000, "last at least 1 s, one clip .*, but got 0.9875 s"),
        (spoiled(np.nan), 8000, "be finite, but got NaN or infinity at 0.375 s"),
        (spoiled(-np.inf), 8000, "be finite"),
        (np.where(np.arange(12_000) // 50 % 2, 3.4e38, -3.4e38)[:, None] * [1, 1], 8000, "level that can be resampled"),
        (partly_silent(0, 24_000), 8000, "silence in channel 1, 2"),
        (partly_silent(0, 24_000, slice(1, 2)), 8000, "silence in channel 2"),
        (partly_silent(6000, 18_000, slice(0, 1)), 8000, "silence in channel 1 from 0.9.* to 1.9.* s"),
    ],
)
def test_a_file_that_cannot_be_judged_is_named_in_one_line_and_the_others_are_judged(
    samples, rate_hz, words, study, detect, tmp_path
):
    bad = write(tmp_path / "bad one.wav", samples, rate_hz, subtype="FLOAT")
    good = study.data / study.recording_ids[0]
    found = detect(study.winner, good, bad, good)
    assert found.code == 2
    (line,) = found.errors
    assert re.fullmatch(rf"error: Recording '{bad}' must .*{words}.*\.", line), line
    assert "--skip-bad-files" not in line
    (row,) = found.of(bad)
    assert {name: value for name, value in row.items() if value} == {
        "file": str(bad), "decision": "refused", "note": line.removeprefix("error: ")
    }  # fmt: skip
    assert len(found.of(good)) % 2 == 0
    assert {row["decision"] for row in found.of(good)} < {"normal", "anomalous"}
    assert found.out.splitlines()[-1].startswith("3 recordings: ")
    assert found.out.splitlines()[-1].endswith(", 1 refused")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.wav", b"", "0 bytes"),
        ("x.wav", b"no audio at all, but some words", "must be audio"),
        ("x.flac", lambda whole: whole[:-2000], "must be decodable|is truncated"),
        ("x.wav", lambda whole: whole[:-2000], "is truncated"),
        ("x.raw", lambda whole: whole, "must be wav, flac, .* but got '.raw'"),
        ("x", lambda whole: whole, "must be wav, flac, .* but got 'no suffix'"),
        ("missing.wav", None, "no such file"),
        ("pipe.wav", "pipe", "must be a file, because it is read twice, but is no plain file. Save it first"),
        ("folder.wav", "folder", "must hold audio"),
        ("two\nlines.wav", b"", "0 bytes"),
        ("bytes\udcff.wav", lambda whole: whole, "name in UTF-8"),
    ],
)
def test_a_file_that_is_no_audio_is_named_in_one_line(name, content, words, study, detect, tmp_path):
    path = tmp_path / name
    kind = "flac" if path.suffix == ".flac" else "wav"
    whole = write(tmp_path / f"whole.{kind}", noise(2, 16_000)).read_bytes()
    if content == "folder":
        path.mkdir()
    elif content == "pipe":
        os.mkfifo(path)
    elif content is not None:
        path.write_bytes(content(whole) if callable(content) else content)
    found = detect(study.winner, path)
    assert found.code == 2
    (line,) = found.errors
    assert re.search(words, line), line
    assert repr(str(path)) in line


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_that_standard_input_is_not_read_is_said(name, study, detect):
    found = detect(study.winner, name)
    assert found.code == 2
    assert found.errors == [
        f"error: Recording {name!r} must be a file, because it is read twice, but is standard input. Save it first."
    ]


@pytest.mark.parametrize("suffix", ["wav", "m4a"])
def test_a_file_that_may_not_be_read_is_said_in_the_survey_s_words(suffix, study, detect, tmp_path, monkeypatch):
    path = write(tmp_path / "x.wav", noise(2, 16_000)).rename(tmp_path / f"x.{suffix}")
    whole = Path.open

    def forbidden(file: Path, *arguments: object, **options: object) -> object:  # root may read everything
        if file == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return whole(file, *arguments, **options)

    monkeypatch.setattr(Path, "open", forbidden)
    assert detect(study.winner, path).errors == [
        f"error: Recording '{path}' must be readable, but got 'Permission denied'. Replace it, or leave it out."
    ]


@pytest.mark.parametrize(("num_later", "words"), [(15_000, "is truncated"), (16_001, "must stay as it is")])
def test_a_file_that_changes_while_it_is_read_is_refused(num_later, words, study, tmp_path):
    path = write(tmp_path / "x.wav", noise(2, 16_000))
    audio = open_audio(str(path), requirements_of(study.detector))
    write(path, noise(2, num_later))
    with ThreadPool(1) as pool, pytest.raises(BadRecording, match=words):
        judge_recording(audio, study.detector, "car1", pool=pool)


def test_exit_codes(study, winner_with, detect, monkeypatch):
    quiet, loud = winner_with(threshold_sigmas=1e6), winner_with(threshold_sigmas=-1e6)
    files = [study.data / name for name in study.recording_ids[:2]]
    assert detect(quiet, *files).code == 0
    assert detect(loud, *files).code == 1
    assert detect(loud, *files, study.data / "missing.wav").code == 2
    assert detect(quiet).code == 2
    assert detect(quiet.with_name("missing"), *files).code == 2
    assert detect(quiet, *files, "--no-such-option").code == 2
    assert detect(quiet, *files).errors == []

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("an internal error")

    monkeypatch.setattr(detect_clips, "score_clips", broken)
    found = detect(quiet, *files)
    assert (found.code, found.rows) == (3, [])
    assert found.errors[0].startswith("Traceback")


@pytest.mark.parametrize("arguments", [["winner"], [], ["winner", "x.wav", "--machine"]])
def test_a_wrong_command_line_is_one_line(arguments, capsys):
    assert main(arguments) == 2
    assert re.fullmatch(r"error: The command line must be right, but .*\. See --help\.\n", capsys.readouterr().err)


def test_an_interrupted_run_leaves_the_table_that_was_there(study, tmp_path):
    path = write(tmp_path / "long.wav", np.tile(clicks(RATE_HZ * 10), (20, 1)), RATE_HZ)
    table = tmp_path / "found.csv"
    table.write_text("old")
    short = study.data / study.recording_ids[0]
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        code = main([str(study.winner), *[str(path)] * 20, "--csv", str(table), str(short)])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert code == 130
    assert table.read_text() == "old"
    assert {each.name for each in tmp_path.iterdir()} == {"long.wav", "found.csv"}


def test_the_winner_is_a_folder_or_its_file(study, detect):
    path = study.data / study.recording_ids[0]
    assert detect(study.winner, path).rows == detect(study.winner / DETECTOR_FILE, path).rows != []


def test_a_machine_must_be_known_and_named_where_there_are_several(study, winner_with, detect):
    path = study.data / study.recording_ids[0]
    one, two = winner_with(machines=("fan",)), winner_with(machines=("fan", "pump"))
    unnamed = detect(one, path)
    assert unnamed.rows == detect(one, path, "--machine", "fan").rows == detect(two, path, "--machine", "pump").rows
    for winner, options, words in (
        (two, (), r"\(fan, pump\), but none was given"),
        (two, ("--machine", "car"), r"\(fan, pump\), but got 'car'"),
        (one, ("--machine", "car"), r"\(fan\), but got 'car'"),
    ):
        found = detect(winner, path, *options)
        assert (found.code, found.rows, found.out) == (2, [], "")
        assert re.fullmatch(rf"error: --machine must be one that the detector knows {words}\.", "\n".join(found.errors))


@pytest.mark.parametrize("microphone", [1, 2])
def test_the_microphone_of_an_event_is_the_one_that_hears_it_best(microphone, study, tmp_path, detect):
    statistic = changed(study.detector, threshold_sigmas=-1000.0).statistic
    calibrations = list(statistic.calibrations["car1"])
    calibrations[microphone] = replace(calibrations[microphone], mu=-100.0)  # whatever it hears is much to it
    detector = replace(study.detector, statistic=replace(statistic, calibrations={"car1": tuple(calibrations)}))
    save_detector(tmp_path / "detector", detector)
    found = detect(tmp_path / "detector", study.data / study.recording_ids[0])
    assert [row["microphone"] for row in found.rows] == [str(microphone)]
    assert f" s, microphone {microphone}\n" in found.out


def test_what_is_printed_is_one_line_a_file_and_its_events_below(study, winner_with, detect, tmp_path):
    long = write(tmp_path / "long.wav", clicks(RATE_HZ * 150), RATE_HZ)
    median = float(np.median(judged(long, study.detector).sigmas))
    found = detect(winner_with(threshold_sigmas=median), long, study.data / study.recording_ids[0])
    rule, *lines = found.out.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert rule == "A recording is anomalous when more than half of its clips are."
    assert [line.split("  ")[-1] for line in heads[:2]] == [str(long), str(study.data / study.recording_ids[0])]
    assert heads[0].startswith("anomalous ")
    assert len(found.of(long)) > 6
    assert f"    and {len(found.of(long)) - 5} shorter ones" in lines
    spans = [(float(row["event_start_s"]), float(row["event_end_s"])) for row in found.of(long)]
    longest = sorted(spans, key=lambda span: span[0] - span[1])[:5]
    for line, (start_s, end_s) in zip(lines[1:], longest, strict=False):
        assert line.startswith(f"    {start_s:.2f} to {end_s:.2f} s, microphone ")
    assert heads[2].startswith("2 recordings: ")


@pytest.mark.parametrize("option", ["--csv", "--plot"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_judged(option, study, tmp_path, capsys):
    path = tmp_path / "x.wav"
    path.write_bytes((study.data / study.recording_ids[0]).read_bytes())
    before = path.read_bytes()
    (tmp_path / "link.csv").symlink_to(path)
    for target in (
        path,
        tmp_path / "link.csv",
        tmp_path,
        tmp_path / "none/x.csv",
        study.winner / DETECTOR_FILE,
        "/dev/full",
        "/proc/x.csv",
    ):
        assert main([str(study.winner), str(path), option, str(target)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert re.fullmatch(rf"error: {option} must be [^\n]*\n", captured.err)
    assert path.read_bytes() == before
    assert main([str(study.winner), str(path), "--csv", f"{tmp_path}/a", "--plot", f"{tmp_path}/a"]) == 2


def plotted(study: Study, files: list[Path], page: Path) -> str:
    main([str(study.winner), *map(str, files), "--plot", str(page)])
    return page.read_text()


def test_the_page_shows_each_file_and_loads_nothing_from_the_network(study, tmp_path, monkeypatch):
    odd = write(tmp_path / "<b>&.wav", clicks(4000), RATE_HZ)
    text = plotted(study, [odd, study.data / study.recording_ids[0], tmp_path / "missing.wav"], tmp_path / "page.html")
    assert "&lt;b&gt;&amp;.wav</h2>" in text
    assert "<b>&" not in text
    assert text.count("<section>") == text.count("data-figure=") == 2
    assert text.count(packed_plotly()) == 1
    assert "2 judged, 1 could not be judged" in text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)

    monkeypatch.setattr(detect_plot, "MAX_FILES", 3)
    files = [study.data / name for name in study.recording_ids]
    text = plotted(study, files, tmp_path / "page.html")
    best = np.argsort(-study.judgement.clip_scores)[:3]
    assert re.findall(r"<h2>(.*)</h2>", text) == [str(files[index]) for index in sorted(best)]
    assert f"{len(files)} judged, the 3 with the highest scores shown" in text


@pytest.mark.usefixtures("_any_piece_size")
@pytest.mark.parametrize(("seconds", "max_columns"), [(1, 600), (50, 600), (50, 30)])
def test_a_tone_is_drawn_where_and_when_it_sounds(seconds, max_columns, study, tmp_path, monkeypatch):
    monkeypatch.setattr(detect_plot, "MAX_COLUMNS", max_columns)
    times_s = np.arange(seconds * 8000) / 8000
    tone = np.sin(2 * np.pi * 700 * times_s) * (times_s > seconds / 2) * 0.5
    path = write(tmp_path / "x.wav", np.stack([tone, tone], axis=1) + noise(2, len(tone)) / 100, 8000)
    audio = open_audio(str(path), requirements_of(study.detector))
    view = detect_plot.view_of(audio, judged(path, study.detector))
    assert view.levels_db.shape == (len(view.frequencies_hz), len(view.times_s))
    assert len(view.times_s) <= max_columns
    column_s = 0.1 + seconds / len(view.times_s)
    assert view.times_s[0] < column_s
    assert view.times_s[-1] > seconds - column_s
    sounds = view.times_s > seconds / 2 + column_s
    loudest = view.frequencies_hz[view.levels_db.argmax(axis=0)]
    assert (abs(loudest[sounds] - 700) <= 16).all()
    row = int(abs(view.frequencies_hz - 700).argmin())
    assert abs(view.levels_db[row, sounds].mean() - 20 * np.log10(0.5)) < 1.5
    assert view.levels_db[row, view.times_s < seconds / 2 - column_s].max() < -30


PEAK = """
import sys
from core.detect import main
code = main(sys.argv[1:])
lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(code, lines["VmHWM"].split()[0], file=sys.stderr)
"""


@pytest.mark.slow
def test_ten_minutes_need_no_more_memory_than_one(study, tmp_path):
    """Ten minutes of 2 x 48 kHz take 230 MB once decoded, and 19 MB at the detector's rate."""

    def peak_mb(num_minutes: int) -> float:
        path = tmp_path / f"{num_minutes}.flac"
        with soundfile.SoundFile(path, "w", 48_000, 2) as file:
            for minute in range(num_minutes):
                file.write(noise(2, 60 * 48_000, seed=minute))
        command = [sys.executable, "-c", PEAK, str(study.winner), str(path), "--plot", str(tmp_path / "page.html")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        code, peak_kb = done.stderr.split()
        assert code in ("0", "1")
        return int(peak_kb) / 1000

    assert peak_mb(10) < peak_mb(1) + 15
