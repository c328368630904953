"""Of recordings that are copies of each other one is used, unless their labels contradict each other."""

import numpy as np
import pytest

from core.errors import UserError
from core.sources import open_source
from tests.folder_files import noise, write


def test_one_of_several_copies_is_used_and_the_others_are_named(tmp_path):
    for name, seed in (("a", 1), ("b", 2), ("c", 1), ("d", 1)):
        write(tmp_path / f"normal/{name}.wav", noise(seed=seed))
    corpus = open_source(f"folder:{tmp_path}")
    assert [take.recording_id for take in corpus.recordings] == ["normal/a.wav", "normal/b.wav"]
    assert [each.reason for each in corpus.skipped] == [
        "'normal/c.wav' is a copy of 'normal/a.wav'",
        "'normal/d.wav' is a copy of 'normal/a.wav'",
    ]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ("abnormal/x", "normal/a"),
            "must have one label, but 'abnormal/x.wav' is anomalous and 'normal/a.wav' is normal",
        ),
        (("fan/normal/x", "pump/normal/x"), "must have one machine, but 'fan/normal/x.wav' is fan and"),
    ],
)
def test_copies_that_contradict_each_other_are_refused(tmp_path, names, words):
    for name in names:
        write(tmp_path / f"{name}.wav", noise(seed=1))
    with pytest.raises(UserError, match=words):
        open_source(f"folder:{tmp_path}")


def test_with_skip_bad_files_copies_that_contradict_each_other_are_all_left_out(tmp_path):
    """Nobody knows which label is right. Two files without any sound are such copies."""
    silence = np.zeros((2000, 1))
    for name in ("normal/a", "anomalous/b", "anomalous/c"):
        write(tmp_path / f"{name}.wav", silence)
    write(tmp_path / "normal/good.wav", noise(seed=1))
    corpus = open_source(f"folder:{tmp_path}", skip_bad_files=True)
    assert [take.recording_id for take in corpus.recordings] == ["normal/good.wav"]
    assert sorted(each.name for each in corpus.skipped) == ["anomalous/b.wav", "anomalous/c.wav", "normal/a.wav"]
    assert all("must have one label" in each.reason for each in corpus.skipped)
