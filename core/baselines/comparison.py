"""WaveNet and its alternatives compared: the same clips, the same choices, the same figures.

Validation chooses a detector's score, post-processing and threshold (`choice.py`). It also chooses one of an
alternative's variants, out of as many as its budget of time allows. The rows that are returned hold decisions about
the test's clips, which reach nothing that chooses.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from core.baselines.alternative import Alternative
from core.baselines.candidates import choices_over
from core.baselines.changes import CHANGES
from core.baselines.choice import Choice, ScoredDataset, choose, decide, judge_split
from core.baselines.log_mel import FrameGrid
from core.baselines.paired_bootstrap import SplitDecisions
from core.data.clips import ClipSet
from core.data.dataset import Dataset
from core.data.judged_clips import JUDGED
from core.decision.change_points import has_room
from core.errors import UserError
from core.thread_pool import ThreadPool


@dataclass(frozen=True, kw_only=True)
class Row:
    """One detector on one split."""

    name: str
    setup: str
    choice: Choice
    decisions: SplitDecisions
    num_weights: int
    seconds_to_train: float
    seconds_to_score: float
    num_tried: int
    """Variants that it was chosen from."""
    seconds_of_tuning: float
    """For all of them."""


def compare(
    datasets: Sequence[Dataset], families: Mapping[str, Sequence[Alternative]], *, seed: int, budget_s: float
) -> Iterable[Row]:
    """The best variant of each family, over all datasets. At least one is tried, others until the budget is spent.

    All `datasets` have the same clips to judge. UserError, before any is trained, where clips are too short.
    """
    for alternatives, dataset in product(families.values(), datasets):
        for alternative in alternatives:
            check_length(alternative, dataset)
    for name, alternatives in families.items():
        yield _best_of(name, alternatives, datasets, seed=seed, budget_s=budget_s)


def _best_of(
    name: str, alternatives: Sequence[Alternative], datasets: Sequence[Dataset], *, seed: int, budget_s: float
) -> Row:
    started, best, num_tried = time.perf_counter(), None, 0
    for alternative, dataset in product(alternatives, datasets):
        if best is not None and time.perf_counter() - started >= budget_s:
            break
        scored = fit_and_score(alternative, dataset, seed=seed)
        choice = choose(scored, dataset.judged(), choices_over(dataset))
        num_tried += 1
        if best is None or choice.rank > best[1].rank:
            best = scored, choice, dataset
    assert best is not None, f"the family {name} is empty"
    scored, choice, dataset = best
    seconds = time.perf_counter() - started
    return row_of(scored, choice, dataset.judged(), num_tried=num_tried, seconds_of_tuning=seconds)


def check_length(alternative: Alternative, dataset: Dataset) -> None:
    """UserError where the dataset's clips have fewer frames than the alternative needs."""
    grid = FrameGrid.at(dataset.sample_rate_hz)
    shortest_s = (grid.frame + (alternative.min_frames - 1) * grid.hop) / grid.sample_rate_hz
    if grid.num_frames(dataset.config.clip_samples) < alternative.min_frames:
        raise UserError(
            f"clips.clip_seconds must be at least {shortest_s:g} for the {alternative.name}, "
            f"but got {dataset.config.clips.clip_seconds:g}. Lengthen the clips, or leave it out."
        )


def fit_and_score(alternative: Alternative, dataset: Dataset, *, seed: int) -> ScoredDataset:
    """Trains one alternative on the training clips, on one thread, so that the seed determines the result."""
    with ThreadPool(1):
        judged = dataset.judged()  # before the clock starts, since the clips of a streamed set have to arrive
        started = time.perf_counter()
        scorer = alternative.fit(dataset.training.order(seed), sample_rate_hz=dataset.sample_rate_hz, seed=seed)
        trained = time.perf_counter()
        scores = {name: scorer.frame_scores(judged[name].waveforms) for name in JUDGED}
        done = time.perf_counter()
    kinds = ["its own"]
    if judged["validation"].events is not None and has_room(scores["calibration"].shape[-1], scorer.frame_ms):
        kinds.append(CHANGES)
    return ScoredDataset(
        name=alternative.name,
        setup=setup_of(alternative, dataset),
        scores=dict.fromkeys(kinds, scores),
        frame_ms=scorer.frame_ms,
        first_s=scorer.first_s,
        num_weights=scorer.num_weights,
        seconds_to_train=trained - started,
        seconds_to_score=done - trained,
    )


def setup_of(alternative: Alternative, dataset: Dataset) -> str:
    """How it differs from the other variants, in words."""
    speeds = ["several speeds"] if dataset.config.speed_perturbation else []
    return ", ".join([f"{dataset.sample_rate_hz} Hz", *speeds, *alternative.setup])


def row_of(
    scored: ScoredDataset, choice: Choice, judged: Mapping[str, ClipSet], *, num_tried: int, seconds_of_tuning: float
) -> Row:
    """One detector's decisions about the test's clips; WaveNet's come from the frame scores that its trial left."""
    judgement, clips = judge_split(scored, judged, choice.score, choice.postprocessing, "test"), judged["test"]
    return Row(
        name=scored.name,
        setup=scored.setup,
        choice=choice,
        decisions=decide(scored, judgement, clips, choice.postprocessing.threshold_sigmas),
        num_weights=scored.num_weights,
        seconds_to_train=scored.seconds_to_train,
        seconds_to_score=scored.seconds_to_score,
        num_tried=num_tried,
        seconds_of_tuning=seconds_of_tuning,
    )
