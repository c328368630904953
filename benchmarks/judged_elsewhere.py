"""Scores of clips by every choice that a detector has, trained on the judged machine's healthy takes.

For benchmarks/elsewhere.py and benchmarks/other_machines.py, which choose on other machines. WaveNet is the default
configuration of a study file, the same rule on bands alone needs no network, and the alternatives have every variant.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.kept_results import version_of_results
from benchmarks.listed_recordings import open_corpus
from core.baselines import families
from core.baselines.choice import ScoredDataset, judge_split, of_innovations
from core.baselines.comparison import fit_and_score
from core.baselines.paired_bootstrap import SplitDecisions, of_machine
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.recordings import Corpus
from core.data.store import Store
from core.decision.innovations_statistic import SOUND
from core.decision.metrics import FloatArray
from core.decision.normal_sound import HEALTHY_DEVIATIONS, NormalSound, fit_normal_sound, fit_vectors
from core.decision.postprocess import STATISTICS, PostprocessingConfig
from core.model.scored_training import scored_epochs
from core.thread_pool import ThreadPool
from core.whole_file import write_text
from hpo.search.study_spec import StudySpec

FOLDS = 4
WAVENET, BANDS = "WaveNet", "bands, the same rule"
SURPRISE = "mean surprise"
"""Of the same networks, by the same rule as the alternatives."""
WHOLLY = "WaveNet, all chosen"
"""Front end, network and rule, too: every choice of WAVENET and SURPRISE for each of NETWORKS."""
AS_THE_STUDY = "as the study file"
NETWORKS: dict[str, dict[str, dict[str, object]]] = {
    AS_THE_STUDY: {},
    "network to 2 kHz": {"front_end": {"sample_rate_hz": 4000}},
    "spectrum to 4 kHz": {"front_end": {"spectrum_rate_hz": None}},
    "pre-emphasis 0.9": {"front_end": {"pre_emphasis": 0.9}},
    "32 channels": {"network": {"residual_channels": 32, "skip_channels": 64}},
    "weight decay 0.2": {"training": {"weight_decay": 0.2}},
}
"""What is changed of the study file, by its table."""
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
SIMULATED = {"seconds": 2.0, "num_normal": 64, "num_anomalous": 40, "num_microphones": 4, "severity": 0.8}

SplitScores = dict[str, FloatArray]
"""(N,) clip scores in sigmas by split."""
Scores = Mapping[str, Mapping[str, SplitScores]]
"""By detector and choice."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """One machine in one fold of its task."""

    task: str
    machine: str
    decisions: Mapping[str, Mapping[str, Mapping[str, SplitDecisions]]]
    """By detector, choice and split; thresholds are not set."""


def corpus_of(task: str, fold: int, options: argparse.Namespace) -> Corpus:
    if task == "simulated":
        return open_corpus("simulated", options={**SIMULATED, "sample_rate_hz": 16_000, "seed": fold + 1})
    return open_corpus(getattr(options, task))


def dataset_of(
    corpus: Corpus, fold: int, spec: StudySpec, folder: Path, *, network_rate_hz: int | None = None
) -> Dataset:
    spec = spec.settled(corpus)
    config = DataConfig(
        sample_rate_hz=spec.front_end.read_rate_hz,
        clips=spec.clips,
        split=replace(spec.split, folds=FOLDS, fold=fold),
        speed_perturbation=spec.speed_perturbation,
        network_rate_hz=network_rate_hz,
    )
    return prepare_dataset(corpus, config, store=Store(folder / "store", max_gb=4))


def with_changes(spec: StudySpec, changes: Mapping[str, Mapping[str, object]]) -> StudySpec:
    """A study file in which keys of some tables are changed."""
    tables = {table: replace(getattr(spec, table), **keys) for table, keys in changes.items()}
    return replace(spec, **tables)


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
        BANDS: {name: _band_scores(by_kind[kinds[0]], dataset, name, scored.frame_ms) for name in BAND_CHOICES},
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


def _band_scores(frames: Mapping[str, np.ndarray], dataset: Dataset, choice: str, frame_ms: float) -> SplitScores:
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


def scores_of(
    corpus: Corpus,
    task: str,
    fold: int,
    spec: StudySpec,
    *,
    folder: Path,
    pool: ThreadPool,
    networks: Collection[str] = (AS_THE_STUDY,),
) -> list[Judged]:
    """From the folder's files of the task's fold, or computed and kept there. WHOLLY is among the detectors where there
    are several networks, of which AS_THE_STUDY must be one."""
    dataset = dataset_of(corpus, fold, spec, folder)
    name = f"{task}-{fold + 1}-{len(dataset.test)}-clips"

    def of_network(network: str) -> Scores:
        changed = with_changes(spec, NETWORKS[network])
        heard = dataset_of(corpus, fold, changed, folder, network_rate_hz=changed.front_end.sample_rate_hz)
        return wavenet_scores(heard, changed, seed=fold + 1, pool=pool)

    by_network = {each: _kept(folder, f"{name}-{each}", partial(of_network, each)) for each in networks}
    others = _kept(folder, f"{name}-others", lambda: alternatives_scores(dataset, seed=fold + 1))
    return list(_by_machine(task, {**_detectors(by_network), **others}, dataset))


def _detectors(by_network: Mapping[str, Scores]) -> Scores:
    """WaveNet as the study file has it, WHOLLY where there are other networks, and the bands."""
    own = by_network[AS_THE_STUDY]
    every_choice = {
        f"{network}, {SURPRISE}, {choice}" if detector == SURPRISE else f"{network}, {choice}": scores
        for network, found in by_network.items()
        for detector in (WAVENET, SURPRISE)
        for choice, scores in found[detector].items()
    }
    wholly = {WHOLLY: every_choice} if len(by_network) > 1 else {}
    return {WAVENET: own[WAVENET], **wholly, BANDS: own[BANDS]}


def _kept(folder: Path, name: str, compute: Callable[[], Scores]) -> Scores:
    file = folder / f"{name}-{version_of_results()}.json".replace(" ", "-")
    if not file.exists():
        rounded = json.dumps(compute(), default=lambda array: [round(float(score), 5) for score in array])
        write_text(file, rounded)
        print(file.stem, file=sys.stderr, flush=True)
    found: Scores = json.loads(file.read_text())
    return found


def _by_machine(task: str, scores: Scores, dataset: Dataset) -> Iterator[Judged]:
    for machine in sorted(set(dataset.test.machines)):
        yield Judged(
            task=task,
            machine=machine,
            decisions={
                detector: {
                    choice: {split: _decisions(split, values, dataset, machine) for split, values in splits.items()}
                    for choice, splits in choices.items()
                }
                for detector, choices in scores.items()
            },
        )


def _decisions(split: str, scores: FloatArray, dataset: Dataset, machine: str) -> SplitDecisions:
    clips = dataset.judged()[split]
    everything = SplitDecisions(
        scores=np.array(scores),
        threshold=0.0,
        is_anomalous=clips.is_anomalous,
        recording_ids=clips.recording_ids,
        machines=clips.machines,
    )
    return of_machine(everything, machine)
