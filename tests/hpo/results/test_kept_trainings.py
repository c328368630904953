"""--keep-gb: which trainings are dropped at the end of a study, and that the study can grow without them."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.experiment import EpochResult
from core.model.training_cleanup import training_bytes
from core.sources import open_source
from core.thread_pool import ThreadPool
from hpo.results.finalists import open_finalists
from hpo.results.kept_trainings import limit_trainings, training_key
from hpo.search.data_by_rate import Datasets
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, open_study
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec
from hpo.search.study_tables import FinalistsConfig
from hpo.search.trial_context import TrialContext
from hpo.search.work import work_on
from tests.hpo.studies import STUDY, Command

ROOT = Path(__file__).resolve().parents[3]


class Interrupt:
    """Interrupts a trial after its first epoch; the number -1 interrupts none."""

    def __init__(self, number: int) -> None:
        self.number = number

    def epoch(self, number: int, _result: EpochResult) -> None:
        if number == self.number:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def spec() -> StudySpec:
    spec = load_study_file(ROOT / "tests/data/tiny.toml")
    training = replace(spec.training, epochs=2, seconds_per_epoch=0.5)
    return replace(spec, training=training, finalists=FinalistsConfig(count=1, new_seeds=1))


@pytest.fixture(scope="module")
def datasets(spec: StudySpec) -> Datasets:
    options = {key: value for key, value in spec.data.items() if key != "source"}
    config = DataConfig(sample_rate_hz=4000, clips=spec.clips, split=spec.split)
    dataset: Dataset = prepare_dataset(open_source("simulated", options=options), config)
    return Datasets(lambda _: dataset, [4000])


def work(search: OpenStudy, datasets: Datasets, total: int, *, interrupted: int = -1) -> None:
    context = TrialContext(
        datasets=datasets,
        device=torch.device("cpu"),
        pool=ThreadPool(1),
        tags={},
        progress=Interrupt(interrupted),
        say=print,
    )
    for _ in work_on(search, total, context, wait_for_others=False):
        pass


@pytest.fixture
def search(spec: StudySpec, datasets: Datasets, tmp_path: Path) -> OpenStudy:
    """Three trials, and a training for each."""
    storage = StudyStorage(str(tmp_path / "optuna.journal"))
    opened = open_study("tiny", spec, data_fingerprint="f00", storage=storage, directory=tmp_path / "tiny")
    work(opened, datasets, 3)
    return opened


def keys(search: OpenStudy, datasets: Datasets) -> list[Any]:
    return [training_key(search, trial, datasets) for trial in search.study.get_trials(deepcopy=False)]


def kept(search: OpenStudy) -> set[str]:
    return {folder.name for folder in search.trainings_directory.iterdir() if training_bytes(folder)}


def test_the_key_of_a_trial_is_the_name_of_its_training(search: OpenStudy, datasets: Datasets) -> None:
    assert set(keys(search, datasets)) == kept(search)
    companion = open_finalists(search)
    assert companion is not None
    work(companion, datasets, companion.num_queued())
    assert set(keys(search, datasets)) | set(keys(companion, datasets)) == kept(search)
    assert len(kept(search)) == 4


def test_nothing_is_dropped_where_all_fits(search: OpenStudy, datasets: Datasets) -> None:
    before = kept(search)
    dropped = limit_trainings([search], datasets, keep_gb=1)
    assert (dropped.num_trainings, dropped.lines(1), kept(search)) == (0, [], before)


def test_the_worst_trials_trainings_are_dropped_first_and_only_as_many_as_needed(
    search: OpenStudy, datasets: Datasets
) -> None:
    sizes = {folder.name: training_bytes(folder) for folder in search.trainings_directory.iterdir()}
    values = [trial.value if trial.value is not None else -1.0 for trial in search.study.trials]
    assert len(set(values)) > 1
    worst = {key for key, value in zip(keys(search, datasets), values, strict=True) if value == min(values)}
    best = {key for key, value in zip(keys(search, datasets), values, strict=True) if value == max(values)}
    dropped = limit_trainings([search], datasets, keep_gb=(sum(sizes.values()) - 1) / 1e9)
    assert dropped.num_trainings == 1
    assert best <= kept(search)
    (gone,) = set(sizes) - kept(search)
    assert gone in worst
    assert dropped.num_bytes == sizes[gone]
    (line,) = dropped.lines(0.5)
    assert line.startswith("Dropped 1 training (")


def test_single_experiments_go_first_and_interrupted_trials_keep_their_trainings(
    search: OpenStudy, datasets: Datasets
) -> None:
    some = next(iter(search.trainings_directory.iterdir()))
    single = search.directory / "single/a/trainings" / some.name
    shutil.copytree(some, single)
    os.utime(single)
    total = sum(training_bytes(folder) for folder in [*search.trainings_directory.iterdir(), single])
    assert limit_trainings([search], datasets, keep_gb=(total - 1) / 1e9).num_trainings == 1
    assert training_bytes(single) == 0
    with pytest.raises(KeyboardInterrupt):
        work(search, datasets, 4, interrupted=3)
    interrupted = keys(search, datasets)[3]
    limit_trainings([search], datasets, keep_gb=1e-9)
    assert kept(search) == {interrupted}


def test_a_study_that_grows_after_its_training_was_dropped_is_the_study_without_dropping(
    datasets: Datasets, tmp_path: Path
) -> None:
    """Only post-processing is searched, so all trials ask for one training."""
    text = (ROOT / "tests/data/tiny.toml").read_text()
    lines = [line for line in text.split("[space]")[1].splitlines() if line.startswith(("window_ms", "threshold"))]
    (tmp_path / "post_only.toml").write_text(text.split("[space]")[0] + "\n".join(["[space]", *lines]))
    spec = load_study_file(tmp_path / "post_only.toml")
    outlines = []
    for name, is_dropped in (("dropped", True), ("kept", False)):
        storage = StudyStorage(str(tmp_path / name / "optuna.journal"))
        search = open_study("s", spec, data_fingerprint="f00", storage=storage, directory=tmp_path / name / "s")
        work(search, datasets, 2)
        if is_dropped:
            assert limit_trainings([search], datasets, keep_gb=1e-9).num_trainings == 1
            assert kept(search) == set()
        work(search, datasets, 4)
        assert len(kept(search)) == 1
        outlines.append([(t.number, t.state, t.params, t.values, t.intermediate_values) for t in search.study.trials])
    assert outlines[0] == outlines[1]


def test_the_command_says_what_it_dropped(project: Path, run: Command) -> None:
    assert "Dropped 1 training (" in run("--trials", "1", "--keep-gb", "1e-9")
    trainings = project / f"runs/{STUDY}/trainings"
    assert sum(training_bytes(folder) for folder in trainings.iterdir()) == 0
    assert "Dropped" not in run("--trials", "1", "--keep-gb", "1e-9")
