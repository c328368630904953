"""`--warm-start`: a study begins with the best configurations of other studies.

A configuration fits where each of its parameters that is searched here lies in its range here. The best that fit are
the first trials after trial 0, which stays the default configuration. The history of a study with the same objective
and score goes to the sampler (hpo/search/history.py).

No leak: a study remembers the digests of the validation takes that chose its best configurations, its own and those
of the studies that it began with. Where one of them is a test take here, the other study is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from core.data.dataset import Dataset
from core.data.parts import share_samples
from core.errors import UserError, did_you_mean
from hpo.results.winner import by_objective
from hpo.search.history import HISTORY
from hpo.search.search_space import SearchSpace
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, names_of_searches, objective_name, score_name
from hpo.search.trial_record import TrialRecord, trial_records

CHOSE = "chose"
"""User attribute of a study: the digests of the takes that choose in it. Absent where they are not listed before."""
WARM_START = "warm_start"
"""User attribute of a study: the names of the studies that it began with."""
BEST = 3
"""Configurations of each study."""
MAX_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What another study knows."""

    name: str
    objective: str
    score: str
    trials: tuple[TrialRecord, ...]
    """Its complete trials, the best first."""
    chose: tuple[str, ...]
    """The digests of the takes that chose them."""


def remember_what_chose(search: OpenStudy, dataset: Dataset) -> None:
    """Keeps the digests of the validation takes, once."""
    digests = dataset.digests.get("validation")
    if digests and CHOSE not in search.study.user_attrs:
        search.study.set_user_attr(CHOSE, sorted(digests))


def offers_of(names: Sequence[str], storage: StudyStorage, dataset: Dataset, *, to: str | None) -> tuple[Offered, ...]:
    """What these studies offer to the study `to`, which need not exist yet; nothing where it has begun with them.

    UserError as `are_to_come` raises it, and where another study has no complete trial, or was chosen by a take that
    is tested here. Nothing is written.
    """
    return tuple(_offered(name, storage, dataset) for name in names) if are_to_come(names, storage, to=to) else ()


def are_to_come(names: Sequence[str], storage: StudyStorage | None, *, to: str | None) -> bool:
    """False where the study `to` has begun with these. The storage is None where there is none yet, and `to` where it
    will be another study.

    UserError where `to` has begun otherwise, and for a study that is not in the storage.
    """
    begun = _load(to, storage) if to and storage else None
    began_with = None if begun is None else begun.user_attrs.get(WARM_START)
    if began_with is not None and set(began_with) == set(names):
        return False
    if begun is not None and (began_with is not None or _has_tried(begun)):
        how = f"with {', '.join(began_with)}" if began_with else "without other studies"
        raise UserError(
            f"--warm-start must be given when a study begins, but {to!r} has begun {how}. Leave it out, or begin "
            "another study with --fresh or --name."
        )
    _check_known(names, storage)
    return True


def _check_known(names: Sequence[str], storage: StudyStorage | None) -> None:
    known = names_of_searches(storage) if storage else []
    for name in names:
        if name not in known:
            raise UserError(
                f"--warm-start must name studies of the storage{f' {storage.name}' if storage else ''}, but it has no "
                f"{name!r}.{did_you_mean(name, known)}"
            )


def _has_tried(study: optuna.Study) -> bool:
    """Whether a trial has begun. A study that was interrupted before that begins with others all the same."""
    return any(trial.state is not TrialState.WAITING for trial in study.get_trials(deepcopy=False))


def begin_with(search: OpenStudy, offers: Sequence[Offered]) -> list[str]:
    """Enqueues what fits, remembers the histories and what chose there, and says what it did, in lines.

    What an interrupted call has done is not done twice.
    """
    chose = {digest for offered in offers for digest in offered.chose}
    search.study.set_user_attr(CHOSE, sorted(chose.union(search.study.user_attrs.get(CHOSE, ()))))
    lines = [line for offered in offers for line in (*_enqueue(search, offered), *_remember(search, offered))]
    search.study.set_user_attr(WARM_START, [offered.name for offered in offers])
    return lines


def _offered(name: str, storage: StudyStorage, dataset: Dataset) -> Offered:
    study = _load(name, storage)
    assert study is not None, "are_to_come has looked"
    chose = _checked_for_leaks(name, study.user_attrs.get(CHOSE), dataset)
    ranked = by_objective(trial_records(study))
    if not ranked:
        raise UserError(f"--warm-start must name studies with a complete trial, but {name!r} has none. Leave it out.")
    return Offered(
        name=name,
        objective=objective_name(study),
        score=score_name(study),
        trials=tuple(ranked),
        chose=tuple(chose),
    )


