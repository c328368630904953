"""Formats that need ffmpeg: the real program where it is installed, and a stand-in that records its options."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.data.audio import quantise
from core.data.decoding import decode
from core.data.digests import digest_of
from core.data.recordings import BadRecording
from core.detection.files import open_audio
from core.detection.requirements import AudioRequirements
from core.sources import ffmpeg
from core.sources.audio_files import read_header, read_pieces
from tests.folder_files import RATE_HZ, listed, noise, write

PROGRAM = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(PROGRAM is None, reason="ffmpeg is not installed")
SINE = 0.5 * np.sin(2 * np.pi * 440 / 16_000 * np.arange(16_000))


def encoded(path: Path, samples: np.ndarray = SINE, rate_hz: int = 16_000) -> Path:
    """A file as a phone or a recorder writes it, made by ffmpeg's encoder for the suffix."""
    wav = write(path.with_suffix(".to_encode.wav"), samples, rate_hz)
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([str(PROGRAM), "-nostdin", "-loglevel", "error", "-i", wav, f"file:{path}"], check=True)
    wav.unlink()
    return path


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["m4a", "aac", "wma", "mka", "wv", "M4A"])
def test_a_file_is_read_as_the_sound_that_it_was(tmp_path, suffix):
    path = encoded(tmp_path / f"normal/-i a b.{suffix}")
    (take,) = listed(tmp_path).recordings
    assert (take.num_channels, take.sample_rate_hz, take.digest) == (1, 16_000, digest_of(path))
    waveform = take.read()
    assert waveform.shape == (1, take.num_samples)
    assert abs(take.num_samples - len(SINE)) <= 2 * 2048  # encoders pad to whole frames
    spectrum = np.abs(np.fft.rfft(waveform[0]))
    assert spectrum.argmax() / take.seconds == pytest.approx(440, abs=2)
    assert np.abs(waveform).max() == pytest.approx(0.5, abs=0.1)


@needs_ffmpeg
def test_both_channels_of_a_stereo_file_arrive_in_pieces_as_they_do_whole(tmp_path):
    path = encoded(tmp_path / "normal/a.wv", np.stack([SINE, -0.5 * SINE], axis=1))
    (take,) = listed(tmp_path).recordings
    whole = take.read()
    np.testing.assert_allclose(whole, np.stack([SINE, -0.5 * SINE]), atol=1e-3)  # WavPack is lossless
    pieces = list(read_pieces(path, "a", read_header(path, "a"), piece_samples=1234))
    assert {len(piece) for piece in pieces[:-1]} == {617}
    np.testing.assert_array_equal(np.concatenate(pieces).T, whole)


