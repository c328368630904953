"""Noise in takes of ToyADMOS: at the stated level, the same stretch on all microphones, the same in every process."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.data.recordings import BadRecording, Corpus, Recording
from core.errors import UserError
from core.sources.toyadmos.noise import mix
from core.sources.toyadmos.source import open_toyadmos
from tests.toyadmos_layout import noise_name, sound, take_name, write, write_tree

RATE_HZ = 8000
TAKE_SAMPLES = 800
NOISE_SAMPLES = 4000


def listed(path: Path, *, skip_bad_files: bool = False, **options: object) -> Corpus:
    return open_toyadmos(path, options, skip_bad_files=skip_bad_files)


def recovered_noise(mixed: Recording, clean: Recording) -> np.ndarray:
    return mixed.read().astype(np.float64) - clean.read()


def snr_db(mixed: Recording, clean: Recording) -> float:
    noise = recovered_noise(mixed, clean)
    return float(10 * np.log10(np.mean(clean.read().astype(np.float64) ** 2) / np.mean(noise**2)))


def noise_sound(microphone: int, number: int = 1) -> np.ndarray:
    return sound(Path(noise_name(microphone=microphone, take=number)).name, num_samples=NOISE_SAMPLES)


def where(part: np.ndarray, whole: np.ndarray) -> int:
    """The sample of `whole` at which `part` begins, with any gain; -1 if it is not in it."""
    correlation = np.correlate(whole, part, mode="valid")
    start = int(np.argmax(correlation))
    likeness = np.corrcoef(part, whole[start : start + len(part)])[0, 1]
    return start if likeness > 0.99 else -1


@pytest.mark.parametrize("asked_db", [-30, -10, 0, 6.5, 40])
def test_the_mix_has_the_ratio_that_was_asked_for(tmp_path, asked_db):
    """For quiet takes as for loud ones, and where the microphones differ in level."""
    tree = write_tree(tmp_path, num_normal=3, conditions=(), num_noises=2, subtype="FLOAT")
    for number, level in ((1, 1e-4), (2, 2.5)):
        for microphone in (1, 2, 3, 4):
            file = tree / take_name(microphone=microphone, take=number)
            soundfile.write(file, level * microphone * soundfile.read(file)[0], RATE_HZ, subtype="FLOAT")
    clean, noisy = listed(tree), listed(tree, noise_snr_db=asked_db)
    for one, other in zip(clean.recordings, noisy.recordings, strict=True):
        assert snr_db(other, one) == pytest.approx(asked_db, abs=0.01)


def test_noise_of_another_rate_has_the_ratio_too_and_keeps_its_pitch(tmp_path):
    tree = write_tree(tmp_path, num_normal=1, conditions=(), microphones=(1,))
    tone = np.sin(2 * np.pi * 1000 * np.arange(9600) / 48_000)
    (tree / noise_name()).parent.mkdir()
    soundfile.write(tree / noise_name(), tone, 48_000)
    (clean,), (noisy,) = listed(tree).recordings, listed(tree, noise_snr_db=-5).recordings
    assert noisy.read().shape == (1, TAKE_SAMPLES)
    assert snr_db(noisy, clean) == pytest.approx(-5, abs=0.01)
    spectrum = np.abs(np.fft.rfft(recovered_noise(noisy, clean)[0]))
    assert np.argmax(spectrum) * RATE_HZ / TAKE_SAMPLES == 1000


def test_all_microphones_of_a_take_hear_the_same_stretch(tmp_path):
    tree = write_tree(tmp_path, num_normal=12, conditions=(), num_noises=2)
    clean, noisy = listed(tree), listed(tree, noise_snr_db=-10)
    stretches = set()
    for one, other in zip(clean.recordings, noisy.recordings, strict=True):
        parts = recovered_noise(other, one)
        found = {
            tuple(where(part, noise_sound(microphone, number)) for microphone, part in enumerate(parts, start=1))
            for number in (1, 2)
        }
        assert found == {(-1,) * 4, (max(max(found)),) * 4}
        stretches.add(max(max(found)))
    assert len(stretches) > 6  # another stretch for another take


def test_one_gain_serves_all_microphones(tmp_path):
    tree = write_tree(tmp_path, num_normal=1, conditions=(), num_noises=1, subtype="FLOAT")
    for microphone in (1, 2, 3, 4):
        file = tree / noise_name(microphone=microphone)
        soundfile.write(file, 0.1**microphone * noise_sound(microphone), RATE_HZ, subtype="FLOAT")
    noise = recovered_noise(listed(tree, noise_snr_db=-40).recordings[0], listed(tree).recordings[0])
    levels = np.sqrt(np.mean(noise**2, axis=1))
    np.testing.assert_allclose(levels[:-1] / levels[1:], 10, rtol=0.1)


def test_a_loud_mix_exceeds_full_scale_and_neither_clips_nor_wraps():
    car = np.where(np.arange(1000) % 2, 0.999, -0.999).astype(np.float32)[None]
    noise = np.where(np.arange(1000) % 10 < 5, 0.999, -0.999).astype(np.float32)[None]
    mixed = mix(car, noise, snr_db=-10)
    assert mixed.dtype == np.float32
    gain = 10**0.5
    np.testing.assert_allclose(mixed, car + gain * noise, rtol=1e-6)
    assert mixed.max() == pytest.approx(0.999 * (1 + gain))


def test_other_takes_in_the_tree_change_nothing(tmp_path):
    tree = write_tree(tmp_path, num_normal=3, num_noises=3)
    before = listed(tree, noise_snr_db=0)
    for microphone in (1, 2, 3, 4):
        write(tree / take_name(microphone=microphone, take=77))
        write(tree / take_name(case=2, microphone=microphone, take=1))
    after = {recording.recording_id: recording for recording in listed(tree, noise_snr_db=0).recordings}
    assert len(after) == len(before.recordings) + 2
    for recording in before.recordings:
        assert after[recording.recording_id].digest == recording.digest
        assert after[recording.recording_id].read().tobytes() == recording.read().tobytes()


def test_the_digest_changes_with_everything_that_makes_the_mix(tmp_path):
    tree = write_tree(tmp_path, num_normal=1, conditions=(), num_noises=1, noise_seconds=0.1)
    options = ({}, {"noise_snr_db": 0}, {"noise_snr_db": 0.1}, {"noise_snr_db": 0, "noise_seed": 1})
    digests = [listed(tree, **some).recordings[0].digest for some in options]
    assert listed(tree, noise_snr_db=0.0).recordings[0].digest == digests[1]
    clean = digests[0]
    shutil.copy(tree / take_name(), tree / noise_name(microphone=4))
    digests.append(listed(tree, noise_snr_db=0).recordings[0].digest)
    assert listed(tree, noise_seed=1).recordings[0].digest == clean
    write(tree / take_name()).write_bytes((tree / take_name(microphone=2)).read_bytes())
    digests.append(listed(tree, noise_snr_db=0).recordings[0].digest)
    assert len(set(digests)) == 6


def test_another_seed_gives_other_stretches(tmp_path):
    tree = write_tree(tmp_path, num_normal=1, conditions=(), num_noises=1)
    clean = listed(tree).recordings[0]
    starts = {
        where(recovered_noise(listed(tree, noise_snr_db=-10, noise_seed=seed).recordings[0], clean)[0], noise_sound(1))
        for seed in range(8)
    }
    assert len(starts) == 8
    assert -1 not in starts


def test_noise_that_is_shorter_than_a_take_is_repeated(tmp_path):
    tree = write_tree(tmp_path, num_normal=1, conditions=(), num_noises=1, noise_seconds=0.03)
    clean, noisy = listed(tree).recordings[0], listed(tree, noise_snr_db=0).recordings[0]
    noise = recovered_noise(noisy, clean)
    assert snr_db(noisy, clean) == pytest.approx(0, abs=0.01)
    np.testing.assert_allclose(noise[:, :-240], noise[:, 240:], atol=1e-6)
    other = recovered_noise(listed(tree, noise_snr_db=0, noise_seed=1).recordings[0], clean)
    assert np.abs(other - noise).max() > 0.1  # from another sample on


def test_of_long_noise_only_the_stretch_is_read(tmp_path, monkeypatch):
    tree = write_tree(tmp_path, num_normal=1, conditions=(), num_noises=1, noise_seconds=20)
    noisy = listed(tree, noise_snr_db=0).recordings[0]
    read, lengths = soundfile.read, []

    def counting(*arguments, **options):
        samples, rate_hz = read(*arguments, **options)
        lengths.append(len(samples))
        return samples, rate_hz

    monkeypatch.setattr(soundfile, "read", counting)
    noisy.read()
    assert lengths == [TAKE_SAMPLES] * 8


@pytest.mark.parametrize(
    ("kind", "words"), [("silence", "got silence"), ("nan", "got NaN or infinity"), ("shortened", "is truncated")]
)
def test_noise_that_cannot_be_used_is_named(tmp_path, kind, words):
    tree = write_tree(tmp_path, num_normal=1, conditions=(), num_noises=1, noise_seconds=0.1, subtype="FLOAT")
    file = tree / noise_name(microphone=3)
    samples, rate_hz = soundfile.read(file)
    if kind == "silence":
        samples[:] = 0.25
    if kind == "nan":
        samples[5] = np.nan
    soundfile.write(file, samples, rate_hz, subtype="FLOAT")
    noisy = listed(tree, noise_snr_db=0).recordings[0]
    if kind == "shortened":
        soundfile.write(file, samples[:100], rate_hz, subtype="FLOAT")
    with pytest.raises(BadRecording, match=words) as refusal:
        noisy.read()
    assert repr(noise_name(microphone=3)) in str(refusal.value)


def test_noise_that_lacks_a_microphone_is_left_out_and_refused_where_none_is_left(tmp_path):
    tree = write_tree(tmp_path, num_noises=2)
    (tree / noise_name(microphone=2, take=1)).unlink()
    corpus = listed(tree, noise_snr_db=0)
    assert ["lacks microphone 2" in skipped.reason for skipped in corpus.skipped] == [True]
    (tree / noise_name(microphone=3, take=2)).unlink()
    with pytest.raises(UserError, match="microphones that are used, 1, 2, 3, 4, but it has none \\(2 files"):
        listed(tree, noise_snr_db=0)
    assert listed(tree, noise_snr_db=0, microphones=[1, 4]).skipped == ()
    assert listed(tree).skipped == ()  # noise is not used


def test_noise_that_cannot_be_opened_is_an_error_or_a_named_skip(tmp_path):
    tree = write_tree(tmp_path, num_noises=2)
    (tree / noise_name()).write_bytes(b"x" * 100)
    with pytest.raises(BadRecording, match=noise_name()):
        listed(tree, noise_snr_db=0)
    corpus = listed(tree, noise_snr_db=0, skip_bad_files=True)
    assert len(corpus.recordings) == 3
    assert len(corpus.skipped) == 1
