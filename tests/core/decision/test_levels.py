"""How loud recordings are against the calibration clips: measured right, and said where it is far outside."""

import numpy as np
import pytest

from core.data.clips import ClipSet
from core.decision.levels import DEAD_DB, FAR_DB, LEAST_DBFS, LevelRange, clip_levels, level_ranges, level_warnings

RANGE = (LevelRange(quietest_dbfs=-30.0, loudest_dbfs=-25.0),)


def test_a_sine_at_full_scale_has_minus_3_dbfs_whatever_its_offset():
    sine = np.sin(np.arange(8000) * 2 * np.pi / 80)
    levels = clip_levels(np.stack([[sine, sine / 10 + 0.5]]).astype(np.float32))
    assert levels == pytest.approx(np.array([[-3.01, -23.01]]), abs=0.01)


def test_silence_has_the_least_level():
    assert clip_levels(np.full((1, 2, 100), 0.25, np.float32)).tolist() == [[LEAST_DBFS] * 2]


def test_ranges_are_of_each_machine_and_channel():
    sound = np.random.default_rng(0).normal(0, 1, (4, 2, 4000)).astype(np.float32)
    amplitudes = np.array([[0.1, 0.01], [0.2, 0.01], [0.001, 0.1], [0.001, 0.5]], np.float32)[:, :, None]
    clips = ClipSet(
        waveforms=sound * amplitudes,
        recording_ids=("a", "b", "c", "d"),
        machines=("fan", "fan", "pump", "pump"),
        conditions=("normal",) * 4,
        starts_s=(0.0,) * 4,
        is_anomalous=np.zeros(4, bool),
    )
    ranges = level_ranges(clips)
    found = {name: [(r.quietest_dbfs, r.loudest_dbfs) for r in channels] for name, channels in ranges.items()}
    expected = {"fan": [(-20, -14), (-40, -40)], "pump": [(-60, -60), (-20, -6)]}
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=0.3)


@pytest.mark.parametrize(
    ("levels", "excess_db", "num_clips", "is_in_every_clip"),
    [
        ([-30.0, -25.0], None, 0, False),
        ([-30.0 - FAR_DB, -25.0 + FAR_DB], None, 0, False),
        ([-90.0, -28.0], -60.0, 1, False),
        ([-90.0, -80.0], -60.0, 2, True),
        ([-4.0, -28.0, -3.0], 22.0, 2, False),
    ],
)
def test_a_level_is_said_where_it_is_far_outside(levels, excess_db, num_clips, is_in_every_clip):
    found = level_warnings(np.array(levels)[:, None], RANGE, (1,))
    if excess_db is None:
        assert found == ()
        return
    (warning,) = found
    assert warning.excess_db == pytest.approx(excess_db)
    assert (warning.num_clips, warning.is_in_every_clip) == (num_clips, is_in_every_clip)


@pytest.mark.parametrize(
    ("levels", "num_channels", "words"),
    [
        ([-73.0], 1, "level 43 dB below the quietest training clip: a dead microphone?"),
        ([-73.0, -30.0], 2, "microphone 1: level 43 dB below the quietest training clip in 1 of 2 clips: a dead mic"),
        ([6.0], 1, "level 31 dB above the loudest training clip: another gain?"),
    ],
)
def test_a_warning_in_words(levels, num_channels, words):
    (warning,) = level_warnings(np.array(levels)[:, None], RANGE, (1,))
    assert warning.describe(num_clips=len(levels), num_channels=num_channels).startswith(words)


def test_microphones_of_one_side_are_said_together():
    levels = np.array([[-90.0, -28.0, -80.0], [-28.0, -28.0, -70.0]])
    (warning,) = level_warnings(levels, RANGE * 3, (1, 2, 3))
    assert warning.describe(num_clips=2, num_channels=3) == (
        "microphones 1, 3: level 60 dB below the quietest training clip: a dead microphone?"
    )


@pytest.mark.parametrize(
    ("levels", "dead"),
    [
        ([[-70.0, -28.0], [-71.0, -28.0]], (1,)),
        ([[-70.0, -28.0], [-69.0, -28.0]], ()),
        ([[-30.0 - DEAD_DB, -90.0]], (1, 2)),
        ([[20.0, 20.0]], ()),
    ],
)
def test_a_microphone_is_dead_where_every_clip_is_so_quiet(levels, dead):
    (warning,) = level_warnings(np.array(levels), RANGE * 2, (1, 2))
    assert warning.dead_microphones == dead
