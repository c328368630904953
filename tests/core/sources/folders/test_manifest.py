"""Manifests: takes from rows, and every kind of wrong row."""

from pathlib import Path

import numpy as np
import pytest

from core.data.recordings import BadRecording
from core.errors import UserError
from tests.folder_files import listed, noise, table, write


def manifest(folder: Path, *rows: str, header: str = "path,machine,label") -> Path:
    return table(folder / "manifest.csv", *rows, header=header)


def test_a_manifest_is_preferred_and_says_everything(tmp_path):
    for name in ("x/a.wav", "x/b.wav", "x/c.wav", "normal/ignored.wav"):
        write(tmp_path / name)
    path = manifest(
        tmp_path,
        " x/a.wav , fan , Normal , train ,, extra",
        "",
        "x/b.wav,NA,abnormal,val,bent shaft,",
        "x/c.wav,fan,unknown,,,",
        header="\ufeffPath,machine,LABEL,split,condition,remark",
    )
    corpus = listed(tmp_path)
    assert [(t.machine, t.label, t.split, t.condition) for t in corpus.recordings] == [
        ("fan", "normal", "train", "normal"),
        ("NA", "anomalous", "validation", "bent shaft"),
        ("fan", "unknown", None, ""),
    ]
    assert listed(path).fingerprint == corpus.fingerprint


def test_one_file_a_channel_becomes_one_take_in_the_order_of_the_channels(tmp_path):
    for take in (1, 2):
        for channel in (1, 2, 10):
            write(tmp_path / f"t{take}c{channel}.wav", noise(seed=100 * take + channel))
    rows = [f"t{t}c{c}.wav,fan,normal,ch{c},{t}" for c in (10, 2, 1) for t in (1, 2)]
    manifest(tmp_path, *rows, header="path,machine,label,channel,take")
    first, second = listed(tmp_path).recordings
    assert (first.recording_id, first.num_channels) == ("t1c1.wav", 3)
    expected = np.concatenate([noise(seed=200 + channel) for channel in (1, 2, 10)], axis=1).T
    np.testing.assert_allclose(second.read(), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("path,machine", ["a.wav,fan"], ["column 'label'"]),
        ("name;machine;label", ["a.wav;fan;normal"], ["row 1", "column 'path'", "name, machine, label"]),
        ("path,machine,label,Label", ["a.wav,fan,normal,NG"], ["row 1", "'label' twice"]),
        ("path,machine,label", ['a.wav,"fan,normal'], ["row 2", "quotes"]),
        ("path,machine,label", [], ["at least one recording"]),
        ("path,machine,label", ["a.wav,fan,normal,1,2"], ["row 2", "at most 3 cells", "'1'"]),
        ("path,machine,label", ["a.wav,fan,normal", "b.wav,fan,odd"], ["row 3", "label", "'odd'"]),
        ("path,machine,label", ["a.wav,fan,"], ["row 2", "label"]),
        ("path,machine,label", ["a.wav,,normal"], ["row 2", "machine"]),
        ("path,machine,label", ["a.wav,fan,normal", "", "no.wav,fan,normal"], ["row 4", "'no.wav'", "not exist"]),
        ("path,machine,label", [",fan,normal"], ["row 2", "path"]),
        ("path,machine,label", [f"{'x' * 300}.wav,fan,normal"], ["row 2", "not exist"]),
        ("path,machine,label", ["/etc/hostname,fan,normal"], ["row 2", "within"]),
        ("path,machine,label", ["..\\away.wav,fan,normal"], ["row 2", "within"]),
        ("path,machine,label", ["C:\\a.wav,fan,normal"], ["row 2", "within"]),
        ("path,machine,label", ["../data/a.wav,fan,normal"], ["row 2", "within"]),
        ("path,machine,label", ["away.wav,fan,normal"], ["row 2", "within"]),
        ("path,machine,label", ["a.wav,fan,normal", "./a.wav,fan,normal"], ["row 3", "row 2", "once"]),
        ("path,machine,label", ["a.wav,fan,normal", "twin.wav,fan,normal"], ["row 3", "row 2", "once"]),
        ("path,machine,label,split", ["a.wav,fan,normal,later"], ["row 2", "split", "'later'"]),
        ("path,machine,label,channel", ["a.wav,fan,normal,1", "b.wav,fan,normal,2"], ["row 2", "take must be filled"]),
        ("path,machine,label,take", ["a.wav,fan,normal,1", "b.wav,fan,normal,1"], ["row 3", "take '1'", "row 2"]),
        (
            "path,machine,label,channel,take",
            ["a.wav,fan,normal,1,t1", "b.wav,fan,normal,2,t2"],
            ["row 3", "take 't2'", "channels 1", "take 't1' of manifest.csv row 2", "got 2"],
        ),
        (
            "path,machine,label,chanel,take",
            ["a.wav,fan,normal,1,t", "b.wav,fan,normal,2,t"],
            ["row 3", "no channel", "'chanel' is ignored: did you mean 'channel'"],
        ),
        ("path,machine,label,sample_rate_hz", ["a.wav,fan,normal,8k"], ["row 2", "sample_rate_hz", "'8k'"]),
        ("path,machine,label,sample_rate_hz", ["a.wav,fan,normal,0"], ["row 2", "sample_rate_hz", "'0'"]),
        (
            "path,machine,label,sample rate",
            ["a.wav,fan,normal,8000", "b.wav,fan,normal,16000"],
            ["row 3", "16000 Hz", "'b.wav' has 8000"],
        ),
        ("path,machine,label,events", ["a.wav,fan,anomalous,no.csv"], ["row 2", "events", "not exist"]),
        ("path,machine,label,events", ["a.wav,fan,anomalous,../events.csv"], ["row 2", "events", "within"]),
        ("path,machine,label,events", ["a.wav,fan,anomalous,/etc/hostname"], ["row 2", "events", "within"]),
        (
            "path,machine,label,channel,take,split",
            ["a.wav,fan,normal,1,t,train", "b.wav,fan,normal,2,t,test"],
            ["row 3", "row 2", "one split"],
        ),
    ],
)
def test_a_mistake_in_a_manifest_is_named_with_its_row(tmp_path, header, rows, words):
    root = tmp_path / "data"
    write(root / "a.wav")
    write(root / "b.wav")
    (root / "away.wav").symlink_to(write(tmp_path / "away.wav"))
    (root / "twin.wav").symlink_to(root / "a.wav")
    manifest(root, *rows, header=header)
    with pytest.raises(UserError) as refusal:
        listed(root)
    assert all(word in str(refusal.value) for word in words), refusal.value
    assert "\n" not in str(refusal.value)


