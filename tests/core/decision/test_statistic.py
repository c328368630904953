"""The statistic: it is calibrated per machine on calibration clips and judges each clip independently."""

from typing import Any

import numpy as np
import pytest

from core.decision.postprocess import Event, PostprocessingConfig
from core.decision.statistic import Judgement, Statistic, fit_scalar
from core.errors import UserError
from core.model.scoring import Scores

FRAME_MS = 25.0


def bits(
    num_clips: int = 20, num_channels: int = 2, num_frames: int = 80, *, mean: float = 4.0, seed: int = 0
) -> Scores:
    """Frame scores of normal sound: independent frames with a deviation of 0.2 bits."""
    shape = (num_clips, num_channels, num_frames)
    return (mean + 0.2 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def fit(scores: Scores, machines: list[str] | None = None, **config: Any) -> Statistic:
    machines = machines or ["car"] * len(scores)
    return fit_scalar(PostprocessingConfig(**config), scores, machines, frame_ms=FRAME_MS)


def judge(statistic: Statistic, scores: Scores) -> Judgement:
    return statistic.judge(scores, ["car"] * len(scores))


@pytest.mark.parametrize("window_ms", [25.0, 500.0, 1e6])
def test_calibration_clips_have_mean_zero_and_deviation_one_after_smoothing(window_ms: float) -> None:
    calibration = bits()
    judged = judge(fit(calibration, window_ms=window_ms), calibration)
    assert judged.sigmas.mean() == pytest.approx(0, abs=1e-4)
    assert judged.sigmas.std() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(judged.channel_sigmas.std(axis=(0, 2)), 1, atol=1e-4)


def test_each_machine_has_its_own_mu_and_sigma() -> None:
    quiet, loud = bits(mean=2.0), 3 * bits(mean=5.0, seed=1)
    machines = ["quiet", "loud"] * 20
    mixed = np.stack([quiet, loud], axis=1).reshape(40, *quiet.shape[1:])
    statistic = fit(mixed, machines)
    assert statistic.calibrations["quiet"] == fit(quiet, ["quiet"] * 20).calibrations["quiet"]
    assert statistic.calibrations["loud"] == fit(loud, ["loud"] * 20).calibrations["loud"]
    judged = statistic.judge(mixed, machines)
    for machine, alone in (("quiet", quiet), ("loud", loud)):
        rows = [index for index, name in enumerate(machines) if name == machine]
        expected = statistic.judge(alone, [machine] * 20)
        np.testing.assert_array_equal(judged.clip_scores[rows], expected.clip_scores)


def test_a_clip_is_judged_independently_of_the_others() -> None:
    statistic = fit(bits())
    clips = bits(6, seed=1)
    clips[3] += 2
    together = judge(statistic, clips)
    for index in range(6):
        alone = judge(statistic, clips[index : index + 1])
        assert alone.clip_scores[0] == together.clip_scores[index]
        np.testing.assert_array_equal(alone.sigmas[0], together.sigmas[index])
        np.testing.assert_array_equal(alone.thresholds[0], together.thresholds[index])


@pytest.mark.parametrize("window_ms", [25.0, 500.0, 2000.0])
def test_a_fault_that_lasts_for_the_whole_clip_is_found(window_ms: float) -> None:
    statistic = fit(bits(), window_ms=window_ms)
    steady = bits(1, seed=1) + 1.0
    assert judge(statistic, steady).clip_scores[0] > 5
    assert judge(statistic, steady).clip_scores[0] > judge(statistic, bits(20, seed=2)).clip_scores.max()


def test_a_clip_s_own_baseline_finds_changes_and_misses_what_lasts_for_the_whole_clip() -> None:
    own, machines = fit(bits(), baseline="clip", window_ms=100), fit(bits(), window_ms=100)
    clips = bits(3, seed=1)
    clips[1:] += 2  # another take
    clips[2, :, 30:50] += 1  # with a fault in it
    assert judge(own, clips).clip_scores[1] == pytest.approx(judge(own, clips - 2).clip_scores[1], abs=1e-4)
    faulty = judge(own, clips).clip_scores
    assert faulty[2] > 2 * faulty[:2].max()
    assert judge(machines, clips).clip_scores[1] > 2 * judge(machines, clips).clip_scores[0]


def test_only_two_sided_scores_find_frames_that_are_too_predictable() -> None:
    calm, wild = bits(1, seed=1) - 1.0, bits(1, seed=1) + 1.0
    one_sided, two_sided = fit(bits()), fit(bits(), two_sided=True)
    assert judge(one_sided, calm).clip_scores[0] < 0
    assert judge(two_sided, calm).clip_scores[0] > 5
    assert judge(two_sided, wild).clip_scores[0] == judge(one_sided, wild).clip_scores[0]


def test_the_microphone_that_is_loudest_over_the_event_is_named() -> None:
    clip = bits(1, num_channels=3, seed=1)
    clip[0, 1, 10:30] += 1.0
    clip[0, 2, 40:60] += 1.0
    judged = judge(fit(bits(num_channels=3), window_ms=FRAME_MS), clip)
    assert judged.channel_of(0, Event(first_frame=12, end_frame=28)) == 1
    assert judged.channel_of(0, Event(first_frame=40, end_frame=60)) == 2


def test_a_microphone_is_loud_by_its_own_measure() -> None:
    calibration = bits() * np.array([1.0, 5.0], dtype=np.float32)[:, None]
    clip = bits(1, seed=1) * np.array([1.0, 5.0], dtype=np.float32)[:, None]
    clip[0, 0] += 1.0  # five of its sigmas, one of the other's
    assert judge(fit(calibration), clip).channel_of(0, Event(first_frame=0, end_frame=80)) == 0


def test_a_machine_that_was_not_calibrated_is_named_with_those_that_were() -> None:
    statistic = fit(bits(4), ["car1", "car1", "car2", "car2"])
    with pytest.raises(UserError, match=r"^a clip's machine must be .*\(car1, car2\), but got 'tram'\.[^\n]*$"):
        statistic.judge(bits(2), ["car1", "tram"])


def test_no_clips_give_no_scores() -> None:
    assert judge(fit(bits()), bits(0)).clip_scores.shape == (0,)


FUSIONS = ["mean", "weighted", "maximum"]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("two_sided", [False, True])
def test_one_microphone_is_ranked_the_same_however_it_is_fused(fusion: str, two_sided: bool) -> None:
    calibration, clips = bits(num_channels=1), bits(12, num_channels=1, seed=1)
    clips += np.linspace(-1, 1, 12, dtype=np.float32)[:, None, None]
    plain = judge(fit(calibration, two_sided=two_sided), clips).clip_scores
    fused = judge(fit(calibration, two_sided=two_sided, fusion=fusion), clips).clip_scores
    np.testing.assert_array_equal(np.argsort(fused), np.argsort(plain))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_calibration_clips_have_mean_zero_and_deviation_one_however_they_are_fused(fusion: str) -> None:
    calibration = bits(num_channels=3) * np.array([1.0, 3.0, 9.0], dtype=np.float32)[:, None]
    judged = judge(fit(calibration, fusion=fusion), calibration)
    assert judged.sigmas.mean() == pytest.approx(0, abs=1e-4)
    assert judged.sigmas.std() == pytest.approx(1, abs=1e-4)


def test_a_noisy_microphone_does_not_drown_a_quiet_one_where_variance_weighs() -> None:
    spread = np.array([1.0, 10.0], dtype=np.float32)[:, None]
    calibration, clips = bits() * spread, bits(20, seed=1) * spread
    clips[10:, 0] += 0.3  # the quiet one alone hears it
    gain = {
        fusion: judge(fit(calibration, fusion=fusion), clips).clip_scores[10:].mean()
        - judge(fit(calibration, fusion=fusion), clips).clip_scores[:10].mean()
        for fusion in FUSIONS
    }
    assert gain["weighted"] > 3 * gain["mean"]
    assert gain["maximum"] > 3 * gain["mean"]


def test_the_maximum_hears_one_microphone_of_many_better_than_the_mean_does() -> None:
    calibration, clips = bits(num_channels=8), bits(2, num_channels=8, seed=1)
    clips[0, 5] += 0.4
    for fusion, is_better in (("mean", False), ("maximum", True)):
        scores = judge(fit(calibration, fusion=fusion, window_ms=1e6), clips).clip_scores
        far = scores[0] - scores[1]
        assert (far > 10) == is_better, f"{fusion}: {far}"


def test_machines_share_a_pooled_sigma_and_keep_their_own_mu() -> None:
    quiet, loud = bits(mean=2.0), 3 * bits(mean=5.0, seed=1)
    machines = ["quiet"] * 20 + ["loud"] * 20
    own, pooled = (
        fit(np.concatenate([quiet, loud]), machines, sigma=kind).calibrations for kind in ("machine", "pooled")
    )
    for column in range(3):
        assert pooled["quiet"][column].sigma == pooled["loud"][column].sigma
        assert pooled["quiet"][column].mu == pytest.approx(own["quiet"][column].mu)
    variances = [own[machine][1].sigma ** 2 for machine in own]
    assert pooled["quiet"][1].sigma == pytest.approx(np.sqrt(np.mean(variances)))


@pytest.mark.parametrize("config", [{"fusion": "median"}, {"sigma": "shared"}])
def test_an_unknown_choice_is_named_with_the_known_ones(config: dict[str, str]) -> None:
    ((name, value),) = config.items()
    with pytest.raises(UserError, match=rf"^postprocessing\.{name} must be one of [^\n]*, but got '{value}'\.$"):
        fit(bits(), **config)
