"""Training windows: the step determines the pool, all clips are drawn equally often, windows equal encoded clips."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.audio import HeldAudio, Waveform, quantise
from core.data.clips import Clip, clips_of
from core.data.recordings import Recording, Take
from core.data.training_clips import ClipMeasurements, ListedClips, ListedOrder
from core.model import training_codes
from core.model.frontend import FrontEnd, FrontEndConfig, fit_front_end
from core.model.training_codes import FIT_CLIPS, TrainingCodes, fit_to_training

RATE_HZ = 1000
CLIP_SAMPLES = 40


@dataclass
class Noted:
    """Audio that records which stretches were read."""

    audio: HeldAudio
    reads: list[tuple[int, int | None]] = field(default_factory=list)
    num_channels: int = 2

    @property
    def num_samples(self) -> int:
        return self.audio.num_samples

    def read(self, start: int = 0, stop: int | None = None) -> Waveform:
        self.reads.append((start, stop))
        return self.audio.read(start, stop)


def take(number: int, num_samples: int) -> Take:
    random = np.random.default_rng(number)
    samples = (random.uniform(0.1, 2) * random.standard_normal((2, num_samples)) + 0.1).astype(np.float32)
    recording = Recording(
        recording_id=f"take {number}",
        machine="fan",
        label="normal",
        num_channels=2,
        sample_rate_hz=RATE_HZ,
        num_samples=num_samples,
        digest=str(number),
        read=lambda: samples,
    )
    return Take(recording=recording, audio=Noted(quantise(samples)))


def clips(num_clips: int, clip_samples: int = CLIP_SAMPLES) -> list[Clip]:
    """Five clips a take."""
    takes = [take(number, min(5, num_clips - 5 * number) * clip_samples) for number in range((num_clips + 4) // 5)]
    return [clip for each in takes for clip in clips_of(each, clip_samples)]


def front_end(**config) -> FrontEnd:
    return FrontEnd(config=FrontEndConfig(sample_rate_hz=RATE_HZ, **config), channel_gains=(0.5, 2.0))


def codes(of: list[Clip], seed: int = 0, **config) -> TrainingCodes:
    return TrainingCodes(
        order=ListedClips(of).order(seed), front_end=front_end(**config), measurements=ClipMeasurements()
    )


@pytest.fixture
def _small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_codes, "POOL_CLIPS", 8)


def draw(source: TrainingCodes, step: int, num_windows: int = 6, num_samples: int = 10) -> np.ndarray:
    random = np.random.default_rng([7, step])
    return source.draw(step=step, num_windows=num_windows, num_samples=num_samples, random=random)


@pytest.mark.usefixtures("_small_pool")
@pytest.mark.parametrize("num_clips", [5, 8, 9, 30])
def test_a_window_is_a_function_of_the_step_in_whatever_order_steps_are_asked_for(num_clips):
    source = clips(num_clips)
    in_order = codes(source)
    expected = [draw(in_order, step) for step in range(40)]
    backwards = codes(source)
    for step in reversed(range(40)):
        np.testing.assert_array_equal(draw(backwards, step), expected[step])
    for step in (31, 17, 39):  # continued there by a process that knows nothing
        np.testing.assert_array_equal(draw(codes(source), step), expected[step])
    for step in (3, 3):
        np.testing.assert_array_equal(draw(in_order, step), expected[step])


@pytest.mark.usefixtures("_small_pool")
def test_another_seed_has_another_order_and_another_pool():
    source = clips(30)
    first, second = (ListedClips(source).order(seed) for seed in (0, 1))
    assert [first.at(p) for p in range(30)] != [second.at(p) for p in range(30)]
    assert not np.array_equal(draw(codes(source, 0), 0), draw(codes(source, 1), 0))


def drawn(source: list[Clip], steps: range, num_windows: int) -> Counter[Clip]:
    """How often each clip is drawn."""
    counts: Counter[Clip] = Counter()

    class Counting(TrainingCodes):
        def encode(self, clip: Clip, first: int, end: int) -> np.ndarray:
            counts[clip] += 1
            return np.zeros((2, end - first), np.uint8)

    counting = Counting(order=ListedClips(source).order(3), front_end=front_end(), measurements=ClipMeasurements())
    for step in steps:
        draw(counting, step, num_windows)
    return counts


@pytest.mark.usefixtures("_small_pool")
@pytest.mark.parametrize("num_clips", [1, 3, 8])
def test_of_a_small_set_every_clip_is_drawn_equally_often_at_every_step(num_clips):
    source = clips(num_clips)
    for steps in (range(1), range(5, 6)):
        counts = drawn(source, steps, 2000)
        assert set(counts) == set(source)
        expected = 2000 / num_clips
        assert all(abs(count - expected) < 5 * np.sqrt(expected) for count in counts.values())


@pytest.mark.usefixtures("_small_pool")
@pytest.mark.parametrize("num_clips", [9, 12, 25])
def test_of_a_large_set_the_pool_slides_by_one_and_every_clip_is_in_it_equally_long(num_clips):
    source, pool = clips(num_clips), 8
    order = ListedClips(source).order(3)
    steps_in_pool = Counter(order.at(step + index) for step in range(4 * num_clips) for index in range(pool))
    for clip in source:  # but for those who were there at the beginning or still are at the end
        early = sum(pool - 1 - p for p in range(pool - 1) if order.at(p) is clip)
        late = sum(pool - 1 - p for p in range(pool - 1) if order.at(4 * num_clips + p) is clip)
        assert steps_in_pool[clip] == 4 * pool - early + late
    for number in range(4):
        passed = [order.at(p) for p in range(number * num_clips, (number + 1) * num_clips)]
        assert set(passed) == set(source)
    counts = drawn(source, range(10 * num_clips), 40)
    expected = 40 * 10
    assert all(abs(counts[clip] - expected) < 40 * pool / 8 + 6 * np.sqrt(expected) for clip in source)


@pytest.mark.usefixtures("_small_pool")
def test_a_step_draws_from_its_own_pool_alone():
    source = clips(30)
    order = ListedClips(source).order(3)
    for step in (0, 1, 29, 64):
        assert set(drawn(source, range(step, step + 1), 500)) == {order.at(step + index) for index in range(8)}


def test_passes_differ_from_one_another_and_a_first_one_may_be_as_listed():
    source = clips(30)
    order = ListedOrder(source, 0, first_pass_as_listed=True)
    assert [order.at(p) for p in range(30)] == source
    assert [order.at(p) for p in range(30, 60)] == [ListedOrder(source, 0).at(p) for p in range(30, 60)]
    assert len({tuple(ListedOrder(source, 0).at(30 * n + p).start for p in range(30)) for n in range(5)}) == 5


@given(
    first=st.integers(0, CLIP_SAMPLES - 1),
    length=st.integers(1, CLIP_SAMPLES),
    which=st.integers(0, 6),
    level=st.sampled_from(["matched", "train_gain"]),
    pre_emphasis=st.sampled_from([0.0, 0.9]),
    decimation=st.sampled_from([1, 3]),
)
def test_a_window_is_bitwise_what_the_front_end_makes_of_the_whole_clip(
    first, length, which, level, pre_emphasis, decimation
):
    source = clips(7, CLIP_SAMPLES * decimation + decimation - 1)
    clip, end = source[which], min(CLIP_SAMPLES, first + length)
    windows = codes(source, level=level, pre_emphasis=pre_emphasis, spectrum_rate_hz=decimation * RATE_HZ)
    whole = windows.front_end.encode(clip.read())
    np.testing.assert_array_equal(windows.encode(clip, first, end), whole[:, first:end])


@pytest.mark.usefixtures("_small_pool")
@pytest.mark.parametrize("num_clips", [6, 20])
@pytest.mark.parametrize("num_samples", [1, 10, CLIP_SAMPLES, CLIP_SAMPLES + 5])
def test_every_window_drawn_is_found_in_a_clip_of_the_pool_and_every_place_is_drawn(num_clips, num_samples):
    source = clips(num_clips)
    windows, length = codes(source), min(num_samples, CLIP_SAMPLES)
    pool = source if num_clips <= 8 else [windows.order.at(5 + index) for index in range(8)]
    whole = [windows.front_end.encode(clip.read()) for clip in pool]
    places = {
        each[:, first : first + length].tobytes(): first for each in whole for first in range(CLIP_SAMPLES - length + 1)
    }
    batch = draw(windows, 5, num_windows=800, num_samples=num_samples)
    assert batch.shape == (800, 2, length)
    assert batch.dtype == np.uint8
    found = {places[window.tobytes()] for window in batch}
    if length >= 10:  # a single sample is in many places
        assert found == set(range(CLIP_SAMPLES - length + 1))


def test_a_window_reads_its_own_stretch_and_levels_are_measured_once():
    (clip,) = clips(1)
    source = codes([clip])
    reads = clip.take.audio.reads
    source.encode(clip, 10, 20)
    assert sorted(reads, key=str) == [(0, CLIP_SAMPLES), (9, 20)]
    reads.clear()
    source.encode(clip, 0, 5)
    assert reads == [(0, 5)]


def test_levels_are_remembered_and_right_for_each_front_end():
    source, measurements = clips(6), ClipMeasurements()
    order = ListedClips(source).order(0)
    ends = [front_end(), front_end(pre_emphasis=0.0), front_end(rms=0.3), front_end(level="train_gain")]
    ends.append(FrontEnd(config=ends[3].config, channel_gains=(3.0, 3.0)))
    for _ in range(2):
        for each in ends:
            for clip in source:
                codes_of = TrainingCodes(order=order, front_end=each, measurements=measurements)
                level, expected = codes_of.level_of(clip), each.level_of(clip.read())
                np.testing.assert_array_equal(level.mean, expected.mean)
                np.testing.assert_array_equal(level.gain, expected.gain)
    for clip in source:
        clip.take.audio.reads.clear()
    again = TrainingCodes(order=order, front_end=ends[0], measurements=measurements)
    assert again.level_of(source[0]) is again.level_of(source[0])
    assert not source[0].take.audio.reads


@pytest.mark.parametrize("num_clips", [3, 90])
@pytest.mark.parametrize("level", ["matched", "train_gain"])
def test_the_front_end_is_fitted_to_few_clips_of_the_first_pool_and_nothing_else(num_clips, level, monkeypatch):
    monkeypatch.setattr(training_codes, "POOL_CLIPS", 80)
    clip_samples = 5 * RATE_HZ
    source = clips(num_clips, clip_samples)
    config = FrontEndConfig(sample_rate_hz=RATE_HZ, level=level)
    order = ListedClips(source).order(1)
    fitted, sample = fit_to_training(config, order, ClipMeasurements())
    pool = source if num_clips <= 80 else [order.at(place) for place in range(80)]
    read = {(clip.take, start // clip_samples) for clip in source for start, _ in clip.take.audio.reads}
    used = [clip for clip in pool if (clip.take, clip.start // clip_samples) in read]
    assert len(used) == len(read) == len(sample) == min(FIT_CLIPS, num_clips)
    middles = [clip.read(1500, 3500) for clip in used]
    assert fitted.front_end.channel_gains == pytest.approx(fit_front_end(config, middles).channel_gains, rel=1e-5)
    whole = [fitted.front_end.encode(clip.read())[:, 1500:3500] for clip in used]
    assert {codes.tobytes() for codes in sample} == {codes.tobytes() for codes in whole}


def test_clips_shorter_than_the_fitted_stretch_are_fitted_to_as_a_whole():
    source = clips(3)
    fitted, sample = fit_to_training(
        FrontEndConfig(sample_rate_hz=RATE_HZ), ListedClips(source).order(0), ClipMeasurements()
    )
    np.testing.assert_array_equal(sample, [fitted.front_end.encode(clip.read()) for clip in source])
