"""The front end as part of the search: every rate is judged on the same clips; impossible rates are refused early."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import hpo.run_study
from core.data.judged_clips import JUDGED
from core.data.recordings import Corpus, Recording, Skipped, StreamedCorpus
from core.decision.checkpoint import load_detector
from core.decision.score_file import load_scores
from core.errors import UserError
from core.model.wavenet_config import describe
from core.sources import open_source
from hpo.search.data_by_rate import Datasets, check_same_clips, open_datasets
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec

ROOT = Path(__file__).resolve().parents[3]
STUDY_FILE = ROOT / "tests/data/tiny_front_end.toml"
TEXT = STUDY_FILE.read_text()
RATES = "sample_rate_hz = { choices = [2000, 4000] }"


@pytest.fixture(scope="module")
def spec() -> StudySpec:
    return load_study_file(STUDY_FILE)


@pytest.fixture(scope="module")
def corpus(spec: StudySpec) -> Corpus:
    options = {key: value for key, value in spec.data.items() if key != "source"}
    found = open_source("simulated", options=options)
    assert isinstance(found, Corpus)
    return found


@pytest.fixture(scope="module")
def datasets(spec: StudySpec, corpus: Corpus) -> Datasets:
    return open_datasets(corpus, spec, skip_bad_files=False, store=None)


def parsed(text: str, folder: Path) -> StudySpec:
    assert text != TEXT
    path = folder / "changed.toml"
    path.write_text(text)
    return load_study_file(path)


def test_a_study_that_searches_the_front_end_runs_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search, --once, --rerun and --page; trials of one front end share a training."""
    monkeypatch.setattr(hpo.run_study, "ROOT", tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    command = ["--study", str(STUDY_FILE), "--threads", "1", "--store", str(tmp_path / "store")]

    def run(*arguments: str) -> str:
        code = hpo.run_study.main([*command, *arguments])
        said = capsys.readouterr()
        assert code == 0, said
        return said.out

    run("--trials", "4")
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "runs/optuna.journal")))
    study = optuna.load_study(study_name="tiny_front_end-simulated", storage=storage)
    folder = tmp_path / "runs/tiny_front_end-simulated"
    assert all(trial.state is TrialState.COMPLETE for trial in study.trials)
    assert {trial.params["sample_rate_hz"] for trial in study.trials} == {2000, 4000}
    setups = {tuple(trial.params[n] for n in ("sample_rate_hz", "level", "mu_law_levels")) for trial in study.trials}
    assert len(setups) < len(study.trials), "some trials differ in post-processing alone"
    assert len(list((folder / "trainings").iterdir())) == len(setups)
    judged = set()
    for trial in study.trials:
        detector = load_detector(folder / f"trials/{trial.number:04d}/checkpoint.safetensors")
        scored = load_scores(folder / f"trials/{trial.number:04d}/frame_scores.npz")
        assert detector.front_end.config.sample_rate_hz == trial.params["sample_rate_hz"]
        assert detector.model.config.mu_law_levels == trial.params["mu_law_levels"]
        judged.add((scored["test"].recording_ids, scored["test"].scores.surprise.shape))
    assert len(judged) == 1, "the same clips and as many frames, whatever the rate"
    for column in ("sample_rate_hz", "level", "mu_law_levels", "val_bits_saved", "test_bits_saved"):
        assert column in (folder / "report.html").read_text()
    other = next(trial for trial in study.trials if trial.params["sample_rate_hz"] == 2000)
    assert f"validation F1 {other.user_attrs['facts']['val_f1']:.3f}" in run("--rerun", str(other.number))
    assert len(list(folder.glob("single/*/trainings/*"))) == 1, "it has trained again, by itself"
    assert "page.html" in run("--page", str(other.number))


def test_every_rate_has_the_same_clips_and_its_frames_lie_at_the_same_times(
    spec: StudySpec, datasets: Datasets
) -> None:
    space = spec.search_space
    assert space.sample_rates_hz == (2000, 4000)
    assert datasets.default.sample_rate_hz == 4000
    assert datasets.at(2000) is datasets.at(2000)
    for name in JUDGED:
        slow, fast = (datasets.at(rate).judged()[name] for rate in (2000, 4000))
        assert slow.recording_ids == fast.recording_ids
        assert slow.starts_s == pytest.approx(fast.starts_s, abs=1 / 2000)
        assert slow.waveforms.shape[-1] * 2 == fast.waveforms.shape[-1]
    context_s = {space.context_samples(rate) / rate for rate in space.sample_rates_hz}
    frame_s = {spec.scoring.frame_samples(rate) / rate for rate in space.sample_rates_hz}
    assert (len(context_s), len(frame_s)) == (1, 1)


