"""Training and scoring of this project's WaveNet beside a textbook WaveNet: speed and peak memory.

    python benchmarks/throughput.py [--threads 2] [--turns 5] [--widths 16 32 64] [--microphones 1 4]
                                    [--precision bfloat16]

Both hold the same weights and compute the same function; that is checked before anything is timed. They train on the
same batches (4 windows of 512 targets, Adam, clipped gradient), and they score the same clips. The textbook
(benchmarks/textbook.py) runs in float32 with one thread and with n, and the ratio is to its faster setting. Ours and
its settings are measured in turn, so that other work on the machine affects all. Figures are medians, and the ratio is
the median over turns, with the lowest and the highest.

A busy machine is unfair to PyTorch's own threads, which wait for each other in every operator. So `CPU` is a second
ratio, of the processor time of one thread each, which other work affects least. `at most` is what that ratio would be
if our matrix products, as PyTorch's profiler times them, were all that is left of our work. Memory is the peak of a
fresh process above what it held before, after a small network has warmed it up.
"""

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.machine import describe_machine, memory_mb, reset_peak_memory
from benchmarks.textbook import TextbookWaveNet
from core.model.fast.likelihood import SampleScores
from core.model.frontend import Codes
from core.model.training import HeldWindows, train_epochs
from core.model.training_config import TrainingConfig
from core.model.wavenet import WaveNet
from core.model.wavenet_config import KERNEL, PRECISIONS, Precision, WaveNetConfig
from core.thread_pool import ThreadPool

SAMPLE_RATE_HZ = 4000
CLIP_SECONDS = 3
NUM_CLIPS = 2
FRAME_SAMPLES = 100
SIZES = {16: (7, 64), 32: (7, 64), 64: (9, 128), 128: (9, 128)}
"""By residual channels: dilation depth, and receptive field in ms."""
TRAINING = TrainingConfig(epochs=1, seconds_per_epoch=2.0, learning_rate=1e-4, batch_windows=4, window_targets=512)
TASKS = ("training", "scoring")
TOLERANCE: dict[Precision, float] = {"float32": 1e-4, "bfloat16": 3e-2}
HOPELESS = 2.0
"""A setting of threads that takes so many times as long as the other is tried once."""
HEADER = "width mics  layers  task          ours  textbook (n)   ratio  (from - to)    CPU  at most   memory MB"
PRODUCTS = {"aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm", "aten::baddbmm_"}
"""PyTorch's operators that are a product of matrices."""


def shape_of(width: int, num_channels: int, precision: Precision) -> WaveNetConfig:
    depth, field_ms = SIZES[width]
    return WaveNetConfig(
        num_channels=num_channels,
        dilation_depth=depth,
        receptive_field_samples=field_ms * SAMPLE_RATE_HZ // 1000,
        residual_channels=width,
        skip_channels=2 * width,
        precision=precision,
    )


def random_clips(num_channels: int) -> Codes:
    shape = (NUM_CLIPS, num_channels, CLIP_SECONDS * SAMPLE_RATE_HZ)
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)  # speed does not hear what it is


@dataclass(frozen=True)
class Pair:
    """Ours and the textbook with equal weights, and what they work on."""

    ours: WaveNet
    textbook: TextbookWaveNet
    clips: Codes

    @classmethod
    def make(cls, shape: WaveNetConfig) -> "Pair":
        torch.manual_seed(0)
        ours = WaveNet(shape)
        return cls(ours, TextbookWaveNet(ours, one_hot=False), random_clips(shape.num_channels))

    @property
    def context(self) -> int:
        return self.ours.config.receptive_field_samples

    def num_samples(self, task: str) -> int:
        """Predicted samples of one turn, per channel."""
        if task == "training":
            return TRAINING.steps_per_epoch(SAMPLE_RATE_HZ) * TRAINING.batch_windows * TRAINING.window_targets
        num_frames: int = (self.clips.shape[-1] - self.context) // FRAME_SAMPLES
        return NUM_CLIPS * num_frames * FRAME_SAMPLES

    def work(self, task: str, *, is_ours: bool, pool: ThreadPool) -> Callable[[], None]:
        if task == "training":
            return partial(train_ours, self, pool) if is_ours else partial(train_textbook, self)
        return partial(score_ours, self, pool) if is_ours else partial(score_textbook, self)


