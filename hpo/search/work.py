"""The loop of every process that works on a study: take a trial, run it, and again, until there are enough."""

import time
from collections.abc import Callable, Iterator

from hpo.search.objective import TrialContext, TrialEnd, run_trial
from hpo.search.study import OpenStudy
from hpo.search.workers import parent_is_gone

SECONDS_BETWEEN_LOOKS = 1.0
"""How often a process with nothing to do looks whether another one's trial has ended or died."""


def work_on(
    search: OpenStudy, total: int, context: TrialContext, *, waits: bool, on_poll: Callable[[], None]
) -> Iterator[TrialEnd]:
    """Runs trials until the study has so many, and yields how each of this process ended.

    Who waits stays until those of other processes have ended, too, to take over what a dead one leaves; meanwhile
    `on_poll` is called after every look.
    """
    while not parent_is_gone():
        claim = search.claim_trial(total)
        if claim is None:
            if not waits or search.num_ended() >= total:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)
            on_poll()
            continue
        trial, lease = claim
        try:
            end = run_trial(trial, search, context)
        finally:
            lease.release()
        yield end