CHANNELS = "path,machine,label,condition,channel,take"


def three_takes_of_two_channels(root: Path, changed: int, content: str) -> None:
    """The row of this number, from 2, is fan, `content` and its channel and take."""
    for name in ("a1", "a2", "b1", "b2", "c1", "c2"):
        write(root / f"{name}.wav", noise(seed=int(name, 16)))
    rows = [f"{take}{c}.wav,fan,normal,,{c},{take}" for take in "abc" for c in (1, 2)]
    rows[changed - 2] = rows[changed - 2].replace("fan,normal,", content)
    manifest(root, *rows, header=CHANNELS)


@pytest.mark.parametrize("content", ["fan,anomalous,", "pump,normal,", "fan,anomalous,bent"])
@pytest.mark.parametrize("row", [2, 5])
def test_a_take_that_is_torn_by_one_wrong_cell_is_named_with_both_rows(tmp_path, row, content):
    three_takes_of_two_channels(tmp_path, row, content)
    with pytest.raises(UserError, match="one machine, label and condition") as refusal:
        listed(tmp_path)
    neighbour = {2: 3, 5: 4}[row]
    assert all(f"row {number}" in str(refusal.value) for number in (row, neighbour)), refusal.value


def test_machines_whose_channels_have_other_names_are_not_one_take_torn(tmp_path):
    for name in ("a1", "a2", "b1", "b2"):
        write(tmp_path / f"{name}.wav", noise(seed=int(name, 16)))
    rows = ["a1.wav,fan,normal,,L,1", "a2.wav,fan,normal,,R,1", "b1.wav,pump,normal,,1,1", "b2.wav,pump,normal,,2,1"]
    manifest(tmp_path, *rows, header=CHANNELS)
    with pytest.raises(UserError, match=r"must have channels L, R as take '1' of .* row 2 has, but got 1, 2"):
        listed(tmp_path)


