"""One run of the command: from its options to an open study at work, and its end.

options -> study file, data, split -> (dry run ends here) -> storage, study, tracker -> trials -> result and report
"""

import os
import re
import shutil
import subprocess
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from core.data.dataset import Dataset
from core.data.recordings import Corpus, StreamedCorpus
from core.data.store import Store
from core.errors import UserError
from core.project import make_project
from core.sources import choose_source, open_source
from core.thread_pool import ThreadPool
from hpo.console import Console
from hpo.folds import fold_name
from hpo.pages.publish import study_description
from hpo.results.winner import choose_winner
from hpo.search.data_by_rate import Datasets, open_datasets
from hpo.search.notes import run_note, study_words, write_notes
from hpo.search.objective import TrialContext
from hpo.search.search_space import SearchSpace, describe_range
from hpo.search.storage import StudyStorage
from hpo.search.study import (
    COMPANION_SUFFIXES,
    MAX_FAILURES_IN_A_ROW,
    OpenStudy,
    archive_study,
    check_study_exists,
    open_study,
)
from hpo.search.study_file import StudySpec, load_study_file
from hpo.search.trial_record import TrialRecord, trial_records
from hpo.search.work import work_on
from hpo.tracking.links import Pages, resolve_pages
from hpo.tracking.run_log import EVENTS_FILE_NAME, RunLog
from hpo.tracking.saved_view import saved_view
from hpo.tracking.settings import resolve_setting
from hpo.tracking.shipper import Shipper
from hpo.tracking.target import TrackingTarget, resolve_tracking_uri, tracking_target

NAME_PATTERN = r"\w[\w.-]*"
RESERVED_NAMES = ("archive", "mlartifacts", "mlflow.db", "optuna.journal")
"""Other things in runs/."""
MAX_THREADS = 4
"""More than this share a batch of the usual size badly; more cores are for more workers."""
SECONDS_TO_SHIP = 120.0
SECONDS_TO_SHIP_INTERRUPTED = 10.0


@dataclass(frozen=True, kw_only=True)
class StudyInputs:
    """What a study works on, checked: nothing of it is written anywhere yet."""

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

    @property
    def dataset(self) -> Dataset:
        """The default configuration's."""
        return self.datasets.default


