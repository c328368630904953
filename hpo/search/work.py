"""The loop of every process that works on a study: claims a trial, runs it, and claims the next."""

import time
from collections.abc import Iterator

from hpo.search.objective import run_trial
from hpo.search.server_storage import LeaseLost
from hpo.search.stopping import StudyTimeout
from hpo.search.study import OpenStudy
from hpo.search.trial_context import TrialContext, TrialEnd
from hpo.search.workers import is_parent_gone

SECONDS_BETWEEN_CLAIMS = 1.0
"""Pause of a process that got no trial, before it asks whether another process's trial has ended or died."""


def work_on(search: OpenStudy, total: int, context: TrialContext, *, wait_for_others: bool) -> Iterator[TrialEnd]:
    """Runs trials until the study has `total` and yields the end of each that this process ran.

    Leaves a trial that this process has lost to another one, with a line. With `wait_for_others` it returns only when
    the trials of other processes have ended, too, and takes over the trial of a process that dies. Raises StudyTimeout
    at the study's deadline, where trials are missing then.
    """
    has_said = False
    while not is_parent_gone():
        if context.stops.is_over and search.num_ended() < total:
            raise StudyTimeout
        claim = search.claim_trial(total)
        if claim is None:
            if (search.num_ended() if wait_for_others else search.num_begun()) >= total:
                return
            if not has_said and search.num_begun() < total:
                _say_waiting(search, context)
                has_said = True
            time.sleep(SECONDS_BETWEEN_CLAIMS)
            continue
        trial, lease = claim
        try:
            end = run_trial(trial, search, context, lease)
        except LeaseLost:
            name = search.run_name_of(trial)
            context.say(f"{name.capitalize()} went to another process while this one was away. It takes another trial.")
            continue
        finally:
            lease.release()
        yield end


def _say_waiting(search: OpenStudy, context: TrialContext) -> None:
    """Names the trial that the next one waits for, which is the first that has not ended."""
    running = [trial.number for trial in search.study.get_trials(deepcopy=False) if not trial.state.is_finished()]
    if running and search.lag:
        context.say(f"Waiting for trial {running[0]:02d}, which the next one learns from (sampler.lag {search.lag}).")
