"""Trials judged by injected faults, against the same trials judged by real ones, on data that has both.

    python benchmarks/injected_faults.py car-1 cars-1s fan-1s fan-0db [--configurations 12] [--two-sided]
    python benchmarks/injected_faults.py cars-1s fan-1s fan-0db --score innovations [--seconds 60]

Of each task the anomalous takes are dropped, and faults are injected into the healthy validation clips as a study does
it where it has no anomalous take. The same networks are then judged by both kinds of faults: points of a Sobol set of
the space of quickstart_by_surprise.toml, trial 0 first. With the score innovations they have the front end and the
post-processing of studies/any_machine.toml. Real faults choose only where a column says so.

    rank correlation   of validation AUC on injected faults with AUC on real faults, over the configurations
    lost               AUC on real test faults of the choice by real validation faults, less that by injected ones

The second table has each fault of the library at each strength, on NUM_HEALTHY healthy validation clips: the mean AUC
over the configurations, and the rank correlation of its mean over strengths with AUC on real test faults. A
configuration trains for one epoch.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from optuna.samplers import QMCSampler
from scipy.stats import spearmanr

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # so that `core` is found without being installed

import optuna  # noqa: E402

from benchmarks.clip_sets import joined, some_of  # noqa: E402
from core.baselines.candidates import of_innovations  # noqa: E402
from core.data.clips import ClipConfig, ClipSet  # noqa: E402
from core.data.data_config import DataConfig  # noqa: E402
from core.data.dataset import Dataset, prepare_dataset  # noqa: E402
from core.data.faults.library import HIGHEST_HZ, LIBRARY, STRENGTHS, apply_fault  # noqa: E402
from core.data.faults.signals import Setting  # noqa: E402
from core.data.noise import NoiseConfig  # noqa: E402
from core.data.recordings import Corpus  # noqa: E402
from core.data.splits import SplitConfig  # noqa: E402
from core.decision.fitting import fit_statistic  # noqa: E402
from core.decision.metrics import auc  # noqa: E402
from core.decision.postprocess import STATISTICS, PostprocessingConfig  # noqa: E402
from core.experiment import ExperimentConfig  # noqa: E402
from core.model.scored_training import scored_epochs  # noqa: E402
from core.model.scoring import INNOVATIONS, FrameScores  # noqa: E402
from core.sources import open_source  # noqa: E402
from core.thread_pool import ThreadPool  # noqa: E402
from hpo.search.study_file import load_study_file  # noqa: E402
from hpo.search.study_spec import StudySpec  # noqa: E402

NUM_HEALTHY = 8
WINDOWS_MS = (100.0, 500.0, 2000.0)
STUDY, OF_INNOVATIONS = ROOT / "benchmarks/quickstart_by_surprise.toml", ROOT / "studies/any_machine.toml"
RECORDINGS = ROOT.parent / "shared/recordings"
Metrics = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Task:
    """Data with real faults."""

    source: str
    options: Mapping[str, object]
    data: DataConfig
    seconds_per_epoch: float


def car(seed: int, rate_hz: int) -> Task:
    options = {
        "sample_rate_hz": rate_hz,
        "seconds": 2.0,
        "num_normal": 96,
        "num_anomalous": 96,
        "num_microphones": 4,
        "severity": 0.8,
        "seed": seed,
    }
    clips = ClipConfig(clip_seconds=2.0, evaluation_seconds=144, calibration_seconds=24)
    data = DataConfig(sample_rate_hz=rate_hz, clips=clips, split=SplitConfig())
    return Task(source="simulated", options=options, data=data, seconds_per_epoch=120)


def recorded(name: str, rate_hz: int, clips: ClipConfig, noise: NoiseConfig | None = None, **options: object) -> Task:
    data = DataConfig(sample_rate_hz=rate_hz, clips=clips, split=SplitConfig(calibration="parts"), noise=noise)
    return Task(source=f"folder:{RECORDINGS / name}", options=options, data=data, seconds_per_epoch=240)


ONE_SECOND = ClipConfig(clip_seconds=1.0, evaluation_seconds=120, calibration_seconds=60)
TASKS: Mapping[str, Callable[[int], Task]] = {
    "car-1": lambda rate_hz: car(1, rate_hz),
    "car-2": lambda rate_hz: car(2, rate_hz),
    "car-3": lambda rate_hz: car(3, rate_hz),
    "cars-1s": lambda rate_hz: recorded("cars", rate_hz, ONE_SECOND),
    "fan-1s": lambda rate_hz: recorded("fan", rate_hz, ONE_SECOND, channels="first"),
    "fan-0db": lambda rate_hz: recorded("fan", rate_hz, ONE_SECOND, NoiseConfig(snr_db=0.0), channels="first"),
}
"""By name, at a sample rate."""


@dataclass(frozen=True, kw_only=True)
class BothKinds:
    """A data set whose validation and test hold clips with real faults first, and then clips for injected ones."""

    dataset: Dataset
    num_real: Mapping[str, int]
    """By split: clips of the data set as it is, healthy and faulty."""
    num_injected: int
    """Clips of validation after them, as a study without anomalous takes has them."""
    healthy: Sequence[int]
    """NUM_HEALTHY of the healthy ones among those."""
    conditions: Sequence[str]
    """Of the rest of validation: each fault of the library at each strength, on each of these healthy clips."""


def both_kinds(task: Task) -> BothKinds:
    corpus = open_source(task.source, options=dict(task.options))
    assert isinstance(corpus, Corpus)
    healthy = replace(corpus, recordings=tuple(each for each in corpus.recordings if each.label == "normal"))
    real, injected = (prepare_dataset(each, task.data).judged() for each in (corpus, healthy))
    dataset = prepare_dataset(corpus, task.data)
    healthy_clips = np.flatnonzero(~injected["validation"].is_anomalous)
    healthy_clips = healthy_clips[np.linspace(0, len(healthy_clips) - 1, NUM_HEALTHY).astype(int)]
    everything, conditions = with_every_fault(injected["validation"], healthy_clips.tolist(), task.data.sample_rate_hz)
    validation = joined([real["validation"], injected["validation"], everything])
    judged = {"calibration": real["calibration"], "validation": validation, "test": real["test"]}
    return BothKinds(
        dataset=replace(dataset, judged=lambda: judged),
        num_real={name: len(real[name]) for name in ("validation", "test")},
        num_injected=len(injected["validation"]),
        healthy=healthy_clips.tolist(),
        conditions=conditions,
    )


def with_every_fault(clips: ClipSet, healthy: Sequence[int], rate_hz: int) -> tuple[ClipSet, list[str]]:
    """Each of the healthy clips with each fault at each strength, and their conditions."""
    found = [(kind, words, index) for kind in LIBRARY for words in STRENGTHS for index in healthy]
    waveforms = [
        apply_fault(
            kind,
            clips.waveforms[index],
            setting=Setting(sample_rate_hz=rate_hz, strength=STRENGTHS[words], highest_hz=HIGHEST_HZ),
            random=np.random.default_rng([list(LIBRARY).index(kind), index]),
        )
        for kind, words, index in found
    ]
    of = [index for _, _, index in found]
    everything = replace(
        some_of(clips, of),
        waveforms=np.stack(waveforms),
        conditions=tuple(kind for kind, _, _ in found),
        is_anomalous=np.ones(len(of), dtype=np.bool_),
    )
    return everything, [f"{kind}, {words}" for kind, words, _ in found]


@dataclass(frozen=True, kw_only=True)
class Judging:
    """What judges the networks."""

    score: str = "surprise"
    two_sided: bool = False

    @property
    def spec(self) -> StudySpec:
        """The study file whose front end and post-processing are used."""
        return load_study_file(OF_INNOVATIONS if self.score == INNOVATIONS else STUDY)

    def configurations(self, count: int) -> list[ExperimentConfig]:
        """The default, and points of a Sobol set of the space of STUDY."""
        space, own = load_study_file(STUDY).search_space, self.spec.search_space.default
        study = optuna.create_study(sampler=QMCSampler(qmc_type="sobol", scramble=True, seed=1))
        found = [space.default_parameters]
        for _ in range(count - 1):
            found.append(study.ask(dict(space.distributions)).params)
            study.tell(len(study.trials) - 1, 0.0)
        configs = [space.configuration(parameters) for parameters in found]
        if self.score != INNOVATIONS:
            return configs
        return [
            replace(each, front_end=own.front_end, scoring=own.scoring, postprocessing=own.postprocessing)
            for each in configs
        ]

    def own_post(self, config: ExperimentConfig, clip_ms: float) -> PostprocessingConfig:
        post = config.postprocessing
        return replace(post, window_ms=min(post.window_ms, clip_ms), two_sided=self.two_sided)

    def other_posts(self, config: ExperimentConfig, clip_ms: float) -> list[PostprocessingConfig]:
        """Every window, or with innovations every group of statistics."""
        own = self.own_post(config, clip_ms)
        if self.score == INNOVATIONS:
            return [replace(own, statistics=of_innovations(each).statistics) for each in STATISTICS]
        return [replace(own, window_ms=each) for each in WINDOWS_MS if each <= clip_ms]


def judge(
    scores: Mapping[str, FrameScores], both: BothKinds, config: ExperimentConfig, post: PostprocessingConfig
) -> dict[str, float]:
    """AUC on real faults of validation and test, on injected faults, and on each fault of the library."""
    judged = both.dataset.judged()
    statistic = fit_statistic(
        post,
        scores["calibration"].of(config.scoring.score),
        judged["calibration"].machines,
        judged["calibration"].recording_ids,
        frame_ms=config.scoring.frame_ms,
    )
    found = {
        name: statistic.judge(scores[name].of(config.scoring.score), judged[name].machines).clip_scores
        for name in ("validation", "test")
    }
    real, end = both.num_real["validation"], both.num_real["validation"] + both.num_injected
    labels = judged["validation"].is_anomalous
    figures = {
        "real validation": auc(found["validation"][:real], labels[:real]),
        "real test": auc(found["test"], judged["test"].is_anomalous),
        "injected": auc(found["validation"][real:end], labels[real:end]),
        "healthy bits": -float(scores["calibration"].surprise.mean()),
    }
    healthy, rest = found["validation"][real:end][both.healthy], found["validation"][end:]
    conditions = np.array(both.conditions)
    for name in dict.fromkeys(both.conditions):
        faulty = rest[conditions == name]
        is_faulty = np.repeat([False, True], [len(healthy), len(faulty)])
        figures[name] = auc(np.concatenate([healthy, faulty]), is_faulty)
    return figures


def figures_of(task: Task, judging: Judging, count: int, pool: ThreadPool) -> tuple[list[Metrics], list[Metrics]]:
    """One row a configuration with its own post-processing, and one for each training and each other one."""
    both, context = both_kinds(task), load_study_file(STUDY).search_space.context_samples(task.data.sample_rate_hz)
    clip_ms = 1000 * task.data.clips.clip_seconds
    own: list[Metrics] = []
    others: list[Metrics] = []
    for config in judging.configurations(count):
        training = replace(config.training, epochs=1, seconds_per_epoch=task.seconds_per_epoch)
        setup = replace(config, training=training).training_setup(both.dataset.num_channels, context)
        with tempfile.TemporaryDirectory(prefix="injected-faults-") as folder:
            epochs = scored_epochs(setup, both.dataset, Path(folder), seed=1, device=torch.device("cpu"), pool=pool)
            for scored in epochs:
                scores = scored.scores
        own.append(judge(scores, both, config, judging.own_post(config, clip_ms)))
        others += [judge(scores, both, config, post) for post in judging.other_posts(config, clip_ms)]
        print(".", end="", file=sys.stderr, flush=True)
    return own, others


def column(rows: Sequence[Metrics], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows])


def summary(name: str, rows: Sequence[Metrics], num_points: str) -> str:
    """One row of the first table."""
    injected, validation, test = (column(rows, each) for each in ("injected", "real validation", "real test"))
    by_injected, by_real = int(np.argmax(injected)), int(np.argmax(validation))
    by_bits = int(np.argmax(column(rows, "healthy bits")))
    cells = [
        name,
        num_points,
        f"{spearmanr(injected, validation).statistic:+.2f}",
        f"{spearmanr(injected, test).statistic:+.2f}",
        f"{spearmanr(validation, test).statistic:+.2f}",
        f"{spearmanr(column(rows, 'healthy bits'), test).statistic:+.2f}",
        f"{test[by_real]:.3f}",
        f"{test[by_injected]:.3f}",
        f"{test[by_real] - test[by_injected]:+.3f}",
        f"{test[by_bits]:.3f}",
        f"{test[0]:.3f}",
        f"{test.mean():.3f}",
        f"{test.max():.3f}",
    ]
    return f"| {' | '.join(cells)} |"


HEAD = (
    "task",
    "points",
    "rank r injected, real validation",
    "injected, real test",
    "real validation, real test",
    "healthy bits saved, real test",
    "test AUC chosen by real",
    "by injected",
    "lost",
    "by bits saved",
    "trial 0",
    "mean",
    "best",
)


def table_of_faults(rows_of: Mapping[str, Sequence[Metrics]]) -> list[str]:
    """The second table, with its heading."""
    lines = [f"| fault | {' | '.join(STRENGTHS)} | {' | '.join(f'rank r {task}' for task in rows_of)} |"]
    lines.append(f"|{' --- |' * (1 + len(STRENGTHS) + len(rows_of))}")
    for kind in LIBRARY:
        means = [np.mean([column(rows, f"{kind}, {words}").mean() for rows in rows_of.values()]) for words in STRENGTHS]
        correlations = []
        for rows in rows_of.values():
            of_kind = np.mean([column(rows, f"{kind}, {words}") for words in STRENGTHS], axis=0)
            correlations.append(spearmanr(of_kind, column(rows, "real test")).statistic)
        cells = [kind, *(f"{mean:.2f}" for mean in means), *(f"{each:+.2f}" for each in correlations)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--configurations", type=int, default=12)
    parser.add_argument("--two-sided", action="store_true", help="sound that is too predictable is strange, too")
    parser.add_argument("--score", choices=("surprise", INNOVATIONS), default="surprise")
    parser.add_argument("--seconds", type=float, help="of audio that a configuration trains on")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own: dict[str, list[Metrics]] = {}
    judging = Judging(score=arguments.score, two_sided=arguments.two_sided)
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}", flush=True)
    with ThreadPool(arguments.threads) as pool:
        for name in arguments.tasks:
            started = time.perf_counter()
            task = TASKS[name](judging.spec.front_end.read_rate_hz)
            task = replace(task, seconds_per_epoch=arguments.seconds or task.seconds_per_epoch)
            own[name], others = figures_of(task, judging, arguments.configurations, pool)
            print(summary(name, own[name], str(len(own[name]))), flush=True)
            print(summary(f"{name}, all post-processing", others, str(len(others))), flush=True)
            print(f" {name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    print("\n".join(["", *table_of_faults(own)]))


if __name__ == "__main__":
    main()
