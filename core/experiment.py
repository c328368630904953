"""One configuration from recordings to metrics: the only place that composes the stages.

    dataset -> scored training, epoch by epoch -> frame scores -> statistic -> metrics

An experiment follows the epochs of its training (core/model/scored_training.py), which are read where they exist, and
judges each by its own score and post-processing. Experiments that differ only in those share one training, and may find
different epochs of it to be the best.

`run_experiment` is a generator that yields after every epoch, so that a search can log, report and prune between
epochs. It leaves two files in the experiment's folder: the detector and the frame scores of the epoch with the best
validation AUC. Test figures are measured every epoch and choose nothing.
"""

import math
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from core.data.dataset import Dataset
from core.decision.checkpoint import DETECTOR_FILE, Detector, save_detector
from core.decision.evaluation import evaluate
from core.decision.fitting import AnyStatistic
from core.decision.healthy_prediction import healthy_prediction
from core.decision.levels import LevelRange, level_ranges
from core.decision.postprocess import PostprocessingConfig
from core.decision.score_file import save_scores
from core.model.frontend import FrontEndConfig
from core.model.scored_training import TrainingSetup, scored_epochs
from core.model.scoring import INNOVATIONS, ScoringConfig
from core.model.training import NO_CONTEXT, BatchContext, ConfigurationFailed
from core.model.training_config import TrainingConfig
from core.model.training_record import ScoredEpoch
from core.model.wavenet import WaveNet
from core.model.wavenet_config import Precision, WaveNetConfig
from core.thread_pool import ThreadPool

DIVERGED_SHARE = 3
"""Of the bits of a uniform guess: beyond it the validation loss belongs to a broken detector, not to a bad one."""
SCORES_FILE = "frame_scores.npz"
TRAININGS_DIRECTORY = "trainings"
"""A folder of trainings by key, in the folder of a study or of a single experiment."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The network in units that do not depend on the data: lengths are in ms, and the data sets the channels."""

    dilation_depth: int = 6
    """Layers in a full stack of doubling dilations."""
    residual_channels: int = 16
    """Width of the residual path."""
    receptive_field_ms: float = 32.0
    """How much of the past a prediction depends on."""
    skip_channels: int = 32
    """Width of the skip path and of the hidden layer before the heads."""
    precision: Precision = "float32"
    """Of its matrix products, in training and in scoring. `bfloat16` is faster from about 128 residual channels on,
    where the processor has AMX."""


def receptive_field_samples(receptive_field_ms: float, sample_rate_hz: int) -> int:
    """Rounded to the nearest sample, so that a longer field never has fewer samples."""
    return round(receptive_field_ms * sample_rate_hz / 1000)


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """One complete point of the search."""

    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    postprocessing: PostprocessingConfig = field(default_factory=PostprocessingConfig)

    def wavenet(self, num_channels: int) -> WaveNetConfig:
        """The network's shape on data of this many microphones."""
        return WaveNetConfig(
            num_channels=num_channels,
            mu_law_levels=self.front_end.mu_law_levels,
            dilation_depth=self.network.dilation_depth,
            receptive_field_samples=receptive_field_samples(
                self.network.receptive_field_ms, self.front_end.sample_rate_hz
            ),
            residual_channels=self.network.residual_channels,
            skip_channels=self.network.skip_channels,
            precision=self.network.precision,
        )

    def training_setup(self, num_channels: int, context_samples: int) -> TrainingSetup:
        """The part that determines the training and what it keeps: all but the post-processing and which of the other
        scores is taken."""
        return TrainingSetup(
            front_end=self.front_end,
            network=self.wavenet(num_channels),
            training=self.training,
            frame_samples=self.scoring.frame_samples(self.front_end.sample_rate_hz),
            context_samples=context_samples,
            keeps_statistics=self.scoring.score == INNOVATIONS,
        )


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """The figures of an experiment after an epoch."""

    metrics: Mapping[str, float]
    """`epoch`, and the figures that are logged every epoch."""
    history: tuple[Mapping[str, float], ...]
    """The metrics of every epoch so far, this one last."""
    best_epoch: int
    """The epoch with the highest validation AUC so far; of equal ones the latest, which has trained longest."""

    @property
    def epoch(self) -> int:
        return int(self.metrics["epoch"])

    @property
    def best(self) -> Mapping[str, float]:
        return self.history[self.best_epoch - 1]


