"""The survey: its figures equal those of the corpus, of the split and of a study, and it handles every source."""

import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter
from contextlib import suppress
from itertools import count as count_up
from pathlib import Path

import numpy as np
import pytest

from core.data.clips import ClipConfig
from core.data.data_config import DataConfig
from core.data.dealing import Part
from core.data.recordings import Label, Recording, StreamedCorpus
from core.data.splits import SplitConfig, split_of, split_recordings
from core.errors import UserError
from core.sources import choose_source, open_source
from core.survey import main
from core.surveying.counts import PARTS, count
from core.surveying.text import MAX_SKIPPED_LINES
from hpo.session.inputs import StudyInputs, decode_inputs, list_inputs
from hpo.terminal.console import Console
from tests.folder_files import noise, table, write
from tests.hub_layout import TRAIN, HubLayout, encoded, key_of, wav_bytes, write_archive, write_hub_copy
from tests.toyadmos_layout import take_name, write_tree

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/data/tiny.toml"


class Surveyed:
    """The output of a survey."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path, *arguments: object) -> None:
        path = folder / "survey.json"
        path.unlink(missing_ok=True)
        self.code = main([*map(str, arguments), "--json", str(path), "--store", str(folder / "store")])
        captured = capsys.readouterr()
        self.out, self.err = captured.out, captured.err
        self.json = json.loads(path.read_text()) if path.exists() else None

    def parts(self) -> Counter[tuple[str, str, str]]:
        rows = self.json["split"]["parts"]
        return Counter({(row["part"], row["machine"], row["label"]): row["num_recordings"] for row in rows})


@pytest.fixture
def survey(tmp_path, capsys):
    def call(*arguments: object) -> Surveyed:
        return Surveyed(capsys, tmp_path, *arguments)

    return call


def mixed_folder(root: Path) -> Path:
    """Two machines, two rates, one and two channels, an unknown label, events, a hidden file."""
    rows = []
    for machine, rate_hz, num_channels in (("fan", 8000, 1), ("pump", 16000, 2)):
        for take in range(9):
            label = "normal" if take < 5 else "unknown" if take == 8 else "anomalous"
            name = f"{machine}{take}.wav"
            write(root / name, noise(num_channels, 4000 + 100 * take), rate_hz)
            condition = f"fault {take % 2}" if label == "anomalous" else ""
            events = "events.csv" if name in ("fan5.wav", "fan6.wav") else ""
            rows.append(f"{name},{machine},{label},{condition},{events}")
    table(root / "events.csv", "fan5.wav,0.1,0.2", "fan5.wav,0.3,0.45", "fan6.wav,0,0.1", header="path,start_s,end_s")
    table(root / "manifest.csv", *rows, header="path,machine,label,condition,events")
    return root


def test_the_figures_add_up_to_the_corpus(tmp_path, survey):
    source = f"folder:{mixed_folder(tmp_path / 'data')}"
    recordings = open_source(source).recordings
    found = survey(source).json
    hours = sum(recording.seconds for recording in recordings) / 3600
    for rows in ([found["totals"]], found["labels"].values(), found["formats"], found["conditions"]):
        assert sum(row["num_recordings"] for row in rows) == len(recordings)
        assert sum(row["hours"] for row in rows) == pytest.approx(hours, rel=1e-12)
    formats = {(row["num_channels"], row["sample_rate_hz"]): row["num_recordings"] for row in found["formats"]}
    assert formats == {(1, 8000): 9, (2, 16000): 9}
    conditions = {(row["machine"], row["label"], row["condition"]): row for row in found["conditions"]}
    assert {key: row["num_recordings"] for key, row in conditions.items()} == Counter(
        (recording.machine, recording.label, recording.condition) for recording in recordings
    )
    assert conditions["pump", "anomalous", "fault 0"]["hours"] == pytest.approx(4600 / 16000 / 3600)
    assert found["events"] == {"num_events": 3, "num_recordings": 2, "seconds": pytest.approx(0.35)}


@pytest.mark.parametrize("seed", [0, 3])
def test_the_split_is_the_one_that_a_study_makes(tmp_path, survey, seed):
    study = tmp_path / "study.toml"
    study.write_text(f"goal = 1\n[split]\nseed = {seed}\ntest_fraction = 0.4\n")
    source = f"folder:{mixed_folder(tmp_path / 'data')}"
    config = SplitConfig(seed=seed, test_fraction=0.4)
    parts = vars(split_recordings(open_source(source).recordings, config))
    found = survey(source, "--study", study)
    assert found.json["split"]["settings"] == vars(config)
    assert found.parts() == Counter((part, r.machine, r.label) for part, takes in parts.items() for r in takes)
    assert any(
        line.split() == ["all", *(str(len(takes)) for takes in parts.values())] for line in found.out.split("\n")
    )


HEADER = "path,machine,label"


def garage(root: Path, *, seconds: float = 30.0, num_normal: int = 4, split: str = "", rate_hz: int = 5000) -> Path:
    """Three machines with normal and faulty takes, as the cars' studies have them, and a manifest."""
    rows = []
    for machine in ("CAR01", "CAR02", "CAR03"):
        for index in range(num_normal + 4):
            label = "normal" if index < num_normal else "faulty"
            sound = noise(1, round(seconds * rate_hz), seed=len(rows))
            write(root / f"{label}/{machine}_{index}.wav", sound, rate_hz)
            asked = ("train", "train", "val", "test")[index % 4] if label == "normal" else ("val", "test")[index % 2]
            rows.append(f"{label}/{machine}_{index}.wav,{machine},{label}{f',{asked}' if split else ''}")
    table(root / "manifest.csv", *rows, header=f"{HEADER}{',split' if split else ''}")
    return root


