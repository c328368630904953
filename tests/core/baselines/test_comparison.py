"""The comparison of detectors: choices use validation alone, and figures are right."""

from dataclasses import replace

import numpy as np
import pytest

from core.baselines import Gaussian, autoencoder, families, flatness, loudness
from core.baselines.choice import ScoredDataset, as_it_is, best_threshold, choose
from core.baselines.comparison import Row, compare, fit_and_score, row_of
from core.baselines.comparison_table import as_markdown, lines_of
from core.data.clips import ClipConfig, ClipSet
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.splits import SplitConfig
from core.decision.metrics import best_f1, f1_score
from core.decision.postprocess import PostprocessingConfig
from core.errors import UserError
from core.sources import open_source

LEARNER = replace(autoencoder(num_steps=60), batch_stretches=128)
CHOICES = tuple(
    PostprocessingConfig(window_ms=window_ms, two_sided=two_sided)
    for two_sided in (False, True)
    for window_ms in (1000, 200)
)


def simulated(*, seconds: float = 1.0, sample_rate_hz: int = 4000, **options: object) -> Dataset:
    default = {"num_normal": 32, "num_anomalous": 24, "num_microphones": 2, "severity": 1.5}
    corpus = open_source("simulated", options={**default, **options, "seconds": seconds})
    clips = ClipConfig(clip_seconds=seconds, evaluation_seconds=40, calibration_seconds=8)
    return prepare_dataset(corpus, DataConfig(sample_rate_hz=sample_rate_hz, clips=clips, split=SplitConfig()))


@pytest.fixture(scope="module")
def car() -> Dataset:
    return simulated()


@pytest.fixture(scope="module")
def scored(car: Dataset) -> ScoredDataset:
    return fit_and_score(LEARNER, car, seed=1)


def relabelled(clips: ClipSet, seed: int) -> ClipSet:
    return replace(clips, is_anomalous=np.random.default_rng(seed).permutation(clips.is_anomalous))


def judge(scored: ScoredDataset, judged: dict[str, ClipSet]) -> Row:
    return row_of(scored, choose(scored, judged, CHOICES), judged, num_tried=1, seconds_of_tuning=0.0)


def auc_of(row: Row) -> float:
    return lines_of([[row]], num_draws=0)[0].figures["auc"].value


def test_every_alternative_goes_from_recordings_to_figures() -> None:
    two_cars = simulated(machines=2, num_normal=12, num_anomalous=8)
    kinds = families([(10, 1e-3)])
    rows = list(compare([two_cars], kinds, seed=1, budget_s=0))
    assert [row.name for row in rows] == list(kinds)
    assert [row.num_weights > 0 for row in rows] == [True] * 4 + [False] * 2
    for row in rows:
        assert row.seconds_to_train >= 0
        assert row.seconds_to_score > 0
        assert row.decisions.recording_ids == two_cars.test.recording_ids
    lines = lines_of([rows], num_draws=20)
    for line in lines:
        assert set(line.by_machine) == {"car1", "car2"}
        for figure in line.figures.values():
            assert 0 <= figure.low <= figure.high <= 1
    text = as_markdown(lines).splitlines()
    assert len(text) == 2 + len(rows)
    assert {line.count("|") for line in text} == {text[0].count("|")}
    assert f"{lines[0].figures['auc'].value:.3f} (" in text[2]


def test_variants_are_tried_while_the_budget_lasts_and_one_at_the_least(car: Dataset) -> None:
    variants = {"log-mel autoencoder": [replace(LEARNER, num_steps=steps) for steps in (1, 2, 60)]}
    (frugal,) = compare([car], variants, seed=1, budget_s=0)
    (rich,) = compare([car], variants, seed=1, budget_s=600)
    assert frugal.num_tried == 1
    assert rich.num_tried == 3
    assert rich.choice.rank >= frugal.choice.rank
    assert rich.seconds_of_tuning > rich.seconds_to_train


