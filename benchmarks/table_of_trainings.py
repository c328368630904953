"""The table of trainings that benchmarks/does_it_pay.py replays studies on: cars x points x training seeds.

A car is a seed of the simulation. A point is a network of the default study's space; point 0 is the default
configuration, and the others are a Sobol set. Each training is one file of the table's folder. It holds the frame
scores of calibration and validation after every epoch, and those of fresh takes of the same car, which choose nothing,
after the best epoch and the last. Windows and thresholds are not part of the table: they need no training.

    table/study.toml    table/car-003/point-007-seed-1.npz    table/store
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from optuna.distributions import FloatDistribution, IntDistribution
from scipy.stats import qmc

from core.data.clips import ClipSet, read_clips
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.decoding import read_all
from core.data.recordings import Corpus, Recording
from core.data.store import Store
from core.experiment import ExperimentConfig, run_experiment
from core.model.scored_training import encoded_clips
from core.model.scoring import INNOVATIONS, score_clips
from core.model.training import ConfigurationFailed
from core.model.training_record import ScoredEpoch, TrainingRecord
from core.model.wavenet import WaveNet
from core.sources import open_source
from core.thread_pool import ThreadPool
from core.whole_file import whole_file
from hpo.search.parameters import PARAMETERS
from hpo.search.study_spec import StudySpec

FrameArray = npt.NDArray[np.floating]
MACHINE = "car1"
TRAINED = ("network", "training")
"""The sections of a configuration whose parameters need a training."""
SOBOL_SEED = 1


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a training stands in the table."""

    car: int
    point: int
    seed: int

    def file(self, folder: Path) -> Path:
        return folder / f"car-{self.car:03d}" / f"point-{self.point:03d}-seed-{self.seed}.npz"


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """A training of the table. N clips, C microphones, F frames, E epochs."""

    place: Place
    failure: str | None
    """Why it has no scores."""
    calibration: FrameArray
    """(E, N, C, F), or with the score `innovations` (E, N, C, F, K)."""
    validation: FrameArray
    """Likewise."""
    is_anomalous: npt.NDArray[np.bool_]
    """Of the validation clips."""
    fresh: Mapping[int, FrameArray]
    """By epoch, from 1: (N, C, F), or (N, C, F, K)."""
    is_fresh_anomalous: npt.NDArray[np.bool_]


def parameters_of(spec: StudySpec, point: int) -> dict[str, Any]:
    """The parameters of a point that need a training."""
    space = spec.search_space
    if point == 0:
        parameters = space.default_parameters
    else:
        places = qmc.Sobol(len(space.distributions), seed=SOBOL_SEED).random(2 ** int(point).bit_length())[point]
        pairs = zip(space.distributions.items(), places, strict=True)
        parameters = {name: _value_at(distribution, float(place)) for (name, distribution), place in pairs}
    return {name: value for name, value in parameters.items() if PARAMETERS[name][0] in TRAINED}


def _value_at(distribution: Any, place: float) -> Any:
    """The value at a place from 0 to 1 of a range, on the scale on which it is searched."""
    if isinstance(distribution, IntDistribution):
        count = (distribution.high - distribution.low) // distribution.step + 1
        return distribution.low + min(int(place * count), count - 1) * distribution.step
    assert isinstance(distribution, FloatDistribution), "the default study has no choices"
    ends = np.array([distribution.low, distribution.high])
    if distribution.log:
        return float(np.exp(np.interp(place, [0, 1], np.log(ends))))
    return float(np.interp(place, [0, 1], ends))


@dataclass(frozen=True, kw_only=True)
class Car:
    """The data of one car: the study's, and takes that no study has."""

    spec: StudySpec
    seed: int
    num_fresh: int
    """Fresh takes, of which the share of anomalous ones is that of validation."""
    store: Store

    @cached_property
    def dataset(self) -> Dataset:
        """The study's, with two clips in the place of test, because the fresh takes are scored instead."""
        config = DataConfig(
            sample_rate_hz=self.spec.front_end.sample_rate_hz, clips=self.spec.clips, split=self.spec.split
        )
        dataset = prepare_dataset(self._corpus(0, 0), config, store=self.store)
        flags = dataset.test.is_anomalous
        two = _some(dataset.test, [int(np.argmin(flags)), int(np.argmax(flags))])
        judged = {**dataset.judged(), "test": two}
        return replace(dataset, judged=lambda: judged)

    @cached_property
    def fresh(self) -> ClipSet:
        num_anomalous = round(self.num_fresh * float(self.dataset.validation.is_anomalous.mean()))
        corpus = self._corpus(self.num_fresh - num_anomalous, num_anomalous)
        rate, clips = self.spec.front_end.sample_rate_hz, self.spec.clips
        new = replace(corpus, recordings=tuple(filter(self._is_fresh, corpus.recordings)))
        read = read_all(
            new, sample_rate_hz=rate, min_seconds=clips.clip_seconds, skip_bad_files=False, store=self.store
        )
        return read_clips(read.takes, self.dataset.config.clip_samples, rate, most=1)

    def _corpus(self, more_normal: int, more_anomalous: int) -> Corpus:
        options = {key: value for key, value in self.spec.data.items() if key != "source"}
        options["num_normal"] += more_normal
        options["num_anomalous"] += more_anomalous
        corpus = open_source("simulated", options=options | {"seed": self.seed}, store=self.store)
        assert isinstance(corpus, Corpus)
        return corpus

    def _is_fresh(self, recording: Recording) -> bool:
        return int(recording.recording_id.split("/")[-1]) >= int(self.spec.data[f"num_{recording.label}"])


