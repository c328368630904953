"""How well spliced events are found: by WaveNet, by its rule on bands alone, and by networks on log-mel frames.

    python benchmarks/spliced_events.py --data folder:../shared/recordings/cars

Each fold trains every detector once, as `studies/cars_spliced.toml` says and without its search, and tests it on clips
that were spliced with ten seeds. Smoothing, post-processing, variant and threshold are those that find most events of
the validation clips, which were spliced with three seeds; the alternatives have change points in their own scores as
one more post-processing. One more row has WaveNet as the study file has it. A take's clips of all seeds are drawn
together, so a take counts by its mean over seeds, and intervals show how takes differ. The lead is paired, on the same
draws.

The decisions of a detector in a fold are kept in --folder, and the same command resumes from them.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.clip_sets import joined
from benchmarks.kept_results import version_of_results
from benchmarks.listed_recordings import open_corpus
from core.baselines import families
from core.baselines.candidates import changes_choices
from core.baselines.choice import ScoredDataset, as_it_is, choose
from core.baselines.comparison import Row, compare, row_of
from core.baselines.comparison_file import rows_from_json, rows_to_json
from core.baselines.comparison_table import figure_text, lines_of
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.store import Store
from core.decision.change_points import FORMAT as CHANGE_POINTS_FORMAT
from core.model.scored_training import scored_epochs
from core.model.scoring import INNOVATIONS
from core.model.wavenet import WaveNet
from core.study_files import find_study_file
from core.thread_pool import ThreadPool
from core.whole_file import write_text
from hpo.results.alternatives import FORMAT as COMPARISON_FORMAT
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec

FOLDS = 4
SPLICES = {"calibration": 1, "validation": 3, "test": 10}
"""Seeds of each split. Nothing is spliced into calibration clips."""
STEPS_AND_RATES = ((1000, 1e-3),)
WAVENET, DEFAULT, BANDS = "WaveNet", "WaveNet, nothing chosen", "bands, the same rule"
NETWORKS = ("log-mel autoencoder", "log-mel IDNN", "log-mel LSTM")
ODD_TAKE = "normal/CAR01_NORMAL.flac"
"""A healthy take that idles faster than its car's others."""
METRICS = ("event_f1", "segment_f1")


def spliced_dataset(
    options: argparse.Namespace, spec: StudySpec, fold: int, rate_hz: int, *, network_rate_hz: int | None = None
) -> Dataset:
    """The fold's dataset, whose judged clips are those of all seeds of their split. `network_rate_hz` is the rate that
    the network hears, where it is another one."""
    assert spec.splice
    config = DataConfig(
        sample_rate_hz=rate_hz,
        clips=spec.clips,
        split=replace(spec.split, folds=FOLDS, fold=fold),
        speed_perturbation=spec.speed_perturbation,
        splice=spec.splice,
        network_rate_hz=network_rate_hz,
    )
    corpus, store = open_corpus(options.data), Store(options.folder / "store", max_gb=4)
    datasets = [
        prepare_dataset(corpus, replace(config, splice=replace(spec.splice, seed=seed)), store=store)
        for seed in range(max(SPLICES.values()))
    ]
    judged = {
        name: joined([dataset.judged()[name] for dataset in datasets[:num_seeds]])
        for name, num_seeds in SPLICES.items()
    }
    return replace(datasets[0], judged=lambda: judged)


def scored_wavenet(dataset: Dataset, spec: StudySpec, *, seed: int) -> ScoredDataset:
    """The innovations of the study's default configuration, trained in one epoch."""
    config = spec.default_experiment
    training = replace(
        config.training, epochs=1, seconds_per_epoch=config.training.epochs * config.training.seconds_per_epoch
    )
    config = replace(config, training=training)
    context = config.wavenet(dataset.num_channels).receptive_field_samples
    setup, started = config.training_setup(dataset.num_channels, context), time.perf_counter()
    rate_hz = config.front_end.sample_rate_hz
    with tempfile.TemporaryDirectory() as folder, ThreadPool(1) as pool:
        (epoch,) = scored_epochs(setup, dataset, Path(folder), seed=seed, device=torch.device("cpu"), pool=pool)
    return ScoredDataset(
        name=WAVENET,
        setup=f"{rate_hz} Hz",
        scores={INNOVATIONS: {name: scores.of(INNOVATIONS) for name, scores in epoch.scores.items()}},
        frame_ms=1000 * setup.frame_samples / rate_hz,
        first_s=context / rate_hz,
        num_weights=WaveNet(setup.network).num_weights,
        seconds_to_train=time.perf_counter() - started,
        seconds_to_score=0.0,  # counted with the training
    )


def chosen_row(name: str, scored: ScoredDataset, dataset: Dataset, statistics: str) -> Row:
    """Each clip compared with itself; validation chooses smoothing and threshold."""
    own_kind = replace(scored, scores={"its innovations'": scored.scores[INNOVATIONS]})  # so that smoothings are tried
    started = time.perf_counter()
    choice = choose(own_kind, dataset.judged(), changes_choices(statistics))
    return row_of(
        replace(own_kind, name=name),
        choice,
        dataset.judged(),
        num_tried=1,
        seconds_of_tuning=time.perf_counter() - started,
    )