def train_ours(pair: Pair, pool: ThreadPool) -> None:
    optimizer = torch.optim.Adam(pair.ours.parameters(), lr=TRAINING.learning_rate, fused=True)
    windows = HeldWindows(pair.clips)
    list(train_epochs(pair.ours, optimizer, windows, config=TRAINING, sample_rate_hz=SAMPLE_RATE_HZ, seed=0, pool=pool))


def train_textbook(pair: Pair) -> None:
    """One epoch of training with the same steps as `train_epochs`, without its optimisations."""
    model, clips, context = pair.textbook, pair.clips, pair.context
    optimizer = torch.optim.Adam(model.parameters(), lr=TRAINING.learning_rate, fused=True)
    random, length = np.random.default_rng(0), context + TRAINING.window_targets
    for _ in range(TRAINING.steps_per_epoch(SAMPLE_RATE_HZ)):
        which = random.integers(len(clips), size=TRAINING.batch_windows)
        starts = random.integers(clips.shape[-1] - length + 1, size=TRAINING.batch_windows)
        windows = [clips[clip, :, start : start + length] for clip, start in zip(which, starts, strict=True)]
        optimizer.zero_grad()
        model.loss_bits(torch.from_numpy(np.stack(windows)), context).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), TRAINING.gradient_norm)
        optimizer.step()


def score_ours(pair: Pair, pool: ThreadPool) -> None:
    """Clip by clip on the pool's threads, and no more than the textbook's outputs."""
    pool.map(lambda clip: frame_means(pair.ours.sample_scores(torch.from_numpy(clip[None]))), pair.clips)


def score_textbook(pair: Pair) -> None:
    """Clip by clip, since all logits of one clip are large enough."""
    for clip in pair.clips:
        frame_means(pair.textbook.sample_scores(torch.from_numpy(clip[None]), pair.context))


def frame_means(scores: SampleScores) -> list[Tensor]:
    whole = scores.surprise.shape[-1] // FRAME_SAMPLES * FRAME_SAMPLES
    return [torch.unflatten(kind[..., :whole], -1, (-1, FRAME_SAMPLES)).mean(dim=-1) for kind in scores]


def check_agreement(pair: Pair) -> None:
    """Asserts equal losses and gradients (the first block, the heads) within TOLERANCE, and equal scores within ten
    times that, because the textbook's variance loses digits."""
    tolerance = TOLERANCE[pair.ours.config.precision]
    codes = torch.from_numpy(pair.clips[:1, :, : pair.context + 500])
    ours, textbook = pair.ours, pair.textbook
    losses = ours.loss_bits(codes), textbook.loss_bits(codes, pair.context)
    gradients = torch.autograd.grad(losses[0], [ours.heads.weight, ours.get_parameter("blocks.0.gate.weight")])
    references = torch.autograd.grad(losses[1], [textbook.heads.weight, textbook.get_parameter("gates.0.weight")])
    close = partial(torch.testing.assert_close, rtol=tolerance, atol=tolerance)
    close(losses[0], losses[1])
    close(gradients[0], references[0].squeeze(-1))
    close(torch.stack(gradients[1].chunk(KERNEL, dim=1), dim=-1), references[1])
    for kind, reference in zip(ours.sample_scores(codes), textbook.sample_scores(codes, pair.context), strict=True):
        torch.testing.assert_close(kind, reference, rtol=10 * tolerance, atol=10 * tolerance)


def seconds_of(work: Callable[[], None], *, operator_threads: int, clock: Callable[[], float]) -> float:
    torch.set_num_threads(operator_threads)
    started = clock()
    work()
    return clock() - started


class CallersThread(ThreadPool):
    """Works in the thread that calls, which is the one that the profiler sees."""

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return list(map(work, items))


def seconds_of_products(pair: Pair, task: str) -> float:
    """Processor time of the matrix products in one turn of ours, on one thread: the shortest of three."""
    torch.set_num_threads(1)
    seconds = []
    with CallersThread(1) as pool:
        work = pair.work(task, is_ours=True, pool=pool)
        for _ in range(3):
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
                work()
            products = [each for each in profile.key_averages() if each.key in PRODUCTS]
            seconds.append(1e-6 * float(sum(each.self_cpu_time_total for each in products)))
    return min(seconds)


