"""An epoch that is left between two batches resumes there, and equals one that was never interrupted, to the bit."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import core.model.partial_epoch
import core.model.scored_training
import core.model.training
import core.model.training_codes
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.judged_clips import JUDGED
from core.data.speed_perturbation import SpeedConfig
from core.experiment import EpochResult, run_experiment
from core.model.partial_epoch import PARTIAL_FILE
from core.model.scoring import FRAME_SCORES
from core.model.tensor_file import read_tensors
from core.model.training import NO_CONTEXT, BatchContext
from core.model.training_cleanup import drop_training, training_bytes
from core.model.training_record import STATE_FILE, TrainingRecord
from core.sources import open_source
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file
from tests.leaving import Leave

SPEC = load_study_file(Path(__file__).resolve().parents[3] / "tests/data/tiny.toml")
CONFIG = SPEC.default_experiment
STEPS = CONFIG.training.steps_per_epoch(4000)
SOMETIMES = [[1], [STEPS - 1], [STEPS], [STEPS + 2], [1, 1], [2, 1, STEPS], [1] * (3 * STEPS)]
"""Processes that are interrupted after so many batches, one after the other."""


def prepared(speeds: tuple[float, ...] = ()) -> Dataset:
    options = {key: value for key, value in SPEC.data.items() if key != "source"}
    speed = SpeedConfig(speeds=speeds) if speeds else None
    config = DataConfig(sample_rate_hz=4000, clips=SPEC.clips, split=SPEC.split, speed_perturbation=speed)
    return prepare_dataset(open_source("simulated", options=options), config)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return prepared()


def run(dataset: Dataset, folder: Path, around_batch: BatchContext = NO_CONTEXT, threads: int = 1) -> list[EpochResult]:
    with ThreadPool(threads) as pool:
        epochs = run_experiment(
            CONFIG,
            dataset,
            folder,
            seed=3,
            context_samples=SPEC.search_space.context_samples(4000),
            device=torch.device("cpu"),
            pool=pool,
            around_batch=around_batch,
        )
        with closing(epochs):
            return list(epochs)


def interrupted(dataset: Dataset, folder: Path, after: Sequence[int], threads: int = 1) -> list[EpochResult]:
    for num_batches in after:
        with suppress(KeyboardInterrupt):
            run(dataset, folder, Leave(num_batches), threads)
    return run(dataset, folder, threads=threads)


def file_in(folder: Path, name: str = PARTIAL_FILE) -> Path:
    (training,) = (folder / "trainings").iterdir()
    return training / name


def assert_equal(folder: Path, whole: Path) -> None:
    """Weights, moments, scores and figures of every epoch, without the one that depends on time."""
    ours, theirs = file_in(folder, "").resolve(), file_in(whole, "").resolve()
    assert ours.name == theirs.name
    one, other = read_tensors(ours / STATE_FILE)[0], read_tensors(theirs / STATE_FILE)[0]
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    for epoch in range(1, CONFIG.training.epochs + 1):
        first, second = TrainingRecord(ours).read(epoch), TrainingRecord(theirs).read(epoch)
        assert replace(first.report, audio_seconds_per_second=0) == replace(second.report, audio_seconds_per_second=0)
        for name in JUDGED:
            for kind in FRAME_SCORES:
                np.testing.assert_array_equal(first.scores[name].of(kind), second.scores[name].of(kind))
    assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}


@pytest.fixture(scope="module")
def whole(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run(dataset, folder)
    return folder


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts training steps."""
    taken: list[int] = []
    step = core.model.training._step

    def counted(*arguments: object) -> object:
        taken.append(1)
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(core.model.training, "_step", counted)
    return taken


@pytest.mark.parametrize("after", SOMETIMES, ids=str)
def test_a_training_that_is_interrupted_equals_one_that_is_not(
    dataset: Dataset, whole: Path, tmp_path: Path, after: list[int], steps: list[int]
) -> None:
    interrupted(dataset, tmp_path, after)
    assert len(steps) == 3 * STEPS, "no step is trained twice"
    assert_equal(tmp_path, whole)


@pytest.mark.parametrize("pool_clips", [4, 64])
def test_at_other_speeds_with_two_threads_and_from_a_moving_pool(
    tmp_path: Path, pool_clips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.model.training_codes, "POOL_CLIPS", pool_clips)
    dataset = prepared(speeds=(1.25,))
    run(dataset, tmp_path / "whole", threads=2)
    interrupted(prepared(speeds=(1.25,)), tmp_path / "left", [1, 2, 4], threads=2)
    assert_equal(tmp_path / "left", tmp_path / "whole")


