"""What is found of spliced events, and what cannot be: after `make reproduce-quality`, from what it left.

    python benchmarks/splices.py --data folder:../shared/recordings/cars

The control: in place of stretches of a faulty take, stretches of a healthy one that nobody has trained on are spliced
into the same test clips at the same places. Whoever finds them as often hears that it is another take, not that it is
faulty. Each detector is the fold's, with what was chosen for it on validation; alternatives are trained again.

And for WaveNet, in half a second's mean surprise: how far stretches stand out of their clips, beside the spread within
healthy clips and what that would be if samples were surprising independently of each other.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(
        Path(__file__).resolve().parent.parent
    )  # so that `core` and `hpo` are found without being installed

from core.baselines import families
from core.checkpoint import load_detector
from core.clips import ClipSet
from core.comparison import Row, ScoredDataset, fit_and_score, row_of, setup_of
from core.comparison_file import load_rows
from core.dataset import JUDGED, Dataset
from core.decoding import read_all
from core.event_metrics import EventCounts, event_metrics
from core.postprocess import smooth
from core.recordings import Corpus, Take
from core.scoring import SCORES, score_clips
from core.sources import open_source
from core.splicing import spliced_clips
from core.splits import split_recordings
from core.store import Store
from core.thread_pool import ThreadPool
from hpo.alternatives import COMPARISON_FILE, WAVENET
from hpo.data_by_rate import open_datasets
from hpo.folds import fold_name
from hpo.result import RESULT_FILE
from hpo.study_file import StudySpec, load_study_file

ROOT = Path(__file__).resolve().parent.parent
TASK, FOLDS = "cars_spliced", 4
DETECTORS = (WAVENET, "log-mel IDNN", "log-mel autoencoder", "loudness")
WINDOW_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One fold's study, with its datasets by rate: stretches of faulty takes, and of healthy ones."""

    directory: Path
    spec: StudySpec
    faulty: Mapping[int, Dataset]
    healthy: Mapping[int, Dataset]


def open_fold(number: int, corpus: Corpus, store: Store) -> Fold:
    spec = load_study_file(ROOT / f"studies/{TASK}.toml")
    spec = replace(spec, split=replace(spec.split, folds=FOLDS, fold=number - 1))
    datasets = open_datasets(corpus, spec, skip_bad_files=False, store=store)
    rates = sorted({spec.front_end.sample_rate_hz, *spec.compare.sample_rates_hz})
    return Fold(
        directory=ROOT / "runs" / fold_name(TASK, number),
        spec=spec,
        faulty={rate: datasets.at(rate) for rate in rates},
        healthy={rate: with_healthy_stretches(datasets.at(rate), corpus, store) for rate in rates},
    )


def with_healthy_stretches(dataset: Dataset, corpus: Corpus, store: Store) -> Dataset:
    """The same but for the test's stretches, which are of validation's healthy takes."""
    config, rate = dataset.config, dataset.sample_rate_hz
    read = read_all(
        corpus, sample_rate_hz=rate, min_seconds=config.clips.clip_seconds, skip_bad_files=False, store=store
    )
    takes = {take.recording.recording_id: take for take in read.takes}
    split = split_recordings(corpus.recordings, config.split)
    normal = [takes[r.recording_id] for r in split.test if r.label == "normal"]
    donors = [called_faulty(takes[r.recording_id]) for r in split.validation if r.label == "normal"]
    assert config.splice
    most = config.clips.max_clips("test")
    test = spliced_clips([*normal, *donors], config.splice, config.clip_samples, rate, max_clips=most)
    judged = {**dataset.judged(), "test": test}
    return replace(dataset, judged=lambda: judged)


def called_faulty(take: Take) -> Take:
    """A healthy take as one to splice from."""
    return replace(take, recording=replace(take.recording, label="anomalous", condition="another healthy take"))


def score_again(row: Row, fold: Fold, datasets: Mapping[int, Dataset]) -> tuple[ScoredDataset, Dataset]:
    """What the detector of a row makes of datasets with the fold's training clips."""
    if row.name == WAVENET:
        return score_wavenet(row, fold, datasets)
    for alternative, own in product(families()[row.name], datasets.values()):
        for dataset in (own, own.as_recorded):
            if setup_of(alternative, dataset) == row.setup:
                return fit_and_score(alternative, dataset, seed=fold.spec.seed), dataset
    raise AssertionError(f"no variant of {row.name} has the setup {row.setup}")


def score_wavenet(row: Row, fold: Fold, datasets: Mapping[int, Dataset]) -> tuple[ScoredDataset, Dataset]:
    winner = json.loads((fold.directory / RESULT_FILE).read_text(encoding="utf-8"))["winner"]
    detector = load_detector(fold.directory / winner["checkpoint"])
    rate = detector.front_end.config.sample_rate_hz
    dataset, frame_samples = datasets[rate], detector.scoring.frame_samples(rate)
    with ThreadPool(2) as pool:
        scored = {
            name: score_clips(
                detector.model,
                detector.front_end.encode(dataset.judged()[name].waveforms),
                context_samples=detector.context_samples,
                frame_samples=frame_samples,
                pool=pool,
            )
            for name in JUDGED
        }
    scores = ScoredDataset(
        name=row.name,
        setup=row.setup,
        scores={kind: {name: scored[name].of(kind) for name in JUDGED} for kind in SCORES},
        frame_ms=1000 * frame_samples / rate,
        first_s=detector.context_samples / rate,
        num_weights=row.num_weights,
        seconds_to_train=0.0,
        seconds_to_score=0.0,
    )
    return scores, dataset


