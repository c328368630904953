"""A study comes out the same for any number of processes up to its lag, whichever of their trials ends first."""

import math
import random
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from hpo.search.known_trials import known_trials, may_begin, should_prune
from hpo.search.lease import TrialLease
from hpo.search.stopping import Stops, StudyTimeout
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, open_study
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec
from hpo.search.study_tables import PrunerConfig, SamplerConfig
from hpo.search.work import work_on

ROOT = Path(__file__).resolve().parents[3]
NUM_TRIALS, NUM_EPOCHS, LAG = 14, 3, 3
Claim = tuple[optuna.Trial, TrialLease]
Outcome = tuple[TrialState, dict[str, Any]]


def spec_with(kind: Literal["tpe", "gp", "random"], *, lag: int = LAG) -> StudySpec:
    return replace(
        load_study_file(ROOT / "tests/data/tiny.toml"),
        sampler=SamplerConfig(kind=kind, startup_trials=4, lag=lag),
        pruner=PrunerConfig(kind="median", startup_trials=2, warmup_epochs=1),
    )


def opened(spec: StudySpec, folder: Path) -> OpenStudy:
    storage = StudyStorage(str(folder / "optuna.journal"))
    return open_study("tiny", spec, data_fingerprint="f00", storage=storage, directory=folder / "tiny")


def end(search: OpenStudy, claim: Claim) -> None:
    """Epoch by epoch, as a trial does. The value follows from the learning rate, one trial is bad, and one fails."""
    trial, lease = claim
    try:
        if trial.number == 5:
            search.tell(trial, None, TrialState.FAIL)
            return
        value = -abs(math.log(trial.params["learning_rate"] / 5e-3)) - (9 if trial.number == 9 else 0)
        for epoch in range(1, NUM_EPOCHS + 1):
            trial.report(value * epoch, epoch)
            if epoch < NUM_EPOCHS and should_prune(trial, lag=search.lag):
                search.tell(trial, None, TrialState.PRUNED)
                return
        search.tell(trial, value, TrialState.COMPLETE)
    finally:
        lease.release()


def outcome(spec: StudySpec, folder: Path, *, num_workers: int, seed: int = 0) -> list[Outcome]:
    """Of a study in which so many trials run at once, of which a random one ends next."""
    search, drawn = opened(spec, folder), random.Random(seed)
    running: list[Claim] = []
    while search.num_ended() < NUM_TRIALS:
        while len(running) < num_workers and (claim := search.claim_trial(NUM_TRIALS)):
            running.append(claim)
        end(search, running.pop(drawn.randrange(len(running))))
    return [(trial.state, trial.params) for trial in search.study.get_trials()]


@pytest.mark.parametrize("kind", ["tpe", pytest.param("gp", marks=pytest.mark.slow)])
def test_the_number_of_processes_and_their_speed_change_nothing(
    kind: Literal["tpe", "gp"], tmp_path_factory: pytest.TempPathFactory
) -> None:
    spec = spec_with(kind)
    alone = outcome(spec, tmp_path_factory.mktemp("alone"), num_workers=1)
    assert {state for state, _ in alone} == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}

    @settings(max_examples=5)
    @given(num_workers=st.integers(2, LAG + 2), seed=st.integers(0, 2**16))
    def others(num_workers: int, seed: int) -> None:
        folder = tmp_path_factory.mktemp("others")
        assert outcome(spec, folder, num_workers=num_workers, seed=seed) == alone

    others()


def test_without_a_lag_the_order_of_the_ends_decides(tmp_path: Path) -> None:
    spec = spec_with("tpe", lag=0)
    outcomes = [outcome(spec, tmp_path / str(seed), num_workers=LAG, seed=seed) for seed in range(3)]
    assert any(each != outcomes[0] for each in outcomes)


