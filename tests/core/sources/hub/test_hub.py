"""The Hub, streamed: over a real connection to this machine, from the cache, from a copy; and all that can be wrong."""

import gzip
import json
import logging
import os
import re
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from datasets import Features, Value, load_dataset
from huggingface_hub import constants, snapshot_download

from core.data.recordings import BadRecording, Recording, Skipped, StreamedCorpus
from core.errors import UserError
from core.sources.hub.archive_rows import stream_rows
from core.sources.hub.archives import find_archives, sha256_of
from core.sources.hub.download import Retries
from core.sources.hub.source import open_hub
from tests.hub_layout import (
    ANOMALIES,
    COMMIT,
    REPOSITORY,
    TEST,
    TRAIN,
    HubLayout,
    LoopbackHub,
    encoded,
    key_of,
    serve_hub,
    wav_bytes,
    write_archive,
    write_hub_copy,
)

QUICK = Retries(num_attempts=3, first_wait_s=0.01, longest_wait_s=0.02)
FEATURES = Features({"wav": Value("binary"), "__key__": Value("string"), "__url__": Value("string")})


def opened(root: Path, **options: object) -> StreamedCorpus:
    return open_hub(str(root), options, retries=QUICK)


def takes_of(corpus: StreamedCorpus) -> list[Recording]:
    return [take for take in corpus.takes() if isinstance(take, Recording)]


def skipped_of(corpus: StreamedCorpus) -> list[Skipped]:
    return [take for take in corpus.takes() if isinstance(take, Skipped)]


def identities(corpus: StreamedCorpus) -> list[tuple[str, str]]:
    return [(take.recording_id, take.digest) for take in takes_of(corpus)]


