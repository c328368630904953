"""The alternatives to WaveNet: which sounds they detect, and what must not change their scores."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

from core.baselines import Alternative, Scorer, families, loudness_scores
from core.baselines import log_mel as log_mel_module
from core.baselines.network import NetworkAlternative
from core.data.audio import Waveform, quantise
from core.data.clips import clips_of
from core.data.recordings import Recording, Take
from core.data.training_clips import ListedClips, ListedOrder

RATE_HZ = 4000


def small(alternative: Alternative, num_steps: int = 30) -> Alternative:
    """Variants with few steps of training."""
    if not isinstance(alternative, NetworkAlternative):
        return alternative
    return replace(alternative, num_steps=num_steps, batch_stretches=min(64, alternative.batch_stretches))


ALTERNATIVES = {name: small(variants[0]) for name, variants in families().items()}
LEARNERS = [name for name in ALTERNATIVES if name.startswith("log-mel")]
each = pytest.mark.parametrize("name", ALTERNATIVES)
each_learner = pytest.mark.parametrize("name", LEARNERS)


def hum(seed: int, num_channels: int, seconds: float = 1.0) -> Waveform:
    """The normal sound: noise over a tone of 300 Hz."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).normal(0, 0.05, (num_channels, len(time_s)))
    return (noise + 0.1 * np.sin(2 * np.pi * 300 * time_s + seed)).astype(np.float32)


def whistling(clip: Waveform, first_s: float = 0.0, end_s: float = 1.0) -> Waveform:
    time_s = np.arange(clip.shape[-1]) / RATE_HZ
    is_on = (time_s >= first_s) & (time_s < end_s)
    return clip + (0.1 * np.sin(2 * np.pi * 1100 * time_s) * is_on).astype(np.float32)


def take(name: str, samples: Waveform, machine: str = "fan") -> Take:
    recording = Recording(
        recording_id=name,
        machine=machine,
        label="normal",
        num_channels=len(samples),
        sample_rate_hz=RATE_HZ,
        num_samples=samples.shape[1],
        digest=name,
        read=lambda: samples,
    )
    return Take(recording=recording, audio=quantise(samples))


def training(num_channels: int, *, num_takes: int = 4, silent: bool = False) -> ListedClips:
    sounds = [hum(seed, num_channels, 3.0) * (not silent) for seed in range(num_takes)]
    takes = [take(f"take {index}", sound) for index, sound in enumerate(sounds)]
    return ListedClips([clip for one in takes for clip in clips_of(one, RATE_HZ)])


def fit(alternative: Alternative, num_channels: int = 1, seed: int = 3) -> Scorer:
    return alternative.fit(training(num_channels).order(seed), sample_rate_hz=RATE_HZ, seed=seed)


@cache
def scorer_of(name: str, num_channels: int = 1) -> Scorer:
    return fit(ALTERNATIVES[name], num_channels)


@each_learner
def test_a_tone_that_was_not_learned_is_strange_where_it_is_heard(name: str) -> None:
    scorer = scorer_of(name)
    normal = np.stack([hum(seed, 1) for seed in range(100, 105)])
    plain = scorer.frame_scores(normal)
    assert scorer.frame_scores(whistling(normal)).mean(axis=-1).min() > plain.mean(axis=-1).max()
    late = scorer.frame_scores(whistling(normal, 0.6, 1.0))
    centres_s = scorer.first_s + (np.arange(plain.shape[-1]) + 0.5) * scorer.frame_ms / 1000
    before, during = centres_s < 0.33, centres_s > 0.7  # half a second is the longest that one score sees
    np.testing.assert_allclose(late[..., before].mean(), plain[..., before].mean(), rtol=0.5)
    assert late[..., during].mean() > 1.3 * plain[..., during].mean()


@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "log-mel Gaussian"])
def test_steps_of_training_make_normal_sound_less_strange(name: str) -> None:
    time_s = np.arange(4 * RATE_HZ) / RATE_HZ
    swell = 1 + 0.9 * np.sin(2 * np.pi * 3 * time_s)
    clips = clips_of(take("swelling", (hum(1, 1, 4.0) * swell).astype(np.float32)), RATE_HZ)

    def strangeness(num_steps: int) -> float:
        order = ListedOrder(clips[:3], 0)
        scorer = small(ALTERNATIVES[name], num_steps).fit(order, sample_rate_hz=RATE_HZ, seed=0)
        return float(scorer.frame_scores(clips[3].read()[None]).mean())

    assert strangeness(100) < 0.75 * strangeness(1)