def parts_in_words(found: Surveyed) -> str:
    """As a study prints them."""
    parts = found.parts()
    counts = {part: sum(n for (of, *_), n in parts.items() if of == part) for part in PARTS}
    machines = sorted({machine for _, machine, _ in parts})
    return ", ".join(f"{number} {part}" for part, number in counts.items()) + f"; machines {', '.join(machines)}"


CAR_STUDIES = ["cars_10s", "cars_spliced", "cars_noise_6db"]


@pytest.mark.parametrize(
    ("study", "split", "folds"),
    [
        *((study, "", ()) for study in CAR_STUDIES),
        *((study, "", (4, 3)) for study in ("cars_10s", "quickstart")),
        *((study, "column", ()) for study in ("cars_10s", "quickstart")),
        ("quickstart", "", ()),
    ],
)
def test_the_parts_are_those_of_a_study_on_this_data(tmp_path, survey, study, split, folds):
    root, file = garage(tmp_path / "data", split=split, rate_hz=8000), ROOT / f"studies/{study}.toml"
    k, fold = folds or (None, None)
    inputs = inputs_of_study(study=file, data=str(root), folds=k, fold=fold)
    found = survey(root, "--study", file, *(["--folds", k, "--fold", fold] if folds else []))
    assert found.json["refusal"] is None
    assert parts_in_words(found) == inputs.dataset.takes()
    assert found.json["fingerprint"] == inputs.corpus.fingerprint
    inputs.datasets.close()


@pytest.mark.parametrize(
    "assignments",
    [
        ("split.seed=3", "clips.clip_seconds=5"),
        ("speed_perturbation=none", "data.channels=first"),
        ("split.folds=4",),
        ("sample_rate_hz=2000",),
    ],
)
def test_what_is_set_is_set_as_in_a_study(tmp_path, survey, assignments):
    root, file = garage(tmp_path / "data", rate_hz=8000), ROOT / "studies/cars_10s.toml"
    inputs = inputs_of_study(study=file, data=str(root), set=list(assignments))
    found = survey(root, "--study", file, *(word for text in assignments for word in ("--set", text)))
    assert found.json["split"]["settings"] == vars(inputs.spec.split)
    assert parts_in_words(found) == inputs.dataset.takes()
    assert found.json["fingerprint"] == inputs.corpus.fingerprint
    inputs.datasets.close()


def test_without_a_study_file_it_is_the_study_command_s_default(tmp_path, survey):
    root = garage(tmp_path / "data")
    assert survey(root).json == survey(root, "--study", ROOT / "studies/any_machine.toml").json


def test_without_arguments_it_surveys_what_the_study_command_would_search_on(survey):
    found = survey()
    assert (found.code, found.json["source"]) == (0, "simulated")
    assert found.json == survey("simulated", "--study", ROOT / "studies/quickstart.toml").json


