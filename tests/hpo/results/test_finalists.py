"""The finalists: what is queued, how the queue is processed, and which file is handed over."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.decision.checkpoint import DETECTOR_FILE, load_detector
from core.errors import UserError
from core.experiment import EpochResult
from core.sources import open_source
from core.thread_pool import ThreadPool
from hpo.results.finalists import ENTRY, FinalistsStudy, finalists_of, num_trainings_to_come, open_finalists
from hpo.results.result import study_result, write_result
from hpo.results.winner import choose_best, choose_finalist
from hpo.search.archive import archive_study
from hpo.search.data_by_rate import Datasets
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, open_study
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec
from hpo.search.study_tables import FinalistsConfig
from hpo.search.trial_context import TrialContext
from hpo.search.trial_record import FACTS, trial_records
from hpo.search.work import work_on
from hpo.tracking.run_log import EVENTS_FILE_NAME, Started, read_events

ROOT = Path(__file__).resolve().parents[3]
ABOUT = {"data": "", "data_is_simulated": True}


@dataclass
class Listener:
    """Interrupts once, after the first epoch of the trial with that number."""

    at: int | None = None

    def epoch(self, number: int, _result: EpochResult) -> None:
        if number == self.at:
            self.at = None
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def spec() -> StudySpec:
    spec = load_study_file(ROOT / "tests/data/tiny.toml")
    training = replace(spec.training, epochs=2, seconds_per_epoch=0.5)
    return replace(spec, training=training, finalists=FinalistsConfig(count=2, new_seeds=2))


@pytest.fixture(scope="module")
def dataset(spec: StudySpec) -> Dataset:
    options = {key: value for key, value in spec.data.items() if key != "source"}
    config = DataConfig(sample_rate_hz=4000, clips=spec.clips, split=spec.split)
    return prepare_dataset(open_source("simulated", options=options), config)


def opened(spec: StudySpec, folder: Path) -> OpenStudy:
    storage = StudyStorage(str(folder / "optuna.journal"))
    return open_study("tiny", spec, data_fingerprint="f00", storage=storage, directory=folder / "tiny")


def with_records(search: OpenStudy, f1s: list[float]) -> OpenStudy:
    """Trials that are complete with these F1, without any training."""
    for f1 in f1s:
        claim = search.claim_trial(100)
        assert claim is not None
        trial, lease = claim
        search.space.suggest(trial)
        trial.set_user_attr(FACTS, {"val_f1": f1, "val_auc": 0.5, "num_weights": 1})
        search.study.tell(trial, f1)
        lease.release()
    return search


def work(search: OpenStudy, dataset: Dataset, total: int, *, at: int | None = None) -> None:
    datasets = Datasets(lambda _: dataset, [dataset.sample_rate_hz])
    context = TrialContext(
        datasets=datasets, device=torch.device("cpu"), pool=ThreadPool(1), tags={}, progress=Listener(at), say=print
    )
    for _ in work_on(search, total, context, wait_for_others=False):
        pass


def companion_of(search: OpenStudy) -> FinalistsStudy:
    companion = open_finalists(search)
    assert companion is not None
    return companion


def queue(companion: FinalistsStudy) -> list[tuple[int, int, int]]:
    entries = [trial.user_attrs[ENTRY] for trial in companion.study.get_trials(deepcopy=False)]
    return [(entry["trial"], entry["seed"], entry["epochs"]) for entry in entries]


def outline(companion: FinalistsStudy) -> list[Any]:
    trials = companion.study.get_trials(deepcopy=False)
    return [(t.number, t.state, t.params, t.values, t.intermediate_values, t.user_attrs[ENTRY]) for t in trials]


def test_the_best_trials_are_queued_once_with_their_parameters_and_new_seeds(spec: StudySpec, tmp_path: Path) -> None:
    search = with_records(opened(spec, tmp_path), [0.3, 0.9, 0.5])
    companion = companion_of(search)
    assert queue(companion) == [(1, 2, 2), (1, 3, 2), (2, 2, 2), (2, 3, 2)]
    assert len(queue(companion_of(search))) == 4, "a second call adds nothing"
    trials = companion.study.get_trials(deepcopy=False)
    seeds = {companion.training_seed_of(trial) for trial in trials}
    assert len(seeds | {search.spec.seed}) == 3
    claim = companion.claim_trial(companion.num_queued())
    assert claim is not None
    assert search.space.parameters_of(companion.configuration_of(claim[0])) == search.study.trials[1].params
    assert companion.run_name_of(claim[0]) == "trial 01 seed 2"
    claim[1].release()


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING])
def test_a_companion_with_a_trial_that_was_never_queued_opens_and_ends(
    spec: StudySpec, tmp_path: Path, state: TrialState
) -> None:
    """A race of an earlier version could leave one, and every later command ended in KeyError."""
    search = with_records(opened(spec, tmp_path), [0.3, 0.9])
    companion = companion_of(search)
    stray = optuna.trial.create_trial(state=state, value=0.5 if state is TrialState.COMPLETE else None)
    companion.study.add_trial(stray)
    companion = companion_of(search)
    while claim := companion.claim_trial(companion.num_queued()):
        companion.training_seed_of(claim[0])
        companion.study.tell(claim[0], 0.5)
        claim[1].release()
    assert companion.num_missing() == 0
    assert [len(each.seeds) for each in finalists_of(companion)] == [3, 3]


def test_two_processes_queue_the_same_seeds(spec: StudySpec, tmp_path: Path) -> None:
    studies = [with_records(opened(spec, tmp_path / name), [0.3, 0.9]) for name in ("here", "there")]
    here, there = (outline(companion_of(search)) for search in studies)
    assert here == there


def test_without_new_seeds_or_without_a_complete_trial_there_is_nothing_to_train(
    spec: StudySpec, tmp_path: Path
) -> None:
    off = replace(spec, finalists=FinalistsConfig(new_seeds=0, epochs_factor=2))
    search = with_records(opened(off, tmp_path / "off"), [0.3])
    assert open_finalists(search) is None
    assert num_trainings_to_come(search, 1) == num_trainings_to_come(search, 5) == 0
    empty = opened(spec, tmp_path / "empty")
    assert open_finalists(empty) is None
    assert {each.study_name for each in optuna.get_all_study_summaries(empty.storage.backend)} == {"tiny"}


def test_longer_trainings_repeat_the_trial_s_own_seed(spec: StudySpec, tmp_path: Path) -> None:
    longer = replace(spec, finalists=FinalistsConfig(count=1, new_seeds=1, epochs_factor=1.5))
    search = with_records(opened(longer, tmp_path), [0.3, 0.9])
    companion = companion_of(search)
    assert queue(companion) == [(1, 1, 3), (1, 2, 3)]
    own, new = companion.study.get_trials(deepcopy=False)
    assert companion.training_seed_of(own) == search.spec.seed != companion.training_seed_of(new)
    claim = companion.claim_trial(2)
    assert claim is not None
    assert companion.configuration_of(claim[0]).training.epochs == 3
    claim[1].release()
    (finalist,) = finalists_of(companion)
    assert [each.seed for each in finalist.seeds] == [1, 2]
    assert all(each.directory.parent == companion.trials_directory for each in finalist.seeds), "all of the same length"


def test_a_search_that_grows_keeps_its_trainings_and_adds_the_missing_ones(
    spec: StudySpec, dataset: Dataset, tmp_path: Path
) -> None:
    search = with_records(opened(spec, tmp_path), [0.3, 0.5])
    assert num_trainings_to_come(search, 2) == 4
    companion = companion_of(search)
    work(companion, dataset, companion.num_queued())
    before = outline(companion)
    assert num_trainings_to_come(search, 2) == 0
    assert num_trainings_to_come(search, 9) == 4, "the finalists are not known yet"
    with_records(search, [0.4])
    grown = companion_of(search)
    assert grown.num_missing() == 2
    assert queue(grown)[4:] == [(2, 2, 2), (2, 3, 2)]
    assert outline(grown)[:4] == before
    assert all(trial.state is TrialState.COMPLETE for trial in companion.study.trials[:4]), "none is pruned"


def test_interrupted_finalists_equal_uninterrupted_ones(spec: StudySpec, dataset: Dataset, tmp_path: Path) -> None:
    companions = []
    for name, at in (("whole", None), ("broken", 1)):
        companion = companion_of(with_records(opened(spec, tmp_path / name), [0.3]))
        if at is not None:
            with pytest.raises(KeyboardInterrupt):
                work(companion, dataset, companion.num_queued(), at=at)
            assert companion.study.trials[at].state is TrialState.WAITING
        work(companion_of(companion.main), dataset, companion.num_queued())
        companions.append(companion)
    whole, broken = companions
    assert outline(whole) == outline(broken)
    files = [[(each.trial_directory(n) / DETECTOR_FILE).read_bytes() for n in (0, 1)] for each in companions]
    assert files[0] == files[1]
    assert files[0][0] != files[0][1], "another seed gives another network"
    (started, *_) = read_events(whole.trial_directory(1) / EVENTS_FILE_NAME)
    assert isinstance(started, Started)
    assert started.run_key == f"{whole.main.uid}-finalists/1"
    assert (started.name, started.tags["optuna.trial"], started.tags["seed"]) == ("trial 00 seed 3", "0", "3")


def test_the_result_has_every_seed_and_the_winner_s_folder_has_the_file_of_the_best(
    spec: StudySpec, dataset: Dataset, tmp_path: Path
) -> None:
    search = opened(spec, tmp_path)
    work(search, dataset, 2)
    companion = companion_of(search)
    work(companion, dataset, companion.num_queued())
    result = study_result(search, about=ABOUT, companion=companion)
    winner = choose_finalist(finalists_of(companion))
    assert winner is not None
    assert winner.best is not None
    write_result(search, result)
    handed_over, trained = (
        load_detector(folder / DETECTOR_FILE) for folder in (search.directory / "winner", winner.best.directory)
    )
    weights, expected = handed_over.model.state_dict(), trained.model.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert handed_over.statistic == trained.statistic
    assert handed_over.healthy is not None
    assert (result["winner"]["trial"], result["winner"]["seed"]) == (winner.number, winner.best.seed)
    order = [record.number for record in choose_best(trial_records(search.study), 2)]
    assert [row["trial"] for row in result["finalists"]] == order
    for row in result["finalists"]:
        assert [each["seed"] for each in row["seeds"]] == [1, 2, 3]
        values = [each["objective"] for each in row["seeds"]]
        assert values[0] == search.study.trials[row["trial"]].value
        assert row["objective_mean"] == pytest.approx(np.mean(values))
        assert row["objective_spread"] == pytest.approx(np.std(values, ddof=1))
        assert row["is_winner"] == (row["trial"] == winner.number)
    assert result["winner"]["validation"]["f1"] == winner.best.record.facts["val_f1"]
    mean, everything = np.mean(winner.objectives), winner.value_of_flagging_everything
    assert everything == result["winner"]["validation"]["f1_flag_everything"] == result["flagging_everything"]
    assert result["detector_found"] == (mean > everything)


def test_fresh_archives_the_finalists_with_their_search(spec: StudySpec, tmp_path: Path) -> None:
    search = with_records(opened(spec, tmp_path), [0.3])
    companion = companion_of(search)
    claim = companion.claim_trial(2)
    assert claim is not None
    places = {"storage": search.storage, "directory": search.directory, "archive": tmp_path / "archive"}
    with pytest.raises(UserError, match=r"tiny-finalists.*at rest"):
        archive_study("tiny", **places)
    claim[1].release()
    archived = archive_study("tiny", **places)
    names = {each.study_name for each in optuna.get_all_study_summaries(search.storage.backend)}
    assert names == {archived, f"{archived}-finalists"}
    again = with_records(opened(spec, tmp_path), [0.3])
    assert companion_of(again).num_missing() == 2


def test_finalists_of_another_search_are_refused(spec: StudySpec, tmp_path: Path) -> None:
    search = with_records(opened(spec, tmp_path), [0.3])
    companion_of(search)
    search.study.set_user_attr("uid", "another")
    with pytest.raises(UserError, match=r"tiny-finalists.*--fresh"):
        open_finalists(search)
