"""Parts that stand in for takes: they cover their takes, are read once, and are refused where they are too short."""

import weakref
from dataclasses import replace

import numpy as np
import pytest

from core.data.audio import Waveform
from core.data.clips import ClipConfig
from core.data.data_config import DataConfig
from core.data.dataset import prepare_dataset
from core.data.parts import digest_of_whole, id_of_whole, with_parts
from core.data.recordings import Corpus, Label, Recording
from core.data.speed_perturbation import SpeedConfig
from core.data.splits import SplitConfig
from core.data.store import Store
from core.errors import UserError

RATE_HZ = 1000
CLIPS = ClipConfig(clip_seconds=1.0, evaluation_seconds=8.0, calibration_seconds=4.0)


class Source:
    """Counts how often a take is decoded."""

    def __init__(self) -> None:
        self.num_read = 0

    def take(self, name: str, seconds: float, *, label: Label = "normal", machine: str = "fan") -> Recording:
        def read() -> Waveform:
            self.num_read += 1
            seed = sum(name.encode())
            return np.random.default_rng(seed).standard_normal((2, round(seconds * RATE_HZ))).astype(np.float32)

        return Recording(
            recording_id=name,
            machine=machine,
            label=label,
            num_channels=2,
            sample_rate_hz=RATE_HZ,
            num_samples=round(seconds * RATE_HZ),
            digest=f"digest of {name}",
            read=read,
        )


def corpus(*recordings: Recording) -> Corpus:
    return Corpus(name="fans", description="fans", recordings=recordings)


@pytest.mark.parametrize(("num_takes", "num_parts"), [(1, 12), (2, 12), (3, 12)])
def test_the_parts_of_a_take_are_the_take(num_takes: int, num_parts: int) -> None:
    source = Source()
    takes = [source.take(f"take {index}", 25.3) for index in range(num_takes)]
    parts = with_parts(corpus(*takes), CLIPS).corpus.recordings
    assert len(parts) == num_parts
    assert len({part.recording_id for part in parts}) == len({part.digest for part in parts}) == num_parts
    for take in takes:
        own = [part.read() for part in parts if part.recording_id.startswith(take.recording_id)]
        assert np.array_equal(np.concatenate(own, axis=1), take.read())


def test_four_takes_stay_as_they_are_and_so_do_faulty_ones() -> None:
    source = Source()
    enough = [source.take(f"a{index}", 25, machine="a") for index in range(4)]
    few = [source.take("b0", 25, machine="b")]
    faulty = [source.take(f"f{index}", 25, machine="b", label="anomalous") for index in range(2)]
    parted = with_parts(corpus(*enough, *few, *faulty), CLIPS)
    found = [each.recording_id for each in parted.corpus.recordings]
    assert found[:4] == ["a0", "a1", "a2", "a3"]
    assert found[-2:] == ["f0", "f1"]
    assert len(found) == 4 + 12 + 2
    assert len(parted.notes) == 1
    assert "b: 12 parts of 1 normal take stand in for takes" in parted.notes[0]


def test_a_take_is_decoded_once_for_all_of_its_parts(tmp_path) -> None:
    source = Source()
    config = DataConfig(sample_rate_hz=RATE_HZ, clips=CLIPS, split=SplitConfig())
    dataset = prepare_dataset(corpus(source.take("hour", 60)), config, store=Store(tmp_path))
    assert source.num_read == 1
    assert dataset.stand_ins() == ("faults", "parts")


def test_takes_whose_split_is_stated_are_not_cut() -> None:
    takes = [Source().take(name, 60) for name in ("one", "two")]
    stated = [replace(take, split=split) for take, split in zip(takes, ("train", "test"), strict=True)]
    assert with_parts(corpus(*stated), CLIPS).corpus.recordings == tuple(stated)


def test_a_take_is_not_held_when_other_takes_have_been_read() -> None:
    source, held = Source(), []

    def watched(take: Recording) -> Recording:
        def read() -> Waveform:
            whole = take.read()
            held.append(weakref.ref(whole))
            return whole

        return replace(take, read=read)

    parts = with_parts(corpus(*(watched(source.take(name, 60)) for name in "ab")), CLIPS).corpus.recordings
    for part in (parts[0], parts[1], parts[-1]):
        part.read()
    assert [each() is None for each in held] == [True, False]


def test_a_part_remembers_the_take_that_it_is_of() -> None:
    take = Source().take("hour", 60)
    parts = with_parts(corpus(take), CLIPS).corpus.recordings
    assert {id_of_whole(part.recording_id) for part in parts} == {"hour"} == {id_of_whole("hour")}
    assert {digest_of_whole(part.digest) for part in parts} == {take.digest} == {digest_of_whole(take.digest)}


def test_no_part_of_a_take_is_in_two_parts_of_the_split() -> None:
    config = DataConfig(sample_rate_hz=RATE_HZ, clips=CLIPS, split=SplitConfig())
    dataset = prepare_dataset(corpus(Source().take("hour", 60)), config)
    trained = {clip.take.recording.recording_id for clip in dataset.training.clips}  # type: ignore[attr-defined]
    judged = [set(dataset.judged()[name].recording_ids) for name in ("calibration", "validation", "test")]
    everything = [trained, *judged]
    assert sum(map(len, everything)) == len(set().union(*everything)) == 12


@pytest.mark.parametrize("lengths", [(2.0,), (7.9,), (3.0, 3.0, 3.0)])
def test_too_little_sound_is_refused_with_how_much_is_needed(lengths: tuple[float, ...]) -> None:
    takes = [Source().take(f"take {index}", seconds) for index, seconds in enumerate(lengths)]
    with pytest.raises(UserError, match=r"cut into 4 parts of 2 s .* Record \d+ s more of it in one go"):
        with_parts(corpus(*takes), CLIPS)


def test_so_much_is_enough() -> None:
    config = DataConfig(sample_rate_hz=RATE_HZ, clips=CLIPS, split=SplitConfig())
    assert len(prepare_dataset(corpus(Source().take("short", 8.0)), config).calibration) == 2


def test_parts_are_heard_at_other_speeds_too() -> None:
    """Slower ones alone: a faster one would need a higher rate than the recording has."""
    config = DataConfig(
        sample_rate_hz=RATE_HZ, clips=CLIPS, split=SplitConfig(), speed_perturbation=SpeedConfig(speeds=(1.25,))
    )
    dataset = prepare_dataset(corpus(Source().take("hour", 60)), config)
    speeds = {clip.take.speed for clip in dataset.training.clips}  # type: ignore[attr-defined]
    assert speeds == {1.0, 1.25}


def test_folds_and_parts_of_training_takes_work_with_them() -> None:
    for split in (SplitConfig(folds=4, fold=1), SplitConfig(calibration="parts")):
        config = DataConfig(sample_rate_hz=RATE_HZ, clips=CLIPS, split=split)
        assert len(prepare_dataset(corpus(Source().take("hour", 60)), config).test) > 0


def test_recordings_are_counted_and_not_their_parts_where_they_are_resampled() -> None:
    takes = [Source().take("hour", 60), *(Source().take(f"f{i}", 25, label="anomalous") for i in range(2))]
    config = DataConfig(sample_rate_hz=RATE_HZ // 2, clips=CLIPS, split=SplitConfig())
    assert "3 recordings at 1000 Hz were resampled to 500 Hz" in prepare_dataset(corpus(*takes), config).notes