def test_a_killed_process_loses_what_came_after_the_last_save(
    dataset: Dataset, whole: Path, tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.model.partial_epoch, "SECONDS_BETWEEN_SAVES", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path, Leave(STEPS + 2))
    saved = file_in(tmp_path).read_bytes()
    monkeypatch.setattr(core.model.partial_epoch, "SECONDS_BETWEEN_SAVES", 60.0)
    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path, Leave(1))
    file_in(tmp_path).write_bytes(saved)  # as if the last process had been killed
    steps.clear()
    run(dataset, tmp_path)
    assert len(steps) == 2 * STEPS - 2
    assert_equal(tmp_path, whole)


@pytest.mark.parametrize("interval", [1e-9, 60.0])
def test_an_epoch_that_took_long_is_saved_before_it_is_scored(
    dataset: Dataset, whole: Path, tmp_path: Path, interval: float, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.model.partial_epoch, "SECONDS_BETWEEN_SAVES", interval)
    monkeypatch.setattr(core.model.partial_epoch, "time", SimpleNamespace(monotonic=lambda: 0.0))  # no other save
    there: list[bool] = []
    with monkeypatch.context() as patch:

        def look(*_: object, **__: object) -> None:
            there.append(file_in(tmp_path).exists())
            raise KeyboardInterrupt

        patch.setattr(core.model.scored_training, "score_clips", look)
        with pytest.raises(KeyboardInterrupt):
            run(dataset, tmp_path)
    assert there == [interval < 1]
    assert file_in(tmp_path).exists(), "an interrupted scoring does not cost the epoch"
    run(dataset, tmp_path)
    assert len(steps) == 3 * STEPS
    assert_equal(tmp_path, whole)


def test_an_error_within_a_batch_saves_nothing_that_is_half_done(
    dataset: Dataset, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, taken = core.model.training._step, []

    def broken(*arguments: object) -> object:
        done = step(*arguments)  # type: ignore[arg-type]
        taken.append(1)
        if len(taken) == STEPS + 2:
            raise ZeroDivisionError
        return done

    with monkeypatch.context() as patch:
        patch.setattr(core.model.training, "_step", broken)
        with pytest.raises(ZeroDivisionError):
            run(dataset, tmp_path)
    assert not file_in(tmp_path).exists()
    run(dataset, tmp_path)
    assert_equal(tmp_path, whole)


def test_a_damaged_file_is_put_aside_and_the_epoch_starts_again(
    dataset: Dataset, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path, Leave(STEPS + 2))
    file = file_in(tmp_path)
    file.write_bytes(file.read_bytes()[:-100])
    run(dataset, tmp_path)
    assert caplog.text.count("is damaged") == 1
    file.with_name(f"{PARTIAL_FILE}.damaged").unlink()
    assert_equal(tmp_path, whole)


@pytest.mark.parametrize("left_after", [2, STEPS + 2])
def test_a_file_of_another_epoch_is_removed(
    dataset: Dataset, whole: Path, tmp_path: Path, left_after: int, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path, Leave(left_after))
    old = file_in(tmp_path).read_bytes()
    if left_after < STEPS:
        with pytest.raises(KeyboardInterrupt):
            run(dataset, tmp_path, Leave(STEPS))  # the file is now of the second epoch
    else:
        file_in(tmp_path, STATE_FILE).unlink()  # the training starts again
    file_in(tmp_path).write_bytes(old)
    run(dataset, tmp_path)
    assert not caplog.text
    assert_equal(tmp_path, whole)


def test_a_dropped_training_has_no_file_left(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path, Leave(STEPS + 2))
    training = file_in(tmp_path).parent
    assert drop_training(training)
    assert training_bytes(training) == 0
    assert not file_in(tmp_path).exists()


def test_a_full_disk_costs_the_copy_and_not_the_training(
    dataset: Dataset, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(core.model.partial_epoch, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(core.model.partial_epoch, "save_training_state", full)
    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path, Leave(2))
    assert "is full: epoch 1 goes on without a copy" in caplog.text
    run(dataset, tmp_path)
    assert_equal(tmp_path, whole)


def test_the_speed_is_that_of_all_processes_together(dataset: Dataset, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(dataset, tmp_path, Leave(1))
    path = file_in(tmp_path)
    _, header = read_tensors(path)
    assert header["num_targets"] == 2 * CONFIG.training.batch_windows * CONFIG.training.window_targets
    first = run(dataset, tmp_path)[0].metrics["audio_seconds_per_second"]
    assert first < STEPS * header["num_targets"] / 2 / 4000 / header["seconds"]
