"""Bits saved against prediction without memory: none for noise, several for a tone."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from core.data.audio import Waveform
from core.data.clips import ClipConfig
from core.data.data_config import DataConfig
from core.data.dataset import prepare_dataset
from core.data.recordings import Corpus, Recording
from core.data.splits import SplitConfig
from core.experiment import EpochResult, ExperimentConfig, NetworkConfig, run_experiment
from core.model.frontend import FrontEndConfig
from core.model.training_config import TrainingConfig
from core.model.wavenet import WaveNet, marginals_of, memoryless_bits
from core.model.wavenet_config import WaveNetConfig
from core.thread_pool import ThreadPool

RATE_HZ = 2000


def noise(seed: int) -> Waveform:
    return np.random.default_rng(seed).normal(0, 0.1, (1, RATE_HZ)).astype(np.float32)


def tone(seed: int) -> Waveform:
    """Clips of one frequency at random phases; the period is not a whole number of samples."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    wave: Waveform = 0.3 * np.sin(2 * np.pi * 97.3 * np.arange(RATE_HZ) / RATE_HZ + phase, dtype=np.float32)[None]
    return wave


def trained(sound: object, folder: Path, *, levels: int = 64) -> EpochResult:
    recordings = [
        Recording(
            recording_id=f"{label}/{index}",
            machine="m",
            label=label,  # type: ignore[arg-type]
            num_channels=1,
            sample_rate_hz=RATE_HZ,
            num_samples=RATE_HZ,
            digest=f"{label}/{index}",
            read=partial(sound, index),  # type: ignore[call-overload]
        )
        for label, count in (("normal", 24), ("anomalous", 4))
        for index in range(count)
    ]
    corpus = Corpus(name="made", description="by hand", recordings=tuple(recordings))
    clips = ClipConfig(clip_seconds=1.0, evaluation_seconds=8, calibration_seconds=2)
    dataset = prepare_dataset(corpus, DataConfig(sample_rate_hz=RATE_HZ, clips=clips, split=SplitConfig()))
    config = ExperimentConfig(
        front_end=FrontEndConfig(sample_rate_hz=RATE_HZ, mu_law_levels=levels, pre_emphasis=0.0),
        network=NetworkConfig(dilation_depth=4, residual_channels=8, receptive_field_ms=8, skip_channels=16),
        training=TrainingConfig(epochs=1, seconds_per_epoch=60, learning_rate=2e-2, window_targets=256),
    )
    cpu = torch.device("cpu")
    (result,) = run_experiment(config, dataset, folder, seed=1, context_samples=16, device=cpu, pool=ThreadPool(1))
    return result


def test_a_network_that_equals_the_marginals_saves_nothing() -> None:
    codes = np.random.default_rng(0).binomial(15, [[[0.3], [0.7]]], (6, 2, 400)).astype(np.uint8)
    train, judged = codes[:3], codes[3:]
    model = WaveNet(WaveNetConfig(num_channels=2, mu_law_levels=16, receptive_field_samples=16, dilation_depth=3))
    model.start_from_marginals(train)
    model.heads.weight.data.zero_()
    loss = float(model.loss_bits(torch.from_numpy(judged)).detach())
    assert memoryless_bits(marginals_of(train, 16), judged[..., 16:]) == pytest.approx(loss, abs=1e-5)


def test_memoryless_bits_of_the_fitted_codes_are_their_entropy() -> None:
    codes = np.tile(np.array([0, 0, 0, 1], dtype=np.uint8), 10_000)[None, None]
    assert memoryless_bits(marginals_of(codes, 2), codes) == pytest.approx(0.8113, abs=1e-3)
    assert np.isnan(memoryless_bits(marginals_of(codes, 2), codes[..., :0]))


@pytest.mark.parametrize("levels", [32, 256])
def test_of_noise_nothing_is_saved_whatever_the_levels(tmp_path: Path, levels: int) -> None:
    metrics = trained(noise, tmp_path, levels=levels).metrics
    for name in ("val", "test"):
        assert abs(metrics[f"{name}_bits_saved"]) < 0.15
    assert metrics["val_loss"] > 3, "while the loss itself depends on them"


def test_of_a_tone_several_bits_are_saved(tmp_path: Path) -> None:
    metrics = trained(tone, tmp_path).metrics
    assert metrics["val_bits_saved"] > 2
    assert metrics["test_bits_saved"] > 2