@pytest.mark.slow
def test_the_parts_of_the_simulated_car_are_those_of_the_default_study(survey):
    simulated = survey("simulated")
    inputs = inputs_of_study(study=ROOT / "studies/quickstart.toml")
    assert simulated.json["fingerprint"] == inputs.corpus.fingerprint
    assert parts_in_words(simulated) == inputs.dataset.takes()


def other_channels(root: Path) -> None:
    write(root / "normal/CAR01_0.wav", noise(2, 150_000), 5000)


def lower_rate(root: Path) -> None:
    write(root / "normal/CAR01_0.wav", noise(1, 90_000), 3000)


def too_short(root: Path) -> None:
    write(root / "normal/CAR01_0.wav", noise(1, 5000), 5000)


def one_fault(root: Path) -> None:
    path = root / "manifest.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "faulty" not in line or "CAR01_4" in line))


def too_few(root: Path) -> None:
    path = root / "manifest.csv"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "CAR01_0" not in line))
    for index in range(1, 4):
        write(root / f"normal/CAR01_{index}.wav", noise(1, 3 * 5000), 5000)


def other_in_train(root: Path) -> None:
    garage(root, split="column", num_normal=5)
    path = root / "manifest.csv"
    path.write_text(path.read_text().replace("faulty,val", "faulty,train", 1))


def labelled_events(root: Path) -> None:
    garage(root, rate_hz=8000)
    file = root / "manifest.csv"
    rows = file.read_text().splitlines()[1:]
    table(file, *(f"{row},{'events.csv' if 'faulty' in row else ''}" for row in rows), header=f"{HEADER},events")
    spans = (f"{row.partition(',')[0]},3,5" for row in rows if "faulty" in row)
    table(root / "events.csv", *spans, header="path,start_s,end_s")


@pytest.mark.parametrize(
    ("spoil", "study", "words"),
    [
        (other_channels, "quickstart", "data.channels=mix"),
        (lower_rate, "quickstart", "at most the rate of every recording"),
        (too_short, "quickstart", "must last at least 2 s"),
        (one_fault, "quickstart", "Anomalous recordings must be at least 2"),
        (too_few, "quickstart", "at least 4 normal takes .*or fewer that can be cut into 4 parts of 4 s"),
        (other_in_train, "quickstart", "only normal recordings"),
        (too_short, "cars_1s", "must hold two clips"),
        (lambda root: garage(root, seconds=10), "cars_10s", "must hold two clips"),
        (labelled_events, "cars_spliced", "'faulty/CAR01_4.wav' has labelled events. Leave .* with --set splice=none"),
    ],
)
def test_what_a_study_refuses_the_survey_says_in_the_same_line(tmp_path, survey, spoil, study, words):
    root, file = garage(tmp_path / "data"), ROOT / f"studies/{study}.toml"
    spoil(root)
    with pytest.raises(UserError, match=words) as refusal:
        inputs_of_study(study=file, data=str(root))
    found = survey(root, "--study", file)
    assert (found.code, found.json["refusal"]) == (0, str(refusal.value))
    assert f"a study would refuse this data: {refusal.value}" in found.out


def test_a_rate_that_is_only_searched_counts_too(tmp_path, survey):
    root, file = garage(tmp_path / "data"), tmp_path / "study.toml"
    file.write_text("[space]\nsample_rate_hz = { low = 2000, high = 6500, step = 2000 }\n")
    assert "at most the rate of every recording, but got 6000" in survey(root, "--study", file).json["refusal"]


def inputs_of_study(**changes: object) -> StudyInputs:
    given = {"study": TINY, "data": None, "trials": None, "name": None, "device": "cpu", "workers": 1, "threads": 1}
    switches = {"no_store": True, "skip_bad_files": False, "dry_run": True, "once": False, "no_finalists": False}
    options, console = Namespace(**{**given, **switches, "set": [], "folds": None, "fold": None, **changes}), Console()
    return decode_inputs(list_inputs(options, ROOT, console), options, console)


@pytest.mark.parametrize("source", [None, "simulated"])
def test_the_fingerprint_is_the_one_that_trials_carry(survey, source):
    recorded = inputs_of_study(data=source).corpus.fingerprint
    found = survey(*([source] if source else []), "--study", TINY)
    assert found.json["fingerprint"] == recorded
    assert f"fingerprint  {recorded}" in found.out
    assert survey("simulated").json["fingerprint"] != recorded


