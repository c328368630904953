"""Folders of audio: which files are used, their samples, and every kind of bad file."""

import itertools
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from core.data.recordings import REPAIR, BadRecording, Corpus
from core.errors import UserError
from tests.folder_files import RATE_HZ, listed, noise, write


def by_id(corpus: Corpus) -> dict[str, tuple[str, str]]:
    return {take.recording_id: (take.machine, take.label) for take in corpus.recordings}


def test_a_sorted_folder_gives_machines_and_labels(tmp_path):
    root = tmp_path / "plant 1"
    for name in ("normal/a.wav", "Faulty/b.flac", "fan/normal/deep/c.ogg", "fan/anomaly/d.mp3", "fan/abnormal/e.WAV"):
        write(root / name)
    corpus = listed(root)
    assert corpus.name == "plant-1"
    assert by_id(corpus) == {
        "normal/a.wav": ("plant-1", "normal"),
        "Faulty/b.flac": ("plant-1", "anomalous"),
        "fan/normal/deep/c.ogg": ("fan", "normal"),
        "fan/anomaly/d.mp3": ("fan", "anomalous"),
        "fan/abnormal/e.WAV": ("fan", "anomalous"),
    }
    for take in corpus.recordings:
        assert take.read().shape[0] == 1


def test_files_that_cannot_be_used_are_named_and_what_never_was_audio_is_counted(tmp_path):
    write(tmp_path / "normal/a.wav")
    write(tmp_path / "outside.wav")
    for name in ("normal/._a.wav", "normal/c.caf", "normal/notes.txt", "spectrum.png", ".DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    corpus = listed(tmp_path)
    assert list(by_id(corpus)) == ["normal/a.wav"]
    assert {skipped.name for skipped in corpus.skipped} == {
        "normal/c.caf", "outside.wav", "hidden files", "not audio files",
    }  # fmt: skip
    assert corpus.description.endswith("; 1 without a label left out, such as 'outside.wav'")
    reasons = "\n".join(skipped.reason for skipped in corpus.skipped)
    assert "2 files are hidden, such as '.DS_Store'" in reasons
    assert "2 files are not audio, such as 'normal/notes.txt'" in reasons


def test_hidden_folders_are_left_alone(tmp_path):
    write(tmp_path / "normal/a.wav")
    write(tmp_path / ".hidden/normal/b.wav")
    assert list(by_id(listed(tmp_path))) == ["normal/a.wav"]


def test_names_in_unicode_are_names_like_others(tmp_path):
    write(tmp_path / "Lüfter 扇/normal/Aufnahme é №1 🚗.wav")
    assert by_id(listed(tmp_path)) == {"Lüfter 扇/normal/Aufnahme é №1 🚗.wav": ("Lüfter 扇", "normal")}


def test_a_name_that_is_no_unicode_is_passed_over_and_named(tmp_path):
    write(tmp_path / "normal/a.wav")
    (tmp_path / "normal/b.wav").write_bytes(b"")
    (tmp_path / "normal/b.wav").rename(tmp_path / "normal" / os.fsdecode(b"\xff.wav"))
    (skipped,) = listed(tmp_path).skipped
    assert "cannot be printed" in skipped.reason
    assert skipped.reason.isprintable()


def test_listing_names_takes_time_in_proportion_to_their_number(tmp_path):
    """Counts calls of the interpreter, because the clock of a shared machine is unreliable."""
    steps = [_steps_of_listing(tmp_path / str(num_files), num_files) for num_files in (50, 400)]
    assert steps[1] < 12 * steps[0]


def _steps_of_listing(root: Path, num_files: int) -> int:
    (root / "normal").mkdir(parents=True)
    for index in range(num_files):
        (root / f"normal/{index // 2}_ch{index % 2}.wav").touch()
    counter = itertools.count()
    sys.setprofile(lambda *_: next(counter))
    try:
        with pytest.raises(BadRecording, match="0 bytes"):  # all files are listed before the first is opened
            listed(root)
    finally:
        sys.setprofile(None)
    return next(counter)


def test_links_neither_hang_nor_list_a_file_twice_nor_lead_outside(tmp_path):
    elsewhere = write(tmp_path / "elsewhere/secret.wav")
    root = tmp_path / "data"
    write(root / "normal/a.wav")
    (root / "normal/loop").symlink_to(root)
    (root / "normal/self.wav").symlink_to(root / "normal/self.wav")
    (root / "normal/twin.wav").symlink_to(root / "normal/a.wav")
    (root / "normal/away.wav").symlink_to(elsewhere)
    (root / "normal/gone").symlink_to(elsewhere.parent)
    corpus = listed(root)
    assert list(by_id(corpus)) == ["normal/a.wav"]
    assert sorted(skipped.name for skipped in corpus.skipped) == [
        "normal/away.wav", "normal/gone", "normal/loop", "normal/self.wav", "normal/twin.wav",
    ]  # fmt: skip


def test_a_file_below_both_labels_is_refused(tmp_path):
    write(tmp_path / "anomalous/normal/a.wav")
    with pytest.raises(UserError, match="one label, but got anomalous and normal"):
        listed(tmp_path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_samples_come_as_channels_by_time_in_full_scale(tmp_path, suffix):
    samples = np.stack([np.sin(np.arange(8000) / 9), 0.25 * np.sin(np.arange(8000) / 5)], axis=1) * 0.8
    write(tmp_path / f"normal/a.{suffix}", samples)
    (take,) = listed(tmp_path).recordings
    waveform = take.read()
    assert (take.num_channels, take.sample_rate_hz, take.num_samples) == (2, RATE_HZ, 8000)
    assert waveform.dtype == np.float32
    assert waveform.flags.c_contiguous
    np.testing.assert_allclose(waveform[:, 2000:6000], samples.T[:, 2000:6000], atol=0.1 if suffix != "wav" else 1e-4)


def test_the_digest_is_of_the_bytes(tmp_path):
    first = write(tmp_path / "one/normal/a.wav")
    write(tmp_path / "two/normal/a.wav").write_bytes(first.read_bytes())
    one, two = (listed(tmp_path / name) for name in ("one", "two"))
    assert one.fingerprint != two.fingerprint  # the machines' names differ
    assert one.recordings[0].digest == two.recordings[0].digest
    write(tmp_path / "two/normal/a.wav", noise(seed=1))
    assert listed(tmp_path / "two").recordings[0].digest != one.recordings[0].digest


@pytest.mark.parametrize("kind", ["missing", "empty", "no audio", "a file", "options"])
def test_a_folder_that_cannot_be_used_is_refused(tmp_path, kind):
    path = tmp_path / "data"
    if kind != "missing":
        path.mkdir()
    if kind == "no audio":
        (path / "readme.txt").write_text("hello")
    if kind == "a file":
        path = write(path / "a.wav")
    with pytest.raises(UserError) as refusal:
        listed(path, options={"seconds": 3} if kind == "options" else {})
    assert "\n" not in str(refusal.value)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def not_audio(path: Path) -> None:
    path.write_bytes(b"<html>not found</html>" * 20)


def no_bytes(path: Path) -> None:
    path.write_bytes(b"")


def no_samples(path: Path) -> None:
    write(path, noise(num_samples=0))


def with_nan(path: Path) -> None:
    samples = noise(2)
    samples[77, 1] = np.nan
    write(path, samples, subtype="FLOAT")


def silent_microphone(path: Path) -> None:
    samples = noise(3)
    samples[:, 1] = 0.25
    write(path, samples)


@pytest.mark.parametrize(
    ("spoil", "suffix", "words", "found_by"),
    [
        (not_audio, "wav", "must be audio", "listing"),
        (not_audio, "mp3", "must be audio", "listing"),
        (no_bytes, "flac", "0 bytes", "listing"),
        (no_samples, "wav", "empty", "listing"),
        (cut, "wav", "truncated", "listing"),
        (cut, "ogg", "truncated", "listing"),
        (cut, "flac", "decodable", "reading"),
        (cut, "mp3", "truncated", "reading"),
        (with_nan, "wav", "1 NaN", "reading"),
        (silent_microphone, "wav", "silence in channel 2", "reading"),
    ],
)
def test_a_bad_file_is_named_with_the_reason(tmp_path, spoil, suffix, words, found_by):
    write(tmp_path / "normal/good.wav")
    spoil(write(tmp_path / f"normal/bad.{suffix}", noise(num_samples=20_000)))
    if found_by == "listing":
        with pytest.raises(BadRecording, match=words) as refusal:
            listed(tmp_path)
        corpus = listed(tmp_path, skip_bad_files=True)
        assert list(by_id(corpus)) == ["normal/good.wav"]
        why = str(refusal.value).removesuffix(f" {REPAIR}")
        assert [(s.name, s.reason) for s in corpus.skipped] == [(f"normal/bad.{suffix}", why)]
    else:
        (bad,) = (take for take in listed(tmp_path).recordings if "bad" in take.recording_id)
        with pytest.raises(BadRecording, match=words) as refusal:
            bad.read()
    assert f"'normal/bad.{suffix}'" in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)


def test_a_wav_that_a_pipe_wrote_without_its_length_is_whole(tmp_path):
    path = write(tmp_path / "normal/a.wav")
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(bytes(content))
    assert listed(tmp_path).recordings[0].read().shape == (1, 4000)


@pytest.mark.parametrize("name", ["only_normal", "Normal", "healthy-fans", "OK"])
def test_a_folder_that_is_named_normal_needs_no_other_folder(tmp_path, name):
    write(tmp_path / name / "0.wav")
    write(tmp_path / name / "pump/1.wav")
    found = by_id(listed(tmp_path / name))
    assert {label for _, label in found.values()} == {"normal"}
    assert {machine for machine, _ in found.values()} == {name, "pump"}


@pytest.mark.parametrize("name", ["recordings", "abnormal_and_normal", "faulty", "io_board"])
def test_a_folder_of_another_name_must_say_what_is_normal(tmp_path, name):
    write(tmp_path / name / "0.wav")
    with pytest.raises(UserError, match="where all are normal, a folder normal is enough"):
        listed(tmp_path / name)


def test_in_a_folder_named_normal_the_labels_below_it_count(tmp_path):
    write(tmp_path / "normal_fans/normal/0.wav")
    write(tmp_path / "normal_fans/faulty/1.wav")
    write(tmp_path / "normal_fans/2.wav")
    assert len(listed(tmp_path / "normal_fans").recordings) == 2
