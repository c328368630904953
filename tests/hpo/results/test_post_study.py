"""Post-processing searched over stored scores: points agree with the detectors, and a second run adds none."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

import hpo.results.stored_points
from core.decision.checkpoint import DETECTOR_FILE, Detector, load_detector, save_detector
from core.decision.metrics import expected_f1, f1_score
from core.decision.postprocess import PostprocessingConfig
from core.decision.score_file import ScoredClips
from core.decision.statistic import fit_scalar
from core.errors import UserError
from core.experiment import SCORES_FILE
from core.model.frontend import FrontEnd, FrontEndConfig
from core.model.scoring import FRAME_SCORES, ScoringConfig
from core.model.wavenet import WaveNet
from core.model.wavenet_config import WaveNetConfig
from hpo.pages.parameter_axis import ParameterAxis
from hpo.pages.post_figures import NUM_BINS, grouped
from hpo.results.judged_trial import JudgedTrial, judge_scores
from hpo.results.post_result import post_result
from hpo.results.post_study import PostPoint, PostSearch, detector_at, own_choice, search_post, search_study
from hpo.results.stored_points import store_points, stored_points
from hpo.search.archive import archive_study
from hpo.search.post_space import OwnChoice, PostConfig, draw, post_space
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, open_study
from hpo.search.study_file import load_study_file
from hpo.search.trial_record import TrialRecord, trial_records
from tests.frame_scores import frame_scores

TINY = Path(__file__).resolve().parents[3] / "tests/data/tiny.toml"
FRAME_MS = 25.0
SEARCHED: dict[str, BaseDistribution] = {
    "window_ms": FloatDistribution(50.0, 1000.0, log=True),
    "threshold_sigmas": FloatDistribution(0.5, 4.0),
}
OWN = PostprocessingConfig(window_ms=200.0, threshold_sigmas=3.0)


def scored_clips(num_clips: int, *, seed: int, is_normal: bool = False, channels: int = 2) -> ScoredClips:
    """Two machines in turn. Every third clip is anomalous for half a second, most on one microphone."""
    random = np.random.default_rng(seed)
    surprise, entropy, residual = (random.standard_normal((num_clips, channels, 40)).astype(np.float32) for _ in "abc")
    is_anomalous = (np.arange(num_clips) % 3 == 2) & (not is_normal)
    surprise[is_anomalous, 0, 10:30] += 0.8
    residual[is_anomalous, :, 10:30] += 0.5
    return ScoredClips(
        scores=frame_scores(surprise, entropy, residual),
        recording_ids=tuple(str(i) for i in range(num_clips)),
        machines=tuple("ab"[i % 2] for i in range(num_clips)),
        conditions=tuple("strange" if strange else "normal" for strange in is_anomalous),
        is_anomalous=is_anomalous,
    )


def judged_trial(seed: int, *, config: PostprocessingConfig = OWN, channels: int = 2) -> JudgedTrial:
    scored = {
        "calibration": scored_clips(8, seed=seed, is_normal=True, channels=channels),
        "validation": scored_clips(24, seed=seed + 100, channels=channels),
        "test": scored_clips(24, seed=seed + 200, channels=channels),
    }
    network = WaveNetConfig(
        num_channels=channels, mu_law_levels=16, dilation_depth=2, receptive_field_samples=4, residual_channels=2,
        skip_channels=2,
    )  # fmt: skip
    calibration = scored["calibration"]
    detector = Detector(
        model=WaveNet(network),
        front_end=FrontEnd(config=FrontEndConfig(mu_law_levels=16), channel_gains=(1.0,) * channels),
        scoring=ScoringConfig(frame_ms=FRAME_MS),
        statistic=fit_scalar(config, calibration.scores.surprise, calibration.machines, frame_ms=FRAME_MS),
        clip_samples=4100,
        context_samples=100,
    )
    return judge_scores(detector, scored)


def trials() -> dict[int, JudgedTrial]:
    return {5: judged_trial(1), 2: judged_trial(2, config=replace(OWN, window_ms=80.0))}


def search(num_points: int = 160, *, of: Mapping[int, JudgedTrial] | None = None, seed: int = 7) -> PostSearch:
    return search_post(of or trials(), SEARCHED, num_points=num_points, seed=seed, objective="f1")


def validation_f1(judged: JudgedTrial) -> float:
    flagged = judged.judged["validation"].clip_scores >= judged.threshold
    return f1_score(flagged, judged.scored["validation"].is_anomalous)


def test_every_point_agrees_with_its_detector() -> None:
    judged, found = trials(), search()
    for point in found.points:
        detector = detector_at(point, judged[point.trial])
        assert detector.statistic.config.threshold_sigmas == point.parameters["threshold_sigmas"]
        assert validation_f1(judge_scores(detector, judged[point.trial].scored)) == pytest.approx(point.value)
    for name, distribution in found.space.items():
        values = {point.parameters[name] for point in found.points}
        assert len(values) >= (len(distribution.choices) if isinstance(distribution, CategoricalDistribution) else 10)
    assert len({point.value for point in found.points}) > 8, "the points must differ"


def test_the_trials_own_choices_are_among_the_points() -> None:
    judged, found = trials(), search()
    for number, point in zip(judged, found.points, strict=False):
        assert point.trial == number
        assert point.parameters == {"trial": number} | found.own_parameters(number)
        assert point.value == pytest.approx(validation_f1(judged[number]))
    assert found.highest.value == max(point.value for point in found.points)


def post_search(own_value: float, value: float, error: float | None) -> PostSearch:
    """Two points that flag other takes; the first is the winner's own."""
    values = enumerate((own_value, value))
    points = [PostPoint(parameters={"window_ms": 200.0 + i}, trial=0, value=f1, auc=0.5) for i, f1 in values]
    space = {"window_ms": FloatDistribution(100.0, 10_000.0, log=True)}
    return PostSearch(space=space, owns={0: own()}, points=points, seconds=1.0, standard_error=error)


