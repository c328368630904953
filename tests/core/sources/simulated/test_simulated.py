"""The simulated toy car: repeatable, within full scale, faults that are heard, and a loudness that tells nothing."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from core.data.recordings import Corpus, check_waveform
from core.errors import UserError
from core.sources import open_source
from core.sources.simulated.car import SYNTHESIS_VERSION, TakeSetting, build_body, synthesise
from core.sources.simulated.source import CONDITIONS

SHORT = {"seconds": 1.0, "num_normal": 6, "num_anomalous": 12}


def simulated(**options: object) -> Corpus:
    return open_source("simulated", options=SHORT | options)


@pytest.fixture(scope="module")
def default() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """All takes of the default corpus, (N, C, T), and which are anomalous."""
    recordings = open_source("simulated").recordings
    return np.stack([take.read() for take in recordings]), np.array([take.label == "anomalous" for take in recordings])


def test_takes_are_what_the_listing_promises():
    corpus = simulated(num_microphones=3, sample_rate_hz=8000, machines=2)
    assert len(corpus.recordings) == len({take.recording_id for take in corpus.recordings}) == 36
    for take in corpus.recordings[::7]:
        waveform = take.read()
        assert waveform.shape == (take.num_channels, take.num_samples) == (3, 8000)
        assert waveform.dtype == np.float32
        assert np.abs(waveform).max() <= 1
        check_waveform(waveform, take.recording_id)


def test_the_description_says_that_nothing_was_recorded():
    assert "SIMULATED data, not recordings" in simulated().description


def test_the_same_options_give_the_same_bits_and_another_seed_others():
    first, again, other = (simulated(seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    np.testing.assert_array_equal(first.recordings[3].read(), again.recordings[3].read())
    assert not np.array_equal(first.recordings[3].read(), other.recordings[3].read())


def test_a_take_stays_the_same_when_more_are_asked_for():
    few, many = simulated(), simulated(num_normal=20, num_anomalous=30, machines=2)
    shared = {take.recording_id: take for take in many.recordings}
    for take in few.recordings[::5]:
        assert shared[take.recording_id].digest == take.digest
        np.testing.assert_array_equal(shared[take.recording_id].read(), take.read())


@pytest.mark.parametrize("option", [{"seconds": 2.0}, {"sample_rate_hz": 8000}, {"num_microphones": 1}, {"seed": 5}])
def test_the_digest_changes_with_everything_that_changes_the_sound(option):
    assert simulated().recordings[0].digest != simulated(**option).recordings[0].digest


def test_no_two_takes_are_alike():
    takes = [take.read() for take in simulated(machines=2).recordings]
    unit = np.stack([take.ravel() / np.linalg.norm(take) for take in takes])
    overlap = np.abs(unit @ unit.T) - np.eye(len(unit))
    assert overlap.max() < 0.9


def test_cars_differ_more_from_one_another_than_takes_of_one_car():
    rms = {"car1": [], "car2": []}
    for take in simulated(machines=2, num_anomalous=0).recordings:
        channels = np.sqrt(np.square(take.read()).mean(axis=-1))
        rms[take.machine].append(channels / channels.sum())
    one, two = np.array(rms["car1"]), np.array(rms["car2"])
    spread = np.maximum(one.std(axis=0), two.std(axis=0))
    assert (np.abs(one.mean(axis=0) - two.mean(axis=0)) / spread).max() > 3


def test_every_condition_occurs_equally_often():
    conditions = [take.condition for take in simulated(num_anomalous=24).recordings if take.label == "anomalous"]
    assert sorted(conditions) == sorted(2 * [", ".join(faults) for faults in CONDITIONS])


@pytest.mark.parametrize("faults", CONDITIONS, ids=", ".join)
def test_every_fault_changes_the_sound_of_the_very_same_take(faults):
    body = build_body(2, np.random.default_rng(0))
    normal, faulty = (
        synthesise(body, TakeSetting(faults=which, level=0.0, seed=(7,)), sample_rate_hz=4000, num_samples=12000)
        for which in ((), faults)
    )
    assert np.linalg.norm(faulty - normal) > 0.05 * np.linalg.norm(normal)


@pytest.mark.parametrize("of_frames", [False, True], ids=["whole take", "loudest 50 ms"])
def test_loudness_tells_nothing(default, of_frames):
    waveforms, is_anomalous = default
    frames = waveforms.reshape(*waveforms.shape[:2], -1, 200 if of_frames else waveforms.shape[-1])
    loudness = np.square(frames).mean(axis=(1, 3)).max(axis=1)
    assert 0.42 < roc_auc_score(is_anomalous, loudness) < 0.58


def test_a_predictor_of_normal_sound_hears_the_faults(default):
    """Takes are brought to one level first. The detector is a linear predictor over 16 samples and 4 channels."""
    waveforms, is_anomalous = default
    matched = waveforms / np.sqrt(np.square(waveforms).mean(axis=-1, keepdims=True))
    training, held_out = np.split(np.flatnonzero(~is_anomalous), [32])
    judged = np.r_[held_out, np.flatnonzero(is_anomalous)]
    past = {i: np.concatenate([matched[i, :, 16 - lag : -lag] for lag in range(1, 17)]).T for i in range(len(matched))}
    covariance = sum(past[i].T @ past[i] for i in training)
    weights = np.linalg.solve(covariance, sum(past[i].T @ matched[i, :, 16:].T for i in training))
    errors = [np.square(matched[i, :, 16:].T - past[i] @ weights).mean() for i in judged]
    assert roc_auc_score(is_anomalous[judged], errors) > 0.9


def test_the_sound_is_the_one_of_its_version():
    """If this fails, the sound has changed: raise SYNTHESIS_VERSION, so that old studies are distinguished."""
    rms = np.sqrt(np.square(simulated().recordings[-1].read()).mean(axis=-1))
    assert SYNTHESIS_VERSION == 2
    np.testing.assert_allclose(rms, [0.110197, 0.094385, 0.105732, 0.073802], rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_mics": 2}, ["data.num_mics", "num_microphones"]),
        ({"seconds": "3"}, ["data.seconds", "'3'"]),
        ({"seconds": float("nan")}, ["data.seconds", "nan"]),
        ({"seed": 1.5}, ["data.seed", "whole number", "1.5"]),
        ({"num_normal": -1}, ["data.num_normal", "-1"]),
        ({"machines": True}, ["data.machines", "True"]),
        ({"sample_rate_hz": 100}, ["data.sample_rate_hz", "2000", "100"]),
    ],
)
def test_a_wrong_option_is_named_with_the_rule(options, words):
    with pytest.raises(UserError) as refusal:
        open_source("simulated", options=options)
    assert all(word in str(refusal.value) for word in words)


@pytest.mark.parametrize("spec", ["", "simulate", "folder", "folder:", "simulated:x", "hub:", "ftp:somewhere"])
def test_an_unknown_source_is_told_the_known_ones(spec):
    with pytest.raises(UserError, match="simulated, folder:PATH"):
        open_source(spec)
