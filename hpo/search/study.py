"""A study: created once, joined by any number of processes, resumed until its trials are done.

`--trials N` is the study's total. Trials are handed out one at a time under the storage's lock, so there are never more
than N and none is handed out twice. A trial whose process died is handed out again, under its own number.
A proposal's randomness comes from the study's seed and the trial's number, a training's from the study's seed and the
training's setup, and what a trial learns from others depends on their numbers (hpo/search/known_trials.py). So an
interrupted and resumed study equals an uninterrupted one, with any number of workers up to the lag.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from core.errors import UserError
from core.experiment import TRAININGS_DIRECTORY, ExperimentConfig
from core.model.scoring import ScoringConfig
from core.whole_file import write_text
from hpo.search.history import histories_of, with_histories
from hpo.search.identity import IDENTITY, check_identity, identity_of
from hpo.search.known_trials import known_trials, may_begin
from hpo.search.lease import TrialLease, give_back, give_back_the_dead
from hpo.search.proposal_in_copy import ProposalInCopy
from hpo.search.samplers import derived_seed, make_pruner, make_sampler
from hpo.search.search_space import SearchSpace
from hpo.search.server_storage import ServerStorage
from hpo.search.storage import StudyStorage
from hpo.search.study_folder import STUDY_FILE, TRIALS_DIRECTORY, left_by_another, make_folder, remembered_of
from hpo.search.study_spec import FIRST_OBJECTIVE, OBJECTIVES, StudySpec
from hpo.tracking.run_log import EVENTS_FILE_NAME, RunLog

UID, EXPERIMENT = "uid", "experiment"
"""User attributes of the study: its unique key, its MLflow experiment."""
POST_OF = "post_of"
"""User attribute of a companion study (`hpo/results/stored_points.py`): the unique key of its main study."""
STATE_TAG = "optuna.state"
MAX_FAILURES_IN_A_ROW = 5
FINALISTS_SUFFIX, FINALISTS_DIRECTORY = "-finalists", "finalists"
POST_SUFFIX = "-post"
COMPANION_SUFFIXES = (FINALISTS_SUFFIX, POST_SUFFIX)
"""Suffixes of companion studies: the main study's name comes before. They are archived with it."""


def companion_name(name: str) -> str:
    """The name of the companion study that searches the post-processing of a study's best trials."""
    return f"{name}{POST_SUFFIX}"


def objective_name(study: optuna.Study) -> str:
    """What the values of a study's trials are, on validation."""
    return OBJECTIVES[study.user_attrs.get(IDENTITY, {}).get("objective", FIRST_OBJECTIVE)]


def score_name(study: optuna.Study) -> str:
    """The default score of a study's trials, in whose sigmas windows and thresholds are."""
    return str(study.user_attrs.get(IDENTITY, {}).get("scoring", {}).get("score", ScoringConfig().score))


@dataclass(frozen=True, kw_only=True)
class OpenStudy:
    """A study with its storage and its folder, which hands out trials."""

    spec: StudySpec
    space: SearchSpace
    study: optuna.Study
    storage: StudyStorage
    directory: Path

    @property
    def uid(self) -> str:
        return str(self.study.user_attrs[UID])

    @property
    def experiment(self) -> str:
        return str(self.study.user_attrs[EXPERIMENT])

    @property
    def trials_directory(self) -> Path:
        return self.directory / TRIALS_DIRECTORY

    @property
    def needs_whole_trainings(self) -> bool:
        """Whether a training that ends early is of no use."""
        return False

    def trial_directory(self, number: int) -> Path:
        return self.trials_directory / f"{number:04d}"

    @property
    def trainings_directory(self) -> Path:
        return self.directory / TRAININGS_DIRECTORY

    def configuration_of(self, trial: optuna.Trial) -> ExperimentConfig:
        return self.space.suggest(trial)

    def training_seed_of(self, trial: optuna.Trial | FrozenTrial) -> int:  # noqa: ARG002 (a finalist's has its own)
        """The seed of a training, which its setup completes: trials of equal setup share one training
        (core/model/scored_training.py)."""
        return self.spec.seed

    def run_name_of(self, trial: optuna.Trial | FrozenTrial) -> str:
        return f"trial {trial.number:02d}"

    def run_tags_of(self, trial: optuna.Trial | FrozenTrial) -> dict[str, str]:
        return {"optuna.study": self.study.study_name, "optuna.trial": str(trial.number)}

    @property
    def lag(self) -> int:
        """How far before a trial those are whose results it knows; 0 where it knows whatever has ended."""
        return self.spec.sampler.lag

    def num_begun(self) -> int:
        """Trials that have ended or that a process has."""
        return sum(trial.state is not TrialState.WAITING for trial in self.study.get_trials(deepcopy=False))

    def num_ended(self) -> int:
        return sum(trial.state.is_finished() for trial in self.study.get_trials(deepcopy=False))

    def failures_in_a_row(self) -> int:
        """How many of the latest ended trials failed in a row."""
        ended = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished()]
        failed = [trial.state is TrialState.FAIL for trial in reversed(ended)]
        return failed.index(False) if False in failed else len(failed)

    def claim_trial(self, total: int) -> tuple[optuna.Trial, TrialLease] | None:
        """The next trial, with all parameters and its lock held; None while there is none, or one runs that it learns
        from."""
        return self.storage.patience.call(lambda: self._claim_trial(total))

    def _claim_trial(self, total: int) -> tuple[optuna.Trial, TrialLease] | None:
        with self.storage.lock():
            self._give_back_the_dead()
            # One snapshot for all that is decided: `tell` takes no lock, so a trial may end between two reads.
            trials = self.study.get_trials(deepcopy=False)
            if sum(trial.state is not TrialState.WAITING for trial in trials) >= total:
                return None
            waiting = [trial.number for trial in trials if trial.state is TrialState.WAITING]
            number = min(waiting, default=len(trials))
            if not may_begin(trials, number, lag=self.lag):
                return None
            self.study.sampler = self._sampler_of(number, trials)
            trial = self.study.ask()
            assert trial.number == number, f"asked for trial {number}, but got {trial.number}"
            self.space.suggest(trial)  # now, so that the trials after it know its parameters
            return trial, TrialLease(self.storage, trial, self.trial_directory(number))

    def _sampler_of(self, number: int, trials: Sequence[FrozenTrial]) -> optuna.samplers.BaseSampler:
        sampler = make_sampler(self.spec.sampler, derived_seed(self.spec.seed, number))
        distributions, own = self.space.distributions, known_trials(trials, number, lag=self.lag)
        return ProposalInCopy(sampler, distributions, with_histories(own, histories_of(self.study), distributions))

    def _give_back_the_dead(self) -> None:
        """Gives back trials of dead processes. Logs the end of a trial that is not tried again."""
        for dead in give_back_the_dead(self.storage, self.study, self.trials_directory):
            if dead.failure is not None:
                frozen = self.study.get_trials(deepcopy=False)[dead.number]
                log = RunLog(self.trial_directory(dead.number) / EVENTS_FILE_NAME)
                tags = {STATE_TAG: "FAIL", "failure": dead.failure}
                log.end("FAILED", name=f"{self.run_name_of(frozen)} failed", tags=tags)

    def tell(self, trial: optuna.Trial, value: float | None, state: TrialState) -> None:
        """Ends a trial. Raises LeaseLost where another process has taken it over."""
        try:
            self.study.tell(trial, value, state=state)
        except ValueError:  # Optuna's, for a trial that is given back or has ended
            if isinstance(self.storage.backend, ServerStorage):
                self.storage.backend.check_still_owner(trial._trial_id)
            raise

    def is_ended(self, trial: optuna.Trial) -> bool:
        return self.storage.backend.get_trial(trial._trial_id).state.is_finished()

    def give_back(self, trial: optuna.Trial) -> None:
        give_back(self.storage, trial._trial_id)


