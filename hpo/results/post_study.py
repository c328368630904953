"""The companion study `<name>-post`: a search of post-processing over the best trials, without any training.

    stored frame scores of the best trials -> points (validation only) -> best point -> its detector -> test figures

The points follow from the trials' files: the same trials give the same points. stored_points.py makes them trials of an
Optuna study, so that the dashboard draws them and their importance.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution

from core.decision.checkpoint import Detector
from core.decision.fitting import fit_statistic
from core.decision.post_search import sweep_thresholds, validation_counts
from core.decision.postprocess import PostprocessingConfig
from core.decision.score_file import ScoredClips
from core.decision.take_counts import TakeCounts, standard_error
from core.model.scoring import ScoringConfig
from hpo.results.judged_trial import JudgedTrial, judge_trial
from hpo.results.winner import Lead
from hpo.search.post_space import SCORE, THRESHOLD, TRIAL, OwnChoice, distance, draw, num_values, post_space, value_at
from hpo.search.study import OpenStudy
from hpo.search.trial_record import TrialRecord

NUM_THRESHOLDS = 8
"""Thresholds for each choice of the other parameters, one in each eighth of the range. They cost almost no time. The
last choice has fewer where the points are no multiple, and each has fewer where the range does not hold so many."""


@dataclass(frozen=True, kw_only=True)
class PostPoint:
    """One choice of trial and post-processing, with its validation metrics."""

    parameters: Mapping[str, Any]
    """With the names of the space."""
    trial: int
    value: float
    """Of the study's objective."""
    auc: float
    """The same for every threshold."""


@dataclass(frozen=True, kw_only=True)
class PostSearch:
    """All points, and the best one. The first point is the own choice of the first trial, which is the winner."""

    space: Mapping[str, BaseDistribution]
    owns: Mapping[int, OwnChoice]
    """The trials' own choices by number, the winner first."""
    points: Sequence[PostPoint]
    seconds: float
    """Time for all points."""
    standard_error: float | None = None
    """Of the highest objective minus the first point's, over validation takes."""

    @property
    def best(self) -> PostPoint:
        """The winner's own choice within one standard error of the highest objective on validation, else the highest:
        the rule that chooses the winner."""
        return self.points[0] if self.lead.is_within_an_error else self.highest

    @property
    def highest(self) -> PostPoint:
        """AUC breaks ties, then the distance to the trial's own choice."""
        return min(self.points, key=self._rank)

    @property
    def lead(self) -> Lead:
        """Of the highest point over the winner's own choice."""
        highest = self.highest
        difference = highest.value - self.points[0].value
        return Lead(best=highest.trial, difference=difference, standard_error=self.standard_error)

    def own_parameters(self, number: int) -> dict[str, Any]:
        return self.owns[number].parameters(list(self.space))

    def _rank(self, point: PostPoint) -> tuple[float, float, float]:
        auc = -math.inf if math.isnan(point.auc) else point.auc
        return -point.value, -auc, distance(self.space, point.parameters, self.own_parameters(point.trial))

    def study(self) -> optuna.Study:
        """The points as complete trials of a study in memory."""
        study = optuna.create_study(direction="maximize")
        study.add_trials([self.frozen(point) for point in self.points])
        return study

    def frozen(self, point: PostPoint) -> optuna.trial.FrozenTrial:
        return optuna.trial.create_trial(
            params=dict(point.parameters), distributions=dict(self.space), value=point.value
        )


def search_study(search: OpenStudy, records: Sequence[TrialRecord]) -> tuple[PostSearch, dict[int, JudgedTrial]] | None:
    """Searches over these trials, the winner first. None without trials or where it is off."""
    if not search.spec.post.points or not records:
        return None
    trials = {record.number: judge_trial(search.trial_directory(record.number)) for record in records}
    found = search_post(
        trials,
        search.space.distributions,
        num_points=search.spec.post.points,
        seed=search.spec.seed,
        objective=search.spec.objective,
    )
    return found, trials


