"""What the command line does: a search, a worker's part, a dry run, one configuration, the page of a trial."""

import tempfile
import warnings
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from core.errors import UserError
from core.full_disk import full_disk_error, is_disk_full
from hpo.folds import renew_summary, run_folds
from hpo.messages import estimate_lines, overview
from hpo.once import changes_of_configuration, run_once
from hpo.pages.publish import publish_trial_page
from hpo.results.whiteness import WhitenessOfTrials
from hpo.search.workers import is_started_worker
from hpo.search_run import measured, run_search, run_worker
from hpo.session.inputs import StudyInputs, decode_inputs, list_inputs
from hpo.session.known_study import open_known_storage, with_known_study
from hpo.session.session import SECONDS_TO_SHIP, Session, check_places, open_session
from hpo.session.shipping import ship
from hpo.session.study_names import fold_name
from hpo.session.warm_start import are_to_come
from hpo.terminal.console import Console
from hpo.terminal.interruption import InterruptionNotice
from hpo.tracking.shipper import Shipper


def run(options: Namespace, root: Path) -> int:
    """Does what the options say and returns the exit code. UserError for what a user can repair, a full disk included;
    KeyboardInterrupt after all records are written."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")  # hpo/search/storage.py beats
    speaks = not is_started_worker()  # the process that started a worker prints these lines
    console = Console(says_steps=speaks)
    try:
        with InterruptionNotice(console.say_stopping if speaks else lambda: None) as notice:
            if options.folds and options.fold is None and not options.dry_run:
                return run_folds(options, root, lambda fold: _run_study(fold, root, console, notice)[1], console)
            code, name = _run_study(options, root, console, notice)
            if options.fold is not None and _is_search(options):
                renew_summary(name.removesuffix(fold_name("", options.fold)), options.folds, root, console)
            return code
    except UserError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise full_disk_error(error, [root / "runs", root, options.store, Path(tempfile.gettempdir())]) from error
        raise


def _is_search(options: Namespace) -> bool:
    """Whether it ends with a report."""
    others = (options.dry_run, options.once, options.worker, options.rerun is not None, options.page is not None)
    return not any(others)


def _run_study(options: Namespace, root: Path, console: Console, notice: InterruptionNotice) -> tuple[int, str]:
    """The exit code, and the study's name."""
    check_places(options, root)
    listed, storage = list_inputs(options, root, console), None
    changes = changes_of_configuration(options.set, listed.spec.search_space) if options.once else {}
    if not options.dry_run:
        storage = open_known_storage(options, root)
        listed = with_known_study(listed, options, storage, console)
        if options.warm_start:  # an error comes before recordings are decoded
            are_to_come(options.warm_start, storage, to=None if options.fresh else listed.name)
    inputs = decode_inputs(listed, options, console)
    try:
        if options.dry_run:
            return _dry_run(inputs, options, console), inputs.name
        session = open_session(inputs, storage, options, root)
        return _run_in(session, changes, options, console, notice), inputs.name
    finally:
        inputs.datasets.close()


def _dry_run(inputs: StudyInputs, options: Namespace, console: Console) -> int:
    console.say(*overview(inputs))
    console.say(*estimate_lines(inputs, inputs.total, measured(inputs, console), compares=options.compare))
    return 0


def _run_in(
    session: Session, changes: Mapping[str, Any], options: Namespace, console: Console, notice: InterruptionNotice
) -> int:
    console.say(*session.begun_with)
    if options.page is not None:
        return _make_page(session, options.page, console)
    if options.once or options.rerun is not None:
        return run_once(session, options, changes, console)
    return run_worker(session, options, console) if options.worker else run_search(session, options, console, notice)


def _make_page(session: Session, number: int, console: Console) -> int:
    """Writes the page of a trial and sends it to MLflow."""
    with console.step("Making the page"):
        files = session.inputs.trial_files
        files.ensure(session.search, number)
        path = publish_trial_page(session.search, WhitenessOfTrials(files=files), number)
    shipper = Shipper(session.search.directory, session.target, warn=console.say)
    shipper.start()
    ship(shipper, session, console, SECONDS_TO_SHIP)
    console.say(f"Page: {path}")
    return 0
