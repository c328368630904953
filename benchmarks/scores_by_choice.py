"""Scores of a dataset's clips by every choice that a detector has, for benchmarks/judged_elsewhere.py.

WaveNet has the statistics that its rule may hear and, apart, its mean surprise; the same rule on bands alone needs no
network; and the alternatives have every variant and post-processing.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from core.baselines import families
from core.baselines.candidates import of_innovations
from core.baselines.choice import ScoredDataset, judge_split
from core.baselines.comparison import fit_and_score
from core.data.dataset import Dataset
from core.decision.innovations_statistic import SOUND
from core.decision.metrics import FloatArray
from core.decision.normal_sound import HEALTHY_DEVIATIONS, NormalSound, fit_normal_sound, fit_vectors
from core.decision.postprocess import STATISTICS, PostprocessingConfig
from core.model.scored_training import scored_epochs
from core.thread_pool import ThreadPool
from hpo.search.study_spec import StudySpec

WAVENET, BANDS = "WaveNet", "bands, the same rule"
SURPRISE = "mean surprise"
"""Of the same networks, by the same rule as the alternatives."""
BAND_CHOICES = {"with level": (*SOUND, "level"), "relative": SOUND}
"""The groups of statistics that need no network."""
POST_CHOICES = tuple(
    PostprocessingConfig(window_ms=window_ms, two_sided=two_sided, sigma="pooled")
    for window_ms in (2000.0, 500.0, 100.0)
    for two_sided in (False, True)
)
"""Of the alternatives."""
USUAL_ERROR_DEVIATION = 0.2
"""Of the log of an alternative's error between healthy takes, as HEALTHY_DEVIATIONS are of WaveNet's statistics."""
STEPS_AND_RATES = ((1000, 1e-3),)

SplitScores = dict[str, FloatArray]
"""(N,) clip scores in sigmas by split."""
Scores = Mapping[str, Mapping[str, SplitScores]]
"""By detector and choice."""


def wavenet_scores(dataset: Dataset, spec: StudySpec, *, seed: int, pool: ThreadPool) -> Scores:
    """Of WaveNet, of its mean surprise alone, and of the same rule on the statistics that need no network."""
    config = spec.default_experiment
    context = config.wavenet(dataset.num_channels).receptive_field_samples
    setup = config.training_setup(dataset.num_channels, context)
    with tempfile.TemporaryDirectory() as folder:
        *_, last = scored_epochs(setup, dataset, Path(folder), seed=seed, device=torch.device("cpu"), pool=pool)
    kinds = ("innovations", "surprise")
    by_kind = {kind: {name: scores.of(kind) for name, scores in last.scores.items()} for kind in kinds}
    scored = _scored(by_kind, config.scoring.frame_ms)
    return {
        WAVENET: {each: _clip_scores(scored, dataset, of_innovations(each), kind=kinds[0]) for each in STATISTICS},
        SURPRISE: {_in_words(post): _clip_scores(scored, dataset, post, kind=kinds[1]) for post in POST_CHOICES},
        BANDS: {name: band_scores(by_kind[kinds[0]], dataset, name, scored.frame_ms) for name in BAND_CHOICES},
    }


def _in_words(post: PostprocessingConfig) -> str:
    return f"{post.window_ms:g} ms, {'two-sided' if post.two_sided else 'one-sided'}"


def _scored(scores: Mapping[str, Mapping[str, np.ndarray]], frame_ms: float) -> ScoredDataset:
    return ScoredDataset(
        name=WAVENET,
        setup="",
        scores=scores,
        frame_ms=frame_ms,
        first_s=0.0,
        num_weights=0,
        seconds_to_train=0.0,
        seconds_to_score=0.0,
    )


def _clip_scores(scored: ScoredDataset, dataset: Dataset, post: PostprocessingConfig, *, kind: str) -> SplitScores:
    judged = dataset.judged()
    return {split: judge_split(scored, judged, kind, post, split).clip_scores for split in ("validation", "test")}


def band_scores(frames: Mapping[str, np.ndarray], dataset: Dataset, choice: str, frame_ms: float) -> SplitScores:
    """Of innovations (N, C, F, K) by split, by one of BAND_CHOICES."""
    healthy = dataset.calibration
    normal = fit_normal_sound(
        frames["calibration"],
        healthy.machines,
        healthy.recording_ids,
        groups=BAND_CHOICES[choice],
        frame_ms=frame_ms,
    )
    return _scores_by(normal, {split: normal.vectors(each) for split, each in frames.items()}, dataset)


def _error_vectors(frames: np.ndarray) -> dict[str, FloatArray]:
    """(N, C, F) errors of an alternative to the log of their mean over time and of their deviation, (N, C, 2)."""
    moments = [frames.mean(axis=-1, dtype=np.float64), frames.std(axis=-1, dtype=np.float64)]
    return {"error": np.log(np.stack(moments, axis=-1) + 1e-6)}


def _error_scores(vectors: Mapping[str, Mapping[str, FloatArray]], dataset: Dataset) -> SplitScores:
    """By the rule for WaveNet's innovations."""
    healthy, usual = dataset.calibration, HEALTHY_DEVIATIONS | {"error": USUAL_ERROR_DEVIATION}
    left_out = fit_vectors(vectors["calibration"], healthy.machines, healthy.recording_ids, usual=usual)
    return _scores_by(left_out.normal, vectors, dataset)


def _scores_by(normal: NormalSound, vectors: Mapping[str, Mapping[str, FloatArray]], dataset: Dataset) -> SplitScores:
    """Of clips' (N, C, statistics) by split and group."""
    found = {}
    for split in ("validation", "test"):
        machines = np.array(dataset.judged()[split].machines)
        found[split] = np.empty(len(machines))
        for machine in set(machines):
            own = machines == machine
            deviations = normal.deviations({name: each[own] for name, each in vectors[split].items()}, machine)
            found[split][own] = normal.scores(deviations)
    return found


def alternatives_scores(dataset: Dataset, *, seed: int) -> Scores:
    """Every variant of every alternative, on takes as they were recorded and at the other speeds."""
    found: dict[str, dict[str, dict[str, FloatArray]]] = {}
    for each in dict.fromkeys([dataset.config.speed_perturbation, None]):
        data = dataset if each else dataset.as_recorded
        for name, variants in families(STEPS_AND_RATES).items():
            for alternative in variants:
                scored = fit_and_score(alternative, data, seed=seed)
                for post in POST_CHOICES:
                    choice = f"{scored.setup}, {_in_words(post)}".replace("several speeds", "speeds")
                    found.setdefault(name, {})[choice] = _clip_scores(scored, data, post, kind="its own")
                if name.startswith("log-mel"):
                    errors = {split: _error_vectors(each) for split, each in scored.scores["its own"].items()}
                    same_rule = f"{scored.setup}, the same rule".replace("several speeds", "speeds")
                    found[name][same_rule] = _error_scores(errors, data)
    return found
