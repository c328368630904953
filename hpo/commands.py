"""What the command line can do: search, look without training, run one configuration, draw a trial's page."""

import time
import uuid
import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from core.baselines.comparison import Row
from core.errors import UserError
from core.experiment import DETECTOR_FILE, SCORES_FILE, ExperimentConfig, run_experiment
from core.model.training import ConfigurationFailed
from hpo.console import Console
from hpo.finalist_runs import run_finalists
from hpo.folds import run_folds
from hpo.messages import curves_line, estimate_line, overview, short, summary, where_to_look
from hpo.pages.publish import publish_study, publish_trial_page
from hpo.results.alternatives import compare_winner, kept_comparison
from hpo.results.finalists import num_trainings_to_come
from hpo.results.kept_trainings import limit_trainings
from hpo.search.objective import TrialContext, run_params
from hpo.search.search_space import SearchSpace, describe_range
from hpo.search.trial_record import trial_records
from hpo.search.workers import Workers
from hpo.session import (
    SECONDS_TO_SHIP,
    SECONDS_TO_SHIP_INTERRUPTED,
    Session,
    StudyInputs,
    link_trials,
    open_session,
    read_inputs,
    run_trials,
    start_study_run,
)
from hpo.tracking.run_log import EVENTS_FILE_NAME, RunLog
from hpo.tracking.shipper import Shipper
from hpo.worker_command import worker_command


def run(options: Namespace, root: Path) -> int:
    """Does what the options say and returns the exit code."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")  # hpo/search/storage.py does
    if options.folds and options.fold is None and not options.dry_run:
        return run_folds(options, root, lambda fold: _one_study(fold, root)[1])
    return _one_study(options, root)[0]


def _one_study(options: Namespace, root: Path) -> tuple[int, str]:
    """The exit code, and the study's name."""
    inputs = read_inputs(options, root)
    try:
        return _run(inputs, options, root), inputs.name
    finally:
        inputs.datasets.close()


def _run(inputs: StudyInputs, options: Namespace, root: Path) -> int:
    if options.dry_run:
        _print(*overview(inputs), estimate_line(inputs, inputs.total))
        return 0
    changes = dict(_assignment(text, inputs.space) for text in options.set)
    session = open_session(inputs, options, root)
    if options.page is not None:
        return _page(session, options.page)
    if options.once or options.rerun is not None:
        return _once(session, options, changes)
    return _work(session) if options.worker else _search(session, options)


def _search(session: Session, options: Namespace) -> int:
    """The whole study: its own run, trials here and in workers, result and report."""
    inputs, search = session.inputs, session.search
    missing = inputs.total - search.num_ended()
    finalists_missing = num_trainings_to_come(search, inputs.total)
    _print(*overview(inputs), *where_to_look(session))
    if missing > 0:
        _print(estimate_line(inputs, missing))
        inputs.datasets.open_all()
    console = Console(total=inputs.total, ended=search.num_ended(), epochs=inputs.spec.training.epochs)
    workers = Workers(
        min(inputs.num_workers, max(missing, finalists_missing)) - 1,
        worker_command(options, threads=inputs.pool.num_threads),
        say=console.say,
    )
    shipper = Shipper(
        search.directory,
        session.target,
        warn=console.say,
        opened=lambda experiment_id: console.say(curves_line(session, experiment_id)),
    )
    shipper.start()
    seconds_to_ship = SECONDS_TO_SHIP_INTERRUPTED
    try:
        start_study_run(session)
        with console, workers:
            run_trials(session, _context(session, console), console, shipper, is_worker=False)
            companion = run_finalists(session, _context(session, console), console, shipper, is_worker=False)
        result = publish_study(
            search,
            inputs.datasets,
            session.log,
            about=session.about,
            companion=companion,
            comparison_rows=_comparison(session, is_wanted=options.compare),
        )
        session.log.end("FINISHED", tags={"optuna.state": "COMPLETE"})
        studies = [search, companion] if companion else [search]
        dropped = limit_trainings(studies, inputs.datasets, keep_gb=options.keep_gb)
        _print(*dropped.lines(options.keep_gb), *summary(result, search.directory))
        seconds_to_ship = SECONDS_TO_SHIP
    except KeyboardInterrupt:
        session.log.end("KILLED", tags={"optuna.state": "INTERRUPTED"})
        _print(f"Interrupted after {search.num_ended()} of {inputs.total} trials. The same command goes on.")
        raise
    except BaseException:
        session.log.end("FAILED", tags={"optuna.state": "FAILED"})
        raise
    finally:
        _ship(shipper, session, seconds_to_ship)
    link_trials(session, shipper)
    if companion is not None:
        link_trials(replace(session, search=companion), shipper)
    return 0


def _comparison(session: Session, *, is_wanted: bool) -> Callable[[Mapping[str, Any]], list[Row]]:
    """What gives the comparison of a winner: made where it is wanted, else what there is of it."""
    if is_wanted:
        return partial(compare_winner, session.search, session.inputs.datasets, say=_print)
    return partial(kept_comparison, session.search)