def _some(clips: ClipSet, rows: list[int]) -> ClipSet:
    def of(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(values[row] for row in rows)

    return ClipSet(
        waveforms=clips.waveforms[rows],
        recording_ids=of(clips.recording_ids),
        machines=of(clips.machines),
        conditions=of(clips.conditions),
        starts_s=of(clips.starts_s),
        is_anomalous=clips.is_anomalous[rows],
        events=None if clips.events is None else of(clips.events),
    )


def places(*, cars: int, points: int, seeds: int) -> Iterator[Place]:
    """In an order in which a part of the table is usable: all cars at point 0, then at point 1, ..."""
    for seed in range(1, seeds + 1):
        for point in range(points):
            for car in range(1, cars + 1):
                yield Place(car=car, point=point, seed=seed)


def make_training(place: Place, spec: StudySpec, folder: Path, *, num_fresh: int, pool: ThreadPool) -> None:
    """Trains and scores, and writes the training's file. An interrupted training resumes."""
    car = Car(spec=spec, seed=place.car, num_fresh=num_fresh, store=Store(folder / "store"))
    space = spec.search_space
    config = space.configuration(parameters_of(spec, place.point))
    context = space.context_samples(spec.front_end.sample_rate_hz)
    scratch = place.file(folder).with_suffix(".training")
    arrays: dict[str, Any] = {
        "is_anomalous": car.dataset.validation.is_anomalous,
        "is_fresh_anomalous": car.fresh.is_anomalous,
        "parameters": json.dumps(parameters_of(spec, place.point)),
    }
    try:
        arrays |= _scores(config, car, scratch, seed=place.seed, context_samples=context, pool=pool)
    except ConfigurationFailed as error:
        arrays["failure"] = str(error)
    with whole_file(place.file(folder)) as file:
        np.savez(file, **arrays)
    shutil.rmtree(scratch)


def _scores(
    config: ExperimentConfig, car: Car, scratch: Path, *, seed: int, context_samples: int, pool: ThreadPool
) -> dict[str, Any]:
    dataset, device = car.dataset, torch.device("cpu")
    results = list(
        run_experiment(
            config, dataset, scratch, seed=seed, context_samples=context_samples, device=device, pool=pool,
            trainings=scratch / "trainings",
        )
    )  # fmt: skip
    key = config.training_setup(dataset.num_channels, context_samples).key(dataset.config, seed=seed)
    epochs = list(TrainingRecord(scratch / "trainings" / key).read_from(1))
    scored = {results[-1].best_epoch, len(results)}
    return {
        **{
            name: np.stack([e.scores[name].of(config.scoring.score) for e in epochs])
            for name in ("calibration", "validation")
        },
        **{f"fresh_{e}": _fresh_scores(config, car, epochs[e - 1], context_samples, pool) for e in sorted(scored)},
        "figures": json.dumps([dict(result.metrics) for result in results]),
    }


def _fresh_scores(
    config: ExperimentConfig, car: Car, epoch: ScoredEpoch, context_samples: int, pool: ThreadPool
) -> Any:
    model = WaveNet(config.wavenet(car.dataset.num_channels))
    model.load_state_dict(epoch.weights)
    rate = config.front_end.sample_rate_hz
    return score_clips(
        model.eval(),
        encoded_clips(epoch.front_end, car.fresh),
        context_samples=context_samples,
        frame_samples=config.scoring.frame_samples(rate),
        sample_rate_hz=rate,
        with_statistics=config.scoring.score == INNOVATIONS,
        pool=pool,
    ).of(config.scoring.score)


def load_training(place: Place, folder: Path) -> Training | None:
    """None where the table does not have it yet."""
    try:
        with np.load(place.file(folder), allow_pickle=False) as arrays:
            none = np.zeros((0,), np.float32)
            return Training(
                place=place,
                failure=str(arrays["failure"]) if "failure" in arrays.files else None,
                calibration=arrays.get("calibration", none),
                validation=arrays.get("validation", none),
                is_anomalous=arrays["is_anomalous"],
                fresh={int(n.removeprefix("fresh_")): arrays[n] for n in arrays.files if n.startswith("fresh_")},
                is_fresh_anomalous=arrays["is_fresh_anomalous"],
            )
    except FileNotFoundError:
        return None
