"""Trainings that are dropped: how they are removed, and that they are trained again to the same bits."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch

from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.decision.checkpoint import DETECTOR_FILE
from core.experiment import SCORES_FILE, EpochResult, run_experiment
from core.model.training_cleanup import drop_training, training_bytes
from core.model.training_record import LOCK_FILE, STATE_FILE, TrainingRecord
from core.sources import open_source
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file

ROOT = Path(__file__).resolve().parents[3]
SPEC = load_study_file(ROOT / "tests/data/tiny.toml")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    options = {key: value for key, value in SPEC.data.items() if key != "source"}
    corpus = open_source("simulated", options=options)
    return prepare_dataset(corpus, DataConfig(sample_rate_hz=4000, clips=SPEC.clips, split=SPEC.split))


def epochs_of(dataset: Dataset, folder: Path, trainings: Path) -> Iterator[EpochResult]:
    return run_experiment(
        SPEC.default_experiment,
        dataset,
        folder,
        seed=3,
        context_samples=SPEC.search_space.context_samples(4000),
        device=torch.device("cpu"),
        pool=ThreadPool(1),
        trainings=trainings,
    )


def bits(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in (DETECTOR_FILE, SCORES_FILE)]


def figures(results: list[EpochResult]) -> list[dict[str, float]]:
    """Every epoch's metrics without the speed, which depends on the clock."""
    return [{k: v for k, v in each.metrics.items() if k != "audio_seconds_per_second"} for each in results]


@pytest.fixture(scope="module")
def whole(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[EpochResult]]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, list(epochs_of(dataset, folder, folder / "trainings"))


def copied(whole: tuple[Path, list[EpochResult]], folder: Path) -> Path:
    """A copy of the whole training, in `trainings` of the folder."""
    shutil.copytree(whole[0] / "trainings", folder / "trainings")
    (training,) = (folder / "trainings").iterdir()
    return training


def test_a_dropped_training_leaves_only_its_lock_and_is_trained_again_to_the_same_bits(
    dataset: Dataset, whole: tuple[Path, list[EpochResult]], tmp_path: Path
) -> None:
    training = copied(whole, tmp_path)
    assert training_bytes(training) > 0
    assert drop_training(training)
    assert training_bytes(training) == 0
    assert {path.name for path in training.iterdir()} <= {LOCK_FILE}
    again = list(epochs_of(dataset, tmp_path / "again", tmp_path / "trainings"))
    assert bits(tmp_path / "again") == bits(whole[0])
    assert figures(again) == figures(whole[1])


def test_a_training_that_is_dropped_while_a_trial_reads_it_gives_the_trial_the_same_bits(
    dataset: Dataset, whole: tuple[Path, list[EpochResult]], tmp_path: Path
) -> None:
    training = copied(whole, tmp_path)
    with closing(epochs_of(dataset, tmp_path / "reader", tmp_path / "trainings")) as epochs:
        results = [next(epochs)]
        assert drop_training(training)
        results += epochs
    assert figures(results) == figures(whole[1])
    assert bits(tmp_path / "reader") == bits(whole[0])


def test_a_training_at_work_in_another_process_is_not_dropped(
    whole: tuple[Path, list[EpochResult]], tmp_path: Path
) -> None:
    training = copied(whole, tmp_path)
    before = training_bytes(training)
    code = (
        "import sys\nfrom pathlib import Path\nfrom core.model.training_record import TrainingRecord\n"
        "with TrainingRecord(Path(sys.argv[1])).lock(): print('locked', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(training)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        assert not drop_training(training)
        process.communicate("\n", timeout=20)
    assert training_bytes(training) == before
    assert drop_training(training)


KILLED_AFTER = """
import os, sys
from pathlib import Path
from core.model import training_cleanup
num_left = int(sys.argv[2])
unlink = Path.unlink
def counted(path, missing_ok=False):
    global num_left
    if num_left == 0:
        os.kill(os.getpid(), 9)
    num_left -= 1
    unlink(path, missing_ok=missing_ok)
Path.unlink = counted
training_cleanup.drop_training(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("num_removed", [1, 2])
def test_a_removal_that_is_killed_leaves_a_training_that_counts_as_absent(
    num_removed: int, dataset: Dataset, whole: tuple[Path, list[EpochResult]], tmp_path: Path
) -> None:
    training = copied(whole, tmp_path)
    command = [sys.executable, "-c", KILLED_AFTER, str(training), str(num_removed)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    assert not (training / STATE_FILE).exists()
    assert len(list(training.glob("epoch_*"))) == SPEC.default_experiment.training.epochs - (num_removed - 1)
    assert TrainingRecord(training).num_epochs == 0
    again = list(epochs_of(dataset, tmp_path / "again", tmp_path / "trainings"))
    assert figures(again) == figures(whole[1])
    assert bits(tmp_path / "again") == bits(whole[0])
    assert drop_training(training)
    assert training_bytes(training) == 0


@pytest.mark.parametrize("name", [STATE_FILE, "epoch_0001.safetensors", "epoch_0003.safetensors"])
def test_a_damaged_training_is_trained_again_to_the_same_bits(
    dataset: Dataset, whole: tuple[Path, list[EpochResult]], tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As a power cut or a full disk leaves a file: half of it."""
    folder, expected = whole
    shutil.copytree(folder / "trainings", tmp_path / "trainings")
    (file,) = (tmp_path / "trainings").rglob(name)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    results = list(epochs_of(dataset, tmp_path, tmp_path / "trainings"))
    assert figures(results) == figures(expected)
    assert bits(tmp_path) == bits(folder)
    assert file.exists()
    assert file.with_name(f"{name}.damaged").exists()
    assert caplog.text.count("is made again") == 1
