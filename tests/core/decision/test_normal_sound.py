"""Normal sound: what differs between healthy takes is no fault, and any group of statistics can raise an alarm."""

import numpy as np
import pytest

from core.decision.clip_statistics import unfitted_statistics
from core.decision.innovations_statistic import GROUPS
from core.decision.normal_sound import HEALTHY_DEVIATIONS, NormalSound, fit_normal_sound
from core.decision.take_spread import HealthyTakes, deviations_from
from core.model.frame_statistics import FrameVectors, num_statistics, statistic_groups

ALL = GROUPS["all"]
NUM_FRAMES, FRAME_MS = 20, 25.0


def frames(num_takes: int, *, seed: int, clips_a_take: int = 3, take_spread: float = 1.0) -> FrameVectors:
    """Clips of takes that differ in every statistic."""
    random, width = np.random.default_rng(seed), num_statistics(2)
    takes = np.repeat(take_spread * random.standard_normal((num_takes, 2, 1, width)), clips_a_take, axis=0)
    shape = (num_takes * clips_a_take, 2, NUM_FRAMES, width)
    return (takes + 0.3 * random.standard_normal(shape)).astype(np.float16)


def takes(num_takes: int, clips_a_take: int = 3) -> list[str]:
    return [str(take) for take in np.repeat(np.arange(num_takes), clips_a_take)]


def fitted(healthy: FrameVectors, names: list[str], groups: tuple[str, ...] = ALL) -> NormalSound:
    return fit_normal_sound(healthy, ["fan"] * len(healthy), names, groups=groups, frame_ms=FRAME_MS)


def scores(normal: NormalSound, clips: FrameVectors) -> np.ndarray:
    return normal.scores(normal.deviations(normal.vectors(clips), "fan"))


@pytest.mark.parametrize("num_clips", [0, 1, 7])
def test_many_clips_are_measured_in_groups_to_the_same_numbers(num_clips: int, monkeypatch: pytest.MonkeyPatch) -> None:
    normal, clips = fitted(frames(5, seed=0), takes(5)), frames(7, seed=1)[:num_clips]
    at_once = normal.vectors(clips)
    monkeypatch.setattr("core.decision.normal_sound.GROUP_VALUES", 2 * clips[:1].size or 1)
    for name, vectors in normal.vectors(clips).items():
        assert vectors.shape == at_once[name].shape == (num_clips, *vectors.shape[1:])
        np.testing.assert_allclose(vectors, at_once[name], rtol=1e-12)


@pytest.mark.parametrize("num_takes", [5, 12])
def test_new_healthy_takes_score_as_those_that_were_left_out(num_takes: int) -> None:
    normal = fitted(frames(num_takes, seed=0), takes(num_takes))
    new = scores(normal, frames(200, seed=1))
    assert abs(np.median(new)) < 1.5
    assert np.mean(new > 3) < 0.1


@pytest.mark.parametrize("name", ["likelihood", "colour", "whiteness", "impulses", "spectrum", "level"])
def test_a_fault_in_one_group_stands_out(name: str) -> None:
    normal = fitted(frames(12, seed=0), takes(12))
    faulty = frames(20, seed=1)
    faulty[..., statistic_groups(2)[name]] += 6
    assert np.median(scores(normal, faulty)) > 3


def test_a_fault_in_either_direction_stands_out() -> None:
    normal = fitted(frames(12, seed=0), takes(12))
    assert np.median(scores(normal, frames(20, seed=1) - np.float16(4))) > 3


def test_what_swells_and_fades_slowly_stands_out_by_its_modulation() -> None:
    normal = fitted(frames(12, seed=0), takes(12), ("modulation",))
    faulty = frames(20, seed=1)
    slow = 2 * np.sin(2 * np.pi * np.arange(NUM_FRAMES) / 10)
    faulty[..., statistic_groups(2)["spectrum"]] += slow[:, None].astype(np.float16)
    assert np.median(scores(normal, faulty)) > 3
    assert np.median(scores(normal, frames(20, seed=1))) < 2


def test_fluctuation_alone_stands_out() -> None:
    normal = fitted(frames(12, seed=0), takes(12))
    faulty = frames(20, seed=1)
    faulty[:, :, ::2, statistic_groups(2)["colour"]] += 2
    faulty[:, :, 1::2, statistic_groups(2)["colour"]] -= 2
    assert np.median(scores(normal, faulty)) > 3


@pytest.mark.parametrize("name", ["colour", "spectrum"])
def test_a_single_band_that_fluctuates_stands_out_among_those_that_do_not(name: str) -> None:
    by_band, in_the_mean = (
        fitted(frames(12, seed=0), takes(12), (group,)) for group in (f"{name} changes by band", f"{name} changes")
    )
    faulty = frames(20, seed=1)
    faulty[:, :, ::2, statistic_groups(2)[name].start + 3] += 2
    assert np.mean(scores(by_band, faulty) > 2) > 0.95 > np.mean(scores(in_the_mean, faulty) > 2) + 0.1