@pytest.mark.parametrize(
    ("own_value", "value", "error", "best"),
    [
        (0.8, 0.85, 0.06, 0),  # within one standard error
        (0.8, 0.85, 0.04, 1),  # a clear lead
        (0.8, 0.8, 0.0, 0),  # equal points
        (0.8, 0.85, None, 1),  # nothing is known of the error
    ],
)
def test_the_winners_own_stays_within_one_standard_error(
    own_value: float, value: float, error: float | None, best: int
) -> None:
    found = post_search(own_value, value, error)
    assert found.best is found.points[best]


def test_the_error_of_the_search_is_that_of_its_highest_point() -> None:
    found = search()
    assert found.standard_error is not None
    assert found.standard_error > 0
    assert found.lead.difference == found.highest.value - found.points[0].value
    assert found.best in (found.points[0], found.highest)
    alone = search(of={5: trials()[5]}, num_points=1)
    assert alone.lead.is_within_an_error == (alone.best is alone.points[0])


def test_test_scores_are_not_used_for_choosing() -> None:
    judged = trials()
    plain = search(of=judged)
    for number, trial in judged.items():
        nonsense = np.full((24, 2, 40), np.nan, dtype=np.float32)
        scores = frame_scores(nonsense)
        test = replace(trial.scored["test"], scores=scores, is_anomalous=~trial.scored["test"].is_anomalous)
        judged[number] = replace(trial, scored={**trial.scored, "test": test})
    assert search(of=judged).points == plain.points
    assert search(of=judged).best == plain.best
    validation = {n: replace(t, scored={**t.scored, "validation": t.scored["test"]}) for n, t in trials().items()}
    assert search(of=validation).points != plain.points


@pytest.mark.parametrize(
    "thresholds",
    [
        FloatDistribution(0.5, 4.0),
        FloatDistribution(0.5, 4.0, step=0.25),
        FloatDistribution(0.5, 1.5, step=0.5),
        CategoricalDistribution([1.0, 3.0]),
    ],
)
@pytest.mark.parametrize("num_points", [1, 2, 3, 27, 30])
def test_there_are_as_many_points_as_are_asked_for_and_all_differ(
    num_points: int, thresholds: BaseDistribution
) -> None:
    searched = SEARCHED | {"threshold_sigmas": thresholds}
    found = search_post(trials(), searched, num_points=num_points, seed=7, objective="f1")
    assert len(found.points) == num_points
    assert len({tuple(point.parameters.values()) for point in found.points}) == num_points


def test_the_points_depend_on_the_seed_alone() -> None:
    assert search().points == search().points
    assert search().points != search(seed=8).points


def own(**changes: Any) -> OwnChoice:
    facts = {"score": "surprise", "config": OWN, "num_channels": 1, "num_machines": 1, "clip_ms": 3000.0}
    return OwnChoice(**facts | changes)


