"""--set in a search: what it changes, what is refused, and its part in the study's identity."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.data.faults.injection import FaultsConfig
from core.data.splicing import SpliceConfig
from core.errors import UserError
from hpo.search.study_file import load_study_file

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "tests/data/tiny.toml"
PLAIN = load_study_file(TINY)


def test_a_searched_parameter_becomes_fixed_at_the_value() -> None:
    spec = load_study_file(TINY, ["window_ms=250"])
    assert "window_ms" not in spec.search_space.distributions
    assert spec.default_experiment.postprocessing.window_ms == 250
    assert set(PLAIN.space) - set(spec.space) == {"window_ms"}


def test_the_key_of_a_searched_parameter_fixes_it_too() -> None:
    assert load_study_file(TINY, ["postprocessing.window_ms=250"]) == load_study_file(TINY, ["window_ms=250"])


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("training.epochs=2", lambda spec: spec.training.epochs == 2),
        ("front_end.level=train_gain", lambda spec: spec.front_end.level == "train_gain"),
        ('front_end.level="train_gain"', lambda spec: spec.front_end.level == "train_gain"),
        ("finalists.new_seeds=1", lambda spec: spec.finalists.new_seeds == 1),
        ("noise.snr_db=6", lambda spec: spec.noise.snr_db == 6),
        ("seed=9", lambda spec: spec.seed == 9),
        ("data.severity=0.5", lambda spec: spec.data["severity"] == 0.5),
        ("space.window_ms={low=200, high=900}", lambda spec: spec.space["window_ms"] == {"low": 200, "high": 900}),
        ("two_sided=true", lambda spec: spec.postprocessing.two_sided),
    ],
)
def test_a_key_of_the_study_file_is_changed(assignment: str, value) -> None:
    assert value(load_study_file(TINY, [assignment]))


def test_two_keys_of_tables_that_the_file_lacks_are_set() -> None:
    spec = load_study_file(TINY, ["faults.seed=3", "noise.snr_db=6", 'faults.kinds=["tone", "hum"]'])
    assert spec.noise is not None
    assert spec.faults == FaultsConfig(seed=3, kinds=("tone", "hum"))


@pytest.mark.parametrize("name", ["noise", "splice", "faults", "speed_perturbation", "threshold"])
def test_a_table_that_a_study_may_lack_is_left_out(name: str) -> None:
    assert getattr(load_study_file(TINY, [f"{name}=none"]), name) is None


def test_without_splices_the_study_is_as_if_its_file_had_no_such_table() -> None:
    spliced, plain = (load_study_file(ROOT / "studies/cars_spliced.toml", each) for each in ([], ["splice=none"]))
    assert spliced.splice is not None
    assert plain == replace(spliced, splice=None)
    again = load_study_file(ROOT / "studies/cars_spliced.toml", ["splice=none", "splice.seed=3"])
    assert again.splice == SpliceConfig(seed=3)


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("training.epoch=3", "Near it: training.epochs,"),
        ("epochs=3", "Near it: training.epochs"),
        ("windw_ms=3", "window_ms"),
        ("window_ms", "must be NAME=VALUE, but got 'window_ms'"),
        ("=3", "must be NAME=VALUE"),
        ("training.epochs=0", "--set training.epochs=0: training.epochs must be at least 1, but got 0"),
        ("training.epochs=many", "training.epochs must be a valid integer, but got 'many'"),
        ("training.epochs=2.5", "training.epochs must be a valid integer"),
        ("window_ms=-5", "postprocessing.window_ms must be above 0, but got -5"),
        ("learning_rate=nan", "must be a finite number"),
        ("training=3", "must name a parameter or a key"),
        ("training=none", "must name a parameter or a key"),
        ("splice=3", "splice must be a table"),
    ],
)
def test_a_wrong_assignment_is_one_line_that_names_the_rule(assignment: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_study_file(TINY, [assignment])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fixing_the_only_parameter_leaves_nothing_to_search(tmp_path: Path) -> None:
    file = tmp_path / "one.toml"
    text = TINY.read_text()
    file.write_text(text[: text.index("[space]")] + "[space]\nwindow_ms = { low = 100, high = 1000 }\n")
    with pytest.raises(UserError, match="space must hold at least one parameter"):
        load_study_file(file, ["window_ms=200"])


def test_a_study_without_faults_has_the_identity_that_it_had_before_there_were_any() -> None:
    assert "faults" not in PLAIN.identity()


def test_a_second_assignment_may_name_a_key_that_the_file_lacks() -> None:
    spec = load_study_file(TINY, ["objective=f1", "data.severity=0.5", "finalists.count=2"])
    assert (spec.objective, spec.data["severity"], spec.finalists.count) == ("f1", 0.5, 2)


def test_the_identity_has_what_the_search_depends_on_and_no_more() -> None:
    assert load_study_file(TINY, []).identity() == PLAIN.identity()
    for changed in (
        "training.epochs=2",
        "window_ms=250",
        "seed=9",
        "data.severity=0.5",
        "objective=f1",
        "faults.seed=1",
    ):
        assert load_study_file(TINY, [changed]).identity() != PLAIN.identity()
    for unchanged in ("finalists.new_seeds=1", "trials=9", "post.points=0", "training.epochs=3"):
        assert load_study_file(TINY, [unchanged]).identity() == PLAIN.identity(), "as if the file said so"
