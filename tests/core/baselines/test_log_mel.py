"""Log-mel frames equal those of known libraries, at one level, at every rate, and for silence."""

import numpy as np
import pytest
from librosa.filters import mel
from scipy.signal import get_window, stft

from core.baselines.log_mel import FLOOR, FrameGrid, LogMel, num_bands
from core.model.frontend import FrontEnd, FrontEndConfig


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [4000, 16_000, 44_100])
def test_frames_are_those_of_known_libraries_for_the_levelled_clip_without_padding(rate_hz: int) -> None:
    log_mel = LogMel(FrameGrid.at(rate_hz))
    grid, clip = log_mel.grid, noise(2, rate_hz) + 0.3
    config = FrontEndConfig(sample_rate_hz=rate_hz, pre_emphasis=0.0)
    level = FrontEnd(config=config, channel_gains=()).level_of(clip)
    window = get_window("hann", grid.frame)
    _, _, spectra = stft(
        (clip - level.mean) * level.gain,
        window=window,
        nperseg=grid.frame,
        noverlap=grid.frame - grid.hop,
        boundary=None,
        padded=False,
    )
    power = np.square(np.abs(spectra * window.sum())) / np.square(window).sum()
    filters = mel(sr=rate_hz, n_fft=grid.frame, n_mels=log_mel.num_bands)
    np.testing.assert_allclose(log_mel.of(clip), 10 * np.log10(filters @ power).swapaxes(1, 2), atol=1e-3)


@pytest.mark.parametrize(
    ("rate_hz", "expected"), [(2000, 63), (4000, 106), (8000, 128), (16_000, 128), (48_000, 128), (192_000, 128)]
)
def test_there_are_128_bands_or_as_many_as_have_a_bin_of_the_spectrum_each(rate_hz: int, expected: int) -> None:
    log_mel = LogMel(FrameGrid.at(rate_hz))
    assert log_mel.num_bands == num_bands(rate_hz, log_mel.grid.frame) == expected
    assert (log_mel.filters.max(axis=0) > 0).all()


def test_silence_is_at_the_floor_and_a_clip_shorter_than_a_frame_has_no_frames() -> None:
    log_mel = LogMel(FrameGrid.at(4000))
    still = np.stack([np.zeros((1, 4000), np.float32), np.full((1, 4000), 0.7, np.float32)])
    np.testing.assert_allclose(log_mel.of(still), 10 * np.log10(FLOOR), rtol=1e-6)
    assert log_mel.of(noise(3, 2, 255)).shape == (3, 2, 0, 106)
    assert log_mel.of(noise(3, 2, 256)).shape == (3, 2, 1, 106)


def test_a_score_s_place_is_the_hop_around_the_middle_of_its_frame() -> None:
    grid = FrameGrid.at(4000)
    assert (grid.frame, grid.hop, grid.hop_ms) == (256, 128, 32.0)
    assert grid.first_s(0) == pytest.approx(0.016)
    assert grid.first_s(2) == pytest.approx(0.080)
