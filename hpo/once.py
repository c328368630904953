"""--once and --rerun: one configuration with its own run and folder, which the search does not count."""

import time
import uuid
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.assignments import split_assignment
from core.decision.checkpoint import DETECTOR_FILE
from core.errors import UserError
from core.experiment import SCORES_FILE, EpochResult, ExperimentConfig, run_experiment
from core.model.training import ConfigurationFailed
from hpo.search.parameters import describe_range
from hpo.search.search_space import SearchSpace
from hpo.search.trial_facts import run_params
from hpo.search.trial_record import trial_records
from hpo.session.session import SECONDS_TO_SHIP, SECONDS_TO_SHIP_INTERRUPTED, Session
from hpo.session.shipping import ship
from hpo.summary import detect_lines, short
from hpo.terminal.console import Console
from hpo.tracking.run_log import EVENTS_FILE_NAME, RunLog
from hpo.tracking.shipper import Shipper


def run_once(session: Session, options: Namespace, changes: Mapping[str, Any], console: Console) -> int:
    """Trains the default configuration with `changes`, or that of the trial that --rerun names."""
    config, source = _chosen(session, options, changes)
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
    directory = session.search.directory / "single" / stamp
    log = RunLog(directory / EVENTS_FILE_NAME)
    name = f"single {stamp}: {source}"
    _start(log, session, config, name=name, run_key=f"{session.search.uid}/single/{stamp}", source=source)
    shipper = Shipper(directory, session.target, warn=console.say)
    shipper.start()
    try:
        result = _train(session, config, directory, log, console)
    except ConfigurationFailed as error:
        log.end("FAILED", name=f"{name} failed", tags={"failure": str(error)})
        ship(shipper, session, console, SECONDS_TO_SHIP)
        raise UserError(f"The configuration must be trainable, but {error}. Change it with --set.") from error
    except BaseException as error:
        log.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED", name=f"{name} ended early")
        ship(shipper, session, console, SECONDS_TO_SHIP_INTERRUPTED)
        raise
    for file in (DETECTOR_FILE, SCORES_FILE):
        log.artifact(directory / file)
    log.end("FINISHED")
    ship(shipper, session, console, SECONDS_TO_SHIP)
    best = result.best
    console.say(
        f"Best epoch {result.best_epoch}: validation F1 {best['val_f1']:.3f}, AUC {best['val_auc']:.3f}; "
        f"test F1 {best['test_f1']:.3f}, AUC {best['test_auc']:.3f}.",
        *detect_lines(directory),
    )
    return 0


def _start(log: RunLog, session: Session, config: ExperimentConfig, *, name: str, run_key: str, source: str) -> None:
    search = session.search
    log.start(
        run_key=run_key,
        name=name,
        tags={"optuna.study": search.study.study_name, "single": source, **session.tags},
        params=run_params(config, search.space.parameters_of(config), session.inputs.datasets.num_channels),
    )


def _train(session: Session, config: ExperimentConfig, directory: Path, log: RunLog, console: Console) -> EpochResult:
    """Every epoch in the log and on a line; returns the last."""
    rate = config.front_end.sample_rate_hz
    epochs = run_experiment(
        config,
        session.inputs.datasets.at(config.front_end.read_rate_hz),
        directory,
        seed=session.search.spec.seed,
        context_samples=session.search.space.context_samples(rate),
        device=session.inputs.device,
        pool=session.inputs.pool,
    )
    with console.stopping_after("this training step"):
        for result in epochs:
            log.metrics(result.epoch, {key: value for key, value in result.metrics.items() if key != "epoch"})
            console.say(", ".join(f"{key} {short(value)}" for key, value in result.metrics.items()))
    return result


def _chosen(session: Session, options: Namespace, changes: Mapping[str, Any]) -> tuple[ExperimentConfig, str]:
    """The configuration, and its origin in words."""
    search = session.search
    if options.rerun is not None:
        config = search.space.configuration(trial_records(search.study)[options.rerun].parameters)
        return config, f"trial {options.rerun} again"
    words = ", ".join(f"{name} {short(value)}" for name, value in changes.items())
    return search.space.configuration(changes), words or "default configuration"


def changes_of_configuration(assignments: Sequence[str], space: SearchSpace) -> dict[str, Any]:
    """The parameters that are searched among the assignments of --set; UserError for a value outside of its range."""
    pairs = [split_assignment(text) for text in assignments]
    return {name: _checked(name, word, space) for name, word in pairs if name in space.distributions}


def _checked(name: str, word: str, space: SearchSpace) -> Any:
    kind = type(space.default_parameters[name])
    try:
        value = {"true": True, "false": False}.get(word, word) if kind is bool else kind(word)
    except ValueError as error:
        raise UserError(f"--set {name} must be of type {kind.__name__}, but got {word!r}.") from error
    if not _lies_within(space, name, value):
        raise UserError(f"--set {name} must lie in {describe_range(space.distributions[name])}, but got {word}.")
    return value


def _lies_within(space: SearchSpace, name: str, value: Any) -> bool:
    try:
        return space.holds(name, value)
    except ValueError:  # Optuna's, for a value that a logarithmic range cannot have
        return False