@needs_ffmpeg
def test_detection_reads_what_a_study_reads(tmp_path):
    path = encoded(tmp_path / "normal/a.m4a")
    (take,) = listed(tmp_path).recordings
    audio = open_audio(str(path), AudioRequirements(num_channels=1, sample_rate_hz=4000, min_samples=4000))
    expected = quantise(decode(take, 4000)).read()
    np.testing.assert_array_equal(np.concatenate(list(audio.pieces()), axis=1), expected)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("suffix", "spoil", "words"),
    [
        ("m4a", lambda whole: whole[: len(whole) // 2], "must be decodable, but got 'from ffmpeg: "),
        ("wv", lambda whole: whole[: len(whole) // 2], "must be decodable, but got 'from ffmpeg: "),
        ("wma", lambda whole: whole[: len(whole) // 2], "must be decodable, but got 'from ffmpeg: "),
        ("m4a", lambda _: b"", "0 bytes"),
        ("m4a", lambda _: b"no audio", "must be decodable, but got 'from ffmpeg: "),
        ("m4a", lambda _: b"#EXTM3U\n#EXTINF:1,\nfile:/etc/hostname\n", "must be decodable, but got 'from ffmpeg: "),
    ],
    ids=["half m4a", "half wv", "half wma", "empty", "text", "playlist"],
)
def test_a_damaged_file_is_one_line_or_left_out(tmp_path, suffix, spoil, words):
    path = encoded(tmp_path / f"normal/bad.{suffix}")
    path.write_bytes(spoil(path.read_bytes()))
    write(tmp_path / "normal/good.wav")
    with pytest.raises(BadRecording, match=words) as refusal:
        listed(tmp_path)
    assert str(refusal.value).isprintable()
    corpus = listed(tmp_path, skip_bad_files=True)
    assert [take.recording_id for take in corpus.recordings] == ["normal/good.wav"]
    assert [skipped.name for skipped in corpus.skipped] == [f"normal/bad.{suffix}"]


@needs_ffmpeg
def test_a_file_that_was_converted_beside_itself_is_used_once(tmp_path):
    encoded(tmp_path / "normal/a.m4a")
    write(tmp_path / "normal/a.wav")
    corpus = listed(tmp_path)
    assert [take.recording_id for take in corpus.recordings] == ["normal/a.wav"]
    assert "was converted" in corpus.skipped[0].reason


def test_without_ffmpeg_the_line_says_how_to_convert(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "normal/it's.m4a"
    path.parent.mkdir()
    path.write_bytes(b"anything")
    with pytest.raises(BadRecording, match="ffmpeg is not installed") as refusal:
        listed(tmp_path)
    assert """`ffmpeg -i 'normal/it'"'"'s.m4a' 'normal/it'"'"'s.wav'`""" in str(refusal.value)


@pytest.mark.parametrize("suffix", ["aiff", "AIF", "au", "oga", "opus"])
def test_libsndfile_reads_more_than_wav(tmp_path, suffix):
    formats = {"opus": {"format": "OGG", "subtype": "OPUS"}, "oga": {"format": "OGG"}, "AIF": {"format": "AIFF"}}
    write(tmp_path / f"normal/a.{suffix}", noise(2), **formats.get(suffix, {}))
    (take,) = listed(tmp_path).recordings
    assert take.read().shape == (2, 4000)


@pytest.mark.parametrize("suffix", ["aiff", "au", "opus"])
def test_they_are_told_when_cut(tmp_path, suffix):
    path = write(tmp_path / f"normal/a.{suffix}", **({"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BadRecording, match=r"'normal/a\.\w+' is truncated"):
        listed(tmp_path)


STAND_IN = """#!{python}
import json, os, struct, sys, time
json.dump(sys.argv[1:], open({said!r}, "w"))
out = sys.stdout.buffer
{body}
"""
HEADER = (
    b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 3, 2, RATE_HZ, 8 * RATE_HZ, 8, 32)
    + b"LIST" + struct.pack("<I", 3) + b"abc\0" + b"data\xff\xff\xff\xff"
)  # fmt: skip


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Puts a program named ffmpeg in front on PATH; returns the file with the arguments that it got."""

    def make(body: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        program, said = folder / "ffmpeg", tmp_path / "arguments.json"
        program.write_text(STAND_IN.format(python=sys.executable, said=str(said), body=body))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return said

    return make


def m4a(tmp_path: Path) -> Path:
    path = tmp_path / "data/normal/-y http:x.m4a"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"anything")
    return path


def test_ffmpeg_gets_no_input_one_protocol_and_a_path_that_is_no_option(tmp_path, stand_in):
    said = stand_in(f"assert not sys.stdin.read()\nout.write({HEADER!r} + struct.pack('<8f', *[.5, -.25] * 4))")
    path = m4a(tmp_path)
    (take,) = listed(tmp_path / "data").recordings
    assert (take.num_channels, take.sample_rate_hz, take.num_samples) == (2, RATE_HZ, 4)
    header = read_header(path, "a")
    np.testing.assert_array_equal(np.concatenate(list(read_pieces(path, "a", header))), [[0.5, -0.25]] * 4)
    arguments = said.read_text()
    assert f'"-i", "file:{path}"' in arguments
    for option in ('"-nostdin"', '"-protocol_whitelist", "file"', '"-format_whitelist"', '"-xerror"', '"pipe:1"'):
        assert option in arguments


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("sys.exit('[aac @ 0x1] bad\\x1b[2J')", r"from ffmpeg: bad"),
        ("sys.exit(3)", "exit code 3"),
        ("out.write({header!r})", "no samples|an empty one"),
        ("out.write(b'RIFF')", "no samples"),
        ("out.write({header!r} + bytes(800)); out.flush(); sys.exit('late')", "from ffmpeg: late"),
        ("out.write({header!r})\nwhile True: out.write(bytes(2**16))", "more than 1000000 bytes"),
        ("out.write({header!r}); out.flush(); time.sleep(60)", "nothing from ffmpeg for 0.5 s"),
    ],
    ids=["says why", "says nothing", "no samples", "no header", "fails late", "writes without end", "is stuck"],
)
def test_every_failure_of_ffmpeg_is_one_line(tmp_path, stand_in, monkeypatch, body, words):
    monkeypatch.setattr(ffmpeg, "MAX_BYTES", 1_000_000)
    monkeypatch.setattr(ffmpeg, "MAX_SECONDS_WITHOUT_OUTPUT", 0.5)
    stand_in(body.format(header=HEADER))
    m4a(tmp_path)
    with pytest.raises(BadRecording, match=words) as refusal:
        listed(tmp_path / "data")
    assert str(refusal.value).isprintable()
