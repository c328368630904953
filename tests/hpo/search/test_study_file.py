"""Study files: a correct file loads, and an error is one line that names the thing and the rule."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from core.data.recordings import Corpus, Label, Recording
from core.errors import UserError
from core.model.wavenet_config import describe, receptive_field_of
from core.sources import open_source
from hpo.search.search_space import SearchSpace
from hpo.search.study_file import load_study_file

ROOT = Path(__file__).resolve().parents[3]
TINY = (ROOT / "tests/data/tiny.toml").read_text()
STUDIES = sorted((ROOT / "studies").glob("*.toml"))
NUM_CHANNELS = {"quickstart": 4, "paper": 4, "toyadmos_car": 4}
"""Of the data that each study file is made for; cars are recorded with one microphone."""


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_point_of_a_study_s_box_is_a_network_within_its_limits(path: Path) -> None:
    spec = load_study_file(path)
    space = spec.search_space
    depths = {config.network.dilation_depth for config in space.corners()}
    widths = {config.network.residual_channels for config in space.corners()}
    fields = {config.network.receptive_field_ms for config in space.corners()}
    low, high = min(fields), max(fields)
    for depth in range(min(depths), max(depths) + 1):
        for step in range(9):
            asked_ms = low + (high - low) * step / 8
            for width in widths:
                given = {"dilation_depth": depth, "residual_channels": width, "receptive_field_ms": asked_ms}
                config = space.configuration(
                    {name: value for name, value in given.items() if name in space.distributions}
                )
                network = config.wavenet(NUM_CHANNELS.get(path.stem, 1))
                asked = round(config.network.receptive_field_ms * config.front_end.sample_rate_hz / 1000)
                assert receptive_field_of(network.dilations) == asked
                assert asked <= space.context_samples(config.front_end.sample_rate_hz)
                facts = describe(network)
                assert facts["num_layers"] <= spec.limits.max_layers
                assert facts["num_weights"] <= spec.limits.max_weights


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_default_configuration_lies_in_the_box(path: Path) -> None:
    space = load_study_file(path).search_space
    assert space.configuration(space.default_parameters) == space.default


@pytest.mark.parametrize(("study", "expected"), [("any_machine", 2), ("cars_1s", 2), ("quickstart", 50)])
def test_trials_that_differ_in_nothing_that_is_trained_share_a_training(study: str, expected: int) -> None:
    space = load_study_file(ROOT / f"studies/{study}.toml").search_space
    assert space.num_trainings(50) == expected
    assert space.num_trainings(1) == 1
    asked = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    configs = [space.suggest(asked.ask(dict(space.distributions))) for _ in range(50)]
    assert len({(each.front_end, each.network, each.training) for each in configs}) == expected


def test_the_score_innovations_has_trainings_of_its_own() -> None:
    scores = {"score": {"choices": ["innovations", "surprise", "residual"]}}
    space = SearchSpace.parse(scores, load_study_file(ROOT / "studies/any_machine.toml").search_space.default)
    asked = [space.configuration({"score": score}) for score in scores["score"]["choices"]]
    assert space.num_trainings(50) == len({each.training_setup(1, 400) for each in asked}) == 2


WRONG = {
    "an unknown table": ("xx = 1\n" + TINY, "xx must be a known key"),
    "an unknown key": (
        TINY.replace("skip_channels = 8", "skip_chanels = 8"),
        "network.skip_chanels must be a known key",
    ),
    "a number for a table": (f"splice = 0\n{TINY}", "splice must be a table, but got 0"),
    "a word for a number": (TINY.replace("epochs = 3", "epochs = 'two'"), "training.epochs must be a valid integer"),
    "half a layer": (TINY.replace("dilation_depth = 5", "dilation_depth = 5.5"), "network.dilation_depth must be"),
    "a negative length": (
        TINY.replace("clip_seconds = 1.0", "clip_seconds = -1.0"),
        "clips.clip_seconds must be above 0",
    ),
    "no goal": (TINY.replace("goal =", "# goal ="), "goal must be given"),
    "no trials": (TINY.replace("trials = 3", "trials = 0"), "trials must be at least 1"),
    "an unknown parameter": (TINY + "depth = { low = 1, high = 2 }\n", "space.depth must be a parameter"),
    "an unknown end": (
        TINY.replace("{ low = 4, high = 6 }", "{ lo = 4, high = 6 }"),
        "space.dilation_depth must have keys",
    ),
    "an empty range": (
        TINY.replace("{ low = 4, high = 6 }", "{ low = 9, high = 6 }"),
        "space.dilation_depth must be a range",
    ),
    "a half integer": (TINY.replace("{ low = 4, high = 6 }", "{ low = 4.5, high = 6 }"), "whole numbers"),
    "a rate of zero": (TINY.replace("low = 1e-3", "low = 0.0"), "space.learning_rate must be a range"),
    "a default outside": (
        TINY.replace("dilation_depth = 5", "dilation_depth = 9"),
        "default of dilation_depth must lie in",
    ),
    "a network beyond": (TINY.replace("max_layers = 16", "max_layers = 3"), "limits.max_layers must hold"),
    "a heavy network": (TINY.replace("max_weights = 40_000", "max_weights = 4_000"), "limits.max_weights must hold"),
    "a clip too short": (TINY.replace("high = 12, log", "high = 1200, log"), "must hold"),
    "a clip too short to be compared with itself": (
        TINY.replace("clip_seconds = 1.0", "clip_seconds = 0.83")
        + 'baseline = { choices = ["machine", "clip"] }\n[scoring]\nscore = "innovations"\n',
        "clips.clip_seconds must be at least 0.837 where a clip can be compared with itself",
    ),
    "a broken table": (TINY + "[", "must be a TOML file"),
    "a wrong word": (TINY + "[scoring]\nscore = 'loudness'\n", "scoring.score must be 'surprise', 'entropy'"),
    "a table that may be missing": (TINY + "[noise]\nsnr = 6.0\n", "noise.snr_db must be given"),
    "an unknown key in it": (
        TINY + "[noise]\nsnr_db = 6.0\ncolour = 'pink'\n",
        "noise.colour must be a known key, but is not. Known here: snr_db, kind, seed.",
    ),
    "noise of no kind": (TINY + "[noise]\nsnr_db = 6.0\nkind = 'brown'\n", "noise.kind must be 'pink' or 'white'"),
    "a stretch longer than a clip": (TINY + "[splice]\n", "clips.clip_seconds must hold splice.max_seconds"),
    "a stretch where nothing is scored": (
        TINY + "[splice]\nmax_seconds = 0.6\nmargin_seconds = 0.01\n",
        "splice.margin_seconds must hold the largest receptive field (0.012 s)",
    ),
    "a rash pruner": (TINY.replace("warmup_epochs = 1", "warmup_epochs = 0"), "must be at least 1"),
    "seeds below none": (TINY.replace("new_seeds = 0", "new_seeds = -1"), "finalists.new_seeds must be 0 or more"),
    "no finalist": (TINY.replace("new_seeds = 0", "count = 0"), "finalists.count must be at least 1"),
    "a shorter training": (
        TINY.replace("new_seeds = 0", "epochs_factor = 0.5"),
        "finalists.epochs_factor must be at least 1",
    ),
    "both baselines of a score that has one at a time": (
        TINY + 'baseline = { choices = ["machine", "both"] }\n',
        "baseline must be machine or clip where the score can be another than innovations, but can be both",
    ),
    "both baselines, and a score that is searched": (
        TINY + 'baseline = { choices = ["machine", "both"] }\nscore = { choices = ["surprise", "innovations"] }\n',
        "baseline must be machine or clip where the score can be another than innovations, but can be both",
    ),
    "nothing but a threshold that is promised": (
        TINY.partition("[space]")[0]
        + "[space]\nthreshold_sigmas = { low = 0.5, high = 4.0 }\n[threshold]\nfalse_alarms = 0.05\n",
        "space must hold another parameter beside threshold_sigmas where [threshold] is given",
    ),
    "a range that is none of a threshold that is promised": (
        TINY.replace("threshold_sigmas = { low", "threshold_sigmas = { lowest") + "[threshold]\nfalse_alarms = 0.05\n",
        "space.threshold_sigmas must have keys out of",
    ),
    "two promises": (
        TINY + "[threshold]\nfalse_alarms = 0.05\nfalse_alarms_per_hour = 1.0\n",
        "threshold must hold one of false_alarms and false_alarms_per_hour",
    ),
    "more alarms than clips": (
        TINY.replace("threshold_sigmas = {", "# ") + "[threshold]\nfalse_alarms_per_hour = 3600.0\n",
        "must be fewer than the clips of an hour (3600), but got 3600",
    ),
    "not a number": (
        TINY.replace("seconds_per_epoch = 1", "seconds_per_epoch = nan"),
        "training.seconds_per_epoch must be",
    ),
}


def test_a_threshold_that_is_promised_is_not_searched(tmp_path: Path) -> None:
    path = tmp_path / "promise.toml"
    path.write_text(TINY)
    searched, promised = load_study_file(path), load_study_file(path, ["threshold.false_alarms=0.05"])
    assert searched.space.keys() - promised.space.keys() == {"threshold_sigmas"}
    assert promised.default_experiment == searched.default_experiment, "trials are judged at the file's threshold"


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_in_one_line_with_the_file_s_name(tmp_path: Path, text: str, said: str) -> None:
    assert text != TINY
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_study_file(path)
    message = str(caught.value)
    assert said in message
    assert message.startswith(str(path))
    assert "\n" not in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.toml"):
        load_study_file(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(("labels", "choices"), [("nnu", ["relative"]), ("nna", ["all", "relative"])])
def test_statistics_are_searched_only_where_a_real_fault_can_judge_them(
    tmp_path: Path, labels: str, choices: list[str]
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        TINY + 'statistics = { choices = ["all", "relative"] }\n[postprocessing]\nstatistics = "relative"\n'
    )
    spec = load_study_file(path)
    settled = spec.settled(corpus_of(labels))
    assert settled.space == spec.space | {"statistics": {"choices": choices}}
    assert settled.search_space.default == spec.search_space.default


def corpus_of(labels: str) -> Corpus:
    """Takes that nobody reads: normal, anomalous and unknown ones by the first letter."""
    words: dict[str, Label] = {"n": "normal", "a": "anomalous", "u": "unknown"}
    recordings = [
        Recording(
            recording_id=str(index),
            machine="",
            label=words[letter],
            condition="",
            num_channels=1,
            sample_rate_hz=4000,
            num_samples=4000,
            digest=str(index),
            read=lambda: np.zeros((1, 4000), np.float32),
        )
        for index, letter in enumerate(labels)
    ]
    return Corpus(name="it", description="", recordings=tuple(recordings))


def test_the_identity_ignores_words_and_counts_but_not_the_space(tmp_path: Path) -> None:
    def identity(text: str) -> dict[str, object]:
        path = tmp_path / "study.toml"
        path.write_text(text)
        return load_study_file(path).identity()

    same = identity(TINY)
    assert identity(TINY.replace("trials = 3", "trials = 9").replace("Be over", "Finish")) == same
    assert identity(TINY.replace("new_seeds = 0", "new_seeds = 2")) == same, "what comes after the search"
    fixed = TINY.replace("threshold_sigmas = {", "# ")
    assert identity(fixed + "[threshold]\nfalse_alarms = 0.05\n") == identity(fixed) != same
    assert identity(TINY.replace("high = 6.0", "high = 6.5")) != same
    assert identity(TINY.replace("num_normal = 12", "num_normal = 13")) != same
    assert identity(TINY.replace("seed = 7", "seed = 8")) != same
    assert identity(TINY + "[noise]\nsnr_db = 6.0\n") != same
    assert identity(TINY + "[noise]\nsnr_db = 6.0\n") != identity(TINY + "[noise]\nsnr_db = 12.0\n")


@pytest.mark.parametrize(("rate_hz", "expected"), [(16_000, 16_000), (12_000, None), (8000, None)])
def test_recordings_of_a_low_rate_are_heard_as_far_as_they_reach(rate_hz: int, expected: int | None) -> None:
    options = {"sample_rate_hz": rate_hz, "num_normal": 8, "num_anomalous": 4, "seconds": 2.0}
    spec = load_study_file(ROOT / "studies/any_machine.toml").settled(open_source("simulated", options=options))
    assert (spec.front_end.sample_rate_hz, spec.front_end.spectrum_rate_hz) == (8000, expected)
    assert spec.search_space.read_rates_hz == (expected or 8000,)


def test_a_spectrum_at_the_networks_rate_is_the_study_of_before_there_was_another() -> None:
    spec = load_study_file(ROOT / "studies/any_machine.toml")
    plain = replace(spec, front_end=replace(spec.front_end, spectrum_rate_hz=None))
    assert spec.identity() != plain.identity()
    assert "spectrum_rate_hz" not in plain.identity()["front_end"]


def test_a_study_of_before_there_was_a_lag_has_none() -> None:
    spec, before = (load_study_file(ROOT / "studies/any_machine.toml", now) for now in ([], ["sampler.lag=0"]))
    assert "lag" not in before.identity()["sampler"]
    assert spec.with_identity(before.identity()).sampler.lag == 0
    assert before.with_identity(spec.identity()).sampler == spec.sampler


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("training", "weight_decay", "0.2"),
        ("postprocessing", "hysteresis_sigmas", "0.2"),
        ("network", "precision", "bfloat16"),
    ],
)
def test_without_an_option_it_is_the_study_of_before_there_was_one(section: str, key: str, value: str) -> None:
    spec = load_study_file(ROOT / "studies/any_machine.toml")
    with_option = load_study_file(ROOT / "studies/any_machine.toml", [f"{section}.{key}={value}"])
    assert with_option.identity() != spec.identity()
    assert key not in spec.identity()[section]
    assert getattr(spec.with_identity(with_option.identity()), section) == getattr(with_option, section)
    assert getattr(with_option.with_identity(spec.identity()), section) == getattr(spec, section)
