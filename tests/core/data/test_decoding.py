"""Decoding: once with a store, within a memory limit without one, and the same audio in both cases."""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from core.data import decoding
from core.data.audio import Waveform
from core.data.decoding import DecodedCorpus, DecodedWhenRead, read_all
from core.data.recordings import BadRecording, Corpus, Recording
from core.data.store import Store, StoredAudio
from core.errors import UserError

RATE_HZ = 8000
SECONDS = 0.5


class Decoded(Counter[str]):
    """How often each recording was decoded."""

    def recording(self, name: str, rate_hz: int = RATE_HZ, waveform: Waveform | None = None) -> Recording:
        samples = noise(round(SECONDS * rate_hz), seed=len(name)) if waveform is None else waveform
        return Recording(
            recording_id=name,
            machine="fan",
            label="normal",
            num_channels=len(samples),
            sample_rate_hz=rate_hz,
            num_samples=samples.shape[1],
            digest=name,
            read=partial(self._read, name, samples),
        )

    def _read(self, name: str, samples: Waveform) -> Waveform:
        self[name] += 1
        return samples


@dataclass
class Shown:
    """The calls of the progress display, in order."""

    calls: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    num_decoded_before: int = -1
    decoded: Decoded = field(default_factory=Decoded)

    def begin(self, num_takes: int, num_bytes: int, store: Store) -> None:  # noqa: ARG002
        self.calls.append("begin")
        self.sizes.append((num_takes, num_bytes))
        self.num_decoded_before = self.decoded.total()

    def advance(self) -> None:
        self.calls.append("advance")

    def end(self) -> None:
        self.calls.append("end")


def noise(num_samples: int, seed: int = 0, num_channels: int = 2) -> Waveform:
    return np.random.default_rng(seed).standard_normal((num_channels, num_samples)).astype(np.float32)


def read(*recordings: Recording, rate_hz: int = RATE_HZ, **options) -> DecodedCorpus:
    corpus = Corpus(name="made", description="", recordings=recordings)
    return read_all(corpus, sample_rate_hz=rate_hz, **({"min_seconds": 0.1, "skip_bad_files": False} | options))


def test_a_second_reading_decodes_nothing_and_gives_the_same_takes(tmp_path):
    decoded = Decoded()
    recordings = [decoded.recording("a" * number) for number in range(1, 6)]
    first = read(*recordings, store=Store(tmp_path))
    second = read(*recordings, store=Store(tmp_path))
    assert set(decoded.values()) == {1}
    for one, other in zip(first.takes, second.takes, strict=True):
        assert one.recording is other.recording
        np.testing.assert_array_equal(one.audio.read(), other.audio.read())


def test_reading_stored_takes_decodes_nothing(tmp_path):
    decoded = Decoded()
    for take in read(*(decoded.recording("a" * number) for number in range(1, 4)), store=Store(tmp_path)).takes:
        for _ in range(3):
            take.audio.read(100, 200)
    assert set(decoded.values()) == {1}


def test_what_is_new_alone_is_decoded_and_each_rate_once(tmp_path):
    decoded = Decoded()
    a, b = decoded.recording("a"), decoded.recording("bb")
    read(a, store=Store(tmp_path))
    read(a, b, store=Store(tmp_path))
    assert decoded == {"a": 1, "bb": 1}
    for _ in range(2):
        read(a, b, rate_hz=4000, store=Store(tmp_path))
    assert decoded == {"a": 2, "bb": 2}


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 4000, 3999])
def test_the_stores_audio_is_bitwise_that_without_a_store(tmp_path, rate_hz):
    recordings = [Decoded().recording("a" * number, from_hz) for number, from_hz in enumerate([8000, 22050, 44100], 1)]
    stored, without = read(*recordings, rate_hz=rate_hz, store=Store(tmp_path)), read(*recordings, rate_hz=rate_hz)
    for one, other in zip(stored.takes, without.takes, strict=True):
        assert isinstance(one.audio, StoredAudio)
        assert isinstance(other.audio, DecodedWhenRead)
        assert (one.audio.num_channels, one.audio.num_samples) == (other.audio.num_channels, other.audio.num_samples)
        for start, stop in [(0, None), (0, 1), (7, 1500), (1999, 5000)]:
            np.testing.assert_array_equal(one.audio.read(start, stop), other.audio.read(start, stop))
    assert stored.notes == without.notes


@pytest.mark.parametrize("rate_hz", [8000, 4410, 4000, 3001])
def test_progress_is_told_the_bytes_before_anything_is_decoded_and_each_take_once(tmp_path, rate_hz):
    decoded = Decoded()
    shown = Shown(decoded=decoded)
    recordings = [decoded.recording("a" * number, from_hz) for number, from_hz in enumerate([8000, 22050, 44100], 1)]
    reading = read(*recordings, rate_hz=rate_hz, store=Store(tmp_path), progress=shown)
    assert shown.calls == ["begin", *["advance"] * 3, "end"]
    assert shown.num_decoded_before == 0
    assert shown.sizes == [(3, sum(2 * 2 * take.audio.num_samples for take in reading.takes))]
    on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert 0 < on_disk - shown.sizes[0][1] < 3 * 400


