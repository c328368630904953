"""One process's part in a search: it claims a trial, runs it, says how it ended, and claims the next."""

from dataclasses import dataclass

from core.errors import UserError
from hpo.disk_room import with_room
from hpo.messages import trial_line
from hpo.results.winner import highest
from hpo.search.study import MAX_FAILURES_IN_A_ROW, OpenStudy, objective_name
from hpo.search.trial_context import TrialContext, TrialEnd
from hpo.search.trial_record import TrialRecord, trial_records
from hpo.search.work import work_on
from hpo.session.session import Session, link_trials
from hpo.terminal.console import Console
from hpo.terminal.progress_bars import ProgressBars
from hpo.terminal.time_left import Pace
from hpo.tracking.shipper import Shipper


@dataclass(frozen=True, kw_only=True)
class SearchProcess:
    """The open study, and what shows, logs and sends its trials."""

    session: Session
    context: TrialContext
    console: Console
    bars: ProgressBars
    shipper: Shipper
    pace: Pace
    is_worker: bool
    """Whether another process makes the report."""

    def say_end(self, end: TrialEnd, best: TrialRecord | None, search: OpenStudy) -> None:
        """Says how a trial of `search` ended, and sends its records. In a terminal the bars show trials that did not
        fail and whose time had not passed."""
        if not self.console.is_terminal or end.failure or end.stopped:
            self.console.say(trial_line(end, best, objective=objective_name(self.session.search.study)))
        self.shipper.poke()
        link_trials(self.session, search, self.shipper)


def run_trials(process: SearchProcess) -> None:
    """Works until the study has its trials. UserError when five configurations in a row have failed."""
    session = process.session
    with_room(lambda: _work(process), [session.search], session.inputs.datasets, process.console)


def _work(process: SearchProcess) -> None:
    session = process.session
    search, total = session.search, session.inputs.total
    # A worker waits, too, where finalists follow: they are known when all trials have ended.
    wait_for_others = not process.is_worker or search.spec.finalists.new_seeds > 0
    for end in work_on(search, total, process.context, wait_for_others=wait_for_others):
        best = _log_best(session, end.number)
        process.say_end(end, best, search)
        failed = search.failures_in_a_row()
        if failed >= MAX_FAILURES_IN_A_ROW and search.num_ended() < total:
            reasons = [record.failure for record in trial_records(search.study) if record.failure]
            raise UserError(
                f"Configurations must be trainable, but {failed} in a row failed, one because {reasons[-1]}. "
                "Look at the space's ranges; the same command resumes the study."
            )


def _log_best(session: Session, number: int) -> TrialRecord | None:
    """Logs the best objective so far as a curve of the study's own run. Its step counts trials by their number, not by
    their end, because two machines may end trials at the same moment, and a step must have one point."""
    best = highest(trial_records(session.search.study))
    if best is not None and best.objective is not None:
        session.log.metrics(number + 1, {"best_objective": best.objective})
    return best
