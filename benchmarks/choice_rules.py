"""Rules that choose the winner of a replayed study and its post-processing: the product's, and others that were tried.

All of them read validation alone. A trial is within one standard error where the highest objective is ahead of its own
by at most the standard error of the difference over validation takes. A replayed car has one clip a take.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.replayed_studies import THRESHOLDS, Car, ReplayedTrial, highest
from core.decision.take_counts import TakeCounts, standard_error
from hpo.results.winner import Lead, choose_winner
from hpo.search.trial_record import TrialRecord

WINDOWS_MS = np.geomspace(250, 2000, 20)
"""Of points of post-processing, with THRESHOLDS."""
WITHOUT_TRAINING = ("window_ms", "threshold_sigmas")


def counts_of(trial: ReplayedTrial) -> TakeCounts:
    judged = trial.judged
    takes = [f"{row:04d}" for row in range(len(judged.validation))]
    return TakeCounts.of(
        judged.validation, judged.is_anomalous, takes, threshold=trial.threshold, objective="expected_f1"
    )


def by_rule(trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    """The product's: the default configuration within one standard error of the highest, else the highest."""
    winner = choose_winner(_record(number, trial) for number, trial in enumerate(trials))
    assert winner is not None, "trial 0 is complete"
    return trials[winner.number]


def _record(number: int, trial: ReplayedTrial) -> TrialRecord:
    return TrialRecord(
        number=number,
        state="complete",
        objective=trial.value,
        parameters={},
        epochs=(),
        facts={"val_auc": trial.judged.auc},
        failure=None,
        seconds=None,
        take_counts=counts_of(trial),
    )


def within_an_error(trials: Sequence[ReplayedTrial]) -> list[ReplayedTrial]:
    best = highest(trials)
    counts = counts_of(best)
    return [trial for trial in trials if _lead(best, trial, counts).is_within_an_error]


def _lead(best: ReplayedTrial, other: ReplayedTrial, counts_of_best: TakeCounts) -> Lead:
    error = standard_error([counts_of_best], [counts_of(other)], num_seeds=1)
    return Lead(best=0, difference=best.value - other.value, standard_error=error)


def default_within(num_errors: float, trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    """Trial 0 where the highest objective is ahead of its own by at most so many standard errors, else the highest."""
    best = highest(trials)
    lead = _lead(best, trials[0], counts_of(best))
    return trials[0] if lead.difference <= num_errors * (lead.standard_error or 0.0) else best


def default_within_errors_of_the_best_by_chance(trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    """As many errors as the highest of so many standard normal numbers is about: sqrt(2 ln n)."""
    return default_within(math.sqrt(2 * math.log(len(trials))), trials)


def first(trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    return within_an_error(trials)[0]


def nearest_to_the_default(trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    return min(within_an_error(trials), key=lambda trial: float(np.square(trial.place - trials[0].place).sum()))


def most_central(trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    """Nearest to all others that are within one standard error."""
    near = within_an_error(trials)
    return min(near, key=lambda trial: sum(float(np.square(trial.place - each.place).sum()) for each in near))


def narrowest(trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    return min(within_an_error(trials), key=lambda trial: (trial.parameters["residual_channels"], -trial.value))


def fewest_false_alarms(trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    """On validation, in expectation."""
    return min(within_an_error(trials), key=lambda trial: sum(counts_of(trial).flagged) - sum(counts_of(trial).hits))


def lower_bound(trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    """The highest objective minus its own standard error."""

    def bound(trial: ReplayedTrial) -> float:
        counts = counts_of(trial)
        constant = replace(counts, hits=(0.0,) * len(counts.hits), flagged=(0.0,) * len(counts.hits))
        error = standard_error([counts], [constant], num_seeds=1)
        assert error is not None
        return trial.value - error

    return max(trials, key=bound)


def highest_crossfitted(trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    """The trial whose network and window have the highest cross-fitted F1, with its cross-fitted threshold."""
    return max(trials, key=lambda trial: trial.judged.crossfitted[0]).crossfitted


def middle_of_family(car: Car, trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    """The highest trial's network, with the median window and threshold of its trials within one standard error."""
    best = highest(trials)
    family = [trial.parameters for trial in within_an_error(trials) if trial.point == best.point]
    window_ms, threshold = (float(np.median([each[name] for each in family])) for name in WITHOUT_TRAINING)
    judged = car.judged(best.point, window_ms)
    assert judged is not None, "its network is trained"
    return replace(best, judged=judged, threshold=threshold)


def best_post(car: Car, winner: ReplayedTrial) -> ReplayedTrial:
    """The point of the winner's post-processing with the highest expected F1."""
    return highest([winner, *_points(car, winner)])


def post_by_rule(car: Car, winner: ReplayedTrial) -> ReplayedTrial:
    """The winner's own post-processing within one standard error of that point, else the point."""
    best = best_post(car, winner)
    return winner if _lead(best, winner, counts_of(best)).is_within_an_error else best


def _points(car: Car, winner: ReplayedTrial) -> Iterator[ReplayedTrial]:
    """The best threshold at each window."""
    for window_ms in WINDOWS_MS:
        judged = car.judged(winner.point, float(window_ms))
        if judged is not None:
            best = int(judged.expected_f1s.argmax())
            value = float(judged.expected_f1s[best])
            yield replace(winner, judged=judged, threshold=float(THRESHOLDS[best]), value=value)