def normal_rows(*takes: int, microphone: int = 1) -> list[tuple[str, bytes]]:
    return [(f"{key_of(take, microphone=microphone)}.wav", wav_bytes(take)) for take in takes]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The loopback server, asked by this process."""
    with serve_hub(write_hub_copy(tmp_path / "hub", HubLayout(seconds=2))) as server:
        point_to(server, monkeypatch)
        yield server


def point_to(server: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


# What comes out.


def test_a_row_becomes_a_recording_with_all_that_its_name_says(tmp_path):
    corpus = opened(write_hub_copy(tmp_path / "engines", HubLayout(cases=(1, 4), rate_hz=8000)))
    takes = {take.recording_id: take for take in takes_of(corpus)}
    assert corpus.name == "engines"
    assert len(takes) == 2 * (6 + 3 + 3)
    anomalous = takes["ToyCar_case4_ab01_IND_0002"]
    assert (anomalous.machine, anomalous.label, anomalous.split) == ("ToyCar-case4", "anomalous", "held_out")
    assert anomalous.condition == "ab01 under voltage"
    assert (anomalous.num_channels, anomalous.sample_rate_hz, anomalous.num_samples) == (1, 8000, 800)
    assert anomalous.read().shape == (1, 800)
    assert {take.split for take in takes.values() if take.label == "normal"} == {"train", "held_out"}


def test_the_samples_are_those_of_the_wav(tmp_path):
    samples = np.round(np.sin(np.arange(500) / 7) * 20_000) / 32768
    write_hub_copy(tmp_path)
    write_archive(tmp_path / TRAIN, [(f"{key_of(1)}.wav", encoded(samples))])
    (take,) = (take for take in takes_of(opened(tmp_path)) if take.split == "train")
    np.testing.assert_array_equal(take.read(), samples[None].astype(np.float32))


def test_rows_are_those_of_the_library_s_own_loader(tmp_path):
    root = write_hub_copy(tmp_path / "engines", HubLayout(microphones=(1, 2)))
    found = find_archives(str(root), revision="main", retries=QUICK, digest_of=sha256_of)
    options = {"split": "train", "streaming": True, "features": FEATURES, "cache_dir": str(tmp_path / "cache")}
    for archive in found.archives:
        theirs = load_dataset("webdataset", data_files=str(root / archive.name), **options)
        assert [(row.key, row.wav) for row in stream_rows(archive)] == [(row["__key__"], row["wav"]) for row in theirs]


@pytest.mark.parametrize("microphones", [(1, 2, 3, 4), (3, 1, 4, 2)])
def test_microphones_of_a_take_become_its_channels_whatever_their_order(tmp_path, microphones):
    layout = HubLayout(microphones=microphones)
    takes = takes_of(opened(write_hub_copy(tmp_path, layout)))
    assert len(takes) == len({take.recording_id for take in takes}) == 12
    assert {take.num_channels for take in takes} == {4}
    for channel in range(4):
        alone = takes_of(opened(tmp_path, microphones=[channel + 1]))
        expected = {take.recording_id: take.read() for take in alone}
        for take in takes:
            np.testing.assert_array_equal(take.read()[channel], expected[take.recording_id][0])


@pytest.mark.parametrize("order", ["take", "microphone"])
def test_each_pass_gives_the_same_takes_in_the_same_order(tmp_path, order):
    corpus = opened(write_hub_copy(tmp_path, HubLayout(cases=(1, 2), microphones=(1, 2), order=order)))
    assert identities(corpus) == identities(corpus) == identities(opened(tmp_path))


def test_both_labels_and_both_splits_come_at_once_however_long_the_archives_are(tmp_path):
    first = takes_of(opened(write_hub_copy(tmp_path, HubLayout(num_train=80))))[:3]
    assert {take.label for take in first} == {"normal", "anomalous"}
    assert [take.split for take in first] == ["train", "held_out", "held_out"]


def test_a_pass_that_is_given_up_leaves_nothing_behind(tmp_path):
    root = write_hub_copy(tmp_path / "hub", HubLayout(microphones=(1, 2), order="microphone"))
    corpus = open_hub(str(root), {}, scratch=tmp_path / "scratch")
    takes = corpus.takes()
    next(takes)
    assert list((tmp_path / "scratch").rglob("*.wav"))
    takes.close()
    assert not list((tmp_path / "scratch").iterdir())


def test_rows_that_wait_for_their_take_wait_on_disk(tmp_path):
    """All rows of the first microphone come first, so all takes but one wait."""
    layout = HubLayout(num_train=20, microphones=(1, 2), order="microphone")
    corpus = open_hub(str(write_hub_copy(tmp_path / "hub", layout)), {}, scratch=tmp_path / "scratch")
    takes = corpus.takes()
    waiting = [len(list((tmp_path / "scratch").rglob("*.wav"))) for _ in takes]
    assert max(waiting) >= 28
    assert waiting[-1] == 0
    assert not list((tmp_path / "scratch").iterdir())


# Options.


def test_cases_and_microphones_are_chosen_and_the_rest_is_counted(tmp_path):
    root = write_hub_copy(tmp_path, HubLayout(num_train=2, cases=(1, 2), microphones=(1, 2, 3)))
    corpus = opened(root, cases=[2], microphones=[3, 1])
    takes = takes_of(corpus)
    assert {take.machine for take in takes} == {"ToyCar-case2"}
    assert {take.num_channels for take in takes} == {2}
    counts = [int(re.match(r"\d+", skipped.reason)[0]) for skipped in skipped_of(corpus)]
    assert sorted(counts) == [4, 12]  # 4 takes: microphone 2 of case 2, and all three of case 1


def test_a_microphone_that_shows_late_is_named_with_the_way_out(tmp_path):
    write_hub_copy(tmp_path)
    late = [*normal_rows(*range(101, 134)), *normal_rows(1, microphone=2)]
    write_archive(tmp_path / TRAIN, late)
    with pytest.raises(UserError, match=r"01_ToyCar_case1_normal_IND_ch2_0001 in data/train.*Set data\.microphones"):
        takes_of(opened(tmp_path))
    assert len(takes_of(opened(tmp_path, microphones=[1]))) == 33 + 3 + 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"case": [1]}, "data.case must be an option of the hub source, but those are revision, cases, microphones"),
        ({"cases": 1}, "data.cases must be a list"),
        ({"cases": []}, "data.cases must be a list"),
        ({"cases": [1, 1]}, "data.cases must be a list"),
        ({"microphones": [True]}, "data.microphones must be a list"),
        ({"microphones": ["1"]}, "data.microphones must be a list"),
        ({"microphones": [0]}, "data.microphones must be a list"),
        ({"revision": ""}, "data.revision must be"),
        ({"revision": 3}, "data.revision must be"),
        ({"revision": "../../secret"}, "data.revision must be"),
    ],
)
def test_options_that_cannot_be_right_are_refused(tmp_path, options, words):
    with pytest.raises(UserError) as refusal:
        opened(write_hub_copy(tmp_path), **options)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_fingerprint_is_of_the_archives_and_the_options(tmp_path):
    root = write_hub_copy(tmp_path / "one")
    write_hub_copy(tmp_path / "two")
    for archive in (tmp_path / "two").rglob("*.gz"):
        archive.write_bytes((root / archive.relative_to(tmp_path / "two")).read_bytes())
    same = opened(root).fingerprint
    assert same == opened(tmp_path / "two").fingerprint
    assert len({same, opened(root, cases=[1]).fingerprint, opened(root, microphones=[1]).fingerprint}) == 3
    write_archive(tmp_path / "two" / TRAIN, normal_rows(1))
    assert same != opened(tmp_path / "two").fingerprint


def test_digests_can_come_from_elsewhere(tmp_path):
    asked = []
    open_hub(str(write_hub_copy(tmp_path)), {}, digest_of=lambda path: asked.append(path.name) or "0")
    assert sorted(asked) == sorted(Path(name).name for name in (TRAIN, TEST, ANOMALIES))


def test_a_copy_without_an_archive_of_anomalies_is_opened(tmp_path):
    root = write_hub_copy(tmp_path, HubLayout(num_train=20))
    (root / ANOMALIES).unlink()
    takes = [each for each in open_hub(str(root), {}).takes() if isinstance(each, Recording)]
    assert {take.label for take in takes} == {"normal"}


# Data sets that cannot be right.


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "must be a folder"),
        ("a file", "must be a folder"),
        ("empty", "must have archives such as data/train_normal.tar.gz"),
        ("no train", "must have normal recordings to train on"),
        ("no archive", "must be a whole tar.gz"),
        ("truncated", "must be a whole tar.gz"),
        ("cut between members", "must be a whole tar.gz"),
        ("damaged", "must be a whole tar.gz"),
        ("a broken header", "must be a whole tar.gz"),
        ("other names", "must have names such as 010003_ToyCar"),
    ],
)
def test_a_copy_that_cannot_be_used_is_refused_in_one_line(tmp_path, kind, words):
    root = tmp_path / "copy"
    if kind not in ("missing", "a file", "empty"):
        write_hub_copy(root, HubLayout(num_train=20))
    spoil_copy(root, kind)
    with pytest.raises(UserError, match=words) as refusal:
        takes_of(opened(root))
    assert "\n" not in str(refusal.value)
    if words == "must be a whole tar.gz":
        assert ANOMALIES in str(refusal.value)


def spoil_copy(root: Path, kind: str) -> None:
    archive = root / ANOMALIES
    content = archive.read_bytes() if archive.exists() else b""
    if kind == "a file":
        root.write_bytes(b"")
    if kind == "empty":
        root.mkdir()
    if kind == "no train":
        (root / TRAIN).unlink()
    if kind == "no archive":
        archive.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    if kind == "truncated":
        archive.write_bytes(content[: len(content) // 2])
    if kind == "cut between members":  # which tarfile reads as the end
        archive.write_bytes(gzip.compress(gzip.decompress(content)[:4096])[:-8])
    if kind == "damaged":
        middle = len(content) // 2
        archive.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
    if kind == "a broken header":  # which tarfile reads as the end, too
        plain = bytearray(gzip.decompress(content))
        second = next(i for i in range(512, len(plain), 512) if plain[i : i + 6] == b"010002")
        plain[second : second + 512] = b"\xff" * 512
        archive.write_bytes(gzip.compress(bytes(plain)))
    if kind == "other names":
        for name in (TRAIN, TEST, ANOMALIES):
            write_archive(root / name, [("engine 1.wav", wav_bytes())])


@pytest.mark.parametrize(("archive", "condition"), [(TRAIN, "ab01"), (TEST, "ab01"), (ANOMALIES, "normal")])
def test_a_label_that_contradicts_the_archive_stops_with_the_row_s_name(tmp_path, archive, condition):
    write_hub_copy(tmp_path)
    key = key_of(99, condition=condition)
    write_archive(tmp_path / archive, [(f"{key}.wav", wav_bytes())])
    with pytest.raises(UserError, match=f"Row '{key} in {archive}' must be (normal|anomalous), as the archive's name"):
        takes_of(opened(tmp_path))


def test_an_archive_that_may_hold_both_labels_trains_on_normal_takes_alone(tmp_path):
    both = [*normal_rows(1, 2), (f"{key_of(3, condition='ab02')}.wav", wav_bytes(3))]
    write_archive(tmp_path / "train.tar.gz", both)
    assert {(take.label, take.split) for take in takes_of(opened(tmp_path))} == {
        ("normal", "train"),
        ("anomalous", "held_out"),
    }


def test_archives_of_no_known_split_are_named(tmp_path):
    write_hub_copy(tmp_path)
    write_archive(tmp_path / "data/extra_normal.tar.gz", normal_rows(50))
    (skipped,) = skipped_of(opened(tmp_path))
    assert skipped.name == "data/extra_normal.tar.gz"


# Rows that are left out, each by its name, while all others come.


def with_nan() -> bytes:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 500)
    samples[7] = np.nan
    return encoded(samples, subtype="FLOAT")


def lying_header() -> bytes:
    content = bytearray(wav_bytes())
    content[40:44] = (10**6).to_bytes(4, "little")
    return bytes(content)


GOOD_KEY = key_of(50)


@pytest.mark.parametrize(
    ("member", "content", "words"),
    [
        (f"{GOOD_KEY}.wav", b"", "0 bytes"),
        (f"{GOOD_KEY}.wav", b"<html>not found</html>" * 20, "must be audio"),
        (f"{GOOD_KEY}.wav", wav_bytes()[:600], "truncated"),
        (f"{GOOD_KEY}.wav", lying_header(), "truncated"),
        (f"{GOOD_KEY}.wav", encoded(np.zeros(0)), "empty"),
        (f"/etc/{GOOD_KEY}.wav", wav_bytes(), "absolute path"),
        (f"../../{GOOD_KEY}.wav", wav_bytes(), "leads outside"),
        (f"C:\\{GOOD_KEY}.wav", wav_bytes(), "absolute path"),
        ("010003_ToyCar_case4_IND_ch1_0003.wav", wav_bytes(), "no label"),
        ("engine läuft \U0001f697.wav", wav_bytes(), "no label"),
        ("line\nbreak\x1b[2J.wav", wav_bytes(), "no label"),
        (f"010003_ToyCar_case{'9' * 5000}_normal_IND_ch1_0003.wav", wav_bytes(), "no label"),
        (f"{key_of(1)}.wav", wav_bytes(1), "repeats a row"),
        (f"{key_of(1)}.wav", wav_bytes(99), "repeats a row"),
    ],
)
def test_a_bad_row_is_left_out_by_its_name(tmp_path, member, content, words):
    root = write_hub_copy(tmp_path / "copy")
    write_archive(root / TRAIN, [*normal_rows(1, 2), (member, content), *normal_rows(3, 4)])
    corpus = open_hub(str(root), {}, scratch=tmp_path / "scratch")
    train = [take.recording_id for take in takes_of(corpus) if take.split == "train"]
    assert train == [f"ToyCar_case1_normal_IND_{take:04d}" for take in (1, 2, 3, 4)]
    (skipped,) = skipped_of(corpus)
    assert words in skipped.reason
    assert "--skip-bad-files" not in skipped.reason, "it is skipped already"
    assert TRAIN in skipped.name
    assert skipped.name.isprintable()
    assert "\n" not in skipped.reason
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "scratch"]


def test_a_row_that_is_bad_inside_is_named_when_it_is_read(tmp_path):
    write_hub_copy(tmp_path)
    write_archive(tmp_path / TRAIN, [(f"{GOOD_KEY}.wav", with_nan())])
    (take,) = (take for take in takes_of(opened(tmp_path)) if take.split == "train")
    with pytest.raises(BadRecording, match=f"'{GOOD_KEY} in {TRAIN}' must be finite, but got 1 NaN"):
        take.read()


def test_members_that_are_no_wav_are_counted(tmp_path):
    write_hub_copy(tmp_path)
    links = [tarfile.TarInfo(name) for name in (f"{key_of(7)}.wav", f"{key_of(8)}.wav", "folder")]
    for link, kind, target in zip(links, (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE), "/ab", strict=True):
        link.type, link.linkname = kind, target
    others = [("._hidden.wav", b"x"), ("__MACOSX", b"x"), ("notes.json", b"{"), ("noextension", b"x"), *links]
    write_archive(tmp_path / TRAIN, [*others, *normal_rows(1, 2)])
    corpus = opened(tmp_path)
    assert len(takes_of(corpus)) == 2 + 3 + 3
    (skipped,) = skipped_of(corpus)
    assert "7 rows are hidden or no wav files" in skipped.reason


def microphones_of_take_2(kind: str) -> list[tuple[str, bytes]]:
    rows = [(f"{key_of(2, microphone=channel)}.wav", wav_bytes(channel)) for channel in (1, 2)]
    if kind == "missing":
        return rows[:1]
    if kind == "doubled":
        return [rows[0], rows[0], rows[1]]
    if kind == "another length":
        return [rows[0], (rows[1][0], wav_bytes(seconds=0.2))]
    if kind == "another rate":
        return [rows[0], (rows[1][0], wav_bytes(rate_hz=8000))]
    return [(rows[0][0], b"RIFF"), rows[1]]


@pytest.mark.parametrize(
    ("kind", "words", "is_left_out"),
    [
        ("missing", "microphone 2 did not arrive", True),
        ("doubled", "ch1_0002 in data/train_normal.tar.gz' repeats a row", False),
        ("another length", "3200 samples at 16000 Hz against 1600", True),
        ("another rate", "800 samples at 8000 Hz against 1600", True),
        ("bad", "must be audio", True),
    ],
)
def test_what_is_wrong_with_the_microphones_of_a_take_is_said_once(tmp_path, kind, words, is_left_out):
    layout = HubLayout(microphones=(1, 2))
    write_hub_copy(tmp_path, layout)
    both = [row for take in (1, 3) for row in (*normal_rows(take), *normal_rows(take, microphone=2))]
    write_archive(tmp_path / TRAIN, [*both[:2], *microphones_of_take_2(kind), *both[2:]])
    corpus = opened(tmp_path)
    train = [take.recording_id[-4:] for take in takes_of(corpus) if take.split == "train"]
    assert train == (["0001", "0003"] if is_left_out else ["0001", "0002", "0003"])
    (skipped,) = skipped_of(corpus)
    assert words in skipped.reason


@pytest.mark.parametrize("num_microphones", [1, 2])
def test_no_take_is_in_two_splits(tmp_path, num_microphones):
    """Take 5 is in both archives: complete in both, or one microphone in each."""
    layout = HubLayout(microphones=(1, 2) if num_microphones == 2 else (1,))
    write_hub_copy(tmp_path, layout)
    whole = [row for take in (1, 2) for m in layout.microphones for row in normal_rows(take, microphone=m)]
    write_archive(tmp_path / TRAIN, [*whole, *normal_rows(5)])
    write_archive(tmp_path / TEST, normal_rows(5, microphone=num_microphones))
    corpus = opened(tmp_path)
    ids = [take.recording_id for take in takes_of(corpus)]
    assert len(ids) == len(set(ids))
    assert ("ToyCar_case1_normal_IND_0005" in ids) == (num_microphones == 1)
    (skipped,) = skipped_of(corpus)
    assert ("two splits" in skipped.reason) == (num_microphones == 2)


def test_archives_that_lie_elsewhere_are_not_read(tmp_path):
    root = write_hub_copy(tmp_path / "copy")
    elsewhere = write_archive(tmp_path / "elsewhere.tar.gz", normal_rows(50))
    (root / "data/test_normal_2.tar.gz").symlink_to(elsewhere)
    corpus = opened(root)
    assert "ToyCar_case1_normal_IND_0050" not in [take.recording_id for take in takes_of(corpus)]
    assert [skipped.name for skipped in skipped_of(corpus)] == ["data/test_normal_2.tar.gz"]


# The Hub itself.


def test_the_hub_gives_what_a_copy_gives(hub):
    online = open_hub(REPOSITORY, {}, retries=QUICK)
    assert identities(online) == identities(opened(hub.root))
    assert online.name == "engines"
    assert COMMIT[:7] in online.description
    fetched = [request for request in hub.requests if "/resolve/" in request]
    assert sorted(fetched) == sorted(
        f"GET /datasets/{REPOSITORY}/resolve/{COMMIT}/{name}" for name in (TRAIN, TEST, ANOMALIES)
    )


@pytest.mark.parametrize(("knows_ranges", "tells_length"), [(True, True), (False, True), (True, False)])
def test_a_connection_that_breaks_twice_costs_no_row_and_doubles_none(hub, knows_ranges, tells_length):
    expected = identities(opened(hub.root))
    size = (hub.root / TRAIN).stat().st_size
    hub.cuts[TRAIN] = [size // 3, 2 * size // 3]
    hub.cuts[ANOMALIES] = [0, 5000]
    hub.statuses = {TEST: [503, 500], "info": [502]}
    hub.knows_ranges, hub.tells_length = knows_ranges, tells_length
    assert identities(open_hub(REPOSITORY, {}, retries=QUICK)) == expected
    assert not any(hub.cuts.values())
    ranges = [request for request in hub.requests if TRAIN in request and "bytes=" in request]
    assert len(ranges) == 2
    assert not any(request.endswith("bytes=0-") for request in ranges)


def test_a_hub_that_stays_broken_ends_in_one_line_and_nothing_else_is_said(hub, monkeypatch, caplog, capfd):
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "propagate", True)
    hub.statuses[TRAIN] = [503] * 10
    with pytest.raises(UserError, match=r"must be reachable, but got .*503.*HF_HUB_OFFLINE=1.*hub:/path/to/copy"):
        takes_of(open_hub(REPOSITORY, {}, retries=QUICK))
    assert hub.statuses[TRAIN] == [503] * 7
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_a_hub_that_is_not_there_ends_in_one_line_soon(tmp_path, monkeypatch, capfd):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        point_to(LoopbackHub(root=tmp_path, endpoint=f"http://127.0.0.1:{probe.getsockname()[1]}"), monkeypatch)
        start = time.monotonic()
        with pytest.raises(UserError, match="must be reachable") as refusal:
            open_hub(REPOSITORY, {}, retries=QUICK)
    assert time.monotonic() - start < 5
    assert "\n" not in str(refusal.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_data_set_that_is_closed_or_missing_is_asked_for_once(hub, status):
    hub.statuses["info"] = [status] * 3
    with pytest.raises(UserError, match=f"must exist and be open to you, but got status {status}.*HF_TOKEN"):
        open_hub(REPOSITORY, {}, retries=QUICK)
    assert len(hub.statuses["info"]) == 2


@pytest.mark.usefixtures("hub")
def test_a_revision_that_does_not_exist_is_named():
    with pytest.raises(UserError, match=r"data\.revision must be a branch, tag or commit of .*'nowhere'"):
        open_hub(REPOSITORY, {"revision": "nowhere"}, retries=QUICK)


@pytest.mark.parametrize("place", ["engines", "a/b/c", "", "some one/engines", "https://example.org/a"])
def test_a_place_that_is_neither_name_nor_path_is_refused(place):
    with pytest.raises(UserError, match="must be OWNER/NAME or a path"):
        open_hub(place, {})


def run_client(place: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """In a new process, which reads the environment at its start."""
    program = (
        "import json, sys; from core.errors import UserError; from core.sources.hub.source import open_hub\n"
        "try:\n    corpus = open_hub(sys.argv[1], {})\n"
        "    takes = [[take.recording_id, take.digest] for take in corpus.takes()]\n"
        "    print(json.dumps([corpus.fingerprint, takes]))\n"
        "except UserError as error:\n    sys.exit(str(error))"
    )
    command = [sys.executable, "-c", program, place]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_the_cache_gives_offline_what_the_hub_gave_online(hub, tmp_path, monkeypatch):
    online = open_hub(REPOSITORY, {}, retries=QUICK)
    snapshot_download(REPOSITORY, repo_type="dataset", cache_dir=tmp_path / "cache", endpoint=hub.endpoint)
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    offline = open_hub(REPOSITORY, {}, retries=QUICK)
    assert offline.fingerprint == online.fingerprint
    assert identities(offline) == identities(opened(hub.root))
    assert hub.requests == []
    (snapshot,) = (tmp_path / "cache").glob("*/snapshots/*")
    assert identities(opened(snapshot)) == identities(offline)


def test_offline_with_nothing_in_the_cache_is_one_line(tmp_path):
    client = run_client(REPOSITORY, {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)})
    assert client.returncode == 1
    assert re.fullmatch(r"Hub data set 'someone/engines' must be in the cache [^\n]*\n", client.stderr)


@pytest.mark.slow
def test_the_environment_decides_between_hub_and_cache(hub, tmp_path):
    hub.cuts[TRAIN] = [9000]
    online = run_client(REPOSITORY, {"HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"})
    snapshot_download(REPOSITORY, repo_type="dataset", cache_dir=tmp_path / "cache", endpoint=hub.endpoint)
    hub.requests.clear()
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "cache")}
    offline = run_client(REPOSITORY, environment)
    assert [tuple(take) for take in json.loads(online.stdout)[1]] == identities(opened(hub.root))
    assert offline.stdout == online.stdout
    assert online.stderr == offline.stderr == ""
    assert hub.requests == []
