"""Layouts of public data sets: DCASE, MIMII, and one file a microphone."""

import numpy as np
import pytest

from core.data.recordings import BadRecording
from core.errors import UserError
from tests.folder_files import listed, noise, write


def test_dcase_names_bring_their_own_split_and_machines(tmp_path):
    for name in (
        "fan/train/normal_id_01_00000000.wav",
        "fan/test/anomaly_id_01_00000000.wav",
        "fan/test/normal_id_01_00000000.wav",
        "pump/train/section_00_source_train_normal_0000_noAttribute.wav",
        "pump/test/section_00_target_test_anomaly_0000.wav",
    ):
        write(tmp_path / name)
    assert {(t.machine, t.label, t.condition, t.split) for t in listed(tmp_path).recordings} == {
        ("fan-id_01", "normal", "normal", "train"),
        ("fan-id_01", "anomalous", "", "held_out"),
        ("fan-id_01", "normal", "normal", "held_out"),
        ("pump-section_00", "normal", "normal", "train"),
        ("pump-section_00", "anomalous", "target domain", "held_out"),
    }


@pytest.mark.parametrize(
    "names",
    [
        ("fan/train/normal_id_01_00000000.wav", "fan/train/normal_id_01_00000001.wav"),  # the rest was not loaded
        ("train/normal/0.wav", "train/normal/1.wav", "test/abnormal/0.wav"),
        ("fan/train/normal_id_01_00000000.wav", "fan/test/id_01_00000000.wav"),  # an evaluation set, without labels
    ],
)
def test_a_split_that_holds_out_no_healthy_take_is_left_to_the_study(tmp_path, names):
    for seed, name in enumerate(names):
        write(tmp_path / name, noise(seed=seed))
    corpus = listed(tmp_path)
    assert {take.split for take in corpus.recordings} == {None}
    assert "lacks healthy ones in a part, so the study makes its own" in corpus.description


def test_beside_a_validation_part_the_test_part_is_all_test(tmp_path):
    for seed, part in enumerate(("train", "val", "test")):
        for label in ("normal",) if part == "train" else ("normal", "abnormal"):
            write(tmp_path / f"{part}/{label}/0.wav", noise(seed=seed))
    splits = {(take.split, take.machine) for take in listed(tmp_path).recordings}
    assert splits == {(part, tmp_path.name) for part in ("train", "validation", "test")}


@pytest.mark.parametrize(
    "names",
    [
        ("train/normal/0.wav", "val/normal/0.wav", "val/abnormal/0.wav"),  # no test part
        ("train/normal/0.wav", "val/normal/0.wav", "test/normal/0.wav", "test/abnormal/0.wav"),  # no fault in val
    ],
)
def test_a_validation_part_that_cannot_stand_beside_a_test_part_is_held_out_with_it(tmp_path, names):
    for seed, name in enumerate(names):
        write(tmp_path / name, noise(seed=seed))
    assert {take.split for take in listed(tmp_path).recordings} == {"train", "held_out"}


def test_folders_without_a_training_part_state_no_split(tmp_path):
    for seed, name in enumerate(("test/normal/0.wav", "test/abnormal/0.wav")):
        write(tmp_path / name, noise(seed=seed))
    assert {take.split for take in listed(tmp_path).recordings} == {None}


def test_mimiis_units_are_machines_of_their_kind_and_noise_levels_do_not_mix(tmp_path):
    for name in ("6_dB_fan/fan/id_00/normal/0.wav", "0_dB_pump/pump/id_00/abnormal/0.wav"):
        write(tmp_path / name, noise(8))
    assert {(t.machine, t.num_channels) for t in listed(tmp_path).recordings} == {("fan-id_00", 8), ("pump-id_00", 8)}
    write(tmp_path / "-6_dB_fan/fan/id_00/normal/0.wav", noise(8))
    with pytest.raises(UserError, match="'fan-id_00' must have one noise level"):
        listed(tmp_path)


@pytest.mark.parametrize("pattern", ["take_ch{}", "take_ch_{}", "take-ch{}", "take_ch{}_01"])
def test_files_that_differ_in_the_microphone_are_one_take_in_its_order(tmp_path, pattern):
    for channel in (10, 2, 1):
        write(tmp_path / f"normal/{pattern.format(channel)}.wav", noise(seed=channel))
        write(tmp_path / f"faulty/{pattern.format(channel)}.wav", noise(seed=channel))
    _, take = listed(tmp_path).recordings
    assert (take.recording_id, take.label, take.num_channels) == (f"normal/{pattern.format(1)}.wav", "normal", 3)
    expected = np.concatenate([noise(seed=channel) for channel in (1, 2, 10)], axis=1).T
    np.testing.assert_allclose(take.read(), expected, atol=1e-4)


def test_a_take_without_a_microphone_that_others_have_is_left_out_and_named(tmp_path):
    for name in ("a_ch1", "a_ch2", "b_ch2", "c_ch1", "c_ch2", "d_ch1"):
        write(tmp_path / f"normal/{name}.wav")
    corpus = listed(tmp_path)
    assert [take.recording_id for take in corpus.recordings] == ["normal/a_ch1.wav", "normal/c_ch1.wav"]
    assert [(s.name, "has no microphone" in s.reason) for s in corpus.skipped] == [
        ("normal/b_ch2.wav", True), ("normal/d_ch1.wav", True),
    ]  # fmt: skip


def test_a_microphone_that_is_there_twice_is_refused(tmp_path):
    for name in ("a_ch1", "a_ch01", "a_ch2"):
        write(tmp_path / f"normal/{name}.wav")
    with pytest.raises(UserError, match=r"'normal/a_ch01\.wav' and 'normal/a_ch1\.wav', both number 1"):
        listed(tmp_path)


def test_microphones_of_unequal_length_are_a_bad_take(tmp_path):
    write(tmp_path / "normal/a_ch1.wav")
    write(tmp_path / "normal/a_ch2.wav", noise(num_samples=3999))
    write(tmp_path / "normal/b_ch1.wav")
    write(tmp_path / "normal/b_ch2.wav")
    with pytest.raises(BadRecording, match=r"'normal/a_ch2\.wav' must have the rate and length"):
        listed(tmp_path)
    corpus = listed(tmp_path, skip_bad_files=True)
    assert [take.recording_id for take in corpus.recordings] == ["normal/b_ch1.wav"]
    assert [skipped.name for skipped in corpus.skipped] == ["normal/a_ch1.wav"]