def counts_of(row: Row, fold: Fold, datasets: Mapping[int, Dataset]) -> EventCounts:
    scored, dataset = score_again(row, fold, datasets)
    again = row_of(scored, row.choice, dataset.judged(), num_tried=1, seconds_of_tuning=0.0)
    assert again.verdicts.events is not None
    return again.verdicts.events


def pooled(counts: Sequence[EventCounts]) -> EventCounts:
    names = EventCounts.__dataclass_fields__
    return EventCounts(**{name: np.concatenate([getattr(each, name) for each in counts]) for name in names})


def print_control(folds: Sequence[Fold]) -> None:
    print("| detector | faulty stretches found | healthy ones found | events flagged a clip without any |")
    print("| --- | --- | --- | --- |")
    for name in DETECTORS:
        found: dict[str, list[EventCounts]] = {"faulty": [], "healthy": []}
        for fold in folds:
            (row,) = (row for row in load_rows(fold.directory / COMPARISON_FILE) if row.name == name)
            assert row.verdicts.events is not None
            found["faulty"].append(row.verdicts.events)
            found["healthy"].append(counts_of(row, fold, fold.healthy))
        faulty, healthy = (pooled(found[kind]) for kind in ("faulty", "healthy"))
        false = faulty.flagged[faulty.labelled == 0].mean()
        recalls = [event_metrics(each).event_recall for each in (faulty, healthy)]
        print(f"| {name} | {recalls[0]:.2f} | {recalls[1]:.2f} | {false:.2f} |", flush=True)


def standing_out(surprise: np.ndarray, clips: ClipSet, frame_s: float, first_s: float) -> dict[str, list[float]]:
    """By machine, how far the mean of each stretch of WINDOW_S or more lies above its clip's median, in bits."""
    assert clips.events is not None
    smoothed = smooth(surprise, round(WINDOW_S / frame_s))
    middles = first_s + (np.arange(smoothed.shape[1]) + 0.5) * frame_s
    found: dict[str, list[float]] = {machine: [] for machine in set(clips.machines)}
    for row, machine, spans in zip(smoothed, clips.machines, clips.events, strict=True):
        for start_s, end_s in spans:
            inside = (middles >= start_s + WINDOW_S / 2) & (middles <= end_s - WINDOW_S / 2)
            if inside.any():
                found[machine].append(float(row[inside].mean() - np.median(row)))
    return found


def print_spread(folds: Sequence[Fold]) -> None:
    print("\n| car | within healthy clips | of independent samples | faulty stretches | healthy stretches |")
    print("| --- | --- | --- | --- | --- |")
    within: dict[str, list[float]] = {}
    independent: dict[str, list[float]] = {}
    stretches: dict[str, dict[str, list[float]]] = {"faulty": {}, "healthy": {}}
    for fold in folds:
        (row,) = (row for row in load_rows(fold.directory / COMPARISON_FILE) if row.name == WAVENET)
        for kind in stretches:
            scored, dataset = score_wavenet(row, fold, getattr(fold, kind))
            surprise, frame_s = scored.scores["surprise"]["test"][:, 0], scored.frame_ms / 1000
            clips, window = dataset.test, round(WINDOW_S / frame_s)
            for machine, found in standing_out(surprise, clips, frame_s, scored.first_s).items():
                stretches[kind].setdefault(machine, []).extend(found)
            for clip, machine, is_anomalous in zip(surprise, clips.machines, clips.is_anomalous, strict=True):
                if kind == "faulty" and not is_anomalous:
                    within.setdefault(machine, []).append(float(smooth(clip, window).std()))
                    independent.setdefault(machine, []).append(float(clip.std() / np.sqrt(window)))
    for machine in sorted(within):
        shifts = [f"{np.mean(found[machine]):+.3f} ± {np.std(found[machine]):.3f}" for found in stretches.values()]
        spreads = [f"{np.sqrt(np.mean(np.square(each[machine]))):.3f}" for each in (within, independent)]
        print(f"| {machine} | {' | '.join(spreads + shifts)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="folder:../shared/recordings/cars", help="the car recordings")
    options = parser.parse_args()
    store = Store(ROOT / "runs" / "store", max_gb=50)
    corpus = open_source(options.data, options={}, skip_bad_files=False, store=store)
    assert isinstance(corpus, Corpus)
    folds = [open_fold(number, corpus, store) for number in range(1, FOLDS + 1)]
    print_control(folds)
    print_spread(folds)


if __name__ == "__main__":
    main()