def search_post(
    trials: Mapping[int, JudgedTrial],
    searched: Mapping[str, BaseDistribution],
    *,
    num_points: int,
    seed: int,
    objective: str,
) -> PostSearch:
    """`num_points` points over these trials, their own choices first. Reads calibration and validation clips only."""
    started = time.monotonic()
    owns = {number: own_choice(trial) for number, trial in trials.items()}
    space = post_space(searched, owns)
    points: list[PostPoint] = []
    for number, own in list(owns.items())[:num_points]:
        chosen = own.parameters(list(space)) | ({TRIAL: number} if TRIAL in space else {})
        points += _tried(trials[number], chosen, own, number, [own.config.threshold_sigmas], objective)
    for chosen, thresholds in _drawn(space, num_points - len(points), seed=seed):
        number = chosen.get(TRIAL, next(iter(owns)))
        points += _tried(trials[number], chosen, owns[number], number, thresholds, objective)
    found = PostSearch(space=space, owns=owns, points=points, seconds=time.monotonic() - started)
    sides = [[_counts_at(point, trials[point.trial], objective)] for point in (found.highest, points[0])]
    return replace(found, standard_error=standard_error(*sides, num_seeds=1))


def _drawn(
    space: Mapping[str, BaseDistribution], num_points: int, *, seed: int
) -> Iterator[tuple[dict[str, Any], list[float]]]:
    """Choices of all but the threshold, with the thresholds that each is tried at: `num_points` in all."""
    thresholds, random = space[THRESHOLD], np.random.default_rng([seed, 1])
    most = int(min(NUM_THRESHOLDS, num_values(thresholds)))
    rest = {name: distribution for name, distribution in space.items() if name != THRESHOLD}
    for index, chosen in enumerate(draw(rest, math.ceil(num_points / most), seed=seed)):
        count = min(most, num_points - index * most)
        # One offset for all where the range has steps, so that no two thresholds are equal.
        offsets = random.random(count if math.isinf(num_values(thresholds)) else 1)
        yield chosen, [value_at(thresholds, float(place)) for place in (np.arange(count) + offsets) / count]


def own_choice(trial: JudgedTrial) -> OwnChoice:
    statistic, scores = trial.detector.statistic, trial.scored["validation"].scores.surprise
    return OwnChoice(
        score=trial.detector.scoring.score,
        config=statistic.config,
        num_channels=scores.shape[1],
        num_machines=len(statistic.machines),
        clip_ms=scores.shape[2] * statistic.frame_ms,
    )


def _tried(
    trial: JudgedTrial,
    chosen: Mapping[str, Any],
    own: OwnChoice,
    number: int,
    thresholds: Sequence[float],
    objective: str,
) -> list[PostPoint]:
    """Applies post-processing once and returns a point for each threshold."""
    sweep = sweep_thresholds(
        changed_config(own.config, chosen),
        np.array(thresholds, float),
        trial.scored,
        score=chosen[SCORE],
        frame_ms=trial.detector.statistic.frame_ms,
        objective=objective,
    )
    return [
        PostPoint(parameters={**chosen, THRESHOLD: threshold}, trial=number, value=float(value), auc=sweep.auc)
        for threshold, value in zip(thresholds, sweep.values, strict=True)
    ]


def _counts_at(point: PostPoint, trial: JudgedTrial, objective: str) -> TakeCounts:
    return validation_counts(
        changed_config(trial.detector.statistic.config, point.parameters),
        trial.scored,
        score=point.parameters[SCORE],
        frame_ms=trial.detector.statistic.frame_ms,
        objective=objective,
    )


def changed_config(own: PostprocessingConfig, chosen: Mapping[str, Any]) -> PostprocessingConfig:
    """The trial's own post-processing with the parameters of a point."""
    return replace(own, **{name: value for name, value in chosen.items() if name not in (TRIAL, SCORE)})


def detector_at(point: PostPoint, trial: JudgedTrial) -> Detector:
    """The trial's weights with the point's score and post-processing."""
    config = changed_config(trial.detector.statistic.config, point.parameters)
    return recalibrated(trial.detector, trial.scored["calibration"], score=point.parameters[SCORE], config=config)


def recalibrated(detector: Detector, calibration: ScoredClips, *, score: str, config: PostprocessingConfig) -> Detector:
    """The same weights with another score and post-processing. Mu and sigma are measured again."""
    scores, frame_ms = calibration.scores.of(score), detector.statistic.frame_ms
    statistic = fit_statistic(config, scores, calibration.machines, calibration.recording_ids, frame_ms=frame_ms)
    scoring = ScoringConfig(**asdict(detector.scoring) | {SCORE: score})
    return replace(detector, scoring=scoring, statistic=statistic)
