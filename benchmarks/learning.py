"""Audio seconds until a way of training reaches the validation loss at which the former defaults end.

    python benchmarks/learning.py [--datasets simulated cars fan] [--recipes former windows schedule now decay]

The former defaults are those of cf29bb1: Adam, a cosine that ends at a twentieth, steps of 4 x 512 targets, the study's
own budget of audio. The recipes change one thing after the other, up to the defaults of today and to weight decay,
which is no default. The networks, the data and the audio of a second are equal. Schedules depend on their budget, so
every budget is a training of its own, from the smallest up to the first that reaches the loss in the mean over the
seeds. The audio seconds are interpolated between the last two budgets, on the logarithm of the budget. Losses are on
normal clips of validation alone.

Time is that of the processor, on one thread, so that other programs hardly disturb it. benchmarks/LEARNING.md holds
what was expected and what was found.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` and `hpo` are found

from benchmarks.machine import describe_machine
from core.data.clips import ClipConfig
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.recordings import Corpus
from core.data.splits import SplitConfig
from core.experiment import ExperimentConfig, NetworkConfig
from core.model.frontend import FrontEndConfig
from core.model.optimizer import make_optimizer
from core.model.scored_training import encoded_clips
from core.model.scoring import score_clips
from core.model.training import train_epochs
from core.model.training_codes import fit_to_training
from core.model.training_config import TrainingConfig
from core.model.wavenet import WaveNet
from core.sources import open_source
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file

ROOT = Path(__file__).resolve().parent.parent
DATASETS = ("simulated", "cars", "fan")
FRACTIONS = (1 / 6, 1 / 4, 1 / 3, 1 / 2, 1.0)
"""Of the former budget."""
FRAME_SAMPLES = 100
NUM_EPOCHS = 2
"""Of every training; the schedule does not depend on it."""


@dataclass(frozen=True, kw_only=True)
class FormerTraining(TrainingConfig):
    """The schedule of cf29bb1: a cosine from the peak to a twentieth of it. Its heads start with random weights."""

    def learning_rate_at(self, progress: float) -> float:
        if progress < self.warmup_share:
            return self.learning_rate * progress / self.warmup_share
        cosine = (1 + math.cos(math.pi * (progress - self.warmup_share) / (1 - self.warmup_share))) / 2
        return self.learning_rate * (0.05 + 0.95 * cosine)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set, and how cf29bb1 trained on it."""

    dataset: Dataset
    config: ExperimentConfig
    budget_s: float
    former_rate: float


Recipe = Callable[[Task, float], TrainingConfig]
"""The training of a task on so many seconds of audio an epoch."""
RECIPES: dict[str, Recipe] = {
    "former": lambda task, seconds: FormerTraining(
        epochs=NUM_EPOCHS,
        seconds_per_epoch=seconds,
        learning_rate=task.former_rate,
        optimizer="adam",
        window_targets=512,
    ),
    "windows": lambda task, seconds: FormerTraining(
        epochs=NUM_EPOCHS, seconds_per_epoch=seconds, learning_rate=task.former_rate, optimizer="adam"
    ),
    "schedule": lambda task, seconds: TrainingConfig(
        epochs=NUM_EPOCHS, seconds_per_epoch=seconds, learning_rate=task.former_rate, optimizer="adam"
    ),
    "now": lambda _, seconds: TrainingConfig(epochs=NUM_EPOCHS, seconds_per_epoch=seconds),
    "decay": lambda _, seconds: TrainingConfig(epochs=NUM_EPOCHS, seconds_per_epoch=seconds, weight_decay=0.2),
}
MEANINGS = {
    "former": "cf29bb1: Adam, a cosine to a twentieth, 4 x 512 targets a step",
    "windows": "the same with 4 x 256 targets a step",
    "schedule": "windows, heads that start at zero, and a constant rate that falls to zero in the second half",
    "now": "schedule, and Muon with smooth steps of the levels, learning rate 0.01 on all three",
    "decay": "now, and decoupled weight decay of 0.2 of all weights",
}


def dataset_of(corpus: object, config: DataConfig) -> Dataset:
    assert isinstance(corpus, Corpus), "the benchmark needs a set that can be listed"
    return prepare_dataset(corpus, config)


def study_task(study: str, source: str | None, *, budget_s: float, former_rate: float) -> Task:
    """The default configuration of a study file, whose own budget is not used."""
    spec = load_study_file(ROOT / study)
    options = {name: value for name, value in spec.data.items() if name != "source"}
    corpus = open_source(source) if source else open_source(str(spec.data["source"]), options=options)
    data = DataConfig(
        sample_rate_hz=spec.default_experiment.front_end.read_rate_hz,
        clips=spec.clips,
        split=spec.split,
        speed_perturbation=spec.speed_perturbation,
    )
    return Task(
        dataset=dataset_of(corpus, data), config=spec.default_experiment, budget_s=budget_s, former_rate=former_rate
    )


def fan_task(source: str) -> Task:
    """A fan with eight microphones, for which there is no study file."""
    clips = ClipConfig(clip_seconds=5.0, evaluation_seconds=60, calibration_seconds=20)
    config = ExperimentConfig(
        front_end=FrontEndConfig(mu_law_levels=64),
        network=NetworkConfig(dilation_depth=6, residual_channels=16, receptive_field_ms=24, skip_channels=32),
    )
    data = DataConfig(sample_rate_hz=config.front_end.read_rate_hz, clips=clips, split=SplitConfig())
    return Task(dataset=dataset_of(open_source(source), data), config=config, budget_s=300, former_rate=1e-2)