def open_study(
    name: str, spec: StudySpec, *, data_fingerprint: str, storage: StudyStorage, directory: Path
) -> OpenStudy:
    """Creates or joins the study. UserError where its storage, its space, its data or how it trains have changed."""
    with storage.lock():
        remembered = remembered_of(directory)
        _check_storage(name, remembered, storage)
        study = _study_of(name, storage)
        identity = identity_of(spec, data_fingerprint=data_fingerprint)
        if IDENTITY in study.user_attrs:
            check_identity(name, study.user_attrs[IDENTITY], identity)
        else:
            if not remembered and (directory / TRIALS_DIRECTORY).is_dir():
                raise left_by_another(directory)
            uid = uuid.uuid4().hex[:12]
            study.set_user_attr(UID, uid)
            study.set_user_attr(EXPERIMENT, _experiment_name(name, uid, storage))
            if not study.get_trials(deepcopy=False):
                study.enqueue_trial(spec.search_space.default_parameters)
            study.set_user_attr(IDENTITY, identity)  # last: a study without it is created again
        uid = str(study.user_attrs[UID])
        if remembered.get("uid", uid) != uid:
            raise left_by_another(directory)
        if not remembered:
            make_folder(directory)
            write_text(directory / STUDY_FILE, json.dumps({"storage": storage.name, "uid": uid}, indent=2) + "\n")
    study.pruner = make_pruner(spec.pruner, spec.training.epochs)
    return OpenStudy(spec=spec, space=spec.search_space, study=study, storage=storage, directory=directory)


def _study_of(name: str, storage: StudyStorage) -> optuna.Study:
    """Loads it before it would be created, because the attempt to create one is written into a journal."""
    try:
        return optuna.load_study(study_name=name, storage=storage.backend)
    except KeyError:
        return optuna.create_study(study_name=name, storage=storage.backend, direction="maximize")


def names_of_searches(storage: StudyStorage) -> list[str]:
    """The searches of the storage, in order: neither their companions nor another program's studies."""
    summaries = optuna.get_all_study_summaries(storage.backend)
    return sorted(summary.study_name for summary in summaries if EXPERIMENT in summary.user_attrs)


def _experiment_name(name: str, uid: str, storage: StudyStorage) -> str:
    """The study's name; with a suffix where the experiment of that name belongs to an archived study."""
    summaries = optuna.get_all_study_summaries(storage.backend)
    taken = {summary.user_attrs.get(EXPERIMENT) for summary in summaries}
    return f"{name}-{uid[:6]}" if name in taken else name


def _check_storage(name: str, remembered: Mapping[str, str], storage: StudyStorage) -> None:
    known = remembered.get("storage", storage.name)
    if known != storage.name and not _is_same_study(name, remembered, storage):
        raise UserError(
            f"The storage of study {name!r} must be the one it was made with ({known}), but got {storage.name}. "
            "Name that one with --storage, or make another study with --name."
        )


def _is_same_study(name: str, remembered: Mapping[str, str], storage: StudyStorage) -> bool:
    """Whether this server is the remembered one at another address: a container and its host name it differently."""
    if not storage.is_server:  # a file may be an old copy
        return False
    summaries = optuna.get_all_study_summaries(storage.backend)
    return any(each.study_name == name and each.user_attrs.get(UID) == remembered.get("uid") for each in summaries)
