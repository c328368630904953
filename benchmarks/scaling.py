"""What an audio second costs, in training and in scoring, as one property changes and all others stay.

    python benchmarks/scaling.py [--turns 3]

Layers, residual channels (with products in float32 and in bfloat16), microphones, levels and length are measured by the
processor time of one thread, which other work on the machine affects least; threads and processes by the wall clock,
on as much work for each. A row is the median over turns, in milliseconds for an audio second, with a bar and with the
ratio to the first row of its property.
"""

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.machine import describe_machine
from core.model.wavenet import WaveNet
from core.model.wavenet_config import Precision, WaveNetConfig
from core.thread_pool import ThreadPool

SAMPLE_RATE_HZ = 4000
NUM_WINDOWS, WINDOW_TARGETS, SCORED_TARGETS = 4, 512, 8000
BAR_WIDTH = 40


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, and the length of what it works on."""

    network: WaveNetConfig
    targets: int | None = None
    """Of a window or a clip; the usual lengths where it is None."""


BASE = Case(
    network=WaveNetConfig(
        num_channels=1, dilation_depth=6, receptive_field_samples=128, residual_channels=32, skip_channels=64
    )
)


def with_network(**changes: Any) -> Case:
    return replace(BASE, network=replace(BASE.network, **changes))


def with_width(channels: int, precision: Precision) -> Case:
    return with_network(residual_channels=channels, skip_channels=2 * channels, precision=precision)


PROPERTIES: dict[str, dict[int, Case]] = {
    # Stacks of six layers, 63 samples each. The receptive field grows too, which adds context to a window.
    "layers": {6 * n: with_network(receptive_field_samples=2 + 63 * n) for n in (1, 2, 4, 8)},
    "residual channels": {n: with_width(n, "float32") for n in (8, 16, 32, 64, 128, 256, 512)},
    "in bfloat16": {n: with_width(n, "bfloat16") for n in (8, 16, 32, 64, 128, 256, 512)},
    "microphones": {n: with_network(num_channels=n) for n in (1, 2, 4, 8)},
    "levels": {n: with_network(mu_law_levels=n) for n in (16, 64, 256)},
    "length in samples": {n: replace(BASE, targets=n) for n in (500, 2000, 8000, 32_000)},
}


def work_of(case: Case, *, is_training: bool) -> tuple[Callable[[], object], float]:
    """A step, or the scoring of a clip, and how many audio seconds it predicts."""
    torch.manual_seed(0)
    model, windows = WaveNet(case.network), NUM_WINDOWS if is_training else 1
    targets = case.targets or (WINDOW_TARGETS if is_training else SCORED_TARGETS)
    shape = (windows, case.network.num_channels, case.network.receptive_field_samples + targets)
    codes = torch.randint(case.network.mu_law_levels, shape, dtype=torch.uint8)
    seconds = windows * targets / SAMPLE_RATE_HZ
    if is_training:
        return lambda: model.fast().loss_and_gradient(codes), seconds
    return lambda: model.sample_scores(codes), seconds


def cost_ms(case: Case, *, is_training: bool, turns: int) -> float:
    """Milliseconds of processor time for an audio second."""
    work, audio_seconds = work_of(case, is_training=is_training)
    work()
    costs = []
    for _ in range(turns):
        started = time.thread_time()
        work()
        costs.append(time.thread_time() - started)
    return 1000 * float(np.median(costs)) / audio_seconds


def cost_of_threads_ms(num_threads: int, *, is_training: bool, turns: int) -> float:
    """Milliseconds of the wall clock for an audio second, with one piece of work for each thread."""
    pairs = [work_of(BASE, is_training=is_training) for _ in range(num_threads)]
    works, audio_seconds = [work for work, _ in pairs], sum(seconds for _, seconds in pairs)
    costs = []
    with ThreadPool(num_threads) as pool:
        for _ in range(turns + 1):
            started = time.perf_counter()
            pool.map(lambda work: work(), works)
            costs.append(time.perf_counter() - started)
    return 1000 * float(np.median(costs[1:])) / audio_seconds


def wall_cost_ms(is_training: bool, turns: int) -> float:
    """Of one process of several."""
    torch.set_num_threads(1)
    return cost_of_threads_ms(1, is_training=is_training, turns=turns)


def cost_of_processes_ms(num_processes: int, *, is_training: bool, turns: int) -> float:
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn")) as pool:
        costs = [pool.submit(wall_cost_ms, is_training, 5 * turns) for _ in range(num_processes)]
        return float(np.mean([cost.result() for cost in costs])) / num_processes


def print_rows(name: str, rows: dict[int, tuple[float, float]]) -> None:
    print(f"\n{name:<20} training ms          scoring ms")
    first, most = next(iter(rows.values())), max(training for training, _ in rows.values())
    for value, (training, scoring) in rows.items():
        ratios = training / first[0], scoring / first[1]
        bar = "#" * max(1, round(BAR_WIDTH * training / most))
        print(f"{value:>17}  {training:>9.1f} {ratios[0]:>6.2f}   {scoring:>9.1f} {ratios[1]:>6.2f}  {bar}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    print(describe_machine())
    print("Milliseconds for an audio second, and the ratio to the first row")
    for name, cases in PROPERTIES.items():
        rows = {
            value: (cost_ms(case, is_training=True, turns=turns), cost_ms(case, is_training=False, turns=turns))
            for value, case in cases.items()
        }
        print_rows(name, rows)
    for name, cost in (("threads", cost_of_threads_ms), ("processes", cost_of_processes_ms)):
        rows = {n: (cost(n, is_training=True, turns=turns), cost(n, is_training=False, turns=turns)) for n in (1, 2)}
        print_rows(name, rows)


if __name__ == "__main__":
    main()
