"""ToyADMOS names: their parts, with or without the digits in front, and the faults by number."""

import pytest

from core.sources.toyadmos.names import FAULTS, parse_name, parse_noise_name


@pytest.mark.parametrize(
    "front", ["1101020003_", "010003_", "", "_", "case1/AnomalousSound_IND/1101020003_", "./a b/ToyCar_case2_x_"]
)
def test_only_the_readable_part_counts(front):
    name = parse_name(f"{front}ToyCar_case1_ab01_IND_ch2_0003")
    assert name is not None
    assert (name.machine, name.case, name.condition, name.style, name.channel, name.take) == (
        "ToyCar", 1, "ab01", "IND", 2, "0003",
    )  # fmt: skip
    assert (name.car, name.label, name.meaning) == ("ToyCar-case1", "anomalous", "ab01 under voltage")
    assert name.take_id == "ToyCar_case1_ab01_IND_0003"


def test_takes_differ_in_everything_but_the_microphone():
    stems = [
        f"ToyCar_case{case}_{condition}_{style}_ch{channel}_{take}"
        for case in (1, 2)
        for condition in ("normal", "ab01")
        for style in ("IND", "CNT")
        for take in ("0001", "0002")
        for channel in (1, 2, 10)
    ]
    names = [parse_name(stem) for stem in stems]
    assert len({name.take_id for name in names}) == len(stems) / 3
    assert {name.channel for name in names} == {1, 2, 10}


@pytest.mark.parametrize(
    "stem",
    [
        "",
        "normal_id_01_00000000",
        "ToyCar_case1_normal_IND_ch1",
        "ToyCar_case1_normal_IND_ch1_0001 (1)",
        "ToyCar_case1_normal_IND_ch1_0001_16k",
        "ToyCar_case1_broken_IND_ch1_0001",
        "ToyCar_case1_ab1_IND_ch1_0001",
        "ToyCar_case1_normal_XYZ_ch1_0001",
        "ToyCar_case_normal_IND_ch1_0001",
        "ToyCar_case１_normal_IND_ch1_0001",
        "xToyCar_case1_normal_IND_ch1_0001",
        "toycar_case1_normal_ind_ch1_0001",
        "ToyCar_case1_normal_IND_ch1_0001\n",
    ],
)
def test_other_names_are_none(stem):
    assert parse_name(stem) is None


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("ab01", "under voltage"),
        ("ab02", "over voltage"),
        ("ab03", "plastic ribbon"),
        ("ab05", "plastic ribbon, over voltage"),
        ("ab09", "deformed gears"),
        ("ab18", "melted gears"),
        ("ab27", "bent shaft"),
        ("ab53", "bent shaft, melted gears, steel ribbon, over voltage"),
    ],
)
def test_faults_by_number(code, meaning):
    assert FAULTS[code] == meaning


def test_all_faults_are_there_once():
    assert list(FAULTS) == [f"ab{number:02d}" for number in range(1, 54)]
    assert len(set(FAULTS.values())) == 53


def test_a_code_or_a_machine_that_nobody_explained_is_left_as_it_is():
    assert parse_name("ToyCar_case1_ab54_IND_ch1_0001").meaning == "ab54"
    assert parse_name("ToyTrain_case1_ab01_IND_ch1_0001").meaning == "ab01"
    assert parse_name("ToyCar_case1_normal_IND_ch1_0001").meaning == "normal"


@pytest.mark.parametrize(
    "pattern",
    [
        "19000{}0001_ToyCar_N_IND_ch{}_0001",
        "19000{}0001_ToyCar_N_CNT_ch{}_0001",
        "0{}_noise_ch{}_12",
        "ch{1}_0001",
        "0007_ch{1}",
    ],
)
def test_files_of_one_noise_share_all_but_the_microphone(pattern):
    parsed = [parse_noise_name(pattern.format(channel, channel)) for channel in (1, 2)]
    assert parsed[0][0] == parsed[1][0]
    assert [channel for _, channel in parsed] == [1, 2]


def test_recordings_of_noise_are_told_apart():
    stems = ("N_ch1_0001", "N_ch1_0002", "M_ch1_0001", "1_ch1", "2_ch1")
    assert len({parse_noise_name(stem)[0] for stem in stems}) == len(stems)


@pytest.mark.parametrize("stem", ["", "noise", "noise_ch", "noise_ch1x", "beach1_0001"])
def test_noise_without_a_microphone_is_none(stem):
    assert parse_noise_name(stem) is None