def test_clips_of_other_takes_times_or_labels_are_not_taken_for_the_same(datasets: Datasets) -> None:
    one, other = datasets.at(2000), datasets.at(4000)
    check_same_clips(one, other)
    test = other.test
    changes = [
        {"recording_ids": test.recording_ids[::-1]},
        {"starts_s": tuple(start + 0.001 for start in test.starts_s)},
        {"is_anomalous": ~test.is_anomalous},
    ]
    for change in changes:
        judged = {**other.judged(), "test": replace(test, **change)}  # type: ignore[arg-type]
        with pytest.raises(UserError, match=r"the test clips at 4000 Hz are not those at 2000 Hz"):
            check_same_clips(one, replace(other, judged=lambda judged=judged: judged))  # type: ignore[misc]


def test_the_box_is_walked_over_rates_and_levels(tmp_path: Path, spec: StudySpec) -> None:
    facts = [describe(config.wavenet(2)) for config in spec.search_space.corners()]
    assert len({(each["num_layers"], each["num_weights"]) for each in facts}) == 4
    layers, weights = (max(each[key] for each in facts) for key in ("num_layers", "num_weights"))
    slow = describe(spec.search_space.configuration({"sample_rate_hz": 2000}).wavenet(1))
    few = describe(spec.search_space.configuration({"mu_law_levels": 64}).wavenet(1))
    assert slow["num_layers"] < layers
    assert few["num_weights"] < weights
    for limit in (f"max_layers = {layers - 1}", f"max_weights = {slow['num_weights']}"):
        key = limit.split()[0]
        text = "\n".join(limit if line.startswith(key) else line for line in TEXT.splitlines())
        with pytest.raises(UserError, match=rf"limits\.{key} must hold for every network .* 4000 Hz, (64|256) levels"):
            parsed(text, tmp_path)


WRONG = {
    "a frame of half a sample": (RATES, "sample_rate_hz = { choices = [2020, 4000] }", "at 2020 Hz it is 50.5"),
    "a step of one": (RATES, "sample_rate_hz = { low = 2000, high = 4000 }", "at most 16 rates"),
    "half a Hz": (RATES, "sample_rate_hz = { choices = [2000.5, 4000] }", "whole numbers"),
    "a rate that is none": (RATES, "sample_rate_hz = { choices = [20, 4000] }", "sample_rate_hz must be 1000 to"),
    "a level that is none": ('"train_gain"]', '"loud"]', "front_end.level must be one of"),
    "too many levels": ("[64, 256]", "[256, 512]", "front_end.mu_law_levels must be 2 to 256"),
    "a spectrum that is no multiple": (
        f"[space]\n{RATES}",
        "[front_end]\nspectrum_rate_hz = 16_000\n[space]\nsample_rate_hz = { choices = [3000, 4000] }",
        "front_end.spectrum_rate_hz must be a multiple of sample_rate_hz (3000)",
    ),
    "a frame more at one rate": (
        "receptive_field_ms = 8\nskip_channels = 8",
        "receptive_field_ms = 10.2\nskip_channels = 8\n[scoring]\nframe_ms = 5.0",
        "as many frames",
    ),
}


@pytest.mark.parametrize(("old", "new", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_front_end_that_cannot_be_searched_is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        parsed(TEXT.replace(old, new), tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_rate_above_a_recording_s_own_is_refused_before_anything_is_decoded(tmp_path: Path, corpus: Corpus) -> None:
    def never() -> np.ndarray:
        raise AssertionError("it was decoded")

    undecoded = replace(corpus, recordings=tuple(replace(r, read=never) for r in corpus.recordings))
    spec = parsed(TEXT.replace(RATES, "sample_rate_hz = { low = 4000, high = 8000, step = 4000 }"), tmp_path)
    with pytest.raises(UserError, match=r"sample_rate_hz must be at most the rate .* got 8000 where .* has 4000"):
        open_datasets(undecoded, spec, skip_bad_files=False, store=None)


def test_rates_of_a_stream_are_refused(spec: StudySpec) -> None:
    def takes() -> Iterator[Recording | Skipped]:
        raise AssertionError("it was read")

    stream = StreamedCorpus(name="made", description="by hand", fingerprint="f", takes=takes)
    with pytest.raises(UserError, match=r"space\.sample_rate_hz must be left out where the data is streamed"):
        open_datasets(stream, spec, skip_bad_files=False, store=None)


def test_what_is_too_short_to_be_used_bounds_no_rate(spec: StudySpec, corpus: Corpus, datasets: Datasets) -> None:
    first = corpus.recordings[0]
    noise = np.random.default_rng(0).normal(0, 0.1, (first.num_channels, 10)).astype(np.float32)
    short = replace(first, recording_id="short", digest="short", sample_rate_hz=500, num_samples=10, read=lambda: noise)
    more = replace(corpus, recordings=(*corpus.recordings, short))
    opened = open_datasets(more, spec, skip_bad_files=True, store=None)
    rate_hz = spec.front_end.read_rate_hz
    assert opened.at(rate_hz).test.recording_ids == datasets.at(rate_hz).test.recording_ids
    assert [skipped.name for skipped in opened.at(rate_hz).skipped()] == ["short"]