def test_options_go_with_a_source_of_their_kind_alone(tmp_path):
    data = {"source": "toyadmos:trees/a", "cases": [1], "noise_seed": 3}
    assert choose_source(data, None, tmp_path) == {**data, "source": f"toyadmos:{tmp_path}/trees/a"}
    assert choose_source(data, "toyadmos:b", tmp_path) == {**data, "source": "toyadmos:b"}
    assert choose_source(data, "hub:a/b", tmp_path) == {"source": "hub:a/b", "cases": [1]}
    assert choose_source(data, "folder:b", tmp_path) == {"source": "folder:b"}
    assert choose_source({"source": "hub:a/b"}, None, tmp_path) == {"source": "hub:a/b"}
    assert choose_source({"source": "hub:./b"}, None, tmp_path) == {"source": f"hub:{tmp_path}/b"}


def test_a_tree_is_surveyed_by_case_with_what_was_skipped(tmp_path, survey):
    tree = write_tree(tmp_path, cases=(1, 3), num_normal=6, conditions=("ab01", "ab27"), num_anomalous=2)
    (tree / take_name(case=3, take=2, microphone=4)).unlink()
    found = survey(f"toyadmos:{tree}")
    assert [[row["machine"], row["condition"], row["num_recordings"]] for row in found.json["conditions"]] == [
        ["ToyCar-case1", "normal", 6],
        ["ToyCar-case1", "ab01 under voltage", 2],
        ["ToyCar-case1", "ab27 bent shaft", 2],
        ["ToyCar-case3", "normal", 5],
        ["ToyCar-case3", "ab01 under voltage", 2],
        ["ToyCar-case3", "ab27 bent shaft", 2],
    ]
    (skipped,) = found.json["skipped"]
    assert "lacks microphone 4" in skipped["reason"]
    assert skipped["reason"] in found.out


def test_all_that_was_skipped_is_written_and_the_first_of_it_printed(tmp_path, survey):
    data = mixed_folder(tmp_path / "data")
    (data / "manifest.csv").unlink()
    for take in range(6):
        write(data / f"normal/{take}.wav", noise(seed=take))
    for take in range(MAX_SKIPPED_LINES + 7):
        write(data / f"faulty/{take:02d}.wav").write_bytes(b"no audio")
    assert survey(f"folder:{data}").code == 2
    found = survey(f"folder:{data}", "--skip-bad-files")
    assert found.code == 0
    names = [row["name"] for row in found.json["skipped"]]
    assert {f"faulty/{take:02d}.wav" for take in range(MAX_SKIPPED_LINES + 7)} < set(names)
    assert all(row["reason"] for row in found.json["skipped"])
    assert f"and {len(names) - MAX_SKIPPED_LINES} more, which --json FILE lists" in found.out
    assert sum(name in found.out for name in names) == MAX_SKIPPED_LINES


def test_what_stands_in_for_missing_recordings_is_said_and_the_totals_stay(tmp_path, survey):
    for take in range(2):
        write(tmp_path / f"data/normal/{take}.wav", noise(1, 30 * 8000, seed=take), 8000)
    found = survey(f"folder:{tmp_path / 'data'}")
    assert found.json["refusal"] is None
    assert found.json["totals"]["num_recordings"] == 2
    dealt = [row for row in found.json["split"]["parts"] if row["part"] != "calibration"]  # of training takes here
    assert sum(row["num_recordings"] for row in dealt) == 12
    assert "12 parts of 2 normal takes stand in for takes" in found.out
    assert "no anomalous recording: trials are judged by faults that are injected into healthy takes" in found.out


def test_a_split_that_cannot_be_made_is_said_and_does_not_end_the_survey(tmp_path, survey):
    for take in range(6):
        write(tmp_path / f"data/normal/{take}.wav", noise(seed=take))
    write(tmp_path / "data/faulty/0.wav", noise(seed=99))
    found = survey(f"folder:{tmp_path / 'data'}")
    assert found.code == 0
    assert "must be at least 2" in found.json["refusal"]
    assert f"a study would refuse this data: {found.json['refusal']}" in found.out
    assert found.json["split"]["parts"] == []
    assert found.json["totals"]["num_recordings"] == 7