def default_row(scored: ScoredDataset, dataset: Dataset, spec: StudySpec) -> Row:
    """WaveNet's as the study file has it."""
    choice = as_it_is(scored, dataset.judged(), INNOVATIONS, spec.postprocessing)
    return row_of(replace(scored, name=DEFAULT), choice, dataset.judged(), num_tried=1, seconds_of_tuning=0.0)


def kept(folder: Path, name: str, compute: Callable[[], Row]) -> Row:
    """From its file of this version, or computed and kept there."""
    version = f"{version_of_results()}-change-points-{CHANGE_POINTS_FORMAT}-comparison-{COMPARISON_FORMAT}"
    file = folder / f"{name.replace(' ', '-')}-{version}.json"
    if not file.exists():
        write_text(file, json.dumps(rows_to_json([compute()])))
        print(file.stem, file=sys.stderr, flush=True)
    (row,) = rows_from_json(json.loads(file.read_text()))
    return row


def best_variant(name: str, datasets: Sequence[Dataset], *, seed: int) -> Row:
    """Of an alternative, at the datasets' rates, with other speeds and without."""
    both = [each for dataset in datasets for each in (dataset, dataset.as_recorded)]
    (row,) = compare(both, {name: families(STEPS_AND_RATES)[name]}, seed=seed, budget_s=float("inf"))
    return row


def rows_of_fold(options: argparse.Namespace, spec: StudySpec, fold: int) -> Iterator[Row]:
    """One file a detector."""

    @cache
    def heard() -> tuple[Dataset, ScoredDataset]:
        rate_hz, network_rate_hz = spec.front_end.read_rate_hz, spec.front_end.sample_rate_hz
        dataset = spliced_dataset(options, spec, fold, rate_hz, network_rate_hz=network_rate_hz)
        return dataset, scored_wavenet(dataset, spec, seed=fold + 1)

    def own(name: str, statistics: str) -> Row:
        dataset, scored = heard()
        return chosen_row(name, scored, dataset, statistics)

    def default() -> Row:
        dataset, scored = heard()
        return default_row(scored, dataset, spec)

    @cache
    def dataset_at(rate_hz: int) -> Dataset:
        return spliced_dataset(options, spec, fold, rate_hz)

    def of(name: str) -> Row:
        return best_variant(name, [dataset_at(rate_hz) for rate_hz in options.rates], seed=fold + 1)

    yield kept(options.folder, f"{WAVENET}-{fold + 1}", partial(own, WAVENET, "all"))
    yield kept(options.folder, f"{WAVENET}-default-{fold + 1}", default)
    yield kept(options.folder, f"{BANDS}-{fold + 1}", partial(own, BANDS, "spectrum"))
    heard.cache_clear()
    for name in options.against:
        yield kept(options.folder, f"{name}-{fold + 1}", partial(of, name))


def print_table(folds: Sequence[Sequence[Row]], *, without: Sequence[str]) -> None:
    """Over all folds, and each fold's F1; `without` names takes that are not counted."""
    lines, by_fold = lines_of(folds, without=without), [lines_of([rows], without=without) for rows in folds]
    head = ["detector", "event F1", "WaveNet ahead by", "segment F1", "WaveNet ahead by", "event F1 by fold"]
    head += ["segment F1 by fold", "clip AUC"]
    print(f"| {' | '.join(head)} |\n| {' | '.join(['---'] * len(head))} |")
    for index, line in enumerate(lines):
        event, segment = (figure_text(line.figures[name]) for name in METRICS)
        leads = [figure_text(line.differences[name], sign=True) if index else "" for name in METRICS]
        of_folds = [" ".join(f"{each[index].figures[name].value:.2f}" for each in by_fold) for name in METRICS]
        cells = [line.name, event, leads[0], segment, leads[1], *of_folds, f"{line.figures['auc'].value:.3f}"]
        print(f"| {' | '.join(cells)} |")


def print_choices(folds: Sequence[Sequence[Row]]) -> None:
    for index, line in enumerate(lines_of(folds)):
        print(f"\n{line.name}: validation event F1, choice and threshold by fold")
        for words, rows in zip(line.choices, folds, strict=True):
            choice = rows[index].choice
            print(f"  {choice.event_f1:.2f}  {words}, {choice.postprocessing.threshold_sigmas:.2f} sigmas")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, help="such as folder:../shared/recordings/cars")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    parser.add_argument("--against", nargs="*", default=NETWORKS, metavar="NAME", help="alternatives (default: three)")
    parser.add_argument("--without", nargs="*", default=[ODD_TAKE], metavar="TAKE", help="of the second table")
    parser.add_argument("--rates", type=int, nargs="+", default=[16_000], help="of the alternatives, in Hz")
    parser.add_argument("--folder", type=Path, default=Path("runs/spliced_events"), help="where decisions are kept")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    spec = load_study_file(find_study_file("cars_spliced"))
    folds = [list(rows_of_fold(options, spec, fold)) for fold in options.folds]
    print_table(folds, without=[])
    print(f"\nWithout {', '.join(options.without)}:\n")
    print_table(folds, without=options.without)
    print_choices(folds)


if __name__ == "__main__":
    main()
