"""Figures over splits: their values, their intervals over draws, and paired differences."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score as sklearn_f1
from sklearn.metrics import roc_auc_score

from core.baselines.choice import Choice
from core.baselines.comparison import Row
from core.baselines.comparison_table import lines_of
from core.baselines.paired_bootstrap import METRICS, Draws, Figure, SplitDecisions, draw_takes, mean_area
from core.decision.event_metrics import event_counts, event_metrics
from core.decision.metrics import MAX_FALSE_POSITIVE_RATE
from core.decision.postprocess import PostprocessingConfig

MACHINES = ("a", "b", "c")


def decisions(
    seed: int, *, gap: float = 1.0, fold: int = 0, clips_a_take: int = 4, num_faulty: int = 2
) -> SplitDecisions:
    """Each machine has a normal take of its own fold, and faulty takes that every fold tests."""
    random = np.random.default_rng(seed)
    rows = [
        (machine, f"{machine}/{name}", name[0] == "f")
        for machine in MACHINES
        for name in (f"n{fold}", *(f"f{i}" for i in range(num_faulty)))
        for _ in range(clips_a_take)
    ]
    labels = np.array([label for *_, label in rows])
    return SplitDecisions(
        scores=np.round(random.normal(size=len(rows)) + gap * labels, 1),
        threshold=gap / 2,
        is_anomalous=labels,
        recording_ids=tuple(take for _, take, _ in rows),
        machines=tuple(machine for machine, *_ in rows),
    )


def once(splits: list[SplitDecisions]) -> Draws:
    return draw_takes(splits, num_draws=0)


def row(of: SplitDecisions, name: str = "ours") -> Row:
    choice = Choice(score="surprise", postprocessing=PostprocessingConfig(), auc=1.0, f1=1.0, event_f1=None)
    return Row(
        name=name, setup="", choice=choice, decisions=of, num_weights=1, seconds_to_train=1.0, seconds_to_score=1.0,
        num_tried=1, seconds_of_tuning=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "max_rate"), [("auc", None), ("pauc", MAX_FALSE_POSITIVE_RATE)])
def test_areas_are_the_mean_of_scikit_learn_s_over_machines_and_splits(name: str, max_rate: float | None) -> None:
    splits = [decisions(seed, fold=seed) for seed in range(3)]
    expected = []
    for split in splits:
        for machine in MACHINES:
            of = np.array(split.machines) == machine
            expected.append(roc_auc_score(split.is_anomalous[of], split.scores[of], max_fpr=max_rate))
    assert METRICS[name](splits, once(splits))[0] == pytest.approx(np.mean(expected), rel=1e-12)


def test_f1_is_counted_over_all_splits_each_at_its_own_threshold() -> None:
    splits = [replace(decisions(seed, fold=seed), threshold=float(seed)) for seed in range(3)]
    flagged = np.concatenate([split.scores >= split.threshold for split in splits])
    labels = np.concatenate([split.is_anomalous for split in splits])
    assert METRICS["f1"](splits, once(splits))[0] == pytest.approx(sklearn_f1(labels, flagged), rel=1e-12)


def test_a_take_that_is_drawn_twice_is_as_good_as_two_of_it() -> None:
    split = decisions(0)
    draws = {take: np.array([2.0 if take == "b/f1" else 1.0]) for take in set(split.recording_ids)}
    twice = np.append(np.arange(len(split.scores)), np.flatnonzero([take == "b/f1" for take in split.recording_ids]))
    doubled = replace(
        split,
        scores=split.scores[twice],
        is_anomalous=split.is_anomalous[twice],
        recording_ids=tuple(split.recording_ids[i] for i in twice),
        machines=tuple(split.machines[i] for i in twice),
    )
    for name in ("auc", "pauc", "f1"):
        assert METRICS[name]([split], draws)[0] == pytest.approx(METRICS[name]([doubled], once([doubled]))[0])


def test_a_take_that_is_left_out_does_not_count_in_any_draw() -> None:
    splits = [decisions(seed, fold=seed) for seed in range(4)]
    spoilt = replace(
        splits[0],
        scores=np.where([take == "a/n0" for take in splits[0].recording_ids], 99.0, splits[0].scores),
    )
    for name in ("auc", "pauc", "f1"):
        values = [
            METRICS[name](some, draw_takes(some, num_draws=50, without=("a/n0",)))
            for some in (splits, [spoilt, *splits[1:]])
        ]
        np.testing.assert_array_equal(*values)
    assert METRICS["auc"]([spoilt, *splits[1:]], once(splits))[0] < METRICS["auc"](splits, once(splits))[0]


def test_a_machine_without_both_classes_does_not_count_and_without_any_there_is_no_area() -> None:
    split = decisions(0)
    of_a = np.array(split.machines) == "a"
    lame = replace(split, is_anomalous=split.is_anomalous & ~of_a)
    rest = [roc_auc_score(lame.is_anomalous[of], lame.scores[of])
            for of in (np.array(split.machines) == "b", np.array(split.machines) == "c")]  # fmt: skip
    assert mean_area([lame], once([lame]))[0] == pytest.approx(np.mean(rest))
    healthy = replace(split, is_anomalous=np.zeros_like(split.is_anomalous))
    assert np.isnan(mean_area([healthy], once([healthy]))[0])


def test_event_f1_is_that_of_all_clips_together() -> None:
    split = decisions(0)
    random = np.random.default_rng(1)
    starts = random.uniform(0, 5, len(split.scores)).tolist()
    spans = [[(t, t + 0.5)] if label else [] for t, label in zip(starts, split.is_anomalous, strict=True)]
    heard = [
        [(a + random.normal() / 4, b) for a, b in clip] or [(1.0, 2.0)] * (random.random() < 0.3) for clip in spans
    ]
    counts = event_counts(heard, spans, clip_seconds=6.0)
    with_events = replace(split, events=counts)
    found, draws = event_metrics(counts), once([split])
    assert 0 < found.event_f1 < 1
    assert METRICS["event_f1"]([with_events], draws)[0] == pytest.approx(found.event_f1)
    assert METRICS["segment_f1"]([with_events], draws)[0] == pytest.approx(found.segment_f1)
    assert np.isnan(METRICS["event_f1"]([with_events, split], draws)[0])


def test_intervals_hold_their_figure_and_narrow_with_more_takes() -> None:
    def width(num_faulty: int) -> float:
        splits = [decisions(seed, fold=seed, num_faulty=num_faulty) for seed in range(4)]
        figure = Figure.of(METRICS["auc"](splits, draw_takes(splits, num_draws=400)))
        assert figure.low <= figure.value <= figure.high
        return figure.high - figure.low

    assert width(40) < width(2)


def test_a_paired_difference_is_narrower_than_either_figure_where_takes_are_what_varies() -> None:
    random = np.random.default_rng(5)
    splits = [decisions(seed, fold=seed, num_faulty=6) for seed in range(4)]
    hard = {take: random.normal(scale=3) for split in splits for take in split.recording_ids}
    ours = [replace(s, scores=s.scores + [hard[take] for take in s.recording_ids]) for s in splits]
    theirs = [replace(s, scores=s.scores - 0.8 * s.is_anomalous) for s in ours]
    first, second = lines_of([[row(a), row(b, "theirs")] for a, b in zip(ours, theirs, strict=True)])
    difference = second.differences["auc"]
    assert not first.differences
    assert difference.value == pytest.approx(first.figures["auc"].value - second.figures["auc"].value)
    assert difference.low > 0
    assert difference.high - difference.low < (second.figures["auc"].high - second.figures["auc"].low) / 2
