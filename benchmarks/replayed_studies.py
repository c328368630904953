"""Studies that are replayed on a table of trainings (benchmarks/table_of_trainings.py): they train nothing.

A replayed trial has one of the table's networks, the one nearest to what the sampler proposes, with the window and the
threshold that it proposes. Trial 0 is the default configuration. A rule chooses the winner from validation; fresh takes
measure it and choose nothing.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState

from benchmarks.table_of_trainings import MACHINE, FrameArray, Training, parameters_of
from core.decision.fitting import fit_statistic
from core.decision.innovations_statistic import stretches_in
from core.decision.metrics import auc, expected_f1, expected_flags, f1_score, partial_auc
from core.decision.postprocess import PostprocessingConfig
from core.model.scoring import INNOVATIONS
from hpo.search.history import History, with_histories
from hpo.search.known_trials import known_trials, should_prune
from hpo.search.proposal_in_copy import ProposalInCopy
from hpo.search.samplers import derived_seed, make_sampler
from hpo.search.study_spec import StudySpec
from hpo.search.study_tables import SamplerConfig

FloatArray = npt.NDArray[np.float64]
THRESHOLDS = np.sinh(np.linspace(math.asinh(-3), math.asinh(60), 150))
"""Of a fitted threshold."""
NUM_SPLITS = 10
"""Ways to halve the validation takes."""
NUM_RESAMPLES = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """A training's clip scores at one window, after its best epoch of those whose fresh takes are scored."""

    validation: FloatArray
    is_anomalous: npt.NDArray[np.bool_]
    fresh: FloatArray
    is_fresh_anomalous: npt.NDArray[np.bool_]
    epoch: int = 1

    def without(self, row: int) -> "Judged":
        """Without that validation take."""
        return replace(self, validation=np.delete(self.validation, row), is_anomalous=np.delete(self.is_anomalous, row))

    @cached_property
    def auc(self) -> float:
        return auc(self.validation, self.is_anomalous)

    @cached_property
    def separation(self) -> float:
        """The distance of the classes' means in standard deviations, of scores on the scale of asinh."""
        scores = np.arcsinh(self.validation)
        one, other = scores[self.is_anomalous], scores[~self.is_anomalous]
        return float((one.mean() - other.mean()) / math.sqrt((one.var() + other.var()) / 2 + 1e-9))

    @cached_property
    def expected_f1s(self) -> FloatArray:
        """Expected F1 at each of THRESHOLDS."""
        return np.array([expected_f1(self.validation, self.is_anomalous, float(t)) for t in THRESHOLDS])

    @property
    def fitted_threshold(self) -> float:
        return float(THRESHOLDS[self.expected_f1s.argmax()])

    @cached_property
    def crossfitted(self) -> tuple[float, float]:
        """The expected F1 of each half of the validation takes at the threshold that is best for the other half, and
        the mean of these thresholds: means over NUM_SPLITS ways to halve the takes of each label."""
        flags = np.array([expected_flags(self.validation, float(t)) for t in THRESHOLDS])  # (thresholds, N)
        random, found = np.random.default_rng(0), []
        for _ in range(NUM_SPLITS):
            shuffled = np.lexsort((random.random(len(self.validation)), self.is_anomalous))
            halves = shuffled[::2], shuffled[1::2]
            first, second = (self._f1s(flags[:, rows], rows) for rows in halves)
            found += [(second[first.argmax()], first.argmax()), (first[second.argmax()], second.argmax())]
        f1s, best = zip(*found, strict=True)
        return float(np.mean(f1s)), float(np.sinh(np.arcsinh(THRESHOLDS[list(best)]).mean()))

    def _f1s(self, flags: FloatArray, rows: npt.NDArray[np.intp]) -> FloatArray:
        """(thresholds,) expected F1 of (thresholds, rows) flags."""
        labels = self.is_anomalous[rows]
        f1s: FloatArray = 2 * flags[:, labels].sum(axis=1) / (flags.sum(axis=1) + labels.sum())
        return f1s

    def picked_by_hindsight(self, half: int) -> tuple[float, int]:
        """The highest expected F1 on a half of the fresh takes, and at which of THRESHOLDS. Plain F1 of so few takes
        is highest by luck."""
        rows = self._half(half)
        f1s = [expected_f1(self.fresh[rows], self.is_fresh_anomalous[rows], float(t)) for t in THRESHOLDS]
        return max(f1s), int(np.argmax(f1s))

    def fresh_f1(self, half: int, threshold: float) -> float:
        rows = self._half(half)
        return f1_score(self.fresh[rows] >= threshold, self.is_fresh_anomalous[rows])

    def _half(self, half: int) -> slice:
        return slice(half, None, 2)


