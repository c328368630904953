"""What a study works on: study file, data, split, device. Everything is checked here and nothing is written but decoded
audio in the store.

options -> study file with --set -> source -> recordings -> ListedInputs -> datasets -> StudyInputs
"""

import math
import os
from argparse import Namespace
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from core.assignments import split_assignment
from core.data.dataset import Dataset
from core.data.recordings import Corpus, StreamedCorpus
from core.data.stand_ins import SENTENCES
from core.data.store import Store
from core.errors import UserError
from core.sources import choose_source, open_source
from core.thread_pool import ThreadPool
from hpo.results.trial_files import TrialFiles
from hpo.search.data_by_rate import Datasets, open_datasets
from hpo.search.search_space import SearchSpace
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec
from hpo.session.study_names import check_name, fold_name
from hpo.terminal.console import Console

MAX_THREADS = 4
"""A batch of the usual size does not divide well among more; more cores are for more workers."""
SIMULATED = "simulated"


@dataclass(frozen=True, kw_only=True)
class ListedInputs:
    """What a study works on, as far as it is known before a recording is decoded."""

    spec: StudySpec
    corpus: Corpus | StreamedCorpus
    name: str
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class StudyInputs:
    """What a study works on, checked."""

    spec: StudySpec
    space: SearchSpace
    corpus: Corpus | StreamedCorpus
    datasets: Datasets
    device: torch.device
    pool: ThreadPool
    num_workers: int
    """Processes that work on the study at once, this one included."""
    name: str
    total: int
    """The study's total number of trials."""

    @property
    def dataset(self) -> Dataset:
        """The default configuration's."""
        return self.datasets.default

    @property
    def data_words(self) -> str:
        """The corpus, and what stands in for recordings that it lacks."""
        return ". ".join([self.corpus.description, *(SENTENCES[name] for name in self.dataset.stand_ins())])

    @property
    def trial_files(self) -> TrialFiles:
        return TrialFiles(datasets=self.datasets, device=self.device, pool=self.pool)

    @property
    def num_finalist_trainings(self) -> int:
        """Trainings of finalists after the trials, at most; 0 where they are turned off."""
        config = self.spec.finalists
        return min(config.count, self.total) * len(config.seeds(self.spec.training.epochs))


def list_inputs(options: Namespace, root: Path, console: Console) -> ListedInputs:
    """All that is known before a recording is decoded."""
    device = _device(options.device)
    file_spec = _spec(options)
    spec = replace(file_spec, data=choose_source(file_spec.data, options.data, root))
    corpus = open_corpus(spec, options, console)
    asked_hz, spec = spec.front_end.spectrum_rate_hz, spec.settled(corpus)
    if spec.front_end.spectrum_rate_hz != asked_hz:
        console.say(f"front_end.spectrum_rate_hz {asked_hz} is left out, because a recording has a lower rate.")
    if spec.data["source"] != SIMULATED and file_spec.data.get("source") == SIMULATED:
        spec = replace(spec, goal=goal_for(corpus))  # the file's goal names simulated data
    name = f"{options.study.stem}-{corpus.name}" if options.name is None else options.name
    if options.folds:
        name = fold_name(name, options.fold or 1)
    check_name(name, runs=root / "runs")
    return ListedInputs(spec=spec, corpus=corpus, name=name, device=device)


def open_corpus(spec: StudySpec, options: Namespace, console: Console) -> Corpus | StreamedCorpus:
    """The recordings of the study file's [data]."""
    with console.step("Listing the recordings", is_said=False), console.stopping_after("this file"):
        return open_source(
            spec.data["source"],
            options={key: value for key, value in spec.data.items() if key != "source"},
            skip_bad_files=options.skip_bad_files,
            store=_store(options),
        )


def decode_inputs(listed: ListedInputs, options: Namespace, console: Console) -> StudyInputs:
    """Decodes what the default configuration needs."""
    spec, corpus, store = listed.spec, listed.corpus, _store(options)
    num_workers = _num_workers(spec, options)
    # Filling the store has its own bar (hpo/search/preparation.py).
    is_stored = store is not None and not store.is_read_only
    step = nullcontext() if is_stored else console.step("Decoding the recordings, which are not stored")
    with step, console.stopping_after("the recordings that are being decoded"):
        datasets = open_datasets(corpus, spec, skip_bad_files=options.skip_bad_files, store=store)
    space = spec.search_space
    space.check_box(spec.limits.max_layers, spec.limits.max_weights, num_channels=datasets.num_channels)
    return StudyInputs(
        spec=spec,
        space=space,
        corpus=corpus,
        datasets=datasets,
        device=listed.device,
        pool=ThreadPool(options.threads or min(max(1, num_cores() // num_workers), MAX_THREADS)),
        num_workers=num_workers,
        name=listed.name,
        total=spec.trials if options.trials is None else options.trials,
    )


def _num_workers(spec: StudySpec, options: Namespace) -> int:
    """UserError where more are asked for than can have a trial at once."""
    most = spec.sampler.lag or math.inf
    if options.workers and options.workers > most:
        raise UserError(
            f"--workers must be at most {most} (sampler.lag), because no more trials of the study run at once, but got "
            f"{options.workers}. Take fewer, or begin another study with --set sampler.lag={2 * options.workers}."
        )
    return options.workers or int(min(spec.workers, num_cores(), most))


def _spec(options: Namespace) -> StudySpec:
    """The study file as the options change it."""
    assignments = options.set
    if options.once:  # there a searched parameter is set for the one configuration, and the study keeps its range
        assignments = _of_other_names(options.set, load_study_file(options.study).space)
        assignments = _of_other_names(options.set, load_study_file(options.study, assignments).space)
    spec = load_study_file(options.study, assignments)
    if options.no_finalists:  # not part of the study's identity: the same command without the option trains them
        spec = replace(spec, finalists=replace(spec.finalists, new_seeds=0))
    if options.folds:
        spec = replace(spec, split=replace(spec.split, folds=options.folds, fold=(options.fold or 1) - 1))
    return spec


def _of_other_names(assignments: Sequence[str], searched: Collection[str]) -> list[str]:
    return [text for text in assignments if split_assignment(text)[0] not in searched]


def goal_for(corpus: Corpus | StreamedCorpus) -> str:
    """The goal of a study whose data are not those that its study file names."""
    return f"Which WaveNet, and which window and threshold, tell anomalous from normal recordings of {corpus.name!r}?"


def _store(options: Namespace) -> Store | None:
    """Where decoded audio is kept. A dry run reads what is there and adds nothing."""
    if options.no_store:
        return None
    return Store(options.store, max_gb=options.store_gb, is_read_only=options.dry_run)


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _device(asked: str) -> torch.device:
    if asked == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda must have a GPU that PyTorch can use, but finds none. Take --device cpu.")
    return torch.device("cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu")
