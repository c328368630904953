"""The table of trainings, and the studies that are replayed on it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from benchmarks.choice_rules import best_post, by_rule, post_by_rule, within_an_error
from benchmarks.replayed_studies import OBJECTIVES, Car, highest, replay
from benchmarks.table_of_trainings import Car as CarData
from benchmarks.table_of_trainings import Place, load_training, make_training, parameters_of, places
from core.data.store import Store
from core.decision.metrics import f1_score
from core.thread_pool import ThreadPool
from hpo.search.history import History
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec

FIRST, SECOND = Place(car=1, point=0, seed=1), Place(car=1, point=1, seed=1)


@pytest.fixture(scope="module")
def spec() -> StudySpec:
    return load_study_file(Path(__file__).resolve().parents[1] / "data/tiny.toml")


@pytest.fixture(scope="module")
def table(spec: StudySpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    for place in (FIRST, SECOND):
        make(place, spec, folder)
    return folder


def make(place: Place, spec: StudySpec, folder: Path) -> None:
    place.file(folder).parent.mkdir(parents=True, exist_ok=True)
    with ThreadPool(1) as pool:
        make_training(place, spec, folder, num_fresh=10, pool=pool)


@pytest.fixture
def car(spec: StudySpec, table: Path) -> Car:
    trainings = [load_training(place, table) for place in (FIRST, SECOND)]
    return Car(spec, [training for training in trainings if training])


def test_a_replayed_trial_has_the_validation_figures_of_the_experiment(spec: StudySpec, table: Path, car: Car) -> None:
    with np.load(FIRST.file(table)) as arrays:
        epochs = json.loads(str(arrays["figures"]))
    best = max(epochs, key=lambda row: (row["val_auc"], row["epoch"]))
    own = spec.postprocessing
    judged = car.judged(0, own.window_ms)
    assert judged is not None
    assert judged.auc == best["val_auc"]
    assert car.aucs(0, own.window_ms) == [row["val_auc"] for row in epochs], "what a pruner sees"
    assert f1_score(judged.validation >= own.threshold_sigmas, judged.is_anomalous) == best["val_f1"]


def test_a_training_is_the_same_to_the_bit_in_another_table(spec: StudySpec, table: Path, tmp_path: Path) -> None:
    make(FIRST, spec, tmp_path)
    one, other = load_training(FIRST, table), load_training(FIRST, tmp_path)
    assert one is not None
    assert other is not None
    assert one.fresh.keys() == other.fresh.keys()
    assert all(np.array_equal(one.fresh[epoch], other.fresh[epoch]) for epoch in one.fresh)
    assert not list(tmp_path.glob("car-*/*.training")), "the weights are not kept"


def test_fresh_takes_are_no_takes_of_the_study(spec: StudySpec, tmp_path: Path) -> None:
    data = CarData(spec=spec, seed=3, num_fresh=14, store=Store(tmp_path))
    known = {take for clips in data.dataset.judged().values() for take in clips.recording_ids}
    fresh = data.fresh
    assert len(set(fresh.recording_ids)) == len(fresh) == 14
    assert not known & set(fresh.recording_ids)
    assert fresh.is_anomalous.mean() == pytest.approx(data.dataset.validation.is_anomalous.mean(), abs=0.05)


def test_the_replayed_rule_prefers_the_default_only_within_one_standard_error(car: Car) -> None:
    trials = replay(car, OBJECTIVES["expected F1"], kind="random", num_trials=8, seed=1)
    chosen = by_rule(trials)
    labels = trials[0].judged.is_anomalous
    is_detector = trials[0].value > f1_score(np.ones_like(labels), labels)
    is_near = is_detector and trials[0] in within_an_error(trials)
    assert chosen.value == (trials[0].value if is_near else highest(trials).value)
    post = post_by_rule(car, chosen)
    assert post.value in (chosen.value, best_post(car, chosen).value)


def test_a_part_of_the_table_has_all_cars_at_the_first_points() -> None:
    order = list(places(cars=2, points=2, seeds=2))
    assert [(place.seed, place.point, place.car) for place in order[:4]] == [(1, 0, 1), (1, 0, 2), (1, 1, 1), (1, 1, 2)]
    assert len(set(order)) == 8


def test_points_are_those_of_the_space_and_do_not_depend_on_their_number(spec: StudySpec) -> None:
    space, points = spec.search_space, [parameters_of(spec, point) for point in range(9)]
    assert points[0] == {name: space.default_parameters[name] for name in points[0]}
    assert all(space.holds(name, value) for point in points for name, value in point.items())
    assert len({json.dumps(point) for point in points}) == 9
    assert {"window_ms", "threshold_sigmas"}.isdisjoint(points[1]), "they need no training"


def test_a_replay_repeats_and_begins_with_the_default(spec: StudySpec, car: Car) -> None:
    one, other = (replay(car, OBJECTIVES["expected F1"], kind="tpe", num_trials=12, seed=3) for _ in range(2))
    assert [trial.value for trial in one] == [trial.value for trial in other]
    assert one[0].threshold == spec.postprocessing.threshold_sigmas
    assert one[0].judged is car.judged(0, spec.postprocessing.window_ms)
    assert highest(one).value == max(trial.value for trial in one)


class PrunesAllButTrial0(optuna.pruners.BasePruner):
    def prune(self, _: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        return trial.number > 0


def test_a_pruned_trial_takes_its_epochs_and_is_not_chosen(car: Car) -> None:
    objective, seconds = OBJECTIVES["expected F1"], {0: 10.0, 1: 10.0}
    study = {"kind": "random", "num_trials": 4, "seed": 1, "epoch_seconds": seconds}
    (default,) = replay(car, objective, pruner=PrunesAllButTrial0(), **study)  # type: ignore[arg-type]
    whole = replay(car, objective, **study)  # type: ignore[arg-type]
    assert [round(trial.ended_s, -1) for trial in whole] == [30, 60, 90, 120]
    assert default.ended_s == pytest.approx(30, abs=1)
    shorter = replay(car, objective, max_seconds=40, **study)  # type: ignore[arg-type]
    assert [trial.ended_s for trial in shorter] == pytest.approx([30, 60], abs=1)


def test_configurations_of_another_study_come_after_trial_0_and_a_history_changes_what_is_proposed(car: Car) -> None:
    objective = OBJECTIVES["expected F1"]
    known = replay(car, objective, kind="tpe", num_trials=14, seed=5)
    history = History(study="other", parameters=[t.parameters for t in known], values=[t.value for t in known])
    study = {"kind": "tpe", "num_trials": 4, "seed": 1}
    alone = replay(car, objective, **study)  # type: ignore[arg-type]
    started = replay(car, objective, first=[known[3].parameters], **study)  # type: ignore[arg-type]
    informed = replay(car, objective, histories=[history], **study)  # type: ignore[arg-type]
    assert started[1].parameters == known[3].parameters
    assert [t.parameters for t in (started[0], informed[0])] == [alone[0].parameters] * 2
    assert informed[1].parameters != alone[1].parameters


def test_a_cross_fitted_threshold_parts_what_can_be_parted_and_noise_has_no_better_f1_for_it(car: Car) -> None:
    judged = car.judged(0, car.spec.postprocessing.window_ms)
    assert judged is not None
    easy = replace(judged, validation=np.where(judged.is_anomalous, 50.0, 0.0))
    assert easy.crossfitted[0] == pytest.approx(1.0, abs=0.01)
    assert 0 < easy.crossfitted[1] < 50
    noise = replace(judged, validation=np.random.default_rng(0).standard_normal(len(judged.validation)))
    assert noise.crossfitted[0] < noise.expected_f1s.max()