def judge(training: Training, config: PostprocessingConfig, frame_ms: float) -> Judged:
    def clip_scores(epoch: int, scores: FrameArray) -> FloatArray:
        return _clip_scores(training, epoch, scores, config, frame_ms)

    validation = {epoch: clip_scores(epoch, training.validation[epoch - 1]) for epoch in training.fresh}
    best = max(validation, key=lambda epoch: (auc(validation[epoch], training.is_anomalous), epoch))
    return Judged(
        validation=validation[best],
        is_anomalous=training.is_anomalous,
        fresh=clip_scores(best, training.fresh[best]),
        is_fresh_anomalous=training.is_fresh_anomalous,
        epoch=best,
    )


def _clip_scores(
    training: Training, epoch: int, scores: FrameArray, config: PostprocessingConfig, frame_ms: float
) -> FloatArray:
    """Of frame scores after that epoch, from 1, by the statistic of its calibration clips."""
    return _scores_by(training.calibration[epoch - 1], scores, config, frame_ms)


def _scores_by(
    calibration: FrameArray, scores: FrameArray, config: PostprocessingConfig, frame_ms: float
) -> FloatArray:
    """Of frame scores, by the statistic of calibration clips, one of each take."""
    takes = [str(row) for row in range(len(calibration))]
    statistic = fit_statistic(config, calibration, [MACHINE] * len(calibration), takes, frame_ms=frame_ms)
    return statistic.judge(scores, [MACHINE] * len(scores)).clip_scores


class Car:
    """All trainings of one car, judged when they are asked for."""

    def __init__(self, spec: StudySpec, trainings: Sequence[Training]) -> None:
        """`trainings` are of one seed. The first is that of the default configuration."""
        self.spec = spec
        self.trainings = {training.place.point: training for training in trainings}
        self.parameters = {point: parameters_of(spec, point) for point in self.trainings}
        self.num_epochs = spec.training.epochs
        self._judged: dict[tuple[int, int], Judged] = {}
        self._aucs: dict[tuple[int, int], list[float]] = {}

    def judged(self, point: int, window_ms: float) -> Judged | None:
        """None where the training failed."""
        training = self.trainings[point]
        if training.failure is not None:
            return None
        key = (point, self._window(point, window_ms))
        if key not in self._judged:
            self._judged[key] = judge(training, self._config(window_ms), self.spec.scoring.frame_ms)
        return self._judged[key]

    def cross_fitted_calibration(self, point: int, window_ms: float, epoch: int) -> FloatArray:
        """The clip score of each calibration take after that epoch, by the statistic of the others."""
        calibration, config = self.trainings[point].calibration[epoch - 1], self._config(window_ms)
        found = [
            _scores_by(np.delete(calibration, row, axis=0), calibration[[row]], config, self.spec.scoring.frame_ms)
            for row in range(len(calibration))
        ]
        return np.concatenate(found)

    def aucs(self, point: int, window_ms: float) -> list[float]:
        """On validation after each epoch, which a pruner sees."""
        training, key = self.trainings[point], (point, self._window(point, window_ms))
        config, frame_ms = self._config(window_ms), self.spec.scoring.frame_ms
        if key not in self._aucs:
            self._aucs[key] = [
                auc(_clip_scores(training, epoch, scores, config, frame_ms), training.is_anomalous)
                for epoch, scores in enumerate(training.validation, start=1)
            ]
        return self._aucs[key]

    def _config(self, window_ms: float) -> PostprocessingConfig:
        return replace(self.spec.postprocessing, window_ms=window_ms)

    def _window(self, point: int, window_ms: float) -> int:
        """The same for windows that judge alike: frames of a moving average, or the stretches of a clip."""
        frame_ms = self.spec.scoring.frame_ms
        if self.spec.scoring.score == INNOVATIONS:
            return stretches_in(self.trainings[point].calibration.shape[3], self._config(window_ms), frame_ms)
        return max(1, round(window_ms / frame_ms))

    def nearest_point(self, proposed: dict[str, float]) -> int:
        distributions = self.spec.search_space.distributions

        def distance(point: int) -> float:
            own = self.parameters[point]
            return sum((_place(distributions[n], own[n]) - _place(distributions[n], proposed[n])) ** 2 for n in own)

        return min(self.parameters, key=distance)


def _place(distribution: optuna.distributions.BaseDistribution, value: float) -> float:
    """Where a value lies in its range, from 0 to 1."""
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high = distribution.low, distribution.high
    return math.log(value / low) / math.log(high / low) if distribution.log else (value - low) / (high - low)


@dataclass(frozen=True, kw_only=True)
class ReplayedTrial:
    """A trial with its threshold."""

    judged: Judged
    threshold: float
    value: float = math.nan
    """The objective."""
    point: int = 0
    """Its network."""
    parameters: Mapping[str, float] = field(default_factory=dict)
    """Those of the network, and the window and the threshold."""
    place: FloatArray = field(default_factory=lambda: np.zeros(0))
    """(parameters,) where each lies in its range, from 0 to 1."""
    ended_s: float = 0.0
    """Seconds of the study up to its end: processor time of the sampler, and what the epochs would take."""

    @property
    def fitted(self) -> "ReplayedTrial":
        """With the threshold that is best for the expected F1."""
        return replace(self, threshold=self.judged.fitted_threshold)

    @property
    def crossfitted(self) -> "ReplayedTrial":
        """With the mean of the thresholds that are best for halves of the validation takes."""
        return replace(self, threshold=self.judged.crossfitted[1])


