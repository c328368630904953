"""A detector whose spectrum reaches higher than its network hears judges files as its study judged the clips."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from core.data.clips import ClipConfig, ClipSet
from core.data.data_config import DataConfig
from core.data.dataset import prepare_dataset
from core.data.splits import SplitConfig
from core.decision.checkpoint import DETECTOR_FILE, Detector, load_detector
from core.decision.postprocess import PostprocessingConfig, events
from core.decision.score_file import load_scores
from core.decision.statistic import Judgement
from core.detection.clips import judge_recording, requirements_of
from core.detection.decision import RecordingDecision
from core.detection.files import open_audio
from core.experiment import SCORES_FILE, ExperimentConfig, NetworkConfig, run_experiment
from core.model.frontend import FrontEndConfig
from core.model.scoring import ScoringConfig
from core.model.training_config import TrainingConfig
from core.sources import open_source
from core.thread_pool import ThreadPool

RATE_HZ, READ_RATE_HZ, CONTEXT = 2000, 8000, 64
CONFIG = ExperimentConfig(
    front_end=FrontEndConfig(sample_rate_hz=RATE_HZ, spectrum_rate_hz=READ_RATE_HZ, mu_law_levels=64),
    network=NetworkConfig(dilation_depth=4, residual_channels=4, receptive_field_ms=8, skip_channels=8),
    training=TrainingConfig(epochs=1, seconds_per_epoch=1),
    scoring=ScoringConfig(score="innovations"),
    postprocessing=PostprocessingConfig(window_ms=50, gap_ms=25, min_event_ms=25, median_ms=0, baseline="clip"),
)
OPTIONS = {"seconds": 1.0, "num_normal": 12, "num_anomalous": 8, "num_microphones": 2, "sample_rate_hz": READ_RATE_HZ}


@dataclass(frozen=True, kw_only=True)
class Study:
    clips: ClipSet
    judgement: Judgement
    detector: Detector


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder, corpus = tmp_path_factory.mktemp("experiment"), open_source("simulated", options=OPTIONS)
    clips = ClipConfig(clip_seconds=1.0, evaluation_seconds=8.0, calibration_seconds=4.0)
    data = DataConfig(sample_rate_hz=READ_RATE_HZ, clips=clips, split=SplitConfig())
    dataset, cpu = prepare_dataset(corpus, data), torch.device("cpu")  # type: ignore[arg-type]
    with ThreadPool(1) as pool:
        list(run_experiment(CONFIG, dataset, folder, seed=1, context_samples=CONTEXT, device=cpu, pool=pool))
    detector = load_detector(folder / DETECTOR_FILE)
    scored = load_scores(folder / SCORES_FILE)["validation"]
    judgement = detector.statistic.judge(scored.scores.innovations, scored.machines)
    threshold = float(np.median(judgement.clip_scores))
    return Study(clips=dataset.validation, judgement=judgement, detector=detector.with_threshold(threshold))


def judged(detector: Detector, path: Path, samples: np.ndarray) -> RecordingDecision:
    soundfile.write(path, samples.T, READ_RATE_HZ, subtype="FLOAT")
    with ThreadPool(1) as pool:
        return judge_recording(open_audio(str(path), requirements_of(detector)), detector, "car1", pool=pool)


def test_a_file_of_one_clip_is_judged_as_the_study_judged_the_clip(study: Study, tmp_path: Path) -> None:
    for index in range(len(study.clips)):
        decision = judged(study.detector, tmp_path / "x.wav", study.clips.waveforms[index])
        assert decision.score_sigmas == pytest.approx(study.judgement.clip_scores[index], abs=1e-6)
        found = events(study.judgement.thresholds[index], study.detector.statistic.config.threshold_sigmas)
        starts = [CONTEXT / RATE_HZ + 0.025 * event.first_frame for event in found]
        assert [event.start_s for event in decision.events] == pytest.approx(starts)


def test_in_a_long_file_events_lie_where_the_sound_is(study: Study, tmp_path: Path) -> None:
    healthy = study.clips.waveforms[np.flatnonzero(~study.clips.is_anomalous)[0]]
    time_s = np.arange(READ_RATE_HZ // 4) / READ_RATE_HZ
    samples = np.tile(healthy, 4)
    samples[:, 2 * READ_RATE_HZ : 2 * READ_RATE_HZ + len(time_s)] += 0.5 * np.sin(2 * np.pi * 700 * time_s)
    whole = judged(study.detector, tmp_path / "x.wav", samples)
    assert whole.seconds == 4
    assert (whole.first_frame_s, whole.frame_s) == (CONTEXT / RATE_HZ, 0.025)
    strange = whole.first_frame_s + 0.025 * np.flatnonzero(whole.sigmas == whole.sigmas.max())
    assert strange.min() >= 1.85
    assert strange.max() <= 2.4


@pytest.mark.parametrize("num_samples", [8001, 8002, 8003, 12_345, 16_003])
def test_a_clip_that_is_no_multiple_of_what_the_network_hears_fits_in_any_recording(
    num_samples: int, study: Study, tmp_path: Path
) -> None:
    detector = replace(study.detector, clip_samples=READ_RATE_HZ + 1)
    samples = np.random.default_rng(0).normal(0, 0.1, (2, num_samples))
    decision = judged(detector, tmp_path / "x.wav", samples)
    assert len(decision.clip_scores) == {8001: 1, 8002: 1, 8003: 1, 12_345: 2, 16_003: 3}[num_samples]


def test_only_what_is_above_the_network_s_hearing_is_heard_in_the_spectrum_alone(study: Study, tmp_path: Path) -> None:
    """A hiss at 3 kHz is beyond the network, which hears up to 1 kHz."""
    healthy = study.clips.waveforms[np.flatnonzero(~study.clips.is_anomalous)[0]]
    hiss = 3 * healthy.std() * np.sin(2 * np.pi * 3000 * np.arange(READ_RATE_HZ) / READ_RATE_HZ)
    whole_clips = replace(study.detector.statistic.config, baseline="machine", threshold_sigmas=-50.0)
    detector = replace(study.detector, statistic=replace(study.detector.statistic, config=whole_clips))  # type: ignore[type-var]
    plain, hissing = (judged(detector, tmp_path / "x.wav", each) for each in (healthy, healthy + hiss))
    assert hissing.score_sigmas > plain.score_sigmas + 0.5
    low, high = (float(word) for word in hissing.events[0].reason.split("between ")[1].split(" Hz")[0].split(" and "))
    assert low <= 3000 <= high
