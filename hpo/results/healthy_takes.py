"""Healthy sound that neither trained a winner nor chose it, from which its threshold can be promised.

    calibration takes   each is judged by mu and sigma of the others. Not where they are parts of training takes
    validation takes    those without which the same training would have been chosen. Where parts of a take stand in for
                        takes, they count as the one take that they are of

So the same rule chooses again without each validation take in turn (cross-fitting that leaves one take out). A take
that changed the choice favoured the winner, so its scores are left out. The epoch of each training was chosen with all
takes, and trials that are far from winning keep the figures that they have recorded.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.parts import id_of_whole
from core.decision.fitting import fit_statistic
from core.decision.healthy_scores import HealthyScores
from core.decision.metrics import F1_BY_NAME, BoolArray, FloatArray, auc
from core.decision.take_counts import TakeCounts
from hpo.results.judged_trial import JudgedTrial, judge_trial
from hpo.results.winner import (
    Finalist,
    SeedTraining,
    choose_best,
    choose_finalist,
    choose_winner,
    has_score,
    is_default,
)
from hpo.search.study import OpenStudy
from hpo.search.trial_record import TrialRecord, trial_records

MAX_PARTS = 20
"""Of the calibration takes, when each part is judged by the others: a fit takes up to half a second."""
NUM_NEXT = 2
"""Trials behind the finalists that could take the place of one."""


def healthy_scores(trial: JudgedTrial, *, chose: Collection[str], are_calibration_takes_whole: bool) -> HealthyScores:
    """Scores of the calibration takes and of the validation takes that are not among those that `chose`."""
    takes: dict[str, list[float]] = defaultdict(list)
    if are_calibration_takes_whole:
        takes.update(_cross_fitted_calibration(trial))
    clips, scores = trial.scored["validation"], trial.judged["validation"].clip_scores
    for take, is_anomalous, score in zip(clips.recording_ids, clips.is_anomalous, scores, strict=True):
        if not is_anomalous and take not in chose:
            takes[take].append(float(score))
    if "parts" in trial.detector.stand_ins:
        takes = _of_wholes(takes)
    return HealthyScores.of(takes, seconds_a_clip=seconds_a_clip(trial))


def _of_wholes(parts: Mapping[str, list[float]]) -> dict[str, list[float]]:
    wholes: dict[str, list[float]] = defaultdict(list)
    for part, scores in parts.items():
        wholes[id_of_whole(part)] += scores
    return wholes


def seconds_a_clip(trial: JudgedTrial) -> float:
    """The scored part of a clip, which is how far the clips of a long recording are apart."""
    rate_hz = trial.detector.front_end.config.sample_rate_hz
    num_frames = trial.judged["validation"].thresholds.shape[1]
    return float(num_frames * trial.detector.scoring.frame_samples(rate_hz) / rate_hz)


def _cross_fitted_calibration(trial: JudgedTrial) -> dict[str, list[float]]:
    """Each calibration take is judged without its own part in mu and sigma, in MAX_PARTS fits at the most. A machine's
    only take is left out."""
    clips, statistic = trial.scored["calibration"], trial.detector.statistic
    scores, machines = clips.scores.of(trial.detector.scoring.score), np.array(clips.machines)
    takes, parts = np.array(clips.recording_ids), np.array(_parts(clips.machines, clips.recording_ids))
    found: dict[str, list[float]] = defaultdict(list)
    for part in range(parts.max() + 1):
        others = parts != part
        own = ~others & np.isin(machines, machines[others])
        if not own.any():
            continue
        fitted = fit_statistic(
            statistic.config,
            scores[others],
            machines[others].tolist(),
            takes[others].tolist(),
            frame_ms=statistic.frame_ms,
        )
        judged = fitted.judge(scores[own], machines[own].tolist()).clip_scores
        for take, score in zip(takes[own], judged, strict=True):
            found[str(take)].append(float(score))
    return found


def _parts(machines: Sequence[str], takes: Sequence[str]) -> list[int]:
    """The part of each clip: a take is in one, and the takes of a machine are dealt to all in turn."""
    of_machines: dict[str, dict[str, int]] = defaultdict(dict)
    for machine, take in zip(machines, takes, strict=True):
        of_machines[machine].setdefault(take, len(of_machines[machine]) % MAX_PARTS)
    return [of_machines[machine][take] for machine, take in zip(machines, takes, strict=True)]


@dataclass(frozen=True, kw_only=True)
class _Validation:
    """A training's scores of the validation clips."""

    clip_scores: FloatArray
    threshold: float
    is_anomalous: BoolArray
    takes: npt.NDArray[np.str_]
    objective: str
    """A name of F1_BY_NAME."""

    def record_without(self, record: TrialRecord, rows: BoolArray) -> TrialRecord:
        """The record with the figures that it would have on the clips in `rows`."""
        scores, is_anomalous = self.clip_scores[rows], self.is_anomalous[rows]
        objective = F1_BY_NAME[self.objective](scores, is_anomalous, self.threshold)
        counts = record.take_counts and TakeCounts.of(
            scores, is_anomalous, self.takes[rows].tolist(), threshold=self.threshold, objective=self.objective
        )
        facts = {**record.facts, "val_auc": auc(scores, is_anomalous)}
        return replace(record, objective=objective, facts=facts, take_counts=counts)


