"""A whole study: trials here and in workers, finalists, result and report. Or a worker's part of one."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from core.baselines.comparison import Row
from core.full_disk import is_disk_full
from hpo.disk_room import with_room
from hpo.finalist_runs import run_finalists
from hpo.messages import curves_line, estimate_lines, overview, resumed_line, timeout_line, where_to_look
from hpo.pages.publish import publish_study
from hpo.results.alternatives import compare_winner, kept_comparison
from hpo.results.finalists import FinalistsStudy, num_trainings_to_come
from hpo.results.kept_trainings import limit_trainings
from hpo.search.estimate import Estimate, estimate_trial_seconds
from hpo.search.stopping import Stops, StudyTimeout
from hpo.search.study import objective_name
from hpo.search.trial_context import TrialContext
from hpo.search.trial_record import trial_records
from hpo.search.workers import Workers, is_started_worker
from hpo.search_process import SearchProcess, run_trials
from hpo.session.inputs import StudyInputs
from hpo.session.session import SECONDS_TO_SHIP, SECONDS_TO_SHIP_INTERRUPTED, Session, link_trials, start_study_run
from hpo.session.shipping import ship
from hpo.summary import summary
from hpo.terminal.console import Console
from hpo.terminal.interruption import InterruptionNotice
from hpo.terminal.progress_bars import ProgressBars
from hpo.terminal.time_left import Pace
from hpo.tracking.run_log import RunStatus
from hpo.tracking.shipper import Shipper
from hpo.worker_command import worker_command


def run_search(session: Session, options: Namespace, console: Console, notice: InterruptionNotice) -> int:
    """Runs or resumes a study until its result and report are there; until its deadline, where that comes first."""
    search, companion = session.search, None
    estimate_s = _say_begin(session, options, console)
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
        try:
            companion = _train(_process(session, options, console, shipper, estimate_s), options, notice)
            lines = _publish(session, companion, options, console)
            session.log.end("FINISHED", tags={"optuna.state": "COMPLETE"})
        except StudyTimeout:
            lines = _publish_so_far(session, options, console)
            session.log.end("KILLED", tags={"optuna.state": "INTERRUPTED"})
        lines = [*_limit_trainings(session, companion, options), *lines]
        seconds_to_ship = SECONDS_TO_SHIP
    except KeyboardInterrupt:
        shipper.opened = None  # the link to the curves would follow the line that says how it ended
        _log_end(session, "KILLED", "INTERRUPTED")
        ended = f"{search.num_ended()} of {session.inputs.total} trials"
        console.say(f"Interrupted after {ended}. The same command resumes the study.")
        raise
    except BaseException:
        _log_end(session, "FAILED", "FAILED")
        raise
    finally:
        ship(shipper, session, console, seconds_to_ship)
    for linked in (search, companion):
        if linked is not None:
            link_trials(session, linked, shipper)
    console.say(*lines)
    return 0


def run_worker(session: Session, options: Namespace, console: Console) -> int:
    """Works on trials until the study's deadline, and leaves what belongs to the whole study to another process."""
    shipper = Shipper(session.search.directory, session.target, warn=console.say)
    with console.stopping_after("the recordings that are being decoded"):
        session.inputs.datasets.open_all()
    shipper.start()
    process = _process(session, options, console, shipper, None)
    try:
        with process.bars, console.stopping_after("this training step"), process.context.stops.handling_signals():
            run_trials(process)
            run_finalists(process)
    except StudyTimeout:
        if not is_started_worker():
            console.say(timeout_line(session.search, session.inputs.total, minutes=options.timeout))
    finally:
        ship(shipper, session, console, SECONDS_TO_SHIP_INTERRUPTED, compares=False)
    link_trials(session, session.search, shipper)
    return 0


def measured(inputs: StudyInputs, console: Console) -> Estimate:
    """How long a trial takes on this machine, measured on throw-away networks."""
    text = "Measuring a trial of the smallest, default and largest network"
    with console.step(text), console.stopping_after("this measurement"):
        return estimate_trial_seconds(inputs.space, inputs.dataset, inputs.device, inputs.pool)


