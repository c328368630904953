"""Whether products in bfloat16 change what a detector finds: wide networks, trained and scored in either precision.

    python benchmarks/precisions.py --cars folder:PATH --fan folder:PATH [--folds 1 2] [--channels 64] [--jobs 1]

The default configuration of studies/any_machine.toml with more channels and one long epoch. Both precisions have the
same clips, seeds and folds, so differences of AUC are paired. Scores are kept in --folder.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.elsewhere import text_of
from benchmarks.judged_elsewhere import Judged, corpus_of, scores_of
from benchmarks.machine import describe_machine
from benchmarks.scores_by_choice import WAVENET
from core.baselines.paired_bootstrap import Figure, draw_takes, mean_area
from core.model.wavenet_config import PRECISIONS
from core.thread_pool import ThreadPool

TASKS = ("cars", "fan", "simulated")
STATISTICS = "all"
"""The default of `any_machine`."""


def judged(options: argparse.Namespace, job: tuple[str, int, str]) -> list[Judged]:
    """The machines of a task in one fold by networks of one precision."""
    task, fold, precision = job
    torch.set_num_threads(1)
    settings = (
        f"network.residual_channels={options.channels}",
        f"network.skip_channels={2 * options.channels}",
        f"network.precision={precision}",
        "limits.max_weights=10_000_000",
        "training.epochs=1",
        f"training.seconds_per_epoch={options.seconds}",
    )
    folder = options.folder / f"{options.channels}-{options.seconds:g}-{precision}"
    folder.mkdir(parents=True, exist_ok=True)
    corpus = corpus_of(task, fold - 1, options)
    with ThreadPool(1) as pool:
        return scores_of(corpus, task, fold - 1, folder=folder, pool=pool, settings=settings, with_alternatives=False)


def row_of(task: str, split: str, exact: Sequence[Judged], rounded: Sequence[Judged]) -> str:
    pair = [[each.decisions[WAVENET][STATISTICS][split] for each in machines] for machines in (exact, rounded)]
    draws = draw_takes(pair[0])
    areas = [mean_area(splits, draws) for splits in pair]
    cells = [task, split, *(f"{area[0]:.4f}" for area in areas), text_of(Figure.of(areas[1] - areas[0]), signed=True)]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cars", required=True)
    parser.add_argument("--fan", required=True)
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=180.0, help="of audio to train on")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--folder", type=Path, default=Path("runs/precisions"), help="where scores are kept")
    options = parser.parse_args()
    print(describe_machine())
    jobs = list(itertools.product(TASKS, options.folds, PRECISIONS))
    with ProcessPoolExecutor(options.jobs) as processes:
        found = dict(zip(jobs, processes.map(partial(judged, options), jobs), strict=True))
    print("| task | clips | AUC, float32 | AUC, bfloat16 | difference |\n| --- | --- | --- | --- | --- |")
    for task, split in itertools.product(TASKS, ("validation", "test")):
        both = [[each for fold in options.folds for each in found[task, fold, p]] for p in PRECISIONS]
        print(row_of(task, split, *both), flush=True)


if __name__ == "__main__":
    main()
