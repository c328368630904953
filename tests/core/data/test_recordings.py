"""Decoding a corpus: which recordings are refused or skipped, and what resampling preserves."""

from dataclasses import replace

import numpy as np
import pytest

from core.data.decoding import read_all
from core.data.recordings import BadRecording, Corpus, Recording, Skipped, check_waveform, resample
from core.errors import UserError


def tone(hz: float, rate_hz: int, seconds: float, num_channels: int = 1) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.tile(0.5 * np.sin(2 * np.pi * hz * time_s), (num_channels, 1)).astype(np.float32)


def recording(name: str, rate_hz: int = 8000, waveform: np.ndarray | None = None, **changes) -> Recording:
    samples = tone(440, rate_hz, 1.0) if waveform is None else waveform
    fields = {
        "recording_id": name,
        "machine": "fan",
        "label": "normal",
        "condition": "normal",
        "num_channels": samples.shape[0],
        "sample_rate_hz": rate_hz,
        "num_samples": samples.shape[1],
        "digest": name,
        "read": lambda: samples,
    }
    return Recording(**(fields | changes))


def corpus(*recordings: Recording) -> Corpus:
    return Corpus(name="c", description="", recordings=recordings)


def read(*recordings: Recording, rate_hz: int = 8000, min_seconds: float = 0.1, skip: bool = False):
    return read_all(corpus(*recordings), sample_rate_hz=rate_hz, min_seconds=min_seconds, skip_bad_files=skip)


@pytest.mark.parametrize("from_hz", [8000, 16000, 22050, 44100, 48000])
def test_resampling_keeps_length_level_and_frequency(from_hz):
    resampled = resample(tone(440, from_hz, 1.5, num_channels=2), from_hz, 4000)
    assert resampled.dtype == np.float32
    assert resampled.shape == (2, 6000)
    inside = slice(500, -500)
    np.testing.assert_allclose(resampled[:, inside], tone(440, 4000, 1.5, num_channels=2)[:, inside], atol=2e-3)


def test_resampling_to_the_same_rate_changes_no_bit():
    waveform = tone(440, 8000, 0.5)
    assert resample(waveform, 8000, 8000) is waveform


def test_what_lies_above_the_new_rate_does_not_come_back_as_another_tone():
    resampled = resample(tone(3000, 16000, 1.0), 16000, 4000)
    assert np.abs(resampled[:, 200:-200]).max() < 1e-3


@pytest.mark.parametrize(
    ("waveform", "words"),
    [
        (np.zeros((1, 0)), "empty"),
        (np.array([[0.0, np.nan, 0.1]]), "1 NaN"),
        (np.array([[0.0, np.inf, 0.1]]), "infinite"),
        (np.zeros((1, 9)), "silence in channel 1"),
        (np.array([[0.1, 0.2], [0.3, 0.3], [0.2, 0.1]]), "silence in channel 2"),
    ],
)
def test_a_waveform_that_cannot_be_used_is_named_with_the_reason(waveform, words):
    with pytest.raises(BadRecording, match=words) as refusal:
        check_waveform(waveform.astype(np.float32), "a/b.wav")
    assert "'a/b.wav'" in str(refusal.value)


def test_takes_come_in_the_order_of_the_corpus_and_mixed_rates_are_said_once():
    takes = [recording(f"r{i}", rate_hz) for i, rate_hz in enumerate([16000, 8000, 44100, 16000, 4000])]
    reading = read(*takes, rate_hz=4000)
    assert [take.recording.recording_id for take in reading.takes] == ["r0", "r1", "r2", "r3", "r4"]
    assert {take.audio.read().shape for take in reading.takes} == {(1, 4000)}
    assert reading.notes == ("1 recording at 44100 Hz and 2 at 16000 Hz and 1 at 8000 Hz were resampled to 4000 Hz",)


def test_nothing_is_said_where_nothing_was_resampled():
    assert read(recording("a"), recording("b")).notes == ()


def bad() -> list[Recording]:
    def broken() -> np.ndarray:
        raise BadRecording("Recording 'broken' must be audio.")

    return [
        recording("broken", read=broken),
        recording("short", waveform=tone(440, 8000, 0.05)),
        recording("dead", waveform=np.zeros((1, 8000), np.float32)),
    ]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_bad_recording_ends_the_reading_unless_it_may_be_skipped(which):
    one_bad = [recording("good"), bad()[which]]
    with pytest.raises(BadRecording, match=one_bad[1].recording_id):
        read(*one_bad)
    reading = read(*one_bad, skip=True)
    assert [take.recording.recording_id for take in reading.takes] == ["good"]
    assert [skipped.name for skipped in reading.skipped] == [one_bad[1].recording_id]


def test_a_take_that_is_just_long_enough_is_used_and_a_shorter_one_told_the_rule():
    assert len(read(recording("a"), min_seconds=1.0).takes) == 1
    with pytest.raises(BadRecording, match=r"'a' must last at least 1\.001 s, but got 1 s"):
        read(recording("a"), min_seconds=1.001)


def test_what_the_source_skipped_is_not_counted_again():
    passed_over = replace(corpus(recording("a")), skipped=(Skipped(name="x", reason="y"),))
    assert read_all(passed_over, sample_rate_hz=8000, min_seconds=0.1, skip_bad_files=True).skipped == ()


@pytest.mark.parametrize("skip", [False, True])
def test_mixed_channel_counts_are_refused_with_one_of_each(skip):
    with pytest.raises(UserError, match="1 in 'mono' and 2 in 'stereo'"):
        read(recording("mono"), recording("stereo", waveform=tone(440, 8000, 1.0, 2)), recording("mono2"), skip=skip)


def test_a_rate_above_a_recordings_own_is_refused():
    with pytest.raises(UserError, match="at most the rate of every recording, but got 16000 where 'slow' has 8000"):
        read(recording("fast", 44100), recording("slow", 8000), rate_hz=16000)


@pytest.mark.parametrize(
    "change",
    [
        {"recording_id": "z"},
        {"label": "anomalous"},
        {"machine": "pump"},
        {"condition": "bent"},
        {"split": "test"},
        {"digest": "other"},
    ],
)
def test_the_fingerprint_changes_with_what_matters_and_not_with_the_order(change):
    first, second = recording("a"), recording("b")
    fingerprint = corpus(first, second).fingerprint
    assert corpus(second, first).fingerprint == fingerprint
    assert corpus(replace(first, **change), second).fingerprint != fingerprint
