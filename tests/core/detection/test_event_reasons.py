"""Every event of a detector of innovations has its reason, in the line, in the table and in the page's text."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.decision.checkpoint import Detector
from core.decision.innovations_statistic import fit_innovations
from core.decision.postprocess import PostprocessingConfig
from core.detection.clips import judge_recording, requirements_of
from core.detection.decision import RecordingDecision
from core.detection.files import open_audio
from core.detection.plot import _events_text
from core.detection.results import Results, lines_of
from core.model.clips_to_score import ClipsToScore
from core.model.scoring import ScoringConfig, score_clips
from core.thread_pool import ThreadPool
from tests.small_detector import make_detector

RATE_HZ, CLIP = 4000, 1500


@pytest.fixture(scope="module")
def detector() -> Detector:
    plain = make_detector()
    clips = np.random.default_rng(0).normal(0, 0.1, (8, 2, CLIP)).astype(np.float32)
    with ThreadPool(1) as pool:
        scores = score_clips(
            plain.model,
            ClipsToScore.encoded(plain.front_end, clips, [0] * len(clips)),
            context_samples=plain.context_samples,
            frame_samples=40,
            sample_rate_hz=RATE_HZ // 2,
            with_statistics=True,
            pool=pool,
        )
    config = PostprocessingConfig(window_ms=10_000, gap_ms=20, min_event_ms=20, median_ms=0, threshold_sigmas=2.0)
    statistic = fit_innovations(
        config, scores.of("innovations"), ["car1"] * 8, [str(take) for take in range(8)], frame_ms=20.0
    )
    return replace(plain, statistic=statistic, scoring=ScoringConfig(score="innovations", frame_ms=20.0), levels=None)


def judged(detector: Detector, path: Path, sound: np.ndarray) -> RecordingDecision:
    soundfile.write(path, sound.T, RATE_HZ, subtype="FLOAT")
    audio = open_audio(str(path), requirements_of(detector))
    with ThreadPool(1) as pool:
        return judge_recording(audio, detector, "car1", pool=pool)


@pytest.fixture
def sound() -> np.ndarray:
    """Three clips like the healthy ones; in the last there is a tone on the second microphone."""
    sound = np.random.default_rng(1).normal(0, 0.1, (2, 3 * CLIP))
    sound[1, 2 * CLIP :] += 0.3 * np.sin(2 * np.pi * 500 * np.arange(CLIP) / RATE_HZ)
    return sound


def test_a_tone_is_a_regularity_in_the_line_the_table_and_the_page(
    detector: Detector, sound: np.ndarray, tmp_path
) -> None:
    decision = judged(detector, tmp_path / "a.wav", sound)
    event = decision.events[-1]
    assert event.microphone == detector.microphones[1]
    assert "a regularity that was not learned" in event.reason
    assert event.reason in "\n".join(lines_of(decision))
    assert event.reason in _events_text(decision)
    results = Results()
    results.add(decision)
    assert event.reason in results.csv_text()


def test_a_detector_of_another_score_gives_no_reason(sound: np.ndarray, tmp_path: Path) -> None:
    plain = make_detector()
    low = replace(plain.statistic, config=replace(plain.statistic.config, threshold_sigmas=-50.0))
    decision = judged(replace(plain, statistic=low, levels=None), tmp_path / "a.wav", sound)
    assert decision.events
    assert not any(event.reason for event in decision.events)
