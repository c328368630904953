"""One configuration from clips to figures: it learns faults that exist, and finds none in noise."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from core.baselines import loudness_scores
from core.data.audio import Waveform
from core.data.clips import ClipConfig
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.recordings import Corpus, Recording
from core.data.splits import SplitConfig
from core.decision.checkpoint import DETECTOR_FILE, load_detector
from core.decision.levels import level_ranges
from core.decision.metrics import auc
from core.experiment import EpochResult, run_experiment
from core.model.scoring import ScoringConfig
from core.model.training import ConfigurationFailed
from core.model.training_config import TrainingConfig
from core.sources import open_source
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file

ROOT = Path(__file__).resolve().parents[2]
SPEC = load_study_file(ROOT / "tests/data/tiny.toml")
CONTEXT = SPEC.search_space.context_samples(4000)


def last_result(dataset: Dataset, folder: Path, **options: object) -> EpochResult:
    config = replace(SPEC.default_experiment, **options)  # type: ignore[arg-type]
    results = run_experiment(
        config, dataset, folder, seed=5, context_samples=CONTEXT, device=torch.device("cpu"), pool=ThreadPool(1)
    )
    return list(results)[-1]


def noise(*seed: int) -> Waveform:
    """Half a second of noise; takes differ in nothing but their labels."""
    return np.random.default_rng(seed).normal(0, 0.1, (1, 2000)).astype(np.float32)


def test_training_on_noise_ends_near_chance(tmp_path: Path) -> None:
    recordings = [
        Recording(
            recording_id=f"{label}/{index}",
            machine="noise",
            label=label,
            num_channels=1,
            sample_rate_hz=4000,
            num_samples=2000,
            digest=f"{label}/{index}",
            read=partial(noise, int(label == "normal"), index),
        )
        for label, count in (("normal", 160), ("anomalous", 120))
        for index in range(count)
    ]
    corpus = Corpus(name="noise", description="nothing but labels", recordings=tuple(recordings))
    clips = ClipConfig(clip_seconds=0.5, evaluation_seconds=60, calibration_seconds=5)
    split = SplitConfig(validation_fraction=0.4, test_fraction=0.4)
    dataset = prepare_dataset(corpus, DataConfig(sample_rate_hz=4000, clips=clips, split=split))
    for row in last_result(dataset, tmp_path).history:
        # Four standard deviations of AUC at chance, which are 0.053 here.
        assert abs(row["val_auc"] - 0.5) < 0.21
        assert abs(row["test_auc"] - 0.5) < 0.21


@pytest.fixture(scope="module")
def car() -> Dataset:
    options = {"seconds": 1.0, "num_normal": 24, "num_anomalous": 24, "num_microphones": 2, "severity": 1.5}
    corpus = open_source("simulated", options=options)
    clips = replace(SPEC.clips, evaluation_seconds=20)
    return prepare_dataset(corpus, DataConfig(sample_rate_hz=4000, clips=clips, split=SPEC.split))


def test_the_simulated_car_s_faults_are_found_where_they_are_learned_and_not_by_loudness(
    car: Dataset, tmp_path: Path
) -> None:
    network = replace(SPEC.network, residual_channels=8, receptive_field_ms=12)
    training = replace(SPEC.training, epochs=3, seconds_per_epoch=15, learning_rate=2e-2)
    good = last_result(car, tmp_path / "good", network=network, training=training)
    assert good.best["val_auc"] > 0.85
    assert good.metrics["train_loss"] < good.history[0]["train_loss"] - 0.3
    loudness = auc(loudness_scores(car.validation.waveforms), car.validation.is_anomalous)
    assert 0.3 < loudness < 0.7


@pytest.mark.parametrize("score", ["surprise", "innovations"])
def test_a_network_that_is_broken_but_finite_is_a_failed_configuration(
    score: Literal["surprise", "innovations"], car: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingConfig, "learning_rate_at", lambda _config, _progress: 1e10)
    with pytest.raises(ConfigurationFailed, match=r"it diverged: the validation loss was .* bits after epoch 1"):
        last_result(car, tmp_path, scoring=ScoringConfig(score=score))
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_a_finished_experiment_is_read_back_and_its_detector_knows_the_levels_of_calibration(
    car: Dataset, tmp_path: Path
) -> None:
    first = last_result(car, tmp_path)
    (state,) = tmp_path.glob("trainings/*/state.safetensors")
    was = state.read_bytes()
    assert last_result(car, tmp_path) == first, "audio_seconds_per_second, too, is what was recorded"
    assert state.read_bytes() == was
    detector = load_detector(tmp_path / DETECTOR_FILE)
    assert detector.levels == level_ranges(car.calibration)
    assert detector.faults_last, "no event within a take is labelled"
    assert detector.levels is not None
    assert detector.levels.keys() == detector.statistic.calibrations.keys()
