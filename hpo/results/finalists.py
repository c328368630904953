"""The finalists: the best trials of a search, trained again with new seeds, as trials of a companion study.

The companion is the Optuna study `<name>-finalists` in the same storage, and its folder is `runs/<name>/finalists/`.
Its queue holds the parameters of the finalists, each with a seed. Its trials are handed out, interrupted, resumed and
logged like those of a search. The queue follows from the search's records, so any process may fill it. When a search
grows, the companion keeps its trainings and adds the missing ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from core.errors import UserError
from core.experiment import ExperimentConfig
from hpo.results.winner import Finalist, SeedTraining, choose_best, has_score
from hpo.search.samplers import derived_seed
from hpo.search.study import FINALISTS_DIRECTORY, FINALISTS_SUFFIX, UID, OpenStudy
from hpo.search.study_tables import PrunerConfig, SamplerConfig
from hpo.search.trial_record import TrialRecord, trial_records

ENTRY = "finalist"
"""User attribute of a companion's trial: `trial`, `seed`, `epochs`, and the `training_seed` that follows from them."""

Key = tuple[int, int, int]
"""Trial of the search, seed, epochs. They identify a training."""


@dataclass(frozen=True, kw_only=True)
class FinalistsStudy(OpenStudy):
    """The open companion. Its trials have the order of the queue."""

    main: OpenStudy
    plan: tuple[Key, ...]
    """The trainings of the current finalists. The queue may hold more, from when the search had fewer trials."""

    @property
    def uid(self) -> str:
        return _uid(self.main)

    @property
    def experiment(self) -> str:
        """The search's experiment, so that one chart shows a trial and its new seeds."""
        return self.main.experiment

    @property
    def trainings_directory(self) -> Path:
        return self.main.trainings_directory

    @property
    def needs_whole_trainings(self) -> bool:
        """Their mean needs them."""
        return True

    def configuration_of(self, trial: optuna.Trial) -> ExperimentConfig:
        config = super().configuration_of(trial)
        return replace(config, training=replace(config.training, epochs=trial.user_attrs[ENTRY]["epochs"]))

    def training_seed_of(self, trial: optuna.Trial | FrozenTrial) -> int:
        return int(trial.user_attrs[ENTRY]["training_seed"])

    def run_name_of(self, trial: optuna.Trial | FrozenTrial) -> str:
        entry = trial.user_attrs[ENTRY]
        return f"trial {entry['trial']:02d} seed {entry['seed']}"

    def run_tags_of(self, trial: optuna.Trial | FrozenTrial) -> dict[str, str]:
        """The tags of the search's trial, so that one query finds it and its seeds."""
        entry = trial.user_attrs[ENTRY]
        return {
            "optuna.study": self.main.study.study_name,
            "optuna.trial": str(entry["trial"]),
            "seed": str(entry["seed"]),
        }

    def num_queued(self) -> int:
        """Number of trainings that were ever queued: the companion's total."""
        return len(self.study.get_trials(deepcopy=False))

    def num_missing(self) -> int:
        """Number of trainings of the current finalists that have not ended."""
        ended = {key for key, trial in _by_key(self.study).items() if trial.state.is_finished()}
        return len(set(self.plan) - ended)

    def num_failed(self) -> int:
        """Number of trainings of the current finalists that ended without a score."""
        trials = _by_key(self.study)
        ended = [trials[key] for key in self.plan if trials[key].state.is_finished()]
        return sum(not has_score(TrialRecord.of(trial)) for trial in ended)


def open_finalists(search: OpenStudy) -> FinalistsStudy | None:
    """Makes the companion or joins it, and queues the missing trainings. Call it when the search has its trials.

    Returns None where there is nothing to train: new seeds are turned off, or no trial is complete.
    """
    entries = list(_entries(search))
    if not entries:
        return None
    with search.storage.lock():
        study = _create_or_load(search)
        _end_strays(search, study)
        known = _by_key(study)
        for parameters, entry in entries:
            if _key_of(entry) not in known:
                study.enqueue_trial(parameters, user_attrs={ENTRY: entry})
    study.pruner = optuna.pruners.NopPruner()  # the mean needs whole trainings
    return FinalistsStudy(
        # The queue holds all parameters, and no training is pruned: none has to wait for another.
        spec=replace(search.spec, sampler=SamplerConfig(kind="random", lag=0), pruner=PrunerConfig(kind="none")),
        space=search.space,
        study=study,
        storage=search.storage,
        directory=search.directory / FINALISTS_DIRECTORY,
        main=search,
        plan=tuple(_key_of(entry) for _, entry in entries),
    )