def trained(task: Task, training: TrainingConfig, seed: int, pool: ThreadPool) -> tuple[float, float]:
    """The loss on normal clips of validation, in bits per sample, and the seconds of training."""
    dataset, rate = task.dataset, task.dataset.sample_rate_hz
    windows, sample = fit_to_training(task.config.front_end, dataset.training.order(seed), dataset.measurements)
    torch.manual_seed(seed)
    model = WaveNet(task.config.wavenet(dataset.num_channels))
    random_heads = model.heads.weight.detach().clone()
    model.start_from_marginals(sample)
    if isinstance(training, FormerTraining):
        model.heads.weight.data = random_heads
    optimizer = make_optimizer(model, training)
    started = time.process_time()
    for _ in train_epochs(model, optimizer, windows, config=training, sample_rate_hz=rate, seed=seed, pool=pool):
        pass
    seconds = time.process_time() - started
    scores = score_clips(
        model,
        encoded_clips(windows.front_end, dataset.validation),
        context_samples=model.config.receptive_field_samples,
        frame_samples=FRAME_SAMPLES,
        sample_rate_hz=rate,
        with_statistics=False,
        pool=pool,
    )
    return float(scores.surprise[~dataset.validation.is_anomalous].mean()), seconds


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the trainings of one budget reach."""

    fraction: float
    losses: tuple[float, ...]
    """One a seed."""
    seconds: float
    """Of the processor, in the mean over the seeds."""

    @property
    def loss(self) -> float:
        return float(np.mean(self.losses))


def measured(task: Task, recipe: Recipe, fraction: float, seeds: Sequence[int], pool: ThreadPool) -> Budget:
    training = recipe(task, task.budget_s * fraction / NUM_EPOCHS)
    runs = [trained(task, training, seed, pool) for seed in seeds]
    losses, seconds = zip(*runs, strict=True)
    return Budget(fraction=fraction, losses=losses, seconds=float(np.mean(seconds)))


def fraction_reached(budgets: Sequence[Budget], goal: float) -> float:
    """The fraction of the former budget at which the loss is reached; the smallest, where that reaches it; or NaN."""
    *_, last = budgets
    if last.loss > goal:
        return math.nan
    if len(budgets) == 1:
        return last.fraction
    before = budgets[-2]
    share = (before.loss - goal) / (before.loss - last.loss)
    return float(before.fraction * (last.fraction / before.fraction) ** share)


def print_line(name: str, recipe: str, budgets: Sequence[Budget], former: Budget) -> None:
    by_fraction = {budget.fraction: budget for budget in budgets}
    cells = []
    for fraction in FRACTIONS:
        budget = by_fraction.get(fraction)
        cells.append(f"{budget.loss:.3f} ± {np.std(budget.losses):.3f}" if budget else "")
    reached = fraction_reached(budgets, former.loss)
    seconds_a_budget = np.mean([budget.seconds / budget.fraction for budget in budgets])
    time_ratio = reached * seconds_a_budget / former.seconds
    print(f"| {name} | {recipe} | {' | '.join(cells)} | {reached:.2f} | {time_ratio:.2f} |", flush=True)


def compare(name: str, task: Task, recipes: Sequence[str], seeds: Sequence[int], pool: ThreadPool) -> None:
    former = measured(task, RECIPES["former"], 1.0, seeds, pool)
    for recipe in recipes:
        budgets: list[Budget] = []
        for fraction in FRACTIONS:
            is_former = recipe == "former" and fraction == 1
            budgets.append(former if is_former else measured(task, RECIPES[recipe], fraction, seeds, pool))
            if budgets[-1].loss <= former.loss:
                break
        print_line(name, recipe, budgets, former)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cars", default="folder:../shared/recordings/cars", help="the car recordings")
    parser.add_argument("--fan", default="folder:../shared/recordings/fan", help="the fan recordings")
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=DATASETS)
    parser.add_argument("--recipes", nargs="+", choices=tuple(RECIPES), default=("former", "now"))
    parser.add_argument("--seeds", nargs="+", type=int, default=(11, 12, 13))
    options = parser.parse_args()
    tasks: dict[str, Callable[[], Task]] = {
        "simulated": lambda: study_task("benchmarks/quickstart_by_surprise.toml", None, budget_s=120, former_rate=1e-2),
        "cars": lambda: study_task("studies/cars_10s.toml", options.cars, budget_s=800, former_rate=8e-3),
        "fan": lambda: fan_task(options.fan),
    }
    print(f"{describe_machine()}, one thread, seeds {' '.join(map(str, options.seeds))}; bits per sample\n")
    for recipe in options.recipes:
        print(f"- {recipe}: {MEANINGS[recipe]}")
    budgets = " | ".join(f"{fraction:.2f}" for fraction in FRACTIONS)
    print(f"\n| data | recipe | {budgets} | audio, ratio | time, ratio |")
    print(f"| --- | --- |{' --- |' * (len(FRACTIONS) + 2)}")
    with ThreadPool(1) as pool:
        for name in options.datasets:
            compare(name, tasks[name](), options.recipes, options.seeds, pool)


if __name__ == "__main__":
    main()