def test_another_rate_is_another_variant_on_the_same_clips(car: Dataset) -> None:
    slow = simulated(sample_rate_hz=2000)
    (row,) = compare([car, slow], {"log-mel Gaussian": [Gaussian()]}, seed=1, budget_s=600)
    assert row.num_tried == 2
    assert row.decisions.recording_ids == car.test.recording_ids


def test_the_seed_determines_all_randomness(car: Dataset, scored: ScoredDataset) -> None:
    again = fit_and_score(LEARNER, car, seed=1)
    for split, scores in scored.scores["its own"].items():
        np.testing.assert_array_equal(again.scores["its own"][split], scores)
    row, same = (judge(one, dict(car.judged())) for one in (scored, again))
    assert same.choice == row.choice
    np.testing.assert_array_equal(same.decisions.scores, row.decisions.scores)
    assert auc_of(row) > 0.8


def test_no_choice_depends_on_the_test(car: Dataset, scored: ScoredDataset) -> None:
    judged = dict(car.judged())
    row = judge(scored, judged)
    judged["test"] = relabelled(judged["test"], 3)
    other_labels = judge(scored, judged)
    assert other_labels.choice == row.choice
    assert auc_of(other_labels) != auc_of(row)
    random = np.random.default_rng(0)
    kept = scored.scores["its own"]
    shuffled = judge(replace(scored, scores={"its own": {**kept, "test": random.permutation(kept["test"])}}), judged)
    assert shuffled.choice == row.choice
    judged["validation"] = relabelled(judged["validation"], 3)
    assert judge(scored, judged).choice != row.choice


def test_with_labels_permuted_figures_are_those_of_chance(car: Dataset, scored: ScoredDataset) -> None:
    values = []
    for seed in range(40):
        judged = {name: relabelled(clips, seed) for name, clips in car.judged().items()}
        values.append(auc_of(judge(scored, judged)))
    # At chance one AUC deviates by 0.14 with 8 normal clips and 12 faulty ones, and their mean by a sixth of that.
    assert abs(np.mean(values) - 0.5) < 4 * 0.14 / 40**0.5
    assert np.std(values) < 0.25


def made_up(scores: dict[str, np.ndarray], kind: str = "its own") -> ScoredDataset:
    return ScoredDataset(
        name="made up", setup="", scores={kind: scores}, frame_ms=32.0, first_s=0.0, num_weights=0,
        seconds_to_train=0.0, seconds_to_score=0.0,
    )  # fmt: skip


def test_the_window_and_the_side_are_those_that_tell_validation_s_clips_apart(car: Dataset) -> None:
    """Short faults, or scores that are too low: only a short window, or only both sides, shows them."""
    judged = car.judged()
    short, low = {}, {}
    for name, clips in judged.items():
        noise = np.random.default_rng(len(name)).normal(0, 1, (len(clips), 2, 31)).astype(np.float32)
        noise -= noise.mean(axis=-1, keepdims=True)
        short[name], low[name] = noise.copy(), noise.copy()
        short[name][clips.is_anomalous, :, 10:14] += 8
        short[name] -= short[name].mean(axis=-1, keepdims=True)
        low[name][clips.is_anomalous] -= 3
    chosen = [choose(made_up(scores), judged, CHOICES) for scores in (short, low)]
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
        list(compare([short], families(), seed=1, budget_s=0))
    measures = {"loudness": [loudness()], "spectral flatness": [flatness()]}
    assert len(list(compare([short], measures, seed=1, budget_s=0))) == 2


def test_the_score_is_chosen_on_validation_too(car: Dataset) -> None:
    noise = {name: np.zeros((len(clips), 2, 31), np.float32) for name, clips in car.judged().items()}
    for name, scores in noise.items():
        scores += np.random.default_rng(len(name)).normal(size=scores.shape)
    plain = {name: scores + 5 * car.judged()[name].is_anomalous[:, None, None] for name, scores in noise.items()}
    both = replace(made_up(noise), scores={"deaf": noise, "hears": plain})
    assert choose(both, dict(car.judged()), CHOICES).score == "hears"


