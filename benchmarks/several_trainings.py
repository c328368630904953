"""What several trainings in one pass could gain at the most, on one core.

    python benchmarks/several_trainings.py [--trainings 2 4 8] [--turns 25]

Trainings of one shape side by side can save the cost of calls: products of small matrices, operations on short rows,
the optimizer's. So K trainings in one pass take at least as long as one training whose batch is K times as large, with
one step of its optimizer for all. That is measured here for the default networks of two studies, in processor time of
one thread. What a batched product of K matrices takes, beside one of one matrix and as many columns, is printed and not
counted in. The last column has what an epoch gains at the most with the scoring that follows it, as in a trial.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` and `hpo` are found

from benchmarks.machine import describe_machine
from core.model.optimizer import make_optimizer
from core.model.training_config import TrainingConfig
from core.model.wavenet import WaveNet
from core.model.wavenet_config import WaveNetConfig
from core.study_files import find_study_file
from hpo.search.study_file import load_study_file

STUDIES = {"quickstart": 4, "any_machine": 1}
"""With a number of microphones."""
COLUMNS = (
    "study",
    "channels, microphones",
    "trainings in one pass",
    "gradient, ms a step",
    "in one pass",
    "optimizer, ms",
    "steps, at most",
    "batched product / plain",
    "epochs with scoring, at most",
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """The default training of a study."""

    study: str
    network: WaveNetConfig
    training: TrainingConfig
    steps_per_epoch: int
    scored_samples: int
    """After an epoch, per channel."""

    @classmethod
    def of(cls, study: str, num_channels: int) -> "Task":
        spec = load_study_file(find_study_file(study))
        rate, clips = spec.front_end.sample_rate_hz, spec.clips
        scored_s = 2 * clips.evaluation_seconds + clips.calibration_seconds
        return cls(
            study=study,
            network=spec.default_experiment.wavenet(num_channels),
            training=spec.training,
            steps_per_epoch=spec.training.steps_per_epoch(rate),
            scored_samples=round(scored_s * rate),
        )

    def codes(self, num_clips: int, num_targets: int) -> torch.Tensor:
        shape = (num_clips, self.network.num_channels, self.network.receptive_field_samples + num_targets)
        return torch.randint(self.network.mu_law_levels, shape, dtype=torch.uint8)


def milliseconds(work: Callable[[], object], turns: int) -> float:
    """Of one thread's processor time: the least of several turns, after one that warms up."""
    costs = []
    for _ in range(turns + 1):
        started = time.thread_time()
        work()
        costs.append(time.thread_time() - started)
    return 1000 * min(costs[1:])


def batched_product_loss(task: Task, trainings: int, turns: int) -> float:
    """Time of K products of a gate's matrix with a batch's columns, over that of one with K times the columns."""
    width, columns = task.network.residual_channels, task.training.batch_windows * task.training.window_targets
    matrices, inputs = torch.randn(trainings, 2 * width, width), torch.randn(trainings, width, columns)
    wide = torch.randn(width, trainings * columns)
    batched = milliseconds(lambda: torch.bmm(matrices, inputs), turns)
    return batched / milliseconds(lambda: matrices[0] @ wide, turns)


def print_rows(task: Task, counts: list[int], turns: int) -> None:
    model = WaveNet(task.network)
    optimizer, batch, targets = make_optimizer(model, task.training), task.training.batch_windows, 8000

    def gradient_ms(trainings: int) -> float:
        codes = task.codes(trainings * batch, task.training.window_targets)
        return milliseconds(lambda: model.fast().loss_and_gradient(codes), turns)

    _, gradient = model.fast().loss_and_gradient(task.codes(batch, task.training.window_targets))
    for parameter, part in zip(model.parameters(), model.fast().split(gradient), strict=True):
        parameter.grad = part
    alone, step = gradient_ms(1), milliseconds(optimizer.step, turns)
    clip = task.codes(1, targets)
    scoring = milliseconds(lambda: model.sample_scores(clip), turns) * task.scored_samples / targets
    for trainings in counts:
        together = gradient_ms(trainings)
        apart_ms, joint_ms = trainings * (alone + step), together + step
        steps = task.steps_per_epoch
        epochs = (steps * apart_ms + trainings * scoring) / (steps * joint_ms + trainings * scoring)
        print(
            f"| {task.study} | {task.network.residual_channels}, {task.network.num_channels} | {trainings} | "
            f"{alone:.2f} | {together / trainings:.2f} | {step:.2f} | {apart_ms / joint_ms:.2f} | "
            f"{batched_product_loss(task, trainings, turns):.2f} | {epochs:.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trainings", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--turns", type=int, default=25)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{describe_machine()}\n\n| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}", flush=True)
    for study, num_channels in STUDIES.items():
        print_rows(Task.of(study, num_channels), arguments.trainings, arguments.turns)


if __name__ == "__main__":
    main()
