"""One configuration from recordings to metrics: the only place that composes the stages.

    dataset -> front end -> WaveNet, epoch by epoch -> frame scores -> statistic -> metrics

`run_experiment` is a generator that yields after every epoch, so a search can log, report and prune between epochs, and
leaves three files in the trial's folder: the state it continues from, and the detector and frame scores of the epoch
with the best validation AUC. Test figures are measured every epoch and reach nothing here that chooses.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from core.checkpoint import Detector, load_training_state, save_detector, save_training_state
from core.dataset import JUDGED, Dataset
from core.evaluation import evaluate
from core.frontend import Codes, FrontEnd, FrontEndConfig
from core.postprocess import PostprocessingConfig
from core.score_file import save_scores
from core.scoring import FrameScores, ScoringConfig, score_clips
from core.statistic import Statistic
from core.thread_pool import ThreadPool
from core.training import ConfigurationFailed, EpochReport, TrainingConfig, train_epochs
from core.training_clips import fit_to_training
from core.wavenet import WaveNet, WaveNetConfig

DIVERGED_SHARE = 3
"""Of the bits of a uniform guess: a validation loss beyond it is not a bad detector but a broken one."""
STATE_FILE = "state.safetensors"
DETECTOR_FILE = "checkpoint.safetensors"
SCORES_FILE = "frame_scores.npz"


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The network, in units that do not depend on the data: lengths in ms, channels as the data has them."""

    dilation_depth: int = 6
    """Layers in a full stack of doubling dilations."""
    residual_channels: int = 16
    """Width of the residual path."""
    receptive_field_ms: float = 32.0
    """How much of the past a prediction sees."""
    skip_channels: int = 32
    """Width of the skip path and of the hidden layer before the heads."""


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """One point of the search, complete."""

    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    postprocessing: PostprocessingConfig = field(default_factory=PostprocessingConfig)

    def wavenet(self, num_channels: int) -> WaveNetConfig:
        """The network's shape on data of this many microphones."""
        samples = round(self.network.receptive_field_ms * self.front_end.sample_rate_hz / 1000)
        return WaveNetConfig(
            num_channels=num_channels,
            mu_law_levels=self.front_end.mu_law_levels,
            dilation_depth=self.network.dilation_depth,
            receptive_field_samples=samples,
            residual_channels=self.network.residual_channels,
            skip_channels=self.network.skip_channels,
        )


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """Where an experiment stands after an epoch."""

    metrics: Mapping[str, float]
    """`epoch` and the figures that are logged every epoch."""
    history: tuple[Mapping[str, float], ...]
    """The metrics of every epoch so far, this one last; earlier lives of an interrupted experiment included."""
    best_epoch: int
    """The epoch with the highest validation AUC so far; among equals the latest, which has trained longest."""

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
) -> Iterator[EpochResult]:
    """Trains, scores and judges, epoch by epoch, continuing from what an earlier life left in the directory.

    A continued experiment first yields the last epoch that was saved, so that its caller knows where it stands.
    Raises ConfigurationFailed where the configuration diverges or does not fit into memory.
    """
    assert config.front_end.sample_rate_hz == dataset.sample_rate_hz, "the dataset was made for another rate"
    directory.mkdir(parents=True, exist_ok=True)
    windows, sample = fit_to_training(config.front_end, dataset.training.order(seed), dataset.levels)
    front_end = windows.front_end
    torch.manual_seed(seed)
    model = WaveNet(config.wavenet(dataset.num_channels))
    model.start_from_marginals(sample)
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.training.learning_rate)
    codes: dict[str, Codes] = {}
    history: list[Mapping[str, float]] = []
    if (directory / STATE_FILE).exists():
        history = load_training_state(directory / STATE_FILE, model, optimizer)["history"]
        yield _result(history)
    with _out_of_memory_is_a_failed_configuration():
        for report in train_epochs(
            model,
            optimizer,
            windows,
            config=config.training,
            sample_rate_hz=dataset.sample_rate_hz,
            seed=seed,
            pool=pool,
            first_epoch=len(history) + 1,
        ):
            codes = codes or {name: front_end.encode(clips.waveforms) for name, clips in dataset.judged().items()}
            scores = _score(model, codes, config, context_samples, pool)
            statistic, figures = _evaluate(scores, dataset, config, context_samples)
            history.append(_row(report, figures))
            _check_sane(history[-1], config.front_end.mu_law_levels)
            result = _result(history)
            if result.best_epoch == result.epoch:
                clip_samples = dataset.config.clip_samples
                detector = _detector(model, front_end, config, statistic, clip_samples, context_samples)
                save_detector(directory / DETECTOR_FILE, detector)
                save_scores(directory / SCORES_FILE, scores, dataset)
            save_training_state(directory / STATE_FILE, model, optimizer, {"history": history})
            yield result


def _evaluate(
    scores: Mapping[str, FrameScores], dataset: Dataset, config: ExperimentConfig, context_samples: int
) -> tuple[Statistic, dict[str, float]]:
    return evaluate(
        scores,
        dataset.judged(),
        scoring=config.scoring,
        postprocessing=config.postprocessing,
        context_samples=context_samples,
        sample_rate_hz=dataset.sample_rate_hz,
    )


def _check_sane(row: Mapping[str, float], levels: int) -> None:
    """ConfigurationFailed for a network far worse than one that knows nothing, whose loss is log2(levels) bits."""
    loss = row["val_loss"]
    if not loss < DIVERGED_SHARE * math.log2(levels) or math.isnan(row["val_auc"]):
        raise ConfigurationFailed(f"it diverged: the validation loss was {loss:.3g} bits after epoch {row['epoch']}")


def _result(history: list[Mapping[str, float]]) -> EpochResult:
    best = max(history, key=lambda row: (row["val_auc"], row["epoch"]))
    return EpochResult(metrics=history[-1], history=tuple(history), best_epoch=int(best["epoch"]))


def _score(
    model: WaveNet, codes: Mapping[str, Codes], config: ExperimentConfig, context_samples: int, pool: ThreadPool
) -> dict[str, FrameScores]:
    frame_samples = config.scoring.frame_samples(config.front_end.sample_rate_hz)
    return {
        name: score_clips(model, codes[name], context_samples=context_samples, frame_samples=frame_samples, pool=pool)
        for name in JUDGED
    }


def _detector(
    model: WaveNet,
    front_end: FrontEnd,
    config: ExperimentConfig,
    statistic: Statistic,
    clip_samples: int,
    context_samples: int,
) -> Detector:
    return Detector(
        model=model,
        front_end=front_end,
        scoring=config.scoring,
        statistic=statistic,
        clip_samples=clip_samples,
        context_samples=context_samples,
    )


def _row(report: EpochReport, figures: Mapping[str, float]) -> dict[str, float]:
    """The figures of one epoch under the names that they have everywhere."""
    return {
        "epoch": report.epoch,
        "train_loss": report.train_loss,
        **figures,
        "lr": report.learning_rate,
        "audio_seconds_per_second": report.audio_seconds_per_second,
    }


@contextmanager
def _out_of_memory_is_a_failed_configuration() -> Iterator[None]:
    """PyTorch's out-of-memory errors, on either kind of device, become ConfigurationFailed."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ConfigurationFailed("it does not fit into memory") from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" in str(error):
            raise ConfigurationFailed("it does not fit into memory") from error
        raise
