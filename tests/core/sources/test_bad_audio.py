"""Strange audio in folders: what must be read with the right values, and what must be named with the reason.

Files that are bad in plainer ways are in test_folder.py, bad rows in test_manifest.py.
"""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.data.recordings import BadRecording, Recording
from core.sources import open_source
from tests.folder_files import RATE_HZ, listed, noise, write

NUM_SAMPLES = 4000
DATA_LENGTH = slice(40, 44)
"""Where libsndfile writes the length of the samples of a 16-bit WAV."""


def only(folder: Path) -> Recording:
    (recording,) = listed(folder).recordings
    return recording


def with_length(path: Path, num_bytes: int, *, container: slice | None = None) -> None:
    content = bytearray(path.read_bytes())
    assert content[36:40] == b"data"
    content[container or DATA_LENGTH] = struct.pack("<I", num_bytes)
    path.write_bytes(bytes(content))


def append(path: Path, more: bytes) -> None:
    path.write_bytes(path.read_bytes() + more)


@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [
        ("PCM_U8", 1 / 128),
        ("PCM_16", 1 / 2**15),
        ("PCM_24", 1 / 2**23),
        ("PCM_32", 1 / 2**24),
        ("FLOAT", 1 / 2**24),
        ("DOUBLE", 1 / 2**24),
        ("ALAW", 1 / 32),  # steps of the loudest segment, half of full scale and above
        ("ULAW", 1 / 32),
    ],
)
def test_every_kind_of_sample_is_read_in_full_scale(tmp_path, subtype, tolerance):
    samples = np.stack([np.linspace(-0.99, 0.99, NUM_SAMPLES), noise()[:, 0]], axis=1)
    write(tmp_path / "normal/a.wav", samples, subtype=subtype)
    recording = only(tmp_path)
    assert (recording.num_channels, recording.num_samples) == (2, NUM_SAMPLES)
    np.testing.assert_allclose(recording.read(), samples.T, atol=tolerance)


@pytest.mark.parametrize("options", [{"format": "RF64"}, {"format": "WAVEX"}, {"endian": "BIG"}])
def test_kinds_of_wav_are_read_whole_and_told_when_cut(tmp_path, options):
    samples = noise()
    path = write(tmp_path / "normal/a.wav", samples, **options)
    np.testing.assert_allclose(only(tmp_path).read(), samples.T, atol=1e-4)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BadRecording, match=r"'normal/a\.wav' is truncated: it must hold 8000 bytes .* got 7000"):
        listed(tmp_path)


def test_clipped_sound_is_used_as_it_is(tmp_path):
    write(tmp_path / "normal/a.wav", np.clip(4 * noise(), -1, 1))
    waveform = only(tmp_path).read()
    assert np.mean(np.abs(waveform) > 0.999) > 0.4
    assert np.abs(waveform).max() <= 1.0


def test_floats_beyond_full_scale_keep_their_values(tmp_path):
    samples = 8 * noise()
    write(tmp_path / "normal/a.wav", samples, subtype="FLOAT")
    np.testing.assert_allclose(only(tmp_path).read(), samples.T, rtol=1e-6)


@pytest.mark.parametrize(
    "tail",
    [b"\0" * 37, b"LIST" + struct.pack("<I", 10) + b"INFOabcdef"],
    ids=["padding", "tags"],
)
def test_what_lies_behind_the_samples_is_no_sound(tmp_path, tail):
    path = write(tmp_path / "normal/a.wav")
    append(path, tail)
    np.testing.assert_allclose(only(tmp_path).read(), noise().T, atol=1e-4)


def test_a_header_that_promises_less_than_there_is_is_believed(tmp_path):
    """A wrong length cannot be distinguished from trailing tags, and the promised samples are there."""
    with_length(write(tmp_path / "normal/a.wav"), 2000)
    recording = only(tmp_path)
    assert recording.num_samples == 1000
    np.testing.assert_allclose(recording.read(), noise()[:1000].T, atol=1e-4)


def infinite(path: Path) -> None:
    samples = noise()
    samples[3], samples[5] = np.inf, -np.inf
    write(path, samples, subtype="FLOAT")


@pytest.mark.parametrize(
    ("spoil", "words", "found_by"),
    [
        (
            lambda path: with_length(path, 9000),
            "truncated: it must hold 9000 bytes of samples, but got 8000",
            "listing",
        ),
        (lambda path: with_length(path, 0x7FFE0000), "truncated", "listing"),
        (lambda path: with_length(path, 0), "empty", "listing"),
        (lambda path: path.write_text("no sound at all"), "must be audio", "listing"),
        (lambda path: path.write_bytes(path.read_bytes()[:20]), "must be audio", "listing"),
        (lambda path: path.write_bytes(path.read_bytes()[:44]), "truncated", "listing"),
        (lambda path: with_length(path, 0, container=slice(24, 28)), "must be audio", "listing"),  # a rate of 0 Hz
        (lambda path: with_length(path, 0, container=slice(22, 26)), "must be audio", "listing"),  # no channels
        (infinite, "2 NaN or infinite", "reading"),
        (lambda path: write(path, noise(num_samples=1)), "silence in channel 1", "reading"),
        (lambda path: write(path, np.zeros(4000)), "silence in channel 1", "reading"),
        (lambda path: write(path, np.full(4000, 0.5)), "silence in channel 1", "reading"),
    ],
    ids=[
        *("promises more", "promises 2 GB", "promises nothing", "text", "half a header", "header alone", "no rate"),
        *("no channels", "infinite", "one sample", "zeros", "an offset"),
    ],
)
def test_a_bad_file_is_named_with_the_reason_or_left_out_and_counted(
    tmp_path: Path, spoil: Callable[[Path], None], words: str, found_by: str
) -> None:
    write(tmp_path / "normal/good.wav")
    spoil(write(tmp_path / "normal/bad.wav"))
    if found_by == "reading":
        recording = next(take for take in listed(tmp_path).recordings if "bad" in take.recording_id)
        with pytest.raises(BadRecording, match=words) as refusal:
            recording.read()
    else:
        with pytest.raises(BadRecording, match=words) as refusal:
            listed(tmp_path)
        corpus = listed(tmp_path, skip_bad_files=True)
        assert [take.recording_id for take in corpus.recordings] == ["normal/good.wav"]
        assert [skipped.name for skipped in corpus.skipped] == ["normal/bad.wav"]
    message = str(refusal.value)
    assert "'normal/bad.wav'" in message
    assert "\n" not in message
    assert str(tmp_path) not in message


def test_a_file_of_a_manifest_is_named_as_the_manifest_names_it(tmp_path):
    with_length(write(tmp_path / "x/Motor ü.wav"), 9000)
    (tmp_path / "manifest.csv").write_text("path,machine,label\nx/Motor ü.wav,fan,normal\n")
    with pytest.raises(BadRecording, match=r"'x/Motor ü\.wav' is truncated"):
        open_source(f"folder:{tmp_path}")


def test_a_file_that_vanished_after_it_was_listed_is_named(tmp_path):
    path = write(tmp_path / "normal/a.wav")
    recording = only(tmp_path)
    path.unlink()
    with pytest.raises(BadRecording, match=r"'normal/a\.wav'"):
        recording.read()


def test_a_file_that_shrank_after_it_was_listed_is_named(tmp_path):
    path = write(tmp_path / "normal/a.wav")
    recording = only(tmp_path)
    soundfile.write(path, noise(num_samples=100), RATE_HZ)
    with pytest.raises(BadRecording, match=r"'normal/a\.wav' is truncated"):
        recording.read()
