"""The ToyADMOS tree: takes from files, every oddity that such trees have, and wrong options."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.data.recordings import BadRecording, Corpus, Recording
from core.errors import UserError
from core.sources.toyadmos.source import open_toyadmos
from tests.toyadmos_layout import sound, take_name, write, write_tree

RATE_HZ = 8000
TAKE_SAMPLES = 800


def listed(path: Path, *, skip_bad_files: bool = False, **options: object) -> Corpus:
    return open_toyadmos(path, options, skip_bad_files=skip_bad_files)


def ids(corpus: Corpus) -> list[str]:
    return [recording.recording_id.removeprefix("ToyCar_case1_") for recording in corpus.recordings]


def take(corpus: Corpus, recording_id: str) -> Recording:
    (found,) = (r for r in corpus.recordings if r.recording_id == f"ToyCar_case1_{recording_id}")
    return found


def refusal_of(path: Path, **options: object) -> str:
    with pytest.raises(UserError) as refusal:
        listed(path, **options)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def sounds(microphones: Sequence[int], **name: object) -> np.ndarray:
    """(C, T), as written for one take."""
    names = [take_name(microphone=microphone, **name).rpartition("/")[2] for microphone in microphones]
    return np.stack([sound(name, num_samples=TAKE_SAMPLES) for name in names])


def test_four_files_are_one_recording_with_what_its_name_says(tmp_path):
    write_tree(tmp_path, cases=(1, 4), num_normal=1, conditions=("ab27",))
    corpus = listed(tmp_path)
    assert [(r.recording_id, r.machine, r.label, r.condition) for r in corpus.recordings] == [
        ("ToyCar_case1_ab27_IND_0001", "ToyCar-case1", "anomalous", "ab27 bent shaft"),
        ("ToyCar_case1_normal_IND_0001", "ToyCar-case1", "normal", "normal"),
        ("ToyCar_case4_ab27_IND_0001", "ToyCar-case4", "anomalous", "ab27 bent shaft"),
        ("ToyCar_case4_normal_IND_0001", "ToyCar-case4", "normal", "normal"),
    ]
    assert {(r.num_channels, r.sample_rate_hz, r.num_samples) for r in corpus.recordings} == {(4, 8000, 800)}
    assert corpus.skipped == ()


def test_channels_are_in_the_order_of_the_microphones_numbers(tmp_path):
    write_tree(tmp_path, num_normal=1, microphones=(10, 2, 1))
    expected = sounds((1, 2, 10))
    np.testing.assert_allclose(take(listed(tmp_path), "normal_IND_0001").read(), expected, atol=1e-4)
    two = listed(tmp_path, microphones=[10, 1])
    np.testing.assert_allclose(take(two, "normal_IND_0001").read(), expected[[0, 2]], atol=1e-4)
    assert "microphones 1, 10" in two.description


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "ALAW"])
def test_any_subtype_is_read(tmp_path, subtype):
    write_tree(tmp_path, num_normal=1, subtype=subtype)
    waveform = take(listed(tmp_path), "normal_IND_0001").read()
    np.testing.assert_allclose(waveform, sounds((1, 2, 3, 4)), atol=0.02)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["case1_ab01_IND", "case1_normal_IND", "case2_ab01_IND", "case2_normal_IND"]),
        ({"cases": [2]}, ["case2_ab01_IND", "case2_normal_IND"]),
        ({"cases": [2], "takes": ["CNT"]}, ["case2_normal_CNT"]),
        ({"cases": [1], "takes": ["CNT", "IND"]}, ["case1_ab01_IND", "case1_normal_CNT", "case1_normal_IND"]),
    ],
)
def test_options_choose_takes(tmp_path, options, expected):
    write_tree(tmp_path, cases=(1, 2), num_normal=1, num_continuous=1, microphones=(1,))
    corpus = listed(tmp_path, **options)
    assert [r.recording_id for r in corpus.recordings] == [f"ToyCar_{name}_0001" for name in expected]


def test_where_the_tree_lies_and_how_it_is_named_changes_nothing(tmp_path):
    tree = write_tree(tmp_path / "one", num_noises=2)
    shutil.copytree(tree, tmp_path / "two/renamed")
    (tmp_path / "ToyCar").symlink_to(tree)
    paths = (tree.parent, tree, tmp_path / "two/renamed", tmp_path / "ToyCar")
    corpora = [listed(path, noise_snr_db=0) for path in paths]
    assert len({corpus.fingerprint for corpus in corpora}) == 1
    assert len({corpus.recordings[0].read().tobytes() for corpus in corpora}) == 1


def test_digits_cut_in_front_and_folders_between_change_nothing(tmp_path):
    tree = write_tree(tmp_path / "one", num_noises=2)
    expected = listed(tree, noise_snr_db=3)
    for file in [*tree.rglob("*.wav")]:
        folder = file.parent / ("z" if file.stem.endswith("0001") else "")
        folder.mkdir(exist_ok=True)
        file.rename(folder / file.name.partition("_")[2])
    corpus = listed(tree, noise_snr_db=3)
    assert (corpus.fingerprint, corpus.skipped) == (expected.fingerprint, ())


def test_opening_decodes_nothing(tmp_path, monkeypatch):
    write_tree(tmp_path, num_noises=1)
    monkeypatch.setattr(soundfile, "read", lambda *_, **__: pytest.fail("decoded"))
    assert len(listed(tmp_path, noise_snr_db=0).recordings) == 3


def test_what_is_no_toyadmos_file_is_passed_over_and_named(tmp_path):
    tree = write_tree(tmp_path, num_normal=1, conditions=())
    expected = listed(tree)
    folder = tree / "case1/NormalSound_IND"
    stem = Path(take_name(take=9)).stem
    names = ("notes.txt", f"._{stem}.wav", "take.wav", f"{stem}.m4a", f"\t_{stem}.wav", ".DS_Store", f"{stem} (1).wav")
    for name in names:
        (folder / name).write_bytes(b"x")
    (tree / "EnvironmentalNoise_CNT").mkdir()
    (tree / "EnvironmentalNoise_CNT/rain.wav").write_bytes(b"x")
    (tree / ".hidden").mkdir()
    shutil.copy(tree / take_name(), tree / ".hidden")
    corpus = listed(tree)
    assert corpus.fingerprint == expected.fingerprint
    assert sorted(Path(skipped.name).name for skipped in corpus.skipped) == sorted((*names, "rain.wav"))
    assert all(repr(skipped.name) in skipped.reason for skipped in corpus.skipped)


def test_links_neither_hang_nor_lead_outside_nor_stand_in_for_a_microphone(tmp_path):
    outside = write(tmp_path / "outside" / Path(take_name(take=7)).name)
    tree = write_tree(tmp_path / "data", num_normal=2, conditions=(), microphones=(1, 2))
    (tree / "case1/loop").symlink_to(tree)
    (tree / "case1/away").symlink_to(outside.parent)
    (tree / take_name(take=7)).symlink_to(outside)
    (tree / take_name(take=8)).symlink_to(tree / take_name(take=8))
    first = tree / take_name(microphone=1, take=2)
    first.unlink()
    first.symlink_to(tree / take_name(microphone=2, take=2))
    corpus = listed(tree)
    assert ids(corpus) == ["normal_IND_0001"]
    assert {skipped.name for skipped in corpus.skipped} == {
        "case1/away", "case1/loop", take_name(take=7), take_name(take=8), take_name(microphone=1, take=2),
        "ToyCar_case1_normal_IND_0002",
    }  # fmt: skip


def test_a_file_that_moved_within_the_tree_is_found_through_its_link(tmp_path):
    tree = write_tree(tmp_path)
    expected = listed(tree).fingerprint
    file, store = tree / take_name(), tree / ".objects/0f3a"
    store.parent.mkdir()
    file.rename(store)
    file.symlink_to(store)
    assert listed(tree).fingerprint == expected


def test_a_link_to_a_tree_elsewhere_is_not_followed(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/ToyCar").symlink_to(write_tree(tmp_path / "elsewhere"))
    assert "a link that leads out" in refusal_of(tmp_path / "data")


def spoilt_tree(tmp_path: Path, kind: str) -> Path:
    """Three normal takes of microphones 1 to 3. The file of take 2, microphone 2, is bad."""
    tree = write_tree(tmp_path, num_normal=3, conditions=(), microphones=(1, 2, 3))
    file = tree / take_name(microphone=2, take=2)
    if kind == "missing":
        file.unlink()
    if kind == "longer":
        write(file, seconds=0.2)
    if kind == "another rate":
        write(file, rate_hz=2 * RATE_HZ, seconds=0.05)
    if kind == "stereo":
        soundfile.write(file, np.random.default_rng(0).uniform(-0.5, 0.5, (TAKE_SAMPLES, 2)), RATE_HZ)
    if kind == "doubled":
        write(tree / "case1" / file.name, seconds=0.2)
    return tree


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "lacks microphone 2"),
        ("longer", "1600 samples at 8000 Hz"),
        ("another rate", "at 16000 Hz"),
        ("stereo", "must be mono"),
        ("doubled", "two different files"),
    ],
)
def test_a_take_whose_files_do_not_fit_is_left_out_and_named(tmp_path, kind, words):
    tree = spoilt_tree(tmp_path, kind)
    corpus = listed(tree)
    assert ids(corpus) == ["normal_IND_0001", "normal_IND_0003"]
    ((name, reason),) = ((skipped.name, skipped.reason) for skipped in corpus.skipped)
    assert name == "ToyCar_case1_normal_IND_0002"
    assert words in reason
    assert "--skip-bad-files" not in reason
    if kind != "missing":
        assert repr(take_name(microphone=2, take=2)) in reason
    assert len(listed(tree, microphones=[1, 3]).recordings) == (2 if kind == "doubled" else 3)


def test_a_stereo_file_is_no_microphone_even_alone(tmp_path):
    assert ids(listed(spoilt_tree(tmp_path, "stereo"), microphones=[2])) == ["normal_IND_0001", "normal_IND_0003"]


def test_a_copy_is_passed_over_and_named(tmp_path):
    tree = write_tree(tmp_path)
    expected = listed(tree).fingerprint
    copy = tree / "case1/z" / Path(take_name()).name.partition("_")[2]
    copy.parent.mkdir()
    shutil.copy(tree / take_name(), copy)
    corpus = listed(tree)
    assert corpus.fingerprint == expected
    assert [skipped.name for skipped in corpus.skipped] == [copy.relative_to(tree).as_posix()]


def test_incomplete_takes_may_be_used_with_the_microphones_that_all_have(tmp_path):
    tree = spoilt_tree(tmp_path, "missing")
    corpus = listed(tree, incomplete="fewer_microphones")
    assert (len(corpus.recordings), corpus.skipped) == (3, ())
    np.testing.assert_allclose(take(corpus, "normal_IND_0002").read(), sounds((1, 3), take=2), atol=1e-4)
    assert "'fewer_microphones' must" in refusal_of(tree, incomplete="fewer_microphones", microphones=[2])
    for microphone in (1, 3):
        (tree / take_name(microphone=microphone)).unlink()
    message = refusal_of(tree, incomplete="fewer_microphones")
    assert "'ToyCar_case1_normal_IND_0001' has only 2" in message


@pytest.mark.parametrize("spoil", [b"", b"<html>not found</html>" * 20, "cut"])
def test_an_unreadable_file_is_an_error_or_a_named_skip(tmp_path, spoil):
    tree = write_tree(tmp_path, conditions=())
    bad = tree / take_name(microphone=3, take=2)
    bad.write_bytes(bad.read_bytes()[:500] if spoil == "cut" else spoil)
    with pytest.raises(BadRecording, match=take_name(microphone=3, take=2)):
        listed(tree)
    corpus = listed(tree, skip_bad_files=True)
    assert ids(corpus) == ["normal_IND_0001"]
    assert [skipped.name for skipped in corpus.skipped] == ["ToyCar_case1_normal_IND_0002"]
    assert take_name(microphone=3, take=2) in corpus.skipped[0].reason


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("case1/AnomalousSound_IND/1_ToyCar_case1_normal_IND_ch1_0009.wav", "normal_IND in AnomalousSound_IND"),
        ("case1/NormalSound_IND/1_ToyCar_case1_ab01_IND_ch1_0009.wav", "ab01_IND in NormalSound_IND"),
        ("case1/NormalSound_CNT/1_ToyCar_case1_normal_IND_ch1_0009.wav", "normal_IND in NormalSound_CNT"),
        ("case1/NormalSound_IND/1_ToyCar_case2_normal_IND_ch1_0009.wav", "case2 in case1"),
        ("case1/NormalSound_IND/1_ToyTrain_case1_normal_IND_ch1_0009.wav", "ToyTrain in ToyCar"),
    ],
)
def test_a_name_that_contradicts_its_folder_is_an_error_even_where_bad_files_are_skipped(tmp_path, name, words):
    tree = write_tree(tmp_path)
    write(tree / name)
    message = refusal_of(tree, skip_bad_files=True)
    assert repr(name) in message
    assert words in message


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "nothing at"),
        ("a file", "a file at"),
        ("another folder", "without it"),
        ("no files", "got none"),
        ("no names", "(4 files or takes were skipped, the first: 'case1/1.wav' is no ToyADMOS name)"),
        ("no complete take", "(2 files or takes were skipped, the first: take"),
    ],
)
def test_a_folder_without_usable_takes_is_refused_with_what_was_expected(tmp_path, kind, words):
    path = tmp_path / "data"
    if kind == "a file":
        path.write_bytes(b"x")
    if kind == "another folder":
        write(path / "normal/a.wav")
    if kind == "no files":
        (path / "ToyCar").mkdir(parents=True)
    if kind == "no names":
        for number in range(1, 5):
            write(path / f"ToyCar/case1/{number}.wav")
    if kind == "no complete take":
        write(path / "ToyCar" / take_name(microphone=1, take=1))
        write(path / "ToyCar" / take_name(microphone=2, take=2))
    message = refusal_of(path)
    assert words in message
    assert "ToyCar/case1/NormalSound_IND/1100010001_ToyCar_case1_normal_IND_ch1_0001.wav" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cases", 1), ("cases", []), ("cases", [0]), ("cases", [True]), ("cases", ["1"]), ("cases", [1, 3]),
        ("microphones", "1"), ("microphones", [-1]), ("microphones", [1.0]), ("microphones", [9]),
        ("takes", "IND"), ("takes", []), ("takes", ["ind"]), ("takes", [["IND"]]), ("takes", ["CNT"]),
        ("incomplete", "drop"), ("incomplete", True), ("incomplete", []),
        ("noise_snr_db", "6"), ("noise_snr_db", float("nan")), ("noise_snr_db", float("inf")),
        ("noise_snr_db", False),
        ("noise_seed", -1), ("noise_seed", 1.5), ("noise_seed", None),
        ("rate", 16000),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(tmp_path, name, value):
    tree = write_tree(tmp_path, num_noises=1)
    message = refusal_of(tree, **{name: value})
    assert message.startswith(f"data.{name} must ")
    assert name != "rate" or "cases, microphones, takes, incomplete, noise_snr_db, noise_seed" in message
