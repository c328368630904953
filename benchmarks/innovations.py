"""What the score `innovations` is worth on validation clips, task by task: where choices are made. No clip is tested.

    python benchmarks/innovations.py cars fan CAR01 noise [--rate 8000] [--spectrum-rate 16000] [--seconds 180]

The network is that of studies/any_machine.toml with these settings, trained once a fold, and its statistics are kept in
--folder, so an interrupted command goes on and other statistics train nothing. Real faults and, for the tasks of many
clips, faults injected into healthy validation clips (core/data/faults): the mean AUC over machines and kinds. A
threshold of two sigmas: how many healthy and how many really faulty clips are above it. `spliced` has event F1 at the
best threshold on the same clips, which is optimistic.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.clip_sets import some_of
from benchmarks.kept_results import version_of_results
from benchmarks.listed_recordings import open_corpus
from core.baselines.candidates import of_innovations
from core.data.clips import ClipConfig, ClipSet
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.faults.library import HIGHEST_HZ, LIBRARY, STRENGTHS, apply_fault
from core.data.faults.signals import Setting
from core.data.noise import NoiseConfig
from core.data.splicing import SpliceConfig
from core.data.store import Store
from core.decision.evaluation import count_events
from core.decision.event_metrics import event_metrics
from core.decision.fitting import fit_statistic
from core.decision.metrics import auc
from core.decision.postprocess import STATISTICS
from core.decision.statistic import Judgement
from core.experiment import ExperimentConfig
from core.model.scored_training import scored_epochs
from core.study_files import find_study_file
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec

FOLDS = 4
LONG = ClipConfig(clip_seconds=10.0, evaluation_seconds=360.0, calibration_seconds=180.0)
SIMULATED = {"seconds": 2.0, "num_normal": 64, "num_anomalous": 40, "num_microphones": 4, "severity": 0.8}
INJECTED = "injected "
NUM_INJECTED = 8
"""Healthy clips of a machine that get every fault of the library."""
SIGMAS = 2.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """Recordings, and what is done to them."""

    data: str
    """An option of the command, or `simulated`."""
    machine: str | None = None
    """The only one that is heard; all where it is None."""
    clips: ClipConfig | None = None
    """Those of the study where it is None."""
    noise: NoiseConfig | None = None
    splice: SpliceConfig | None = None
    is_injected: bool = False


TASKS = {
    "cars": Task(data="cars", is_injected=True),
    "fan": Task(data="fan", is_injected=True),
    "simulated": Task(data="simulated", is_injected=True),
    **{name: Task(data="cars", machine=name) for name in ("CAR01", "CAR02", "CAR03")},
    "long": Task(data="cars", clips=LONG),
    "noise": Task(data="cars", clips=LONG, noise=NoiseConfig(snr_db=0.0)),
    "spliced": Task(data="cars", clips=LONG, splice=SpliceConfig()),
}


def config_of(options: argparse.Namespace, spec: StudySpec) -> ExperimentConfig:
    config = spec.default_experiment
    front_end = replace(
        config.front_end,
        sample_rate_hz=options.rate,
        spectrum_rate_hz=options.spectrum_rate,
        pre_emphasis=options.pre_emphasis,
    )
    training = replace(config.training, epochs=1, seconds_per_epoch=options.seconds)
    return replace(config, front_end=front_end, training=training)


def dataset_of(task: Task, fold: int, options: argparse.Namespace, spec: StudySpec) -> Dataset:
    """Some healthy validation clips come again with every fault. Of the test clips there is one, which nobody reads."""
    if task.data == "simulated":
        corpus = open_corpus(
            "simulated", options={**SIMULATED, "sample_rate_hz": options.spectrum_rate, "seed": fold + 1}
        )
    else:
        corpus = open_corpus(getattr(options, task.data))
    if task.machine:
        own = tuple(each for each in corpus.recordings if each.machine == task.machine)
        corpus = replace(corpus, recordings=own)
    spec = spec.settled(corpus)
    config = DataConfig(
        sample_rate_hz=options.spectrum_rate,
        network_rate_hz=options.rate,
        clips=task.clips or spec.clips,
        split=replace(spec.split, folds=FOLDS, fold=fold),
        noise=task.noise,
        splice=task.splice,
        speed_perturbation=spec.speed_perturbation,
    )
    dataset = prepare_dataset(corpus, config, store=Store(options.folder / "store", max_gb=4))
    judged = dict(dataset.judged())
    judged["test"] = some_of(judged["calibration"], [0])
    if task.is_injected:
        judged["validation"] = with_faults(judged["validation"], options.spectrum_rate)
    return replace(dataset, judged=lambda: judged)


def with_faults(clips: ClipSet, rate_hz: int) -> ClipSet:
    """The clips, and after them some healthy ones with each fault of the library, clearly audible."""
    healthy: list[int] = []
    for machine in sorted(set(clips.machines)):
        own = np.flatnonzero(~clips.is_anomalous & (np.array(clips.machines) == machine))
        healthy += [int(index) for index in own[np.unique(np.linspace(0, len(own) - 1, NUM_INJECTED).astype(int))]]
    setting = Setting(sample_rate_hz=rate_hz, strength=STRENGTHS["clear"], highest_hz=HIGHEST_HZ)
    places = [(number, kind, index) for number, kind in enumerate(LIBRARY) for index in healthy]
    faulty = [
        apply_fault(kind, clips.waveforms[index], setting=setting, random=np.random.default_rng([number, index]))
        for number, kind, index in places
    ]
    both = some_of(clips, [*range(len(clips)), *(index for *_, index in places)])
    return replace(
        both,
        waveforms=np.concatenate([clips.waveforms, np.stack(faulty)]),
        conditions=clips.conditions + tuple(INJECTED + kind for _, kind, _ in places),
        is_anomalous=np.concatenate([clips.is_anomalous, np.ones(len(places), dtype=np.bool_)]),
    )


def statistics_of(
    name: str, fold: int, dataset: Dataset, config: ExperimentConfig, folder: Path
) -> dict[str, np.ndarray]:
    """Of calibration and validation clips, (N, C, F, K); kept."""
    front_end = config.front_end
    rates = f"{front_end.sample_rate_hz}-{front_end.read_rate_hz}"
    settings = f"{rates}-{front_end.pre_emphasis:g}-{config.training.seconds_per_epoch:g}"
    file = folder / f"{name}-{fold + 1}-{settings}-{version_of_results(are_judged=False)}.npz"
    if not file.exists():
        context = config.wavenet(dataset.num_channels).receptive_field_samples
        setup = config.training_setup(dataset.num_channels, context)
        with tempfile.TemporaryDirectory() as trainings, ThreadPool(1) as pool:
            (epoch,) = scored_epochs(
                setup, dataset, Path(trainings), seed=fold + 1, device=torch.device("cpu"), pool=pool
            )
        scratch = file.with_suffix(".part.npz")
        found: dict[str, Any] = {split: epoch.scores[split].statistics for split in ("calibration", "validation")}
        np.savez(scratch, **found)
        scratch.replace(file)
    with np.load(file) as kept:
        return dict(kept)


def areas(scores: np.ndarray, clips: ClipSet) -> tuple[float, float]:
    """Mean AUC of real faults over machines, and of injected ones over machines and kinds; NaN where there is none."""
    machines, conditions = np.array(clips.machines), np.array(clips.conditions)
    is_injected, found = np.char.startswith(conditions, INJECTED), {False: [np.nan], True: [np.nan]}
    for machine in set(machines):
        own = machines == machine
        kinds = {
            True: [own & (conditions == each) for each in set(conditions[is_injected])],
            False: [own & ~is_injected],
        }
        for injected, rows_of_kinds in kinds.items():
            for rows in rows_of_kinds:
                both = (rows & clips.is_anomalous) | (own & ~clips.is_anomalous)
                found[injected].append(auc(scores[both], clips.is_anomalous[both]))
    real, injected_area = (float(np.nanmean(found[each])) if len(found[each]) > 1 else np.nan for each in (False, True))
    return real, injected_area


def alarms(scores: np.ndarray, clips: ClipSet) -> tuple[float, float]:
    """The shares of healthy and of really faulty clips above SIGMAS."""
    is_real = ~np.char.startswith(np.array(clips.conditions), INJECTED)
    above = scores > SIGMAS
    return float(above[~clips.is_anomalous].mean()), float(above[clips.is_anomalous & is_real].mean())


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


def figures_of_fold(name: str, fold: int, options: argparse.Namespace, spec: StudySpec) -> Iterator[tuple[float, ...]]:
    """For each of STATISTICS: AUC of real and of injected faults, false alarms, hits, event F1, segment F1."""
    config, dataset = config_of(options, spec), dataset_of(TASKS[name], fold, options, spec)
    frames = statistics_of(name, fold, dataset, config, options.folder)
    healthy, clips = dataset.calibration, dataset.validation
    for statistics in STATISTICS:
        baseline = "clip" if TASKS[name].splice else "machine"
        post = of_innovations(statistics, baseline)
        fitted = fit_statistic(
            post, frames["calibration"], healthy.machines, healthy.recording_ids, frame_ms=config.scoring.frame_ms
        )
        judgement, events = fitted.judge(frames["validation"], clips.machines), (np.nan, np.nan)
        if clips.events is not None:
            context = config.wavenet(dataset.num_channels).receptive_field_samples
            events = best_events(judgement, clips, config, context)
        scores = judgement.clip_scores
        yield (*areas(scores, clips), *alarms(scores, clips), *events)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tasks", nargs="+", choices=tuple(TASKS))
    parser.add_argument("--cars", default="folder:../shared/recordings/cars")
    parser.add_argument("--fan", default="folder:../shared/recordings/fan")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    parser.add_argument("--rate", type=int, default=8000, help="of the network, in Hz")
    parser.add_argument("--spectrum-rate", type=int, default=16_000, help="of the recordings, in Hz")
    parser.add_argument("--pre-emphasis", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=180.0, help="of audio that is trained on")
    parser.add_argument("--folder", type=Path, default=Path("runs/innovations"), help="where statistics are kept")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    spec = load_study_file(find_study_file("any_machine"))
    print("| task | statistics | AUC | AUC by fold | AUC, injected | false alarms | hits | event F1 | segment F1 |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in options.tasks:
        folds = np.array([list(figures_of_fold(name, fold, options, spec)) for fold in options.folds])
        for statistics, of_folds in zip(STATISTICS, np.moveaxis(folds, 1, 0), strict=True):
            means = ["" if np.isnan(each) else f"{each:.3f}" for each in of_folds.mean(axis=0)]
            by_fold = " ".join(f"{area:.2f}" for area in of_folds[:, 0])
            print(f"| {name} | {statistics} | {means[0]} | {by_fold} | {' | '.join(means[1:])} |", flush=True)


if __name__ == "__main__":
    main()
