"""After the search: this process's share of the finalists' trainings."""

from dataclasses import dataclass, replace

from core.experiment import EpochResult
from hpo.console import Console
from hpo.results.finalists import FinalistsStudy, open_finalists
from hpo.search.objective import TrialContext
from hpo.search.study import OpenStudy
from hpo.search.work import work_on
from hpo.session import Session, link_trials
from hpo.tracking.shipper import Shipper


@dataclass(frozen=True, kw_only=True)
class SeedProgress:
    """Tells the console of epochs under the names of the finalists' runs."""

    console: Console
    search: OpenStudy

    def epoch(self, number: int, result: EpochResult) -> None:
        trial = self.search.study.get_trials(deepcopy=False)[number]
        self.console.epoch_of(self.search.run_name_of(trial), result)


def run_finalists(
    session: Session, context: TrialContext, console: Console, shipper: Shipper, *, is_worker: bool
) -> FinalistsStudy | None:
    """Trains the finalists of a search that has its trials; None where there is nothing to train. A failed training
    counts against its finalist and stops nothing."""
    if session.search.num_ended() < session.inputs.total:  # a worker whose search was ended before
        return None
    companion = open_finalists(session.search)
    if companion is None:
        return None
    here = replace(session, search=companion)
    context = replace(context, progress=SeedProgress(console=console, search=companion))
    config, epochs = session.search.spec.finalists, session.search.spec.training.epochs
    console.begin("finalists", total=companion.num_queued(), ended=companion.num_ended(), epochs=config.epochs(epochs))
    # Again where somebody who made the search longer has put more in the queue meanwhile.
    while companion.num_missing():
        for end in work_on(
            companion,
            companion.num_queued(),
            context,
            waits=not is_worker,
            on_poll=lambda: console.show(companion.num_ended(), None),
        ):
            console.show(companion.num_ended(), None)
            console.trial_ended(end, None)
            shipper.poke()
            link_trials(here, shipper)
        if is_worker:
            break
    return companion