def _say_begin(session: Session, options: Namespace, console: Console) -> float | None:
    """What is searched, what has ended, and how long the rest takes. Returns the measured seconds of a training, None
    where no trial is missing."""
    inputs, search = session.inputs, session.search
    console.say(*overview(inputs), *where_to_look(session))
    ended = [record for record in trial_records(search.study) if record.seconds is not None]
    if ended:
        console.say(resumed_line(ended, inputs.total, objective=objective_name(search.study)))
    missing = inputs.total - search.num_ended()
    if missing <= 0:
        return None
    estimate = measured(inputs, console)
    console.say(*estimate_lines(inputs, missing, estimate, compares=options.compare))
    with console.stopping_after("the recordings that are being decoded"):
        inputs.datasets.open_all()
    return estimate.default


def _process(
    session: Session, options: Namespace, console: Console, shipper: Shipper, estimate_s: float | None
) -> SearchProcess:
    inputs, search = session.inputs, session.search
    pace = Pace(
        num_processes=inputs.num_workers,
        epochs=inputs.spec.training.epochs,
        estimate_s=estimate_s,
        trainings_a_trial=inputs.space.num_trainings(inputs.total) / inputs.total,
    )
    bars = ProgressBars(console, search, total=inputs.total, num_finalists=inputs.num_finalist_trainings, pace=pace)
    context = TrialContext(
        datasets=inputs.datasets,
        device=inputs.device,
        pool=inputs.pool,
        tags=session.tags,
        progress=bars,
        say=console.say,
        stops=Stops(deadline=options.deadline, trial_minutes=options.trial_timeout),
        keep_going=options.keep_going,
    )
    return SearchProcess(
        session=session,
        context=context,
        console=console,
        bars=bars,
        shipper=shipper,
        pace=pace,
        is_worker=options.worker,
    )


def _train(process: SearchProcess, options: Namespace, notice: InterruptionNotice) -> FinalistsStudy | None:
    """Trials and finalists, here and in workers."""
    session, console = process.session, process.console
    inputs, search = session.inputs, session.search
    missing = max(inputs.total - search.num_ended(), num_trainings_to_come(search, inputs.total))
    stops = process.context.stops
    if missing:
        stops.check_study()
    workers = Workers(
        min(inputs.num_workers, missing) - 1,
        worker_command(options, threads=inputs.pool.num_threads),
        say=console.say,
    )
    notice.before_end(workers.terminate)
    with process.bars, workers, console.stopping_after("this training step"), stops.handling_signals():
        run_trials(process)
        return run_finalists(process)


def _publish(session: Session, companion: FinalistsStudy | None, options: Namespace, console: Console) -> list[str]:
    """Writes the result and the pages. Returns the last lines of the command."""
    searches = [session.search, companion] if companion else [session.search]
    with console.step("Judging the winner") as say_step, console.stopping_after("this step"):
        publish = partial(
            publish_study,
            session.search,
            session.inputs.trial_files,
            session.log,
            about=session.about,
            companion=companion,
            comparison_rows=_comparison(session, is_wanted=options.compare, console=console),
            say_step=say_step,
        )
        result = with_room(publish, searches, session.inputs.datasets, console)
    return summary(result, session.search.directory)


def _publish_so_far(session: Session, options: Namespace, console: Console) -> list[str]:
    """At the deadline: result and pages of the trials that have ended. The finalists do not choose the winner before
    all of their trainings have ended. Returns the last lines of the command."""
    lines = []
    if session.search.num_ended():
        lines = _publish(session, None, Namespace(**{**vars(options), "compare": False}), console)
    return [*lines, timeout_line(session.search, session.inputs.total, minutes=options.timeout)]


def _limit_trainings(session: Session, companion: FinalistsStudy | None, options: Namespace) -> list[str]:
    studies = [session.search, companion] if companion else [session.search]
    return limit_trainings(studies, session.inputs.datasets, keep_gb=options.keep_gb).lines(options.keep_gb)


def _comparison(session: Session, *, is_wanted: bool, console: Console) -> Callable[[Mapping[str, Any]], list[Row]]:
    """The function that compares a winner: trains the alternatives where that is wanted, else reads what is kept."""
    if is_wanted:
        return partial(compare_winner, session.search, session.inputs.datasets, say=console.say)
    return partial(kept_comparison, session.search)


def _log_end(session: Session, status: RunStatus, state: str) -> None:
    """Logs the end of the study's run; logs nothing on a full disk, which the study's own error names."""
    try:
        session.log.end(status, tags={"optuna.state": state})
    except OSError as error:
        if not is_disk_full(error):
            raise