def measure(pair: Pair, task: str, *, threads: int, turns: int) -> str:
    """A row of the table without its memory."""
    wall: list[tuple[float, ...]] = []
    cpu: list[tuple[float, float]] = []
    with ThreadPool(threads) as many, ThreadPool(1) as one:
        ours, ours_alone = (pair.work(task, is_ours=True, pool=pool) for pool in (many, one))
        textbook = pair.work(task, is_ours=False, pool=one)
        by_wall = partial(seconds_of, clock=time.perf_counter)
        by_cpu = partial(seconds_of, operator_threads=1, clock=time.process_time)
        alone, together = (by_wall(textbook, operator_threads=n) for n in (1, threads))
        settings = [n for n, seconds in ((1, alone), (threads, together)) if seconds <= HOPELESS * min(alone, together)]
        for _ in range(turns + 1):
            wall.append((by_wall(ours, operator_threads=1), *(by_wall(textbook, operator_threads=n) for n in settings)))
            cpu.append((by_cpu(ours_alone), by_cpu(textbook)))
    seconds, cpu_seconds = np.array(wall[1:]), np.array(cpu[1:])  # the first turn warms up
    medians = np.median(seconds, axis=0)
    best = 1 + int(np.argmin(medians[1:]))
    ratios = seconds[:, best] / seconds[:, 0]
    cpu_ratio = float(np.median(cpu_seconds[:, 1] / cpu_seconds[:, 0]))
    at_most = float(np.median(cpu_seconds[:, 1])) / seconds_of_products(pair, task)
    ours_rate, textbook_rate = pair.num_samples(task) / SAMPLE_RATE_HZ / medians[[0, best]]
    return (
        f"{ours_rate:>9.1f} {textbook_rate:>9.1f} ({settings[best - 1]}) {np.median(ratios):>7.2f}  "
        f"({ratios.min():.2f} - {ratios.max():.2f}) {cpu_ratio:>6.2f} {at_most:>8.2f}"
    )


def peak_memory_mb(name: str, shape: WaveNetConfig, task: str, threads: int) -> float:
    """Of one turn in a process of its own; NaN where the system does not say."""
    if not Path("/proc/self/clear_refs").exists():
        return math.nan
    job = ",".join((name, str(shape.residual_channels), str(shape.num_channels), shape.precision, task, str(threads)))
    done = subprocess.run([sys.executable, __file__, "--memory-of", job], check=True, capture_output=True, text=True)
    return float(done.stdout)


def print_memory(job: str) -> None:
    name, width, num_channels, precision, task, threads = job.split(",")
    torch.set_num_threads(1)
    with ThreadPool(int(threads)) as pool:
        small = Pair.make(WaveNetConfig(num_channels=1, receptive_field_samples=20, residual_channels=4))
        small.work(task, is_ours=name == "ours", pool=pool)()
        (its_precision,) = (each for each in PRECISIONS if each == precision)
        pair = Pair.make(shape_of(int(width), int(num_channels), its_precision))
        reset_peak_memory()
        before, _ = memory_mb()
        pair.work(task, is_ours=name == "ours", pool=pool)()
        print(memory_mb()[1] - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5, help="timed turns of each, after one for warming up")
    parser.add_argument("--widths", type=int, nargs="+", choices=tuple(SIZES), default=[16, 32, 64])
    parser.add_argument("--microphones", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the products of ours")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        print_memory(arguments.memory_of)
        return
    print(describe_machine())
    setting = f"ours with {arguments.threads} threads and products in {arguments.precision}"
    print(f"Audio seconds a second at {SAMPLE_RATE_HZ} Hz, {setting}; peak memory")
    print(HEADER)
    for width, num_channels in product(arguments.widths, arguments.microphones):
        pair = Pair.make(shape_of(width, num_channels, arguments.precision))
        check_agreement(pair)
        for task in TASKS:
            row = measure(pair, task, threads=arguments.threads, turns=arguments.turns)
            memory = [peak_memory_mb(n, pair.ours.config, task, arguments.threads) for n in ("ours", "textbook")]
            layers = len(pair.ours.config.dilations)
            print(
                f"{width:>5} {num_channels:>4} {layers:>7}  {task:<8} {row} {memory[0]:>6.0f} / {memory[1]:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