def test_a_stream_is_counted_by_its_headers_and_dealt_take_by_take(tmp_path, survey):
    root = write_hub_copy(tmp_path / "copy", HubLayout(num_train=24, cases=(1, 2)))
    bad_samples = encoded(np.array([0.1, np.nan, 0.2] * 100), subtype="FLOAT")
    rows = [(f"{key_of(take)}.wav", wav_bytes(take)) for take in range(1, 21)]
    truncated = (f"{key_of(90)}.wav", wav_bytes(90)[:600])
    write_archive(root / TRAIN, [*rows, (f"{key_of(91)}.wav", bad_samples), truncated])
    corpus = open_source(f"hub:{root}")
    takes = [take for take in corpus.takes() if isinstance(take, Recording)]
    found = survey(f"hub:{root}")
    assert found.json["totals"]["num_recordings"] == len(takes) == 20 + 1 + 4 * 12
    assert found.parts() == Counter(
        (split_of(take, SplitConfig(calibration_fraction=0.5)), take.machine, take.label) for take in takes
    )
    (skipped,) = found.json["skipped"]
    assert key_of(90) in skipped["name"]
    assert "truncated" in skipped["reason"]
    assert (found.json["is_streamed"], found.json["fingerprint"]) == (True, corpus.fingerprint)


def streamed(machine: str, label: Label, part: Part, number: int) -> Recording:
    """A take of a stream that states its part; for `calibration` and `train`, one that the hash assigns there."""
    asked = "train" if part in ("train", "calibration") else part
    ids = (f"{machine} {label} {part} {number} {attempt}" for attempt in count_up())
    takes = (
        Recording(
            recording_id=each,
            machine=machine,
            label=label,
            num_channels=1,
            sample_rate_hz=8000,
            num_samples=8000,
            digest=each,
            split=asked,
            read=lambda: pytest.fail("a survey decodes nothing"),
        )
        for each in ids
    )
    return next(take for take in takes if split_of(take, SplitConfig()) == part)


STRATA: list[tuple[str, Label, Part]] = [
    *((machine, "normal", part) for machine in ("fan", "pump") for part in PARTS),
    *((machine, "anomalous", part) for machine in ("fan", "pump") for part in ("validation", "test")),
]


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ([], None),
        ([("fan", "normal", "train")], None),
        ([(machine, "normal", "train") for machine in ("fan", "pump")], ["normal takes to train on"]),
        ([(machine, "anomalous", "test") for machine in ("fan", "pump")], ["anomalous takes for test"]),
        ([(machine, "normal", "validation") for machine in ("fan", "pump")], ["normal takes for validation"]),
        ([("pump", "normal", "calibration")], ["'pump'", "to calibrate on"]),
        (STRATA, ["normal takes to train on"]),
    ],
)
def test_what_a_stream_lacks_is_said_and_its_takes_are_counted_all_the_same(lacking, words):
    strata = [stratum for stratum in STRATA if stratum not in lacking]
    takes = [streamed(*stratum, number) for stratum in strata for number in range(2)]
    source = StreamedCorpus(name="s", description="", fingerprint="", takes=lambda: iter(takes))
    config = DataConfig(sample_rate_hz=8000, clips=ClipConfig(), split=SplitConfig())
    counts = count(source, config, highest_rate_hz=8000)
    if words is None:
        assert counts.refusal is None
    else:
        assert all(word in str(counts.refusal) for word in words), counts.refusal
    parts = {key: amount.num_recordings for key, amount in counts.by_part("machine", "label").items()}
    assert parts == {(part, machine, label): 2 for machine, label, part in strata}
    assert counts.total.num_recordings == len(takes)


def test_names_can_do_nothing_to_a_terminal_and_columns_stand_in_line(tmp_path, survey):
    for take in range(6):
        write(tmp_path / f"data/{take}.wav", noise(seed=take))
    table(
        tmp_path / "data/manifest.csv",
        *(f"{take}.wav,扇風機,normal," for take in range(3)),
        *(f"{take}.wav,fan,anomalous,\x1b[2Jlost" for take in range(3, 6)),
        header="path,machine,label,condition",
    )
    found = survey(f"folder:{tmp_path / 'data'}")
    assert all(line.isprintable() for line in found.out.splitlines())
    assert found.json["conditions"][0]["condition"] == "\x1b[2Jlost"
    (wide,) = (line for line in found.out.splitlines() if line.startswith("扇風機"))
    (narrow,) = (line for line in found.out.splitlines() if line.startswith("fan"))
    assert narrow.index("anomalous") == wide.index("normal") + len("扇風機")


