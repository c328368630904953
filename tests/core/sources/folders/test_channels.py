"""`channels = "mix" | "first" | [1, 3]`: the audio, the digests, and the messages."""

from pathlib import Path

import numpy as np
import pytest

from core.data.decoding import read_all
from core.data.recordings import BadRecording
from core.data.store import Store
from core.errors import UserError
from core.sources import choose_source, known_options, open_source
from tests.folder_files import listed, noise, table, write

STEREO = noise(2, seed=5)


def stereo_among_mono(root: Path) -> Path:
    write(root / "normal/a.wav")
    write(root / "normal/b.wav", STEREO, subtype="FLOAT")
    return root


def opened(root: Path, channels: str | list[int] | None, **options):
    return listed(root, options={"channels": channels} if channels else {}, **options)


@pytest.mark.parametrize(("channels", "expected"), [("mix", STEREO.mean(axis=1)), ("first", STEREO[:, 0])])
def test_every_recording_becomes_mono(tmp_path, channels, expected):
    mono, stereo = opened(stereo_among_mono(tmp_path), channels).recordings
    assert (mono.num_channels, stereo.num_channels) == (1, 1)
    np.testing.assert_allclose(stereo.read(), expected[None], atol=1e-6)
    np.testing.assert_allclose(mono.read(), noise().T, atol=1e-4)


@pytest.mark.parametrize("numbers", [[2], [1, 3], [3, 1]])
def test_channels_by_their_numbers_come_in_the_order_of_the_recording(tmp_path, numbers):
    samples = noise(3, seed=6)
    samples[:, [each for each in range(3) if each + 1 not in numbers]] = 0  # dead ones that are not heard
    write(tmp_path / "normal/a.wav", samples, subtype="FLOAT")
    corpus = opened(tmp_path, numbers)
    (take,) = corpus.recordings
    assert (take.num_channels, corpus.channels) == (len(numbers), tuple(sorted(numbers)))
    np.testing.assert_allclose(take.read(), samples.T[[each - 1 for each in sorted(numbers)]], atol=1e-6)
    assert f"{', '.join(map(str, sorted(numbers)))} of each" in corpus.description


def test_a_channel_that_is_silent_or_missing_is_named_by_its_number(tmp_path):
    samples = noise(3)
    samples[:, 2] = 0
    write(tmp_path / "normal/a.wav", samples)
    with pytest.raises(BadRecording, match="each of its 2 channels that are heard, but got silence in channel 3"):
        opened(tmp_path, [1, 3]).recordings[0].read()
    with pytest.raises(BadRecording, match=r"must have channel 5, which data\.channels names, but has 3"):
        opened(tmp_path, [1, 5])


@pytest.mark.parametrize(("channels", "expected"), [("mix", [0, 1]), ("first", [0]), ([2], [1])])
def test_a_take_of_one_file_a_microphone_becomes_mono_too(tmp_path, channels, expected):
    parts = [noise(seed=channel)[:, 0] for channel in (0, 1)]
    for channel, part in enumerate(parts):
        write(tmp_path / f"c{channel}.wav", part)
    rows = [f"c{channel}.wav,fan,normal,{channel},t" for channel in (0, 1)]
    table(tmp_path / "manifest.csv", *rows, header="path,machine,label,channel,take")
    (take,) = opened(tmp_path, channels).recordings
    np.testing.assert_allclose(take.read(), [np.mean([parts[i] for i in expected], axis=0)], atol=1e-4)
    assert take.num_channels == 1


def test_without_it_fingerprint_and_digests_are_as_ever_and_with_it_those_of_stereo_differ(tmp_path):
    root = stereo_among_mono(tmp_path)
    chosen = [opened(root, channels) for channels in (None, "mix", "first", [1])]
    assert chosen[0].fingerprint == open_source(f"folder:{root}").fingerprint
    assert len({corpus.fingerprint for corpus in chosen}) == 4
    assert len({corpus.recordings[0].digest for corpus in chosen}) == 1  # of the mono one
    assert len({corpus.recordings[1].digest for corpus in chosen}) == 4


def test_the_store_never_gives_the_audio_of_another_choice(tmp_path):
    root, store = stereo_among_mono(tmp_path / "data"), Store(tmp_path / "store")
    audio = {}
    for channels in ("mix", "first", "mix"):
        read = read_all(opened(root, channels), sample_rate_hz=8000, min_seconds=0, skip_bad_files=False, store=store)
        audio.setdefault(channels, []).append(read.takes[1].audio.read())
    np.testing.assert_allclose(audio["mix"][0], STEREO.mean(axis=1)[None], atol=1e-4)
    np.testing.assert_allclose(audio["first"][0], STEREO[:, :1].T, atol=1e-4)
    np.testing.assert_array_equal(*audio["mix"])


def test_with_first_the_others_may_be_dead_and_with_mix_they_may_not(tmp_path):
    write(tmp_path / "normal/a.wav", np.stack([noise()[:, 0], np.zeros(4000)], axis=1))
    assert opened(tmp_path, "first").recordings[0].read().shape == (1, 4000)
    with pytest.raises(BadRecording, match="silence in channel 2"):
        opened(tmp_path, "mix").recordings[0].read()


def test_recordings_that_differ_are_refused_with_the_option_s_name(tmp_path):
    corpus = opened(stereo_among_mono(tmp_path), None)
    with pytest.raises(UserError, match=r"1 in .* and 2 in .* --set data.channels=mix, or first"):
        read_all(corpus, sample_rate_hz=8000, min_seconds=0, skip_bad_files=False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": "left"}, "mix, first or a list of different numbers from 1, but got 'left'"),
        ({"chanels": "mix"}, "data.chanels must be an option"),
    ],
)
def test_an_option_that_is_wrong_is_one_line(tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        listed(stereo_among_mono(tmp_path), options=options)


def test_the_option_stays_with_folders(tmp_path):
    data = {"source": "folder:a", "channels": "mix"}
    assert known_options("folder:x") == {"channels", "equal_level"}
    assert choose_source(data, "folder:b", tmp_path) == {"source": "folder:b", "channels": "mix"}
    assert choose_source(data, str(tmp_path), tmp_path) == {"source": f"folder:{tmp_path}", "channels": "mix"}
    assert choose_source(data, "simulated", tmp_path) == {"source": "simulated"}
