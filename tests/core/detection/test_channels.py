"""A detector whose study chose channels hears them in recordings that have more."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data.channels import Channels
from core.data.recordings import BadRecording
from core.decision.checkpoint import Detector, load_detector, save_detector
from core.detection.clips import judge_recording, requirements_of
from core.detection.decision import RecordingDecision
from core.detection.files import open_audio
from core.detection.microphone_files import by_recording, check_microphones
from core.detection.requirements import AudioRequirements
from core.thread_pool import ThreadPool
from tests.folder_files import listed, noise, write
from tests.small_detector import make_detector

RATE_HZ = 4000
NUM_CHANNELS = 6
SOUND = noise(NUM_CHANNELS, 9000, seed=3)
SOUND[:, [0, 3]] = 0.0  # dead microphones
CHOSEN = [1, 4]
"""Places of the channels 2 and 5, which the small detector hears."""


@pytest.fixture(scope="module")
def detector() -> Detector:
    return replace(make_detector(), levels=None)


def judged(detector: Detector, path: Path) -> RecordingDecision:
    audio = open_audio(str(path), requirements_of(detector))
    with ThreadPool(1) as pool:
        return judge_recording(audio, detector, "car1", pool=pool)


def test_a_recording_with_more_is_judged_as_one_with_the_chosen_alone(detector: Detector, tmp_path: Path) -> None:
    eager = detector.with_threshold(-9.0)
    more = judged(eager, write(tmp_path / "more.wav", SOUND, RATE_HZ))
    alone = judged(eager, write(tmp_path / "alone.wav", SOUND[:, CHOSEN], RATE_HZ))
    assert more.clip_scores == alone.clip_scores
    assert more.events == alone.events
    microphones = {event.microphone for event in more.events}
    assert microphones
    assert microphones <= {2, 5}


def test_the_file_keeps_which_ones(detector: Detector, tmp_path: Path) -> None:
    save_detector(tmp_path / "a.safetensors", detector)
    assert load_detector(tmp_path / "a.safetensors").microphones == (2, 5)


@pytest.mark.parametrize("num_channels", [1, 3, 4])
def test_one_that_lacks_a_chosen_channel_is_refused(detector: Detector, num_channels: int, tmp_path: Path) -> None:
    path = write(tmp_path / "few.wav", noise(num_channels, 9000), RATE_HZ)
    with pytest.raises(
        BadRecording, match=rf"must have 2 channels, or 5 or more, .* hears 2, 5, but got {num_channels}\."
    ):
        judged(detector, path)


def test_a_silent_one_is_named_by_its_number_in_the_recording(detector: Detector, tmp_path: Path) -> None:
    silent = SOUND.copy()
    silent[:, 4] = 0
    with pytest.raises(BadRecording, match="silence in channel 5"):
        judged(detector, write(tmp_path / "silent.wav", silent, RATE_HZ))


@pytest.mark.parametrize("channels", ["mix", "first", (2,), (1, 2)])
def test_the_pieces_are_bit_for_bit_what_the_study_read(channels: Channels, tmp_path: Path) -> None:
    path = write(tmp_path / "normal/a.wav", noise(9, 9000, seed=4), RATE_HZ, subtype="FLOAT")
    (recording,) = listed(tmp_path, options={"channels": channels}).recordings
    study = recording.read()
    requirements = AudioRequirements(
        num_channels=len(study), channels=channels, sample_rate_hz=RATE_HZ, min_samples=100
    )
    audio = open_audio(str(path), requirements)
    np.testing.assert_array_equal(np.vstack(list(audio.decode())).T, study)


def test_mono_files_are_one_recording_where_one_of_several_channels_is_heard(tmp_path: Path) -> None:
    names = [str(write(tmp_path / f"a_ch{number}.wav")) for number in (1, 2)]
    assert by_recording(names, 1) == [(names[0],), (names[1],)]
    assert by_recording(names, 1, (2,)) == [tuple(names)]
    assert by_recording(names[1:], 1, (2,)) == [(names[1],)]


def test_what_a_study_would_not_mix_is_not_mixed(tmp_path: Path) -> None:
    samples = noise(3, 9000)
    samples[:, 1] = 0
    requirements = AudioRequirements(num_channels=1, channels="mix", sample_rate_hz=RATE_HZ, min_samples=100)
    with pytest.raises(BadRecording, match="silence in channel 2"):
        open_audio(str(write(tmp_path / "a.wav", samples, RATE_HZ)), requirements)


@pytest.mark.parametrize(
    ("numbers", "is_refused"),
    [
        ([2, 5], False),
        ([1, 2, 3, 4, 5], False),
        ([0, 1, 2, 3, 4], False),
        ([1, 2, 4, 5, 6], True),
        ([1, 2], True),
        ([2], True),
        ([3, 4, 5, 6, 7], True),
    ],
)
def test_files_of_one_microphone_each_must_be_those_or_all(
    numbers: list[int], is_refused: bool, tmp_path: Path
) -> None:
    names = [str(write(tmp_path / f"a_ch{number}.wav")) for number in numbers]
    (files,) = by_recording(names, 2, (2, 5))
    if is_refused:
        with pytest.raises(
            BadRecording, match="must be of files of all microphones, or of 2, 5, which the detector hears"
        ):
            check_microphones(files, (2, 5))
    else:
        check_microphones(files, (2, 5))


def test_a_name_says_nothing_about_a_file_with_several_channels(tmp_path: Path) -> None:
    check_microphones([str(write(tmp_path / "a_ch7.wav", noise(2)))], (2, 5))


def test_a_warning_about_levels_names_them_by_their_numbers(tmp_path: Path) -> None:
    quiet = SOUND.copy()
    quiet[:, 4] /= 60
    found = judged(make_detector(), write(tmp_path / "quiet.wav", quiet, RATE_HZ))
    assert "microphone 5: level" in found.level_words
