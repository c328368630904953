"""Words for labels: the same in folders and in manifests, in any case, and never for both labels in one path."""

import pytest

from core.errors import UserError
from core.sources.folders.labels import LABEL_WORDS, label_of_word
from tests.folder_files import listed, table, write

PAIRS = [
    ("OK", "NG"),
    ("good", "bad"),
    ("healthy", "broken"),
    ("Pass", "FAIL"),
    ("normal", "abnormal"),
    ("iO", "n.i.O."),
    ("ok", "not_ok"),
    ("Normal ", "Anomalous"),
]


@pytest.mark.parametrize(("normal", "anomalous"), PAIRS)
def test_folders_of_these_names_are_labels(tmp_path, normal, anomalous):
    write(tmp_path / f"data/{normal}/a.wav")
    write(tmp_path / f"data/fan/{anomalous}/2024-01/b.wav")
    corpus = listed(tmp_path / "data")
    assert {(take.machine, take.label) for take in corpus.recordings} == {("data", "normal"), ("fan", "anomalous")}
    assert corpus.skipped == ()


@pytest.mark.parametrize(("normal", "anomalous"), PAIRS)
def test_a_manifest_s_column_knows_them_too(tmp_path, normal, anomalous):
    for name in "ab":
        write(tmp_path / f"{name}.wav")
    table(tmp_path / "manifest.csv", f"a.wav,fan,{normal.upper()}", f"b.wav,fan,{anomalous.lower()}")
    assert [take.label for take in listed(tmp_path).recordings] == ["normal", "anomalous"]


def test_two_words_for_one_label_are_one_label(tmp_path):
    for name in ("normal/a", "OK/a", "faulty/a", "NG/a", "NG/broken/b"):
        write(tmp_path / f"data/{name}.wav")
    found = {take.recording_id: (take.machine, take.label) for take in listed(tmp_path / "data").recordings}
    assert found == {
        "normal/a.wav": ("data", "normal"),
        "OK/a.wav": ("data", "normal"),
        "faulty/a.wav": ("data", "anomalous"),
        "NG/a.wav": ("data", "anomalous"),
        "NG/broken/b.wav": ("data", "anomalous"),
    }


def test_words_for_both_labels_in_one_path_are_refused(tmp_path):
    write(tmp_path / "good/NG/a.wav")
    with pytest.raises(UserError, match=r"'good/NG/a\.wav' must have one label, but got good and NG"):
        listed(tmp_path)


def test_no_word_stands_for_both_labels_and_others_stand_for_none():
    words = [word for of_label in LABEL_WORDS.values() for word in of_label]
    assert len({word.replace(" ", "") for word in words}) == len(words)
    assert all(label_of_word(word) is None for word in ("", "goodyear", "bad weather", "okra", "test", "unknown", "1"))


def test_a_folder_without_such_words_names_them(tmp_path):
    write(tmp_path / "monday/a.wav")
    with pytest.raises(UserError, match=r"named after labels \(.*OK and NG.*\)"):
        listed(tmp_path)