def _work(session: Session) -> int:
    """A worker: trials, and nothing that belongs to the whole study."""
    inputs, search = session.inputs, session.search
    console = Console(total=inputs.total, ended=search.num_ended(), epochs=inputs.spec.training.epochs)
    shipper = Shipper(search.directory, session.target, warn=console.say)
    inputs.datasets.open_all()
    shipper.start()
    try:
        with console:
            run_trials(session, _context(session, console), console, shipper, is_worker=True)
            run_finalists(session, _context(session, console), console, shipper, is_worker=True)
    finally:
        _ship(shipper, session, SECONDS_TO_SHIP_INTERRUPTED)
    link_trials(session, shipper)
    return 0


def _context(session: Session, console: Console) -> TrialContext:
    inputs = session.inputs
    return TrialContext(
        datasets=inputs.datasets, device=inputs.device, pool=inputs.pool, tags=session.tags, progress=console
    )


def _ship(shipper: Shipper, session: Session, seconds: float) -> None:
    report = shipper.close(seconds)
    if report.num_events_left:
        _print(
            f"warning: {report.num_events_left} records have not reached {session.target.safe_uri} ({report.reason}). "
            f"They are kept in {session.search.directory} and are sent the next time the study's command runs."
        )


def _page(session: Session, number: int) -> int:
    _check_trial(session, number)
    path = publish_trial_page(session.search, session.inputs.datasets, number)
    shipper = Shipper(session.search.directory, session.target, warn=_print)
    shipper.start()
    _ship(shipper, session, SECONDS_TO_SHIP)
    _print(f"Page: {path}")
    return 0


def _check_trial(session: Session, number: int) -> None:
    ended = [record.number for record in trial_records(session.search.study) if record.epochs]
    if number not in ended:
        raise UserError(f"The trial must be one of the study's that has ended an epoch, but got {number}.")


def _once(session: Session, options: Namespace, changes: Mapping[str, Any]) -> int:
    """One configuration, with a run and a folder of its own; the search does not hear of it."""
    inputs, search = session.inputs, session.search
    config, source = _chosen(session, options, changes)
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
    directory = search.directory / "single" / stamp
    log = RunLog(directory / EVENTS_FILE_NAME)
    name = f"single {stamp}: {source}"
    params = run_params(config, search.space.parameters_of(config), inputs.datasets.num_channels)
    tags = {"optuna.study": search.study.study_name, "single": source, **session.tags}
    log.start(run_key=f"{search.uid}/single/{stamp}", name=name, tags=tags, params=params)
    shipper = Shipper(directory, session.target, warn=_print)
    shipper.start()
    rate = config.front_end.sample_rate_hz
    try:
        for result in run_experiment(
            config,
            inputs.datasets.at(rate),
            directory,
            seed=search.spec.seed,
            context_samples=search.space.context_samples(rate),
            device=inputs.device,
            pool=inputs.pool,
        ):
            log.metrics(result.epoch, {key: value for key, value in result.metrics.items() if key != "epoch"})
            _print(", ".join(f"{key} {short(value)}" for key, value in result.metrics.items()))
    except ConfigurationFailed as error:
        log.end("FAILED", name=f"{name} failed", tags={"failure": str(error)})
        _ship(shipper, session, SECONDS_TO_SHIP)
        raise UserError(f"The configuration must be trainable, but {error}. Change it with --set.") from error
    except BaseException as error:
        log.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED", name=f"{name} ended early")
        _ship(shipper, session, SECONDS_TO_SHIP_INTERRUPTED)
        raise
    for file in (DETECTOR_FILE, SCORES_FILE):
        log.artifact(directory / file)
    log.end("FINISHED")
    _ship(shipper, session, SECONDS_TO_SHIP)
    best = result.best
    _print(
        f"Best epoch {result.best_epoch}: validation F1 {best['val_f1']:.3f}, AUC {best['val_auc']:.3f}; "
        f"test F1 {best['test_f1']:.3f}, AUC {best['test_auc']:.3f}. Files: {directory}"
    )
    return 0


def _chosen(session: Session, options: Namespace, changes: Mapping[str, Any]) -> tuple[ExperimentConfig, str]:
    """The configuration, and where it comes from, in words."""
    search = session.search
    if options.rerun is not None:
        records = trial_records(search.study)
        if options.rerun >= len(records) or not records[options.rerun].parameters:
            raise UserError(f"--rerun must be a trial of the study, but got {options.rerun}.")
        config = search.space.configuration(records[options.rerun].parameters)
        return config, f"trial {options.rerun} again"
    words = ", ".join(f"{name} {short(value)}" for name, value in changes.items())
    return search.space.configuration(changes), words or "default configuration"


def _assignment(text: str, space: SearchSpace) -> tuple[str, Any]:
    """NAME=VALUE of the command line, checked against the space."""
    name, separator, word = text.partition("=")
    if not separator or name not in space.distributions:
        raise UserError(
            f"--set must be NAME=VALUE with a name out of {', '.join(space.distributions)}, but got {text!r}."
        )
    kind = type(space.default_parameters[name])
    try:
        value = {"true": True, "false": False}.get(word, word) if kind is bool else kind(word)
    except ValueError as error:
        raise UserError(f"--set {name} must be of type {kind.__name__}, but got {word!r}.") from error
    if not space.holds(name, value):
        raise UserError(f"--set {name} must lie in {describe_range(space.distributions[name])}, but got {word}.")
    return name, value


def _print(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)
