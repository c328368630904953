"""The result of a study, result.json: metrics of the winner and of the default, overall and per machine.

All metrics are computed from the stored frame scores and detectors, so they are those of the file that is handed over.
Test figures are computed last and are not used for choosing.
"""

import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from core.decision.checkpoint import DETECTOR_FILE, Detector, load_detector
from core.decision.metrics import auc, bootstrap_interval, clip_metrics, f1_score
from core.decision.score_file import ScoredClips, load_scores
from core.decision.statistic import Judgement
from core.experiment import SCORES_FILE
from core.whole_file import whole_file, write_text
from hpo.results.finalists import FinalistsStudy, finalists_of
from hpo.results.generalization import seed_rows, split_gaps
from hpo.results.missed_faults import SPLITS, missed_fault_rows
from hpo.results.winner import Finalist, SeedTraining, choose_finalist, choose_winner
from hpo.search.study import OpenStudy
from hpo.search.trial_record import TrialRecord, trial_records

RESULT_FILE = "result.json"
WINNER_DIRECTORY = "winner"


@dataclass(frozen=True, kw_only=True)
class JudgedTrial:
    """A trial's detector, its stored scores by split, and their judgement by the detector's statistic."""

    detector: Detector
    scored: Mapping[str, ScoredClips]
    judged: Mapping[str, Judgement]

    @property
    def threshold(self) -> float:
        return self.detector.statistic.config.threshold_sigmas


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


def split_figures(trial: JudgedTrial, split: str, machine: str | None = None) -> dict[str, Any]:
    """Metrics of one split, for one machine or all, with 95 % intervals from resampling takes. Empty without clips."""
    clips = trial.scored[split]
    rows = np.array([machine in (None, name) for name in clips.machines])
    scores, anomalous = trial.judged[split].clip_scores[rows], clips.is_anomalous[rows]
    takes = [take for take, chosen in zip(clips.recording_ids, rows, strict=True) if chosen]
    if not takes:
        return {}
    metrics = clip_metrics(scores, anomalous, trial.threshold)

    def f1(resampled: npt.NDArray[np.float64], labels: npt.NDArray[np.bool_]) -> float:
        return f1_score(resampled >= trial.threshold, labels)

    interval = partial(bootstrap_interval, scores=scores, is_anomalous=anomalous, recording_ids=takes)
    return {
        "f1": metrics.f1,
        "f1_interval": interval(f1),
        "precision": metrics.precision,
        "recall": metrics.recall,
        "auc": metrics.auc,
        "auc_interval": interval(auc),
        "pauc": metrics.pauc,
        "prevalence": metrics.prevalence,
        "f1_flag_everything": metrics.f1_flag_everything,
        "num_clips": metrics.num_clips,
        "num_recordings": len(set(takes)),
    }


def trial_figures(number: int, training: SeedTraining, study_directory: Path) -> dict[str, Any]:
    """One trial in result.json: its parameters, the training whose file is shown, and the metrics of that training."""
    record, trial = training.record, judge_trial(training.directory)
    machines = trial.detector.statistic.machines
    return {
        "trial": number,
        "seed": training.seed,
        "checkpoint": (training.directory / DETECTOR_FILE).relative_to(study_directory).as_posix(),
        "parameters": dict(record.parameters),
        "epoch": record.facts["best_epoch"],
        **{name: record.facts[name] for name in ("num_weights", "num_layers", "receptive_field_samples")},
        **{split: split_figures(trial, split) for split in SPLITS},
        "per_machine": {
            machine: {split: split_figures(trial, split, machine) for split in SPLITS} for machine in machines
        },
    }


def study_result(
    search: OpenStudy, *, about: Mapping[str, Any], companion: FinalistsStudy | None = None
) -> dict[str, Any]:
    """result.json as a mapping.

    `about` describes data, device and commit. The companion holds the finalists, whose trainings must have ended.
    """
    records = trial_records(search.study)
    finalists = finalists_of(companion) if companion else []
    winner, default = winner_of(search, companion), _own_training(search, records[0])
    figures = _figures_of_best(winner, search)
    return {
        "study": search.study.study_name,
        "goal": search.spec.goal,
        **about,
        "trials": {state: sum(r.state == state for r in records) for state in ("complete", "pruned", "failed")},
        "detector_found": winner is not None and beats_flagging_everything(winner, figures),
        "winner": figures,
        "default": _figures_of_default(default, search),
        "finalists": seed_rows(finalists, winner),
        "gaps": split_gaps(figures, finalists, records),
        "faults": _faults(winner),
        "seconds": sum(record.seconds or 0.0 for record in records),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def winner_of(search: OpenStudy, companion: FinalistsStudy | None) -> Finalist | None:
    """By the finalists' means; by the search where none of their trainings is complete."""
    has_means = companion is not None and companion.num_failed() < len(companion.plan)
    if companion is not None and has_means and (chosen := choose_finalist(finalists_of(companion))):
        return chosen
    record = choose_winner(trial_records(search.study))
    if record is None:
        return None
    return Finalist(number=record.number, epochs=len(record.epochs), seeds=(_own_training(search, record),))


def _own_training(search: OpenStudy, record: TrialRecord) -> SeedTraining:
    return SeedTraining(seed=1, record=record, directory=search.trial_directory(record.number))


def _figures_of_best(finalist: Finalist | None, search: OpenStudy) -> dict[str, Any] | None:
    if finalist is None or finalist.best is None:
        return None
    return trial_figures(finalist.number, finalist.best, search.directory)


def _figures_of_default(training: SeedTraining, search: OpenStudy) -> dict[str, Any] | None:
    if training.record.state != "complete":
        return None
    return trial_figures(training.record.number, training, search.directory)


def _faults(finalist: Finalist | None) -> list[dict[str, Any]]:
    if finalist is None or finalist.best is None:
        return []
    trial = judge_trial(finalist.best.directory)
    return missed_fault_rows(
        {split: trial.judged[split].clip_scores >= trial.threshold for split in SPLITS}, trial.scored
    )


def beats_flagging_everything(winner: Finalist, figures: Mapping[str, Any] | None) -> bool:
    """Whether the winner is better than flagging every clip, on validation.

    The mean over seeds decides, because the best of several trainings is biased upwards.
    """
    return figures is not None and fmean(winner.values("val_f1")) > figures["validation"]["f1_flag_everything"]


def write_result(search: OpenStudy, result: Mapping[str, Any]) -> Path:
    """Writes result.json, whose path it returns, and copies the winner's detector into the folder `winner`."""
    path = search.directory / RESULT_FILE
    write_text(path, json.dumps(without_nan(result), indent=2) + "\n")
    if result["winner"] is not None:
        folder = search.directory / WINNER_DIRECTORY
        folder.mkdir(exist_ok=True)
        with whole_file(folder / DETECTOR_FILE) as scratch:
            shutil.copyfile(search.directory / result["winner"]["checkpoint"], scratch)
        write_text(folder / "winner.json", json.dumps(without_nan(result["winner"]), indent=2) + "\n")
    return path


def without_nan(value: Any) -> Any:
    """Replaces NaN and infinities by None, because JSON has no such numbers."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