@each_learner
def test_a_seed_gives_the_same_scores_and_leaves_the_generator_of_others_alone(name: str) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    again = fit(ALTERNATIVES[name])
    assert torch.equal(torch.rand(3), expected)
    clips = np.stack([hum(7, 1)])
    np.testing.assert_array_equal(again.frame_scores(clips), scorer_of(name).frame_scores(clips))


def test_another_seed_gives_another_network() -> None:
    clips = np.stack([hum(7, 1)])
    other = fit(ALTERNATIVES["log-mel LSTM"], seed=4)
    assert not np.allclose(other.frame_scores(clips), scorer_of("log-mel LSTM").frame_scores(clips), rtol=1e-3)


@pytest.mark.parametrize("name", [name for name in ALTERNATIVES if name != "loudness"])
def test_level_and_offset_of_a_clip_and_of_each_channel_change_nothing(name: str) -> None:
    scorer = scorer_of(name, 4)
    clips = np.stack([hum(seed, 4) for seed in (7, 8)])
    gains = np.array([3, 0.01, 1, 20], np.float32)[:, None]
    changed = scorer.frame_scores(clips * gains + 0.25)
    np.testing.assert_allclose(changed, scorer.frame_scores(clips), rtol=2e-3, atol=2e-3)


def test_loudness_hears_the_level_and_no_more() -> None:
    clips = np.stack([hum(7, 1), hum(8, 1) * 3, np.zeros((1, RATE_HZ), np.float32)])
    frames = scorer_of("loudness").frame_scores(clips)
    np.testing.assert_allclose(frames.mean(axis=(1, 2))[:2], loudness_scores(clips)[:2], atol=0.2)
    np.testing.assert_allclose(frames[2], -120, rtol=1e-6)
    assert loudness_scores(clips)[2] == -np.inf


@each
@pytest.mark.parametrize("num_channels", [1, 4])
def test_every_clip_and_channel_has_scores_of_its_own(name: str, num_channels: int) -> None:
    scorer = scorer_of(name, num_channels)
    clips = np.stack([hum(seed, num_channels) for seed in (7, 8, 9)])
    scores = scorer.frame_scores(clips)
    assert scores.shape[:2] == (3, num_channels)
    assert scores.dtype == np.float32
    end_s = scorer.first_s + scores.shape[-1] * scorer.frame_ms / 1000
    assert 0 < scorer.first_s < end_s < 1.0
    np.testing.assert_allclose(scorer.frame_scores(clips[1:2]), scores[1:2], rtol=1e-5)
    clips[1, -1] = whistling(clips[1, -1:])[0]
    is_changed = (scorer.frame_scores(clips) != scores).any(axis=-1)
    assert is_changed.tolist() == [
        [row == 1 and column == num_channels - 1 for column in range(num_channels)] for row in range(3)
    ]


@each
def test_silence_has_finite_scores(name: str) -> None:
    silence = np.zeros((1, 2, RATE_HZ), np.float32)
    with np.errstate(all="raise"):
        assert np.isfinite(scorer_of(name, 2).frame_scores(silence)).all()


@each
def test_after_silence_alone_sound_is_strange_and_silence_is_not(name: str) -> None:
    order = training(1, silent=True).order(0)
    with np.errstate(divide="raise", invalid="raise"):
        scorer = small(ALTERNATIVES[name], 5).fit(order, sample_rate_hz=RATE_HZ, seed=0)
        silent, heard = scorer.frame_scores(np.stack([np.zeros((1, RATE_HZ), np.float32), hum(7, 1)]))
    assert np.isfinite([silent, heard]).all()
    if name in LEARNERS:
        assert silent.mean() < heard.mean()


