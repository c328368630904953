"""The result of the search of post-processing: its part of result.json, and the detector of the best point.

The point is chosen on validation by the winner's rule: its own post-processing stays, unless another point is ahead by
more than one standard error. Its test figures are computed after that and are not used for choosing. The search
does not change the study's winner.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from core.decision.checkpoint import DETECTOR_FILE, save_detector
from core.whole_file import write_text
from hpo.results.importance import importance_obstacle, importance_words
from hpo.results.judged_trial import JudgedTrial, judge_scores
from hpo.results.post_study import PostSearch, detector_at, search_study
from hpo.results.result import without_nan
from hpo.results.split_figures import split_figures
from hpo.results.stored_points import store_points
from hpo.search.parameters import describe_range
from hpo.search.study import OpenStudy, companion_name
from hpo.search.trial_record import TrialRecord

POST_DIRECTORY = "post"


@dataclass(frozen=True, kw_only=True)
class PostResult:
    """What the result, the report and the MLflow run need."""

    summary: Mapping[str, Any]
    """`post` of result.json."""
    found: PostSearch
    study: optuna.Study
    """In memory, with every point as a trial."""
    checkpoint: Path


def post_result(search: OpenStudy, records: Sequence[TrialRecord]) -> PostResult | None:
    """Searches post-processing over these trials; writes the companion study and `post/`. None where that is off."""
    done = search_study(search, records)
    if done is None:
        return None
    found, trials = done
    num_stored = store_points(search, found)
    best, study = found.best, found.study()
    detector = detector_at(best, trials[best.trial])
    folder = search.directory / POST_DIRECTORY
    folder.mkdir(exist_ok=True)
    save_detector(folder / DETECTOR_FILE, detector)
    summary = {
        "study": companion_name(search.study.study_name) if num_stored else None,
        "num_stored": num_stored,
        **post_summary(found, judge_scores(detector, trials[best.trial].scored)),
        "importance": None if importance_obstacle(study) else importance_words(study, noun="point"),
    }
    write_text(folder / "post.json", json.dumps(without_nan(summary), indent=2) + "\n")
    return PostResult(summary=summary, found=found, study=study, checkpoint=folder / DETECTOR_FILE)


def post_summary(found: PostSearch, judged: JudgedTrial) -> dict[str, Any]:
    """`post` of result.json: the points that were tried, and the best one with its metrics."""
    best = found.best
    num_clips = len(judged.scored["validation"].is_anomalous)
    return {
        "trials": list(found.owns),
        "num_points": len(found.points),
        "num_clips": num_clips,
        "seconds": found.seconds,
        "ranges": {name: describe_range(distribution) for name, distribution in found.space.items()},
        "best": {
            "trial": best.trial,
            "parameters": dict(best.parameters),
            "own_parameters": found.own_parameters(best.trial),
            **{split: split_figures(judged, split) for split in ("validation", "test")},
        },
        "choice": _choice_sentence(found),
        "optimism": (
            f"The best of {len(found.points):,} points on {num_clips} validation clips, chosen with their labels. On "
            "other takes its F1 is likely to be lower."
        ),
    }


def _choice_sentence(found: PostSearch) -> str:
    lead, own = found.lead, f"trial {found.points[0].trial}'s own post-processing"
    if lead.is_none:
        return f"No point has a higher objective on validation than {own}."
    if lead.standard_error is None:
        return "It has the highest objective on validation."
    ahead = f"by {lead.difference:.3f} of the objective on validation"
    error = f"one standard error over takes ({lead.standard_error:.3f})"
    if lead.is_within_an_error:
        return f"Kept {own}: the highest point is ahead {ahead}, which is within {error}."
    return (
        f"It is ahead of {own} {ahead}, which is more than {error}. It does not replace the winner: its detector is in "
        f"the folder {POST_DIRECTORY} beside the winner's."
    )
