"""Trains one network and scores all judged clips after every epoch.

    dataset -> front end -> WaveNet, epoch by epoch -> frame scores of every judged clip, all kinds from one pass

A training is identified by a key of everything that determines it. Trials with the same key share one training, even
if the first of them was pruned: the next trial reads its epochs and continues where it stopped. The choice of a score,
a window or a threshold is not part of a training.
"""

import hashlib
import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from core.data.clips import ClipSet
from core.data.data_config import DataConfig
from core.data.dataset import Dataset
from core.data.faults.library import LIBRARY_VERSION
from core.data.judged_clips import JUDGED
from core.model.clips_to_score import ClipsToScore
from core.model.frame_statistics import FORMAT as STATISTICS_FORMAT
from core.model.frontend import Codes, FrontEnd, FrontEndConfig
from core.model.optimizer import make_optimizer
from core.model.partial_epoch import PartialEpoch
from core.model.scoring import FrameScores, score_clips
from core.model.training import NO_CONTEXT, BatchContext, ConfigurationFailed, EpochReport, train_epochs
from core.model.training_codes import fit_to_training
from core.model.training_config import TrainingConfig
from core.model.training_record import ScoredEpoch, TrainingRecord
from core.model.wavenet import WaveNet, marginals_of, memoryless_bits
from core.model.wavenet_config import WaveNetConfig
from core.thread_pool import ThreadPool

FORMAT = "scored-training-4"
"""Part of every key. Raise it when the same setup gives another training, or is written in another way."""


def format_of(*, keeps_statistics: bool) -> str:
    """Of trainings with the statistics of their frames, or without."""
    return f"{FORMAT} with statistics {STATISTICS_FORMAT}" if keeps_statistics else FORMAT


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """The front end, the network and its training. With the data and the seed it determines every bit of a training."""

    front_end: FrontEndConfig
    network: WaveNetConfig
    training: TrainingConfig
    frame_samples: int
    """Samples in a frame, whose scores are averaged."""
    context_samples: int
    """Samples at the beginning of a clip that are heard but not scored."""
    keeps_statistics: bool = False
    """Whether the statistics of frames are kept, which the score `innovations` needs."""

    def key(self, data: DataConfig, *, seed: int) -> str:
        """Sixteen hex digits. The corpus is not part of the key: trainings of two corpora never share a folder."""
        setup = asdict(self)
        if not self.keeps_statistics:  # as before it was an option: the key decides the seed
            del setup["keeps_statistics"]
        if self.front_end.decimation == 1:  # likewise
            del setup["front_end"]["spectrum_rate_hz"]
        if self.network.precision == "float32":  # likewise
            del setup["network"]["precision"]
        if not self.training.weight_decay:  # likewise
            del setup["training"]["weight_decay"]
        parts = {
            "format": format_of(keeps_statistics=self.keeps_statistics),
            "setup": setup,
            "clips": asdict(data.clips),
            "split": asdict(data.split),
            "noise": asdict(data.noise) if data.noise else None,
            "splice": asdict(data.splice) if data.splice else None,
            "speed_perturbation": data.speed_perturbation and data.speed_perturbation.identity(),
            "seed": seed,
        }
        if data.faults:  # as before they existed where there are none: the key decides the seed
            parts["faults"] = {**asdict(data.faults), "library": LIBRARY_VERSION}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def seed_of(key: str) -> int:
    """The seed of everything random in a training: initial weights, clips, windows. No two keys share it."""
    return int(key, 16)


def scored_epochs(
    setup: TrainingSetup,
    dataset: Dataset,
    trainings: Path,
    *,
    seed: int,
    device: torch.device,
    pool: ThreadPool,
    around_batch: BatchContext = NO_CONTEXT,
) -> Generator[ScoredEpoch, None, None]:
    """Yields every epoch from the first: reads those in the folder `trainings`; trains, scores and saves the others.

    Waits while another process trains the same key. Close the generator to release the training early. Raises
    ConfigurationFailed, and what `around_batch` raises between two batches: then the epoch is saved so far.
    """
    key = setup.key(dataset.config, seed=seed)
    record, num_read = TrainingRecord(trainings / key), 0
    for scored in record.read_from(1):
        num_read += 1
        yield scored
    if num_read == setup.training.epochs:
        return
    with record.lock():
        for scored in record.read_from(num_read + 1):  # epochs that another process trained during the wait
            num_read += 1
            yield scored
        trained = _train(setup, dataset, record, seed=seed_of(key), device=device, pool=pool, around_batch=around_batch)
        for scored in trained:
            # A training that was dropped while it was read is trained from its start, to the same bits.
            if scored.report.epoch > num_read:
                yield scored