def test_a_trial_waits_for_those_that_it_learns_from_and_for_no_others(tmp_path: Path) -> None:
    search = opened(spec_with("random"), tmp_path)
    claims = [search.claim_trial(NUM_TRIALS) for _ in range(LAG)]
    assert search.claim_trial(NUM_TRIALS) is None
    assert search.num_begun() == LAG, "so a process that got none knows that some are left"
    first, second, third = (claim for claim in claims if claim)
    end(search, second)
    end(search, third)
    assert search.claim_trial(NUM_TRIALS) is None
    end(search, first)
    claims = [search.claim_trial(NUM_TRIALS) for _ in range(LAG + 1)]
    assert [claim and claim[0].number for claim in claims] == [3, 4, 5, None]


def test_a_process_that_waits_says_once_for_which_trial(tmp_path: Path) -> None:
    search, said = opened(spec_with("random"), tmp_path), list[str]()
    claims = [search.claim_trial(NUM_TRIALS) for _ in range(LAG)]
    context: Any = SimpleNamespace(stops=Stops(deadline=time.time() + 2.5), say=said.append)
    with pytest.raises(StudyTimeout):
        list(work_on(search, NUM_TRIALS, context, wait_for_others=False))
    assert all(claims)
    assert said == ["Waiting for trial 00, which the next one learns from (sampler.lag 3)."]


def test_trials_between_are_known_by_their_parameters_alone() -> None:
    study = optuna.create_study()
    for number in range(6):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.report(0.5, 1)
        study.tell(trial, None if number == 1 else 1.0, state=TrialState.FAIL if number == 1 else None)
    trials = study.get_trials()
    known = known_trials(trials, 5, lag=LAG)
    assert [trial.state.name for trial in known] == ["COMPLETE", "COMPLETE", "RUNNING", "RUNNING"], "trial 1 failed"
    assert [trial.params for trial in known] == [trials[number].params for number in (0, 2, 3, 4)]
    assert [trial.intermediate_values for trial in known] == [{1: 0.5}, {1: 0.5}, {}, {}]
    assert known_trials(trials, 1, lag=LAG)[0].state is TrialState.RUNNING
    assert may_begin(trials, 6, lag=LAG)


@pytest.mark.parametrize(("lag", "is_changed"), [(LAG, False), (0, True)])
def test_the_pruner_does_not_look_at_trials_between(lag: int, is_changed: bool, tmp_path: Path) -> None:
    """The fifth trial is better than the first two, and worse than those that end while it runs."""
    search = opened(spec_with("random", lag=lag), tmp_path)

    def ended(claim: Claim, value: float) -> None:
        claim[0].report(value, 1)
        claim[0].report(value, 2)
        search.tell(claim[0], value, TrialState.COMPLETE)
        claim[1].release()

    claims = [claim for claim in (search.claim_trial(NUM_TRIALS) for _ in range(LAG)) if claim]
    for claim in claims[:2]:
        ended(claim, 0.1)
    claims += [claim for claim in (search.claim_trial(NUM_TRIALS) for _ in range(2)) if claim]
    trial, _ = claims[4]
    trial.report(0.4, 1)
    trial.report(0.4, 2)
    before = should_prune(trial, lag=search.lag)
    for claim in claims[2:4]:
        ended(claim, 0.9)
    assert not before
    assert should_prune(trial, lag=search.lag) == is_changed


@pytest.mark.parametrize("lag", [0, 1])
def test_a_trial_that_somebody_enqueued_outside_of_the_ranges_does_not_stop_the_study(lag: int, tmp_path: Path) -> None:
    search = opened(spec_with("tpe", lag=lag), tmp_path)
    search.study.enqueue_trial(search.space.default_parameters | {"learning_rate": 0.5})
    for number in range(3):
        claim = search.claim_trial(NUM_TRIALS)
        assert claim
        assert (claim[0].params["learning_rate"] == 0.5) == (number == 1)
        search.tell(claim[0], 0.5, TrialState.COMPLETE)
        claim[1].release()
    assert len(known_trials(search.study.get_trials(), 3, lag=lag)) == 2
