"""One trial and one search in one process: reports, choices, failures, interruptions."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

import core.model.scored_training
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.errors import UserError
from core.experiment import EpochResult
from core.model.training import ConfigurationFailed
from core.sources import open_source
from core.study_files import find_study_file
from core.thread_pool import ThreadPool
from hpo.results.winner import choose_winner
from hpo.search.data_by_rate import Datasets
from hpo.search.logged_run import LoggedRun
from hpo.search.objective import TrialRun, run_trial
from hpo.search.samplers import make_pruner
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, objective_name, open_study
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec
from hpo.search.study_tables import PrunerConfig
from hpo.search.trial_context import TrialContext, TrialEnd
from hpo.search.trial_record import trial_records
from hpo.tracking.run_log import EVENTS_FILE_NAME, Ended, Measured, Started, metrics_by_step, read_events

ROOT = Path(__file__).resolve().parents[3]
METRICS = {
    "train_loss", "val_loss", "test_loss", "test_loss_normal", "test_loss_anomalous", "val_f1", "test_f1", "val_auc",
    "test_auc", "lr", "audio_seconds_per_second",
}  # fmt: skip


@dataclass
class Listener:
    """Keeps every epoch that it is told; raises an error at one of them."""

    results: list[tuple[int, EpochResult]] = field(default_factory=list)
    at: tuple[int, int] | None = None
    error: type[BaseException] = KeyboardInterrupt

    def epoch(self, number: int, result: EpochResult) -> None:
        self.results.append((number, result))
        if (number, result.epoch) == self.at:
            self.at = None
            raise self.error


@pytest.fixture(scope="module")
def spec() -> StudySpec:
    return load_study_file(ROOT / "tests/data/tiny.toml")


@pytest.fixture(scope="module")
def pruning(spec: StudySpec) -> StudySpec:
    """A study that prunes among its first trials, as each knows all before it."""
    return replace(spec, sampler=replace(spec.sampler, lag=1))


@pytest.fixture(scope="module")
def dataset(spec: StudySpec) -> Dataset:
    options = {key: value for key, value in spec.data.items() if key != "source"}
    corpus = open_source("simulated", options=options)
    return prepare_dataset(corpus, DataConfig(sample_rate_hz=4000, clips=spec.clips, split=spec.split))


def opened(spec: StudySpec, folder: Path) -> OpenStudy:
    storage = StudyStorage(str(folder / "optuna.journal"))
    return open_study("tiny", spec, data_fingerprint="f00", storage=storage, directory=folder / "tiny")


def context(dataset: Dataset, listener: Listener | None = None) -> TrialContext:
    return TrialContext(
        datasets=Datasets(lambda _: dataset, [4000]),
        device=torch.device("cpu"),
        pool=ThreadPool(1),
        tags={},
        progress=listener or Listener(),
        say=print,
    )


def run_all(search: OpenStudy, context: TrialContext, total: int) -> list[TrialEnd]:
    ends = []
    while claim := search.claim_trial(total):
        trial, lease = claim
        try:
            ends.append(run_trial(trial, search, context, lease))
        finally:
            lease.release()
    return ends


def outline(search: OpenStudy) -> list[object]:
    """Everything that a search decided, without times."""
    trials = search.study.get_trials(deepcopy=False)
    return [(t.number, t.state, t.params, t.values, t.intermediate_values) for t in trials]


def test_every_epoch_is_logged_under_the_names_that_are_promised(
    spec: StudySpec, dataset: Dataset, tmp_path: Path
) -> None:
    search = opened(spec, tmp_path)
    (end,) = run_all(search, context(dataset), 1)
    rows = metrics_by_step(search.trial_directory(0) / EVENTS_FILE_NAME)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(set(row) >= METRICS for row in rows)
    assert end.state is TrialState.COMPLETE
    trial = search.study.trials[0]
    assert trial.params == search.space.default_parameters, "trial 0 is the default configuration"
    assert trial.intermediate_values == {int(row["epoch"]): row["val_auc"] for row in rows}


def test_an_ended_trial_keeps_in_optuna_what_its_run_needs_to_be_made_again(
    spec: StudySpec, dataset: Dataset, tmp_path: Path
) -> None:
    search = opened(spec, tmp_path)
    run_all(search, context(dataset), 1)
    logged = LoggedRun.of_trial(search.study.trials[0])
    assert logged is not None
    started, *middle, ended = read_events(search.trial_directory(0) / EVENTS_FILE_NAME)
    assert isinstance(started, Started)
    assert (logged.tags, logged.params) == (started.tags, started.params)
    assert (logged.start_ms, logged.end_ms) == (started.time_ms, ended.time_ms)
    measured = [event for event in middle if isinstance(event, Measured)]
    assert [*logged.epochs_ms.values(), logged.last_ms] == [event.time_ms for event in measured]
    assert list(logged.epochs_ms) == ["1", "2", "3"]


@pytest.mark.parametrize("objective", ["balanced_f1", "expected_f1", "f1"])
def test_the_objective_is_that_of_the_epoch_with_the_best_validation_auc(
    objective: Literal["balanced_f1", "expected_f1", "f1"], spec: StudySpec, dataset: Dataset, tmp_path: Path
) -> None:
    search = opened(replace(spec, objective=objective), tmp_path)
    run_all(search, context(dataset), 4)
    for record in trial_records(search.study):
        if record.state != "complete":
            continue
        best = max(record.epochs, key=lambda row: (row["val_auc"], row["epoch"]))
        assert record.objective == best[f"val_{objective}"]
        assert record.facts["best_epoch"] == best["epoch"]
        counts = record.take_counts
        assert counts is not None, "the winner's choice needs them"
        total = sum(counts.flagged) + sum(counts.anomalous)
        assert record.objective == pytest.approx(2 * sum(counts.hits) / total, abs=1e-5)
        assert record.facts["val_f1_best_postprocessing"] >= best["val_f1"] - 1e-12


def test_shuffled_test_labels_change_no_choice(pruning: StudySpec, dataset: Dataset, tmp_path: Path) -> None:
    """Objective, epoch, pruning and winner do not depend on the test split."""
    labels = np.random.default_rng(3).permutation(dataset.test.is_anomalous)
    assert not np.array_equal(labels, dataset.test.is_anomalous)
    judged = {**dataset.judged(), "test": replace(dataset.test, is_anomalous=labels)}
    shuffled = replace(dataset, judged=lambda: judged)
    studies = []
    for name, data in (("honest", dataset), ("shuffled", shuffled)):
        search = opened(pruning, tmp_path / name)
        run_all(search, context(data), 6)
        studies.append(search)
    honest, other = studies
    assert any(trial.state is TrialState.PRUNED for trial in honest.study.trials), "pruning is one of the choices"
    assert outline(honest) == outline(other)
    records, others = (trial_records(search.study) for search in studies)
    assert [r.facts.get("best_epoch") for r in records] == [r.facts.get("best_epoch") for r in others]
    assert [r.facts.get("test_f1") for r in records] != [r.facts.get("test_f1") for r in others], "the labels matter"
    assert choose_winner(records).number == choose_winner(others).number  # type: ignore[union-attr]


def test_the_same_seed_and_threads_give_the_same_bits(spec: StudySpec, dataset: Dataset, tmp_path: Path) -> None:
    checkpoints = []
    for name in ("one", "two"):
        search = opened(spec, tmp_path / name)
        run_all(search, context(dataset), 1)
        checkpoints.append((search.trial_directory(0) / "checkpoint.safetensors").read_bytes())
    assert checkpoints[0] == checkpoints[1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_search_that_resumes_an_interrupted_trial_equals_an_uninterrupted_one(
    pruning: StudySpec, dataset: Dataset, tmp_path: Path, error: type[BaseException]
) -> None:
    whole = opened(pruning, tmp_path / "whole")
    run_all(whole, context(dataset), 5)
    assert any(trial.state is TrialState.PRUNED for trial in whole.study.trials), "pruned trials must agree, too"
    broken = opened(pruning, tmp_path / "broken")
    listener = Listener(at=(1, 1), error=error)
    with pytest.raises(error):
        run_all(broken, context(dataset, listener), 5)
    assert broken.study.trials[1].state is TrialState.WAITING
    ended = read_events(broken.trial_directory(1) / EVENTS_FILE_NAME)[-1]
    assert isinstance(ended, Ended)
    assert ended.status == ("KILLED" if error is KeyboardInterrupt else "FAILED")
    run_all(broken, context(dataset, listener), 5)
    assert outline(broken) == outline(whole)
    for number in range(5):
        name = "checkpoint.safetensors"
        assert (broken.trial_directory(number) / name).read_bytes() == (
            whole.trial_directory(number) / name
        ).read_bytes()
    log = broken.trial_directory(1) / EVENTS_FILE_NAME
    starts = [event.run_key for event in read_events(log) if isinstance(event, Started)]
    assert len(starts) == 2
    assert len(set(starts)) == 1, "the same run is resumed"


def test_a_resumed_trial_logs_no_epoch_twice(spec: StudySpec, dataset: Dataset, tmp_path: Path) -> None:
    search = opened(spec, tmp_path)
    listener = Listener(at=(0, 1))
    with pytest.raises(KeyboardInterrupt):
        run_all(search, context(dataset, listener), 1)
    run_all(search, context(dataset, listener), 1)
    log = (search.trial_directory(0) / EVENTS_FILE_NAME).read_text()
    assert log.count('"train_loss"') == spec.training.epochs


def test_a_resumed_trial_does_not_ask_the_pruner_about_earlier_epochs_again(
    spec: StudySpec, dataset: Dataset, tmp_path: Path
) -> None:
    """Results of other trials in the meantime must not prune epochs that have passed."""
    search = opened(spec, tmp_path)
    asked: list[int | None] = []
    search.study.pruner = SimpleNamespace(prune=lambda _study, trial: bool(asked.append(trial.last_step)))  # type: ignore
    listener = Listener(at=(0, 2))
    with pytest.raises(KeyboardInterrupt):
        run_all(search, context(dataset, listener), 1)
    run_all(search, context(dataset, listener), 1)
    assert asked == [1, 2], "the second was interrupted before it was asked"
    assert [result.epoch for _, result in listener.results] == [1, 2, 2, 3]


def test_a_report_that_a_torn_journal_lost_is_made_again(spec: StudySpec, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_all(opened(spec, tmp_path), context(dataset, Listener(at=(0, 2))), 1)
    journal = tmp_path / "optuna.journal"
    records = journal.read_text().splitlines(keepends=True)
    kept = [record for record in records if '"step":1' not in record]
    assert len(kept) == len(records) - 1
    journal.write_text("".join(kept))
    search = opened(spec, tmp_path)
    run_all(search, context(dataset), 1)
    values = search.study.trials[0].intermediate_values
    rows = metrics_by_step(search.trial_directory(0) / EVENTS_FILE_NAME)
    assert values == {row["epoch"]: row["val_auc"] for row in rows if "val_auc" in row}
    assert sorted(values) == [1, 2, 3]


def test_a_failed_configuration_counts_and_says_why(
    spec: StudySpec, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_args: object, **_options: object) -> None:
        raise ConfigurationFailed("the loss was not finite in epoch 1")

    search = opened(spec, tmp_path)
    monkeypatch.setattr(core.model.scored_training, "train_epochs", diverge)
    ends = run_all(search, context(dataset), 3)
    assert [end.state for end in ends] == [TrialState.FAIL] * 3
    assert search.failures_in_a_row() == 3
    (record, *_) = trial_records(search.study)
    assert record.failure == "the loss was not finite in epoch 1"
    ended = read_events(search.trial_directory(0) / EVENTS_FILE_NAME)[-1]
    assert isinstance(ended, Ended)
    assert (ended.status, ended.name, ended.tags["failure"]) == ("FAILED", "trial 00 failed", record.failure)
    assert choose_winner(trial_records(search.study)) is None


def test_a_pruned_trial_is_killed_in_mlflow_and_counts(spec: StudySpec, dataset: Dataset, tmp_path: Path) -> None:
    search = opened(spec, tmp_path)
    search.study.pruner = SimpleNamespace(prune=lambda _study, _trial: True)  # type: ignore[assignment]
    (end,) = run_all(search, context(dataset), 1)
    assert end.state is TrialState.PRUNED
    assert search.study.trials[0].state is TrialState.PRUNED
    ended = read_events(search.trial_directory(0) / EVENTS_FILE_NAME)[-1]
    assert isinstance(ended, Ended)
    assert (ended.status, ended.name) == ("KILLED", "trial 00 pruned")
    assert ended.tags["optuna.state"] == "PRUNED"
    assert search.claim_trial(1) is None


@pytest.mark.parametrize("warmup_epochs", [1, 2, 3])
def test_the_pruner_spares_the_warm_up_and_not_the_epoch_after_it(warmup_epochs: int) -> None:
    config = PrunerConfig(kind="median", startup_trials=1, warmup_epochs=warmup_epochs)
    study = optuna.create_study(direction="maximize", pruner=make_pruner(config, epochs=5))
    good, bad = study.ask(), study.ask()
    for epoch in range(1, 6):
        good.report(0.9, epoch)
    study.tell(good, 0.9)
    pruned = []
    for epoch in range(1, 6):
        bad.report(0.1, epoch)
        pruned.append(bad.should_prune())
    assert pruned.index(True) == warmup_epochs


def test_a_trial_in_another_living_process_is_left_alone_and_a_dead_one_is_taken_over(
    spec: StudySpec, tmp_path: Path
) -> None:
    search = opened(spec, tmp_path)
    claim = search.claim_trial(2)
    assert claim is not None
    trial, lease = claim
    other = search.claim_trial(2)
    assert other is not None
    assert other[0].number == trial.number + 1
    assert search.claim_trial(2) is None, "N is never passed"
    lease.release()  # as the operating system does for a process that dies
    again = search.claim_trial(2)
    assert again is not None
    assert again[0].number == trial.number


def test_a_study_of_another_space_or_data_is_refused(spec: StudySpec, tmp_path: Path) -> None:
    search = opened(spec, tmp_path)
    changed = replace(spec, training=replace(spec.training, epochs=4))
    with pytest.raises(UserError, match=r"training\.epochs was 3 and is 4.*--name.*--fresh"):
        opened(changed, tmp_path)
    with pytest.raises(UserError, match="data_fingerprint"):
        open_study("tiny", spec, data_fingerprint="other", storage=search.storage, directory=search.directory)
    elsewhere = StudyStorage(str(tmp_path / "elsewhere.journal"))
    with pytest.raises(UserError, match=r"storage of study 'tiny' must be the one"):
        open_study("tiny", spec, data_fingerprint="f00", storage=elsewhere, directory=search.directory)


def test_sqlite_gives_trials_back_as_the_journal_does(spec: StudySpec, dataset: Dataset, tmp_path: Path) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = StudyStorage(f"sqlite:///{tmp_path}/optuna.db")
    search = open_study("tiny", spec, data_fingerprint="f00", storage=storage, directory=tmp_path / "tiny")
    listener = Listener(at=(1, 1))
    with pytest.raises(KeyboardInterrupt):
        run_all(search, context(dataset, listener), 3)
    run_all(search, context(dataset, listener), 3)
    whole = opened(spec, tmp_path / "journal")
    run_all(whole, context(dataset), 3)
    assert outline(search) == outline(whole)


def test_an_interrupt_that_comes_after_the_end_changes_nothing(
    spec: StudySpec, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = opened(spec, tmp_path)
    end = TrialRun.end

    def end_and_interrupt(*arguments: object) -> None:
        end(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(TrialRun, "end", end_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_all(search, context(dataset), 1)
    assert search.study.trials[0].state is TrialState.COMPLETE
    ended = read_events(search.trial_directory(0) / EVENTS_FILE_NAME)[-1]
    assert isinstance(ended, Ended)
    assert ended.status == "FINISHED"


def test_a_trial_whose_process_died_while_it_was_handed_out_is_handed_out_again(
    spec: StudySpec, tmp_path: Path
) -> None:
    search = opened(spec, tmp_path)
    search.study.ask()
    claim = search.claim_trial(1)
    assert claim is not None
    assert claim[0].number == 0


def test_two_folders_on_one_storage_leave_each_other_s_living_trials_alone(spec: StudySpec, tmp_path: Path) -> None:
    storage = StudyStorage(str(tmp_path / "shared.journal"))
    here, there = (
        open_study("tiny", spec, data_fingerprint="f00", storage=storage, directory=tmp_path / name / "tiny")
        for name in ("here", "there")
    )
    first, second = here.claim_trial(2), there.claim_trial(2)
    assert first is not None
    assert second is not None
    assert (first[0].number, second[0].number) == (0, 1)


def test_a_folder_whose_study_is_gone_is_not_taken_for_the_next_one_s(spec: StudySpec, tmp_path: Path) -> None:
    search = opened(spec, tmp_path)
    optuna.delete_study(study_name="tiny", storage=search.storage.backend)
    with pytest.raises(UserError, match=r"another study of its name has left it.*--fresh"):
        opened(spec, tmp_path)


@pytest.mark.parametrize("num_reads", [1, 2, 3])
def test_a_trial_that_ends_while_another_is_claimed_is_counted_once(
    spec: StudySpec, tmp_path: Path, num_reads: int
) -> None:
    """`tell` takes no lock: a trial that ended between two reads was counted neither as running nor as ended."""
    search = opened(spec, tmp_path)
    claims = [search.claim_trial(2), search.claim_trial(2)]
    assert None not in claims
    trial, _ = claims[1]  # type: ignore[misc]
    read, reads = search.study.get_trials, []

    def read_and_end(**options: object) -> list[optuna.trial.FrozenTrial]:
        trials = read(**options)  # type: ignore[arg-type]
        reads.append(trials)
        if len(reads) == num_reads:
            search.study.tell(trial, 0.5)
        return trials

    search.study.get_trials = read_and_end  # type: ignore[method-assign,assignment]
    assert search.claim_trial(2) is None
    assert len(read()) == 2
    for claim in claims:
        claim[1].release()  # type: ignore[index]


def test_a_process_that_dies_before_it_tells_optuna_logs_its_result_once(
    spec: StudySpec, dataset: Dataset, tmp_path: Path
) -> None:
    search = opened(spec, tmp_path)
    tell = search.study.tell

    def die(*_: object, **__: object) -> None:
        search.study.tell = tell  # type: ignore[method-assign]
        raise KeyboardInterrupt

    search.study.tell = die  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        run_all(search, context(dataset), 1)
    (end,) = run_all(search, context(dataset), 1)
    events = [e for e in read_events(search.trial_directory(0) / EVENTS_FILE_NAME) if isinstance(e, Measured)]
    points = [(event.step, name) for event in events for name in event.values]
    assert len(points) == len(set(points))
    assert sum(name == "objective" for _, name in points) == 1
    assert end.facts["val_expected_f1"] == search.study.trials[0].value


def test_a_study_of_an_earlier_version_keeps_its_objective_or_is_refused_in_one_line(
    spec: StudySpec, tmp_path: Path
) -> None:
    search = opened(replace(spec, objective="f1"), tmp_path)
    identity = search.study.user_attrs["identity"]
    del identity["objective"]
    search.study.set_user_attr("identity", identity)
    assert objective_name(search.study) == "F1"
    assert opened(replace(spec, objective="f1"), tmp_path).uid == search.uid
    with pytest.raises(
        UserError, match=r"objective was 'f1' and is 'expected_f1'. Keep it with --set objective=f1,"
    ) as e:
        opened(spec, tmp_path)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("constant", "words", "refused"),
    [
        ("NORMAL_SOUND_FORMAT", "and normal sound 1000", {"any_machine", "cars_spliced"}),
        ("CHANGE_POINTS_FORMAT", "and change points 1000", {"cars_spliced"}),
    ],
)
def test_a_study_whose_trials_were_judged_by_another_rule_is_refused_in_one_line(
    spec: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant: str, words: str, refused: set[str]
) -> None:
    specs = {name: load_study_file(find_study_file(name)) for name in ("any_machine", "cars_spliced")}
    specs["by surprise"] = spec
    for name, each in specs.items():
        (tmp_path / name).mkdir()
        opened(each, tmp_path / name)
    monkeypatch.setattr(f"hpo.search.identity.{constant}", 1_000)
    for name in specs.keys() - refused:
        opened(specs[name], tmp_path / name)
    for name in refused:
        with pytest.raises(UserError, match=rf"{words}.*, but another version .* with --fresh, or") as e:
            opened(specs[name], tmp_path / name)
        assert "\n" not in str(e.value)
