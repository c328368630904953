"""Post-processing costs no training: what other windows and thresholds make of the frame scores that are kept."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from core.metrics import best_f1
from core.postprocess import PostprocessingConfig
from core.score_file import ScoredClips
from core.statistic import fit_statistic


def best_f1_over_windows(
    config: PostprocessingConfig,
    windows_ms: Iterable[float],
    scored: Mapping[str, ScoredClips],
    *,
    score: str,
    frame_ms: float,
) -> float:
    """The highest F1 on validation that one of the windows reaches with any threshold. It has seen the labels."""
    calibration, validation = scored["calibration"], scored["validation"]
    best = 0.0
    for window_ms in windows_ms:
        statistic = fit_statistic(
            replace(config, window_ms=window_ms), calibration.scores.of(score), calibration.machines, frame_ms=frame_ms
        )
        judged = statistic.judge(validation.scores.of(score), validation.machines)
        best = max(best, best_f1(judged.clip_scores, validation.is_anomalous))
    return best
