"""Splits: no take in two parts, none lost, every machine in every part, and no dependence on the listing order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.recordings import Label, Recording
from core.data.splits import Split, SplitConfig, split_of, split_recordings
from core.errors import UserError

PARTS = ("train", "calibration", "validation", "test")


def recording(name: str, label: Label = "normal", machine: str = "fan", condition: str = "", split=None) -> Recording:
    return Recording(
        recording_id=name,
        machine=machine,
        label=label,
        condition=condition,
        num_channels=1,
        sample_rate_hz=4000,
        num_samples=4000,
        digest=name,
        split=split,
        read=lambda: np.zeros((1, 4000), np.float32),
    )


def takes(num_normal: int, num_anomalous: int, machine: str = "fan") -> list[Recording]:
    return [recording(f"{machine}/n{i}", machine=machine) for i in range(num_normal)] + [
        recording(f"{machine}/a{i}", "anomalous", machine, f"fault {i % 3}") for i in range(num_anomalous)
    ]


def ids(split: Split) -> dict[str, list[str]]:
    return {part: [take.recording_id for take in getattr(split, part)] for part in PARTS}


@st.composite
def corpora(draw) -> list[Recording]:
    machines = draw(st.lists(st.tuples(st.integers(4, 20), st.integers(0, 9)), min_size=1, max_size=4))
    everything = [take for i, counts in enumerate(machines) for take in takes(*counts, machine=f"m{i}")]
    everything += takes(4, 2, machine="m with both")
    unknown = [recording(f"u{i}", "unknown") for i in range(draw(st.integers(0, 3)))]
    return draw(st.permutations(everything + unknown))


fractions = st.floats(0.05, 0.49)
configs = st.builds(
    SplitConfig,
    validation_fraction=fractions,
    test_fraction=fractions,
    calibration_fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 5),
)


@given(corpora(), configs)
@settings(max_examples=60, deadline=None)
def test_every_labelled_take_is_in_exactly_one_part_and_no_unknown_one_in_any(everything, config):
    split = split_recordings(everything, config)
    placed = Counter(name for names in ids(split).values() for name in names)
    assert placed == Counter(take.recording_id for take in everything if take.label != "unknown")


@given(corpora(), configs)
@settings(max_examples=60, deadline=None)
def test_every_machine_is_everywhere_and_only_normal_takes_are_learned_from(everything, config):
    split = split_recordings(everything, config)
    machines = {take.machine for take in everything if take.label != "unknown"}
    for part in PARTS:
        assert {take.machine for take in getattr(split, part) if take.label == "normal"} == machines
    assert {take.label for take in (*split.train, *split.calibration)} == {"normal"}


@given(corpora(), configs)
@settings(max_examples=60, deadline=None)
def test_anomalous_takes_are_shared_evenly_by_machine_and_condition(everything, config):
    split = split_recordings(everything, config)
    for key in ("machine", "condition"):
        counts = Counter()
        for sign, part in ((1, split.validation), (-1, split.test)):
            counts.update({(t.machine, getattr(t, key)): 0 for t in part})
            for take in part:
                counts[take.machine, getattr(take, key)] += sign * (take.label == "anomalous")
        assert all(abs(difference) <= 1 for difference in counts.values())


@given(corpora(), st.randoms())
@settings(max_examples=30, deadline=None)
def test_the_order_of_listing_does_not_matter(everything, random):
    shuffled = list(everything)
    random.shuffle(shuffled)
    assert split_recordings(everything, SplitConfig()) == split_recordings(shuffled, SplitConfig())


def test_another_seed_makes_another_split_of_normal_and_anomalous_takes():
    first, second = (split_recordings(takes(20, 20), SplitConfig(seed=seed)) for seed in (0, 1))
    for label in ("normal", "anomalous"):
        validation = [[t.recording_id for t in s.validation if t.label == label] for s in (first, second)]
        assert validation[0] != validation[1]


def test_fractions_are_met():
    split = split_recordings(
        takes(40, 10), SplitConfig(validation_fraction=0.1, test_fraction=0.3, calibration_fraction=0.5)
    )
    normal = {part: sum(take.label == "normal" for take in getattr(split, part)) for part in PARTS}
    assert normal == {"validation": 4, "test": 12, "calibration": 12, "train": 12}


def test_single_anomalous_takes_go_to_validation_and_test_by_turns():
    split = split_recordings([*takes(4, 1, "a"), *takes(4, 1, "b"), *takes(4, 1, "c")], SplitConfig())
    where = {t.machine: part for part in PARTS for t in getattr(split, part) if t.label == "anomalous"}
    assert where == {"a": "validation", "b": "test", "c": "validation"}


@pytest.mark.parametrize(
    ("everything", "words"),
    [
        ([], ["normal recordings", "none among 0"]),
        (takes(8, 0), ["anomalous recordings", "none among 8"]),
        (takes(0, 8), ["normal recordings", "none among 8"]),
        ([recording("u", "unknown")], ["normal recordings", "none among 1"]),
        (takes(8, 1), ["at least 2", "got 1"]),
        ([*takes(8, 2), *takes(3, 2, "pump")], ["'pump'", "at least 4", "got 3"]),
        ([*takes(8, 2), *takes(0, 2, "pump")], ["'pump'", "at least 4", "got 0"]),
    ],
)
def test_recordings_that_cannot_carry_a_study_are_refused_in_one_line(everything, words):
    with pytest.raises(UserError) as refusal:
        split_recordings(everything, SplitConfig())
    assert all(word in str(refusal.value) for word in words)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"validation_fraction": 0.0},
        {"test_fraction": 1.0},
        {"calibration_fraction": -0.1},
        {"calibration_fraction": float("nan")},
        {"validation_fraction": 0.5, "test_fraction": 0.5},
    ],
)
def test_fractions_that_leave_nothing_are_refused(wrong):
    with pytest.raises(UserError, match=f"split.{next(iter(wrong))}"):
        SplitConfig(**wrong)


def asked() -> list[Recording]:
    return [
        *(recording(f"train{i}", split="train") for i in range(4)),
        recording("v0", split="validation"),
        recording("v1", "anomalous", split="validation"),
        recording("t0", split="test"),
        recording("t1", "anomalous", split="test"),
        recording("u", "unknown"),
    ]


def test_the_split_that_is_asked_for_is_given_and_train_gives_calibration():
    for seed in range(5):
        parts = ids(split_recordings(asked(), SplitConfig(seed=seed)))
        assert parts["validation"] == ["v0", "v1"]
        assert parts["test"] == ["t0", "t1"]
        assert len(parts["calibration"]) == 1
        assert sorted(parts["calibration"] + parts["train"]) == ["train0", "train1", "train2", "train3"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([recording("x")], ["stated for every recording", "'x'"]),
        ([recording("x", "anomalous", split="train")], ["only normal recordings", "'x'"]),
        ([recording("x", machine="pump", split="test")], ["'pump'", "at least 2", "got 0"]),
        ([recording("x", machine="pump", split="train")], ["'pump'", "at least 2", "got 1"]),
    ],
)
def test_a_split_that_cannot_be_asked_for_is_refused(more, words):
    with pytest.raises(UserError) as refusal:
        split_recordings([*asked(), *more], SplitConfig())
    assert all(word in str(refusal.value) for word in words)


@pytest.mark.parametrize("missing", ["v0", "v1", "t0", "t1"])
def test_a_part_that_is_asked_for_must_hold_both_labels(missing):
    part = {"v": "validation", "t": "test"}[missing[0]]
    with pytest.raises(UserError, match=f"split {part} must hold normal and anomalous"):
        split_recordings([take for take in asked() if take.recording_id != missing], SplitConfig())


@given(corpora(), st.integers(3, 4), st.sampled_from(["takes", "parts"]))
@settings(max_examples=60, deadline=None)
def test_over_all_folds_each_normal_take_is_tested_once_and_validates_once(
    everything: list[Recording], folds: int, calibration: str
) -> None:
    splits = [
        split_recordings(everything, SplitConfig(folds=folds, fold=fold, calibration=calibration))
        for fold in range(folds)
    ]
    for part in ("test", "validation"):
        heard = Counter(
            take.recording_id for split in splits for take in getattr(split, part) if take.label == "normal"
        )
        assert heard == {take.recording_id: 1 for take in everything if take.label == "normal"}
    for split in splits:
        parts = ids(split)
        learned = {*parts["train"], *parts["calibration"]}
        assert not learned & {*parts["validation"], *parts["test"]}
        assert not set(parts["validation"]) & set(parts["test"])
        assert (parts["train"] == parts["calibration"]) == (calibration == "parts")
        assert all(take.label == "normal" for take in split.train + split.calibration)
    assert ids(splits[0]) == ids(
        split_recordings(everything[::-1], SplitConfig(folds=folds, fold=0, calibration=calibration))
    )


def test_a_fold_of_four_takes_is_as_drawn() -> None:
    split = split_recordings(takes(4, 4), SplitConfig(folds=4, fold=1, calibration="parts"))
    assert ids(split)["test"][-1] == "fan/n1"
    assert ids(split)["validation"][-1] == "fan/n2"
    assert ids(split)["train"] == ids(split)["calibration"] == ["fan/n0", "fan/n3"]


def test_an_anomalous_take_is_tested_in_every_other_fold() -> None:
    tested = [
        {take.recording_id for take in split_recordings(takes(4, 5), SplitConfig(folds=4, fold=fold)).test}
        for fold in range(4)
    ]
    anomalous = [{name for name in names if "/a" in name} for names in tested]
    assert anomalous[0] == anomalous[2]
    assert anomalous[1] == anomalous[3]
    assert not anomalous[0] & anomalous[1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"folds": 2}, "split.folds must be at least 3"),
        ({"folds": 4, "fold": 4}, "split.fold must be 0 to split.folds - 1"),
        ({"fold": 1}, "split.fold must be 0 to split.folds - 1"),
        ({"calibration": "halves"}, "split.calibration must be one of takes, parts"),
    ],
)
def test_impossible_folds_are_named_in_one_line(values: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        SplitConfig(**values)


def test_folds_need_so_many_takes_that_do_not_ask_for_a_split() -> None:
    with pytest.raises(UserError, match="must have at least 5 normal takes for 5 folds"):
        split_recordings(takes(4, 2), SplitConfig(folds=5))
    asking = [recording(f"{part}{i}", split=part) for part in ("train", "validation", "test") for i in range(2)]
    asking += [recording(f"a{part}", "anomalous", split=part) for part in ("validation", "test")]
    with pytest.raises(UserError, match=r"split\.folds must be 0"):
        split_recordings(asking, SplitConfig(folds=4))
    with pytest.raises(UserError, match="where takes are streamed"):
        split_of(recording("x"), SplitConfig(calibration="parts"))