def test_ranges_are_the_study_s_or_usual_ones_that_contain_the_trials_values() -> None:
    space = post_space(SEARCHED, {4: own(config=replace(OWN, gap_ms=800.0))})
    assert {name: space[name] for name in SEARCHED} == SEARCHED
    assert space["gap_ms"] == FloatDistribution(0.0, 800.0)
    assert space["min_event_ms"] == FloatDistribution(0.0, 500.0)
    assert not {"trial", "fusion", "sigma"} & space.keys()
    assert post_space({}, {4: own()})["window_ms"] == FloatDistribution(100.0, 3000.0, log=True)
    many = own(num_channels=4, num_machines=2)
    baselines = CategoricalDistribution(["machine", "clip"])
    assert "baseline" not in space, "only the study knows whether its faults are intermittent"
    assert post_space({"baseline": baselines}, {4: own()})["baseline"] == baselines
    assert {"trial", "fusion", "sigma"} <= post_space({}, {4: many, 1: many}).keys()


def test_the_window_of_innovations_is_tried_where_the_study_searches_it() -> None:
    """Each takes a fit of its own, so there is no usual range."""
    innovations = {4: own(score="innovations")}
    assert post_space(SEARCHED, innovations)["window_ms"] == SEARCHED["window_ms"]
    assert "window_ms" not in post_space({}, innovations)


def test_points_cover_each_range_evenly() -> None:
    space = {"window_ms": FloatDistribution(100.0, 10_000.0, log=True), "score": CategoricalDistribution(["a", "b"])}
    points = draw(space, 100, seed=1)
    assert sorted(int(50 * np.log10(point["window_ms"] / 100)) for point in points) == list(range(100))
    assert sum(point["score"] == "a" for point in points) == 50
    stepped = draw({"gap_ms": FloatDistribution(0.0, 100.0, step=50.0)}, 9, seed=1)
    assert sorted(point["gap_ms"] for point in stepped) == [0.0] * 3 + [50.0] * 3 + [100.0] * 3


def test_of_equal_points_the_one_with_more_auc_then_the_nearest_to_its_trial_is_the_highest() -> None:
    space = {"window_ms": FloatDistribution(100.0, 10_000.0, log=True)}
    points = [
        PostPoint(parameters={"window_ms": window_ms}, trial=0, value=f1, auc=auc)
        for window_ms, f1, auc in [(200.0, 0.8, 1.0), (6000.0, 0.9, 0.7), (100.0, 0.9, 0.7), (200.0, 0.9, float("nan"))]
    ]
    found = PostSearch(space=space, owns={0: own()}, points=points, seconds=1.0)
    assert found.highest is points[2]  # 200 ms is nearer to 100 than to 6000


def test_a_slice_holds_every_point_once() -> None:
    found = search()
    for name, distribution in found.space.items():
        axis = ParameterAxis.of(name, distribution)
        groups = grouped(found.points, axis)
        assert sorted(f1 for group in groups.values() for f1 in group) == sorted(point.value for point in found.points)
        assert len(groups) == (len(axis.choices) or NUM_BINS)
        if not axis.choices:
            assert list(groups) == sorted(groups)