def read_inputs(options: Namespace, root: Path) -> StudyInputs:
    """Reads and checks the study file and the data. UserError for whatever is wrong with either."""
    spec = load_study_file(options.study)
    spec = replace(spec, data=choose_source(spec.data, options.data, root))
    if options.folds:
        fold = options.fold or 1
        spec = replace(spec, split=replace(spec.split, folds=options.folds, fold=fold - 1))
    total = spec.trials if options.trials is None else options.trials
    source_options = {key: value for key, value in spec.data.items() if key != "source"}
    store = _store(options)
    corpus = open_source(
        spec.data["source"], options=source_options, skip_bad_files=options.skip_bad_files, store=store
    )
    datasets = open_datasets(corpus, spec, skip_bad_files=options.skip_bad_files, store=store)
    space = spec.search_space
    space.check_box(spec.limits.max_layers, spec.limits.max_weights, num_channels=datasets.num_channels)
    name = options.name or f"{options.study.stem}-{corpus.name}"
    if options.folds:
        name = fold_name(name, fold)
    if not re.fullmatch(NAME_PATTERN, name) or name in RESERVED_NAMES:
        raise UserError(
            f"A study's name must be of letters, digits, '.', '_', '-', begin with a letter or digit and be none of "
            f"{', '.join(RESERVED_NAMES)}, but got {name!r}. Give it one with --name."
        )
    if name.endswith(COMPANION_SUFFIXES):
        raise UserError(
            f"A study's name must not end with {' or '.join(COMPANION_SUFFIXES)}, as studies do that belong to another "
            f"one, but got {name!r}. Give it another with --name."
        )
    num_workers = options.workers or min(spec.workers, num_cores())
    return StudyInputs(
        spec=spec,
        space=space,
        corpus=corpus,
        datasets=datasets,
        device=_device(options.device),
        pool=ThreadPool(options.threads or min(max(1, num_cores() // num_workers), MAX_THREADS)),
        num_workers=num_workers,
        name=name,
        total=total,
    )


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


@dataclass(frozen=True, kw_only=True)
class Session:
    """An open study with its tracker."""

    inputs: StudyInputs
    search: OpenStudy
    target: TrackingTarget
    tracking_source: str
    pages: Pages
    log: RunLog

    @property
    def about(self) -> dict[str, Any]:
        """Where the figures come from: on every run as tags, and in result.json."""
        return {
            "data": self.inputs.corpus.description,
            "data_is_simulated": self.inputs.spec.data["source"] == "simulated",
            "data_fingerprint": self.inputs.corpus.fingerprint,
            "left_out": [f"{skipped.name}: {skipped.reason}" for skipped in self.inputs.dataset.skipped()],
            "git_commit": git_commit(),
            "device": str(self.inputs.device),
            "threads": self.inputs.pool.num_threads,
            "workers": self.inputs.num_workers,
        }

    @property
    def tags(self) -> dict[str, str]:
        return {
            key: str(value) for key, value in self.about.items() if key not in ("data", "data_is_simulated", "left_out")
        }


def open_session(inputs: StudyInputs, options: Namespace, root: Path) -> Session:
    """Opens storage and study and names the tracker. UserError where the study is another one than it was."""
    runs = root / "runs"
    directory = runs / inputs.name
    tracking = resolve_tracking_uri(options.tracking_uri, project_root=root)
    chosen = resolve_setting(
        options.storage, variable="OPTUNA_STORAGE", project_root=root, default=str(runs / "optuna.journal")
    )
    make_project(root)
    storage = StudyStorage(_from_root(chosen.value, root))
    if options.rerun is not None or options.page is not None:
        check_study_exists(inputs.name, storage)
    if options.fresh:
        archive_study(inputs.name, storage=storage, directory=directory, archive=runs / "archive")
    search = open_study(
        inputs.name,
        inputs.spec,
        data_fingerprint=inputs.corpus.fingerprint,
        storage=storage,
        directory=directory,
    )
    pages = resolve_pages(tracking.value, storage_name=storage.name, project_root=root)
    description = study_description(search, inputs.corpus.description)
    target = tracking_target(
        tracking.value,
        experiment=search.experiment,
        runs_directory=runs,
        description=f"{description}\n\n{study_words(search, pages)}",
        tags=saved_view(list(search.space.distributions)),
        run_note=run_note(search, pages),
    )
    return Session(
        inputs=inputs,
        search=search,
        target=target,
        tracking_source=tracking.source,
        pages=pages,
        log=RunLog(directory / EVENTS_FILE_NAME),
    )


def run_trials(session: Session, context: TrialContext, console: Console, shipper: Shipper, *, is_worker: bool) -> None:
    """Works until the study has its trials. UserError when five configurations in a row have failed."""
    search, total = session.search, session.inputs.total
    # A worker goes on to the finalists, which are known when everybody's trials have ended.
    waits = not is_worker or search.spec.finalists.new_seeds > 0

    def show() -> None:
        console.show(search.num_ended(), choose_winner(trial_records(search.study)))

    for end in work_on(search, total, context, waits=waits, on_poll=show):
        best = _record_best(session)
        console.show(search.num_ended(), best)
        console.trial_ended(end, best)
        shipper.poke()
        link_trials(session, shipper)
        failed = search.failures_in_a_row()
        if failed >= MAX_FAILURES_IN_A_ROW and search.num_ended() < total:
            reasons = [record.failure for record in trial_records(search.study) if record.failure]
            raise UserError(
                f"Configurations must be trainable, but {failed} in a row failed, one because {reasons[-1]}. "
                "Look at the space's ranges; the same command goes on."
            )


def link_trials(session: Session, shipper: Shipper) -> None:
    """Notes in the Optuna dashboard on the trials whose runs have reached MLflow."""
    search = session.search
    write_notes(
        search,
        session.pages,
        description=study_description(search, session.inputs.corpus.description),
        experiment_id=shipper.experiment_id,
        run_ids={
            int(folder.name): run_id
            for folder, run_id in shipper.run_ids().items()
            if folder.parent == search.trials_directory
        },
    )


def _record_best(session: Session) -> TrialRecord | None:
    """The best F1 after so many trials, as a curve of the study's own run."""
    best = choose_winner(trial_records(session.search.study))
    if best is not None and best.val_f1 is not None:
        session.log.metrics(session.search.num_ended(), {"best_val_f1": best.val_f1})
    return best


def start_study_run(session: Session) -> None:
    """The one run that holds what belongs to all trials."""
    spec = session.inputs.spec
    session.log.start(
        run_key=f"{session.search.uid}/study",
        name="study",
        tags={"optuna.study": session.search.study.study_name, "optuna.state": "RUNNING", **session.tags},
        params={
            "seed": spec.seed,
            "sampler": spec.sampler.kind,
            "pruner": spec.pruner.kind,
            "epochs": spec.training.epochs,
            **{f"space.{name}": describe_range(d) for name, d in session.search.space.distributions.items()},
        },
    )


def _from_root(storage: str, root: Path) -> str:
    """A path, alone or in an sqlite URL, is relative to the project's root, from wherever the command is called."""
    if storage.startswith("sqlite:///"):
        path = storage.removeprefix("sqlite:///")
        return storage if path in ("", ":memory:") else f"sqlite:///{root / path}"
    return storage if "://" in storage else str(root / storage)


def git_commit() -> str:
    """The commit that the code is at, with a mark when it differs; "unknown" outside a checkout."""
    if shutil.which("git") is None:
        return "unknown"
    root = Path(__file__).resolve().parent.parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"
