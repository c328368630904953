"""The curve over calibration takes ends with the detector's own figures; there is none where nothing can vary."""

from dataclasses import replace

import numpy as np
import pytest

from core.decision.calibration_curve import calibration_curve
from core.decision.fitting import fit_statistic
from core.decision.metrics import auc, f1_score
from core.decision.postprocess import PostprocessingConfig
from core.decision.score_file import ScoredClips
from tests.frame_scores import frame_scores

FRAME_MS = 25.0
CONFIG = PostprocessingConfig(window_ms=200.0, threshold_sigmas=1.5)


def clips(num_takes: int, *, seed: int, strange_bits: float = 0.0) -> ScoredClips:
    """Two clips of each take; takes of two machines in turn, which differ from each other."""
    random = np.random.default_rng(seed)
    takes = np.repeat(np.arange(num_takes), 2)
    bits = (
        4
        + 0.3 * random.standard_normal((len(takes), 2, 60))
        + 0.1 * random.standard_normal(num_takes)[takes, None, None]
    )
    is_anomalous = (takes % 3 == 2) & (strange_bits > 0)
    bits[is_anomalous] += strange_bits
    return ScoredClips(
        scores=frame_scores(bits.astype(np.float32)),
        recording_ids=tuple(str(take) for take in takes),
        machines=tuple("ab"[take % 2] for take in takes),
        conditions=tuple("strange" if is_strange else "normal" for is_strange in is_anomalous),
        is_anomalous=is_anomalous,
    )


def scored(num_takes: int = 16) -> dict[str, ScoredClips]:
    return {"calibration": clips(num_takes, seed=0), "validation": clips(24, seed=1, strange_bits=0.25)}


def test_the_last_point_has_the_figures_of_the_detector() -> None:
    data = scored()
    calibration, validation = data["calibration"], data["validation"]
    statistic = fit_statistic(
        CONFIG, calibration.scores.surprise, calibration.machines, calibration.recording_ids, frame_ms=FRAME_MS
    )
    own = statistic.judge(validation.scores.surprise, validation.machines).clip_scores
    *_, last = calibration_curve(CONFIG, data, score="surprise", frame_ms=FRAME_MS)
    assert last.num_takes == 16
    assert last.auc == auc(own, validation.is_anomalous)
    assert last.f1 == f1_score(own >= CONFIG.threshold_sigmas, validation.is_anomalous)
    assert last.f1_range == (last.f1, last.f1)


def test_fewer_takes_are_drawn_in_several_ways_from_every_machine() -> None:
    points = calibration_curve(CONFIG, scored(), score="surprise", frame_ms=FRAME_MS)
    assert [point.num_takes for point in points] == [4, 8, 16]
    assert points[0].f1_range[0] < points[0].f1 < points[0].f1_range[1]
    assert points == calibration_curve(CONFIG, scored(), score="surprise", frame_ms=FRAME_MS)


@pytest.mark.parametrize("num_takes", [3, 5])
def test_takes_that_cannot_be_halved_are_counted_as_they_are(num_takes: int) -> None:
    numbers = [
        point.num_takes for point in calibration_curve(CONFIG, scored(num_takes), score="surprise", frame_ms=FRAME_MS)
    ]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == num_takes


def test_without_a_second_take_or_a_second_label_there_is_no_curve() -> None:
    data = scored()
    healthy = replace(data["validation"], is_anomalous=np.zeros(48, np.bool_))
    assert calibration_curve(CONFIG, scored(2), score="surprise", frame_ms=FRAME_MS) == []
    assert calibration_curve(CONFIG, data | {"validation": healthy}, score="surprise", frame_ms=FRAME_MS) == []
