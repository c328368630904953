"""Manifests: how rows become takes, and every way in which a row can be wrong."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.errors import UserError
from core.recordings import BadRecording, Corpus
from core.sources import open_source

RATE_HZ = 8000


def noise(num_channels: int = 1, num_samples: int = 4000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (num_samples, num_channels))


def write(path: Path, samples: np.ndarray | None = None, rate_hz: int = RATE_HZ, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise() if samples is None else samples, rate_hz, **options)
    return path


def manifest(folder: Path, *rows: str, header: str = "path,machine,label") -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def listed(path: Path, **options) -> Corpus:
    return open_source(f"folder:{path}", **options)


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
        ("path;machine;label", ["a.wav;fan;normal"], ["column 'path'"]),
        ("path,machine,label", [], ["at least one recording"]),
        ("path,machine,label", ["a.wav,fan,normal,1,2"], ["comma-separated"]),
        ("path,machine,label", ["a.wav,fan,normal", "b.wav,fan,broken"], ["row 3", "label", "'broken'"]),
        ("path,machine,label", ["a.wav,fan,"], ["row 2", "label"]),
        ("path,machine,label", ["a.wav,,normal"], ["row 2", "machine"]),
        ("path,machine,label", ["a.wav,fan,normal", "", "no.wav,fan,normal"], ["row 4", "'no.wav'", "not exist"]),
        ("path,machine,label", [",fan,normal"], ["row 2", "path"]),
        ("path,machine,label", ["/etc/hostname,fan,normal"], ["row 2", "within"]),
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
            ["row 3", "take 't2'", "channels 1", "got 2"],
        ),
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
