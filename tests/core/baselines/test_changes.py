"""Change points in an alternative's own score."""

from dataclasses import replace

import numpy as np
import pytest

from core.baselines import loudness
from core.baselines.candidates import SMOOTHINGS_MS, choices_over, of_innovations
from core.baselines.changes import CHANGES, fit_changes_of_scores
from core.baselines.choice import choose
from core.baselines.comparison import fit_and_score
from core.data.dataset import Dataset
from tests.core.baselines.test_comparison import made_up, simulated


@pytest.fixture(scope="module")
def car() -> Dataset:
    return simulated()


def test_events_of_an_alternative_are_found_by_change_points_in_its_own_score(car: Dataset) -> None:
    """Healthy clips differ in level by more than a fault changes them, so that no moving average finds one."""
    judged, scores = {}, {}
    for name, clips in car.judged().items():
        random = np.random.default_rng(len(name))
        spans = tuple(((1.28, 2.56),) if label else () for label in clips.is_anomalous)
        judged[name] = replace(clips, events=spans)
        scores[name] = random.normal(size=(len(clips), 2, 125)).astype(np.float32)
        scores[name] += random.normal(0, 20, (len(clips), 1, 1)).astype(np.float32)
        scores[name][clips.is_anomalous, :, 40:80] -= 4  # quieter: the one-sided average does not see it
    choices = choices_over(replace(car, judged=lambda: judged), windows_ms=[100.0], sides=[False])
    by_average = choose(made_up(scores), judged, choices)
    by_changes = choose(made_up(scores, CHANGES), judged, choices)
    assert by_average.event_f1 is not None
    assert by_changes.event_f1 is not None
    assert by_average.event_f1 < 0.5 < 0.9 < by_changes.event_f1
    assert by_changes.postprocessing.window_ms in SMOOTHINGS_MS


@pytest.mark.parametrize(("seconds", "kinds"), [(1.0, ["its own", CHANGES]), (0.5, ["its own"])])
def test_change_points_are_offered_where_events_are_labelled_and_have_room(seconds: float, kinds: list[str]) -> None:
    dataset = simulated(seconds=seconds)
    spans = {name: tuple(() for _ in clips.machines) for name, clips in dataset.judged().items()}
    judged = {name: replace(clips, events=spans[name]) for name, clips in dataset.judged().items()}
    assert list(fit_and_score(loudness(), dataset, seed=0).scores) == ["its own"]
    assert list(fit_and_score(loudness(), replace(dataset, judged=lambda: judged), seed=0).scores) == kinds


def test_change_points_do_not_depend_on_a_score_s_unit() -> None:
    random, config = np.random.default_rng(0), of_innovations(baseline="clip")
    calibration, clips = (random.normal(3, 1, (12, 2, 125)).astype(np.float32) for _ in range(2))
    clips[0, :, 40:80] += 3
    takes = [f"take{index}" for index in range(12)]
    judgements = [
        fit_changes_of_scores(config, unit * calibration, takes, frame_ms=32.0).judge(unit * clips)
        for unit in (1.0, 1e-4)
    ]
    np.testing.assert_allclose(judgements[0].sigmas, judgements[1].sigmas, rtol=1e-3)
    assert judgements[0].clip_scores.argmax() == 0


def test_a_score_that_never_changes_has_finite_change_points() -> None:
    still = np.ones((4, 1, 60), np.float32)
    changes = fit_changes_of_scores(of_innovations(baseline="clip"), still, list("abcd"), frame_ms=32.0)
    assert np.isfinite(changes.judge(still).clip_scores).all()
