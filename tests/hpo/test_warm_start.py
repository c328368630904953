"""`--warm-start`: the best configurations of other studies come first, unless a take that is tested here chose them."""

from pathlib import Path

import optuna
import pytest

import hpo.run_study
from hpo.search.history import HISTORY
from hpo.search.storage import StudyStorage
from hpo.session.warm_start import CHOSE, is_among
from tests.conftest import Command

SOON = ("--workers", "1", "--set", "training.epochs=1", "--set", "post.points=0")


def trials_of(project: Path, name: str) -> list[optuna.trial.FrozenTrial]:
    storage = StudyStorage(str(project / "runs/optuna.journal"))
    return optuna.load_study(study_name=name, storage=storage.backend).get_trials()


@pytest.fixture
def begun(run: Command) -> Command:
    """A study `a` of three trials."""
    run("--name", "a", *SOON)
    return run


def refused(*arguments: str) -> int:
    return hpo.run_study.main(["--study", "studies/tiny.toml", "--threads", "1", *SOON, *arguments])


def test_the_best_of_the_other_study_come_after_trial_0_and_a_resumed_study_has_them_once(
    begun: Command, project: Path
) -> None:
    out = begun("--name", "b", *SOON, "--warm-start", "a", "--trials", "2")
    assert "a: 2 of its best 3 configurations here come after trial 0; already there: 1" in out, "one is the default"
    assert "a: the sampler sees its complete trials (3)" in out
    best = max((trial for trial in trials_of(project, "a") if trial.value is not None), key=lambda trial: trial.value)
    own = trials_of(project, "b")
    assert own[0].params == trials_of(project, "a")[0].params, "trial 0 is the default configuration"
    assert best.params in [trial.params for trial in own[:2]]
    begun("--name", "b", *SOON, "--warm-start", "a", "--trials", "3")
    assert len([trial for trial in trials_of(project, "b") if trial.state.is_finished()]) == 3


def test_the_sampler_does_not_see_values_of_another_objective(begun: Command) -> None:
    out = begun("--name", "b", *SOON, "--warm-start", "a", "--trials", "1", "--set", "objective=f1")
    assert "a: the sampler does not see it, as its objective is expected F1 and not F1" in out


def test_the_sampler_does_not_see_windows_and_thresholds_of_another_score(begun: Command) -> None:
    out = begun("--name", "b", *SOON, "--warm-start", "a", "--trials", "1", "--set", "scoring.score=residual")
    assert "a: the sampler does not see it, as its score is surprise and not residual" in out


def test_a_sampler_that_draws_at_random_sees_nothing(begun: Command) -> None:
    out = begun("--name", "b", *SOON, "--warm-start", "a", "--trials", "1", "--set", "sampler.kind=random")
    assert "a: the sampler does not see it, as it draws at random" in out


def test_what_does_not_fit_is_said(begun: Command, project: Path) -> None:
    out = begun("--name", "b", *SOON, "--warm-start", "a", "--trials", "1", "--set", "dilation_depth=5")
    assert "not searched here, and as this study file has it: dilation_depth" in out
    assert all("dilation_depth" not in trial.params for trial in trials_of(project, "b"))


def test_configurations_that_do_not_fit_make_room_for_the_next_best(begun: Command, project: Path) -> None:
    begun("--name", "a", *SOON, "--trials", "6")
    ranked = sorted((t for t in trials_of(project, "a") if t.value is not None), key=lambda t: -(t.value or 0))
    best, rest = ranked[0], ranked[1:]
    depth = best.params["dilation_depth"]
    low, high = (4, 5) if depth == 6 else (5, 6)  # the default is 5
    fitting = [trial for trial in rest if low <= trial.params["dilation_depth"] <= high]
    assert fitting, "else the test shows nothing"
    searched = f"space.dilation_depth={{low={low}, high={high}}}"
    out = begun("--name", "b", *SOON, "--warm-start", "a", "--trials", "1", "--set", searched)
    assert f"outside of the ranges here, and left out: dilation_depth {depth}" in out
    first, *waiting = trials_of(project, "b")
    expected = [trial.params for trial in fitting[:3] if trial.params != first.params]
    assert [trial.system_attrs["fixed_params"] for trial in waiting] == expected


@pytest.mark.parametrize(("chose", "tests"), [("4", "1"), ("1", "2")])
def test_a_study_that_chose_by_takes_that_are_tested_here_is_refused_and_nothing_is_made(
    run: Command, project: Path, capsys: pytest.CaptureFixture[str], chose: str, tests: str
) -> None:
    """Each of four folds validates on the test takes of the next one, the last on those of the first."""
    run("--name", "a", *SOON, "--folds", "4", "--fold", chose, "--trials", "1")
    assert refused("--name", "b", "--folds", "4", "--fold", tests, "--warm-start", f"a.fold{chose}") == 2
    said = f"did not choose by a take that is tested here, but 'a.fold{chose}' chose by 'car1/"
    assert said in capsys.readouterr().err
    assert not (project / f"runs/b.fold{tests}").exists()
    names = optuna.get_all_study_names(StudyStorage(str(project / "runs/optuna.journal")).backend)
    assert f"b.fold{tests}" not in names


