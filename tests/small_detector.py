"""A small detector without training, for tests of its file."""

import numpy as np
import torch

from core.data.audio import Waveform
from core.decision.checkpoint import Detector
from core.decision.healthy_scores import HealthyScores
from core.decision.levels import LevelRange
from core.decision.postprocess import PostprocessingConfig
from core.decision.statistic import fit_scalar
from core.model.clips_to_score import ClipsToScore
from core.model.frontend import FrontEnd, FrontEndConfig, fit_front_end
from core.model.scoring import Scores, ScoringConfig, score_clips
from core.model.wavenet import WaveNet
from core.model.wavenet_config import WaveNetConfig
from core.thread_pool import ThreadPool

SHAPE = WaveNetConfig(
    num_channels=2, mu_law_levels=64, dilation_depth=3, receptive_field_samples=20, residual_channels=5, skip_channels=7
)
CLIPS: Waveform = np.random.default_rng(0).normal(0, 0.1, (6, 2, 1500)).astype(np.float32)
MACHINES = ["car1", "car2"] * 3


def build() -> WaveNet:
    torch.manual_seed(0)
    return WaveNet(SHAPE)


def frame_scores(model: WaveNet, front_end: FrontEnd, kind: str) -> Scores:
    clips = ClipsToScore.encoded(front_end, CLIPS, [0] * len(CLIPS))
    with ThreadPool(1) as pool:
        scores = score_clips(
            model,
            clips,
            context_samples=30,
            frame_samples=40,
            sample_rate_hz=2000,
            with_statistics=False,
            pool=pool,
        )
    return scores.of(kind)


def make_detector() -> Detector:
    """Every setting differs from its default, so that none can be forgotten unseen."""
    model = build()
    front_end = fit_front_end(
        FrontEndConfig(
            sample_rate_hz=2000,
            spectrum_rate_hz=4000,
            level="train_gain",
            pre_emphasis=0.7,
            rms=0.2,
            mu_law_levels=64,
        ),
        CLIPS,
    )
    postprocessing = PostprocessingConfig(
        window_ms=60,
        threshold_sigmas=1.7,
        hysteresis_sigmas=0.2,
        median_ms=60,
        gap_ms=40,
        min_event_ms=40,
        two_sided=True,
    )
    calibration = frame_scores(model, front_end, "entropy")
    levels = tuple(LevelRange(quietest_dbfs=-20.0 - channel, loudest_dbfs=-19.5) for channel in range(2))
    return Detector(
        model=model,
        front_end=front_end,
        scoring=ScoringConfig(score="entropy", frame_ms=20.0),
        statistic=fit_scalar(postprocessing, calibration, MACHINES, frame_ms=20.0),
        clip_samples=1500,
        context_samples=30,
        levels={"car1": levels, "car2": levels},
        healthy=HealthyScores.of({take: [0.1 * take, -0.5, 1.25] for take in range(20)}, seconds_a_clip=0.72),
        stand_ins=("faults", "parts"),
        channels=(2, 5),
    )
