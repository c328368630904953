"""Training takes at other speeds: faster is higher, judged clips do not change, and no take is lost."""

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from core.baselines import loudness
from core.baselines.comparison import setup_of
from core.data.audio import Waveform
from core.data.clips import Clip, ClipConfig
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.judged_clips import JUDGED
from core.data.noise import NoiseConfig
from core.data.recordings import Corpus, Label, Recording, StreamedCorpus
from core.data.speed_perturbation import SpeedConfig
from core.data.splits import SplitConfig
from core.data.store import Store
from core.data.streaming.streamed_dataset import stream_dataset
from core.errors import UserError
from hpo.search.study_file import load_study_file

ROOT = Path(__file__).resolve().parents[3]
RECORDED_HZ, RATE_HZ = 4000, 2000
SECONDS = 8.0
TONE_HZ, LAST_TONE_HZ = 200.0, 700.0


def car(seed: int) -> Waveform:
    """A tone with a little noise; another tone in its last quarter, which is calibrated on."""
    time_s = np.arange(round(SECONDS * RECORDED_HZ)) / RECORDED_HZ
    tone_hz = np.where(time_s < 0.75 * SECONDS, TONE_HZ, LAST_TONE_HZ)
    noise = 0.001 * np.random.default_rng(seed).standard_normal(len(time_s))
    return (np.sin(2 * np.pi * tone_hz * time_s) + noise).astype(np.float32)[None]


def recording(label: Label, index: int, sample_rate_hz: int) -> Recording:
    return Recording(
        recording_id=f"{label}{index}",
        machine="car",
        label=label,
        num_channels=1,
        sample_rate_hz=sample_rate_hz,
        num_samples=round(SECONDS * RECORDED_HZ),
        digest=f"{label}{index}",
        read=partial(car, index),
    )


def corpus(sample_rate_hz: int = RECORDED_HZ) -> Corpus:
    takes = [recording(label, index, sample_rate_hz) for label in ("normal", "anomalous") for index in range(6)]
    return Corpus(name="cars", description="made by hand", recordings=tuple(takes))


def prepare(
    speeds: tuple[float, ...] | None = (0.8, 1.25),
    *,
    source: Corpus | None = None,
    calibration: Literal["takes", "parts"] = "parts",
    noise: NoiseConfig | None = None,
    store: Store | None = None,
    network_rate_hz: int | None = None,
) -> Dataset:
    config = DataConfig(
        sample_rate_hz=RATE_HZ,
        clips=ClipConfig(clip_seconds=1.0, evaluation_seconds=20, calibration_seconds=8),
        split=SplitConfig(calibration=calibration),
        speed_perturbation=SpeedConfig(speeds=speeds) if speeds else None,
        noise=noise,
        network_rate_hz=network_rate_hz,
    )
    return prepare_dataset(source or corpus(), config, store=store)


def training_clips(dataset: Dataset) -> list[Clip]:
    clips = dataset.training.order(0).all_of(1000)
    assert clips is not None
    return list(clips)


def loudest_hz(waveform: Waveform) -> float:
    power = np.abs(np.fft.rfft(waveform[0] * np.hanning(waveform.shape[-1]))) ** 2
    return float(power.argmax()) * RATE_HZ / waveform.shape[-1]


def test_a_faster_take_is_higher_by_as_much_and_what_is_calibrated_on_is_trained_on_at_no_speed() -> None:
    clips = training_clips(prepare())
    assert {clip.take.speed for clip in clips} == {0.8, 1.0, 1.25}
    for clip in clips:
        assert loudest_hz(clip.read()) == pytest.approx(TONE_HZ * clip.take.speed, abs=2)


def test_a_whole_take_is_trained_on_at_every_speed_where_others_are_calibrated_on() -> None:
    clips = training_clips(prepare(calibration="takes"))
    heard = {(clip.take.speed, round(loudest_hz(clip.read()) / clip.take.speed / 50) * 50) for clip in clips}
    assert heard == {(speed, tone_hz) for speed in (0.8, 1.0, 1.25) for tone_hz in (TONE_HZ, LAST_TONE_HZ)}


def test_each_training_take_is_there_at_each_speed_and_as_long_as_it_then_lasts() -> None:
    seconds: dict[tuple[str, float], int] = {}
    for clip in training_clips(prepare()):
        key = clip.take.recording.recording_id, clip.take.speed
        seconds[key] = seconds.get(key, 0) + 1
    takes = {name for name, _ in seconds}
    assert takes == {clip.take.recording.recording_id for clip in training_clips(prepare(None))}
    for take in takes:
        assert [seconds[take, speed] for speed in (0.8, 1.0, 1.25)] == [7, 6, 4]  # whole seconds of 7.5, 6 and 4.8