def test_the_json_is_stable_and_nothing_else_is_written_but_digests(tmp_path, survey, monkeypatch):
    data = mixed_folder(tmp_path / "data")
    monkeypatch.setattr("core.data.digests.RACY_NS", -1)  # otherwise new files are not cached
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    survey(f"folder:{data}")
    text = (tmp_path / "survey.json").read_text()
    assert json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n" == text
    survey(f"folder:{data}")
    assert (tmp_path / "survey.json").read_text() == text
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {name for name in written if not name.startswith("data/")} == {"survey.json", "store/digests.json"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fold", "2"], ["--fold must be 1 to the number of --folds, but got 2 without --folds"]),
        (["folder:nowhere"], ["'nowhere'", "must exist"]),
        (["simulated", "--folds", "4", "--fold", "5"], ["--fold must be 1 to"]),
        (["simulated", "--folds", "2"], ["split.folds must be at least 3"]),
        (["tape:reel"], ["Data source must be one of", "'tape:reel'"]),
        (["hub:./nowhere"], ["nowhere"]),
        (["simulated", "--study", "nowhere.toml"], ["nowhere.toml"]),
        (["simulated", "--study", "study.toml"], ["study.toml", "split.sed must be a known key", "seed"]),
        (["simulated", "--study", "type.toml"], ["type.toml", "split.seed must be a valid integer", "1.5"]),
        (["simulated", "--study", "range.toml"], ["range.toml", "split.test_fraction must be above 0", "2.0"]),
        (["simulated", "--study", "broken.toml"], ["broken.toml", "TOML"]),
        (
            ["simulated", "--set", "split.sed=2"],
            ["--set must name a key that a survey reads", "'split.sed=2'", "split.seed"],
        ),
        (["simulated", "--set", "split.seed=1.5"], ["with --set split.seed=1.5", "split.seed must be a valid integer"]),
        (["simulated", "--set", "split.seed"], ["--set must be NAME=VALUE, but got 'split.seed'"]),
        (["simulated", "--study", "option.toml"], ["data.loudness", "option of the simulated source"]),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, survey, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text("[split]\nsed = 1\n")
    Path("type.toml").write_text("[split]\nseed = 1.5\n")
    Path("range.toml").write_text("[split]\ntest_fraction = 2.0\n")
    Path("broken.toml").write_text("[split\n")
    Path("option.toml").write_text("[data]\nloudness = 1\n")
    found = survey(*arguments)
    assert (found.code, found.out, found.json) == (2, "", None)
    assert all(word in found.err for word in words), found.err
    assert found.err.startswith("error: ")
    assert found.err.count("\n") == 1


@pytest.mark.parametrize("path", ["/nonexist/s.json", "/proc/s.json", ".", "/dev/null"])
def test_an_output_that_cannot_be_written_is_refused_before_the_survey(path, capsys, monkeypatch):
    monkeypatch.setattr("core.sources.open_source", lambda *_, **__: pytest.fail("the work has begun"))
    assert main(["simulated", "--no-store", "--json", path]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: --json must be ")
    assert said.err.count("\n") == 1


def test_a_file_or_a_store_that_cannot_be_written_is_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    assert main(["simulated", "--no-store", "--json", str(tmp_path / "file/survey.json")]) == 2
    write(tmp_path / "data/normal/a.wav")
    monkeypatch.setattr("core.data.digests.RACY_NS", -1)
    assert main([f"folder:{tmp_path / 'data'}", "--store", str(tmp_path / "file/store")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_a_reader_that_ends_early_is_no_error():
    command = [sys.executable, "-m", "core.survey", "simulated", "--no-store"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == b""


def test_the_command_starts_without_torch_and_ends_quietly_on_ctrl_c(tmp_path):
    fifo = tmp_path / "study.toml"
    os.mkfifo(fifo)  # the command waits for a writer
    code = "import sys, core.survey as s\nassert 'torch' not in sys.modules\nsys.exit(s.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "simulated", "--study", str(fifo)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer = None
    while writer is None and process.poll() is None:
        with suppress(OSError):  # until the command reads
            writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 130
    os.close(writer)
