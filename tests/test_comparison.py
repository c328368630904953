"""Detectors side by side: what is chosen on validation alone, and what the figures are."""

from dataclasses import replace

import numpy as np
import pytest

from core.baselines import all_alternatives, autoencoder, flatness, loudness
from core.clips import ClipConfig, ClipSet
from core.comparison import ScoredDataset, best_threshold, choices_over, choose, compare, fit_and_score, row_of
from core.comparison_text import as_table
from core.dataset import DataConfig, Dataset, prepare_dataset
from core.errors import UserError
from core.metrics import best_f1, f1_score
from core.postprocess import PostprocessingConfig
from core.sources import open_source
from core.splits import SplitConfig

LEARNER = replace(autoencoder(num_steps=60), batch_stretches=128)
CHOICES = choices_over(PostprocessingConfig(), windows_ms=(1000, 200), sides=(False, True))


def simulated(*, seconds: float = 1.0, **options: object) -> Dataset:
    default = {"num_normal": 32, "num_anomalous": 24, "num_microphones": 2, "severity": 1.5}
    corpus = open_source("simulated", options={**default, **options, "seconds": seconds})
    clips = ClipConfig(clip_seconds=seconds, evaluation_seconds=40, calibration_seconds=8)
    return prepare_dataset(corpus, DataConfig(sample_rate_hz=4000, clips=clips, split=SplitConfig()))


@pytest.fixture(scope="module")
def car() -> Dataset:
    return simulated()


@pytest.fixture(scope="module")
def scored(car: Dataset) -> ScoredDataset:
    return fit_and_score(LEARNER, car, seed=1)


def relabelled(clips: ClipSet, seed: int) -> ClipSet:
    return replace(clips, is_anomalous=np.random.default_rng(seed).permutation(clips.is_anomalous))


def test_every_alternative_goes_from_recordings_to_figures() -> None:
    two_cars = simulated(machines=2, num_normal=12, num_anomalous=8)
    alternatives = all_alternatives(num_steps=10)
    rows = compare(two_cars, alternatives=alternatives, seed=1, num_resamples=5)
    assert [row.scored.name for row in rows] == [alternative.name for alternative in alternatives]
    for row in rows:
        assert set(row.machines) == {"car1", "car2"}
        assert sum(figures.num_clips for figures in row.machines.values()) == row.overall.num_clips
        for figures in (row.overall, *row.machines.values()):
            for figure in (figures.f1, figures.auc, figures.pauc):
                assert 0 <= figure.low <= figure.high <= 1
        assert row.scored.seconds_to_train >= 0
        assert row.scored.seconds_to_score > 0
    assert [row.scored.num_weights > 0 for row in rows] == [True] * 4 + [False] * 2
    lines = as_table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    assert f"{rows[0].overall.auc.value:.3f} (" in lines[2]


def test_a_seed_says_all_that_is_random(car: Dataset, scored: ScoredDataset) -> None:
    again = fit_and_score(LEARNER, car, seed=1)
    for split, scores in scored.scores.items():
        np.testing.assert_array_equal(again.scores[split], scores)
    row, same = (row_of(one, car.judged(), choices=CHOICES, num_resamples=20) for one in (scored, again))
    assert (same.choice, same.overall) == (row.choice, row.overall)
    assert row.overall.auc.value > 0.8


def test_nothing_that_is_chosen_has_seen_the_test(car: Dataset, scored: ScoredDataset) -> None:
    judged = dict(car.judged())
    row = row_of(scored, judged, choices=CHOICES, num_resamples=20)
    judged["test"] = relabelled(judged["test"], 3)
    other_labels = row_of(scored, judged, choices=CHOICES, num_resamples=20)
    assert other_labels.choice == row.choice
    assert other_labels.overall.auc != row.overall.auc
    random = np.random.default_rng(0)
    other_scores = {**scored.scores, "test": random.permutation(scored.scores["test"])}
    shuffled = row_of(replace(scored, scores=other_scores), judged, choices=CHOICES, num_resamples=20)
    assert shuffled.choice == row.choice
    judged["validation"] = relabelled(judged["validation"], 3)
    assert row_of(scored, judged, choices=CHOICES, num_resamples=20).choice != row.choice


def test_with_labels_permuted_figures_are_those_of_chance(car: Dataset, scored: ScoredDataset) -> None:
    values = []
    for seed in range(40):
        judged = {name: relabelled(clips, seed) for name, clips in car.judged().items()}
        values.append(row_of(scored, judged, choices=CHOICES, num_resamples=1).overall.auc.value)
    # One AUC at chance spreads by 0.14 with 8 normal clips and 12 faulty ones; their mean by a sixth of that.
    assert abs(np.mean(values) - 0.5) < 4 * 0.14 / 40**0.5
    assert np.std(values) < 0.25


def test_the_window_and_the_side_are_those_that_tell_validation_s_clips_apart(car: Dataset) -> None:
    """Faults of a tenth of a second, or of too little: only a short window, or only both sides, can show them."""
    judged = car.judged()
    short, low = {}, {}
    for name, clips in judged.items():
        noise = np.random.default_rng(len(name)).normal(0, 1, (len(clips), 2, 31)).astype(np.float32)
        noise -= noise.mean(axis=-1, keepdims=True)
        short[name], low[name] = noise.copy(), noise.copy()
        short[name][clips.is_anomalous, :, 10:14] += 8
        short[name] -= short[name].mean(axis=-1, keepdims=True)
        low[name][clips.is_anomalous] -= 3
    cost = {"num_weights": 0, "seconds_to_train": 0.0, "seconds_to_score": 0.0}
    chosen = [
        choose(ScoredDataset(name="made up", scores=scores, frame_ms=32.0, **cost), judged, CHOICES)  # type: ignore[arg-type]
        for scores in (short, low)
    ]
    assert chosen[0].postprocessing.window_ms == 200
    assert chosen[1].postprocessing.two_sided
    assert [choice.auc for choice in chosen] == [1.0, 1.0]
    assert [choice.f1 for choice in chosen] == [1.0, 1.0]


def test_the_threshold_has_the_highest_f1_and_lies_between_two_scores() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        scores = np.round(random.normal(size=20), 1)
        labels = scores + random.normal(size=20) > 0.5
        threshold = best_threshold(scores, labels)
        assert f1_score(scores >= threshold, labels) == best_f1(scores, labels)
    assert best_threshold(np.array([1.0, 2.0, 5.0, 6.0]), np.array([False, False, True, True])) == 3.5
    assert best_threshold(np.array([1.0, 2.0]), np.array([True, True])) == 1.0
    assert best_threshold(np.array([-np.inf, 4.0]), np.array([False, True])) == 4.0
    assert best_threshold(np.array([-np.inf, -np.inf]), np.array([False, True])) == 0.0


def test_clips_that_are_too_short_for_an_alternative_are_refused_before_any_is_trained() -> None:
    short = simulated(seconds=0.5)
    with pytest.raises(
        UserError, match=r"clips.clip_seconds must be at least 0.544 for the log-mel Gaussian, but got 0.5"
    ):
        compare(short, alternatives=all_alternatives(), seed=1)
    assert len(compare(short, alternatives=[loudness(), flatness()], seed=1, num_resamples=2)) == 2
