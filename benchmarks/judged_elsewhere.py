"""Machines with the scores of their clips by every choice that a detector has, trained on their own healthy takes.

For benchmarks/elsewhere.py and benchmarks/other_machines.py, which choose on other machines. WaveNet is the default
configuration of studies/any_machine.toml, the same rule on bands alone needs no network, and the alternatives have
every variant.
"""

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.kept_results import version_of_results
from benchmarks.listed_recordings import open_corpus
from benchmarks.scores_by_choice import (
    BANDS,
    SURPRISE,
    WAVENET,
    Scores,
    SplitScores,
    alternatives_scores,
    wavenet_scores,
)
from core.baselines.paired_bootstrap import SplitDecisions, of_machine
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.recordings import Corpus
from core.data.store import Store
from core.decision.metrics import FloatArray
from core.study_files import find_study_file
from core.thread_pool import ThreadPool
from core.whole_file import write_text
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec

FOLDS = 4
WHOLLY = "WaveNet, all chosen"
"""Front end, network and rule, too: every choice of WAVENET and SURPRISE for each of NETWORKS."""
AS_THE_STUDY = "as the study file"
NETWORKS: dict[str, tuple[str, ...]] = {
    AS_THE_STUDY: (),
    "network to 2 kHz": ("front_end.sample_rate_hz=4000",),
    "spectrum to 4 kHz": ("front_end.spectrum_rate_hz=8000",),
    "pre-emphasis 0.9": ("front_end.pre_emphasis=0.9",),
    "32 channels": ("network.residual_channels=32", "network.skip_channels=64"),
    "weight decay 0.2": ("training.weight_decay=0.2",),
}
"""What is changed of the study file, as by --set."""
SIMULATED = {"seconds": 2.0, "num_normal": 64, "num_anomalous": 40, "num_microphones": 4, "severity": 0.8}


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


def scores_of(
    corpus: Corpus,
    task: str,
    fold: int,
    *,
    folder: Path,
    pool: ThreadPool,
    settings: Sequence[str] = (),
    networks: Collection[str] = (AS_THE_STUDY,),
    with_alternatives: bool = True,
) -> list[Judged]:
    """From the folder's files of the task's fold, or computed and kept there. `settings` are changed of the study file
    for every network. WHOLLY is among the detectors where there are several networks, of which AS_THE_STUDY must be
    one."""
    path = find_study_file("any_machine")
    dataset = dataset_of(corpus, fold, load_study_file(path, settings), folder)
    name = f"{task}-{fold + 1}-{len(dataset.test)}-clips"

    def of_network(network: str) -> Scores:
        spec = load_study_file(path, [*settings, *NETWORKS[network]])
        heard = dataset_of(corpus, fold, spec, folder, network_rate_hz=spec.front_end.sample_rate_hz)
        return wavenet_scores(heard, spec, seed=fold + 1, pool=pool)

    by_network = {each: _kept(folder, f"{name}-{each}", partial(of_network, each)) for each in networks}
    scores = _detectors(by_network)
    if with_alternatives:
        scores |= _kept(folder, f"{name}-others", lambda: alternatives_scores(dataset, seed=fold + 1))
    return list(_by_machine(task, scores, dataset))


def _detectors(by_network: Mapping[str, Scores]) -> dict[str, Mapping[str, SplitScores]]:
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
