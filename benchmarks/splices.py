"""Which spliced events are found, from the files of `make reproduce-quality`, which must have run before.

    python benchmarks/splices.py --data folder:../shared/recordings/cars

The control splices stretches of a healthy take, which was not trained on, into the same test clips at the same places.
A detector that finds these as often detects that the take is another one, and not that it is faulty. Each detector is
that of the fold, with the choices that validation made for it. The alternatives are trained again.

A second table is about WaveNet's surprise, averaged over half a second: how far stretches exceed their clips, how much
it varies within healthy clips, and how much it would vary if frames of 25 ms were independent.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(
        Path(__file__).resolve().parent.parent
    )  # so that `core` and `hpo` are found without being installed

from core.baselines import families
from core.baselines.choice import ScoredDataset
from core.baselines.comparison import Row, fit_and_score, row_of, setup_of
from core.baselines.comparison_file import load_rows
from core.data.clips import ClipSet
from core.data.dataset import Dataset
from core.data.decoding import read_all
from core.data.judged_clips import JUDGED
from core.data.recordings import Corpus, Take
from core.data.splicing import spliced_clips
from core.data.splits import split_recordings
from core.data.store import Store
from core.decision.checkpoint import load_detector
from core.decision.event_metrics import EventCounts, event_metrics
from core.decision.postprocess import smooth
from core.model.scored_training import encoded_clips
from core.model.scoring import INNOVATIONS, score_clips
from core.sources import open_source
from core.thread_pool import ThreadPool
from hpo.results.alternatives import COMPARISON_FILE, WAVENET
from hpo.results.result import RESULT_FILE
from hpo.search.data_by_rate import open_datasets
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec
from hpo.session.study_names import fold_name

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
    """The same dataset, with stretches of validation's healthy takes in the test clips."""
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
    """A healthy take with the label anomalous, so that stretches of it can be spliced."""
    return replace(take, recording=replace(take.recording, label="anomalous", condition="another healthy take"))


def score_again(row: Row, fold: Fold, datasets: Mapping[int, Dataset]) -> tuple[ScoredDataset, Dataset]:
    """Scores datasets that have the fold's training clips with the detector of a row."""
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
                encoded_clips(detector.front_end, dataset.judged()[name]),
                context_samples=detector.context_samples,
                frame_samples=frame_samples,
                sample_rate_hz=rate,
                with_statistics=detector.scoring.score == INNOVATIONS,
                pool=pool,
            )
            for name in JUDGED
        }
    scores = ScoredDataset(
        name=row.name,
        setup=row.setup,
        scores={kind: {name: scored[name].of(kind) for name in JUDGED} for kind in scored["test"].kinds},
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
    assert again.decisions.events is not None
    return again.decisions.events


def pooled(counts: Sequence[EventCounts]) -> EventCounts:
    names = EventCounts.__dataclass_fields__
    return EventCounts(**{name: np.concatenate([getattr(each, name) for each in counts]) for name in names})


def row_of_detector(fold: Fold, name: str) -> Row:
    (row,) = (row for row in load_rows(fold.directory / COMPARISON_FILE) if row.name == name)
    return row


def print_control(folds: Sequence[Fold]) -> None:
    print("| detector | faulty stretches found | healthy ones found | events flagged in a clip without any |")
    print("| --- | --- | --- | --- |")
    for name in DETECTORS:
        rows = [row_of_detector(fold, name) for fold in folds]
        faulty = pooled([row.decisions.events for row in rows if row.decisions.events])
        healthy = pooled([counts_of(row, fold, fold.healthy) for row, fold in zip(rows, folds, strict=True)])
        recalls = [event_metrics(each).event_recall for each in (faulty, healthy)]
        false_alarms = faulty.flagged[faulty.labelled == 0].mean()
        print(f"| {name} | {recalls[0]:.2f} | {recalls[1]:.2f} | {false_alarms:.2f} |", flush=True)


def print_spread(folds: Sequence[Fold]) -> None:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for fold in folds:
        for stretches in ("faulty", "healthy"):
            scored, dataset = score_wavenet(row_of_detector(fold, WAVENET), fold, getattr(fold, stretches))
            for machine, what, bits in spread_of(scored, dataset.test, stretches):
                found[machine][what].append(bits)
    print("\n| car | within healthy clips | of independent frames | faulty stretches | healthy stretches |")
    print("| --- | --- | --- | --- | --- |")
    for machine, of_car in sorted(found.items()):
        spreads = [f"{np.sqrt(np.mean(np.square(of_car[what]))):.3f}" for what in ("within", "independent")]
        shifts = [f"{np.mean(of_car[what]):+.3f} ± {np.std(of_car[what]):.3f}" for what in ("faulty", "healthy")]
        print(f"| {machine} | {' | '.join(spreads + shifts)} |", flush=True)


def spread_of(scored: ScoredDataset, clips: ClipSet, stretches: str) -> Iterator[tuple[str, str, float]]:
    """Yields (machine, name of the measurement, bits). A clip without a stretch gives the deviation over its half
    seconds, and the deviation that independent frames would have. A clip with one gives the stretch's excess over the
    clip's median."""
    assert clips.events is not None
    frame_s = scored.frame_ms / 1000
    window = round(WINDOW_S / frame_s)
    surprise = scored.scores["surprise"]["test"][:, 0]
    for frames, machine, spans in zip(surprise, clips.machines, clips.events, strict=True):
        halves = smooth(frames, window)
        if not spans:
            yield machine, "within", float(halves.std())
            yield machine, "independent", float(frames.std() / np.sqrt(window))
            continue
        ((start_s, end_s),) = spans
        middles_s = scored.first_s + (np.arange(len(halves)) + 0.5) * frame_s
        inside = (middles_s >= start_s + WINDOW_S / 2) & (middles_s <= end_s - WINDOW_S / 2)
        if inside.any():
            yield machine, stretches, float(halves[inside].mean() - np.median(halves))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="folder:../shared/recordings/cars", help="the car recordings")
    options = parser.parse_args()
    store = Store(ROOT / "runs" / "store", max_gb=50)
    corpus = open_source(options.data, options={}, skip_bad_files=False, store=store)
    assert isinstance(corpus, Corpus)
    compared = [ROOT / "runs" / fold_name(TASK, number) / COMPARISON_FILE for number in range(1, FOLDS + 1)]
    for file in compared:
        if not file.exists():
            parser.error(f"the folds of {TASK} must have been run, but {file} is not there. Run benchmarks/quality.py.")
    folds = [open_fold(number, corpus, store) for number in range(1, FOLDS + 1)]
    print_control(folds)
    print_spread(folds)


if __name__ == "__main__":
    main()