BOTH = pytest.mark.parametrize("opened", ["runs/optuna.journal", "sqlite:///{}/runs/optuna.db"], indirect=True)


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStudy:
    """A study of three complete trials, of which the best two have files; by default in a journal file."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    given = getattr(request, "param", "runs/optuna.journal")
    url = given.format(tmp_path) if "://" in given else str(tmp_path / given)
    (tmp_path / "runs").mkdir()
    study = open_again(StudyStorage(url), tmp_path)
    for number, f1 in enumerate([0.5, 0.7, 0.6]):
        add_trial(study, number, f1)
    return study


def open_again(storage: StudyStorage, root: Path, name: str = "toy") -> OpenStudy:
    spec = load_study_file(TINY)
    return open_study(name, spec, data_fingerprint="0", storage=storage, directory=root / "runs" / name)


def add_trial(search: OpenStudy, number: int, f1: float) -> None:
    """Completes the waiting trial and writes its files as a trial does."""
    trial = search.study.ask()
    search.space.suggest(trial)
    trial.set_user_attr("facts", {"val_auc": 0.5, "num_weights": 1})
    search.study.tell(trial, f1, state=TrialState.COMPLETE)
    directory, judged = search.trial_directory(number), judged_trial(number)
    if number:
        directory.mkdir(parents=True)
        save_detector(directory / DETECTOR_FILE, judged.detector)
        np.savez(directory / SCORES_FILE, **_arrays(judged.scored))


def _arrays(scored: Mapping[str, ScoredClips]) -> dict[str, Any]:
    lists = ("recording_ids", "machines", "conditions", "is_anomalous")
    arrays = {
        f"{split}_{kind}": getattr(clips.scores, kind) for split, clips in scored.items() for kind in FRAME_SCORES
    }
    return arrays | {
        f"{split}_{key}": np.array(getattr(clips, key)) for split, clips in scored.items() for key in lists
    }


def best_two(search: OpenStudy) -> list[TrialRecord]:
    return sorted(trial_records(search.study), key=lambda record: -(record.objective or 0))[:2]


def stored(search: OpenStudy) -> PostSearch:
    done = search_study(search, best_two(search))
    assert done is not None
    assert store_points(search, done[0]) == len(done[0].points)
    return done[0]


def companion(search: OpenStudy, name: str = "toy-post") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=search.storage.backend)


def outline(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [(trial._trial_id, trial.params, trial.value) for trial in study.get_trials(deepcopy=False)]


def test_the_best_point_s_detector_has_the_metrics_of_the_result(opened: OpenStudy) -> None:
    post = post_result(opened, best_two(opened))
    assert post is not None
    summary, best = post.summary, post.summary["best"]
    assert summary["trials"] == [1, 2]
    detector = load_detector(opened.directory / "post" / DETECTOR_FILE)
    judged = judge_scores(detector, judged_trial(best["trial"]).scored)
    assert validation_f1(judged) == pytest.approx(best["validation"]["f1"])
    scores, is_anomalous = judged.judged["validation"].clip_scores, judged.scored["validation"].is_anomalous
    value = expected_f1(scores, is_anomalous, judged.threshold)
    assert value == pytest.approx(post.found.best.value)
    assert post.found.highest.value == pytest.approx(max(trial.value for trial in companion(opened).trials))
    assert summary["choice"].startswith("Kept trial 1's own" if value < post.found.highest.value else "It is ahead of")
    assert f"best of {summary['num_points']} points on 24 validation clips" in summary["optimism"]
    written = json.loads((opened.directory / "post/post.json").read_text())
    assert written["best"]["parameters"] == best["parameters"]


@BOTH
def test_the_same_trials_add_nothing_and_others_replace_the_companion(opened: OpenStudy) -> None:
    found = stored(opened)
    before = outline(companion(opened))
    assert [row[1:] for row in before] == [(point.parameters, point.value) for point in found.points]
    stored(opened)
    assert outline(companion(opened)) == before
    add_trial(opened, 3, 0.9)
    stored(opened)
    after = companion(opened).trials
    assert len(after) == len(before)
    assert {trial.params["trial"] for trial in after} == {3, 1}


def test_fresh_archives_the_companion_with_its_study(opened: OpenStudy, tmp_path: Path) -> None:
    points = stored(opened).points
    archived = archive_study("toy", storage=opened.storage, directory=opened.directory, archive=tmp_path / "archive")
    kept = companion(opened, f"{archived}-post")
    assert [row[1:] for row in outline(kept)] == [(point.parameters, point.value) for point in points]
    assert "toy-post" not in optuna.get_all_study_names(opened.storage.backend)


def test_a_user_s_study_with_the_companion_s_name_is_left_alone(opened: OpenStudy, tmp_path: Path) -> None:
    open_again(opened.storage, tmp_path, "toy-post")
    assert store_points(opened, search()) == 0
    assert not [trial for trial in companion(opened).trials if trial.state.is_finished()]


@BOTH
def test_of_too_many_points_some_are_stored_and_the_highest_is_among_them(
    opened: OpenStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = search()
    assert stored_points(found, 1) == [found.highest]
    assert stored_points(found, 10_000) == found.points
    monkeypatch.setattr(hpo.results.stored_points, "MAX_STORED", {"journal": 5, "database": 4})
    assert store_points(opened, found) == len(companion(opened).trials) in (4, 5)
    assert companion(opened).best_value == found.highest.value


def test_it_can_be_turned_off_and_needs_a_trial(opened: OpenStudy) -> None:
    records = trial_records(opened.study)
    off = replace(opened, spec=replace(opened.spec, post=replace(opened.spec.post, points=0)))
    assert post_result(off, records) is None
    assert post_result(opened, []) is None


def test_a_single_trial_of_one_microphone_is_searched() -> None:
    found = search(of={3: judged_trial(3, channels=1)})
    assert own_choice(judged_trial(3)).clip_ms == 1000.0
    assert not {"trial", "fusion"} & found.space.keys()
    assert {point.trial for point in found.points} == {3}


def test_a_study_resumes_after_its_table_of_post_processing_has_changed(opened: OpenStudy) -> None:
    changed = replace(opened.spec, post=PostConfig(trials=1, points=0))
    assert changed.identity() == opened.spec.identity()


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"points": -1}])
def test_a_wrong_table_is_said_in_one_line(wrong: dict[str, int]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(UserError, match=rf"^post\.{name} must be [^\n]*, but got {value}\."):
        PostConfig(**wrong)
