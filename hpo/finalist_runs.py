"""After the trials: this process's share of the finalists' trainings."""

from hpo.disk_room import with_room
from hpo.messages import failed_finalists_line, finalists_line
from hpo.results.finalists import FinalistsStudy, open_finalists
from hpo.search.study import objective_name
from hpo.search.trial_record import trial_records
from hpo.search.work import work_on
from hpo.search_process import SearchProcess


def run_finalists(process: SearchProcess) -> FinalistsStudy | None:
    """Trains the finalists of a search that has its trials; returns None where there is nothing to train.

    A failed training counts against its finalist and stops nothing. Raises StudyTimeout at the study's deadline.
    """
    search = process.session.search
    if search.num_ended() < process.session.inputs.total:  # a worker whose search was ended before
        return None
    companion = open_finalists(search)
    if companion is None:
        return None
    if companion.num_missing():
        process.context.stops.check_study()
    process.bars.show_finalists(companion)
    if companion.num_missing() and not process.is_worker:
        _say_begin(process, companion)
    datasets = process.session.inputs.datasets
    with_room(lambda: _work(process, companion), [search, companion], datasets, process.console)
    if companion.num_failed() and not process.is_worker:
        process.console.say(failed_finalists_line(companion.num_failed(), len(companion.plan)))
    return companion


def _work(process: SearchProcess, companion: FinalistsStudy) -> None:
    """Repeats where another process has made the search longer and queued new finalists."""
    while companion.num_missing():
        for end in work_on(companion, companion.num_queued(), process.context, wait_for_others=not process.is_worker):
            process.say_end(end, None, companion)
        if process.is_worker:
            break


def _say_begin(process: SearchProcess, companion: FinalistsStudy) -> None:
    search, num_missing = process.session.search, companion.num_missing()
    epochs = search.spec.finalists.epochs(search.spec.training.epochs)
    seconds = process.pace.seconds_left(
        [record for record in trial_records(search.study) if record.epochs],
        num_missing=0,
        num_finalist_epochs=num_missing * epochs,
        num_epochs_done=0,
    )
    num_finalists = len({number for number, _, _ in companion.plan})
    process.console.say(finalists_line(num_finalists, num_missing, seconds, objective=objective_name(search.study)))
