"""What the command line can do: search, look without training, run one configuration, draw a trial's page."""

import time
import warnings
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from core.errors import UserError
from core.experiment import DETECTOR_FILE, SCORES_FILE, ExperimentConfig, run_experiment
from hpo.console import Console
from hpo.messages import estimate_line, overview, short, summary, where_to_look
from hpo.objective import Bench, run_params
from hpo.publish import publish_study, publish_trial_page
from hpo.run_log import EVENTS_FILE_NAME, RunLog
from hpo.search_space import SearchSpace, describe_range
from hpo.session import (
    SECONDS_TO_SHIP,
    SECONDS_TO_SHIP_INTERRUPTED,
    Session,
    gather,
    open_session,
    run_trials,
    start_study_run,
)
from hpo.shipper import Shipper
from hpo.study import trial_seed
from hpo.trial_record import trial_records
from hpo.workers import Workers


def run(options: Namespace, root: Path) -> int:
    """Does what the options say and returns the exit code."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")  # hpo/storage.py beats it itself
    material = gather(options)
    if options.dry_run:
        _print(*overview(material), estimate_line(material, material.total))
        return 0
    changes = dict(_assignment(text, material.space) for text in options.set)
    session = open_session(material, options, root)
    if options.page is not None:
        return _page(session, options.page)
    if options.once or options.rerun is not None:
        return _once(session, options, changes)
    return _search(session, options)


def _search(session: Session, options: Namespace) -> int:
    material, search, is_worker = session.material, session.search, options.worker
    ended = search.num_ended()
    if not is_worker:
        _print(*overview(material), *where_to_look(session))
        if ended < material.total:
            _print(estimate_line(material, material.total - ended))
    console = Console(total=material.total, ended=ended, epochs=material.spec.training.epochs)
    shipper = Shipper(search.directory, session.target, warn=console.say)
    if not is_worker:
        start_study_run(session)
    shipper.start()
    bench = Bench(
        dataset=material.dataset, device=material.device, pool=material.pool, tags=session.tags, progress=console
    )
    others = 0 if is_worker or ended >= material.total else material.num_workers - 1
    workers = Workers(others, options, threads=material.pool.num_threads, say=console.say)
    try:
        with console, workers:
            run_trials(session, bench, console, shipper, is_worker=is_worker)
        result = None
        if not is_worker:
            result = publish_study(search, material.dataset, session.log, about=session.about)
            session.log.end("FINISHED", tags={"optuna.state": "COMPLETE"})
    except KeyboardInterrupt:
        if not is_worker:
            session.log.end("KILLED", tags={"optuna.state": "INTERRUPTED"})
        _ship(shipper, session, SECONDS_TO_SHIP_INTERRUPTED)
        if is_worker:
            raise
        _print(f"Interrupted after {search.num_ended()} of {material.total} trials. The same command goes on.")
        raise
    except BaseException:
        if not is_worker:
            session.log.end("FAILED", tags={"optuna.state": "FAILED"})
        _ship(shipper, session, SECONDS_TO_SHIP_INTERRUPTED)
        raise
    _ship(shipper, session, SECONDS_TO_SHIP)
    if result is not None:
        _print(*summary(result, search.directory))
    return 0


def _ship(shipper: Shipper, session: Session, seconds: float) -> None:
    report = shipper.close(seconds)
    if report.num_events_left:
        _print(
            f"warning: {report.num_events_left} records have not reached {session.target.safe_uri} ({report.reason}). "
            f"They are kept in {session.search.directory} and are sent the next time the study's command runs."
        )


def _page(session: Session, number: int) -> int:
    _check_trial(session, number)
    path = publish_trial_page(session.search, session.material.dataset, number)
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
    material, search = session.material, session.search
    config, seed, source = _chosen(session, options, changes)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    directory = search.directory / "single" / stamp
    log = RunLog(directory / EVENTS_FILE_NAME)
    name = f"single {stamp}: {source}"
    params = run_params(config, search.space.parameters_of(config), material.dataset)
    tags = {"optuna.study": search.study.study_name, "single": source, **session.tags}
    log.start(run_key=f"{search.uid}/single/{stamp}", name=name, tags=tags, params=params)
    shipper = Shipper(directory, session.target, warn=_print)
    shipper.start()
    context = search.space.max_receptive_field_samples
    try:
        for result in run_experiment(
            config,
            material.dataset,
            directory,
            seed=seed,
            context_samples=context,
            device=material.device,
            pool=material.pool,
        ):
            log.metrics(result.epoch, {key: value for key, value in result.metrics.items() if key != "epoch"})
            _print(", ".join(f"{key} {short(value)}" for key, value in result.metrics.items()))
    except BaseException:
        log.end("KILLED", name=f"{name} ended early")
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


def _chosen(session: Session, options: Namespace, changes: Mapping[str, Any]) -> tuple[ExperimentConfig, int, str]:
    """Configuration, seed, and where both come from, in words."""
    search = session.search
    if options.rerun is not None:
        records = trial_records(search.study)
        if options.rerun >= len(records) or not records[options.rerun].parameters:
            raise UserError(f"--rerun must be a trial of the study, but got {options.rerun}.")
        config = search.space.configuration(records[options.rerun].parameters)
        return config, search.seed_of(options.rerun), f"trial {options.rerun} again"
    words = ", ".join(f"{name} {short(value)}" for name, value in changes.items())
    return search.space.configuration(changes), trial_seed(search.spec.seed, 0), words or "default configuration"


def _assignment(text: str, space: SearchSpace) -> tuple[str, Any]:
    """NAME=VALUE of the command line, checked against the space."""
    name, separator, word = text.partition("=")
    if not separator or name not in space.distributions:
        raise UserError(
            f"--set must be NAME=VALUE with a name out of {', '.join(space.distributions)}, but got {text!r}."
        )
    kind = type(space.default_parameters[name])
    try:
        value = word == "true" if kind is bool else kind(word)
    except ValueError as error:
        raise UserError(f"--set {name} must be of type {kind.__name__}, but got {word!r}.") from error
    if not space.holds(name, value):
        raise UserError(f"--set {name} must lie in {describe_range(space.distributions[name])}, but got {word}.")
    return name, value


def _print(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)
