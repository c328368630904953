"""The threshold that the options of `core.detect` ask for, in place of the detector's own."""

from core.decision.checkpoint import Detector
from core.decision.false_alarms import PromisedThreshold, ThresholdConfig, promised_threshold
from core.errors import UserError


def with_asked_threshold(
    trained: Detector, threshold_sigmas: float | None, false_alarms_per_hour: float | None
) -> tuple[Detector, list[str]]:
    """The detector with the threshold of the options, and lines that say so; as it was trained without them.

    UserError where the false alarms per hour cannot be promised or estimated from what the file holds.
    """
    own, sentence = trained.statistic.config.threshold_sigmas, "."
    if false_alarms_per_hour is not None:
        promised = _promised(trained, false_alarms_per_hour)
        threshold_sigmas, sentence = promised.threshold_sigmas, f". {promised.sentence}"
    if threshold_sigmas is None or (threshold_sigmas == own and false_alarms_per_hour is None):
        return trained, []
    line = f"Threshold: {threshold_sigmas:.2f} sigmas, in place of the detector's {own:.2f}{sentence}"
    return trained.with_threshold(threshold_sigmas), [line]


def _promised(trained: Detector, false_alarms_per_hour: float) -> PromisedThreshold:
    if trained.healthy is None:
        raise UserError(
            "--false-alarms-per-hour must come with a winner's file that holds scores of healthy clips, but this one "
            "has none. Run the study's command again, which writes its winner's file, or give --threshold."
        )
    promised = promised_threshold(trained.healthy, ThresholdConfig(false_alarms_per_hour=false_alarms_per_hour))
    if promised is None:
        raise UserError(
            f"--false-alarms-per-hour must have healthy clips to go by, but the detector's file holds only "
            f"{trained.healthy.num_clips}. Give --threshold, or search again with more healthy recordings."
        )
    return promised
