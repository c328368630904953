"""A trial's detector with the judgement of its stored frame scores."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.decision.checkpoint import DETECTOR_FILE, Detector, load_detector
from core.decision.score_file import ScoredClips, load_scores
from core.decision.statistic import Judgement
from core.experiment import SCORES_FILE


@dataclass(frozen=True, kw_only=True)
class JudgedTrial:
    """A trial's detector, its stored scores by split, and their judgement by the detector's statistic."""

    detector: Detector
    scored: Mapping[str, ScoredClips]
    judged: Mapping[str, Judgement]

    @property
    def threshold(self) -> float:
        return self.detector.statistic.config.threshold_sigmas

    def with_threshold(self, threshold_sigmas: float) -> "JudgedTrial":
        """The same judgement, which no threshold changes, with the decisions of another one."""
        return replace(self, detector=self.detector.with_threshold(threshold_sigmas))


def judge_trial(directory: Path) -> JudgedTrial:
    """Reads a trial's files, which TrialFiles has checked, and judges its scores."""
    return judge_scores(load_detector(directory / DETECTOR_FILE), load_scores(directory / SCORES_FILE))


def judge_scores(detector: Detector, scored: Mapping[str, ScoredClips]) -> JudgedTrial:
    """Judges stored scores of the detector's network with its statistic."""
    judged = {
        name: detector.statistic.judge(clips.scores.of(detector.scoring.score), clips.machines)
        for name, clips in scored.items()
    }
    return JudgedTrial(detector=detector, scored=scored, judged=judged)