@each
def test_a_clip_that_is_too_short_has_no_frames(name: str) -> None:
    alternative, scorer = ALTERNATIVES[name], scorer_of(name)
    enough = 256 + (alternative.min_frames - 1) * 128
    assert scorer.frame_scores(np.zeros((2, 1, enough), np.float32)).shape == (2, 1, 1)
    assert scorer.frame_scores(np.zeros((2, 1, enough - 1), np.float32)).shape == (2, 1, 0)


def test_each_channel_may_have_a_spectrum_of_its_own() -> None:
    """Each channel is compared with its own mean spectrum."""
    coloured = [np.stack([hum(seed, 1, 3.0)[0], whistling(hum(seed + 50, 1, 3.0), 0, 3.0)[0]]) for seed in range(4)]
    clips = [clip for i, sound in enumerate(coloured) for clip in clips_of(take(str(i), sound), RATE_HZ)]
    normal = np.stack([hum(90, 1)[0], whistling(hum(91, 1))[0]])[None]
    for name in ("log-mel autoencoder", "log-mel Gaussian"):
        scorer = ALTERNATIVES[name].fit(ListedOrder(clips, 0), sample_rate_hz=RATE_HZ, seed=0)
        swapped = scorer.frame_scores(normal[:, ::-1]).mean(axis=-1)
        assert (swapped > 1.3 * scorer.frame_scores(normal).mean(axis=-1)).all(), name


def test_a_gaussian_that_knows_machines_apart_finds_each_less_strange() -> None:
    sounds = [(hum(seed, 1, 3.0), whistling(hum(seed, 1, 3.0), 0, 3.0)) for seed in range(4)]
    heard = np.stack([hum(90, 1), whistling(hum(91, 1))])

    def scores(machines: tuple[str, str]) -> np.ndarray:
        pairs = [(sound, machine) for pair in sounds for sound, machine in zip(pair, machines, strict=True)]
        takes = [take(str(index), sound, machine) for index, (sound, machine) in enumerate(pairs)]
        order = ListedOrder([clip for one in takes for clip in clips_of(one, RATE_HZ)], 0)
        scorer = ALTERNATIVES["log-mel Gaussian"].fit(order, sample_rate_hz=RATE_HZ, seed=0)
        return scorer.frame_scores(heard).mean(axis=(1, 2))

    assert (scores(("a", "b")) < 0.8 * scores(("a", "a"))).all()


def test_of_a_large_set_every_clip_is_learned_from_once_and_of_a_huge_one_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = training(1, num_takes=30)
    reads = _clips_read(many)
    assert len(reads) == len(set(reads)) == 90
    monkeypatch.setattr(log_mel_module, "MAX_CLIPS", 70)
    assert len(set(_clips_read(many))) == 70


def _clips_read(clips: ListedClips) -> list[tuple[str, int]]:
    each_once = log_mel_module._each_once(clips.order(0))
    return [(clip.take.recording.recording_id, clip.start) for clip in each_once]


def test_the_networks_are_those_of_their_papers() -> None:
    layers = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    weights = sum(a * b + b for a, b in pairwise(layers)) + 2 * sum(layers[1:-1])
    for name, expected in (("log-mel autoencoder", weights), ("log-mel IDNN", weights - 128 * 128 - 512 * 129)):
        network = ALTERNATIVES[name].build(128)  # type: ignore[attr-defined]
        assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_idnn_s_guess_does_not_see_the_frame_it_guesses_and_the_lstm_s_sees_no_later_one() -> None:
    frames = torch.randn(1, 12, 16, requires_grad=True)
    idnn = ALTERNATIVES["log-mel IDNN"].build(16).eval()  # type: ignore[attr-defined]
    # The gradient of (guess - x)^2 / B by x is 2 (guess - x) / B; any more comes through the guess.
    idnn.errors(frames)[0, 3].backward()
    with torch.no_grad():
        seen = frames[:, [3, 4, 6, 7]].flatten(1)
        expected = -2 * (idnn.layers(seen)[0] - frames[0, 5]) / 16
    torch.testing.assert_close(frames.grad[0, 5], expected)
    frames.grad = None
    lstm = ALTERNATIVES["log-mel LSTM"].build(16)  # type: ignore[attr-defined]
    lstm.errors(frames)[0, 3].backward()
    assert frames.grad[0, :8].abs().sum(dim=-1).min() > 0
    assert frames.grad[0, 8:].abs().max() == 0
