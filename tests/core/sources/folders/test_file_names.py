"""Names of files and folders: every layout that is recognised, and names that are not."""

import pytest

from core.errors import UserError
from core.sources.folders.file_names import noise_level_db, parse_path, split_channel


@pytest.mark.parametrize(
    ("path", "machine", "label", "condition", "split"),
    [
        # DCASE 2020
        ("fan/train/normal_id_01_00000000.wav", "fan-id_01", "normal", "normal", "train"),
        ("fan/test/anomaly_id_01_00000000.wav", "fan-id_01", "anomalous", "", "held_out"),
        ("dev_data/ToyCar/test/normal_id_04_00000399.wav", "ToyCar-id_04", "normal", "normal", "held_out"),
        ("fan/test/id_05_00000000.wav", "fan-id_05", "unknown", "", "held_out"),
        ("train/normal_id_01_00000000.wav", "the-corpus-id_01", "normal", "normal", "train"),
        ("normal_id_01_00000000.wav", "the-corpus-id_01", "normal", "normal", None),
        # DCASE 2021 and later
        (
            "fan/train/section_00_source_train_normal_0001_strength_1_ambient.wav",
            *("fan-section_00", "normal", "normal", "train"),
        ),
        ("fan/source_test/section_01_source_test_normal_0002.wav", "fan-section_01", "normal", "normal", "held_out"),
        (
            "fan/target_test/section_02_target_test_anomaly_0003.wav",
            *("fan-section_02", "anomalous", "target domain", "held_out"),
        ),
        (
            "dev/bearing/test/section_00_source_test_anomaly_0000_noAttribute.wav",
            *("bearing-section_00", "anomalous", "source domain", "held_out"),
        ),
        ("fan/section_00_target_train_normal_0001_A1Spd28VMic1.wav", "fan-section_00", "normal", "normal", "train"),
        ("fan/source_test/section_03_source_test_0000.wav", "fan-section_03", "unknown", "", "held_out"),
        ("fan/test/section_03_test_0000.wav", "fan-section_03", "unknown", "", "held_out"),
        ("fan/test/section_00_0000.wav", "fan-section_00", "unknown", "", "held_out"),
        ("fan/supplemental/section_00_noise_supplemental_normal_0000.wav", "fan-section_00", "unknown", "", None),
        ("fan/supplemental/section_00_source_supplemental_machine_0.wav", "fan-section_00", "unknown", "", None),
        ("fan/supplemental/normal/a.wav", "fan", "unknown", "", None),
        ("fan/section_00_source_supplemental_normal_0000.wav", "fan-section_00", "unknown", "", None),
        # MIMII
        ("6_dB_fan/fan/id_00/normal/00000000.wav", "fan-id_00", "normal", "normal", None),
        ("-6_dB_pump/pump/id_00/abnormal/00000000.wav", "pump-id_00", "anomalous", "", None),
        ("id_00/abnormal/00000000.wav", "the-corpus-id_00", "anomalous", "", None),
        # By hand
        ("normal/a.wav", "the-corpus", "normal", "normal", None),
        ("fan/Faulty/monday/a.wav", "fan", "anomalous", "", None),
        ("fan/train/normal/a.wav", "fan", "normal", "normal", "train"),
        ("test/fan/anomaly/a.wav", "fan", "anomalous", "", "held_out"),
        ("normal/anomaly_of_monday.wav", "the-corpus", "normal", "normal", None),
        # Both agree
        ("fan/train/normal/normal_id_01_00000000.wav", "fan-id_01", "normal", "normal", "train"),
        # A microphone in the name
        ("fan/test/anomaly_id_01_00000000_ch2.wav", "fan-id_01", "anomalous", "", "held_out"),
    ],
)
def test_what_a_path_says(path, machine, label, condition, split):
    parsed = parse_path(path, corpus_name="the-corpus")
    assert parsed is not None
    assert (parsed.machine, parsed.label, parsed.condition, parsed.split) == (machine, label, condition, split)


@pytest.mark.parametrize(
    "path",
    [
        "a.wav",
        "fan/a.wav",
        "train/a.wav",
        "normal.wav",
        "abnormally/a.wav",
        "fan/section_two.wav",
        "fan/my_id_01_1.wav",
    ],
)
def test_a_path_that_says_no_label_and_has_no_known_name_is_none(path):
    assert parse_path(path, corpus_name="c") is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("anomalous/normal_id_01_00000000.wav", "anomalous and normal in its name"),
        ("fan/normal/section_00_source_test_anomaly_0000.wav", "normal and anomaly in its name"),
        ("fan/normal/monday/faulty/a.wav", "normal and faulty"),
        ("fan/train/section_00_source_test_normal_0000.wav", "train and test in its name"),
        ("fan/source_test/section_00_source_train_normal_0000.wav", "source_test and train in its name"),
    ],
)
def test_a_contradiction_names_the_file_and_both_sides(path, words):
    with pytest.raises(UserError) as refusal:
        parse_path(path, corpus_name="c")
    assert repr(path) in str(refusal.value)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("stem", "channel", "rest"),
    [
        ("take_7_ch2", 2, "take_7"),
        ("take_7_CH_02", 2, "take_7"),
        ("take-ch10", 10, "take"),
        ("x_ch1_0001", 1, "x_0001"),
        ("ch3_take", 3, "take"),
        ("ch3", 3, ""),
    ],
)
def test_a_microphone_is_read_from_the_name(stem, channel, rest):
    name = split_channel(stem)
    assert name is not None
    assert (name.channel, name.stem) == (channel, rest)


@pytest.mark.parametrize("stem", ["take_7", "branch1", "ch", "chapter_1", "take_ch", "take_ch1a", "match_1"])
def test_a_name_without_a_microphone_has_none(stem):
    assert split_channel(stem) is None


def test_names_that_differ_in_the_microphone_alone_are_one_take_and_others_are_not():
    assert len({split_channel(f"x_ch{number}_0001").take for number in ("1", "02", "10")}) == 1
    stems = ["a_ch1", "b_ch1", "a_ch1_0001", "a_ch_1", "a-ch1"]
    assert len({split_channel(stem).take for stem in stems}) == len(stems)


@pytest.mark.parametrize(
    ("path", "level"),
    [
        ("6_dB_fan/fan/id_00/normal/0.wav", 6),
        ("x/-6_dB_fan/0.wav", -6),
        ("0_dB_fan/0.wav", 0),
        ("fan/6_dB_a.wav", None),
    ],
)
def test_the_noise_level_is_read_from_the_folder(path, level):
    assert noise_level_db(path) == level
