"""AUC and event F1 of the score `innovations` on validation clips, fold by fold, for every choice of what is compared.

    python benchmarks/innovations.py TASK --data folder:../shared/recordings/fan [--rate 8000] [--pre-emphasis 0.5]

One network is trained a fold; the choices train nothing. Thresholds of event F1 are the best on the same clips, so that
figure is optimistic. Test clips are not looked at: this is where choices are made.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from core.baselines.choice import OF_INNOVATIONS
from core.data.clips import ClipConfig, ClipSet
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.speed_perturbation import SpeedConfig
from core.data.splicing import SpliceConfig
from core.data.splits import SplitConfig
from core.decision.evaluation import count_events
from core.decision.event_metrics import event_metrics
from core.decision.fitting import fit_statistic
from core.decision.metrics import auc
from core.decision.postprocess import BASELINES, STATISTICS
from core.decision.statistic import Judgement
from core.experiment import ExperimentConfig, NetworkConfig
from core.model.frontend import FrontEndConfig
from core.model.scored_training import scored_epochs
from core.model.scoring import ScoringConfig
from core.model.training import TrainingConfig
from core.model.training_record import ScoredEpoch
from core.sources import open_source
from core.thread_pool import ThreadPool

FOLDS = 4
SPEEDS = SpeedConfig(speeds=(0.92, 0.96, 1.04, 1.08))
LONG = ClipConfig(clip_seconds=10.0, evaluation_seconds=360.0, calibration_seconds=180.0)
PARTS = SplitConfig(folds=FOLDS, calibration="parts", calibration_fraction=0.5)
TASKS = {
    "takes": DataConfig(sample_rate_hz=8000, clips=LONG, split=SplitConfig(folds=FOLDS, calibration_fraction=0.5)),
    "cars": DataConfig(sample_rate_hz=8000, clips=LONG, split=PARTS, speed_perturbation=SPEEDS),
    "spliced": DataConfig(
        sample_rate_hz=8000, clips=LONG, split=PARTS, speed_perturbation=SPEEDS, splice=SpliceConfig()
    ),
}
"""For many takes of a machine, for a few, and for faults of a moment in a few."""


def config_of(options: argparse.Namespace) -> ExperimentConfig:
    return ExperimentConfig(
        front_end=FrontEndConfig(
            sample_rate_hz=options.rate, pre_emphasis=options.pre_emphasis, mu_law_levels=options.levels
        ),
        network=NetworkConfig(dilation_depth=7, receptive_field_ms=32),
        scoring=ScoringConfig(score="innovations"),
        training=TrainingConfig(epochs=1, seconds_per_epoch=options.seconds, learning_rate=8e-3),
    )


def trained(config: ExperimentConfig, dataset: Dataset, context: int, seed: int, pool: ThreadPool) -> ScoredEpoch:
    setup = config.training_setup(dataset.num_channels, context)
    with tempfile.TemporaryDirectory() as folder:
        (epoch,) = scored_epochs(setup, dataset, Path(folder), seed=seed, device=torch.device("cpu"), pool=pool)
    return epoch


def best_events(judgement: Judgement, clips: ClipSet, config: ExperimentConfig, context: int) -> tuple[float, float]:
    """The highest event F1 of clips with labelled events, and its segment F1."""
    assert clips.events is not None
    rate = config.front_end.sample_rate_hz
    frame_s = config.scoring.frame_samples(rate) / rate
    levels = np.quantile(judgement.thresholds[np.isfinite(judgement.thresholds)], np.linspace(0.3, 1, 30))
    found = [
        event_metrics(count_events(judgement, clips.events, float(level), first_s=context / rate, frame_s=frame_s))
        for level in np.unique(levels)
    ]
    return max((each.event_f1, each.segment_f1) for each in found)


def print_fold(options: argparse.Namespace, fold: int, pool: ThreadPool) -> None:
    task, config = TASKS[options.task], config_of(options)
    data = replace(task, sample_rate_hz=options.rate, split=replace(task.split, fold=fold))
    dataset = prepare_dataset(open_source(options.data, options={}, skip_bad_files=False, store=None), data)
    context = config.wavenet(dataset.num_channels).receptive_field_samples
    epoch, clips, healthy = trained(config, dataset, context, fold + 1, pool), dataset.validation, dataset.calibration
    machines = np.array(clips.machines)
    for baseline, statistics in product(BASELINES, STATISTICS):
        post = replace(OF_INNOVATIONS, baseline=baseline, statistics=statistics)
        frames = {name: scores.statistics for name, scores in epoch.scores.items()}
        fitted = fit_statistic(
            post, frames["calibration"], healthy.machines, healthy.recording_ids, frame_ms=config.scoring.frame_ms
        )
        judgement = fitted.judge(frames["validation"], clips.machines)  # type: ignore[arg-type]
        areas = [auc(judgement.clip_scores[rows], clips.is_anomalous[rows]) for rows in _by_machine(machines)]
        events = ""
        if clips.events is not None:
            event_f1, segment_f1 = best_events(judgement, clips, config, context)
            events = f"   event F1 {event_f1:.2f}, segment F1 {segment_f1:.2f}"
        print(f"fold {fold}  {baseline:8}{statistics:9} AUC {np.nanmean(areas):.3f}{events}", flush=True)


def _by_machine(machines: np.ndarray) -> list[np.ndarray]:
    return [machines == machine for machine in sorted(set(machines))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("--data", required=True, help="such as folder:../shared/recordings/fan")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    parser.add_argument("--rate", type=int, default=8000)
    parser.add_argument("--pre-emphasis", type=float, default=0.5)
    parser.add_argument("--levels", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120.0, help="of audio that is trained on")
    options = parser.parse_args()
    with ThreadPool(1) as pool:
        for fold in options.folds:
            print_fold(options, fold, pool)


if __name__ == "__main__":
    main()
