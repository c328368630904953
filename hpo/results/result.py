"""The result of a study, result.json: metrics of the winner and of the default, overall and per machine.

All metrics are computed from the stored frame scores and detectors, so they are those of the file that is handed over.
Test figures are computed last and are not used for choosing.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from core.decision.checkpoint import DETECTOR_FILE, Detector, load_detector, save_detector
from core.decision.healthy_scores import HealthyScores
from core.whole_file import write_text
from hpo.results.choice_words import choice_of
from hpo.results.evidence import evidence_of
from hpo.results.finalists import FinalistsStudy, finalists_of
from hpo.results.generalization import seed_rows, split_gaps
from hpo.results.judged_trial import judge_trial
from hpo.results.prediction import prediction_of
from hpo.results.promise import promise_of, set_defaults_threshold, set_winners_threshold
from hpo.results.shown_training import ShownTraining
from hpo.results.winner import Finalist, SeedTraining, choose_finalist, choose_winner, is_above
from hpo.search.identity import IDENTITY
from hpo.search.study import OpenStudy, objective_name
from hpo.search.trial_record import TrialRecord, trial_records

RESULT_FILE = "result.json"
WINNER_DIRECTORY = "winner"


def study_result(
    search: OpenStudy, *, about: Mapping[str, Any], companion: FinalistsStudy | None = None
) -> dict[str, Any]:
    """result.json as a mapping.

    `about` describes data, device and commit. The companion holds the finalists, whose trainings must have ended.
    """
    records = trial_records(search.study)
    finalists = finalists_of(companion) if companion else []
    winner, default = winner_of(search, companion), _own_training(search, records[0])
    chosen = _chosen_training(search, finalists, winner)
    figures = chosen.figures(search) if chosen else None
    return {
        "study": search.study.study_name,
        "goal": search.spec.goal,
        "objective": objective_name(search.study),
        **about,
        "settings": search.study.user_attrs.get(IDENTITY, {}),
        "trials": {state: sum(r.state == state for r in records) for state in ("complete", "pruned", "failed")},
        "detector_found": winner is not None and beats_flagging_everything(winner, figures),
        "flagging_everything": winner and winner.value_of_flagging_everything,
        "choice": choice_of(records, finalists, winner, objective=objective_name(search.study)),
        "evidence": evidence_of(figures, chosen.calibration_curve() if chosen else ()),
        "prediction": prediction_of(records, winner.number if winner else None),
        "promise": promise_of(chosen.threshold, figures["test"]) if chosen and figures else None,
        "winner": figures,
        "default": _figures_of_default(default, search),
        "finalists": seed_rows(finalists, winner),
        "gaps": split_gaps(figures, finalists, records),
        "faults": chosen.faults() if chosen else [],
        "seconds": sum(record.seconds or 0.0 for record in records),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def winner_of(search: OpenStudy, companion: FinalistsStudy | None) -> Finalist | None:
    """One rule among the finalists by their means; among the trials where none of the trainings is complete."""
    has_means = companion is not None and companion.num_failed() < len(companion.plan)
    if companion is not None and has_means and (chosen := choose_finalist(finalists_of(companion))):
        return chosen
    record = choose_winner(trial_records(search.study))
    if record is None:
        return None
    return Finalist(number=record.number, epochs=len(record.epochs), seeds=(_own_training(search, record),))


def _own_training(search: OpenStudy, record: TrialRecord) -> SeedTraining:
    return SeedTraining(seed=1, record=record, directory=search.trial_directory(record.number))


def _chosen_training(search: OpenStudy, finalists: Sequence[Finalist], winner: Finalist | None) -> ShownTraining | None:
    if winner is None or winner.best is None:
        return None
    trial = judge_trial(winner.best.directory)
    chose_by = finalists if winner in finalists else ()  # else the search decided alone
    threshold = set_winners_threshold(trial, search, chose_by, winner)
    return ShownTraining.of(winner.number, winner.best, trial, threshold)


def _figures_of_default(training: SeedTraining, search: OpenStudy) -> dict[str, Any] | None:
    if training.record.state != "complete":
        return None
    trial = judge_trial(training.directory)
    threshold = set_defaults_threshold(trial, search)
    return ShownTraining.of(training.record.number, training, trial, threshold).figures(search)


def beats_flagging_everything(winner: Finalist, figures: Mapping[str, Any] | None) -> bool:
    """Whether the winner is better than flagging every clip, by the objective on validation; by F1 for trials of an
    earlier version.

    The mean over seeds decides, because the best of several trainings is biased upwards.
    """
    everything = winner.value_of_flagging_everything
    if everything is not None:
        return is_above(fmean(winner.objectives), everything)
    return figures is not None and fmean(winner.values("val_f1")) > figures["validation"]["f1_flag_everything"]


def write_result(search: OpenStudy, result: Mapping[str, Any]) -> Path:
    """Writes the winner's detector into the folder `winner`, and then result.json, whose path it returns."""
    if result["winner"] is not None:
        folder = search.directory / WINNER_DIRECTORY
        folder.mkdir(exist_ok=True)
        save_detector(folder / DETECTOR_FILE, _handed_over(search, result["winner"]))
        write_text(folder / "winner.json", json.dumps(without_nan(result["winner"]), indent=2) + "\n")
    path = search.directory / RESULT_FILE
    write_text(path, json.dumps(without_nan(result), indent=2) + "\n")
    return path


def _handed_over(search: OpenStudy, winner: Mapping[str, Any]) -> Detector:
    """The winning training's detector with the threshold that was set, and the healthy scores for another one."""
    detector = load_detector(search.directory / winner["checkpoint"])
    takes = tuple(tuple(scores) for scores in winner["healthy"]["takes"])
    healthy = HealthyScores(takes=takes, seconds_a_clip=winner["healthy"]["seconds_a_clip"])
    return replace(detector.with_threshold(winner["threshold_sigmas"]), healthy=healthy)


def without_nan(value: Any) -> Any:
    """Replaces NaN and infinities by None, because JSON has no such numbers."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