def test_takes_of_different_labels_may_have_one_name(tmp_path):
    for name in ("n1", "n2", "x1", "x2"):
        write(tmp_path / f"{name}.wav", noise(seed=ord(name[0]) + int(name[1])))
    rows = [f"{what[0]}{c}.wav,fan,{what},,{c},1" for what in ("normal", "x") for c in (1, 2)]
    manifest(tmp_path, *(row.replace(",x,", ",anomalous,") for row in rows), header=CHANNELS)
    assert [take.num_channels for take in listed(tmp_path).recordings] == [2, 2]


@pytest.mark.parametrize("missing", ["a2", "c1"])
def test_the_take_that_lacks_a_channel_is_named_not_the_others(tmp_path, missing):
    three_takes_of_two_channels(tmp_path, 2, "fan,normal,")
    path = tmp_path / "manifest.csv"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if missing not in line))
    with pytest.raises(UserError, match=f"take '{missing[0]}' must have channels 1, 2"):
        listed(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00path"])
def test_a_manifest_that_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"manifest\.csv must"):
        listed(tmp_path)


@pytest.mark.parametrize(
    ("second", "words"),
    [({"samples": noise(2)}, "mono"), ({"samples": noise(1, 3000)}, "length"), ({"rate_hz": 16000}, "rate")],
)
def test_files_of_one_take_must_agree(tmp_path, second, words):
    write(tmp_path / "a.wav")
    write(tmp_path / "b.wav", **second)
    manifest(tmp_path, "a.wav,fan,normal,1,t", "b.wav,fan,normal,2,t", header="path,machine,label,channel,take")
    with pytest.raises(BadRecording, match=words):
        listed(tmp_path)


def test_a_rate_that_is_the_files_own_is_no_mistake(tmp_path):
    for name in "abc":
        write(tmp_path / f"{name}.wav")
    rows = ["a.wav,fan,normal,8000", "b.wav,fan,normal,", "c.wav,fan,normal,8000.0"]
    manifest(tmp_path, *rows, header="path,machine,label,Sample_Rate")
    assert len(listed(tmp_path).recordings) == 3


EVENTS_HEADER = "path,start_s,end_s"


def with_events(folder: Path, *rows: str, header: str = EVENTS_HEADER) -> None:
    """Two faulty recordings and a healthy one of 0.5 s, whose manifest names a table of these rows; `d` names none."""
    for name in "abcd":
        write(folder / f"x/{name}.wav")
    table(folder / "events.csv", *rows, header=header)
    manifest(
        folder,
        "x/a.wav,fan,anomalous,events.csv",
        "x/b.wav,fan,anomalous,events.csv",
        "x/c.wav,fan,normal,./events.csv",
        "x/d.wav,fan,anomalous,",
        header="path,machine,label,events",
    )


def test_events_come_sorted_and_what_overlaps_is_one(tmp_path):
    with_events(
        tmp_path,
        "x/a.wav,0.3,0.4",
        "x/b.wav,0,0.5",
        "./x/a.wav,0.1,0.2",
        "",
        "x/a.wav,0.35,0.45",
        "x/a.wav,0.12,0.21",
        "x/a.wav,0.36,0.4",
        "x/a.wav,0.45,0.46",
    )
    a, b, c, d = listed(tmp_path).recordings
    assert a.events == ((0.1, 0.21), (0.3, 0.46))
    assert b.events == ((0.0, 0.5),)
    assert c.events == ()
    assert d.events is None


def test_an_end_that_was_rounded_up_is_the_recordings_own(tmp_path):
    with_events(tmp_path, "x/a.wav,0.2,0.505", "x/b.wav,0,0.1")
    assert listed(tmp_path).recordings[0].events == ((0.2, 0.5),)