def _load(name: str, storage: StudyStorage) -> optuna.Study | None:
    try:
        return optuna.load_study(study_name=name, storage=storage.backend)
    except KeyError:
        return None


def _checked_for_leaks(name: str, chose: Sequence[str] | None, dataset: Dataset) -> Sequence[str]:
    """`chose`. UserError unless it is known, and none of it is tested here."""
    tested = dataset.digests.get("test")
    if chose is None or tested is None:
        which = f"{name!r} does not" if chose is None else "this one does not"
        raise UserError(
            f"--warm-start must have studies that remember which takes chose and which are tested, but {which}: it "
            "streams its takes, or an earlier version began it. Leave it out."
        )
    shared = sorted(take for digest, take in tested.items() if is_among(digest, set(chose)))
    if shared:
        named = ", ".join(repr(each) for each in shared[:MAX_NAMED])
        others = f" and {len(shared) - MAX_NAMED} more" if len(shared) > MAX_NAMED else ""
        raise UserError(
            f"--warm-start must name studies that did not choose by a take that is tested here, but {name!r} chose by "
            f"{named}{others}. Its best configurations have seen them: leave it out."
        )
    return chose


def is_among(tested: str, chose: set[str]) -> bool:
    """Whether some of a take's or a part's samples have chosen."""
    return any(share_samples(tested, each) for each in chose)


def _enqueue(search: OpenStudy, offered: Offered) -> Iterator[str]:
    """Enqueues the best that fit, and says what does not."""
    space, num_before = search.space, _num_trials(search.study)
    own = []
    for parameters in (_searched_here(record, space) for record in offered.trials):
        if parameters not in own:
            own.append(parameters)
    fitting = [each for each in own if not _outside(each, space)][:BEST]
    for parameters in fitting:
        search.study.enqueue_trial({**space.default_parameters, **parameters}, skip_if_exists=True)
    better = own[: own.index(fitting[-1])] if fitting else own
    if outside := [place for each in better if (place := _outside(each, space))]:
        others = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
        yield f"{offered.name}: outside of the ranges here, and left out: {outside[0]}{others}"
    if not_searched := {name for record in offered.trials for name in record.parameters} - set(space.distributions):
        yield f"{offered.name}: not searched here, and as this study file has it: {', '.join(sorted(not_searched))}"
    num_new = _num_trials(search.study) - num_before
    there = f"; already there: {len(fitting) - num_new}" if num_new < len(fitting) else ""
    best = f"{num_new} of its best {len(fitting)} configurations here come" if fitting else "no configuration comes"
    yield f"{offered.name}: {best} after trial 0{there}"


def _searched_here(record: TrialRecord, space: SearchSpace) -> dict[str, Any]:
    return {name: value for name, value in record.parameters.items() if name in space.distributions}


def _outside(parameters: Mapping[str, Any], space: SearchSpace) -> str | None:
    """The first parameter that does not lie in its range here, with its value."""
    return next((f"{name} {value}" for name, value in parameters.items() if not space.holds(name, value)), None)


def _num_trials(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False))


def _remember(search: OpenStudy, offered: Offered) -> Iterator[str]:
    """Adds the trials to the study's histories, as far as their parameters are searched here, in their ranges."""
    for what, of_it, sought in (
        ("objective", offered.objective, objective_name(search.study)),
        ("score", offered.score, score_name(search.study)),
    ):
        if of_it != sought:
            yield f"{offered.name}: the sampler does not see it, as its {what} is {of_it} and not {sought}"
            return
    if search.spec.sampler.kind == "random":
        yield f"{offered.name}: the sampler does not see it, as it draws at random"
        return
    own = [
        {name: value for name, value in _searched_here(record, search.space).items() if search.space.holds(name, value)}
        for record in offered.trials
    ]
    values = [record.objective for record in offered.trials]
    histories = [each for each in search.study.user_attrs.get(HISTORY, []) if each["study"] != offered.name]
    search.study.set_user_attr(HISTORY, [*histories, {"study": offered.name, "parameters": own, "values": values}])
    yield f"{offered.name}: the sampler sees its complete trials ({len(own)})"
