"""`equal_level`: no recording or channel is louder than another, and what was recorded is kept apart from it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.baselines import loudness_scores
from core.data.recordings import Corpus
from core.decision.metrics import auc
from core.errors import UserError
from core.model.frontend import FrontEnd, FrontEndConfig
from core.sources import open_source
from core.sources.equal_level import RMS


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Takes and channels of very different level and offset."""
    sound = np.random.default_rng(0).normal(0, 1, (4, 8000, 2))
    for index, gain in enumerate((0.001, 0.01, 0.05, 0.2)):
        path = tmp_path / ("normal" if index < 2 else "anomalous") / f"{index}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, sound[index] * [gain, gain / 3] + [0.0, 0.1], 8000, subtype="FLOAT")
    return f"folder:{tmp_path}"


def listed(source: str, **options: object) -> Corpus:
    corpus = open_source(source, options=options)
    assert isinstance(corpus, Corpus)
    return corpus


def test_every_channel_of_every_recording_has_the_same_level(folder: str) -> None:
    levels = [take.read().std(axis=1) for take in listed(folder, equal_level=True).recordings]
    np.testing.assert_allclose(levels, RMS, rtol=1e-4)


def test_nothing_but_the_level_changes(folder: str) -> None:
    pairs = zip(listed(folder).recordings, listed(folder, equal_level=True).recordings, strict=True)
    for original, scaled in pairs:
        was, now = original.read(), scaled.read()
        assert (was.shape, was.dtype) == (now.shape, now.dtype)
        for one, other in zip(was, now, strict=True):
            np.testing.assert_allclose(other / other.std(), one / one.std(), rtol=1e-4)


@pytest.mark.parametrize("measure", ["loudness", "gain"])
def test_neither_loudness_nor_gain_tells_faulty_clips_from_healthy_ones(tmp_path: Path, measure: str) -> None:
    """Twelve quiet healthy takes and twelve loud faulty ones of white noise, eight clips each, both microphones."""
    for index in range(24):
        path = tmp_path / ("normal" if index < 12 else "anomalous") / f"{index}.wav"
        path.parent.mkdir(exist_ok=True)
        sound = np.random.default_rng(index).normal(0, 0.01 if index < 12 else 0.1, (16_000, 2))
        soundfile.write(path, sound * [1.0, 0.3], 8000, subtype="FLOAT")
    front_end = FrontEnd(config=FrontEndConfig(), channel_gains=(1.0, 1.0))
    areas = {}
    for equal in (False, True):
        takes = listed(f"folder:{tmp_path}", equal_level=equal).recordings
        clips = np.concatenate([take.read().reshape(2, 8, 2000).swapaxes(0, 1) for take in takes])
        heard = loudness_scores(clips) if measure == "loudness" else -front_end.level_of(clips).gain[:, 0, 0]
        areas[equal] = auc(heard, np.repeat([take.label == "anomalous" for take in takes], 8))
    assert areas[False] == 1.0
    assert 0.4 <= areas[True] <= 0.6


def test_it_is_other_data_for_a_store_and_for_a_study(folder: str) -> None:
    as_recorded, scaled = listed(folder), listed(folder, equal_level=True)
    assert as_recorded.fingerprint != scaled.fingerprint
    assert as_recorded.fingerprint == listed(folder, equal_level=False).fingerprint
    assert not {take.digest for take in as_recorded.recordings} & {take.digest for take in scaled.recordings}


def test_every_source_has_it() -> None:
    options = {"num_normal": 4, "num_anomalous": 2, "seconds": 0.5, "equal_level": True}
    levels = [take.read().std(axis=1) for take in listed("simulated", **options).recordings]
    np.testing.assert_allclose(levels, RMS, rtol=1e-4)


@pytest.mark.parametrize("value", [1, "yes", None])
def test_it_is_true_or_false(folder: str, value: object) -> None:
    with pytest.raises(UserError, match="equal_level must be true or false"):
        open_source(folder, options={"equal_level": value})