def test_what_is_judged_does_not_change() -> None:
    with_speeds, without = prepare(), prepare(None)
    for name in JUDGED:
        one, other = with_speeds.judged()[name], without.judged()[name]
        assert one.recording_ids == other.recording_ids
        np.testing.assert_array_equal(one.waveforms, other.waveforms)


def test_as_recorded_is_the_set_without_other_speeds() -> None:
    as_recorded, without = prepare().as_recorded, prepare(None)
    assert as_recorded.config == without.config
    for one, other in zip(training_clips(as_recorded), training_clips(without), strict=True):
        np.testing.assert_array_equal(one.read(), other.read())
    assert without.as_recorded is without
    assert [setup_of(loudness(), dataset) for dataset in (prepare(), as_recorded)] == [
        "2000 Hz, several speeds",
        "2000 Hz",
    ]


def test_a_speed_that_would_leave_the_highest_tones_empty_is_left_out_and_said() -> None:
    dataset = prepare((0.8, 1.25), source=corpus(sample_rate_hz=RATE_HZ))
    assert {clip.take.speed for clip in training_clips(dataset)} == {1.0, 1.25}
    (note,) = (note for note in dataset.notes if "speed" in note)
    assert "at speed 1.25; speed 0.8 needs recordings of a higher rate" in note


def test_a_slower_take_may_lack_what_no_network_hears() -> None:
    source = corpus(sample_rate_hz=RATE_HZ)
    dataset = prepare((0.8, 1.25), source=source, network_rate_hz=RATE_HZ // 2)
    assert {clip.take.speed for clip in training_clips(dataset)} == {0.8, 1, 1.25}
    assert not any("left out" in note for note in dataset.notes)


def test_noise_at_another_speed_is_other_noise() -> None:
    by_speed = {clip.take.speed: clip for clip in training_clips(prepare(noise=NoiseConfig(snr_db=0.0)))}
    clean = {clip.take.speed: clip for clip in training_clips(prepare())}
    heard = [by_speed[speed].read() - clean[speed].read() for speed in (0.8, 1.25)]
    assert [wave.std() for wave in heard] == pytest.approx([np.sqrt(0.5)] * 2, rel=0.2)
    assert abs(np.corrcoef(heard[0][0], heard[1][0])[0, 1]) < 0.2


def test_the_store_gives_the_same_clips(tmp_path: Path) -> None:
    store = Store(tmp_path, max_gb=1)
    for one, other in zip(training_clips(prepare(store=store)), training_clips(prepare()), strict=True):
        np.testing.assert_array_equal(one.read(), other.read())


def test_a_training_at_other_speeds_is_another_training() -> None:
    setup = load_study_file(ROOT / "tests/data/tiny.toml").default_experiment.training_setup(1, 100)
    configs = [prepare(speeds).config for speeds in (None, (1.25,), (0.8, 1.25))]
    assert len({setup.key(config, seed=1) for config in configs}) == 3


def test_a_stream_is_refused() -> None:
    source = StreamedCorpus(name="made", description="", fingerprint="f", takes=lambda: iter(corpus().recordings))
    with pytest.raises(UserError, match=r"^\[speed_perturbation\] must be left out where takes are streamed, "):
        stream_dataset(source, prepare().config)


@pytest.mark.parametrize(
    ("speeds", "words"),
    [
        ((), "must have a speed"),
        ((1.0,), "and not 1"),
        ((0.4,), "must be 0.5 to 2"),
        ((float("nan"),), "must be 0.5 to 2"),
        ((1.1, 1.1), "must differ from each other, but got 1.1, 1.1"),
    ],
)
def test_speeds_that_make_no_sense_are_named(speeds: tuple[float, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        SpeedConfig(speeds=speeds)


class Bar:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.num_advanced = self.num_ended = 0

    def begin(self, num_takes: int, num_bytes: int, store: Store) -> None:
        assert num_bytes > store.used_bytes() == 0
        self.totals.append(num_takes)

    def advance(self) -> None:
        self.num_advanced += 1

    def end(self) -> None:
        self.num_ended += 1


def test_decoding_at_all_speeds_is_announced_once_with_its_total(tmp_path: Path) -> None:
    bar = Bar()
    config = DataConfig(
        sample_rate_hz=RATE_HZ,
        clips=ClipConfig(clip_seconds=2.0, evaluation_seconds=16, calibration_seconds=8),
        split=SplitConfig(calibration="parts"),
        speed_perturbation=SpeedConfig(speeds=(0.8, 1.25)),
    )
    prepare_dataset(corpus(), config, store=Store(tmp_path), progress=bar)
    (total,) = bar.totals
    assert total > len(corpus().recordings)
    assert bar.num_advanced == total
    assert bar.num_ended == 1
