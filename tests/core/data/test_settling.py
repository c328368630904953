"""What a study file leaves to the corpus is settled by the lengths of its takes, by their labels, and by whether it is
streamed."""

from dataclasses import replace

import numpy as np
import pytest

from core.data.recordings import Corpus, Recording, StreamedCorpus
from core.data.settling import lowest_rate_hz, settle_calibration, settle_speeds, will_inject_faults
from core.data.speed_perturbation import SpeedConfig
from core.data.splits import SplitConfig

AUTO = SplitConfig(calibration="auto")


def corpus(*seconds: float, label: str = "normal") -> Corpus:
    recordings = [
        Recording(
            recording_id=f"{label}/{index}",
            machine="fan",
            label=label,  # type: ignore[arg-type]
            condition="",
            num_channels=1,
            sample_rate_hz=1000,
            num_samples=round(1000 * each),
            digest=str(index),
            read=lambda: np.zeros((1, 1), np.float32),
        )
        for index, each in enumerate(seconds)
    ]
    return Corpus(name="it", description="", recordings=tuple(recordings))


@pytest.mark.parametrize(("seconds", "expected"), [((4.0, 9.0), "parts"), ((3.9, 9.0), "takes"), ((), "takes")])
def test_every_normal_take_must_hold_two_clips(seconds: tuple[float, ...], expected: str) -> None:
    assert settle_calibration(AUTO, corpus(*seconds), clip_seconds=2.0).calibration == expected


def test_a_short_anomalous_take_changes_nothing() -> None:
    both = Corpus(
        name="it",
        description="",
        recordings=(*corpus(9.0).recordings, *corpus(2.0, label="anomalous").recordings),
    )
    assert settle_calibration(AUTO, both, clip_seconds=2.0).calibration == "parts"


@pytest.mark.parametrize("calibration", ["takes", "parts"])
def test_what_the_study_file_says_stays(calibration: str) -> None:
    asked = SplitConfig(calibration=calibration)  # type: ignore[arg-type]
    assert settle_calibration(asked, corpus(1.0, 30.0), clip_seconds=2.0) == asked


STREAM = StreamedCorpus(name="it", description="", fingerprint="", takes=lambda: iter(()))


def test_a_stream_deals_whole_takes() -> None:
    assert settle_calibration(AUTO, STREAM, clip_seconds=2.0).calibration == "takes"


def test_a_stream_is_heard_at_one_speed_where_the_file_says_so() -> None:
    speeds = SpeedConfig(speeds=(0.9,), in_streams="leave out")
    assert settle_speeds(speeds, STREAM) is None
    assert settle_speeds(speeds, corpus(9.0)) == speeds
    asked = SpeedConfig(speeds=(0.9,))
    assert settle_speeds(asked, STREAM) == asked, "preparing the data refuses it"


def test_what_a_stream_does_changes_no_training() -> None:
    assert SpeedConfig(speeds=(0.9,)).identity() == SpeedConfig(speeds=(0.9,), in_streams="leave out").identity()


def test_the_lowest_rate_is_that_of_one_recording() -> None:
    first, second = corpus(2.0, 3.0).recordings
    both = Corpus(name="it", description="", recordings=(replace(first, sample_rate_hz=8000), second))
    assert lowest_rate_hz(both, clip_seconds=1.0) == 1000
    assert lowest_rate_hz(STREAM, clip_seconds=1.0) is None
    assert lowest_rate_hz(corpus(), clip_seconds=1.0) is None


def test_what_is_too_short_for_a_clip_settles_nothing() -> None:
    long, short = corpus(9.0, 0.1).recordings
    both = Corpus(name="it", description="", recordings=(long, replace(short, sample_rate_hz=500)))
    assert lowest_rate_hz(both, clip_seconds=2.0) == long.sample_rate_hz
    assert settle_calibration(AUTO, both, clip_seconds=2.0).calibration == "parts"


@pytest.mark.parametrize(("label", "injects"), [("normal", True), ("unknown", True), ("anomalous", False)])
def test_faults_are_injected_where_no_take_is_anomalous(label: str, injects: bool) -> None:
    takes = corpus(4.0).recordings + corpus(4.0, label=label).recordings
    assert will_inject_faults(Corpus(name="it", description="", recordings=takes)) == injects