def test_what_chose_in_a_study_is_remembered_by_those_that_begin_with_it(run: Command, project: Path) -> None:
    run("--name", "a", *SOON, "--folds", "4", "--fold", "4", "--trials", "1")
    run("--name", "b", *SOON, "--folds", "4", "--fold", "2", "--trials", "1", "--warm-start", "a.fold4")
    backend = StudyStorage(str(project / "runs/optuna.journal")).backend
    a, b = (
        set(optuna.load_study(study_name=name, storage=backend).user_attrs[CHOSE]) for name in ("a.fold4", "b.fold2")
    )
    assert a < b


def test_a_study_that_was_interrupted_before_its_first_trial_begins_with_the_others_once(
    begun: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hpo.session.session.resolve_pages", killed)  # the first step after the beginning
        patched.setattr("hpo.session.warm_start.WARM_START", "not written")
        refused("--name", "b", "--warm-start", "a")
    begun("--name", "b", *SOON, "--warm-start", "a", "--trials", "2")
    storage = StudyStorage(str(project / "runs/optuna.journal"))
    study = optuna.load_study(study_name="b", storage=storage.backend)
    assert [each["study"] for each in study.user_attrs[HISTORY]] == ["a"]
    parameters = [tuple(trial.params.items()) for trial in study.get_trials()]
    assert len(set(parameters)) == len(parameters)


@pytest.mark.parametrize(
    ("tested", "chose", "is_shared"),
    [
        ("d1", {"d1"}, True),
        ("d1", {"d2"}, False),
        ("d1/0-9", {"d1"}, True),  # the whole has chosen
        ("d1", {"d1/0-9"}, True),  # a part has
        ("d1/0-9", {"d1/0-9"}, True),
        ("d1/0-18", {"d1/9-27"}, True),  # parts of another study's length
        ("d1/9-18", {"d1/0-9", "d2"}, False),  # another part has
    ],
)
def test_a_part_is_tested_where_its_take_has_not_chosen(tested: str, chose: set[str], *, is_shared: bool) -> None:
    assert is_among(tested, chose) == is_shared


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--warm-start", "aa"), "it has no 'aa'. Did you mean a?"),
        (("--warm-start", "a,"), "must be names of studies with commas between them, but got 'a,'"),
        (("--warm-start", ""), "must be names of studies with commas between them, but got ''"),
        (("--warm-start", "a", "--name", "a"), "must be given when a study begins, but 'a' has begun"),
        (
            ("--warm-start", "a", "--dry-run"),
            "must come with a search, but came with --dry-run. Leave one of them out.",
        ),
    ],
)
def test_mistakes_are_said_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    capsys.readouterr()
    assert refused("--name", "b", *arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "ecod" not in captured.out, "it is said before recordings are decoded"


def test_a_study_goes_on_when_those_that_it_began_with_are_gone(begun: Command, project: Path) -> None:
    begun("--name", "b", *SOON, "--warm-start", "a", "--trials", "1")
    optuna.delete_study(study_name="a", storage=StudyStorage(str(project / "runs/optuna.journal")).backend)
    begun("--name", "b", *SOON, "--warm-start", "a", "--trials", "2")
    assert len([trial for trial in trials_of(project, "b") if trial.state.is_finished()]) == 2


def test_a_study_can_begin_again_with_what_it_found(begun: Command, project: Path) -> None:
    found = [trial.params for trial in trials_of(project, "a")]
    out = begun("--name", "a", *SOON, "--fresh", "--warm-start", "a", "--trials", "2")
    assert "of its best 3 configurations here come after trial 0" in out
    assert all(trial.params in found for trial in trials_of(project, "a") if trial.params)
    assert refused("--name", "a", "--fresh", "--warm-start", "a,gone") == 2
    assert trials_of(project, "a"), "a study is not archived for an error"


@pytest.mark.usefixtures("run")
def test_the_first_study_of_a_storage_can_begin_with_none(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("--name", "b", "--warm-start", "a") == 2
    assert "--warm-start must name studies of the storage, but it has no 'a'" in capsys.readouterr().err
    assert not (project / "runs/b").exists()


@pytest.mark.usefixtures("begun")
def test_a_study_that_does_not_remember_what_chose_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.session.warm_start.CHOSE", f"{CHOSE} of another version")
    assert refused("--name", "b", "--warm-start", "a") == 2
    assert "'a' does not" in capsys.readouterr().err