def test_a_clip_that_is_steadier_than_usual_is_not_strange_for_it() -> None:
    healthy, clips, place = frames(12, seed=0), frames(20, seed=1), statistic_groups(2)["colour"]
    normal = fitted(healthy, takes(12), ("colour changes",))
    middle = clips[..., place].mean(axis=2, keepdims=True)
    steadier, unsteadier = clips.copy(), clips.copy()
    steadier[..., place] = middle + (clips[..., place] - middle) / 4
    unsteadier[..., place] = middle + (clips[..., place] - middle) * 4
    usual = np.median(scores(normal, clips))
    assert np.median(scores(normal, steadier)) < usual
    assert np.median(scores(normal, unsteadier)) > usual + 3


def test_a_clip_that_knocks_less_than_usual_is_not_strange_for_it() -> None:
    normal = fitted(frames(12, seed=0), takes(12), ("impulses",))
    clips, place = frames(20, seed=1), statistic_groups(2)["impulses"]
    smoother, knocking = clips.copy(), clips.copy()
    smoother[..., place] -= 2
    knocking[..., place] += 2
    usual = np.median(scores(normal, clips))
    assert np.median(scores(normal, smoother)) < usual
    assert np.median(scores(normal, knocking)) > usual + 3


@pytest.mark.parametrize("clips_a_take", [2, 3, 8])
def test_one_healthy_take_tells_healthy_clips_from_unsteady_ones(clips_a_take: int) -> None:
    normal = fitted(frames(1, seed=0, clips_a_take=clips_a_take), takes(1, clips_a_take), ("colour changes",))
    new = frames(30, seed=1)
    unsteady = new.copy()
    unsteady[:, :, ::2, statistic_groups(2)["colour"]] += 2
    healthy, faulty = (normal.group_sigmas(normal.deviations(normal.vectors(each), "fan")) for each in (new, unsteady))
    assert np.median(healthy) < 10 < np.median(faulty)


def test_a_machine_that_runs_in_two_ways_is_normal_in_both_and_not_half_way_between() -> None:
    way = np.repeat([-3, 3], 18)[:, None, None, None]  # six takes of three clips each
    normal = fitted((frames(12, seed=0, take_spread=0.3) + way).astype(np.float16), takes(12))
    new = frames(20, seed=1, take_spread=0.3)
    slow, fast, between = (np.median(scores(normal, (new + by).astype(np.float16))) for by in (-3, 3, 0))
    assert max(slow, fast) < 1.5
    assert between > 3


def test_spread_comes_from_takes_and_not_from_clips_of_one_take() -> None:
    """Many clips of few takes do not make a new take strange."""
    few = fitted(frames(4, seed=0, clips_a_take=50), takes(4, 50))
    assert np.mean(scores(few, frames(100, seed=1)) > 3) < 0.15


def test_two_takes_that_agree_by_chance_do_not_make_the_next_one_strange() -> None:
    """The next one differs from them by the usual deviation in every statistic at once."""
    random = np.random.default_rng(0)
    alike = 0.01 * random.standard_normal((6, 2, NUM_FRAMES, num_statistics(2)))
    others = 0.01 * random.standard_normal((100, 2, NUM_FRAMES, num_statistics(2)))
    for name, place in statistic_groups(2).items():
        size = (100, 2, 1, place.stop - place.start)
        others[..., place] += HEALTHY_DEVIATIONS[name] * random.standard_normal(size)
    new = scores(fitted(alike.astype(np.float16), takes(2)), others.astype(np.float16))
    assert np.median(new) < 4


def test_a_steady_machine_is_not_judged_by_how_much_an_unsteady_one_varies() -> None:
    steady, unsteady = frames(12, seed=0, take_spread=0.1), frames(12, seed=1, take_spread=3.0)
    names = takes(12) + [f"pump {take}" for take in takes(12)]
    machines = ["fan"] * len(steady) + ["pump"] * len(unsteady)
    both = fit_normal_sound(np.concatenate([steady, unsteady]), machines, names, groups=ALL, frame_ms=FRAME_MS)
    vectors = both.vectors(frames(100, seed=2, take_spread=3.0))
    of_fan, of_pump = (np.median(both.scores(both.deviations(vectors, machine))) for machine in ("fan", "pump"))
    assert of_fan > 2 > of_pump + 0.5


