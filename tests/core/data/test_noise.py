"""Noise in takes: its level and spectrum, and the same bits in whatever order it is read."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.audio import HeldAudio, Waveform, quantise
from core.data.clips import ClipConfig
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.judged_clips import JUDGED
from core.data.noise import BLOCK, NoiseConfig, NoisyAudio, with_noise
from core.data.recordings import Take
from core.data.splits import SplitConfig
from core.data.store import Store
from core.errors import UserError
from core.sources import open_source

ROOT = Path(__file__).resolve().parents[3]
RATE_HZ = 4000
NUM_SAMPLES = 3 * BLOCK + 1234


def car(offset: float = 0.0, num_samples: int = NUM_SAMPLES) -> HeldAudio:
    """Two microphones, the second ten times as loud, both with an offset."""
    tone = np.sin(np.arange(num_samples) * 0.3)
    return quantise((np.stack([tone, 10 * tone]) + offset).astype(np.float32))


def noisy(
    clean: HeldAudio, snr_db: float = 6.0, name: str = "a", rate_hz: int = RATE_HZ, **options: object
) -> NoisyAudio:
    config = NoiseConfig(snr_db=snr_db, **options)  # type: ignore[arg-type]
    return NoisyAudio(clean=clean, config=config, recording_id=name, speed=1.0, sample_rate_hz=rate_hz)


def added(audio: NoisyAudio) -> Waveform:
    return audio.read() - audio.clean.read()


def rms(waveform: Waveform) -> np.ndarray:
    return waveform.std(axis=1)


@pytest.mark.parametrize("kind", ["pink", "white"])
@pytest.mark.parametrize("snr_db", [0.0, 6.0, 12.0])
@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_every_microphone_has_the_ratio_that_is_asked_for(kind: str, snr_db: float, offset: float) -> None:
    clean = car(offset)
    ratio_db = 20 * np.log10(rms(clean.read()) / rms(added(noisy(clean, snr_db, kind=kind))))
    np.testing.assert_allclose(ratio_db, snr_db, atol=0.4)


@given(st.integers(-50, NUM_SAMPLES + 50), st.integers(-50, NUM_SAMPLES + 50), st.sampled_from(["pink", "white"]))
def test_a_window_has_the_bits_of_the_whole(start: int, stop: int, kind: str) -> None:
    clean = car()
    window = noisy(clean, kind=kind).read(start, stop)  # from a new object
    np.testing.assert_array_equal(window, WHOLE[kind][:, start:stop])


WHOLE = {kind: noisy(car(), kind=kind).read() for kind in ("pink", "white")}


def test_another_process_makes_the_same_noise() -> None:
    code = (
        "import sys, numpy; from core.data.audio import quantise; from core.data.noise import NoiseConfig, NoisyAudio;"
        "clean = quantise(numpy.sin(numpy.arange(60_000, dtype=numpy.float32))[None]);"
        "noisy = NoisyAudio(clean=clean, config=NoiseConfig(snr_db=6), recording_id='a', speed=1.0,"
        "sample_rate_hz=4000);"
        "sys.stdout.buffer.write(noisy.read(20_000, 40_000).tobytes())"
    )
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT).stdout
    clean = quantise(np.sin(np.arange(60_000, dtype=np.float32))[None])
    assert theirs == noisy(clean).read()[:, 20_000:40_000].tobytes()


@pytest.mark.parametrize("rate_hz", [4000, 16_000])
def test_pink_noise_falls_by_3_db_an_octave_and_white_noise_does_not(rate_hz: int) -> None:
    for kind, fall_db in (("pink", 3.01), ("white", 0.0)):
        samples = added(noisy(car(num_samples=20 * BLOCK), kind=kind, rate_hz=rate_hz))[0]
        power = np.square(np.abs(np.fft.rfft(samples)))
        hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
        octaves = [power[(hz >= low) & (hz < 2 * low)].mean() for low in (50, 100, 200, 400, 800)]
        np.testing.assert_allclose(np.diff(10 * np.log10(octaves)), -fall_db, atol=0.6)
        assert power[hz < 1].mean() < 3 * power[(hz > 10) & (hz < 20)].mean(), "no slow drift"


def test_microphones_takes_and_seeds_have_noise_of_their_own() -> None:
    clean = car()
    noises = [added(noisy(clean)), added(noisy(clean, name="b")), added(noisy(clean, seed=1))]
    rows = np.concatenate(noises)
    correlations = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlations).max() < 0.1


def test_no_stretch_of_noise_comes_again() -> None:
    rows = added(noisy(car(num_samples=6 * BLOCK)))[0].reshape(6, BLOCK)
    assert np.abs(np.corrcoef(rows) - np.eye(6)).max() < 0.1


def test_pink_noise_goes_on_from_block_to_block() -> None:
    """Adjacent samples correlate at a block's border as they do within it."""
    samples = added(noisy(car(num_samples=100 * BLOCK)))
    borders = np.arange(1, 100) * BLOCK
    across, within = (
        np.corrcoef(samples[:, places - 1].ravel(), samples[:, places].ravel())[0, 1]
        for places in (borders, borders + BLOCK // 2)
    )
    assert within > 0.4
    assert abs(across - within) < 0.2


def test_a_channel_that_stands_still_stays_still() -> None:
    still = quantise(np.full((1, 5000), 0.25, np.float32))
    np.testing.assert_array_equal(noisy(still).read(), still.read())


def dataset(noise: NoiseConfig | None, store: Store | None = None, seed: int = 0) -> Dataset:
    options = {"seconds": 1.0, "num_normal": 16, "num_anomalous": 6, "num_microphones": 2}
    clips = ClipConfig(clip_seconds=1.0, evaluation_seconds=12, calibration_seconds=4)
    config = DataConfig(sample_rate_hz=RATE_HZ, clips=clips, split=SplitConfig(seed=seed), noise=noise)
    return prepare_dataset(open_source("simulated", options=options), config, store=store)


def test_every_part_of_a_dataset_is_noisy_with_a_store_or_without(tmp_path: Path) -> None:
    config = NoiseConfig(snr_db=6)
    clean, plain, stored = dataset(None), dataset(config), dataset(config, Store(tmp_path))
    again = dataset(config, Store(tmp_path))  # the store must hold the clean take, or noise would be added twice
    for name in JUDGED:
        pure, loud = getattr(clean, name).waveforms, getattr(plain, name).waveforms
        ratio = np.sqrt(np.square(loud - pure).mean(axis=2)) / pure.std(axis=2)
        np.testing.assert_allclose(ratio, 10 ** (-6 / 20), rtol=0.25)
        np.testing.assert_array_equal(getattr(stored, name).waveforms, loud)
        np.testing.assert_array_equal(getattr(again, name).waveforms, loud)
    clips = [each.training.order(0).all_of(100) or () for each in (clean, plain, stored)]
    for pure, loud, same in zip(*clips, strict=True):
        assert np.std(loud.read(100, 900) - pure.read(100, 900)) > 0.1 * np.std(pure.read())
        np.testing.assert_array_equal(same.read(100, 900), loud.read(100, 900))


def test_a_take_has_the_same_noise_in_every_split() -> None:
    parts = [dataset(NoiseConfig(snr_db=0), seed=seed) for seed in (0, 1)]
    clips = [
        {
            name: waveform
            for split in JUDGED
            for name, waveform in zip(getattr(each, split).recording_ids, getattr(each, split).waveforms, strict=True)
        }
        for each in parts
    ]
    shared = clips[0].keys() & clips[1].keys()
    assert shared
    assert set(parts[0].validation.recording_ids) != set(parts[1].validation.recording_ids)
    for name in shared:
        np.testing.assert_array_equal(clips[0][name], clips[1][name])


def test_what_is_added_is_told() -> None:
    told = "white noise at -3 dB (signal over noise) is added to every take"
    assert dataset(NoiseConfig(snr_db=-3, kind="white")).notes == (told,)


def test_without_noise_a_take_is_left_alone() -> None:
    recording = open_source("simulated", options={"num_normal": 1, "num_anomalous": 1}).recordings[0]  # type: ignore[union-attr]
    take = Take(recording=recording, audio=car())
    assert with_noise(take, None, RATE_HZ) is take
    assert with_noise(take, NoiseConfig(snr_db=0), RATE_HZ).recording is recording


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"snr_db": float("nan")}, r"noise\.snr_db must be from -60 to 120, but got nan\."),
        ({"snr_db": 0.0, "kind": "brown"}, r"noise\.kind must be one of pink, white, but got 'brown'\."),
        ({"snr_db": 0.0, "seed": -1}, r"noise\.seed must be 0 or more, but got -1\."),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=f"^{said}$"):
        NoiseConfig(**options)  # type: ignore[arg-type]
