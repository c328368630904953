"""Trainings are shared between trials of one key: they are read, resumed, waited for, and never mixed up."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import core.model.training
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.decision.checkpoint import DETECTOR_FILE, load_detector
from core.decision.score_file import load_scores
from core.experiment import SCORES_FILE, EpochResult, ExperimentConfig, run_experiment
from core.model.frontend import FrontEndConfig
from core.model.training_record import TrainingRecord
from core.sources import open_source
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file

ROOT = Path(__file__).resolve().parents[3]
SPEC = load_study_file(ROOT / "tests/data/tiny.toml")
CONFIG = SPEC.default_experiment
CONTEXT = SPEC.search_space.context_samples(4000)
SEED = 4
"""With this seed different post-processing has different best epochs."""

POST_ONLY = {
    "window": replace(CONFIG, postprocessing=replace(CONFIG.postprocessing, window_ms=50.0)),
    "threshold": replace(CONFIG, postprocessing=replace(CONFIG.postprocessing, threshold_sigmas=1.5)),
    "fusion": replace(CONFIG, postprocessing=replace(CONFIG.postprocessing, fusion="maximum", two_sided=True)),
    "score": replace(CONFIG, scoring=replace(CONFIG.scoring, score="normalised_residual")),
    "another best epoch": replace(CONFIG, scoring=replace(CONFIG.scoring, score="entropy")),
}
OTHER_TRAININGS = {
    "statistics": replace(CONFIG, scoring=replace(CONFIG.scoring, score="innovations")),
    "learning rate": replace(CONFIG, training=replace(CONFIG.training, learning_rate=2e-2)),
    "weight decay": replace(CONFIG, training=replace(CONFIG.training, weight_decay=0.2)),
    "epochs": replace(CONFIG, training=replace(CONFIG.training, epochs=2)),
    "width": replace(CONFIG, network=replace(CONFIG.network, residual_channels=8)),
    "precision": replace(CONFIG, network=replace(CONFIG.network, precision="bfloat16")),
    "pre-emphasis": replace(CONFIG, front_end=FrontEndConfig(pre_emphasis=0.5)),
    "level": replace(CONFIG, front_end=FrontEndConfig(level="train_gain")),
    "frame": replace(CONFIG, scoring=replace(CONFIG.scoring, frame_ms=50.0)),
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    options = {key: value for key, value in SPEC.data.items() if key != "source"}
    corpus = open_source("simulated", options=options)
    return prepare_dataset(corpus, DataConfig(sample_rate_hz=4000, clips=SPEC.clips, split=SPEC.split))


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


def run(
    config: ExperimentConfig,
    dataset: Dataset,
    folder: Path,
    trainings: Path | None,
    *,
    seed: int = SEED,
    epochs: int = 9,
) -> EpochResult:
    """Runs so many epochs and stops, like a trial that is pruned."""
    with closing(
        run_experiment(
            config,
            dataset,
            folder,
            seed=seed,
            context_samples=CONTEXT,
            device=torch.device("cpu"),
            pool=ThreadPool(1),
            trainings=trainings,
        )
    ) as results:
        for result in results:
            if result.epoch == epochs:
                break
    return result


def figures(result: EpochResult) -> list[dict[str, float]]:
    """The metrics without the one that depends on time."""
    return [{k: v for k, v in row.items() if k != "audio_seconds_per_second"} for row in result.history]


def test_other_post_processing_trains_no_step_and_equals_a_separate_run_to_the_bit(
    dataset: Dataset, tmp_path: Path, steps: list[int]
) -> None:
    shared = tmp_path / "trainings"
    first = run(CONFIG, dataset, tmp_path / "first", shared)
    assert len(steps) == 3 * CONFIG.training.steps_per_epoch(4000)
    best_epochs = {first.best_epoch}
    for name, config in POST_ONLY.items():
        steps.clear()
        read_back = run(config, dataset, tmp_path / name, shared)
        assert not steps, name
        alone = run(config, dataset, tmp_path / f"{name} alone", None)
        assert len(steps) == 3 * CONFIG.training.steps_per_epoch(4000)
        assert figures(read_back) == figures(alone)
        assert [row["audio_seconds_per_second"] for row in read_back.history] == [
            row["audio_seconds_per_second"] for row in first.history
        ]
        for file in (DETECTOR_FILE, SCORES_FILE):
            one, other = (tmp_path / folder / file for folder in (name, f"{name} alone"))
            assert one.read_bytes() == other.read_bytes(), (name, file)
        best_epochs.add(read_back.best_epoch)
    assert len(best_epochs) > 1, "a checkpoint has to come from another epoch of the training, too"
    assert len(list(shared.iterdir())) == 1


def test_the_files_of_a_trial_are_those_of_its_own_best_epoch(dataset: Dataset, tmp_path: Path) -> None:
    shared = tmp_path / "trainings"
    for name, config in POST_ONLY.items():
        result = run(config, dataset, tmp_path / name, shared)
        (training,) = shared.iterdir()
        epoch = TrainingRecord(training).read(result.best_epoch)
        detector, scored = load_detector(tmp_path / name / DETECTOR_FILE), load_scores(tmp_path / name / SCORES_FILE)
        assert all(torch.equal(detector.model.state_dict()[key], value) for key, value in epoch.weights.items())
        np.testing.assert_array_equal(scored["test"].scores.entropy, epoch.scores["test"].entropy)
        assert detector.scoring == config.scoring
        assert detector.statistic.config == config.postprocessing


def test_a_training_that_stopped_early_is_resumed_by_the_next_trial_of_its_key(
    dataset: Dataset, tmp_path: Path, steps: list[int]
) -> None:
    whole = run(POST_ONLY["window"], dataset, tmp_path / "whole", None)
    steps.clear()
    run(CONFIG, dataset, tmp_path / "pruned", tmp_path / "trainings", epochs=1)
    assert len(steps) == CONFIG.training.steps_per_epoch(4000)
    continued = run(POST_ONLY["window"], dataset, tmp_path / "continued", tmp_path / "trainings")
    assert len(steps) == 3 * CONFIG.training.steps_per_epoch(4000)
    assert figures(continued) == figures(whole)


def test_whatever_determines_a_training_is_in_its_key(dataset: Dataset) -> None:
    configs = [CONFIG, *OTHER_TRAININGS.values()]
    setups = [config.training_setup(dataset.num_channels, CONTEXT) for config in configs]
    keys = [setup.key(dataset.config, seed=5) for setup in setups]
    keys.append(setups[0].key(dataset.config, seed=6))
    keys.append(CONFIG.training_setup(dataset.num_channels, CONTEXT + 1).key(dataset.config, seed=5))
    keys.append(CONFIG.training_setup(dataset.num_channels + 1, CONTEXT).key(dataset.config, seed=5))
    for changes in ({"clips": replace(SPEC.clips, evaluation_seconds=9)}, {"split": replace(SPEC.split, seed=1)}):
        keys.append(setups[0].key(replace(dataset.config, **changes), seed=5))  # type: ignore[arg-type]
    assert len(set(keys)) == len(keys)
    same = {config.training_setup(dataset.num_channels, CONTEXT) for config in POST_ONLY.values()}
    assert same == {setups[0]}


def test_a_new_seed_is_a_new_training(dataset: Dataset, tmp_path: Path) -> None:
    one, other = (run(CONFIG, dataset, tmp_path / "a", tmp_path / "trainings", seed=seed, epochs=1) for seed in (5, 6))
    assert len(list((tmp_path / "trainings").iterdir())) == 2
    assert one.metrics["train_loss"] != other.metrics["train_loss"]


def test_a_training_that_is_running_is_waited_for_and_read(dataset: Dataset, tmp_path: Path, steps: list[int]) -> None:
    """The test holds the lock like another process; the waiting training continues when it is released."""
    shared = tmp_path / "trainings"
    first = run_experiment(
        CONFIG,
        dataset,
        tmp_path / "first",
        seed=SEED,
        context_samples=CONTEXT,
        device=torch.device("cpu"),
        pool=ThreadPool(1),
        trainings=shared,
    )
    next(first)
    found: list[EpochResult] = []
    second = threading.Thread(
        target=lambda: found.append(run(POST_ONLY["window"], dataset, tmp_path / "second", shared))
    )
    second.start()
    second.join(1.0)
    assert second.is_alive(), "it waits"
    rest = list(first)
    second.join(20)
    assert len(steps) == 3 * CONFIG.training.steps_per_epoch(4000), "nobody trained what the other has"
    assert [row["train_loss"] for row in found[0].history] == [row["train_loss"] for row in rest[-1].history]


def test_finished_epochs_are_read_without_waiting(dataset: Dataset, tmp_path: Path) -> None:
    shared = tmp_path / "trainings"
    run(CONFIG, dataset, tmp_path / "first", shared)
    (training,) = shared.iterdir()
    reader = threading.Thread(
        target=lambda: run(POST_ONLY["window"], dataset, tmp_path / "second", shared), daemon=True
    )
    with TrainingRecord(training).lock():
        reader.start()
        reader.join(10)
        assert not reader.is_alive()


def test_waiting_for_a_training_ends_with_ctrl_c(tmp_path: Path) -> None:
    record = TrainingRecord(tmp_path / "training")
    waiting = (
        f"from pathlib import Path\nfrom core.model.training_record import TrainingRecord\nprint('here', flush=True)\n\
with TrainingRecord(Path({str(tmp_path / 'training')!r})).lock(): print('got it')"
    )
    with record.lock():
        command = [sys.executable, "-c", waiting]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert "got it" not in out
    assert err.strip().endswith("KeyboardInterrupt")
