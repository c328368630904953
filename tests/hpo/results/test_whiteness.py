"""The innovations of healthy clips, scored from a detector."""

import numpy as np
import pytest

from core.data.clips import ClipSet
from core.model.whiteness import MOST_UNLEARNED_BITS, whiteness_of
from core.thread_pool import ThreadPool
from hpo.results.whiteness import healthy_whiteness, whiteness_facts, whiteness_warning
from tests.small_detector import make_detector

NUM_CLIPS = 4
IS_ANOMALOUS = np.array([False, True, False, True])


def clips_of(waveforms: np.ndarray, is_anomalous: np.ndarray = IS_ANOMALOUS) -> ClipSet:
    names = tuple(f"take {i}" for i in range(NUM_CLIPS))
    return ClipSet(
        waveforms=waveforms, recording_ids=names, machines=names, conditions=names, starts_s=(0.0,) * NUM_CLIPS,
        is_anomalous=is_anomalous,
    )  # fmt: skip


@pytest.fixture
def waveforms() -> np.ndarray:
    detector = make_detector()
    shape = (NUM_CLIPS, detector.model.config.num_channels, detector.clip_samples)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32) / 10


def test_anomalous_clips_have_no_part_in_it(waveforms: np.ndarray) -> None:
    other = waveforms.copy()
    other[IS_ANOMALOUS] = 0.5
    with ThreadPool(1) as pool:
        before, after = (healthy_whiteness(make_detector(), clips_of(each), pool) for each in (waveforms, other))
    np.testing.assert_array_equal(before.counts, after.counts)
    detector = make_detector()
    assert before.num_samples == 2 * (detector.heard_clip_samples - detector.context_samples)


def test_without_a_healthy_clip_nothing_is_said(waveforms: np.ndarray) -> None:
    with ThreadPool(1) as pool:
        nothing = healthy_whiteness(make_detector(), clips_of(waveforms, np.ones(NUM_CLIPS, bool)), pool)
    facts = whiteness_facts(nothing)
    assert np.isnan(facts["unlearned_bits"])
    assert facts["warning"] is None


@pytest.mark.parametrize(("bits", "is_said"), [(0.8 * MOST_UNLEARNED_BITS, False), (1.2 * MOST_UNLEARNED_BITS, True)])
def test_the_limit_is_of_the_mean_over_microphones(bits: float, is_said: bool) -> None:
    """White noise with a shift of m tells m ** 2 / 2 nats a sample."""
    white = np.random.default_rng(0).normal(size=(2, 100_000))
    white[1] += np.sqrt(2 * np.log(2) * 2 * bits)
    warning = whiteness_warning(whiteness_of([white.astype(np.float32)], 2))
    assert (warning is not None) == is_said
    if warning:
        assert "The network has not learned this machine" in warning
        assert "0.06 bits" in warning
