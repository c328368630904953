"""A study that is open, with its storage, its folder and its tracker: what every command on a study works with."""

import shutil
import subprocess
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.project import check_project, make_project
from hpo.pages.publish import study_description
from hpo.search.archive import archive_study
from hpo.search.notes import run_note, study_words, write_notes
from hpo.search.parameters import describe_range
from hpo.search.storage import StudyStorage, database_url
from hpo.search.storage_setting import JOURNAL_SUFFIX, SQLITE, resolve_storage
from hpo.search.study import OpenStudy, open_study
from hpo.session.inputs import SIMULATED, StudyInputs
from hpo.session.warm_start import begin_with, offers_of, remember_what_chose
from hpo.tracking.links import Pages, resolve_pages
from hpo.tracking.run_log import EVENTS_FILE_NAME, RunLog
from hpo.tracking.saved_view import saved_view
from hpo.tracking.settings import Setting
from hpo.tracking.shipper import Shipper
from hpo.tracking.target import TrackingTarget, resolve_tracking_uri, tracking_target

SECONDS_TO_SHIP = 120.0
SECONDS_TO_SHIP_INTERRUPTED = 10.0


@dataclass(frozen=True, kw_only=True)
class Session:
    """An open study with its tracker."""

    inputs: StudyInputs
    search: OpenStudy
    target: TrackingTarget
    tracking_source: str
    """Where the tracking URI comes from, for people."""
    pages: Pages
    log: RunLog
    """The log of the run `study`, which holds the records that belong to no single trial."""
    begun_with: tuple[str, ...] = ()
    """What a new study has taken from others, in lines."""

    @property
    def about(self) -> dict[str, Any]:
        """The origin of the figures (data, device, commit, ...), for result.json and as tags of every run."""
        return {
            "data": self.inputs.corpus.description,
            "data_is_simulated": self.inputs.spec.data["source"] == SIMULATED,
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


def open_session(inputs: StudyInputs, storage: StudyStorage | None, options: Namespace, root: Path) -> Session:
    """Opens the study, and the storage where it is not open yet, and names the tracker. UserError where space or data
    of the study have changed."""
    runs = root / "runs"
    directory = runs / inputs.name
    tracking = resolve_tracking_uri(options.tracking_uri, project_root=root)
    make_project(root)
    if storage is None:
        setting = resolve_storage(options.storage, project_root=root)
        storage = StudyStorage(setting.value, patience_minutes=options.patience)
    begun = None if options.fresh else inputs.name
    offers = offers_of(options.warm_start, storage, inputs.dataset, to=begun) if options.warm_start else ()
    if options.fresh:
        archive_study(inputs.name, storage=storage, directory=directory, archive=runs / "archive")
    search = open_study(
        inputs.name,
        inputs.spec,
        data_fingerprint=inputs.corpus.fingerprint,
        storage=storage,
        directory=directory,
    )
    remember_what_chose(search, inputs.dataset)
    begun_with = begin_with(search, offers) if offers else ()
    pages = resolve_pages(tracking.value, storage_name=storage.name, project_root=root)
    description = f"{study_description(search, inputs.data_words)}\n\n{study_words(search, pages)}"
    reads_study = options.rerun is not None or options.page is not None  # with any study file, so with any goal
    target = tracking_target(
        tracking.value,
        experiment=search.experiment,
        runs_directory=runs,
        description="" if reads_study else description,
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
        begun_with=tuple(begun_with),
    )


def check_places(options: Namespace, root: Path) -> None:
    """UserError where the folder of the storage or of the tracking database does not exist, and where the project's
    cannot be written. Opens and makes nothing."""
    runs = root / "runs"
    if not options.dry_run:
        check_project(root)
    _check_folder("tracking database", resolve_tracking_uri(options.tracking_uri, project_root=root), runs)
    storage = resolve_storage(options.storage, project_root=root)
    _check_folder("storage", storage, runs)
    path = Path(storage.value)
    if "://" in storage.value:
        database_url(storage.value)
    elif path.suffix != JOURNAL_SUFFIX and not path.is_file():
        raise UserError(
            f"The storage must be a URL, an existing file or a new one that ends in {JOURNAL_SUFFIX}, but got "
            f"{storage.value} from {storage.source}."
        )


def _check_folder(name: str, setting: Setting, runs: Path) -> None:
    """UserError where a file would lie in a folder that does not exist, because that is mostly a typing mistake."""
    path = setting.value.removeprefix(SQLITE)
    folder = Path(path).parent
    if "://" not in path and folder.resolve() != runs.resolve() and not folder.is_dir():
        raise UserError(
            f"The {name} must be a file in a folder that exists, but got {setting.value} from {setting.source}, and "
            f"there is no folder {folder}. Correct it, or make the folder."
        )


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
            "lag": spec.sampler.lag,
            "pruner": spec.pruner.kind,
            "epochs": spec.training.epochs,
            "precision": spec.network.precision,
            **{f"space.{name}": describe_range(d) for name, d in session.search.space.distributions.items()},
        },
    )


def link_trials(session: Session, search: OpenStudy, shipper: Shipper) -> None:
    """Notes in the Optuna dashboard on the trials of `search` whose runs have reached MLflow."""
    write_notes(
        search,
        session.pages,
        description=study_description(search, session.inputs.data_words),
        experiment_id=shipper.experiment_id,
        run_ids={
            int(folder.name): run_id
            for folder, run_id in shipper.run_ids().items()
            if folder.parent == search.trials_directory
        },
    )


def git_commit() -> str:
    """The commit that the code is at, with a mark when it differs; "unknown" outside a checkout."""
    if shutil.which("git") is None:
        return "unknown"
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"