Objective = Callable[[ReplayedTrial], float]

OBJECTIVES: dict[str, Objective] = {
    "F1": lambda t: f1_score(t.judged.validation >= t.threshold, t.judged.is_anomalous) + 1e-6 * t.judged.auc,
    "expected F1": lambda t: expected_f1(t.judged.validation, t.judged.is_anomalous, t.threshold),
    "F1 of resampled takes": lambda t: _resampled_f1(t),
    "AUC": lambda t: t.judged.auc,
    "partial AUC": lambda t: partial_auc(t.judged.validation, t.judged.is_anomalous),
    "separation": lambda t: t.judged.separation,
    "expected F1 at the best threshold": lambda t: float(t.judged.expected_f1s.max()),
}
"""AUC breaks ties of F1, as in a study. Those after the third do not depend on the trial's own threshold."""


def _resampled_f1(trial: ReplayedTrial) -> float:
    """The mean F1 of NUM_RESAMPLES bootstrap draws of the validation takes, the same in every trial."""
    labels = trial.judged.is_anomalous
    weights = np.random.default_rng(0).multinomial(len(labels), np.full(len(labels), 1 / len(labels)), NUM_RESAMPLES)
    flagged = trial.judged.validation >= trial.threshold
    totals = weights @ flagged + weights @ labels
    return float((2 * (weights @ (flagged & labels)) / np.maximum(totals, 1)).mean())


def replay(
    car: Car,
    objective: Objective,
    *,
    kind: str,
    num_trials: int,
    seed: int,
    pruner: optuna.pruners.BasePruner | None = None,
    epoch_seconds: Mapping[int, float] | None = None,
    max_seconds: float = math.inf,
    first: Sequence[Mapping[str, float]] = (),
    histories: Sequence[History] = (),
    lag: int | None = None,
) -> list[ReplayedTrial]:
    """The complete trials of one study, trial 0 first.

    Without a pruner none is pruned. `epoch_seconds` are those of an epoch by point; the study ends with the trial that
    reaches `max_seconds`. The configurations of `first` come after trial 0, and the sampler sees the histories. Without
    a lag it is the study's.
    """
    lag = car.spec.sampler.lag if lag is None else lag
    space, trials, spent_s = car.spec.search_space, [], 0.0
    study = optuna.create_study(
        study_name=f"replay-{seed}", direction="maximize", pruner=pruner or optuna.pruners.NopPruner()
    )
    for parameters in (space.default_parameters, *first):
        study.enqueue_trial(dict(parameters))
    for number in range(num_trials):
        if spent_s >= max_seconds:
            break
        started = time.process_time()
        sampler = make_sampler(SamplerConfig(kind=kind), seed=derived_seed(seed, number))  # type: ignore[arg-type]
        known = known_trials(study.get_trials(deepcopy=False), number, lag=lag)
        known = with_histories(known, histories, space.distributions)
        study.sampler = ProposalInCopy(sampler, space.distributions, known)
        asked = study.ask(dict(space.distributions))
        spent_s += time.process_time() - started
        point = car.nearest_point(asked.params) if number else 0
        judged = car.judged(point, asked.params["window_ms"])
        num_epochs, is_pruned = (
            _epochs_until_pruned(asked, car, point, lag) if judged and pruner else (car.num_epochs, False)
        )
        spent_s += num_epochs * (epoch_seconds or {}).get(point, 0.0)
        if judged is None or is_pruned:
            assert number, "trial 0 is complete"
            study.tell(asked, state=TrialState.PRUNED if is_pruned else TrialState.FAIL)
            continue
        parameters = {**asked.params, **car.parameters[point]}
        trial = ReplayedTrial(
            judged=judged,
            threshold=parameters["threshold_sigmas"],
            point=point,
            parameters=parameters,
            place=np.array([_place(space.distributions[name], value) for name, value in parameters.items()]),
            ended_s=spent_s,
        )
        trials.append(replace(trial, value=objective(trial)))
        study.tell(asked, trials[-1].value)
    return trials


def _epochs_until_pruned(asked: optuna.Trial, car: Car, point: int, lag: int) -> tuple[int, bool]:
    """How many epochs the trial has, and whether it is pruned after them."""
    aucs = car.aucs(point, asked.params["window_ms"])
    for epoch, value in enumerate(aucs, start=1):
        asked.report(value, epoch)
        if epoch < len(aucs) and should_prune(asked, lag=lag):
            return epoch, True
    return len(aucs), False


def highest(trials: Sequence[ReplayedTrial]) -> ReplayedTrial:
    """The first of those with the highest objective."""
    return max(trials, key=lambda trial: trial.value)