def test_events_of_one_microphone_are_events_of_the_take(tmp_path):
    for channel in (1, 2):
        write(tmp_path / f"c{channel}.wav")
    table(tmp_path / "events.csv", "c2.wav,0.1,0.3", "c1.wav,0.2,0.4", header=EVENTS_HEADER)
    rows = [f"c{channel}.wav,fan,faulty,{channel},t,events.csv" for channel in (1, 2)]
    manifest(tmp_path, *rows, header="path,machine,label,channel,take,events")
    (take,) = listed(tmp_path).recordings
    assert take.events == ((0.1, 0.4),)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["x/a.wav,0.3,0.3"], ["row 2", "below end_s", "0.3 and 0.3"]),
        (["x/a.wav,0.1,0.2", "x/b.wav,0.3,0.2"], ["row 3", "below end_s"]),
        (["x/a.wav,-0.1,0.3"], ["row 2", "start_s", "'-0.1'"]),
        (["x/a.wav,0.1,soon"], ["row 2", "end_s", "'soon'"]),
        (["x/a.wav,0.1,"], ["row 2", "end_s", "''"]),
        (["x/a.wav,nan,1"], ["row 2", "start_s", "'nan'"]),
        (["x/a.wav,0,inf"], ["row 2", "end_s", "'inf'"]),
        (["x/a.wav,0.1,0.2", "x/b.wav,0.1,0.6"], ["row 3", "'x/b.wav'", "0.500 s"]),
        (["x/a.wav,0.5,0.505", "x/b.wav,0,0.1"], ["row 2", "'x/a.wav'", "0.500 s"]),
        (["x/e.wav,0.1,0.2"], ["row 2", "manifest lists", "'x/e.wav'"]),
        (["a.wav,0.1,0.2"], ["row 2", "manifest lists"]),
        (["x/a.wav,0.1,0.2"], ["manifest.csv row 3", "'x/b.wav'", "must have an event"]),
        (["x/c.wav,0.1,0.2"], ["row 2", "anomalous", "'x/c.wav'", "manifest.csv row 4"]),
        (["x/d.wav,0.1,0.2"], ["row 2", "'x/d.wav'", "manifest.csv row 5"]),
    ],
)
def test_a_mistake_in_the_events_is_named_with_its_row(tmp_path, rows, words):
    with_events(tmp_path, *rows)
    for skip_bad_files in (False, True):
        with pytest.raises(UserError) as refusal:
            listed(tmp_path, skip_bad_files=skip_bad_files)
        assert all(word in str(refusal.value) for word in words), refusal.value
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("column", "meant"),
    [("spilt", "split"), ("event", "events"), ("chanel", "channel"), ("sample_rate_h", "sample_rate")],
)
def test_a_column_that_is_almost_one_with_a_meaning_is_said_to_be_ignored(tmp_path, column, meant):
    write(tmp_path / "a.wav")
    manifest(tmp_path, "a.wav,fan,normal,train", header=f"path,machine,label,{column}")
    assert f"; the column {column!r} is ignored: did you mean '{meant}" in listed(tmp_path).description


@pytest.mark.parametrize("columns", ["machine_id,remark", "split,splits", "events,event", "channels,seconds"])
def test_other_columns_are_ignored(tmp_path, columns):
    write(tmp_path / "a.wav")
    manifest(tmp_path, "a.wav,fan,normal,,", header=f"path,machine,label,{columns}")
    assert "; the column" not in listed(tmp_path).description


def test_events_without_a_column_are_refused(tmp_path):
    with_events(tmp_path, header="path,start,end")
    with pytest.raises(UserError, match=r"events\.csv row 1 must have a column 'start_s'"):
        listed(tmp_path)


@pytest.mark.parametrize(
    ("on_disk", "written"),
    [("x/Lüfter.wav", "x\\Lüfter.wav"), ("Lu\u0308fter.wav", "Lüfter.wav"), ("Lüfter.wav", "Lu\u0308fter.wav")],
    ids=["backslash", "umlaut as two characters on disk", "in the table"],
)
def test_a_path_as_another_system_spells_it_is_found(tmp_path, on_disk, written):
    write(tmp_path / on_disk)
    table(tmp_path / "events.csv", f"{written},0.1,0.2", header=EVENTS_HEADER)
    manifest(tmp_path, f"{written},fan,NG,events.csv", header="path,machine,label,events")
    (take,) = listed(tmp_path).recordings
    assert (take.recording_id, take.events) == (on_disk, ((0.1, 0.2),))


def test_a_recording_in_unicode_is_found_by_its_row(tmp_path):
    write(tmp_path / "Aufnahme é 扇.wav")
    manifest(tmp_path, "Aufnahme é 扇.wav,Lüfter,normal")
    assert listed(tmp_path).recordings[0].machine == "Lüfter"