def test_machines_share_their_spread_and_have_their_own_mean() -> None:
    def spread_of_pump(spread_of_fan: float) -> float:
        healthy = np.concatenate([frames(12, seed=0, take_spread=spread_of_fan), frames(2, seed=1) + np.float16(8)])
        machines, names = ["fan"] * 36 + ["pump"] * 6, takes(12) + [f"pump {take}" for take in takes(2)]
        normal = fit_normal_sound(healthy, machines, names, groups=ALL, frame_ms=FRAME_MS)
        vectors = normal.vectors(frames(50, seed=2) + np.float16(8))
        of_pump, of_fan = (np.median(normal.scores(normal.deviations(vectors, each))) for each in ("pump", "fan"))
        assert of_pump < 2.5 < of_fan
        return float(np.median(normal.spreads["pump"]["spectrum"]))

    assert spread_of_pump(3.0) > 1.2 * spread_of_pump(0.1)


def test_a_left_out_take_is_judged_as_if_the_others_were_all_there_is() -> None:
    healthy, machines = frames(9, seed=0), ["fan"] * 15 + ["pump"] * 12
    vectors = {"spectrum": unfitted_statistics(healthy, ["spectrum"])["spectrum"]}
    names = takes(9)
    everything = HealthyTakes.of(vectors, machines, names, HEALTHY_DEVIATIONS)
    left_out = everything.left_out(vectors)["spectrum"]
    for place, (take, machine) in {1: ("1", "fan"), 8: ("8", "pump")}.items():
        own = np.array(names) == take
        others = HealthyTakes.of(
            {name: each[~own] for name, each in vectors.items()},
            [each for each, is_own in zip(machines, own, strict=True) if not is_own],
            [each for each in names if each != take],
            HEALTHY_DEVIATIONS,
        )
        of_machine = others.means_of(machine)["spectrum"], others.spreads_of(machine)["spectrum"]
        decorrelation = everything.decorrelations(without=place)["spectrum"]
        expected = deviations_from(vectors["spectrum"][own], *of_machine, decorrelation)
        np.testing.assert_allclose(left_out[own], expected, rtol=1e-9)


def test_a_take_that_is_left_out_says_nothing_about_what_goes_together() -> None:
    """Of one machine and channel, whose spreads do not count."""
    random = np.random.default_rng(0)
    values = (random.standard_normal((20, 1)) * 3 + random.standard_normal((20, 8)))[:, None]
    names = [f"{take:02d}" for take in range(20)]
    everything = HealthyTakes.of({"spectrum": values}, ["fan"] * 20, names, HEALTHY_DEVIATIONS)
    others = HealthyTakes.of({"spectrum": values[1:]}, ["fan"] * 19, names[1:], HEALTHY_DEVIATIONS)
    without = everything.decorrelations(without=0)["spectrum"]
    assert np.abs(without - np.eye(8)).max() > 0.1
    assert np.abs(without - everything.decorrelations()["spectrum"]).max() > 0.001
    np.testing.assert_allclose(without, others.decorrelations()["spectrum"])


@pytest.mark.parametrize("channels", [1, 4])
def test_statistics_that_differ_in_one_take_alone_still_give_numbers(channels: int) -> None:
    """As in sound that was low-passed in all takes but one."""
    random = np.random.default_rng(0)
    healthy = random.standard_normal((30, channels, NUM_FRAMES, num_statistics(channels))).astype(np.float16)
    low_passed = statistic_groups(channels)["spectrum"].stop
    healthy[3:, :, :, low_passed - 8 : low_passed] = -20
    normal = fitted(healthy, takes(10))
    assert np.isfinite(scores(normal, healthy[:6])).all()
    assert np.isfinite([each.deviation for each in normal.standards.values()]).all()


@pytest.mark.parametrize("copies", [2, 4])
def test_a_recording_that_is_there_twice_still_gives_numbers(copies: int) -> None:
    healthy = frames(3, seed=0)
    healthy = np.concatenate([*[healthy[:3]] * copies, healthy[3:6]])
    assert np.isfinite(scores(fitted(healthy, takes(copies + 1)), frames(5, seed=1))).all()


@pytest.mark.parametrize(("num_takes", "clips_a_take"), [(1, 1), (1, 4), (2, 1), (2, 3)])
def test_hardly_any_recordings_still_give_finite_scores(num_takes: int, clips_a_take: int) -> None:
    healthy = frames(num_takes, seed=0, clips_a_take=clips_a_take)
    assert np.isfinite(scores(fitted(healthy, takes(num_takes, clips_a_take)), frames(5, seed=1))).all()


def test_a_group_that_is_left_out_has_no_say() -> None:
    without = tuple(name for name in ALL if name != "level")
    clips = frames(5, seed=1)
    louder = clips.copy()
    louder[..., statistic_groups(2)["level"]] += 20
    normal = fitted(frames(12, seed=0), takes(12), without)
    np.testing.assert_array_equal(scores(normal, clips), scores(normal, louder))
