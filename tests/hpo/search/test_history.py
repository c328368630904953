"""A sampler with a history proposes what was good in other studies, whatever level their values have."""

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from hpo.search.history import HISTORY, History, in_deviations, with_histories
from hpo.search.known_trials import LEARNED_FROM
from hpo.search.proposal_in_copy import ProposalInCopy
from hpo.search.samplers import make_sampler
from hpo.search.storage import StudyStorage
from hpo.search.study import open_study
from hpo.search.study_file import load_study_file
from hpo.search.study_tables import SamplerConfig

SPACE = {"x": FloatDistribution(0.0, 1.0), "kind": CategoricalDistribution(["a", "b"])}
POINTS = np.linspace(0, 1, 30)
GOOD_AT = 0.8


def history(*, level: float = 0.0, scale: float = 1.0, **more: object) -> History:
    values = [level - scale * abs(float(x) - GOOD_AT) for x in POINTS]
    return History(study="other", parameters=[{"x": float(x), **more} for x in POINTS], values=values)


def proposals(
    histories: list[History], *, kind: str = "tpe", own: list[tuple[float, float]] = (), count: int = 10
) -> list[float]:
    """Of the same study for different seeds."""
    study = optuna.create_study(direction="maximize")
    for x, value in own:
        study.add_trial(optuna.create_trial(params={"x": x, "kind": "a"}, distributions=SPACE, value=value))
    found = []
    for seed in range(count):
        inner = make_sampler(SamplerConfig(kind=kind), seed)  # type: ignore[arg-type]
        known = with_histories(study.get_trials(states=LEARNED_FROM), histories, SPACE)
        study.sampler = ProposalInCopy(inner, SPACE, known)
        found.append(float(study.ask(SPACE).params["x"]))
    return found


@pytest.mark.parametrize("kind", ["tpe", "gp"])
def test_what_was_good_elsewhere_is_proposed(kind: str) -> None:
    without, informed = proposals([], kind=kind), proposals([history(kind="a")], kind=kind)
    assert np.mean(np.abs(np.array(informed) - GOOD_AT)) < 0.5 * np.mean(np.abs(np.array(without) - GOOD_AT))


def test_the_level_of_another_studys_values_does_not_count() -> None:
    own = [(float(x), -abs(float(x) - 0.2)) for x in POINTS]
    low, high = (proposals([history(level=level, scale=scale)], own=own) for level, scale in ((-9, 0.1), (50, 7)))
    np.testing.assert_allclose(low, high)


def test_trials_without_a_parameter_still_tell_of_the_others() -> None:
    informed = proposals([history()])
    assert np.mean(np.abs(np.array(informed) - GOOD_AT)) < 0.2


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 0.5]])
def test_values_that_do_not_differ_are_all_the_mean(values: list[float]) -> None:
    assert in_deviations(values) == [0.0] * len(values)


def test_a_study_with_a_history_proposes_by_it_from_its_first_trial_on(tmp_path: Path) -> None:
    spec = load_study_file(Path(__file__).resolve().parents[2] / "data/tiny.toml")
    storage = StudyStorage(str(tmp_path / "optuna.journal"))
    rates = np.geomspace(1e-3, 2e-2, 30)
    low, high = (
        {
            "study": "other",
            "parameters": [{"learning_rate": float(rate)} for rate in rates],
            "values": [-abs(float(np.log(rate / good))) for rate in rates],
        }
        for good in (2e-3, 1.5e-2)
    )
    proposed = {}
    for name, history in (("low", low), ("high", high)):
        search = open_study(name, spec, data_fingerprint="f00", storage=storage, directory=tmp_path / name)
        search.study.set_user_attr(HISTORY, [history])
        claims = [search.claim_trial(5) for _ in range(5)]
        proposed[name] = [search.space.suggest(claim[0]).training.learning_rate for claim in claims[1:] if claim]
    assert np.median(proposed["low"]) < 4e-3 < 1e-2 < np.median(proposed["high"])
