"""Do replayed studies reach what real ones reach? Real studies of cars of the table, judged on the same fresh takes.

    python benchmarks/live_studies.py --table FOLDER --cars 6 7 8 [--trials 20] [--points 8] [--replays 16]

The table is that of benchmarks/does_it_pay.py. A real study is one run of hpo/run_study.py with one worker and without
finalists, `runs/live-car-6`; the same command resumes it. The replayed ones have as many trials and the same pruner.
Each winner is chosen by the product's rule.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.choice_rules import by_rule
from benchmarks.replayed_cars import STUDY, default_trial, figures_of, load_cars
from benchmarks.replayed_studies import OBJECTIVES, Car, FloatArray, replay
from benchmarks.table_of_trainings import Car as CarData
from core.data.store import Store
from core.decision.checkpoint import load_detector
from core.decision.metrics import auc, f1_score
from core.model.scored_training import encoded_clips
from core.model.scoring import INNOVATIONS, score_clips
from core.thread_pool import ThreadPool
from hpo.search.samplers import make_pruner
from hpo.search.study_file import load_study_file

ROOT = Path(__file__).resolve().parent.parent
NUM_FIGURES = 4
"""F1, recall, false alarms and AUC: the first of `figures_of`."""


def run_study(number: int, options: argparse.Namespace) -> Path:
    """Runs or resumes the real study of a car. Returns its folder."""
    name = f"live-car-{number}"
    command = [
        *(sys.executable, ROOT / "hpo/run_study.py", "--study", STUDY, "--name", name, "--set", f"data.seed={number}"),
        *("--trials", options.trials, "--workers", 1, "--threads", 1, "--no-finalists"),
        *("--store", options.table / "store"),
    ]
    subprocess.run([str(each) for each in command], check=True, cwd=ROOT, stdout=sys.stderr)
    return ROOT / "runs" / name


def live_figures(checkpoint: Path, threshold: float, data: CarData) -> FloatArray:
    """(NUM_FIGURES,) on fresh takes."""
    detector, fresh = load_detector(checkpoint), data.fresh
    rate = detector.front_end.config.sample_rate_hz
    with ThreadPool(1) as pool:
        frames = score_clips(
            detector.model.eval(),
            encoded_clips(detector.front_end, fresh),
            context_samples=detector.context_samples,
            frame_samples=detector.scoring.frame_samples(rate),
            sample_rate_hz=rate,
            with_statistics=detector.scoring.score == INNOVATIONS,
            pool=pool,
        )
    judged = detector.statistic.judge(frames.of(detector.scoring.score), fresh.machines)
    scores, labels = judged.clip_scores, fresh.is_anomalous
    flagged = scores >= threshold
    shares = [float(flagged[labels].mean()), float(flagged[~labels].mean())]
    return np.array([f1_score(flagged, labels), *shares, auc(scores, labels)])


def replayed_figures(car: Car, options: argparse.Namespace) -> FloatArray:
    """(replays, NUM_FIGURES) of the winners of replayed studies."""
    studies = [
        replay(
            car,
            OBJECTIVES["expected F1"],
            kind=car.spec.sampler.kind,
            num_trials=options.trials,
            seed=seed,
            pruner=make_pruner(car.spec.pruner, car.num_epochs),
        )
        for seed in range(options.replays)
    ]
    return np.array([figures_of(by_rule(trials))[:NUM_FIGURES] for trials in studies])


def row_of(number: int, car: Car, options: argparse.Namespace) -> str:
    folder = run_study(number, options)
    result = json.loads((folder / "result.json").read_text())
    data = CarData(spec=car.spec, seed=number, num_fresh=options.fresh, store=Store(options.table / "store"))
    winner, default = (
        live_figures(folder / each["checkpoint"], each["threshold_sigmas"], data)
        for each in (result["winner"], result["default"])
    )
    replayed, of_table = replayed_figures(car, options), figures_of(default_trial(car))
    cells = [str(number), f"{result['winner']['trial']}", f"{default[0]:.3f}", f"{of_table[0]:.3f}"]
    cells += [f"{winner[0]:.3f}", _spread(replayed[:, 0]), f"{rank_among(winner[0], replayed[:, 0]):.2f}"]
    cells += [f"{winner[place]:.3f} / {replayed[:, place].mean():.3f}" for place in (2, 3)]
    return f"| {' | '.join(cells)} |"


def rank_among(value: float, others: FloatArray) -> float:
    """The share of the others that it is above, from 0 to 1; equal ones count half."""
    return float((others < value).mean() + (others <= value).mean()) / 2


def _spread(values: FloatArray) -> str:
    return f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})"


HEAD = (
    "car",
    "live winner, trial",
    "trial 0's F1, live",
    "in the table",
    "winner's F1, live",
    "replayed, mean (lowest to highest)",
    "its rank among them, 0 to 1",
    "false alarms, live / replayed",
    "AUC, live / replayed",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="of does_it_pay.py")
    parser.add_argument("--cars", type=int, nargs="+", required=True)
    parser.add_argument("--points", type=int, default=8, help="networks of the table")
    parser.add_argument("--fresh", type=int, default=200, help="takes that choose nothing, as in the table")
    parser.add_argument("--trials", type=int, default=20, help="of each study")
    parser.add_argument("--replays", type=int, default=16)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spec = load_study_file(STUDY)
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}", flush=True)
    for number, car in load_cars(options.table, options.cars, options.points, spec).items():
        print(row_of(number, car, options), flush=True)


if __name__ == "__main__":
    main()
