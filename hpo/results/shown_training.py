"""A training whose file and figures are shown: that of the winner, and that of the default configuration."""

from dataclasses import dataclass
from typing import Any

from core.decision.calibration_curve import CalibrationPoint, calibration_curve
from core.decision.checkpoint import DETECTOR_FILE
from hpo.results.judged_trial import JudgedTrial
from hpo.results.microphones import microphone_rows
from hpo.results.missed_faults import SPLITS, missed_fault_rows
from hpo.results.promise import SetThreshold
from hpo.results.split_figures import split_figures
from hpo.results.winner import SeedTraining
from hpo.search.study import OpenStudy

EVENT_FIGURES = ("event_f1", "segment_f1")


@dataclass(frozen=True, kw_only=True)
class ShownTraining:
    """A training whose file and figures are shown, judged at the threshold that was set for it."""

    number: int
    """The trial's."""
    training: SeedTraining
    trial: JudgedTrial
    threshold: SetThreshold

    @classmethod
    def of(cls, number: int, training: SeedTraining, trial: JudgedTrial, threshold: SetThreshold) -> "ShownTraining":
        at_threshold = trial.with_threshold(threshold.threshold_sigmas)
        return cls(number=number, training=training, trial=at_threshold, threshold=threshold)

    def figures(self, search: OpenStudy) -> dict[str, Any]:
        """For result.json: parameters, the training whose file is shown, its threshold and its metrics."""
        record, trial = self.training.record, self.trial
        machines = trial.detector.statistic.machines
        return {
            "trial": self.number,
            "seed": self.training.seed,
            "checkpoint": (self.training.directory / DETECTOR_FILE).relative_to(search.directory).as_posix(),
            "parameters": dict(record.parameters),
            "epoch": record.facts["best_epoch"],
            "stand_ins": list(trial.detector.stand_ins),
            "faults_last": trial.detector.faults_last,
            **{name: record.facts[name] for name in ("num_weights", "num_layers", "receptive_field_samples")},
            **self.threshold.facts(),
            **{split: split_figures(trial, split) | self._event_figures(split) for split in SPLITS},
            "per_machine": {
                machine: {split: split_figures(trial, split, machine) for split in SPLITS} for machine in machines
            },
            "microphones": microphone_rows(trial),
        }

    def _event_figures(self, split: str) -> dict[str, float]:
        """F1 of events and of segments, where they are labelled and the threshold is the trial's own, at which it
        counted them."""
        if self.threshold.threshold_sigmas != self.threshold.own_threshold_sigmas:
            return {}
        best, prefix = self.training.record.best_epoch, "val" if split == "validation" else split
        return {name: best[f"{prefix}_{name}"] for name in EVENT_FIGURES if f"{prefix}_{name}" in best}

    def faults(self) -> list[dict[str, Any]]:
        flagged = {split: self.trial.judged[split].clip_scores >= self.trial.threshold for split in SPLITS}
        return missed_fault_rows(flagged, self.trial.scored)

    def calibration_curve(self) -> list[CalibrationPoint]:
        detector = self.trial.detector
        return calibration_curve(
            detector.statistic.config,
            self.trial.scored,
            score=detector.scoring.score,
            frame_ms=detector.statistic.frame_ms,
        )