def run_experiment(
    config: ExperimentConfig,
    dataset: Dataset,
    directory: Path,
    *,
    seed: int,
    context_samples: int,
    device: torch.device,
    pool: ThreadPool,
    trainings: Path | None = None,
    around_batch: BatchContext = NO_CONTEXT,
) -> Generator[EpochResult, None, None]:
    """Judges every epoch of the configuration's training, from the first, and trains those that do not exist yet.

    `trainings` is the folder of trainings that experiments share; by default it is in `directory`, and the experiment
    shares none. All randomness of training comes from the seed and from what determines the training, and from nothing
    else of the experiment. Close the generator to release the training to other processes.
    Raises ConfigurationFailed where the configuration diverges or does not fit into memory. What `around_batch` raises
    leaves an epoch that resumes at its next batch.
    """
    assert config.front_end.read_rate_hz == dataset.sample_rate_hz, "the dataset was made for another rate"
    directory.mkdir(parents=True, exist_ok=True)
    setup = config.training_setup(dataset.num_channels, context_samples)
    trainings = trainings or directory / TRAININGS_DIRECTORY
    history: list[Mapping[str, float]] = []
    levels: Mapping[str, tuple[LevelRange, ...]] = {}
    epochs = scored_epochs(setup, dataset, trainings, seed=seed, device=device, pool=pool, around_batch=around_batch)
    with closing(epochs):
        for scored in epochs:
            _check_losses(scored, config.front_end.mu_law_levels)
            statistic, figures = evaluate(
                scored.scores,
                dataset.judged(),
                scoring=config.scoring,
                postprocessing=config.postprocessing,
                context_samples=context_samples,
                sample_rate_hz=config.front_end.sample_rate_hz,
            )
            history.append(_row(scored, figures, dataset))
            if math.isnan(history[-1]["val_auc"]):
                raise ConfigurationFailed(_diverged(history[-1]["val_loss"], scored.report.epoch))
            result = _result(history)
            if result.best_epoch == result.epoch:
                levels = levels or level_ranges(dataset.calibration)  # the same in every epoch
                detector = _detector(setup, scored, config, statistic, dataset)
                save_detector(directory / DETECTOR_FILE, replace(detector, levels=levels))
                save_scores(directory / SCORES_FILE, scored.scores, dataset)
            yield result


def _check_losses(scored: ScoredEpoch, levels: int) -> None:
    """ConfigurationFailed for a network that is far worse than a uniform guess, whose loss is log2(levels) bits.

    Nothing is fitted to its scores, which need not be finite.
    """
    losses = {name: float(scored.scores[name].surprise.mean()) for name in ("calibration", "validation")}
    if not all(loss < DIVERGED_SHARE * math.log2(levels) for loss in losses.values()):
        raise ConfigurationFailed(_diverged(losses["validation"], scored.report.epoch))


def _diverged(loss: float, epoch: int) -> str:
    return f"it diverged: the validation loss was {loss:.3g} bits after epoch {epoch}"


def _result(history: list[Mapping[str, float]]) -> EpochResult:
    best = max(history, key=lambda row: (row["val_auc"], row["epoch"]))
    return EpochResult(metrics=history[-1], history=tuple(history), best_epoch=int(best["epoch"]))


def _detector(
    setup: TrainingSetup, scored: ScoredEpoch, config: ExperimentConfig, statistic: AnyStatistic, dataset: Dataset
) -> Detector:
    model = WaveNet(setup.network)
    model.load_state_dict(scored.weights)
    return Detector(
        model=model,
        front_end=scored.front_end,
        scoring=config.scoring,
        statistic=statistic,
        clip_samples=dataset.config.clip_samples,
        context_samples=setup.context_samples,
        stand_ins=dataset.stand_ins(),
        faults_last=dataset.validation.events is None,
        channels=dataset.channels,
    )


def _row(scored: ScoredEpoch, figures: Mapping[str, float], dataset: Dataset) -> dict[str, float]:
    """The figures of one epoch under the names that are used everywhere; those of training as they were recorded."""
    healthy = {}
    if "faults" in dataset.stand_ins():
        healthy = healthy_prediction(scored.scores["calibration"], scored.memoryless_bits["calibration"])
    return {
        "epoch": scored.report.epoch,
        "train_loss": scored.report.train_loss,
        **figures,
        "val_bits_saved": scored.memoryless_bits["validation"] - figures["val_loss"],
        "test_bits_saved": scored.memoryless_bits["test"] - figures["test_loss"],
        **healthy,
        "lr": scored.report.learning_rate,
        "audio_seconds_per_second": scored.report.audio_seconds_per_second,
    }
