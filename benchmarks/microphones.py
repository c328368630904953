"""Four microphones: one network that hears all of them, against four networks of one each with their scores fused.

    python benchmarks/microphones.py

The data are the simulated toy car's, over four folds of its takes. All networks have one configuration and train for
the same time, so the four networks of one microphone cost more together. Validation chooses score, window, side,
fusion, threshold and the best single microphone, by the rule of every comparison. The simulation takes the place of
recordings of four microphones, which were not at hand, so the result is only as good as the simulation.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from core.baselines.choice import Choice, ScoredDataset, choices_over, choose
from core.baselines.comparison import Row, row_of
from core.baselines.comparison_table import as_markdown, lines_of
from core.data.audio import Waveform
from core.data.clips import ClipConfig
from core.data.data_config import DataConfig
from core.data.dataset import JUDGED, Dataset, prepare_dataset
from core.data.recordings import Corpus, Recording
from core.data.splits import SplitConfig
from core.decision.score_file import load_scores
from core.experiment import PAPER_SCORES_FILE, ExperimentConfig, NetworkConfig, run_experiment
from core.model.frontend import FrontEndConfig
from core.model.scoring import PAPER_SCORES, Scores
from core.model.training import TrainingConfig
from core.model.wavenet import count_weights
from core.sources import open_source
from core.thread_pool import ThreadPool

NUM_MICROPHONES, FOLDS = 4, 4
CAR = {"seconds": 2.0, "num_normal": 64, "num_anomalous": 40, "num_microphones": NUM_MICROPHONES, "severity": 0.8}
CONFIG = ExperimentConfig(
    front_end=FrontEndConfig(sample_rate_hz=4000, mu_law_levels=64),
    network=NetworkConfig(dilation_depth=6, residual_channels=12, receptive_field_ms=24, skip_channels=24),
    training=TrainingConfig(epochs=3, seconds_per_epoch=120, learning_rate=1e-2),
)
CONTEXT_SAMPLES = CONFIG.wavenet(1).receptive_field_samples

KindScores = Mapping[str, Mapping[str, Scores]]
"""By kind of score, (N, C, F) of each split."""


def dataset_of(corpus: Corpus, fold: int) -> Dataset:
    clips = ClipConfig(clip_seconds=2.0, evaluation_seconds=120, calibration_seconds=48)
    split = SplitConfig(folds=FOLDS, fold=fold)
    return prepare_dataset(corpus, DataConfig(sample_rate_hz=4000, clips=clips, split=split))


def of_microphone(corpus: Corpus, channel: int) -> Corpus:
    """The same takes with one microphone alone."""
    heard = tuple(
        replace(take, num_channels=1, digest=f"{take.digest}/{channel}", read=partial(_read, take, channel))
        for take in corpus.recordings
    )
    return replace(corpus, recordings=heard)


def _read(take: Recording, channel: int) -> Waveform:
    return take.read()[channel : channel + 1]


def scores_of(dataset: Dataset, pool: ThreadPool) -> tuple[KindScores, float]:
    """Scores of a network trained on the dataset, at its best epoch, and the seconds of training."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for _ in run_experiment(
            CONFIG,
            dataset,
            Path(folder),
            seed=1,
            context_samples=CONTEXT_SAMPLES,
            device=torch.device("cpu"),
            pool=pool,
        ):
            pass
        kept = load_scores(Path(folder) / PAPER_SCORES_FILE)
    scores = {kind: {name: kept[name].scores.of(kind) for name in JUDGED} for kind in PAPER_SCORES}
    return scores, time.perf_counter() - started


def stacked(singles: Sequence[KindScores]) -> KindScores:
    """Scores of one microphone each, side by side."""
    return {
        kind: {name: np.concatenate([scores[kind][name] for scores in singles], axis=1) for name in JUDGED}
        for kind in PAPER_SCORES
    }


def judged_row(
    name: str, scores: KindScores, dataset: Dataset, seconds: float, *, num_weights: int
) -> tuple[Row, Choice]:
    rate, num_channels = CONFIG.front_end.sample_rate_hz, scores[PAPER_SCORES[0]]["test"].shape[1]
    scored = ScoredDataset(
        name=name,
        setup=f"{num_channels} microphone(s)",
        scores=scores,
        frame_ms=CONFIG.scoring.frame_ms,
        first_s=CONTEXT_SAMPLES / rate,
        num_weights=num_weights,
        seconds_to_train=seconds,
        seconds_to_score=0.0,
    )
    choice = choose(scored, dataset.judged(), choices_over(dataset))
    return row_of(scored, choice, dataset.judged(), num_tried=1, seconds_of_tuning=seconds), choice


def rows_of_fold(corpus: Corpus, fold: int, pool: ThreadPool) -> list[Row]:
    joint_data = dataset_of(corpus, fold)
    heard, seconds = scores_of(joint_data, pool)
    of_all, of_one = (count_weights(CONFIG.wavenet(count)) for count in (NUM_MICROPHONES, 1))
    joint, _ = judged_row("one network, four microphones", heard, joint_data, seconds, num_weights=of_all)
    parts = [dataset_of(of_microphone(corpus, channel), fold) for channel in range(NUM_MICROPHONES)]
    trained = [scores_of(part, pool) for part in parts]
    seconds = sum(each for _, each in trained)
    side_by_side = stacked([one for one, _ in trained])
    fused, _ = judged_row(
        "four networks of one, fused", side_by_side, joint_data, seconds, num_weights=NUM_MICROPHONES * of_one
    )
    alone = [
        judged_row("the best microphone alone", one, part, took, num_weights=of_one)
        for (one, took), part in zip(trained, parts, strict=True)
    ]
    best, _ = max(alone, key=lambda pair: pair[1].rank)
    return [joint, fused, best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    corpus = open_source("simulated", options=CAR)
    assert isinstance(corpus, Corpus)
    with ThreadPool(options.threads) as pool:
        folds = []
        for fold in range(FOLDS):
            folds.append(rows_of_fold(corpus, fold, pool))
            print(f"fold {fold + 1} of {FOLDS} done", file=sys.stderr, flush=True)
    print(as_markdown(lines_of(folds)))


if __name__ == "__main__":
    main()