def test_a_later_choice_must_be_better_by_more_than_an_error_of_the_takes(car: Dataset) -> None:
    judged, scores = dict(car.judged()), {}
    for name, clips in judged.items():
        noise = np.random.default_rng(len(name)).normal(size=(len(clips), 2, 31)).astype(np.float32)
        scores[name] = noise + 5 * clips.is_anomalous[:, None, None]
    faulty = np.flatnonzero(judged["validation"].is_anomalous)
    for num_missed, expected in ((0, "first"), (1, "first"), (4, "second")):
        first = {name: values.copy() for name, values in scores.items()}
        first["validation"][faulty[:num_missed]] -= 10
        both = replace(made_up(first), scores={"first": first, "second": scores})
        assert choose(both, judged, CHOICES[:1]).score == expected


@pytest.mark.parametrize("order", [("hears", "deaf"), ("deaf", "hears")])
def test_without_an_auc_the_best_by_f1_is_chosen(car: Dataset, order: tuple[str, str]) -> None:
    """One of two machines has only normal clips, the other only faulty ones."""
    judged, noise, heard = {}, {}, {}
    for name, clips in car.judged().items():
        machines = tuple(np.where(clips.is_anomalous, "a", "b"))
        if name == "calibration":
            machines = tuple(np.where(np.arange(len(clips)) % 2, "a", "b"))
        judged[name] = replace(clips, machines=machines)
        noise[name] = np.random.default_rng(len(name)).normal(size=(len(clips), 2, 31)).astype(np.float32)
        heard[name] = noise[name] + 9 * clips.is_anomalous[:, None, None]
    kinds = {"hears": heard, "deaf": noise}
    both = replace(made_up(heard), scores={kind: kinds[kind] for kind in order})
    choice = choose(both, judged, CHOICES)
    assert np.isnan(choice.auc)
    assert (choice.score, choice.f1) == ("hears", 1.0)


@pytest.mark.parametrize("with_events", [False, True])
def test_a_choice_that_was_made_before_has_the_figures_of_its_own_threshold(car: Dataset, with_events: bool) -> None:
    judged, scores = dict(car.judged()), {}
    for name, clips in car.judged().items():
        if with_events:
            spans = tuple(((0.32, 0.8),) if label else () for label in clips.is_anomalous)
            judged[name] = replace(clips, events=spans)
        scores[name] = np.random.default_rng(len(name)).normal(size=(len(clips), 2, 31)).astype(np.float32)
        scores[name][clips.is_anomalous, :, 10:25] += 12
    chosen = choose(made_up(scores), judged, CHOICES)
    assert as_it_is(made_up(scores), judged, chosen.score, chosen.postprocessing) == chosen
    never = replace(chosen.postprocessing, threshold_sigmas=1e6)
    silent = as_it_is(made_up(scores), judged, chosen.score, never)
    assert (silent.f1, silent.auc, silent.postprocessing) == (0.0, chosen.auc, never)
    assert silent.event_f1 == (0.0 if with_events else None)


def test_events_are_chosen_and_judged_by_their_onsets(car: Dataset) -> None:
    """Faults begin at 0.32 s, with frames of 32 ms; the chosen threshold and window find their onsets."""
    judged = {}
    scores = {}
    for name, clips in car.judged().items():
        spans = tuple(((0.32, 0.8),) if label else () for label in clips.is_anomalous)
        judged[name] = replace(clips, events=spans)
        scores[name] = np.random.default_rng(len(name)).normal(size=(len(clips), 2, 31)).astype(np.float32)
        scores[name][clips.is_anomalous, :, 10:25] += 12
    choices = [replace(config, gap_ms=100.0, min_event_ms=96.0) for config in CHOICES]
    choice = choose(made_up(scores), judged, choices)
    row = row_of(made_up(scores), choice, judged, num_tried=1, seconds_of_tuning=0.0)
    figures = lines_of([[row]], num_draws=0)[0].figures
    assert choice.event_f1 == 1.0
    assert figures["event_f1"].value > 0.9
    assert figures["segment_f1"].value > 0.8