def _train(
    setup: TrainingSetup,
    dataset: Dataset,
    record: TrainingRecord,
    *,
    seed: int,
    device: torch.device,
    pool: ThreadPool,
    around_batch: BatchContext,
) -> Iterator[ScoredEpoch]:
    """Trains the epochs that the record lacks."""
    windows, sample = fit_to_training(setup.front_end, dataset.training.order(seed), dataset.measurements)
    torch.manual_seed(seed)
    model = WaveNet(setup.network)
    model.start_from_marginals(sample)
    model.to(device)
    optimizer = make_optimizer(model, setup.training)
    num_done = record.restore(model, optimizer)
    judged: _JudgedClips | None = None
    with PartialEpoch(record.directory, model, optimizer) as partial, _out_of_memory_is_a_failed_configuration():
        for report in train_epochs(
            model,
            optimizer,
            windows,
            config=setup.training,
            sample_rate_hz=setup.front_end.sample_rate_hz,
            seed=seed,
            pool=pool,
            first_epoch=num_done + 1,
            begun=partial.restore(num_done + 1),
            around_batch=around_batch,
            after_batch=partial.after_batch,
        ):
            partial.before_scoring()
            if judged is None:  # not earlier, because the clips of a streamed set arrive during the first epoch
                judged = _JudgedClips.of(dataset, setup, windows.front_end, sample, pool)
            record.save(judged.scored(report, model, pool), model, optimizer)
            partial.remove()
            yield record.read(report.epoch)  # so that it equals what is read later, to the bit


@dataclass(frozen=True, kw_only=True, eq=False)
class _JudgedClips:
    """The clips of each split of JUDGED, ready for the network after every epoch."""

    setup: TrainingSetup
    front_end: FrontEnd
    clips: Mapping[str, ClipsToScore]
    memoryless_bits: Mapping[str, float]

    @classmethod
    def of(
        cls, dataset: Dataset, setup: TrainingSetup, front_end: FrontEnd, sample: Codes, pool: ThreadPool
    ) -> "_JudgedClips":
        """With a sample of the training codes."""
        clips = {name: _to_score(setup, front_end, each, pool) for name, each in dataset.judged().items()}
        bits = _memoryless_bits(setup, sample, {name: each.codes for name, each in clips.items()})
        return cls(setup=setup, front_end=front_end, clips=clips, memoryless_bits=bits)

    def scored(self, report: EpochReport, model: WaveNet, pool: ThreadPool) -> ScoredEpoch:
        return ScoredEpoch(
            report=report,
            scores={name: self._scores(name, model, pool) for name in JUDGED},
            memoryless_bits=self.memoryless_bits,
            front_end=self.front_end,
            weights=model.state_dict(),
        )

    def _scores(self, name: str, model: WaveNet, pool: ThreadPool) -> FrameScores:
        return score_clips(
            model,
            self.clips[name],
            context_samples=self.setup.context_samples,
            frame_samples=self.setup.frame_samples,
            sample_rate_hz=self.setup.front_end.sample_rate_hz,
            with_statistics=self.setup.keeps_statistics,
            pool=pool,
        )


def encoded_clips(front_end: FrontEnd, clips: ClipSet) -> ClipsToScore:
    """Judged clips, ready for the network."""
    rate_hz = front_end.config.sample_rate_hz
    return ClipsToScore.encoded(front_end, clips.waveforms, [round(start_s * rate_hz) for start_s in clips.starts_s])


def _to_score(setup: TrainingSetup, front_end: FrontEnd, clips: ClipSet, pool: ThreadPool) -> ClipsToScore:
    encoded = encoded_clips(front_end, clips)
    if not setup.keeps_statistics:
        return encoded
    return encoded.with_sound(
        context_samples=setup.context_samples,
        frame_samples=setup.frame_samples,
        sample_rate_hz=setup.front_end.sample_rate_hz,
        pool=pool,
    )


def _memoryless_bits(setup: TrainingSetup, sample: Codes, codes: Mapping[str, Codes]) -> dict[str, float]:
    """On the scored samples: after the context, in whole frames."""
    frequencies, first = marginals_of(sample, setup.network.mu_law_levels), setup.context_samples
    num_frames = (codes[JUDGED[0]].shape[-1] - first) // setup.frame_samples
    end = first + num_frames * setup.frame_samples
    return {name: memoryless_bits(frequencies, codes[name][..., first:end]) for name in JUDGED}


@contextmanager
def _out_of_memory_is_a_failed_configuration() -> Iterator[None]:
    """Converts PyTorch's out-of-memory errors, on a CPU or a GPU, to ConfigurationFailed."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ConfigurationFailed("it does not fit into memory") from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" in str(error):
            raise ConfigurationFailed("it does not fit into memory") from error
        raise