def trials_near_winning(search: OpenStudy) -> list[TrialRecord]:
    """The trials whose validation figures are computed again: the best ones, and the default, which could be within
    one standard error of the best. Their files must be here."""
    records = trial_records(search.study)
    near = choose_best(records, search.spec.finalists.count + NUM_NEXT)
    default = [record for record in records if is_default(record.number) and has_score(record)]
    return near + [record for record in default if record not in near]


def takes_that_chose(search: OpenStudy, finalists: Sequence[Finalist], winner: Finalist) -> set[str]:
    """The healthy validation takes without which another training would have been chosen.

    The files of trials near winning and of all trainings of `finalists` must be here.
    """
    own = [
        SeedTraining(seed=1, record=record, directory=search.trial_directory(record.number))
        for record in trial_records(search.study)
    ]
    near = [own[record.number] for record in trials_near_winning(search)]
    trainings = [*near, *(training for finalist in finalists for training in finalist.seeds)]
    known = {
        each.directory: _validation_of(each.directory, search.spec.objective)
        for each in trainings
        if has_score(each.record)
    }
    assert winner.best is not None
    clips = judge_trial(winner.best.directory).scored["validation"]
    takes = np.array(clips.recording_ids)
    num_finalists = search.spec.finalists.count
    return {
        str(take)
        for take in np.unique(takes[~clips.is_anomalous])
        if not _wins_without(takes != take, winner, own, finalists, known, num_finalists=num_finalists)
    }


def _validation_of(directory: Path, objective: str) -> _Validation:
    trial = judge_trial(directory)
    return _Validation(
        clip_scores=trial.judged["validation"].clip_scores,
        threshold=trial.threshold,
        is_anomalous=trial.scored["validation"].is_anomalous,
        takes=np.array(trial.scored["validation"].recording_ids),
        objective=objective,
    )


def _wins_without(
    rows: BoolArray,
    winner: Finalist,
    own: Sequence[SeedTraining],
    finalists: Sequence[Finalist],
    known: Mapping[Path, _Validation],
    *,
    num_finalists: int,
) -> bool:
    """Whether the same training is chosen on the validation clips in `rows`."""

    def changed(training: SeedTraining) -> SeedTraining:
        if training.directory not in known:
            return training
        record = known[training.directory].record_without(training.record, rows)
        return replace(training, record=record)

    records = [changed(training).record for training in own]
    if not finalists:
        best = choose_winner(records)
        return best is not None and best.number == winner.number
    if winner.number not in {record.number for record in choose_best(records, num_finalists)}:
        return False
    again = choose_finalist(replace(each, seeds=tuple(map(changed, each.seeds))) for each in finalists)
    assert again is not None, "the same trainings are complete"
    seeds = [finalist.best.seed for finalist in (again, winner) if finalist.best]
    return again.number == winner.number and len(set(seeds)) == 1