def test_progress_counts_what_is_missing_alone_and_is_left_alone_where_nothing_is(tmp_path):
    decoded, shown = Decoded(), Shown()
    recordings = [decoded.recording("a" * number) for number in range(1, 5)]
    read(*recordings[:3], store=Store(tmp_path))
    read(*recordings, store=Store(tmp_path), progress=shown)
    assert (shown.calls, shown.sizes) == (["begin", "advance", "end"], [(1, 2 * 2 * 4000)])
    read(*recordings, store=Store(tmp_path), progress=shown)
    read(*recordings, progress=shown)
    read(decoded.recording("new"), store=Store(tmp_path, is_read_only=True), progress=shown)
    assert shown.calls == ["begin", "advance", "end"]


def bad(decoded: Decoded) -> list[Recording]:
    def broken() -> Waveform:
        raise BadRecording("Recording 'broken' must be audio.")

    good = decoded.recording("good")
    torn = Recording(**{**vars(good), "recording_id": "broken", "digest": "broken", "read": broken})
    one_nan, dead = noise(4000), noise(4000)
    one_nan[1, 5], dead[1] = np.nan, 0.25
    return [torn, decoded.recording("one nan", waveform=one_nan), decoded.recording("dead", waveform=dead)]


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("has_store", [True, False])
def test_a_bad_take_is_not_stored_and_bad_every_time(tmp_path, which, has_store):
    decoded = Decoded()
    recordings = [decoded.recording("good"), bad(decoded)[which]]
    store = Store(tmp_path) if has_store else None
    for _ in range(2):
        shown = Shown()
        reading = read(*recordings, skip_bad_files=True, store=store, progress=shown)
        assert [take.recording.recording_id for take in reading.takes] == ["good"]
        assert [skipped.name for skipped in reading.skipped] == [recordings[1].recording_id]
        assert shown.calls.count("advance") == sum(num_takes for num_takes, _ in shown.sizes)  # the bar gets to its end
    assert decoded["good"] == (1 if has_store else 2)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == has_store
    with pytest.raises(BadRecording, match=recordings[1].recording_id):
        read(*recordings, store=store)


def test_progress_ends_where_the_reading_ends_by_an_error(tmp_path):
    shown, decoded = Shown(), Decoded()
    with pytest.raises(BadRecording):
        read(decoded.recording("good"), *bad(decoded), store=Store(tmp_path), progress=shown)
    assert (shown.calls[0], shown.calls[-1]) == ("begin", "end")


def test_a_take_that_is_too_short_by_its_header_is_refused_before_anything_is_decoded(tmp_path):
    decoded = Decoded()
    with pytest.raises(BadRecording, match="'short' must last at least"):
        read(decoded.recording("good"), decoded.recording("short", waveform=noise(400)), store=Store(tmp_path))
    assert not decoded


def test_a_store_without_room_is_refused_before_anything_is_decoded_or_shown(tmp_path):
    decoded, shown = Decoded(), Shown()
    with pytest.raises(UserError, match="must stay within"):
        read(decoded.recording("a"), store=Store(tmp_path, max_gb=1e-6), progress=shown)
    assert not decoded
    assert not shown.calls


TAKE_BYTES = 2 * 2 * 4000


@pytest.fixture
def most_held(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes that were held after each decoding, with room for two takes and a half."""
    monkeypatch.setattr(decoding, "MAX_CACHED_BYTES", int(2.5 * TAKE_BYTES))
    held: list[int] = []
    original = decoding.TakeCache.get

    def noted(memory: decoding.TakeCache, *arguments):
        audio = original(memory, *arguments)
        held.append(sum(other.samples.nbytes for other in list(memory._takes.values())))
        return audio

    monkeypatch.setattr(decoding.TakeCache, "get", noted)
    return held


def test_without_a_store_takes_are_decoded_when_they_are_read_and_memory_is_bounded(most_held):
    decoded = Decoded()
    takes = read(*(decoded.recording("a" * number) for number in range(1, 9))).takes
    assert set(decoded.values()) == {1}
    for take in takes:  # the latest two were remembered, but have to give way to the first before they are read
        np.testing.assert_allclose(take.audio.read(), noise(4000, seed=len(take.recording.recording_id)), atol=1e-4)
    assert decoded.total() >= 8 + 6
    before = decoded.total()
    for _ in range(5):
        takes[-1].audio.read(5, 10)
        takes[-2].audio.read()
    assert decoded.total() == before
    assert max(most_held) == 2 * TAKE_BYTES


def test_a_take_that_exceeds_the_memory_is_decoded_whenever_it_is_read(most_held):
    decoded = Decoded()
    (take,) = read(decoded.recording("long", waveform=noise(16_000))).takes
    for number in range(2, 4):
        assert take.audio.read(10, 20).shape == (2, 10)
        assert decoded["long"] == number
    assert set(most_held) == {0}


def test_what_a_read_only_store_lacks_is_decoded_when_it_is_read(tmp_path: Path):
    decoded = Decoded()
    recordings = [decoded.recording("a"), decoded.recording("bb")]
    read(recordings[0], store=Store(tmp_path))
    first, second = read(*recordings, store=Store(tmp_path, is_read_only=True)).takes
    assert isinstance(first.audio, StoredAudio)
    assert isinstance(second.audio, DecodedWhenRead)
    np.testing.assert_allclose(second.audio.read(), noise(4000, seed=2), atol=1e-4)
