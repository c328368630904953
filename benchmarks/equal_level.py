"""The fan with every recording and microphone at one level: WaveNet's innovations and every alternative.

    python benchmarks/equal_level.py --data folder:../shared/recordings/fan

WaveNet is the default configuration of studies/fan_matched.toml, without its search; of its statistics those are chosen
from that the study chooses from. The networks among the alternatives train for 1,000 steps, with and without other
speeds. Statistics or post-processing, variant and threshold are chosen on validation clips, by the one-standard-error
rule, and the table is of the test clips of four folds. Intervals are by takes, and the lead is paired, on the same
draws. Loudness shows that no level is left: its AUC must be near 0.5.

The decisions of a detector in a fold are kept in --folder, and the same command resumes from them.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.listed_recordings import open_corpus
from benchmarks.spliced_events import STEPS_AND_RATES, WAVENET, best_variant, kept, scored_wavenet
from core.baselines import families
from core.baselines.candidates import of_innovations
from core.baselines.choice import choose
from core.baselines.comparison import Row, row_of
from core.baselines.comparison_table import as_markdown, lines_of
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.store import Store
from core.model.scoring import INNOVATIONS
from core.study_files import find_study_file
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec

FOLDS = 4


def dataset_of(
    fold: int, rate_hz: int, options: argparse.Namespace, spec: StudySpec, *, network_rate_hz: int | None = None
) -> Dataset:
    corpus = open_corpus(options.data, options={name: value for name, value in spec.data.items() if name != "source"})
    spec = spec.settled(corpus)
    config = DataConfig(
        sample_rate_hz=rate_hz,
        clips=spec.clips,
        split=replace(spec.split, folds=FOLDS, fold=fold),
        speed_perturbation=spec.speed_perturbation,
        network_rate_hz=network_rate_hz,
    )
    return prepare_dataset(corpus, config, store=Store(options.folder / "store", max_gb=4))


def wavenet_row(dataset: Dataset, spec: StudySpec, *, seed: int) -> Row:
    started, scored = time.perf_counter(), scored_wavenet(dataset, spec, seed=seed)
    scored = replace(scored, scores={"its innovations'": scored.scores[INNOVATIONS]})  # so that these choices are tried
    choices = [of_innovations(each) for each in spec.space["statistics"]["choices"]]
    choice = choose(scored, dataset.judged(), choices)
    return row_of(scored, choice, dataset.judged(), num_tried=1, seconds_of_tuning=time.perf_counter() - started)


def rows_of_fold(fold: int, options: argparse.Namespace, spec: StudySpec) -> Iterator[Row]:
    """WaveNet first."""

    def own() -> Row:
        front_end = spec.front_end
        dataset = dataset_of(fold, front_end.read_rate_hz, options, spec, network_rate_hz=front_end.sample_rate_hz)
        return wavenet_row(dataset, spec, seed=fold + 1)

    def of(name: str) -> Row:
        return best_variant(name, [dataset_of(fold, options.rate, options, spec)], seed=fold + 1)

    yield kept(options.folder, f"{WAVENET}-{fold + 1}", own)
    for name in families(STEPS_AND_RATES):
        yield kept(options.folder, f"{name}-{fold + 1}", partial(of, name))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, help="such as folder:../shared/recordings/fan")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    parser.add_argument("--rate", type=int, default=16_000, help="of the alternatives, in Hz")
    parser.add_argument("--folder", type=Path, default=Path("runs/equal_level"), help="where decisions are kept")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    spec = load_study_file(find_study_file("fan_matched"))
    folds = [list(rows_of_fold(fold, options, spec)) for fold in options.folds]
    lines = lines_of(folds)
    print(as_markdown(lines))
    for index, line in enumerate(lines):
        by_fold = " ".join(f"{lines_of([rows])[index].figures['auc'].value:.2f}" for rows in folds)
        print(f"\n{line.name}: AUC by fold {by_fold}; chosen by fold: {'; '.join(line.choices)}")
    statistics = [rows[0].choice.postprocessing.statistics for rows in folds]
    print(f"\nStatistics of {WAVENET} by fold: {', '.join(statistics)}")


if __name__ == "__main__":
    main()