def num_trainings_to_come(search: OpenStudy, total: int) -> int:
    """How many trainings of finalists are missing; the largest possible number before the search has its trials."""
    if search.num_ended() < total:
        config = search.spec.finalists
        return min(config.count, total) * len(config.seeds(search.spec.training.epochs))
    companion = open_finalists(search)
    return companion.num_missing() if companion else 0


def finalists_of(companion: FinalistsStudy) -> list[Finalist]:
    """The current finalists with all their trainings, which must have ended; best first by the search's rule."""
    trials = _by_key(companion.study)
    by_number: dict[int, list[SeedTraining]] = {number: [] for number, _, _ in companion.plan}
    for key in companion.plan:
        record = TrialRecord.of(trials[key])
        directory = companion.trial_directory(record.number)
        by_number[key[0]].append(SeedTraining(seed=key[1], record=record, directory=directory))
    return [_finalist(companion, number, seeds) for number, seeds in by_number.items()]


def _finalist(companion: FinalistsStudy, number: int, seeds: Sequence[SeedTraining]) -> Finalist:
    """Adds the training of the search as the first seed, unless the companion has repeated it."""
    search, epochs = companion.main, companion.plan[0][2]
    own = SeedTraining(seed=1, record=trial_records(search.study)[number], directory=search.trial_directory(number))
    return Finalist(number=number, epochs=epochs, seeds=tuple(seeds) if seeds[0].seed == 1 else (own, *seeds))


def _entries(search: OpenStudy) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    """Parameters and ENTRY of every training that the current finalists need, in the order of the queue."""
    config, epochs = search.spec.finalists, search.spec.training.epochs
    trials = search.study.get_trials(deepcopy=False)
    for record in choose_best(trial_records(search.study), config.count):
        own = search.training_seed_of(trials[record.number])
        for seed in config.seeds(epochs):
            training_seed = own if seed == 1 else derived_seed(own, seed)
            entry = {"trial": record.number, "seed": seed, "epochs": config.epochs(epochs)}
            yield dict(record.parameters), {**entry, "training_seed": training_seed}


def _create_or_load(search: OpenStudy) -> optuna.Study:
    name = search.study.study_name + FINALISTS_SUFFIX
    study = optuna.create_study(
        study_name=name, storage=search.storage.backend, direction="maximize", load_if_exists=True
    )
    if study.user_attrs.get(UID, _uid(search)) != _uid(search) or (study.trials and UID not in study.user_attrs):
        raise UserError(
            f"Study {name!r} must belong to study {search.study.study_name!r}, but belongs to another one. "
            "Archive both with --fresh, or give the search another --name."
        )
    study.set_user_attr(UID, _uid(search))
    return study


def _uid(search: OpenStudy) -> str:
    return f"{search.uid}{FINALISTS_SUFFIX}"


def _by_key(study: optuna.Study) -> dict[Key, FrozenTrial]:
    """The queued trainings. A trial that was never queued, which a race of an earlier version could leave, is none."""
    trials = study.get_trials(deepcopy=False)
    return {_key_of(trial.user_attrs[ENTRY]): trial for trial in trials if ENTRY in trial.user_attrs}


def _end_strays(search: OpenStudy, study: optuna.Study) -> None:
    """Fails trials that were never queued, so that no process claims them."""
    for trial in study.get_trials(deepcopy=False):
        if ENTRY not in trial.user_attrs and not trial.state.is_finished():
            search.storage.backend.set_trial_state_values(trial._trial_id, TrialState.FAIL)


def _key_of(entry: dict[str, int]) -> Key:
    return entry["trial"], entry["seed"], entry["epochs"]
